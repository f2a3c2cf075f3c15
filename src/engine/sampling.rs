//! The set of items among which a consumed item is ranked before it is learnt.

use super::prequential::NEGATIVES;
use super::profile::User;
use super::seed;
use super::view::View;

/// Draws per wanted negative before giving up on small or exhausted catalogues.
const DRAWS_PER_NEGATIVE: usize = 3;

/// `item` first, then distinct sampled items of the catalogue that the person did
/// not have. The draw depends on the namespace's seed and the sequence only.
pub fn choice_set(view: &View, user: &User, item: u32, sequence: u64) -> Vec<u32> {
    let mut rng =
        seed::stream(view.settings.seed, seed::Purpose::Negatives, &sequence.to_le_bytes());
    let mut chosen = Vec::with_capacity(NEGATIVES + 1);
    chosen.push(item);
    for _ in 0..NEGATIVES * DRAWS_PER_NEGATIVE {
        if chosen.len() > NEGATIVES {
            break;
        }
        let index = seed::below(&mut rng, view.entries.len()) as u32;
        let fits = view.entries[index as usize].item.is_some()
            && !chosen.contains(&index)
            && (view.recommends_seen() || user.history.find(index).is_none());
        if fits {
            chosen.push(index);
        }
    }
    chosen
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
