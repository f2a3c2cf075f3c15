//! What a run of records changes in the tables, by table.
//!
//! - Several changes of one item or one user are one change here: the tables of the
//!   present are written once for each key.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::partitions::Partition;
use super::text::storable;
use super::time::Month;
use engine::domain::Decision;
use engine::domain::Interaction;
use engine::domain::InteractionType;
use engine::domain::Item;
use engine::domain::ItemPatch;
use engine::domain::LogRecord;
use engine::domain::PublishedModel;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::SettingsChange;
use engine::domain::Timestamp;
use engine::domain::UserUpdate;

/// The user of each id that is an alias.
pub type UsersByAlias = BTreeMap<String, String>;

/// Where in the log a record is, and when it was recorded.
#[derive(Debug, Clone, Copy)]
pub struct RecordPosition {
    pub sequence: Sequence,
    pub recorded_at: Timestamp,
}

/// What became of one user.
#[derive(Debug, Default)]
pub struct ProfileChange<'a> {
    /// Changes of what is set for the user, each with when it was recorded.
    pub updates: Vec<(Timestamp, &'a UserUpdate)>,
    /// When the earliest and the latest interaction occurred.
    pub seen: Option<(Timestamp, Timestamp)>,
    /// New interactions, in the order of [`InteractionType::ALL`].
    pub interactions: [u32; InteractionType::ALL.len()],
    pub decisions: u32,
    pub sequence: Sequence,
}

/// What became of one item.
#[derive(Debug)]
pub struct ItemChange<'a> {
    /// The last record that described it as a whole or deleted it; `None`: the tables know it.
    pub described: Option<(RecordPosition, Option<&'a Item>)>,
    /// What changed after that, in order.
    pub patches: Vec<(RecordPosition, &'a ItemPatch)>,
}

/// Keys are ids as the tables hold them; those of profiles are no aliases.
#[derive(Debug)]
pub struct Changes<'a> {
    aliases: &'a UsersByAlias,
    pub interactions: Vec<(RecordPosition, &'a Interaction)>,
    pub decisions: Vec<(RecordPosition, &'a Decision)>,
    pub models: Vec<(RecordPosition, &'a PublishedModel)>,
    pub settings: Vec<(RecordPosition, &'a SettingsChange)>,
    pub items: BTreeMap<Cow<'a, str>, ItemChange<'a>>,
    pub profiles: BTreeMap<Cow<'a, str>, ProfileChange<'a>>,
}

impl<'a> Changes<'a> {
    /// Of records without merges of users, whose ids are resolved by `aliases`.
    pub fn of(records: &[&'a LogRecord], aliases: &'a UsersByAlias) -> Self {
        let mut changes = Self {
            aliases,
            interactions: Vec::new(),
            decisions: Vec::new(),
            models: Vec::new(),
            settings: Vec::new(),
            items: BTreeMap::new(),
            profiles: BTreeMap::new(),
        };
        for record in records {
            changes.add(record);
        }
        changes
    }

    /// The partitions that hold the new rows.
    pub fn partitions(&self) -> BTreeSet<Partition> {
        let interactions = self.interactions.iter().map(|(position, _)| ("interactions", position));
        let decisions = self.decisions.iter().map(|(position, _)| ("decisions", position));
        interactions
            .chain(decisions)
            .map(|(table, position)| Partition { table, month: Month::of(position.recorded_at) })
            .collect()
    }

    fn add(&mut self, record: &'a LogRecord) {
        let position =
            RecordPosition { sequence: record.sequence, recorded_at: record.recorded_at };
        match &record.record {
            Record::Interaction(interaction) => {
                self.interactions.push((position, interaction));
                let profile = self.profile(interaction.user_id.as_str(), position);
                let at = interaction.occurred_at;
                let (first, last) = profile.seen.unwrap_or((at, at));
                profile.seen = Some((first.min(at), last.max(at)));
                profile.interactions[interaction.kind.index()] += 1;
            }
            Record::Decision(decision) => {
                self.decisions.push((position, decision));
                self.profile(decision.user_id.as_str(), position).decisions += 1;
            }
            Record::ItemUpserted(item) => {
                let described = Some((position, Some(item)));
                let change = ItemChange { described, patches: Vec::new() };
                self.items.insert(storable(item.item_id.as_str()), change);
            }
            Record::ItemPatched(patch) => {
                let unknown = || ItemChange { described: None, patches: Vec::new() };
                let change = self.items.entry(storable(patch.item_id().as_str()));
                change.or_insert_with(unknown).patches.push((position, patch));
            }
            Record::ItemDeleted(item_id) => {
                let described = Some((position, None));
                let change = ItemChange { described, patches: Vec::new() };
                self.items.insert(storable(item_id.as_str()), change);
            }
            Record::UserUpdated(update) => {
                let profile = self.profile(update.user_id.as_str(), position);
                profile.updates.push((record.recorded_at, update));
            }
            Record::SettingsSet(change) => self.settings.push((position, change)),
            Record::ModelPublished(model) => self.models.push((position, model)),
            // Arms, takeovers and experiments have no tables; merges and erasures change rows.
            Record::ArmSelected(_)
            | Record::ArmRewarded(_)
            | Record::TakeoverChanged(_)
            | Record::UsersMerged { .. }
            | Record::ExperimentChanged(_)
            | Record::UserExposed(_)
            | Record::Backfilled(_)
            | Record::UserErased(_)
            | Record::Placeholder => {}
        }
    }

    fn profile(&mut self, user_id: &'a str, position: RecordPosition) -> &mut ProfileChange<'a> {
        let user_id = storable(user_id);
        let user_id = self.aliases.get(&*user_id).map_or(user_id, |user| user.as_str().into());
        let profile = self.profiles.entry(user_id).or_default();
        profile.sequence = position.sequence;
        profile
    }
}
