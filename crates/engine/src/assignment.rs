//! Which variants act on an answer to a user.
//!
//! - A tester gets the variant that was set by hand, from the draft on.
//! - A user who was exposed keeps the variant, also after a merge of two ids, and is in no other
//!   experiment of its layer. Neither is a tester.
//! - A new one is placed by two hashes: that of the layer says which experiment, that of the
//!   experiment which variant. A client that knows the experiment can do the same.
//! - The control of a holdback is in no other experiment. A user who is not to be profiled is in none.
//! - Where lists are divided, a new one is placed by the hash of the layer alone: both variants take
//!   turns, or one is drawn for each list. Who only asks for a variant gets none there.
//! - Costs two hashes for each experiment and changes nothing: who is exposed is learnt from the
//!   record of the answer.

use std::sync::Arc;

use crate::bandit::OwnRankerId;
use crate::bandit::strategy;
use crate::domain::Assignment;
use crate::domain::Experiment;
use crate::domain::Key;
use crate::domain::Split;
use crate::domain::Timestamp;
use crate::experiments::Entry;
use crate::experiments::bucket;
use crate::experiments::layer_bucket;
use crate::experiments::slice_at;
use crate::expression::Subject;
use crate::expression::UserFacts;
use crate::learning::DrawnVariant;
use crate::seed;
use crate::seed::Purpose;
use crate::state::View;

/// A variant of an experiment for a user.
#[derive(Debug, Clone)]
pub struct Assigned {
    pub entry: Arc<Entry>,
    /// Of a list that both take turns in: the control.
    pub variant: u8,
    pub is_tester: bool,
    /// The chances of all variants of which this one was drawn, for a list of its own.
    pub chances: Option<Vec<f32>>,
}

/// The list that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct AskedList<'a> {
    pub decision_id: &'a str,
    /// The variant of its first page, if this is a later one.
    pub drawn_before: Option<DrawnVariant>,
}

impl Assigned {
    /// Whether both variants fill the list in turns.
    pub fn is_in_turns(&self) -> bool {
        !self.is_tester && self.entry.experiment.split == Split::Interleaved
    }

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

/// The variants for a user at a time, in the order of the experiments; `list`: none if only the
/// variants are asked for.
pub fn assignments(
    view: &View,
    user: UserFacts<'_>,
    list: Option<AskedList<'_>>,
    now: Timestamp,
) -> Vec<Assigned> {
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
    let (user, exposures) = (UserFacts { own, ..user }, view.exposures_of(id));
    let asked = Asked { view, id, user, exposures, list, now };
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

/// Whether an experiment is for a user: one who may be profiled and satisfies its eligibility. Who
/// takes part in it does not count.
pub fn is_eligible(view: &View, entry: &Entry, user: UserFacts<'_>, now: Timestamp) -> bool {
    let known = view.user_index(user.user_id).map(|index| view.user(index));
    let own = known.map(|known| &known.attributes);
    let is_for_user = || entry.is_for(Subject::user(UserFacts { own, ..user }, now));
    known.is_none_or(|known| known.is_profiled()) && is_for_user()
}

/// Why a user gets no variant of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoVariant {
    /// It does not give variants at this time.
    NotRunning,
    /// It gives them to lists, and none is asked for.
    DividesLists,
    /// Nothing may be learnt of the user.
    NotProfiled,
    /// Its eligibility does not hold.
    NotEligible,
    /// The user is the control of a holdback.
    HeldBack,
    /// The user is in another experiment of the layer, or gets a variant of one by hand.
    InOtherExperiment,
    /// The bucket of the user is none of its own.
    NotAllocated,
    /// There is no memory for more users.
    NoMemory,
}

/// Why none of the variants that are assigned to a user is of this experiment.
pub fn why_none(
    view: &View,
    entry: &Entry,
    user: UserFacts<'_>,
    assigned: &[Assigned],
    now: Timestamp,
) -> NoVariant {
    let (experiment, id) = (&entry.experiment, view.aliases().resolve(user.user_id));
    let known = view.user_index(id).map(|index| view.user(index));
    let is_of_layer =
        |other: &Entry| other.number != entry.number && other.experiment.layer == experiment.layer;
    let exposures = view.exposures_of(id);
    let is_elsewhere = exposures.iter().any(|(other, _)| is_of_layer(other))
        || assigned.iter().any(|it| it.is_tester && is_of_layer(&it.entry));
    if !experiment.is_open(now) {
        NoVariant::NotRunning
    } else if experiment.split.divides_lists() {
        NoVariant::DividesLists
    } else if known.is_some_and(|known| !known.is_profiled()) {
        NoVariant::NotProfiled
    } else if !is_eligible(view, entry, user, now) {
        NoVariant::NotEligible
    } else if assigned.iter().any(Assigned::is_held_back) {
        NoVariant::HeldBack
    } else if is_elsewhere {
        NoVariant::InOtherExperiment
    } else if !experiment.has_bucket(layer_bucket(experiment.layer.as_str(), id)) {
        NoVariant::NotAllocated
    } else {
        NoVariant::NoMemory
    }
}

struct Asked<'a> {
    view: &'a View,
    /// The id that the user answers as.
    id: &'a str,
    user: UserFacts<'a>,
    exposures: Vec<(&'a Arc<Entry>, u8)>,
    list: Option<AskedList<'a>>,
    now: Timestamp,
}

impl Asked<'_> {
    fn assigned(&self, entry: &Arc<Entry>) -> Option<Assigned> {
        let aliases = self.view.aliases();
        let experiment = &entry.experiment;
        let mut testers = experiment.testers.iter();
        let tester = testers.find(|it| aliases.resolve(it.user_id.as_str()) == self.id);
        let assigned = |variant, is_tester, chances| {
            Some(Assigned { entry: entry.clone(), variant, is_tester, chances })
        };
        if let Some(tester) = tester {
            return assigned(tester.variant, true, None);
        }
        let is_for_user = || entry.is_for(Subject::user(self.user, self.now));
        if !experiment.is_open(self.now) || !is_for_user() {
            return None;
        }
        match experiment.split {
            Split::Learnt { .. } => {
                let (variant, chances) = self.drawn(entry)?;
                assigned(variant, false, chances)
            }
            Split::Interleaved if self.list.is_none() => None,
            Split::TimeSlices { .. } => {
                let slice = slice_at(experiment, self.now)?;
                assigned(slice.variant, false, None)
            }
            Split::Users | Split::Interleaved => assigned(self.variant(entry)?, false, None),
        }
    }

    /// The variant of a list, with the chances that it was drawn with if this is its first page.
    fn drawn(&self, entry: &Entry) -> Option<(u8, Option<Vec<f32>>)> {
        let AskedList { decision_id, drawn_before } = self.list?;
        let experiment = &entry.experiment;
        let before = drawn_before.filter(|before| before.experiment == entry.number);
        if let Some(DrawnVariant { variant, .. }) = before {
            let is_known = usize::from(variant) < experiment.variants.len();
            return is_known.then_some((variant, None));
        }
        let chances = entry.chances().filter(|_| self.may_enter(experiment))?;
        let key = format!("{}/{decision_id}", entry.number);
        let seed = self.view.settings().seed;
        let uniform = seed::unit(&mut seed::stream(seed, Purpose::Experiment, key.as_bytes()));
        let variant = strategy::draw(chances, uniform) as u8;
        Some((variant, Some(chances.iter().map(|chance| *chance as f32).collect())))
    }

    /// The variant that the user keeps, or gets now.
    fn variant(&self, entry: &Entry) -> Option<u8> {
        let experiment = &entry.experiment;
        let exposure = self.exposures.iter().find(|(other, _)| other.number == entry.number);
        if let Some((_, variant)) = exposure {
            return Some(*variant);
        }
        if !self.may_enter(experiment) || self.view.units.is_full() {
            return None;
        }
        let is_in_turns = experiment.split == Split::Interleaved;
        let by_hash = || experiment.variant_of(bucket(experiment.salt.as_str(), self.id));
        Some(if is_in_turns { 0 } else { by_hash() })
    }

    /// Whether the buckets of the layer say that the user is in it. Two ids may have been merged: then what
    /// was exposed first has the layer.
    fn may_enter(&self, experiment: &Experiment) -> bool {
        let layer = &experiment.layer;
        let is_taken = self.exposures.iter().any(|(other, _)| other.experiment.layer == *layer);
        !is_taken && experiment.has_bucket(layer_bucket(layer.as_str(), self.id))
    }
}
