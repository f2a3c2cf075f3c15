//! The head of an order among the items of a mask: by popularity, by trend, by age.
//!
//! The lists of a view are walked first. Where they run out before enough is found, the items of
//! the mask are asked one by one, so that what is found is the head of the order whatever the
//! mask holds.

use crate::retrieval::mask::Mask;
use crate::state::View;
use crate::state::top_lists::Best;
use crate::state::top_lists::Evidence;

/// The most that is sorted where few of the youngest items are in the mask.
const SORTED_MAX: usize = 8_192;

/// The first `n` allowed items of the mask by evidence, the best first; those without any
/// evidence are left out.
pub fn most_wanted(
    view: &View,
    evidence: Evidence,
    mask: &Mask,
    n: usize,
    allowed: impl Fn(u32) -> bool,
) -> Vec<u32> {
    let list = match evidence {
        Evidence::Popularity => view.popular(),
        Evidence::Trend => view.trending(),
    };
    let listed = list.items.iter().copied();
    let found: Vec<u32> = listed.filter(|&item| mask.has(item) && allowed(item)).take(n).collect();
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

/// The first `n` allowed items of the mask by popularity; those that nobody wants come after, the
/// youngest first. As many as are asked for, where the mask has them.
pub fn most_popular(view: &View, mask: &Mask, n: usize, allowed: impl Fn(u32) -> bool) -> Vec<u32> {
    let mut found = most_wanted(view, Evidence::Popularity, mask, n, &allowed);
    if found.len() < n {
        let mut rest = mask.clone();
        found.iter().for_each(|&item| rest.clear(item));
        let more = n - found.len();
        found.append(&mut youngest(view, &rest, more, |item, _| allowed(item)));
    }
    found
}

/// All items of the mask in that order.
pub fn in_order_of_popularity(view: &View, mask: &Mask) -> Vec<u32> {
    let value = view.evidence(Evidence::Popularity);
    let valued = mask.iter().map(|item| (value(item), item));
    let mut wanted: Vec<(f32, u32)> = valued.filter(|one| one.0 > 0.0).collect();
    wanted.sort_unstable_by(|a, b| view.better(a, b));
    let mut all: Vec<u32> = wanted.into_iter().map(|one| one.1).collect();
    let births = view.postings.youngest().map(|born| born.item);
    all.extend(births.filter(|&item| mask.has(item) && !(value(item) > 0.0)));
    all
}

/// The `n` youngest items of the mask that are allowed, the youngest first, of equals the higher
/// index. `allowed` is told whether the item says when it was published.
pub fn youngest(
    view: &View,
    mask: &Mask,
    n: usize,
    allowed: impl Fn(u32, bool) -> bool,
) -> Vec<u32> {
    // Steps until enough is found, where the items of the mask are of all ages.
    let steps = n * view.counts.catalogue as usize / mask.count().max(1);
    if mask.count() <= SORTED_MAX && steps > mask.count() {
        let born = |item: u32| view.items.entries[item as usize].born();
        let mut all: Vec<_> = mask.iter().map(|item| (born(item), item)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        let is_dated = |item: u32| {
            let entry = &view.items.entries[item as usize];
            entry.item.as_ref().is_some_and(|item| item.published_at.is_some())
        };
        let found = all.into_iter().map(|one| one.1);
        return found.filter(|&item| allowed(item, is_dated(item))).take(n).collect();
    }
    let births = view.postings.youngest().filter(|born| mask.has(born.item));
    births.filter(|born| allowed(born.item, born.is_dated)).map(|born| born.item).take(n).collect()
}
