//! What a published model changes, and what gathers about items between two trainings.
//!
//! - A model is taken when it is the next one, was trained on this log and is sound. Its rows
//!   go to the indices that have their keys now; rows of items that are gone are left out.
//! - Of a model at least half of the items must be known: with the moment at which the log
//!   began, that tells a model of another log.
//! - The verdict is a function of the state and the bytes, so every replica comes to the same.

use std::sync::Arc;

use crate::Engine;
use crate::columns::index::ItemIndex;
use crate::columns::interner::name_key;
use crate::consumption;
use crate::domain::PublishedModel;
use crate::domain::Sequence;
use crate::domain::Timestamp;
use crate::learning::apply::Effect;
use crate::models::collaborative::ItemAccumulator;
use crate::models::collaborative::ItemSolve;
use crate::models::published::Model;
use crate::models::published::ModelFault;
use crate::models::published::Publication;
use crate::state::View;
use crate::state::model_factors::ModelFactors;

/// Observations from which on an item waits for the next training.
const ONLINE_OBSERVATIONS_MAX: u32 = 200;
/// Of the items of a model, one in so many is known at least.
const KNOWN_ONE_IN: usize = 2;

/// Reads a model that record `sequence` publishes to a state, and where its rows go: the
/// index of each of its items, `None` for one that is gone.
///
/// # Errors
/// [`ModelFault`]: the state does not take it.
fn admitted(
    view: &View,
    published: &PublishedModel,
    sequence: Sequence,
) -> Result<(Publication, Vec<Option<ItemIndex>>), ModelFault> {
    if published.version.checked_sub(1) != Some(view.model_version()) {
        return Err(ModelFault::Version);
    }
    if published.trained_at >= sequence {
        return Err(ModelFault::TrainedAhead);
    }
    let mut publication = Publication::decode(&published.encoded)?;
    let indices = indices_of(view, &publication.items);
    let known = indices.iter().flatten().count();
    if publication.began != view.began || known * KNOWN_ONE_IN < indices.len() {
        return Err(ModelFault::OtherLog);
    }
    // Users who were erased since have taken their evidence with them.
    let origin = &mut publication.origin;
    origin.positives = origin.positives.min(view.counts.positives);
    origin.searched_positives = origin.searched_positives.min(origin.positives);
    origin.trained_until = origin.trained_until.min(view.clock);
    Ok((publication, indices))
}

/// The items that have these keys now. Of two ids with one key the first has it.
fn indices_of(view: &View, keys: &[u64]) -> Vec<Option<ItemIndex>> {
    let mut by_key: Vec<(u64, usize)> =
        keys.iter().enumerate().map(|(position, &key)| (key, position)).collect();
    by_key.sort_unstable();
    let mut indices = vec![None; keys.len()];
    for index in view.item_indices() {
        let Some(name) = view.items.ids.name(index) else {
            continue;
        };
        if let Ok(found) = by_key.binary_search_by_key(&name_key(name), |entry| entry.0) {
            indices[by_key[found].1].get_or_insert(index);
        }
    }
    indices
}

impl Engine {
    /// Everything is checked before anything is changed.
    pub(super) fn switch_model(
        &mut self,
        published: &PublishedModel,
        sequence: Sequence,
        at: Timestamp,
    ) -> Effect {
        let version = published.version;
        let (publication, indices) = match admitted(&self.view, published, sequence) {
            Ok(admitted) => admitted,
            Err(fault) => return Effect::ModelRefused { version, fault },
        };
        let rows = indices.iter().zip(publication.rows());
        let rows = rows.filter_map(|(index, row)| Some(((*index)?, row)));
        self.view.items.factors = ModelFactors::published(publication.k, rows);
        self.view.associations = publication.associations.renamed(&indices);
        self.view.model = Some(Arc::new(Model {
            version,
            trained_at: published.trained_at,
            published_at: at,
            k: publication.k,
            regularization: publication.regularization,
            user_gram: publication.user_gram,
            origin: publication.origin,
            figures: publication.figures,
            content: publication.content,
        }));
        if let Some(fit) = &publication.hybrid {
            Arc::make_mut(&mut self.view.hybrid).adopt(fit);
        }
        self.view.release_rows_of_old_model();
        // Terms are weighed again here, too: doublings are rare in old catalogues.
        let evicted = self.view.vocabulary.refit();
        self.forget_terms(evicted);
        self.weigh_all_terms();
        // Sums over the old user factors mean nothing with the new ones.
        self.view.items.online = Default::default();
        self.view.unsolved.clear();
        self.view.predict_all_factors();
        Effect::ModelSwitched { version }
    }

    /// Gathers evidence for an item that the model was not trained on, as long as it has
    /// little.
    pub(super) fn observe_new_item(
        &mut self,
        state: &consumption::User,
        item: ItemIndex,
        confidence: f32,
    ) {
        let items = &self.view.items;
        let seen = items.online.sums(item).map_or(0, ItemAccumulator::count);
        if items.factors.is_trained(item) || seen >= ONLINE_OBSERVATIONS_MAX {
            return;
        }
        let Some(user_factors) = self.view.fold_in(state) else {
            return;
        };
        self.view.items.online.add(item, &user_factors, confidence, self.view.watermark);
        self.note_unsolved(item);
    }

    /// The list is emptied every few records and has one item for each of them at most.
    pub(super) fn note_unsolved(&mut self, item: ItemIndex) {
        if let Err(position) = self.view.unsolved.binary_search(&item) {
            self.view.unsolved.insert(position, item);
        }
    }

    /// Gives items with new evidence their factors: an exact item-side solve, as
    /// in training, with the user side fixed.
    pub(super) fn solve_new_items(&mut self) {
        let unsolved = std::mem::take(&mut self.view.unsolved);
        let Some(model) = self.view.model.clone().filter(|_| !unsolved.is_empty()) else {
            return;
        };
        let mut solver = ItemSolve::new(model.k);
        let mut row = vec![0.0; model.k];
        for item in unsolved {
            let Some(sums) = self.view.items.online.sums(item) else {
                continue;
            };
            let prior = self.view.predicted_factors(item);
            let (gram, weights) = (&model.user_gram, &model.regularization);
            solver.solve(sums, gram, weights, prior.as_deref(), &mut row);
            self.view.items.factors.set_row(item, &row);
        }
    }

    /// Forgets what model and evidence know of an item, before its index is given to another.
    pub(crate) fn forget_factors(&mut self, item: ItemIndex) {
        self.view.items.factors.forget(item);
        self.view.items.online.forget(item);
        self.view.associations.forget(item);
        if let Ok(position) = self.view.unsolved.binary_search(&item) {
            self.view.unsolved.remove(position);
        }
    }
}
