//! The learning engine: a deterministic state machine over log records.
//!
//! - Pure: no I/O, no clock, no global randomness, no threads that matter. Time is
//!   in the records; randomness is a named stream keyed by sequence or decision id.
//! - The same records in the same order give the same digest on every machine,
//!   however they were split into batches.
//! - Readers get a [`View`], which never changes.
#![deny(clippy::disallowed_types)]

mod aging;
mod apply;
mod bandit;
mod beliefs;
mod cold_items;
mod cold_start;
pub mod collaborative;
mod column;
mod content;
mod contexts;
mod decay;
mod decisions;
pub mod domain;
pub mod evaluation;
mod expression;
mod factors;
mod interner;
mod model;
pub mod numeric;
mod prequential;
mod profile;
mod ranking;
mod sampling;
mod seed;
mod snapshot;
mod takeover;
#[cfg(test)]
mod tests;
mod training;
mod view;
mod weighing;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use apply::{Effect, Unreadable, decision_key};
pub use bandit::arms::{
    Arm, ArmChoice, ArmSet, ChosenArm, PENDING_SELECTIONS_MAX, Shape, choose as choose_arm,
};
pub use bandit::strategy;
pub use bandit::{
    Belief, ExplorationAccount, HALF_LIFE as EXPLORATION_HALF_LIFE, PENDING_DECISIONS_MAX,
    Posterior, Ranker,
};
pub use column::Digest;
pub use content::SparseVector;
pub use decay::DecayedRow;
pub use expression::{Expression, SyntaxError, parse as parse_expression};
pub use model::Model;
pub use prequential::PrequentialFigures;
pub use profile::{HistoryEntry, User};
pub use ranking::{
    Baseline, Boost, Candidate, Change, Choice, Eligibility, Exploring, FEATURE_COUNT, FEATURES,
    FeatureMask, FeatureMatrix, Filter, Hybrid, Occasion, OnboardingItem, Pin, RankRequest, Ranked,
    RankedItem, Reason, ReasonKind, Refusal, Retrieval, SimilarItem, SourceTrace, Standing, Supply,
    Target, Trial, UserContext, onboarding_items, prior_mean, rank, score_candidates,
    similar_items, standing,
};
pub use snapshot::{ENGINE_REVISION, Unrestorable};
pub use takeover::{Agreement, Comparison, EstimatedLift, Fallback, Lift, Outcome, Takeover};
pub use training::{
    Effort, TRAINING_POSITIVES_MIN, TrainingError, TrainingProgress, TrainingStage, train,
};
pub use view::{Counts, Entry, View};

use crate::domain::Settings;

/// The state machine. One writer owns it; readers hold views.
#[derive(Debug)]
pub struct Engine {
    view: View,
    /// Where each pending decision is, by key. Derived.
    decision_places: BTreeMap<u128, usize>,
    /// Where each pending selection of an arm is, by key. Derived.
    arm_places: BTreeMap<u128, usize>,
}

impl Engine {
    /// An engine that has learnt nothing. Settings that a `SettingsSet` record does
    /// not replace are these.
    pub fn new(settings: Settings) -> Self {
        Self {
            view: View::new(settings),
            decision_places: BTreeMap::new(),
            arm_places: BTreeMap::new(),
        }
    }

    /// A second engine that goes on from this state on its own; neither sees what the
    /// other learns. Costs as much as a view: what-if questions are cheap.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            view: self.view.clone(),
            decision_places: self.decision_places.clone(),
            arm_places: self.arm_places.clone(),
        }
    }

    /// The state as of now, for readers.
    pub fn view(&self) -> Arc<View> {
        Arc::new(self.view.clone())
    }

    /// The state as of now, borrowed: for a single-threaded caller that alternates
    /// between ranking and learning.
    pub fn state(&self) -> &View {
        &self.view
    }
}
