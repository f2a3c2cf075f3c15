//! The set of items among which a consumed item is ranked before it is learnt.

use super::prequential::NEGATIVES;
use super::profile::User;
use super::seed;
use super::view::View;
use crate::numeric::math;

/// Draws per wanted negative before giving up on small or exhausted catalogues.
const DRAWS_PER_NEGATIVE: usize = 3;
/// Of the negatives, those drawn from what the person had, where that may come again.
const FAMILIAR: usize = 20;

/// What a person chose, and sampled alternatives.
#[derive(Debug, Clone, PartialEq)]
pub struct ChoiceSet {
    /// The chosen item first, then distinct others.
    pub items: Vec<u32>,
    /// By item: the logarithm of how many items one sampled from the same part of the
    /// catalogue stands for, relative to the unfamiliar part. Added to the scores it makes
    /// the choice among the sample consistent with one among all (McFadden 1978).
    pub offsets: Vec<f64>,
}

/// `item` with sampled items of the catalogue that the person did not have; where people
/// come back to items, some that they had, too, or what tells one familiar item from
/// another would hardly be learnt. The draw depends on the namespace's seed and the
/// sequence only.
pub fn choice_set(view: &View, user: &User, item: u32, sequence: u64) -> ChoiceSet {
    let mut rng =
        seed::stream(view.settings.seed, seed::Purpose::Negatives, &sequence.to_le_bytes());
    let in_catalogue = |index: u32| view.entries[index as usize].item.is_some();
    let mut items = Vec::with_capacity(NEGATIVES + 1);
    items.push(item);
    let had = user.history.entries();
    if view.recommends_seen() && !had.is_empty() {
        for _ in 0..FAMILIAR.min(had.len()) * DRAWS_PER_NEGATIVE {
            let index = had[seed::below(&mut rng, had.len())].item;
            if in_catalogue(index) && !items.contains(&index) {
                items.push(index);
            }
            if items.len() > FAMILIAR.min(had.len()) {
                break;
            }
        }
    }
    let familiar = items.len() - 1;
    for _ in 0..NEGATIVES * DRAWS_PER_NEGATIVE {
        if items.len() > NEGATIVES {
            break;
        }
        let index = seed::below(&mut rng, view.entries.len()) as u32;
        let fits =
            in_catalogue(index) && !items.contains(&index) && user.history.find(index).is_none();
        if fits {
            items.push(index);
        }
    }
    let offsets = offsets(view, user, &items, familiar);
    ChoiceSet { items, offsets }
}

fn offsets(view: &View, user: &User, items: &[u32], familiar: usize) -> Vec<f64> {
    if familiar == 0 {
        return vec![0.0; items.len()];
    }
    let had = user.history.entries().len();
    let unfamiliar = (items.len() - 1 - familiar).max(1) as f64;
    let rest = view.entries.len().saturating_sub(had).max(1) as f64;
    let offset = math::ln(had as f64 / familiar as f64) - math::ln(rest / unfamiliar);
    let was_had = |item: &u32| user.history.find(*item).is_some();
    items.iter().map(|item| if was_had(item) { offset } else { 0.0 }).collect()
}

/// Rank from 1 of the first score among all, ties counted half: the middle of the
/// places it could take.
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
    fn ties_share_the_middle_of_their_places() {
        assert_eq!(rank_of_first([1.0, 0.0, 2.0].into_iter()), 2);
        assert_eq!(rank_of_first([0.0; 5].into_iter()), 3);
        assert_eq!(rank_of_first([1.0].into_iter()), 1);
    }
}
