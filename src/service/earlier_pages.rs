//! The pages above a later page of a list, as its ranking needs them.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use super::personalize::PersonalizeCall;
use engine::Candidate;
use engine::Entry;
use engine::ItemIndex;
use engine::SparseVector;
use engine::View;
use engine::domain::Item;
use engine::domain::ItemId;
use engine::domain::limits;
use engine::name_key;

/// The items of the pages before: as the request describes them, else the catalogue. Of an item
/// that neither has, nothing is known but that it took a position.
pub struct AboveItems(Vec<Above>);

enum Above {
    Described(Box<(Option<ItemIndex>, Entry, SparseVector)>),
    OfCatalogue(ItemIndex),
}

impl AboveItems {
    pub fn new(view: &View, call: &PersonalizeCall) -> Self {
        let described = call.candidates.items.iter();
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
        Self(call.earlier.items.iter().map(above).collect())
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
pub fn positions(call: &PersonalizeCall) -> usize {
    call.choice.positions.min(limits::LIST_POSITIONS.saturating_sub(call.earlier.items.len()))
}

/// Positions that a list with a caller's order may have on this page and later ones. `left`: how
/// many of the order may be shown now.
pub fn reach(call: &PersonalizeCall, order: &[ItemId], left: usize) -> usize {
    let earlier: HashSet<u64> = call.earlier.items.iter().copied().collect();
    let pinned: HashSet<u64> = call.pins.iter().map(|pin| name_key(pin.item_id.as_str())).collect();
    let is_chosen = |key: &u64| earlier.contains(key) && !pinned.contains(key);
    let of_order = order.iter().map(|id| name_key(id.as_str())).filter(is_chosen).count();
    let chosen = earlier.iter().filter(|key| is_chosen(key)).count();
    (left + of_order).saturating_sub(chosen)
}
