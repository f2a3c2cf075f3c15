//! When each item of the catalogue is shown: from its publication until it expires, and a hidden one
//! never. This is all that tells which items of the catalogue may be shown at a moment.
//!
//! - Kept are the items that are shown at one moment, and all times at which that changes, in order. For
//!   another moment the changes in between are applied. So a request costs what lies between its
//!   time and that of the last batch, however many items expired before.
//! - What is told for a moment depends on the entries alone, not on the moment that is kept.
//! - Derived: neither in snapshots nor in digests. Copy-on-write. Bound: a bit for each item, and 16
//!   bytes for each time at which one begins or ends to be shown.

use std::sync::Arc;

use crate::columns::index::ItemIndex;
use crate::domain::Item;
use crate::domain::Timestamp;
use crate::models::sorted_chunks::SortedChunks;

/// Bits of a word of a set of items.
pub const WORD: usize = 64;

/// An item begins or ends to be shown. Ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    millis: i64,
    item: ItemIndex,
    begins: bool,
}

/// See the header of the module.
#[derive(Debug, Clone)]
pub struct Showing {
    changes: Arc<SortedChunks<Change>>,
    /// The moment of `shown`, in milliseconds.
    at: i64,
    /// One bit for each index, 1 for an item that is shown.
    shown: Arc<Vec<u64>>,
}

impl Default for Showing {
    fn default() -> Self {
        Self { changes: Arc::default(), at: i64::MIN, shown: Arc::default() }
    }
}

impl Showing {
    /// Of items with rising indices.
    pub fn new<'a>(items: impl Iterator<Item = (ItemIndex, &'a Item)>) -> Self {
        let (mut showing, mut changes) = (Self::default(), Vec::new());
        for (index, item) in items {
            showing.set(index, item.may_be_shown(Timestamp::from_millis(i64::MIN)));
            changes.extend(changes_of(index, item));
        }
        changes.sort_unstable();
        showing.changes = Arc::new(SortedChunks::from_sorted(&changes));
        showing
    }

    pub fn insert(&mut self, index: ItemIndex, item: &Item) {
        for change in changes_of(index, item) {
            Arc::make_mut(&mut self.changes).insert(change);
        }
        self.set(index, item.may_be_shown(Timestamp::from_millis(self.at)));
    }

    /// `item` is as it was at the insertion.
    pub fn remove(&mut self, index: ItemIndex, item: &Item) {
        for change in changes_of(index, item) {
            Arc::make_mut(&mut self.changes).remove(&change);
        }
        self.set(index, false);
    }

    /// Keeps another moment, from which on others are soon told.
    pub fn move_to(&mut self, moment: Timestamp) {
        let moment = moment.as_millis();
        for (item, is_shown) in self.changes_to(moment) {
            self.set(item, is_shown);
        }
        self.at = moment;
    }

    /// One bit for each index, 1 for an item that may be shown at a moment. Indices beyond the end
    /// are 0.
    pub fn at(&self, moment: Timestamp) -> Vec<u64> {
        let mut shown = (*self.shown).clone();
        for (item, is_shown) in self.changes_to(moment.as_millis()) {
            put(&mut shown, item, is_shown);
        }
        shown
    }

    /// What changes from the moment that is kept to another, in this order: the item, and whether it
    /// is shown then.
    fn changes_to(&self, moment: i64) -> Vec<(ItemIndex, bool)> {
        let (from, to) = (self.at.min(moment), self.at.max(moment));
        let is_forward = self.at <= moment;
        let first =
            Change { millis: from.saturating_add(1), item: ItemIndex::new(0), begins: false };
        let between = self.changes.rising_from(first).take_while(|change| change.millis <= to);
        let changes = between.map(|change| (change.item, change.begins == is_forward));
        let mut changes: Vec<(ItemIndex, bool)> = changes.collect();
        if !is_forward {
            changes.reverse();
        }
        changes
    }

    fn set(&mut self, index: ItemIndex, is_shown: bool) {
        put(Arc::make_mut(&mut self.shown), index, is_shown);
    }
}

fn put(words: &mut Vec<u64>, index: ItemIndex, is_shown: bool) {
    let (word, bit) = (index.as_usize() / WORD, index.as_usize() % WORD);
    if words.len() <= word {
        words.resize(word + 1, 0);
    }
    words[word] = words[word] & !(1 << bit) | u64::from(is_shown) << bit;
}

/// The changes of an item. It has none before the beginning of time or after its end.
fn changes_of(item: ItemIndex, described: &Item) -> impl Iterator<Item = Change> {
    let changes = described.shown_between().map(|(from, until)| [(from, true), (until, false)]);
    let changes = changes.into_iter().flatten();
    let changes = changes.map(move |(at, begins)| Change { millis: at.as_millis(), item, begins });
    changes.filter(|change| change.millis > i64::MIN && change.millis < i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Engine;
    use crate::domain::EventId;
    use crate::domain::Interaction;
    use crate::domain::InteractionType;
    use crate::domain::ItemId;
    use crate::domain::LogRecord;
    use crate::domain::Record;
    use crate::domain::Settings;
    use crate::domain::UserId;

    fn item() -> impl Strategy<Value = Item> {
        let time = || prop::option::of((0..20_i64).prop_map(Timestamp::from_millis));
        (time(), time(), any::<bool>()).prop_map(|(published_at, expires_at, hidden)| Item {
            published_at,
            expires_at,
            hidden,
            ..Item::new(ItemId::parse("i").unwrap())
        })
    }

    proptest! {
        #[test]
        fn what_is_told_for_a_moment_is_what_the_items_say_whatever_came_before(
            changes in prop::collection::vec(
                (0..70_usize, prop::option::of(item()), prop::option::of(-1..22_i64)), 0..120,
            ),
            moments in prop::collection::vec(-1..22_i64, 1..6),
        ) {
            let mut items: Vec<Option<Item>> = vec![None; 70];
            let mut kept = Showing::default();
            for (index, item, moment) in changes {
                let at = ItemIndex::new(index as u32);
                items[index].iter().for_each(|before| kept.remove(at, before));
                items[index] = item;
                items[index].iter().for_each(|now| kept.insert(at, now));
                moment.into_iter().for_each(|to| kept.move_to(Timestamp::from_millis(to)));
            }
            let there = (0..).map(ItemIndex::new).zip(&items);
            let made = Showing::new(there.filter_map(|(at, item)| Some((at, item.as_ref()?))));
            for moment in moments.into_iter().map(Timestamp::from_millis) {
                for showing in [&kept, &made] {
                    let mut words = showing.at(moment);
                    words.resize(2, 0);
                    for (index, item) in items.iter().enumerate() {
                        let expected = item.as_ref().is_some_and(|one| one.may_be_shown(moment));
                        let is_shown = words[index / WORD] >> (index % WORD) & 1 == 1;
                        prop_assert_eq!(is_shown, expected, "{:?} at {:?}", item, moment);
                    }
                }
            }
        }
    }

    #[test]
    fn a_restored_view_keeps_the_moment_of_its_clock() {
        let mut engine = Engine::new(Settings::default());
        let interaction = Interaction {
            event_id: EventId::parse("e").unwrap(),
            user_id: UserId::parse("u").unwrap(),
            item_id: ItemId::parse("i").unwrap(),
            kind: InteractionType::Click,
            value: None,
            occurred_at: Timestamp::from_seconds(1_000),
            session_id: None,
            decision_id: None,
            position: None,
            context: Default::default(),
        };
        let record = Record::Interaction(interaction);
        let recorded_at = Timestamp::from_seconds(1_000);
        engine.apply(&[LogRecord { sequence: 1, recorded_at, record }]).unwrap();
        let restored = Engine::restore(engine.state().sections()).unwrap();
        assert_eq!(restored.state().postings.showing.at, 1_000_000);
    }

    #[test]
    fn a_view_keeps_what_it_saw() {
        let item = Item {
            expires_at: Some(Timestamp::from_millis(5)),
            ..Item::new(ItemId::parse("i").unwrap())
        };
        let mut showing = Showing::new([(ItemIndex::new(0), &item)].into_iter());
        let view = showing.clone();
        showing.move_to(Timestamp::from_millis(9));
        showing.remove(ItemIndex::new(0), &item);
        assert_eq!(view.at(Timestamp::from_millis(4)), [1]);
        assert_eq!(view.at(Timestamp::from_millis(5)), [0]);
        assert_eq!(showing.at(Timestamp::from_millis(4)), [0]);
    }
}
