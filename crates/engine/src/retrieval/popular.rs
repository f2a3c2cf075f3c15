//! The head of an order among the items of a mask: by popularity, by trend, by age.
//!
//! The lists of a view are searched first. If they give too few, all items of the mask are
//! scanned. So the result is the head of the order for every mask.

use crate::columns::index::ItemIndex;
use crate::retrieval::mask::Mask;
use crate::state::View;
use crate::state::top_lists::Best;
use crate::state::top_lists::Evidence;

/// Most items that are sorted when few of the youngest are in the mask.
const SORTED_MAX: usize = 8_192;

/// The first `n` allowed items of the mask by evidence, the best first; those without any
/// evidence are left out.
pub fn most_positive(
    view: &View,
    evidence: Evidence,
    mask: &Mask,
    n: usize,
    allowed: impl Fn(ItemIndex) -> bool,
) -> Vec<ItemIndex> {
    let list = match evidence {
        Evidence::Popularity => view.popular(),
        Evidence::Trend => view.trending(),
    };
    let listed = list.items.iter().copied();
    let found: Vec<ItemIndex> =
        listed.filter(|&item| mask.has(item) && allowed(item)).take(n).collect();
    if found.len() == n || list.is_complete {
        return found;
    }
    let value = view.evidence(evidence);
    let mut best = Best::new(n);
    for item in mask.iter() {
        let value = value(item);
        if best.admits(value) && allowed(item) {
            best.push(value, item, |a, b| view.better(a, b));
        }
    }
    best.sorted(|a, b| view.better(a, b)).into_iter().map(|one| one.1).collect()
}

/// The first `n` allowed items of the mask by popularity, then those without positives, the
/// youngest first. Fewer than `n` only if the mask has fewer.
pub fn most_popular(
    view: &View,
    mask: &Mask,
    n: usize,
    allowed: impl Fn(ItemIndex) -> bool,
) -> Vec<ItemIndex> {
    let mut found = most_positive(view, Evidence::Popularity, mask, n, &allowed);
    if found.len() < n {
        let mut rest = mask.clone();
        found.iter().for_each(|&item| rest.clear(item));
        let more = n - found.len();
        found.append(&mut youngest(view, &rest, more, |item, _| allowed(item)));
    }
    found
}

/// The `n` youngest items of the mask that are allowed, the youngest first, of equals the higher
/// index. The second argument of `allowed` is whether the item has a publication time.
pub fn youngest(
    view: &View,
    mask: &Mask,
    n: usize,
    allowed: impl Fn(ItemIndex, bool) -> bool,
) -> Vec<ItemIndex> {
    // Expected steps until enough are found, if the mask has items of all ages.
    let steps = n * view.counts.catalogue as usize / mask.count().max(1);
    if mask.count() <= SORTED_MAX && steps > mask.count() {
        let born = |item: ItemIndex| view.items.entries[item].born();
        let mut all: Vec<_> = mask.iter().map(|item| (born(item), item)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        let is_dated = |item: ItemIndex| {
            let entry = &view.items.entries[item];
            entry.item.as_ref().is_some_and(|item| item.published_at.is_some())
        };
        let found = all.into_iter().map(|one| one.1);
        return found.filter(|&item| allowed(item, is_dated(item))).take(n).collect();
    }
    let births = view.postings.youngest().filter(|born| mask.has(born.item));
    births.filter(|born| allowed(born.item, born.is_dated)).map(|born| born.item).take(n).collect()
}
