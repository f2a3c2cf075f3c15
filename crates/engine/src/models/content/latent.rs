//! A space of few dimensions in which items with related words are near each other.
//!
//! Latent semantic analysis (Deerwester et al. 1990): the right singular vectors of the
//! item-term matrix of TF-IDF, by the randomized method with power iterations of Halko,
//! Martinsson, Tropp, "Finding structure with randomness", 2011, algorithms 4.4 and 5.1.
//!
//! - [`Latent::fit`] uses faer, so its result is data of a published model.
//! - [`Latent::project`] uses `numeric` only: the same bits on every processor.
//!
//! Cost: `fit` reads the matrix eight times; `project` is terms of the item x rank.

use faer::Mat;
use faer::MatRef;
use rand_chacha::rand_core::Rng;
use serde::Deserialize;
use serde::Serialize;

use crate::models::content::vector::SparseVector;
use crate::numeric;
use crate::numeric::math;
use crate::seed;

/// Dimensions at most.
pub const RANK_MAX: usize = 64;
/// Items at most that a space is fitted to, spread evenly over the catalogue.
const ITEMS_MAX: usize = 50_000;
/// With fewer items there is no space.
const ITEMS_MIN: usize = 8;
/// Directions tried beyond those that are kept.
const OVERSAMPLING: usize = 10;
const POWER_ITERATIONS: usize = 3;
/// Directions weaker than this part of the strongest are rounding errors.
const WEAKEST: f64 = 1e-6;

/// The projection of terms, one row of `rank` numbers each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latent {
    rank: usize,
    /// Sorted.
    terms: Vec<u32>,
    values: Vec<f32>,
}

/// Row-major, `width` wide.
struct Rows {
    width: usize,
    values: Vec<f64>,
}

/// Items as (index of the term, weight).
struct ItemTerms {
    terms: usize,
    items: Vec<Vec<(usize, f64)>>,
}

impl Latent {
    /// The space of at most `rank` dimensions that keeps most of the vectors; `None` when
    /// they are too few or the arithmetic fails.
    pub fn fit(vectors: &[&SparseVector], rank: usize, seed: u64) -> Option<Self> {
        let stride = vectors.len().div_ceil(ITEMS_MAX).max(1);
        let sample: Vec<&SparseVector> = vectors.iter().step_by(stride).copied().collect();
        if sample.len() < ITEMS_MIN {
            return None;
        }
        let mut terms: Vec<u32> =
            sample.iter().flat_map(|vector| vector.terms()).map(|term| term.0).collect();
        terms.sort_unstable();
        terms.dedup();
        let matrix = ItemTerms::new(&sample, &terms);
        let width = (rank + OVERSAMPLING).min(terms.len()).min(sample.len());
        let (directions, strengths) = matrix.right_singular(width, seed)?;
        let strong = |&strength: &f64| strength > WEAKEST * strengths[0];
        let rank = strengths.iter().take_while(|strength| strong(strength)).count().min(rank);
        if rank == 0 {
            return None;
        }
        let rows = directions.values.chunks_exact(width).flat_map(|row| &row[..rank]);
        let values: Vec<f32> = rows.map(|&value| value as f32).collect();
        values.iter().all(|value| value.is_finite()).then_some(Self { rank, terms, values })
    }

    /// Dimensions of the space.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The embedding of an item with these terms, at length 1; `None` when no term is known.
    pub fn project(&self, vector: &SparseVector) -> Option<Vec<f32>> {
        let mut sum = vec![0.0; self.rank];
        for &(term, weight) in vector.terms() {
            if let Ok(position) = self.terms.binary_search(&term) {
                let row = &self.values[position * self.rank..][..self.rank];
                numeric::axpy(weight, row, &mut sum);
            }
        }
        unit(&sum)
    }

    /// Whether data read from a model is valid.
    pub fn is_whole(&self) -> bool {
        (1..=RANK_MAX).contains(&self.rank)
            && self.terms.len().checked_mul(self.rank) == Some(self.values.len())
            && self.terms.is_sorted_by(|left, right| left < right)
            && self.values.iter().all(|value| value.is_finite())
    }

    pub fn numbers(&self) -> impl Iterator<Item = &f32> {
        self.values.iter()
    }
}

/// `x` at length 1; `None` when it has no direction.
pub(crate) fn unit(x: &[f32]) -> Option<Vec<f32>> {
    let norm = numeric::sum_squares(x).sqrt();
    let usable = norm.is_finite() && norm > f32::MIN_POSITIVE;
    usable.then(|| x.iter().map(|value| value / norm).collect())
}

impl ItemTerms {
    fn new(vectors: &[&SparseVector], terms: &[u32]) -> Self {
        let position = |term: u32| terms.binary_search(&term).expect("all terms were gathered");
        let items = vectors.iter().map(|vector| {
            vector.terms().iter().map(|&(term, w)| (position(term), f64::from(w))).collect()
        });
        Self { terms: terms.len(), items: items.collect() }
    }

    /// Right singular vectors as columns of terms x `width`, and the singular values.
    fn right_singular(&self, width: usize, seed: u64) -> Option<(Rows, Vec<f64>)> {
        let mut items = self.times(&gaussian(self.terms, width, seed)).orthonormal();
        for _ in 0..POWER_ITERATIONS {
            let terms = self.transposed_times(&items).orthonormal();
            items = self.times(&terms).orthonormal();
        }
        // A ~ Q (A'Q)', so the left singular vectors of A'Q are the right ones of A.
        let sketch = self.transposed_times(&items);
        let svd = sketch.matrix().thin_svd().ok()?;
        let strengths = (0..width).map(|position| svd.S()[position]).collect();
        Some((Rows::of(svd.U()), strengths))
    }

    fn times(&self, right: &Rows) -> Rows {
        let mut product = Rows::zeros(self.items.len(), right.width);
        for (row, item) in product.values.chunks_exact_mut(right.width).zip(&self.items) {
            for &(term, weight) in item {
                add(row, weight, right.row(term));
            }
        }
        product
    }

    fn transposed_times(&self, right: &Rows) -> Rows {
        let mut product = Rows::zeros(self.terms, right.width);
        for (number, item) in self.items.iter().enumerate() {
            for &(term, weight) in item {
                let row = &mut product.values[term * right.width..][..right.width];
                add(row, weight, right.row(number));
            }
        }
        product
    }
}

impl Rows {
    fn zeros(rows: usize, width: usize) -> Self {
        Self { width, values: vec![0.0; rows * width] }
    }

    fn of(matrix: MatRef<'_, f64>) -> Self {
        let width = matrix.ncols();
        let cells = (0..matrix.nrows()).flat_map(|row| (0..width).map(move |at| (row, at)));
        Self { width, values: cells.map(|cell| matrix[cell]).collect() }
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..][..self.width]
    }

    fn matrix(&self) -> Mat<f64> {
        Mat::from_fn(self.values.len() / self.width, self.width, |row, at| self.row(row)[at])
    }

    /// An orthonormal basis of the columns.
    fn orthonormal(&self) -> Self {
        Self::of(self.matrix().qr().compute_thin_Q().as_ref())
    }
}

fn add(sum: &mut [f64], weight: f64, row: &[f64]) {
    for (value, x) in sum.iter_mut().zip(row) {
        *value += weight * x;
    }
}

/// Independent normal numbers (Box and Muller 1958).
fn gaussian(rows: usize, width: usize, seed: u64) -> Rows {
    let mut rng = seed::stream(seed, seed::Purpose::Latent, b"");
    let mut uniform = || (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
    let normal = |_| {
        let radius = (-2.0 * math::ln(uniform())).sqrt();
        radius * math::cos(std::f64::consts::TAU * uniform())
    };
    Rows { width, values: (0..rows * width).map(normal).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items of two subjects, each with some of the four words of its subject.
    fn world() -> Vec<SparseVector> {
        let words = |item: u32, word: u32| 4 * (item % 2) + (item / 2 + word) % 4;
        (0..24)
            .map(|item| SparseVector::new((0..2).map(|word| (words(item, word), 1.0)).collect()))
            .collect()
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn items_of_one_subject_are_near_even_without_a_common_word() {
        let world = world();
        let latent = Latent::fit(&world.iter().collect::<Vec<_>>(), 2, 7).unwrap();
        assert!(latent.is_whole());
        let position = |terms: &[u32]| {
            let terms = terms.iter().map(|&term| (term, 1.0)).collect();
            latent.project(&SparseVector::new(terms)).unwrap()
        };
        assert!(cosine(&position(&[0, 1]), &position(&[2, 3])) > 0.9);
        assert!(cosine(&position(&[0, 1]), &position(&[4, 5])).abs() < 0.1);
        assert_eq!(latent.project(&SparseVector::new(vec![(99, 1.0)])), None);
    }

    #[test]
    fn a_space_of_full_rank_keeps_all_cosines() {
        let world = world();
        let latent = Latent::fit(&world.iter().collect::<Vec<_>>(), 64, 7).unwrap();
        let positions: Vec<Vec<f32>> =
            world.iter().map(|one| latent.project(one).unwrap()).collect();
        for (a, at) in world.iter().zip(&positions) {
            for (b, bt) in world.iter().zip(&positions) {
                assert!((a.cosine(b) - cosine(at, bt)).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn too_few_items_give_no_space_and_the_same_seed_gives_the_same_space() {
        let world = world();
        let vectors: Vec<&SparseVector> = world.iter().collect();
        assert_eq!(Latent::fit(&vectors[..3], 2, 7), None);
        assert_eq!(Latent::fit(&vectors, 2, 7), Latent::fit(&vectors, 2, 7));
    }
}
