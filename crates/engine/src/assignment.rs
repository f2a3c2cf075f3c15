//! Which variants act on an answer to a user.
//!
//! - A tester gets the variant that was set by hand, from the draft on.
//! - A user who was exposed keeps the variant, also after a merge of two ids, and is in no other
//!   experiment of its layer. Neither is a tester.
//! - A new one is placed by two hashes: that of the layer says which experiment, that of the
//!   experiment which variant. A client that knows the experiment can do the same.
//! - The control of a holdback is in no other experiment. A user who is not to be profiled is in none.
//! - Costs two hashes for each experiment and changes nothing: who is exposed is learnt from the
//!   record of the answer.

use std::sync::Arc;

use crate::bandit::OwnRankerId;
use crate::domain::Assignment;
use crate::domain::Key;
use crate::domain::Split;
use crate::domain::Timestamp;
use crate::experiments::Entry;
use crate::experiments::bucket;
use crate::experiments::layer_salt;
use crate::experiments::slice_at;
use crate::expression::Subject;
use crate::expression::UserFacts;
use crate::state::View;

/// A variant of an experiment for a user.
#[derive(Debug, Clone)]
pub struct Assigned {
    pub entry: Arc<Entry>,
    pub variant: u8,
    pub is_tester: bool,
}

impl Assigned {
    /// The ranker of the variant, if it has one.
    pub fn own_ranker(&self) -> Option<OwnRankerId> {
        self.entry.own_ranker(self.variant)?;
        Some(OwnRankerId { experiment: self.entry.number, variant: self.variant })
    }

    /// As a decision has it; `ranked_by`: whose ranker made the list.
    pub fn recorded(&self, ranked_by: Option<OwnRankerId>) -> Assignment {
        Assignment {
            experiment: self.entry.number,
            variant: self.variant,
            is_tester: self.is_tester,
            own_ranker: ranked_by.is_some_and(|id| id.experiment == self.entry.number),
        }
    }

    /// Whether it is the control of a holdback.
    pub fn is_held_back(&self) -> bool {
        self.entry.experiment.holdback && self.variant == 0
    }
}

/// The variants for a user at a time, in the order of the experiments.
pub fn assignments(view: &View, user: UserFacts<'_>, now: Timestamp) -> Vec<Assigned> {
    let experiments = &view.experiments;
    if experiments.is_idle() {
        return Vec::new();
    }
    let id = view.aliases().resolve(user.user_id);
    let known = view.user_index(id).map(|index| view.user(index));
    if known.is_some_and(|known| !known.is_profiled()) {
        return Vec::new();
    }
    let own = known.map(|known| &known.attributes);
    let asked = Asked { view, id, user: UserFacts { own, ..user }, now };
    let (holdbacks, others): (Vec<_>, Vec<_>) =
        experiments.watched().partition(|entry| entry.experiment.holdback);
    let mut assigned: Vec<Assigned> =
        holdbacks.into_iter().filter_map(|entry| asked.assigned(entry)).collect();
    if !assigned.iter().any(Assigned::is_held_back) {
        assigned.extend(others.into_iter().filter_map(|entry| asked.assigned(entry)));
    }
    let testers = assigned.iter().filter(|it| it.is_tester);
    let layers: Vec<Key> = testers.map(|it| it.entry.experiment.layer.clone()).collect();
    assigned.retain(|it| it.is_tester || !layers.contains(&it.entry.experiment.layer));
    assigned
}

struct Asked<'a> {
    view: &'a View,
    /// The id that the user answers as.
    id: &'a str,
    user: UserFacts<'a>,
    now: Timestamp,
}

impl Asked<'_> {
    fn assigned(&self, entry: &Arc<Entry>) -> Option<Assigned> {
        let aliases = self.view.aliases();
        let experiment = &entry.experiment;
        let mut testers = experiment.testers.iter();
        let tester = testers.find(|it| aliases.resolve(it.user_id.as_str()) == self.id);
        let assigned =
            |variant, is_tester| Some(Assigned { entry: entry.clone(), variant, is_tester });
        if let Some(tester) = tester {
            return assigned(tester.variant, true);
        }
        let is_for_user = || entry.is_for(Subject::user(self.user, self.now));
        if !experiment.is_open(self.now) || !is_for_user() {
            return None;
        }
        assigned(self.variant(entry)?, false)
    }

    fn variant(&self, entry: &Entry) -> Option<u8> {
        let experiment = &entry.experiment;
        if experiment.split != Split::Users {
            return slice_at(experiment, self.now).map(|slice| slice.variant);
        }
        let units = self.view.units.table(entry.number)?;
        let key = self.view.user_key(self.id);
        if let Some(unit) = units.find(key.get()).and_then(|row| units.get(row)) {
            return Some(unit.variant);
        }
        let layer = &experiment.layer;
        let exposures = self.view.exposures_of(self.id);
        if exposures.iter().any(|(other, _)| other.experiment.layer == *layer) {
            // Two ids were merged: what was exposed first has the layer.
            return None;
        }
        let in_layer = bucket(&layer_salt(experiment.layer.as_str()), self.id);
        let may_enter = experiment.has_bucket(in_layer) && !self.view.units.is_full();
        may_enter.then(|| experiment.variant_of(bucket(experiment.salt.as_str(), self.id)))
    }
}
