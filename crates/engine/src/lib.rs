//! The learning and ranking engine: a deterministic state machine over the records of a log.
//!
//! - Pure: no I/O, no clock, no global randomness. Threads change no result. Time is in the
//!   records. Randomness is a named stream, keyed by sequence or decision id.
//! - The same records in the same order give the same digest on every machine,
//!   however they are split into batches.
//! - Readers get a [`View`], which never changes. Long work asks its caller regularly
//!   whether to continue ([`GiveUp`]).
//! - Input from outside never causes a panic. A published model, a snapshot and an expression
//!   are checked completely before use. Each allocates only what its bytes can hold.
//! - Requests and impressions add no user and no item to the state. Only events, attributes
//!   and the catalogue do.
//!
//! Layers, bottom-up. Each uses only those above it in this list:
//!
//! - [`domain`]: ids, items, records, settings, every limit. Imports nothing.
//! - [`numeric`]: kernels on slices. Knows no domain type.
//! - `columns`: containers of the state. `expression`: filter expressions.
//! - `models`: the learnt models, each by itself. `bandit`, `takeover`: learning from decisions.
//! - `consumption`: folded events of one user and item; the state of a user.
//! - `experiments`: what runs, who was exposed, what was measured, what that says.
//! - `state`: the [`View`]: stores of items and users, and all other learnt state.
//! - `assignment`: which variants act on an answer.
//! - `features`, `retrieval`, `ranking`: from a view and a request to a list.
//! - `training`: from a view to a model. `learning`: from a record to the next state.
//! - [`Engine`]: applies records, restores snapshots.
//! - [`evaluation`]: protocols, metrics, and estimates of the reward of other policies.
//!
//! Not allowed here: tokio, tonic, prost, a database, files, sockets, `SystemTime`,
//! environment variables, logging. `Cargo.toml` lists all that the crate can reach. Clippy
//! rejects `HashMap`, whose order could change the digest.
#![deny(clippy::disallowed_types)]

mod assignment;
mod bandit;
mod columns;
mod consumption;
pub mod domain;
pub mod evaluation;
mod experiments;
mod expression;
mod features;
mod give_up;
mod learning;
mod models;
pub mod numeric;
mod ranking;
mod retrieval;
mod seed;
mod state;
mod takeover;
#[cfg(test)]
mod tests;
mod training;

use std::sync::Arc;

pub use assignment::{AskedList, Assigned, NoVariant, assignments, is_eligible, why_none};
pub use bandit::arms::{Arm, ArmChoice, ArmSet, ChosenArm, Shape, choose as choose_arm};
pub use bandit::strategy;
pub use bandit::{
    Belief, ExplorationAccount, HALF_LIFE as EXPLORATION_HALF_LIFE, ItemEffect, OwnRankerId,
    Posterior, Ranker, RankerPrior,
};
pub use columns::aliases::{Aliases, MergeEffect, UserKey};
pub use columns::index::{ItemIndex, UserIndex};
pub use columns::interner::name_key;
pub use columns::part::Digest;
pub use consumption::{Consumption, History, Impressions, User};
pub use experiments::layers::grown as grown_buckets;
pub use experiments::{
    Advice, ArmResult, Entry as ExperimentEntry, HistoryLine, MetricResult, RatioFinding,
    Registry as Experiments, Results as ExperimentResults, SeriesPoint, StopCause, TreatmentResult,
    Verdict as ExperimentVerdict, bucket, layer_bucket, users_for_lift,
};
pub use expression::{Expression, SyntaxError, UserFacts, parse as parse_expression};
pub use features::{
    Candidate, FEATURE_COUNT, FEATURES, Feature, FeatureMask, Needs, ReasonKind, UserContext,
    feature_name,
};
pub use give_up::{Cancelled, GiveUp};
pub use learning::{
    BackfillRun, DrawnVariant, EarlierPages, Effect, MadePage, NotContinued, Unreadable,
    decision_key,
};
pub use models::collaborative;
pub use models::content::TermVectors;
pub use models::contexts::{RequestContext, RequestValues};
pub use models::decay::{DecayTime, DecayedRow};
pub use models::hybrid::Hybrid;
pub use models::prequential::PrequentialFigures;
pub use models::published::{Configuration, Found, Model, ModelFault, Origin};
pub use ranking::{
    Baseline, CandidateRank, Choice, Earlier, Exploring, Pin, Placed, RankRequest, Ranked,
    RankedBy, RankedItem, Reason, Rival, Trial, boosted_rewards, candidate_rank, mean_similarity,
    propensities_of, rank, score_candidates,
};
pub use retrieval::{
    Boost, CandidateSource, Caps, Eligibility, Exclusion, Filter, OnboardingItem, Retrieval,
    SimilarItem, SourceTrace, Supply, Target, draw_key, onboarding_items, similar_items,
    user_boosts,
};
pub use state::{Counts, ENGINE_REVISION, Entry, Unrestorable, View};
pub use takeover::{
    Agreement, Comparison, EstimatedLift, Fallback, Lift, Outcome, Takeover, WindowNotHeld,
};
pub use training::{
    Effort, HybridReport, Judgement, Part as TrainingPart, Staleness, TRAINING_POSITIVES_MIN,
    TrainingError, TrainingProgress, TrainingReport, TrainingStage, Tried, Unwatched, Watch, train,
    train_and_tell, train_watched, training_is_due,
};

use crate::domain::Settings;

/// The state machine. One writer owns it; readers hold views.
#[derive(Debug)]
pub struct Engine {
    view: View,
}

impl Engine {
    /// An engine that has learnt nothing. `settings` hold until a `SettingsSet` record
    /// replaces them.
    pub fn new(settings: Settings) -> Self {
        let mut engine = Self { view: View::new(settings) };
        engine.align_features();
        engine
    }

    /// Aligns the state with the features of this engine.
    fn align_features(&mut self) {
        ranking::align_features(&mut self.view);
    }

    /// A second engine that continues from this state. Neither sees what the other learns.
    /// Costs as much as a view.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { view: self.view.clone() }
    }

    /// The current state, for readers.
    pub fn view(&self) -> Arc<View> {
        Arc::new(self.view.clone())
    }

    /// The current state, borrowed: for a single-threaded caller that alternates between
    /// ranking and learning.
    pub fn state(&self) -> &View {
        &self.view
    }
}
