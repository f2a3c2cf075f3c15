//! Lists from which people took what is held out.
//!
//! Who takes an item from a list has chosen among the items of that list that were looked at, and not among all
//! items. Compared with all items, a fit would learn what made the lists: whatever it put on top is taken more often than
//! what it did not show. Online learning compares in the same way.

use std::collections::BTreeMap;

use crate::columns::index::ItemIndex;
use crate::domain::Timestamp;
use crate::training::holdout::Holdout;
use crate::training::holdout::Test;

/// What was looked at in one list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct List {
    pub at: Timestamp,
    /// Items that were taken and are held out.
    pub taken: Vec<ItemIndex>,
    /// Items that were not taken.
    pub left: Vec<ItemIndex>,
}

/// The lists of a test, as far as they are remembered; each has items of both kinds.
pub fn of(holdout: &Holdout<'_>, test: &Test) -> Vec<List> {
    let user = &holdout.view().users.states[test.user];
    let columns = holdout.columns();
    let is_held_out = |item: ItemIndex| {
        columns.of_item(item).is_some_and(|column| test.held_out.contains(&column))
    };
    let mut lists: BTreeMap<Timestamp, List> = BTreeMap::new();
    for response in user.responses.newest() {
        let at = response.at();
        let list = lists.entry(at).or_insert_with(|| List { at, ..List::default() });
        if !response.is_taken() {
            list.left.push(response.item);
        } else if is_held_out(response.item) {
            list.taken.push(response.item);
        }
    }
    let tells = |list: &List| !list.taken.is_empty() && !list.left.is_empty();
    lists.into_values().filter(tells).collect()
}
