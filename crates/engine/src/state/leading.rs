//! The most popular and the most trending items of the catalogue, and other values that the
//! requests on a view share.
//!
//! - Evidence decays with one landmark for all items, so time alone never changes the order. Only
//!   new evidence and catalogue changes do. A scan of the catalogue finds the leaders every
//!   [`TOUCHED_MAX`] touched items or more. A view merges the items touched since then on the
//!   first request.
//! - A list is the true head of the whole order, hence a function of the state. Earlier requests
//!   and the ends of batches do not matter.
//! - Bound: two lists of [`LEADERS_MAX`] and the touched items, about 50 KiB.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::columns::index::ItemIndex;
use crate::models::cold_start::Memory;
use crate::state::top_lists::Best;
use crate::state::top_lists::Epoch;
use crate::state::top_lists::Evidence;
use crate::state::top_lists::Head;
use crate::state::top_lists::Leaders;
use crate::state::top_lists::TopList;
use crate::state::view::View;

/// Length of a list at a scan. The rest after [`TOUCHED_MAX`] touched items is long enough for
/// every request.
const LEADERS_MAX: usize = 2_048;
/// Touched items that cause a new scan.
const TOUCHED_MAX: u64 = 1_024;

impl View {
    /// Catalogue items by long-term popularity, the most popular first; of equals the younger,
    /// then the higher index. Items without positives are not in it.
    pub(crate) fn popular(&self) -> &TopList {
        self.top_lists.popular.get_or_init(|| self.merged(Evidence::Popularity))
    }

    /// The same by recent positives.
    pub(crate) fn trending(&self) -> &TopList {
        self.top_lists.trending.get_or_init(|| self.merged(Evidence::Trend))
    }

    /// The memory that orders a list.
    fn memory(&self, evidence: Evidence) -> Memory {
        match evidence {
            Evidence::Popularity => self.items.popularity.in_use(),
            Evidence::Trend => Memory::Trend,
        }
    }

    /// The value that orders an item: its evidence decayed to the landmark, the same moment for
    /// all items; 0 without evidence.
    pub(crate) fn evidence(&self, evidence: Evidence) -> impl Fn(ItemIndex) -> f32 {
        let (popularity, memory) = (&self.items.popularity, self.memory(evidence));
        move |item| popularity.stored(memory, item)
    }

    /// The order of two items with their values: greater value, then younger item, then higher
    /// index first.
    pub(crate) fn better(&self, a: &(f32, ItemIndex), b: &(f32, ItemIndex)) -> Ordering {
        let born = |item: ItemIndex| self.items.entries[item].born();
        let by_value = b.0.total_cmp(&a.0);
        by_value.then_with(|| born(b.1).cmp(&born(a.1)).then(b.1.cmp(&a.1)))
    }

    /// Scans for leaders when enough items were touched, or when the epoch changed.
    pub(crate) fn keep_leaders(&mut self) {
        let is_due =
            self.leaders.touched.len() >= TOUCHED_MAX || self.leaders.epoch != self.epoch();
        if is_due {
            self.find_leaders();
        }
    }

    pub(crate) fn find_leaders(&mut self) {
        let head = |evidence| {
            let value = self.evidence(evidence);
            let mut best = Best::new(LEADERS_MAX);
            for (index, entry) in self.items.entries.indices().zip(self.items.entries.iter()) {
                if entry.item.is_some() {
                    best.push(value(index), index, |a, b| self.better(a, b));
                }
            }
            let is_complete = best.has_all();
            Head { items: Arc::new(best.sorted(|a, b| self.better(a, b))), is_complete }
        };
        let (popular, trending) = (head(Evidence::Popularity), head(Evidence::Trend));
        self.leaders = Leaders { popular, trending, touched: Arc::default(), epoch: self.epoch() };
    }

    fn epoch(&self) -> Epoch {
        let memories =
            [Evidence::Popularity, Evidence::Trend].map(|evidence| self.memory(evidence));
        let landmarks = memories.map(|memory| self.items.popularity.landmark(memory));
        Epoch { memories, landmarks }
    }

    /// The leaders with the touched items merged in. Other items come after the last untouched
    /// leader, so the list ends there.
    fn merged(&self, evidence: Evidence) -> TopList {
        let (leaders, head) = (&self.leaders, self.leaders.head(evidence));
        let value = self.evidence(evidence);
        let is_touched = |item: ItemIndex| leaders.touched.contains(item.get());
        let mut all: Vec<(f32, ItemIndex)> =
            head.items.iter().copied().filter(|one| !is_touched(one.1)).collect();
        let last = all.last().copied();
        let in_catalogue = |item: &ItemIndex| self.items.entries[*item].item.is_some();
        let touched = leaders.touched.iter().map(ItemIndex::new).filter(in_catalogue);
        let touched = touched.map(|item| (value(item), item));
        all.extend(touched.filter(|one| one.0 > 0.0));
        all.sort_by(|a, b| self.better(a, b));
        if !head.is_complete {
            let known = |one: &(f32, ItemIndex)| {
                last.is_some_and(|last| self.better(one, &last) != Ordering::Greater)
            };
            all.truncate(all.partition_point(known));
        }
        TopList { items: all.into_iter().map(|one| one.1).collect(), is_complete: head.is_complete }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Item;
    use crate::domain::ItemId;
    use crate::domain::Settings;
    use crate::domain::Timestamp;
    use crate::state::entry::Entry;

    fn entry(number: u32) -> Arc<Entry> {
        let item = Item {
            published_at: Some(Timestamp::from_seconds(i64::from(number % 50))),
            ..Item::new(ItemId::parse(format!("i{number}")).unwrap())
        };
        Arc::new(Entry { item: Some(Arc::new(item)), ..Entry::default() })
    }

    fn want(view: &mut View, item: ItemIndex, weight: f32, seconds: i64) {
        view.learn_popularity(item, weight, Some(1.0), Timestamp::from_seconds(seconds));
        view.leaders.touch(item);
    }

    /// All items with evidence in their order, by a full scan.
    fn in_order(view: &View, evidence: Evidence) -> Vec<ItemIndex> {
        let value = view.evidence(evidence);
        let there = view.item_indices().filter(|&item| view.entry(item).item.is_some());
        let mut all: Vec<(f32, ItemIndex)> = there.map(|item| (value(item), item)).collect();
        all.retain(|one| one.0 > 0.0);
        all.sort_by(|a, b| view.better(a, b));
        all.into_iter().map(|one| one.1).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn the_lists_are_the_heads_of_the_whole_order_whatever_was_touched_since_the_last_scan(
            items in prop::sample::select(vec![300_u32, 3_000]),
            touched in prop::collection::vec((any::<u32>(), 0..40_u8, 0..900_000_i64), 0..900),
            gone in prop::collection::vec(any::<u32>(), 0..100),
        ) {
            let mut view = View::new(Settings::default());
            for number in 0..items {
                let item = view.items.intern(&format!("i{number}"), 1);
                *view.items.entries.get_mut(item) = entry(number);
                want(&mut view, item, 1.0 + (number * 7 % 40) as f32, 0);
            }
            view.find_leaders();
            for (item, weight, seconds) in touched {
                want(&mut view, ItemIndex::new(item % items), weight.into(), seconds);
            }
            for item in gone {
                let item = ItemIndex::new(item % items);
                *view.items.entries.get_mut(item) = Arc::default();
                view.leaders.touch(item);
            }
            let at_least = (LEADERS_MAX - TOUCHED_MAX as usize).min(items as usize - 100);
            for (list, evidence) in
                [(view.popular(), Evidence::Popularity), (view.trending(), Evidence::Trend)]
            {
                let all = in_order(&view, evidence);
                prop_assert!(list.items.len() >= at_least);
                prop_assert_eq!(&list.items[..], &all[..list.items.len()]);
                prop_assert!(!list.is_complete || list.items.len() == all.len());
            }
        }
    }
}
