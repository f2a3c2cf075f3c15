//! The state as it would be if what is held out had not happened, with the model of a trial.
//!
//! Features that learn online know what is held out: counts of common consumption, popularity,
//! preferences. A fit on them would trust them far too much, most of all where data are sparse. So
//! each positive that is held out is taken back from every sum that it entered: all of them
//! are sums over events. What all users share by time of the week is left: one of thousands.
//!
//! Not known any more, and approximated: which items came before an item that was used again
//! later, and how many positives of all users had come by then (the share of those
//! that are still known).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::columns::index::ItemIndex;
use crate::consumption::Consumption;
use crate::consumption::User;
use crate::domain::Timestamp;
use crate::models::collaborative;
use crate::models::collaborative::Associations;
use crate::models::content::ContentModel;
use crate::models::contexts::RequestContext;
use crate::models::contexts::SLOTS;
use crate::models::published::Model;
use crate::models::published::Origin;
use crate::state::View;
use crate::state::model_factors::ModelFactors;
use crate::training::holdout::Holdout;
use crate::training::holdout::Test;
use crate::training::trial::Trial;

/// A view that has the trial for a model and knows nothing of what is held out.
pub fn without(
    holdout: &Holdout<'_>,
    trial: &Trial,
    associations: &Associations,
    content: ContentModel,
) -> View {
    let mut view = taken_back(holdout);
    let columns = holdout.columns();
    let k = trial.configuration.hyperparameters.factors;
    let rows = columns.items().iter().copied().zip(trial.item_factors.chunks_exact(k));
    let rows = rows.filter(|(_, row)| collaborative::is_usable(row));
    view.items.factors = ModelFactors::published(k, rows);
    view.associations = associations.renamed(&names(columns.items()));
    view.model = Some(Arc::new(model(&view, trial, content)));
    view.items.online = Default::default();
    view.embed_all();
    view.predict_all_factors();
    view
}

/// A view that knows nothing of what is held out.
pub fn taken_back(holdout: &Holdout<'_>) -> View {
    let mut view = holdout.view().clone();
    let times = times_of_positives(&view);
    for test in holdout.tests() {
        take_back(&mut view, test, &times);
    }
    view
}

fn names(items: &[ItemIndex]) -> Vec<Option<ItemIndex>> {
    items.iter().copied().map(Some).collect()
}

/// The model of a trial, as far as ranking reads it.
fn model(view: &View, trial: &Trial, content: ContentModel) -> Model {
    let Trial { configuration, regularization, .. } = *trial;
    let k = configuration.hyperparameters.factors;
    Model {
        version: view.model_version() + 1,
        trained_at: view.watermark(),
        published_at: view.clock(),
        k,
        regularization,
        user_gram: vec![0.0; k * k],
        origin: Origin {
            configuration,
            asked: configuration.hyperparameters,
            best: None,
            item_item_l2: 0.0,
            searched_positives: 0,
            positives: 0,
            positive_mass: 0.0,
            trained_until: Timestamp::default(),
        },
        figures: BTreeMap::new(),
        content,
    }
}

/// When positives came that are still known, in order.
fn times_of_positives(view: &View) -> Vec<Timestamp> {
    let users = view.profiled_users();
    let mut times: Vec<Timestamp> =
        users.flat_map(|(_, user)| user.history.positives().map(Consumption::at)).collect();
    times.sort_unstable();
    times
}

fn take_back(view: &mut View, test: &Test, times: &[Timestamp]) {
    let user = view.users.states[test.user].clone();
    let withheld = |entry: &&Consumption| {
        let before = test.before.find(entry.item);
        before.is_none_or(|before| before.sessions() < entry.sessions())
    };
    let entries = user.history.entries();
    let mut gone: Vec<ItemIndex> = Vec::new();
    let mut state = User { history: test.before.clone(), ..user.as_ref().clone() };
    for (position, entry) in entries.iter().enumerate().filter(|(_, entry)| withheld(entry)) {
        gone.push(entry.item);
        if entry.in_session() > 0.0 {
            let earlier = entries[..position].iter().rev().filter(|entry| entry.net() > 0.0);
            let recent: Vec<ItemIndex> =
                earlier.take(collaborative::RECENT).map(|entry| entry.item).collect();
            take_back_positive(view, &user, entry, &recent, times);
            forget_preference(view, &mut state, entry);
        }
    }
    state.session.retain(|item| !gone.contains(&item));
    let newest = test.before.entries().last().map_or(user.first_seen, Consumption::at);
    state.last_seen = newest;
    state.responses = Arc::new(user.responses.before(test.since, &gone));
    *view.users.states.get_mut(test.user) = Arc::new(state);
}

/// Takes a positive out of what all users share.
fn take_back_positive(
    view: &mut View,
    user: &User,
    entry: &Consumption,
    recent: &[ItemIndex],
    times: &[Timestamp],
) {
    let (item, weight) = (entry.item, entry.in_session());
    let at = entry.at().min(view.clock);
    let share = times.partition_point(|time| *time < at) as f64 / times.len().max(1) as f64;
    let positives = share * view.items.popularity.totals().positives as f64;
    view.items.popularity.take_back(item, weight, (at, positives), &view.decays);
    view.cohorts.take_back(&user.cohorts, item, weight, view.decays.shares.at(at));
    let together = view.decays.cooccurrence.at(at);
    collaborative::take_back(&mut view.items.cooccurrence, item, recent, together);
    collaborative::take_back_succession(&mut view.items.successors, item, recent, together);
}

/// Takes a positive out of the user's own preferences.
fn forget_preference(view: &View, state: &mut User, entry: &Consumption) {
    let described = &view.items.entries[entry.item];
    let at = view.decays.profile.at(entry.at().min(view.clock));
    for &topic in &described.topics {
        state.topics.take_back(topic, entry.in_session(), at);
        let key = topic * SLOTS + RequestContext::at(entry.at()).slot();
        state.topic_slots.take_back(key, 1.0, at);
    }
    if let Some(source) = described.source {
        state.sources.take_back(source, entry.in_session(), at);
    }
}
