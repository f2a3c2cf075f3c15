//! What makes a list good besides accuracy, one function each.
//!
//! - `list`: recommended items, best first, without repeats; only its first `k` count.
//! - Not all of these are better when higher, and none is bounded by accuracy: they
//!   are read together with NDCG, never alone.
//! - `None`: the list says nothing about it, such as the diversity of one item.

use crate::numeric::math;

/// Share of the list's own topics mixed into the user's, so that the divergence is
/// finite when a topic is missing from the list (Steck 2018, equation 7).
const CALIBRATION_ALPHA: f64 = 0.01;

/// How often each item of a catalogue of `items` is among the first `k` of a list.
pub fn exposures<'a>(k: usize, lists: impl Iterator<Item = &'a [u32]>, items: usize) -> Vec<u32> {
    let mut shown = vec![0; items];
    for item in lists.flat_map(|list| list.iter().take(k)) {
        shown[*item as usize] += 1;
    }
    shown
}

/// Share of the catalogue that was shown at all. NaN for an empty catalogue.
pub fn catalogue_coverage(exposures: &[u32]) -> f64 {
    let shown = exposures.iter().filter(|&&shown| shown > 0).count();
    shown as f64 / exposures.len() as f64
}

/// Gini coefficient of the exposures: 0 when every item is shown equally often, near
/// 1 when a few take everything. NaN when nothing was shown.
pub fn gini(exposures: &[u32]) -> f64 {
    let mut ascending = exposures.to_vec();
    ascending.sort_unstable();
    let n = ascending.len() as f64;
    let total: f64 = ascending.iter().map(|&shown| f64::from(shown)).sum();
    let weighted: f64 = (1..)
        .zip(&ascending)
        .map(|(rank, &shown)| (2.0 * f64::from(rank) - n - 1.0) * f64::from(shown))
        .sum();
    weighted / (n * total)
}

/// Mean self-information of the items in bits: -log2 of the share of all `total`
/// training positives that an item has (Zhou et al. 2010). An item without any counts
/// as if it had one.
pub fn novelty_at(k: usize, list: &[u32], counts: &[u32], total: u64) -> Option<f64> {
    let information = |item: &u32| {
        let share = f64::from(counts[*item as usize].max(1)) / total.max(1) as f64;
        -math::log2(share)
    };
    mean(list.iter().take(k).map(information))
}

/// Mean distance of all pairs (Ziegler et al. 2005); pairs without a distance are left
/// out.
pub fn intra_list_diversity_at(
    k: usize,
    list: &[u32],
    distance: impl Fn(u32, u32) -> Option<f64>,
) -> Option<f64> {
    let list = &list[..k.min(list.len())];
    let pairs = list.iter().enumerate().flat_map(|(at, &one)| {
        let distance = &distance;
        list[at + 1..].iter().filter_map(move |&other| distance(one, other))
    });
    mean(pairs)
}

/// Share of `k` positions that hold a relevant item which popularity alone would not have
/// listed: useful and unexpected (Ge, Delgado-Battenfeld and Jannach 2010). `expected`
/// is popularity's list; `relevant` is ascending.
pub fn serendipity_at(k: usize, list: &[u32], relevant: &[u32], expected: &[u32]) -> f64 {
    let expected = &expected[..k.min(expected.len())];
    let is_find = |item: &&u32| relevant.binary_search(item).is_ok() && !expected.contains(item);
    list.iter().take(k).filter(is_find).count() as f64 / k as f64
}

/// Shares of topics over items, each item spreading a weight of one over its topics;
/// sorted by topic, adding up to one. Empty when no item has a topic.
pub fn topic_shares<'a>(items: impl Iterator<Item = &'a [u32]>) -> Vec<(u32, f64)> {
    let mut masses: Vec<(u32, f64)> = items
        .flat_map(|topics| topics.iter().map(|topic| (*topic, 1.0 / topics.len() as f64)))
        .collect();
    masses.sort_by_key(|&(topic, _)| topic);
    masses.dedup_by(|next, kept| {
        let is_same = next.0 == kept.0;
        if is_same {
            kept.1 += next.1;
        }
        is_same
    });
    let total: f64 = masses.iter().map(|(_, mass)| mass).sum();
    masses.iter_mut().for_each(|(_, mass)| *mass /= total);
    masses
}

/// Calibration error (Steck 2018): the Kullback-Leibler divergence, in nats, of the
/// list's topic shares from those of what the user chose. 0: the list has the user's
/// mix. `None` where either is unknown.
pub fn calibration_error(chosen: &[(u32, f64)], listed: &[(u32, f64)]) -> Option<f64> {
    if chosen.is_empty() || listed.is_empty() {
        return None;
    }
    let part = |&(topic, p): &(u32, f64)| {
        let found = listed.binary_search_by_key(&topic, |&(topic, _)| topic);
        let q = found.map_or(0.0, |at| listed[at].1);
        p * math::ln(p / ((1.0 - CALIBRATION_ALPHA) * q + CALIBRATION_ALPHA * p))
    };
    Some(chosen.iter().filter(|(_, p)| *p > 0.0).map(part).sum())
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0_u32), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(value: f64, golden: f64) {
        assert!((value - golden).abs() < 1e-12, "{value} is not {golden}");
    }

    #[test]
    fn coverage_counts_each_item_once_and_only_within_k() {
        let lists: [&[u32]; 3] = [&[0, 1, 5], &[1, 0, 6], &[2]];
        assert_close(catalogue_coverage(&exposures(2, lists.into_iter(), 10)), 0.3);
        assert_close(catalogue_coverage(&exposures(3, lists.into_iter(), 10)), 0.5);
    }

    #[test]
    fn gini_is_zero_for_equal_exposure_and_grows_with_concentration() {
        assert_close(gini(&[3, 3, 3, 3]), 0.0);
        // All on one of four: (2 * 4 - 4 - 1) * 8 / (4 * 8).
        assert_close(gini(&[0, 8, 0, 0]), 0.75);
        // Ascending 1 2 3 4: (-3 * 1 - 1 * 2 + 1 * 3 + 3 * 4) / (4 * 10).
        assert_close(gini(&[4, 1, 3, 2]), 0.25);
        assert!(gini(&[0, 0]).is_nan());
    }

    #[test]
    fn novelty_is_the_mean_self_information_in_bits() {
        let counts = [8, 4, 0, 4];
        // 16 positives: log2(16/8) = 1, log2(16/4) = 2, an unseen item log2(16/1) = 4.
        assert_eq!(novelty_at(3, &[0, 1, 2], &counts, 16), Some(7.0 / 3.0));
        assert_eq!(novelty_at(1, &[0, 1, 2], &counts, 16), Some(1.0));
        assert_eq!(novelty_at(3, &[], &counts, 16), None);
    }

    #[test]
    fn diversity_is_the_mean_distance_of_the_pairs_that_have_one() {
        let distance = |a: u32, b: u32| (a != 9 && b != 9).then(|| f64::from(a.abs_diff(b)));
        // |1-2| + |1-4| + |2-4| over three pairs; those with item 9 do not count.
        assert_eq!(intra_list_diversity_at(4, &[1, 2, 4, 9], distance), Some(2.0));
        assert_eq!(intra_list_diversity_at(2, &[1, 2, 4, 9], distance), Some(1.0));
        assert_eq!(intra_list_diversity_at(1, &[1, 2], distance), None);
    }

    #[test]
    fn serendipity_counts_hits_that_popularity_misses() {
        assert_close(serendipity_at(4, &[7, 3, 8, 1], &[1, 3, 8], &[3, 4, 5, 6, 8]), 0.5);
        // Within two positions popularity does not list item 8 and the list not item 1.
        assert_close(serendipity_at(2, &[8, 3, 1], &[1, 3, 8], &[3, 4, 8]), 0.5);
        assert_close(serendipity_at(10, &[8], &[8], &[]), 0.1);
    }

    #[test]
    fn an_item_spreads_its_weight_over_its_topics() {
        let items: [&[u32]; 3] = [&[0, 2], &[2], &[]];
        assert_eq!(topic_shares(items.into_iter()), [(0, 0.25), (2, 0.75)]);
        let none: [&[u32]; 1] = [&[]];
        assert!(topic_shares(none.into_iter()).is_empty());
    }

    #[test]
    fn calibration_error_is_stecks_divergence() {
        let chosen = [(0, 0.75), (1, 0.25)];
        assert!(calibration_error(&chosen, &chosen).unwrap().abs() < 1e-12);
        // q~ = .99 * 0 + .01 * .75 for topic 0 and .99 * 1 + .01 * .25 for topic 1:
        // .75 ln(.75 / .0075) + .25 ln(.25 / .9925).
        let golden = 0.75 * 100.0_f64.ln() + 0.25 * (0.25_f64 / 0.9925).ln();
        assert_close(calibration_error(&chosen, &[(1, 1.0)]).unwrap(), golden);
        assert_eq!(calibration_error(&[], &chosen), None);
        assert_eq!(calibration_error(&chosen, &[]), None);
    }
}
