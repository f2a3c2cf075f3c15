//! The pages above a later page of a list, as its ranking needs them.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use engine::Candidate;
use engine::EarlierPages;
use engine::Entry;
use engine::ItemIndex;
use engine::TermVectors;
use engine::View;
use engine::domain::Item;
use engine::domain::ItemId;
use engine::domain::limits;
use engine::name_key;

/// The items of the pages before: as the request describes them, else the catalogue. Of an item
/// that neither has, nothing is known but that it took a position.
pub struct AboveItems(Vec<Above>);

enum Above {
    Described(Box<(Option<ItemIndex>, Entry, TermVectors)>),
    OfCatalogue(ItemIndex),
}

impl AboveItems {
    /// `described`: the items that the request describes.
    pub fn new(view: &View, earlier: &EarlierPages, described: &[Arc<Item>]) -> Self {
        if earlier.items.is_empty() {
            return Self(Vec::new());
        }
        let described = described.iter();
        let described: HashMap<u64, &Arc<Item>> =
            described.map(|item| (name_key(item.item_id.as_str()), item)).collect();
        let above = |key: &u64| {
            let index = view.item_of_key(*key);
            let entry = match described.get(key) {
                Some(item) => view.describe_inline((*item).clone()),
                None => match index {
                    Some(index) => return Above::OfCatalogue(index),
                    None => Default::default(),
                },
            };
            Above::Described(Box::new((index, entry.0, entry.1)))
        };
        Self(earlier.items.iter().map(above).collect())
    }

    pub fn candidates<'a>(&'a self, view: &'a View) -> Vec<Candidate<'a>> {
        let candidate = |above: &'a Above| match above {
            Above::OfCatalogue(index) => Candidate::known(view, *index),
            Above::Described(described) => {
                let (index, entry, terms) = &**described;
                Candidate { index: *index, entry, terms }
            }
        };
        self.0.iter().map(candidate).collect()
    }
}

/// Positions of a page: fewer than requested at the end of the longest list.
pub fn positions(requested: usize, earlier: &EarlierPages) -> usize {
    requested.min(limits::LIST_POSITIONS.saturating_sub(earlier.items.len()))
}

/// Positions that a list with a caller's order may have on this page and later ones, besides those
/// of pins. `left`: how many of the order may be shown now.
pub fn reach(earlier: &EarlierPages, order: &[ItemId], left: usize) -> usize {
    let pinned: HashSet<u64> = earlier.pinned.iter().copied().collect();
    let chosen = earlier.items.iter().copied().filter(|key| !pinned.contains(key));
    let chosen: HashSet<u64> = chosen.collect();
    let of_order = order.iter().filter(|id| chosen.contains(&name_key(id.as_str()))).count();
    (left + of_order).saturating_sub(chosen.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[&str]) -> Vec<ItemId> {
        ids.iter().map(|id| ItemId::parse(*id).unwrap()).collect()
    }

    fn after(shown: &[&str]) -> EarlierPages {
        let keys = |ids: &[&str]| ids.iter().map(|id| name_key(id)).collect();
        EarlierPages { items: keys(shown), pinned: keys(&["p"]), ..EarlierPages::default() }
    }

    #[test]
    fn a_list_of_any_origin_is_as_long_as_the_caller_s_order_over_all_its_pages() {
        let order = ids(&["a", "b", "c", "d", "e"]);
        let left = |shown: &[&str], left: usize| reach(&after(shown), &order, left);
        assert_eq!(left(&[], 5), 5);
        // In the caller's order; a pin takes a position of its own.
        assert_eq!(left(&["a", "p", "b"], 3), 3);
        // The ranker showed two others and one of the order.
        assert_eq!(left(&["x", "c", "y"], 4), 2);
        assert_eq!(left(&["v", "w", "x", "y", "z"], 5), 0);
    }

    #[test]
    fn the_longest_list_ends() {
        let page = |shown: usize| {
            let earlier = EarlierPages { items: vec![0; shown], ..EarlierPages::default() };
            positions(500, &earlier)
        };
        assert_eq!([0, 1_600, 2_000, 2_001].map(page), [500, 400, 0, 0]);
    }
}
