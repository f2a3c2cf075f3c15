//! Sparse unit vectors over the vocabulary.
//!
//! - Sorted by term, each term once, no zeros, finite, length 1 (or empty).
//! - At most [`VECTOR_TERMS`] terms, the heaviest: a page of text has hundreds of
//!   terms, of which the light ones cost time and hardly turn the vector.
//! - Sums run in order of terms; squares are summed in f64.
//!
//! Cost: 8 bytes per term; `dot` is linear in the terms of both.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

/// Terms of a vector at most. Bounds the memory of an item in one language to 2 KiB and a score
/// to well below a microsecond, whatever the length of the text.
pub const VECTOR_TERMS: usize = 256;

/// A unit vector, or the empty one; cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SparseVector {
    terms: Arc<[(u32, f32)]>,
}

impl SparseVector {
    /// The unit vector in the direction of `weights`, in any order; weights of the
    /// same term add up in the order given, those that are not finite are left out.
    pub fn new(mut weights: Vec<(u32, f32)>) -> Self {
        weights.retain(|(_, weight)| weight.is_finite());
        weights.sort_by_key(|&(term, _)| term);
        weights.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        // Two finite weights can add up to an infinite one.
        weights.retain(|(_, weight)| weight.is_finite());
        Self::from_sorted(weights)
    }

    /// As [`Self::new`], for finite weights in rising order of distinct terms.
    pub(crate) fn from_sorted(mut weights: Vec<(u32, f32)>) -> Self {
        keep_heaviest(&mut weights, VECTOR_TERMS);
        Self::of_length_one(weights)
    }

    /// The direction of the heaviest `most` terms alone.
    pub(crate) fn shortened(&self, most: usize) -> Self {
        if self.len() <= most {
            return self.clone();
        }
        let mut weights = self.terms.to_vec();
        keep_heaviest(&mut weights, most);
        Self::of_length_one(weights)
    }

    fn of_length_one(mut weights: Vec<(u32, f32)>) -> Self {
        let norm = euclidean(&weights);
        if norm == 0.0 {
            return Self::default();
        }
        for (_, weight) in &mut weights {
            *weight = (f64::from(*weight) / norm) as f32;
        }
        weights.retain(|&(_, weight)| weight != 0.0);
        Self { terms: weights.into() }
    }

    /// Terms in rising order with their weights.
    pub fn terms(&self) -> &[(u32, f32)] {
        &self.terms
    }

    pub fn len(&self) -> usize {
        self.terms.len()
    }

    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Sum of the products of common terms.
    pub fn dot(&self, other: &Self) -> f32 {
        let (left, right) = (&*self.terms, &*other.terms);
        let (mut l, mut r, mut sum) = (0, 0, 0.0_f32);
        while l < left.len() && r < right.len() {
            let ((a, x), (b, y)) = (left[l], right[r]);
            if a == b {
                sum += x * y;
            }
            // Without a branch on which is smaller: it could not be predicted.
            l += usize::from(a <= b);
            r += usize::from(b <= a);
        }
        sum
    }

    /// Length: 1 up to rounding, or 0 when empty.
    pub fn norm(&self) -> f32 {
        euclidean(&self.terms) as f32
    }

    /// Cosine of the angle, in [-1, 1]; 0 when either is empty.
    pub fn cosine(&self, other: &Self) -> f32 {
        self.dot(other).clamp(-1.0, 1.0)
    }
}

pub(crate) fn euclidean(weights: &[(u32, f32)]) -> f64 {
    weights.iter().map(|&(_, weight)| f64::from(weight) * f64::from(weight)).sum::<f64>().sqrt()
}

/// Drops the lightest until `most` are left; of equals the later terms.
fn keep_heaviest(weights: &mut Vec<(u32, f32)>, most: usize) {
    if weights.len() <= most {
        return;
    }
    weights.select_nth_unstable_by(most, |left, right| {
        right.1.abs().total_cmp(&left.1.abs()).then(left.0.cmp(&right.0))
    });
    weights.truncate(most);
    weights.sort_unstable_by_key(|&(term, _)| term);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_vector_is_sorted_merged_and_of_length_one() {
        let vector = SparseVector::new(vec![(7, 3.0), (2, 1.5), (2, 2.5), (9, 0.0)]);
        assert_eq!(vector.terms(), [(2, 0.8), (7, 0.6)]);
        assert_eq!(vector.norm(), 1.0);
    }

    #[test]
    fn a_vector_without_direction_is_empty() {
        for weights in [vec![], vec![(1, 0.0)], vec![(1, f32::NAN)], vec![(1, 2.0), (1, -2.0)]] {
            let vector = SparseVector::new(weights);
            assert!(vector.is_empty());
            assert_eq!((vector.norm(), vector.cosine(&vector)), (0.0, 0.0));
        }
        assert!(SparseVector::new(vec![(1, f32::MAX), (1, f32::MAX)]).is_empty());
    }

    #[test]
    fn extreme_weights_give_a_unit_vector() {
        for weight in [f32::MAX, f32::MIN_POSITIVE, 1e-45] {
            let vector = SparseVector::new(vec![(0, weight), (1, -weight)]);
            assert!((vector.norm() - 1.0).abs() < 1e-6, "{weight}");
        }
    }

    #[test]
    fn long_texts_keep_their_heaviest_terms_and_of_equals_the_first() {
        let mut weights: Vec<(u32, f32)> = (0..1000).map(|term| (term, 1.0)).collect();
        weights[999].1 = 2.0;
        let vector = SparseVector::new(weights);
        assert_eq!(vector.len(), VECTOR_TERMS);
        assert_eq!((vector.terms()[254].0, vector.terms()[255].0), (254, 999));
        assert!((vector.norm() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_dot_product_takes_common_terms_only() {
        let left = SparseVector::new(vec![(1, 3.0), (5, 4.0)]);
        let right = SparseVector::new(vec![(0, 3.0), (5, 4.0)]);
        assert!((left.dot(&right) - 0.64).abs() < 1e-6);
        assert_eq!(left.dot(&SparseVector::default()), 0.0);
    }

    /// Numbers from integers: the float ranges of proptest 1.12 panic now and then
    /// (`float_samplers.rs`, "self.low - result < initial.step").
    fn weights(terms: u32, range: std::ops::Range<i16>) -> impl Strategy<Value = Vec<(u32, f32)>> {
        let weight = range.prop_map(|number| f32::from(number) / 97.0);
        prop::collection::vec((0..terms, weight), 0..400)
    }

    proptest! {
        #[test]
        fn cosine_of_non_negative_vectors_is_within_zero_and_one(
            left in weights(300, 0..1000),
            right in weights(300, 0..1000),
        ) {
            let (left, right) = (SparseVector::new(left), SparseVector::new(right));
            let cosine = left.cosine(&right);
            prop_assert!((0.0..=1.0).contains(&cosine));
            prop_assert_eq!(cosine, right.cosine(&left));
            prop_assert!(left.is_empty() || (left.cosine(&left) - 1.0).abs() < 1e-5);
        }

        #[test]
        fn the_dot_product_equals_the_sum_over_all_pairs(
            left in weights(60, -1000..1000),
            right in weights(60, -1000..1000),
        ) {
            let (left, right) = (SparseVector::new(left), SparseVector::new(right));
            let mut expected = 0.0_f32;
            for (a, x) in left.terms() {
                for (b, y) in right.terms() {
                    expected += if a == b { x * y } else { 0.0 };
                }
            }
            prop_assert_eq!(left.dot(&right), expected);
        }
    }
}
