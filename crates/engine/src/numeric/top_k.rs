//! Keeps the k best of a stream of scored indices.
//!
//! Invariants
//! - Order: score descending, then index ascending: total, so the result does not depend on the order of arrival.
//! - NaN counts as minus infinity: kept only when nothing better fills the list. Minus zero counts as zero.
//!
//! Method: a buffer of 2k; when it is full, quickselect halves it and its k-th best becomes the threshold.
//! Cost: O(1) amortised per accepted element, one comparison per rejected one.

use std::cmp::Ordering;

/// The `k` best (score, index) pairs seen so far.
#[derive(Debug, Clone)]
pub struct TopK<K = u32> {
    limit: usize,
    buffer: Vec<(f32, K)>,
    /// The k-th best at the last cut; `None` until k were seen and cut.
    worst: Option<(f32, K)>,
}

impl<K: Copy + Ord> TopK<K> {
    /// A selector of the `k` best; with `k` = 0 it keeps nothing.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { limit: k, buffer: Vec::with_capacity(k.saturating_mul(2).min(1 << 16)), worst: None }
    }

    /// Offers one element.
    #[inline]
    pub fn push(&mut self, score: f32, index: K) {
        // Adding +0.0 turns -0.0 into +0.0, so that equal scores compare equal.
        let entry = (if score.is_nan() { f32::NEG_INFINITY } else { score + 0.0 }, index);
        if self.limit == 0 || self.worst.is_some_and(|worst| best_first(&entry, &worst).is_ge()) {
            return;
        }
        self.buffer.push(entry);
        if self.buffer.len() >= self.limit.saturating_mul(2) {
            self.cut();
        }
    }

    /// A score at or below which no element with an index above all those pushed can enter any more; `None` while
    /// anything can.
    #[inline]
    #[must_use]
    pub fn threshold(&self) -> Option<f32> {
        self.worst.map(|(score, _)| score)
    }

    /// The best elements as (index, score), best first.
    #[must_use]
    pub fn into_sorted_vec(mut self) -> Vec<(K, f32)> {
        self.buffer.sort_unstable_by(best_first);
        self.buffer.truncate(self.limit);
        self.buffer.into_iter().map(|(score, index)| (index, score)).collect()
    }

    #[cold]
    fn cut(&mut self) {
        let (_, worst, _) = self.buffer.select_nth_unstable_by(self.limit - 1, best_first);
        self.worst = Some(*worst);
        self.buffer.truncate(self.limit);
    }
}

/// Higher score first, then lower index.
#[inline]
fn best_first<K: Ord>(a: &(f32, K), b: &(f32, K)) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::lanes::tests_support::noise;

    fn select(k: usize, scores: &[f32]) -> Vec<(u32, f32)> {
        let mut top = TopK::new(k);
        for (index, score) in scores.iter().enumerate() {
            top.push(*score, index as u32);
        }
        top.into_sorted_vec()
    }

    #[test]
    fn the_best_come_out_as_a_full_sort_would_give_them() {
        let scores: Vec<f32> = noise(5000, 21).iter().map(|x| (x * 50.0).round()).collect();
        let mut all: Vec<(u32, f32)> =
            scores.iter().enumerate().map(|(i, s)| (i as u32, *s + 0.0)).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for k in [1, 2, 10, 333, 5000, 6000] {
            assert_eq!(select(k, &scores), all[..k.min(5000)]);
        }
    }

    #[test]
    fn arrival_order_does_not_matter() {
        let scores = noise(500, 22);
        let mut backwards = TopK::new(20);
        for (index, score) in scores.iter().enumerate().rev() {
            backwards.push(*score, index as u32);
        }
        assert_eq!(backwards.into_sorted_vec(), select(20, &scores));
    }

    #[test]
    fn nan_and_minus_infinity_come_last_and_ties_go_to_the_lower_index() {
        let scores = [f32::NAN, 1.0, f32::NEG_INFINITY, -5.0, 1.0, -0.0, 0.0];
        let order: Vec<u32> = select(7, &scores).iter().map(|(index, _)| *index).collect();
        assert_eq!(order, [1, 4, 5, 6, 3, 0, 2]);
        assert_eq!(select(2, &[f32::NAN, f32::NAN, f32::NAN, f32::NAN, 2.0])[0], (4, 2.0));
    }

    #[test]
    fn nothing_is_kept_when_nothing_is_asked() {
        assert!(select(0, &[1.0, 2.0]).is_empty());
        assert!(select(3, &[]).is_empty());
    }

    #[test]
    fn the_threshold_appears_once_elements_can_be_rejected() {
        let mut top = TopK::new(2);
        for (index, score) in [5.0, 4.0, 3.0].into_iter().enumerate() {
            top.push(score, index as u32);
            assert_eq!(top.threshold(), None);
        }
        top.push(6.0, 3);
        assert_eq!(top.threshold(), Some(5.0));
    }
}
