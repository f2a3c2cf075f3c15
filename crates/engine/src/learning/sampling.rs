//! The set of items among which a consumed item is ranked before it is learnt.
//!
//! Half of the alternatives are drawn evenly from the catalogue, half from what users
//! consumed last: an even draw of a large catalogue is hardly ever a rival, so it teaches
//! little of what decides the first positions. Where users come back to items, some
//! alternatives are drawn from what the user had before the present session of an item. All of
//! them are items that could be shown: of the catalogue, at that moment, not hidden by the user. The offset of an item is minus the
//! logarithm of how often the sample is expected to hold it; added to the scores it makes
//! the choice among the sample consistent with one among all (McFadden 1978; the
//! `logQ` correction of sampled softmax, Bengio and Senecal 2008).
//!
//! Even draws come from a [`Pool`] of what can be shown and was not had, so none is lost on
//! deleted or future items. The number of draws is bounded, so that a set is smaller where few
//! items can be shown.

use crate::columns::index::ItemIndex;
use crate::consumption::Consumption;
use crate::consumption::User;
use crate::domain::Timestamp;
use crate::learning::pool::Pool;
use crate::models::prequential::NEGATIVES;
use crate::numeric::math;
use crate::seed;
use crate::state::View;

/// Draws per negative asked for before giving up on small or exhausted catalogues.
const DRAWS_PER_NEGATIVE: usize = 3;
/// Of the negatives, those drawn from what the user had, where that may come again.
const FAMILIAR: usize = 20;
/// Share of the other negatives drawn from recent positives.
const RECENT_SHARE: f64 = 0.5;

/// What a user chose, and sampled alternatives.
#[derive(Debug, Clone, PartialEq)]
pub struct ChoiceSet {
    /// The chosen item first, then distinct others.
    pub items: Vec<ItemIndex>,
    /// By item: minus the logarithm of how often the sample was expected to hold it.
    pub offsets: Vec<f64>,
}

/// Whether an item could have been recommended to a user at a moment, seen items included: it is
/// in the catalogue, may be shown then, and the user has not hidden it.
pub fn can_be_shown(view: &View, user: &User, item: ItemIndex, now: Timestamp) -> bool {
    let described = view.items.entries[item].item.as_ref();
    described.is_some_and(|item| item.may_be_shown(now))
        && !user.history.find(item).is_some_and(|entry| entry.is_hidden())
}

/// `item` with sampled items of the catalogue. The draw depends on the namespace's seed
/// and the sequence only.
pub fn choice_set(
    view: &View,
    user: &User,
    item: ItemIndex,
    now: Timestamp,
    sequence: u64,
) -> ChoiceSet {
    let mut rng =
        seed::stream(view.settings.seed, seed::Purpose::Negatives, &sequence.to_le_bytes());
    let fits = |items: &[ItemIndex], index: ItemIndex| {
        !items.contains(&index) && can_be_shown(view, user, index, now)
    };
    let mut items = Vec::with_capacity(NEGATIVES + 1);
    items.push(item);
    let had = finished(view, user, now);
    if view.recommends_seen() && !had.is_empty() {
        for _ in 0..FAMILIAR.min(had.len()) * DRAWS_PER_NEGATIVE {
            let index = had[seed::below(&mut rng, had.len())].item;
            if fits(&items, index) {
                items.push(index);
            }
            if items.len() > FAMILIAR.min(had.len()) {
                break;
            }
        }
    }
    let familiar = items.len() - 1;
    let recent = view.recent_positives.items();
    let pool = Pool::new(view, user, now);
    for _ in 0..NEGATIVES * DRAWS_PER_NEGATIVE {
        if items.len() > NEGATIVES {
            break;
        }
        let draws_recent = !recent.is_empty() && seed::unit(&mut rng) < RECENT_SHARE;
        let index = if draws_recent || pool.len() == 0 {
            if recent.is_empty() {
                break;
            }
            recent[seed::below(&mut rng, recent.len())]
        } else {
            pool.nth(seed::below(&mut rng, pool.len()))
        };
        if user.history.find(index).is_none() && fits(&items, index) {
            items.push(index);
        }
    }
    let offsets = offsets(view, user, &items, (familiar, had.len()), pool.len());
    ChoiceSet { items, offsets }
}

/// What the user had and could begin again. An item in use cannot be begun, so it is no
/// alternative to one that is.
fn finished<'a>(view: &View, user: &'a User, now: Timestamp) -> &'a [Consumption] {
    let had = user.history.entries();
    &had[..had.len() - user.history.open(now, view.return_gap.seconds()).len()]
}

/// `familiar` items were drawn of the `had`; `rest`: items that an even draw is made among.
fn offsets(
    view: &View,
    user: &User,
    items: &[ItemIndex],
    (familiar, had): (usize, usize),
    rest: usize,
) -> Vec<f64> {
    let unfamiliar = (items.len() - 1 - familiar).max(1) as f64;
    let recent = &view.recent_positives;
    let recent_share = if recent.items().is_empty() { 0.0 } else { RECENT_SHARE };
    let draws = recent.items().len().max(1) as f64;
    let of_familiar = -math::ln(familiar.max(1) as f64 / had.max(1) as f64);
    let offset = |&item: &ItemIndex| {
        if familiar > 0 && user.history.find(item).is_some() {
            return of_familiar;
        }
        let even = (1.0 - recent_share) / rest.max(1) as f64;
        let expected = even + recent_share * f64::from(recent.occurrences(item)) / draws;
        -math::ln(unfamiliar * expected)
    };
    items.iter().map(offset).collect()
}

/// Rank from 1 of the first score among all, ties counted half: the middle of the
/// ranks it could take.
pub fn rank_of_first(mut scores: impl Iterator<Item = f64>) -> usize {
    let first = scores.next().unwrap_or(f64::NEG_INFINITY);
    let (mut better, mut equal) = (0, 0);
    for score in scores {
        if score > first {
            better += 1;
        } else if score == first {
            equal += 1;
        }
    }
    1 + better + equal / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_the_middle_of_their_ranks() {
        assert_eq!(rank_of_first([1.0, 0.0, 2.0].into_iter()), 2);
        assert_eq!(rank_of_first([0.0; 5].into_iter()), 3);
        assert_eq!(rank_of_first([1.0].into_iter()), 1);
    }
}
