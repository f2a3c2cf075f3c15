//! The vocabulary of the service: ids, items, interactions, decisions and the
//! records of the interaction log.
//!
//! - Every public constructor validates, so a value of one of these types is
//!   always within the limits of [`limits`].
//! - Nothing here does I/O, reads a clock or draws a random number.
//! - This module imports no other module of the crate.
#![deny(clippy::disallowed_types)]

mod arms;
mod attributes;
mod decision;
mod decision_detail;
mod experiment;
mod ids;
mod interaction;
mod item;
mod item_patch;
mod language;
mod layout;
pub mod limits;
mod ranges;
mod ranker;
mod record;
mod reward;
mod sequence;
mod settings;
mod size;
mod takeover;
mod timestamp;
mod user_rules;
mod user_update;
mod violation;

pub use arms::{
    ArmContext, ArmFeatures, ArmOutcome, ArmReward, ArmSelection, ArmSettings, ArmStrategy,
    OfferedArm,
};
pub use attributes::{AttributeValue, Attributes};
pub use decision::{Continues, Decision, DiversityMethod, ShownItem, Strategy};
pub use decision_detail::{Believed, CandidateScores, DecisionDetail};
pub use experiment::{
    Assignment, BUCKETS, BackfillChunk, Cap, Division, Experiment, ExperimentChange,
    ExperimentState, Exposure, Good, Key, Measure, Metric, MetricKind, MetricTest, Plan, Role,
    Split, Tester, Variant,
};
pub use ids::{
    ArmName, ArmSetName, DecisionId, EventId, ItemId, NamespaceName, SessionId, UserId, check_text,
};
pub use interaction::{Interaction, InteractionContext, InteractionType};
pub use item::{Item, LocalizedText, Withheld};
pub use item_patch::{ItemField, ItemMask, ItemPatch, embedded_texts};
pub use language::LanguageTag;
pub use layout::{FeatureId, FeatureLayout};
pub use ranges::{check_half_life, out_of_range, within_range};
pub use ranker::RankerSettings;
pub use record::{LogRecord, PublishedModel, Record, SettingsChange};
pub use reward::{outweighs, reward};
pub use sequence::Sequence;
pub use settings::{ConfidenceTable, FreshnessTable, Settings, SettingsRange};
pub use takeover::{BaselineOrder, ListOrigin, TakeoverChange, TakeoverTrial};
pub use timestamp::Timestamp;
pub use user_rules::{Mute, Rule, RuleList, RuleTarget, ScoreChange, UserBoost, UserRules};
pub use user_update::{AttributesChange, FullList, ListChange, RulesChange, UserUpdate};
pub use violation::{Violation, Violations};
