//! Accuracy of rankings, one function each, over one case.
//!
//! - `list`: recommended items, best first, without repeats. `relevant`: the items
//!   that should be in it, ascending, without repeats, not empty.
//! - `rank` counts from 1.
//! - Gain is binary; the discount of a rank is 1 / log2(rank + 1) (Järvelin and
//!   Kekäläinen 2002).
//! - Every value lies in 0..=1 and higher is better.

use crate::numeric::math;

/// Discount of a rank: 1 at rank 1, .63 at rank 2, .5 at rank 3.
fn discount(rank: usize) -> f64 {
    1.0 / math::log2(rank as f64 + 1.0)
}

fn hits<'a>(list: &'a [u32], relevant: &'a [u32], k: usize) -> impl Iterator<Item = usize> + 'a {
    let is_hit = |(position, item): (usize, &u32)| {
        relevant.binary_search(item).is_ok().then_some(position + 1)
    };
    list.iter().take(k).enumerate().filter_map(is_hit)
}

/// Share of the relevant items that are among the first `k`.
pub fn recall_at(k: usize, list: &[u32], relevant: &[u32]) -> f64 {
    hits(list, relevant, k).count() as f64 / relevant.len() as f64
}

/// Discounted gain of the first `k`, relative to the best that `relevant` allows:
/// all of the first min(k, relevant) positions hit.
pub fn ndcg_at(k: usize, list: &[u32], relevant: &[u32]) -> f64 {
    let gain: f64 = hits(list, relevant, k).map(discount).sum();
    let ideal: f64 = (1..=k.min(relevant.len())).map(discount).sum();
    gain / ideal
}

/// 1 when any relevant item is among the first `k`, else 0.
pub fn hit_at(k: usize, list: &[u32], relevant: &[u32]) -> f64 {
    f64::from(u8::from(hits(list, relevant, k).next().is_some()))
}

/// 1 / rank of the first relevant item, 0 when none is among the first `k`.
pub fn reciprocal_rank_at(k: usize, list: &[u32], relevant: &[u32]) -> f64 {
    hits(list, relevant, k).next().map_or(0.0, |rank| 1.0 / rank as f64)
}

/// Mean of the precisions at the ranks of the hits among the first `k`, relative to
/// min(k, relevant) hits: average precision, whose mean over cases is MAP (Manning,
/// Raghavan and Schütze 2008, 8.4, cut at `k`).
pub fn average_precision_at(k: usize, list: &[u32], relevant: &[u32]) -> f64 {
    let precisions =
        (1..).zip(hits(list, relevant, k)).map(|(hits, rank)| hits as f64 / rank as f64);
    precisions.sum::<f64>() / k.min(relevant.len()) as f64
}

/// 1 when `rank` is at most `k`, else 0.
pub fn rank_hit_at(k: usize, rank: u32) -> f64 {
    f64::from(u8::from(rank as usize <= k))
}

/// Discount of `rank` when it is at most `k`, else 0. With one relevant item the
/// ideal is 1, so this is its NDCG too.
pub fn rank_dcg_at(k: usize, rank: u32) -> f64 {
    if rank as usize <= k { discount(rank as usize) } else { 0.0 }
}

/// 1 / `rank`, over the whole ranking.
pub fn reciprocal_rank(rank: u32) -> f64 {
    1.0 / f64::from(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 / log2(3), the discount of rank 2.
    const DISCOUNT_2: f64 = 0.630_929_753_571_457_4;
    /// 1 / log2(5), the discount of rank 4.
    const DISCOUNT_4: f64 = 0.430_676_558_073_393_06;
    /// Hits at ranks 2 and 4; item 9 is missed.
    const LIST: [u32; 5] = [7, 3, 8, 1, 2];
    const RELEVANT: [u32; 3] = [1, 3, 9];

    fn assert_close(value: f64, golden: f64) {
        assert!((value - golden).abs() < 1e-12, "{value} is not {golden}");
    }

    #[test]
    fn recall_is_the_share_of_relevant_items_found() {
        assert_close(recall_at(1, &LIST, &RELEVANT), 0.0);
        assert_close(recall_at(3, &LIST, &RELEVANT), 1.0 / 3.0);
        assert_close(recall_at(5, &LIST, &RELEVANT), 2.0 / 3.0);
    }

    #[test]
    fn ndcg_divides_by_the_best_possible_within_k() {
        // Ideal within 5: ranks 1, 2, 3 = 1 + .6309 + .5; within 2: 1 + .6309.
        assert_close(ndcg_at(5, &LIST, &RELEVANT), (DISCOUNT_2 + DISCOUNT_4) / (1.5 + DISCOUNT_2));
        assert_close(ndcg_at(2, &LIST, &RELEVANT), DISCOUNT_2 / (1.0 + DISCOUNT_2));
        assert_close(ndcg_at(3, &[9, 1, 3], &RELEVANT), 1.0);
    }

    #[test]
    fn hit_and_reciprocal_rank_look_at_the_first_hit() {
        assert_close(hit_at(1, &LIST, &RELEVANT), 0.0);
        assert_close(hit_at(2, &LIST, &RELEVANT), 1.0);
        assert_close(reciprocal_rank_at(1, &LIST, &RELEVANT), 0.0);
        assert_close(reciprocal_rank_at(5, &LIST, &RELEVANT), 0.5);
    }

    #[test]
    fn a_list_shorter_than_k_or_empty_counts_what_it_has() {
        assert_close(recall_at(10, &[3], &RELEVANT), 1.0 / 3.0);
        assert_close(ndcg_at(10, &[], &RELEVANT), 0.0);
    }

    #[test]
    fn average_precision_is_the_mean_precision_at_the_hits() {
        // Hits at 2 and 4: (1/2 + 2/4) / 3; within 3 only the first: (1/2) / 3.
        assert_close(average_precision_at(5, &LIST, &RELEVANT), 1.0 / 3.0);
        assert_close(average_precision_at(3, &LIST, &RELEVANT), 1.0 / 6.0);
        assert_close(average_precision_at(1, &[9, 7], &RELEVANT), 1.0);
    }

    #[test]
    fn metrics_of_a_rank_agree_with_those_of_a_list_with_one_relevant_item() {
        for rank in 1..=5_u32 {
            let relevant = [LIST[rank as usize - 1]];
            for k in [1, 3, 5] {
                assert_close(rank_hit_at(k, rank), recall_at(k, &LIST, &relevant));
                assert_close(rank_dcg_at(k, rank), ndcg_at(k, &LIST, &relevant));
            }
            assert_close(reciprocal_rank(rank), reciprocal_rank_at(5, &LIST, &relevant));
        }
    }
}
