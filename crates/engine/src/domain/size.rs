//! About how much memory a record takes: what queues of records are bounded by.
//!
//! - Counted are the record and what lies behind it on the heap: texts, numbers, nodes of
//!   maps. Not counted are spare capacity and what the allocator rounds up.
//! - What a record takes in the log is less.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::arms::ArmContext;
use crate::domain::arms::ArmReward;
use crate::domain::arms::ArmSelection;
use crate::domain::arms::OfferedArm;
use crate::domain::attributes::AttributeValue;
use crate::domain::attributes::Attributes;
use crate::domain::decision::Continues;
use crate::domain::decision::Decision;
use crate::domain::decision::ShownItem;
use crate::domain::decision_detail::DecisionDetail;
use crate::domain::experiment::Division;
use crate::domain::ids::ArmName;
use crate::domain::ids::ItemId;
use crate::domain::interaction::Interaction;
use crate::domain::item::Item;
use crate::domain::item::LocalizedText;
use crate::domain::item_patch::ItemField;
use crate::domain::item_patch::ItemMask;
use crate::domain::item_patch::ItemPatch;
use crate::domain::language::LanguageTag;
use crate::domain::record::Record;
use crate::domain::settings::Settings;
use crate::domain::takeover::TakeoverTrial;
use crate::domain::user_rules::Mute;
use crate::domain::user_rules::RuleTarget;
use crate::domain::user_rules::UserBoost;
use crate::domain::user_update::ListChange;
use crate::domain::user_update::RulesChange;
use crate::domain::user_update::UserUpdate;

/// Entries that a node of a map has space for; the fewest that one but the root holds.
const NODE_ENTRIES: (usize, usize) = (11, 5);
/// Bytes of a node besides its entries.
const NODE_BYTES: usize = 16;

impl Record {
    /// Memory that the record takes, about.
    pub fn bytes(&self) -> usize {
        let heap = match self {
            Self::Interaction(interaction) => interaction.heap(),
            Self::Decision(decision) => decision.heap(),
            Self::ItemUpserted(item) => item.heap(),
            Self::ItemPatched(patch) => patch.heap(),
            Self::ItemDeleted(item_id) => item_id.heap(),
            Self::UserUpdated(update) => update.heap(),
            Self::SettingsSet(change) => change.settings.heap(),
            Self::ModelPublished(model) => model.encoded.len(),
            Self::ArmSelected(selection) => selection.heap(),
            Self::ArmRewarded(ArmReward { event_id, decision_id, .. }) => {
                event_id.as_str().len() + decision_id.as_str().len()
            }
            Self::TakeoverChanged(_) => 0,
            Self::UsersMerged { from, into } => from.as_str().len() + into.as_str().len(),
            Self::ExperimentChanged(change) => {
                let texts = change.by.len() + change.what.len();
                size_of_val(&**change) + texts + change.experiment.heap_bytes()
            }
            Self::UserExposed(exposure) => {
                exposure.user_id.as_str().len() + size_of_val(&*exposure.assignments)
            }
            Self::Backfilled(chunk) => size_of_val(&*chunk.values),
            Self::UserErased(user_id) => user_id.as_str().len(),
            Self::Placeholder => 0,
        };
        size_of::<Self>() + heap
    }
}

impl Decision {
    /// Memory that it takes, about.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.heap()
    }
}

/// What lies behind a value, without the value itself.
trait Heap {
    fn heap(&self) -> usize;
}

impl Heap for f32 {
    fn heap(&self) -> usize {
        0
    }
}

impl Heap for String {
    fn heap(&self) -> usize {
        self.len()
    }
}

impl Heap for Box<str> {
    fn heap(&self) -> usize {
        self.len()
    }
}

impl<T: Heap> Heap for Option<T> {
    fn heap(&self) -> usize {
        self.as_ref().map_or(0, T::heap)
    }
}

impl<T: Heap> Heap for Vec<T> {
    fn heap(&self) -> usize {
        size_of::<T>() * self.len() + self.iter().map(T::heap).sum::<usize>()
    }
}

impl<T: Heap> Heap for Box<T> {
    fn heap(&self) -> usize {
        size_of::<T>() + T::heap(self)
    }
}

impl<T: Heap> Heap for Arc<T> {
    fn heap(&self) -> usize {
        size_of::<T>() + T::heap(self)
    }
}

impl Heap for ItemId {
    fn heap(&self) -> usize {
        self.as_str().len()
    }
}

impl Heap for ArmName {
    fn heap(&self) -> usize {
        self.as_str().len()
    }
}

/// Nodes of a map of so many entries of a size.
fn nodes(entries: usize, entry_bytes: usize) -> usize {
    let (most, least) = NODE_ENTRIES;
    let nodes = if entries <= most { entries.min(1) } else { entries.div_ceil(least) };
    nodes * (NODE_BYTES + most * entry_bytes)
}

impl Heap for Attributes {
    fn heap(&self) -> usize {
        let entry = size_of::<String>() + size_of::<AttributeValue>();
        let text = |(name, value): (&str, &AttributeValue)| {
            let value = match value {
                AttributeValue::Text(text) => text.heap(),
                AttributeValue::List(list) => list.heap(),
                AttributeValue::Number(_) | AttributeValue::Flag(_) => 0,
            };
            name.len() + value
        };
        nodes(self.iter().count(), entry) + self.iter().map(text).sum::<usize>()
    }
}

impl Heap for RuleTarget {
    fn heap(&self) -> usize {
        self.name().len()
    }
}

impl Heap for Mute {
    fn heap(&self) -> usize {
        self.target.heap()
    }
}

impl Heap for UserBoost {
    fn heap(&self) -> usize {
        self.target.heap()
    }
}

impl<T: Heap, K: Heap> Heap for ListChange<T, K> {
    fn heap(&self) -> usize {
        self.add.heap() + self.remove.heap()
    }
}

impl Heap for UserUpdate {
    fn heap(&self) -> usize {
        let RulesChange { blocked_items, blocked_sources, blocked_topics, mutes, boosts, .. } =
            &self.rules;
        let names = [blocked_items, blocked_sources, blocked_topics];
        self.user_id.as_str().len()
            + self.attributes.set.heap()
            + self.attributes.remove.heap()
            + names.into_iter().map(Heap::heap).sum::<usize>()
            + mutes.heap()
            + boosts.heap()
    }
}

impl Heap for Settings {
    fn heap(&self) -> usize {
        let entry = size_of::<Box<str>>() + size_of::<f32>();
        let maps = [&self.freshness_half_lives.topics, &self.freshness_half_lives.sources];
        let map = |map: &std::collections::BTreeMap<Box<str>, f32>| {
            nodes(map.len(), entry) + map.keys().map(Heap::heap).sum::<usize>()
        };
        let own = nodes(self.own.len(), size_of::<Box<str>>());
        own + self.own.iter().map(Heap::heap).sum::<usize>()
            + maps.into_iter().map(map).sum::<usize>()
    }
}

impl Heap for Interaction {
    fn heap(&self) -> usize {
        let context = &self.context;
        let labels = [&context.source, &context.device_type, &context.location];
        self.event_id.as_str().len()
            + self.user_id.as_str().len()
            + self.item_id.heap()
            + self.session_id.as_ref().map_or(0, |id| id.as_str().len())
            + self.decision_id.as_ref().map_or(0, |id| id.as_str().len())
            + context.topics.heap()
            + labels.into_iter().map(Heap::heap).sum::<usize>()
            + context.attributes.heap()
    }
}

impl Heap for Item {
    fn heap(&self) -> usize {
        self.item_id.heap()
            + self.title.heap()
            + self.content.heap()
            + self.topics.heap()
            + self.source.heap()
            + self.embedding.heap()
            + self.attributes.heap()
            + self.language.heap()
            + self.localized.heap()
    }
}

impl Heap for BTreeMap<LanguageTag, LocalizedText> {
    fn heap(&self) -> usize {
        let text = |(tag, text): (&LanguageTag, &LocalizedText)| {
            tag.as_str().len() + text.title.heap() + text.content.heap()
        };
        nodes(self.len(), size_of::<(LanguageTag, LocalizedText)>())
            + self.iter().map(text).sum::<usize>()
    }
}

impl Heap for ItemPatch {
    fn heap(&self) -> usize {
        let ItemMask { fields, attributes, localized } = &self.mask;
        nodes(fields.len(), size_of::<ItemField>())
            + nodes(attributes.len(), size_of::<Box<str>>())
            + nodes(localized.len(), size_of::<LanguageTag>())
            + attributes.iter().map(|name| name.len()).sum::<usize>()
            + localized.iter().map(|tag| tag.as_str().len()).sum::<usize>()
            + self.values.heap()
    }
}

impl Heap for ShownItem {
    fn heap(&self) -> usize {
        self.item_id.heap() + self.features.heap()
    }
}

impl Heap for TakeoverTrial {
    fn heap(&self) -> usize {
        self.difference.heap()
    }
}

impl Heap for Decision {
    fn heap(&self) -> usize {
        self.decision_id.as_str().len()
            + self.user_id.as_str().len()
            + self.shown.heap()
            + self.trial.heap()
            + self.continues.heap()
            + size_of_val(&*self.assignments)
            + self.division.heap()
            + self.detail.heap()
    }
}

impl Heap for Division {
    fn heap(&self) -> usize {
        match self {
            Self::InTurns { chosen_by, .. } => size_of_val(&**chosen_by),
            Self::Drawn { chances, .. } => size_of_val(&**chances),
        }
    }
}

impl Heap for Continues {
    fn heap(&self) -> usize {
        self.decision_id.as_str().len()
    }
}

impl Heap for DecisionDetail {
    fn heap(&self) -> usize {
        let candidate = size_of::<u32>() + 2 * size_of::<f32>();
        self.request.len()
            + self.variant.heap()
            + self.shown_lately.heap()
            + size_of_val(&*self.earlier)
            + size_of_val(&*self.earlier_pinned)
            + candidate * self.candidates.len()
            + self.candidates.ids().map(str::len).sum::<usize>()
    }
}

impl Heap for OfferedArm {
    fn heap(&self) -> usize {
        self.name.heap() + self.features.heap()
    }
}

impl Heap for ArmContext {
    fn heap(&self) -> usize {
        self.numbers.heap() + self.attributes.heap()
    }
}

impl Heap for ArmSelection {
    fn heap(&self) -> usize {
        self.decision_id.as_str().len()
            + self.set.as_str().len()
            + self.offered.heap()
            + self.context.heap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> Item {
        Item::new(ItemId::parse("i").unwrap())
    }

    fn bytes(change: impl FnOnce(&mut Item)) -> usize {
        let mut changed = item();
        change(&mut changed);
        Record::ItemUpserted(changed).bytes() - Record::ItemUpserted(item()).bytes()
    }

    #[test]
    fn whatever_makes_a_record_larger_is_counted() {
        assert!(Record::ItemUpserted(item()).bytes() > size_of::<Record>());
        assert_eq!(bytes(|item| item.content = "x".repeat(65_536)), 65_536);
        assert_eq!(bytes(|item| item.embedding = vec![0.0; 384]), 384 * 4);
        let topics = bytes(|item| item.topics = vec!["abcd".into(); 32]);
        assert_eq!(topics, 32 * (16 + 4));
    }

    #[test]
    fn a_map_counts_by_its_nodes() {
        let map = |entries: usize| {
            let entry = |n: usize| (format!("a{n:02}"), AttributeValue::Number(1.0));
            let values: BTreeMap<_, _> = (0..entries).map(entry).collect();
            bytes(|item| item.attributes = Attributes::new(values).unwrap())
        };
        assert_eq!(map(0), 0);
        // The first entry takes a node of its own.
        assert!(map(1) > 11 * 24, "{}", map(1));
        assert!(map(12) > map(11) && map(64) > map(12));
    }
}
