//! A map from the embedding of an item to the factors it would have.
//!
//! - Weighted ridge regression with an intercept (the "map" of Gantner et al., "Learning
//!   attribute-to-feature mappings for cold-start recommendations", 2010): an item counts
//!   by its evidence, `n / (n + c)` for n positives.
//! - The ridge is chosen from a short list: the one that explains most of a fixed tenth of the
//!   items, which are held out. The map is scaled by that part (R squared) of their
//!   variance, so content that does not predict factors gives none.
//! - Fitting uses faer, so its result is data of a published model; applying it uses
//!   `numeric` only.

use faer::Mat;
use faer::Side;
use faer::linalg::solvers::Solve;
use serde::Deserialize;
use serde::Serialize;

use crate::numeric;

/// Positives at which an item counts half.
const EVIDENCE_PRIOR: f64 = 5.0;
/// Fewer items make no map.
const ITEMS_MIN: usize = 20;
/// Longest embedding that is mapped: the size of the equations grows with its square.
const DIMENSION_MAX: usize = 1_024;
/// Item `i` is held out when `i % HELD_OUT == 0`, in the order of examples.
const HELD_OUT: usize = 10;
const RIDGES: [f64; 6] = [0.3, 1.0, 3.0, 10.0, 30.0, 100.0];
/// Examples whose products are added up at once.
const CHUNK: usize = 2_048;

/// An item with an embedding and trained factors.
#[derive(Debug, Clone, Copy)]
pub struct MapExample<'a> {
    pub embedding: &'a [f32],
    pub factors: &'a [f32],
    pub positives: u32,
}

/// An affine map, shrunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FactorMap {
    /// Dimension x k, row-major.
    weights: Vec<f32>,
    /// k.
    intercept: Vec<f32>,
    r_squared: f64,
}

/// Sums of weighted products about the weighted means.
struct Sums {
    mean_x: Vec<f64>,
    mean_y: Vec<f64>,
    xx: Mat<f64>,
    xy: Mat<f64>,
}

impl FactorMap {
    /// `None` when there are too few examples or the map explains nothing.
    pub fn fit(examples: &[MapExample<'_>]) -> Option<Self> {
        let dimension = examples.first()?.embedding.len();
        if examples.len() < ITEMS_MIN || dimension > DIMENSION_MAX {
            return None;
        }
        let (held_out, seen) = split(examples);
        let sums = Sums::of(&seen);
        let judged = RIDGES.iter().filter_map(|&ridge| {
            let solution = sums.solve(ridge)?;
            Some((sums.r_squared(&solution, &held_out), ridge))
        });
        let (r_squared, ridge) = judged.max_by(|left, right| left.0.total_cmp(&right.0))?;
        if r_squared.is_nan() || r_squared <= 0.0 {
            return None;
        }
        let sums = Sums::of(examples);
        let solution = sums.solve(ridge)?;
        let k = sums.mean_y.len();
        let offset = |at: usize| {
            let moved = (0..dimension).map(|row| sums.mean_x[row] * solution[(row, at)]);
            sums.mean_y[at] - moved.sum::<f64>()
        };
        let scaled = |value: f64| (value * r_squared) as f32;
        let cells = (0..dimension).flat_map(|row| (0..k).map(move |at| (row, at)));
        let map = Self {
            weights: cells.map(|cell| scaled(solution[cell])).collect(),
            intercept: (0..k).map(|at| scaled(offset(at))).collect(),
            r_squared,
        };
        map.is_whole(k).then_some(map)
    }

    /// The predicted factors of an item; `None` when the embedding has another length.
    pub fn map(&self, embedding: &[f32]) -> Option<Vec<f32>> {
        let k = self.intercept.len();
        (self.weights.len() == embedding.len() * k).then(|| {
            let mut factors = self.intercept.clone();
            numeric::add_vector_matrix(embedding, &self.weights, &mut factors);
            factors
        })
    }

    /// Part of the variance of held-out items that the map explains, 0 to 1.
    pub fn r_squared(&self) -> f64 {
        self.r_squared
    }

    /// Whether data read from a model is a map to `k` factors.
    pub fn is_whole(&self, k: usize) -> bool {
        k > 0
            && self.intercept.len() == k
            && self.weights.len().is_multiple_of(k)
            && self.numbers().all(|value| value.is_finite())
            && self.r_squared.is_finite()
    }

    pub fn numbers(&self) -> impl Iterator<Item = &f32> {
        self.weights.iter().chain(&self.intercept)
    }
}

fn split<'a>(examples: &[MapExample<'a>]) -> (Vec<MapExample<'a>>, Vec<MapExample<'a>>) {
    let (held_out, seen): (Vec<_>, Vec<_>) =
        examples.iter().copied().enumerate().partition(|(position, _)| position % HELD_OUT == 0);
    let items = |part: Vec<(usize, MapExample<'a>)>| part.into_iter().map(|one| one.1).collect();
    (items(held_out), items(seen))
}

fn evidence(example: &MapExample<'_>) -> f64 {
    let positives = f64::from(example.positives);
    positives / (positives + EVIDENCE_PRIOR)
}

impl Sums {
    fn of(examples: &[MapExample<'_>]) -> Self {
        let (d, k) = (examples[0].embedding.len(), examples[0].factors.len());
        let total: f64 = examples.iter().map(evidence).sum();
        let mean_x = mean(examples, d, total, |example| example.embedding);
        let mean_y = mean(examples, k, total, |example| example.factors);
        let (mut xx, mut xy) = (Mat::zeros(d, d), Mat::zeros(d, k));
        for chunk in examples.chunks(CHUNK) {
            let roots: Vec<f64> = chunk.iter().map(|one| evidence(one).sqrt()).collect();
            let x = Mat::from_fn(chunk.len(), d, |row, at| {
                roots[row] * (f64::from(chunk[row].embedding[at]) - mean_x[at])
            });
            let y = Mat::from_fn(chunk.len(), k, |row, at| {
                roots[row] * (f64::from(chunk[row].factors[at]) - mean_y[at])
            });
            xx += x.transpose() * &x;
            xy += x.transpose() * &y;
        }
        Self { mean_x, mean_y, xx, xy }
    }

    fn solve(&self, ridge: f64) -> Option<Mat<f64>> {
        let mut equations = self.xx.clone();
        for position in 0..equations.nrows() {
            equations[(position, position)] += ridge;
        }
        Some(equations.llt(Side::Lower).ok()?.solve(&self.xy))
    }

    fn r_squared(&self, solution: &Mat<f64>, examples: &[MapExample<'_>]) -> f64 {
        let (mut missed, mut all) = (0.0, 0.0);
        for example in examples {
            let weight = evidence(example);
            for (at, (&factor, mean)) in example.factors.iter().zip(&self.mean_y).enumerate() {
                let x = example.embedding.iter().zip(&self.mean_x).enumerate();
                let moved: f64 =
                    x.map(|(row, (&x, mean))| (f64::from(x) - mean) * solution[(row, at)]).sum();
                let beyond = f64::from(factor) - mean;
                missed += weight * (beyond - moved) * (beyond - moved);
                all += weight * beyond * beyond;
            }
        }
        1.0 - missed / all
    }
}

fn mean<'a>(
    examples: &[MapExample<'a>],
    width: usize,
    total: f64,
    part: impl Fn(&MapExample<'a>) -> &'a [f32],
) -> Vec<f64> {
    let mut sum = vec![0.0; width];
    for example in examples {
        for (sum, &value) in sum.iter_mut().zip(part(example)) {
            *sum += evidence(example) / total * f64::from(value);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number in [-1, 1] that looks random.
    fn noise(number: usize) -> f32 {
        let bits = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((bits ^ bits >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / 8_388_608.0 - 1.0
    }

    fn rows(n: usize, width: usize, from: usize) -> Vec<Vec<f32>> {
        (0..n).map(|row| (0..width).map(|at| noise(from + row * width + at)).collect()).collect()
    }

    fn fit(embeddings: &[Vec<f32>], factors: &[Vec<f32>]) -> Option<FactorMap> {
        let pairs = embeddings.iter().zip(factors);
        let examples: Vec<MapExample<'_>> = pairs
            .map(|(embedding, factors)| MapExample { embedding, factors, positives: 50 })
            .collect();
        FactorMap::fit(&examples)
    }

    #[test]
    fn factors_that_follow_from_content_are_predicted() {
        let embeddings = rows(400, 4, 0);
        let factors: Vec<Vec<f32>> =
            embeddings.iter().map(|x| vec![0.5 + x[0] - x[1], 2.0 * x[2]]).collect();
        let map = fit(&embeddings, &factors).unwrap();
        assert!(map.r_squared() > 0.98);
        let found = map.map(&[0.3, -0.2, 0.1, 0.9]).unwrap();
        assert!((found[0] - 1.0).abs() < 0.05 && (found[1] - 0.2).abs() < 0.05, "{found:?}");
        assert_eq!(map.map(&[0.0; 3]), None);
    }

    #[test]
    fn content_that_does_not_predict_factors_gives_next_to_nothing() {
        let map = fit(&rows(400, 4, 0), &rows(400, 2, 9_999));
        let found = map.and_then(|map| map.map(&[1.0; 4])).unwrap_or_else(|| vec![0.0; 2]);
        assert!(found.iter().all(|factor| factor.abs() < 0.05), "{found:?}");
    }
}
