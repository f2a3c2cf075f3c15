//! The direction of a sum of vectors, to compare with many candidates.
//!
//! - A weighted sum of unit vectors, scaled to length 1. Negative weights push
//!   away: what a user disliked.
//! - Weights of one term add up in the order of the parts, the length in order of
//!   terms: the same parts in the same order give the same bits.
//! - Layout: one bit per term of the vocabulary with running counts, and the
//!   weights of the set bits next to each other. A term is found by two loads without
//!   search. The size is a tenth of a dense array, so centroids of many
//!   users fit in a cache.
//!
//! Cost: building is linear in the terms of all parts plus 1/64 of the vocabulary;
//! 16 bytes per 64 terms of the vocabulary plus 4 bytes per distinct term.

use crate::models::content::vector::SparseVector;
use crate::models::content::vectors::TermVectors;

const BLOCK_BITS: u32 = 6;

/// Sixty-four terms of the vocabulary.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Block {
    present: u64,
    /// Terms present in all earlier blocks.
    before: u32,
}

/// A weighted sum of vectors, scaled to length 1, or empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Centroid {
    blocks: Vec<Block>,
    weights: Vec<f32>,
}

impl Centroid {
    /// The direction of the sum of the parts. A part whose weight is not finite is left
    /// out; a sum without direction gives the empty centroid.
    pub fn new<'a>(parts: impl IntoIterator<Item = (f32, &'a SparseVector)>) -> Self {
        let parts: Vec<(f32, &SparseVector)> = parts
            .into_iter()
            .filter(|(weight, vector)| weight.is_finite() && *weight != 0.0 && !vector.is_empty())
            .collect();
        let mut centroid = Self::shape(&parts);
        for (scale, vector) in &parts {
            for &(term, weight) in vector.terms() {
                if let Some(at) = centroid.place(term) {
                    centroid.weights[at] += scale * weight;
                }
            }
        }
        centroid.normalise()
    }

    /// Similarity to `vector`, in [-1, 1]; 0 when either is empty.
    pub fn score(&self, vector: &SparseVector) -> f32 {
        let mut sum = 0.0_f32;
        for &(term, weight) in vector.terms() {
            sum += self.weight(term) * weight;
        }
        sum.clamp(-1.0, 1.0)
    }

    /// Similarity to the most similar of an item's languages: what an item says in others neither
    /// lowers nor raises it.
    pub fn score_best(&self, vectors: &TermVectors) -> f32 {
        vectors.best(|vector| self.score(vector))
    }

    /// Weight of `term`; 0 when no part has it. Explains a score term by term.
    pub fn weight(&self, term: u32) -> f32 {
        self.place(term).map_or(0.0, |at| self.weights[at])
    }

    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// Terms in rising order with their weights.
    pub fn terms(&self) -> impl Iterator<Item = (u32, f32)> {
        let terms = self.blocks.iter().zip(0_u32..).flat_map(|(block, number)| {
            (0..u64::BITS)
                .filter(|bit| block.present >> bit & 1 == 1)
                .map(move |bit| (number << BLOCK_BITS) | bit)
        });
        terms.zip(self.weights.iter().copied())
    }

    /// All terms of the parts, with weights of zero.
    fn shape(parts: &[(f32, &SparseVector)]) -> Self {
        let last = parts.iter().filter_map(|(_, vector)| vector.terms().last()).map(|last| last.0);
        let Some(last) = last.max() else {
            return Self::default();
        };
        let mut blocks = vec![Block::default(); (last >> BLOCK_BITS) as usize + 1];
        for (_, vector) in parts {
            for &(term, _) in vector.terms() {
                blocks[(term >> BLOCK_BITS) as usize].present |= bit(term);
            }
        }
        let mut present = 0;
        for block in &mut blocks {
            block.before = present;
            present += block.present.count_ones();
        }
        Self { blocks, weights: vec![0.0; present as usize] }
    }

    /// The index of the weight of `term`.
    fn place(&self, term: u32) -> Option<usize> {
        let block = self.blocks.get((term >> BLOCK_BITS) as usize)?;
        let bit = bit(term);
        (block.present & bit != 0)
            .then(|| (block.before + (block.present & (bit - 1)).count_ones()) as usize)
    }

    fn normalise(mut self) -> Self {
        let squares: f64 = self.weights.iter().map(|&w| f64::from(w) * f64::from(w)).sum();
        let norm = squares.sqrt();
        if norm == 0.0 || !norm.is_finite() {
            return Self::default();
        }
        for weight in &mut self.weights {
            *weight = (f64::from(*weight) / norm) as f32;
        }
        self
    }
}

fn bit(term: u32) -> u64 {
    1 << (term & ((1 << BLOCK_BITS) - 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers from integers: the float ranges of proptest 1.12 panic now and then
    /// (`float_samplers.rs`, "self.low - result < initial.step").
    fn hundredths(range: std::ops::Range<i16>) -> impl Strategy<Value = f32> {
        range.prop_map(|number| f32::from(number) / 100.0)
    }

    fn vectors() -> impl Strategy<Value = Vec<(f32, SparseVector)>> {
        let vector = prop::collection::vec((0..2000_u32, hundredths(1..1000)), 0..60);
        prop::collection::vec((hundredths(-200..200), vector.prop_map(SparseVector::new)), 0..20)
    }

    fn centroid(parts: &[(f32, SparseVector)]) -> Centroid {
        Centroid::new(parts.iter().map(|(weight, vector)| (*weight, vector)))
    }

    #[test]
    fn one_part_is_its_own_centroid_and_a_disliked_one_its_opposite() {
        let vector = SparseVector::new(vec![(3, 1.0), (64, 2.0), (900, 0.5)]);
        assert!((Centroid::new([(2.0, &vector)]).score(&vector) - 1.0).abs() < 1e-6);
        assert!((Centroid::new([(-2.0, &vector)]).score(&vector) + 1.0).abs() < 1e-6);
    }

    #[test]
    fn without_a_direction_the_score_is_zero() {
        let vector = SparseVector::new(vec![(3, 1.0)]);
        let empty = SparseVector::default();
        for parts in [
            vec![],
            vec![(1.0, &empty)],
            vec![(f32::NAN, &vector)],
            vec![(1.0, &vector), (-1.0, &vector)],
            vec![(f32::MAX, &vector), (f32::MAX, &vector)],
        ] {
            let centroid = Centroid::new(parts);
            assert!(centroid.is_empty());
            assert_eq!(centroid.score(&vector), 0.0);
        }
        assert_eq!(Centroid::new([(1.0, &vector)]).score(&empty), 0.0);
    }

    #[test]
    fn disliked_items_push_similar_items_below_zero() {
        let liked = SparseVector::new(vec![(1, 1.0), (2, 1.0)]);
        let disliked = SparseVector::new(vec![(2, 1.0), (3, 1.0)]);
        let centroid = Centroid::new([(1.0, &liked), (-0.5, &disliked)]);
        assert!(centroid.score(&liked) > 0.0);
        assert!(centroid.score(&SparseVector::new(vec![(3, 1.0)])) < 0.0);
    }

    proptest! {
        #[test]
        fn scores_equal_the_naive_sum_of_dot_products(parts in vectors(), other in vectors()) {
            let centroid = centroid(&parts);
            let mut sum = vec![0.0_f64; 2000];
            for (weight, vector) in &parts {
                for &(term, value) in vector.terms() {
                    sum[term as usize] += f64::from(*weight) * f64::from(value);
                }
            }
            let norm = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
            prop_assume!(norm > 1e-3 || norm == 0.0);
            for (_, candidate) in &other {
                let naive: f64 = candidate
                    .terms()
                    .iter()
                    .map(|&(term, value)| sum[term as usize] * f64::from(value))
                    .sum();
                let expected = if norm == 0.0 { 0.0 } else { naive / norm };
                prop_assert!((f64::from(centroid.score(candidate)) - expected).abs() < 1e-3);
            }
        }

        #[test]
        fn the_terms_are_those_that_the_weights_say(parts in vectors()) {
            let centroid = centroid(&parts);
            let terms: Vec<(u32, f32)> = centroid.terms().collect();
            prop_assert!(terms.is_sorted_by(|left, right| left.0 < right.0));
            prop_assert_eq!(terms.len(), centroid.weights.len());
            for (term, weight) in terms {
                prop_assert_eq!(centroid.weight(term), weight);
            }
            prop_assert_eq!(centroid.weight(5000), 0.0);
        }
    }
}
