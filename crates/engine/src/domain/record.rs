//! The records of the interaction log, the one source of all state.

use std::sync::Arc;

use crate::domain::arms::ArmReward;
use crate::domain::arms::ArmSelection;
use crate::domain::decision::Decision;
use crate::domain::experiment::BackfillChunk;
use crate::domain::experiment::ExperimentChange;
use crate::domain::experiment::Exposure;
use crate::domain::ids::ItemId;
use crate::domain::ids::UserId;
use crate::domain::interaction::Interaction;
use crate::domain::item::Item;
use crate::domain::item_patch::ItemPatch;
use crate::domain::sequence::Sequence;
use crate::domain::settings::Settings;
use crate::domain::takeover::TakeoverChange;
use crate::domain::timestamp::Timestamp;
use crate::domain::user_update::UserUpdate;

/// Everything that changes state. What is not a record cannot be learnt.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Interaction(Interaction),
    Decision(Decision),
    ItemUpserted(Item),
    ItemPatched(ItemPatch),
    ItemDeleted(ItemId),
    UserUpdated(UserUpdate),
    SettingsSet(SettingsChange),
    /// A trained model enters the state as data: training uses kernels whose bits
    /// depend on the processor.
    ModelPublished(PublishedModel),
    ArmSelected(ArmSelection),
    ArmRewarded(ArmReward),
    TakeoverChanged(TakeoverChange),
    /// Two ids are of one user, who answers under `into` from now on.
    UsersMerged {
        from: UserId,
        into: UserId,
    },
    ExperimentChanged(Box<ExperimentChange>),
    UserExposed(Exposure),
    /// Computed from earlier records by the process that leads the namespace.
    Backfilled(BackfillChunk),
    /// A user asked to be forgotten: out of the state from here on. It is itself replaced
    /// when the records of the user are.
    UserErased(UserId),
    /// In place of a record of a user who was erased: it keeps the sequence, and says nothing.
    Placeholder,
}

impl Record {
    /// The idempotency key, for the kind of record that has one.
    pub fn event_id(&self) -> Option<&str> {
        match self {
            Self::Interaction(interaction) => Some(interaction.event_id.as_str()),
            Self::ArmRewarded(reward) => Some(reward.event_id.as_str()),
            Self::Decision(_)
            | Self::ItemUpserted(_)
            | Self::ItemPatched(_)
            | Self::ItemDeleted(_)
            | Self::UserUpdated(_)
            | Self::SettingsSet(_)
            | Self::ModelPublished(_)
            | Self::ArmSelected(_)
            | Self::TakeoverChanged(_)
            | Self::UsersMerged { .. }
            | Self::ExperimentChanged(_)
            | Self::UserExposed(_)
            | Self::Backfilled(_)
            | Self::UserErased(_)
            | Self::Placeholder => None,
        }
    }

    /// The users that the record is about, by the ids that it names them by.
    pub fn user_ids(&self) -> impl Iterator<Item = &UserId> {
        let (one, other) = match self {
            Self::Interaction(interaction) => (Some(&interaction.user_id), None),
            Self::Decision(decision) => (Some(&decision.user_id), None),
            Self::UserUpdated(update) => (Some(&update.user_id), None),
            Self::UsersMerged { from, into } => (Some(from), Some(into)),
            Self::UserExposed(exposure) => (Some(&exposure.user_id), None),
            Self::UserErased(user_id) => (Some(user_id), None),
            Self::ItemUpserted(_)
            | Self::ItemPatched(_)
            | Self::ItemDeleted(_)
            | Self::SettingsSet(_)
            | Self::ModelPublished(_)
            | Self::ArmSelected(_)
            | Self::ArmRewarded(_)
            | Self::TakeoverChanged(_)
            | Self::ExperimentChanged(_)
            | Self::Backfilled(_)
            | Self::Placeholder => (None, None),
        };
        one.into_iter().chain(other)
    }
}

/// Settings in place of those that are in force.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsChange {
    pub settings: Settings,
    /// Sequence of the record that set those from which these were made; 0 where none was.
    /// When others are in force at this record it changes nothing: of two changes that were
    /// made at a time, neither undoes the other unseen.
    pub replaces: Sequence,
}

/// A trained model as its trainer encoded it; only the engine reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedModel {
    pub version: u64,
    /// What the model was trained on: all records up to this one.
    pub trained_at: Sequence,
    pub encoded: Arc<[u8]>,
}

/// A record at its position in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRecord {
    pub sequence: Sequence,
    /// The server's clock when the record was appended, stamped once.
    pub recorded_at: Timestamp,
    pub record: Record,
}
