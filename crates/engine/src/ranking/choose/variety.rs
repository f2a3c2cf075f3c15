//! The gain of a candidate for the current list, by method.
//!
//! All methods weigh the value `v` of an item (relevance with serendipity and novelty, 0 to 1)
//! against the diversity of the list by one strength `s`:
//!
//! - none: `v`.
//! - DPP: `(1 - s) v + s ln r_i`, with `r_i` the residual of item i outside the span of the
//!   positions above: greedy MAP inference of a determinantal point process with quality
//!   `exp(a v)`, `a = (1 - s) / 2s`, by incremental Cholesky (Chen, Zhang and Zhou, NeurIPS
//!   2018). It covers the last [`WINDOW`] positions: plane rotations remove the oldest from the
//!   factor, as in their section 4.
//! - calibrated: `(1 - s) v - s KL(p || 0.99 q + 0.01 p)`, `p` the user's mix of topics, `q`
//!   that of the list with the item (Steck, RecSys 2018).
//!
//! Cost of a position for n candidates: DPP n x window, calibrated topics + the topics of the n.

use std::collections::VecDeque;

use crate::numeric::math;
use crate::ranking::choose::similarity::Similarity;

/// Number of positions above that an item is compared with: about what a user has on a screen.
pub const WINDOW: usize = 32;
/// Least residual, for items that equal others.
const RESIDUAL_MIN: f64 = 1e-6;
/// Share of the user's mix that is added to the list's, so that the cost of a missing topic is
/// bounded.
const SMOOTHING: f64 = 0.01;

/// State of a method; members are numbered as in the pool.
#[derive(Debug)]
pub enum Variety<'a> {
    None,
    Dpp(Dpp<'a>),
    Calibrated(Calibrated),
}

impl Variety<'_> {
    /// The gain of a member for the list, including its value.
    pub fn gain(&self, member: usize, topics: &[u32], value: f64, strength: f64) -> f64 {
        let variety = match self {
            Self::None => return value,
            Self::Dpp(dpp) => dpp.log_residuals[member],
            Self::Calibrated(calibrated) => -calibrated.divergence_with(topics),
        };
        (1.0 - strength) * value + strength * variety
    }

    /// The member takes the next position.
    pub fn take(&mut self, member: usize, topics: &[u32]) {
        match self {
            Self::None => {}
            Self::Dpp(dpp) => dpp.take(member),
            Self::Calibrated(calibrated) => calibrated.take(topics),
        }
    }
}

#[derive(Debug)]
pub struct Dpp<'a> {
    similarity: Similarity<'a>,
    /// The Cholesky factor: for each position in the window the member and its column, which has
    /// a row for every member.
    columns: VecDeque<(usize, Vec<f64>)>,
    residuals: Vec<f64>,
    log_residuals: Vec<f64>,
}

impl<'a> Dpp<'a> {
    /// `similarity` has `members` rows, and behind them one for each of the positions above the
    /// first, of which there are `above`.
    pub fn new(similarity: Similarity<'a>, members: usize, above: usize) -> Self {
        let columns = VecDeque::with_capacity(WINDOW);
        let rows = members + above;
        let (residuals, log_residuals) = (vec![1.0; rows], vec![0.0; rows]);
        let mut dpp = Self { similarity, columns, residuals, log_residuals };
        (members..rows).for_each(|row| dpp.take(row));
        dpp
    }

    fn take(&mut self, member: usize) {
        // The memory of the removed column is used for the new one.
        let mut column = if self.columns.len() == WINDOW {
            self.forget_oldest()
        } else {
            vec![0.0; self.residuals.len()]
        };
        let left = self.residuals[member];
        if left > RESIDUAL_MIN {
            self.similarity.compare_all(member, &mut column);
            for (_, above) in &self.columns {
                let own = above[member];
                for (value, other) in column.iter_mut().zip(above) {
                    *value -= own * other;
                }
            }
            let scale = 1.0 / left.sqrt();
            for (value, residual) in column.iter_mut().zip(&mut self.residuals) {
                *value *= scale;
                *residual -= *value * *value;
            }
            column[member] = left.sqrt();
            self.columns.push_back((member, column));
        }
        for (log, residual) in self.log_residuals.iter_mut().zip(&mut self.residuals) {
            *residual = residual.max(0.0);
            *log = math::ln(residual.max(RESIDUAL_MIN));
        }
    }

    /// Removes the first column from the factor. The other columns and the residuals take over
    /// its part. Returns its memory.
    fn forget_oldest(&mut self) -> Vec<f64> {
        let (_, mut oldest) = self.columns.pop_front().expect("a full window has a first");
        for (member, column) in &mut self.columns {
            let (diagonal, below) = (column[*member], oldest[*member]);
            let length = (diagonal * diagonal + below * below).sqrt();
            let (cos, sin) = (diagonal / length, below / length);
            for (value, old) in column.iter_mut().zip(&mut oldest) {
                let rotated = cos * *value + sin * *old;
                *old = cos * *old - sin * *value;
                *value = rotated;
            }
        }
        for (residual, old) in self.residuals.iter_mut().zip(&oldest) {
            *residual += old * old;
        }
        oldest
    }
}

#[derive(Debug)]
pub struct Calibrated {
    /// Share of each label in the user's preferences; 0 beyond the end.
    target: Vec<f64>,
    /// Mass of each label in the list: the topics of an item share its position.
    have: Vec<f64>,
    /// Terms of the divergence if an item without topics takes the next position.
    without: Vec<f64>,
    without_total: f64,
    /// Number of positions with the next one.
    positions: f64,
}

impl Calibrated {
    /// `target`: shares by label, with sum 1. `above`: the topics of each position above the
    /// first.
    pub fn new<'l>(target: Vec<f64>, above: impl Iterator<Item = &'l [u32]>) -> Self {
        let labels = target.len();
        let (have, without) = (vec![0.0; labels], vec![0.0; labels]);
        let mut calibrated = Self { target, have, without, without_total: 0.0, positions: 1.0 };
        above.for_each(|topics| calibrated.count(topics));
        calibrated.prepare();
        calibrated
    }

    fn term(&self, label: usize, more: f64) -> f64 {
        let target = self.target[label];
        if target <= 0.0 {
            return 0.0;
        }
        let have = (self.have[label] + more) / self.positions;
        target * math::ln(target / ((1.0 - SMOOTHING) * have + SMOOTHING * target))
    }

    fn prepare(&mut self) {
        for label in 0..self.target.len() {
            self.without[label] = self.term(label, 0.0);
        }
        self.without_total = self.without.iter().sum();
    }

    fn divergence_with(&self, topics: &[u32]) -> f64 {
        let share = 1.0 / topics.len().max(1) as f64;
        let change: f64 = topics
            .iter()
            .map(|&label| label as usize)
            .filter(|&label| label < self.target.len())
            .map(|label| self.term(label, share) - self.without[label])
            .sum();
        self.without_total + change
    }

    fn take(&mut self, topics: &[u32]) {
        self.count(topics);
        self.prepare();
    }

    fn count(&mut self, topics: &[u32]) {
        let share = 1.0 / topics.len().max(1) as f64;
        for &label in topics {
            if let Some(have) = self.have.get_mut(label as usize) {
                *have += share;
            }
        }
        self.positions += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::models::content::SparseVector;

    fn vectors(weights: &[Vec<u8>]) -> Vec<SparseVector> {
        let vector = |weights: &Vec<u8>| {
            let terms = (0..).zip(weights).map(|(term, &weight)| (term, f32::from(weight)));
            SparseVector::new(terms.collect())
        };
        weights.iter().map(vector).collect()
    }

    /// Determinant by elimination with pivots.
    fn determinant(mut rows: Vec<Vec<f64>>) -> f64 {
        let mut product = 1.0;
        for at in 0..rows.len() {
            let pivot =
                (at..rows.len()).max_by(|&a, &b| rows[a][at].abs().total_cmp(&rows[b][at].abs()));
            let pivot = pivot.unwrap();
            if rows[pivot][at] == 0.0 {
                return 0.0;
            }
            if pivot != at {
                rows.swap(pivot, at);
                product = -product;
            }
            product *= rows[at][at];
            let (above, below) = rows.split_at_mut(at + 1);
            for row in below {
                let factor = row[at] / above[at][at];
                row.iter_mut().zip(&above[at]).for_each(|(x, y)| *x -= factor * y);
            }
        }
        product
    }

    fn volume(vectors: &[SparseVector], set: &[usize]) -> f64 {
        let cosine = |a: usize, b: usize| match a == b {
            true => 1.0,
            false => f64::from(vectors[a].cosine(&vectors[b]).clamp(0.0, 1.0)),
        };
        determinant(set.iter().map(|&a| set.iter().map(|&b| cosine(a, b)).collect()).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Lists longer than the window: the residual of an item is the ratio of two determinants
        /// over the last positions, however many were removed.
        #[test]
        fn the_residual_of_an_item_is_a_ratio_of_determinants_of_the_last_positions(
            weights in prop::collection::vec(prop::collection::vec(0..6_u8, 60), 44)
        ) {
            let vectors = vectors(&weights);
            let rows = vectors.iter().map(|terms| (terms, &[][..]));
            let mut dpp = Dpp::new(Similarity::new(rows, 0), vectors.len(), 0);
            for taken in 0..40 {
                dpp.take(taken);
                let window: Vec<usize> = ((taken + 1).saturating_sub(WINDOW)..=taken).collect();
                let below = volume(&vectors, &window);
                if below < 1e-9 {
                    break;
                }
                for other in 40..44 {
                    let with: Vec<usize> = window.iter().copied().chain([other]).collect();
                    let left = volume(&vectors, &with) / below;
                    prop_assert!(
                        (dpp.residuals[other] - left).abs() < 1e-3,
                        "{} {left} after {taken}", dpp.residuals[other]
                    );
                }
            }
        }
    }

    #[test]
    fn calibration_measures_the_divergence_of_the_list_with_the_item() {
        // It is the same whether the first item is of this page or of an earlier one.
        let mut taken = Calibrated::new(vec![0.7, 0.3], std::iter::empty());
        taken.take(&[0]);
        let calibrated = Calibrated::new(vec![0.7, 0.3], [&[0][..]].into_iter());
        for topics in [&[0][..], &[1], &[0, 1], &[]] {
            assert_eq!(taken.divergence_with(topics), calibrated.divergence_with(topics));
        }
        // A list of one item of each topic: q = (0.5, 0.5).
        let smoothed = [0.99 * 0.5 + 0.01 * 0.7, 0.99 * 0.5 + 0.01 * 0.3];
        let expected = 0.7 * (0.7_f64 / smoothed[0]).ln() + 0.3 * (0.3_f64 / smoothed[1]).ln();
        assert!((calibrated.divergence_with(&[1]) - expected).abs() < 1e-12);
        // An item of both topics shares its position between them: q = (0.75, 0.25).
        let smoothed = [0.99 * 0.75 + 0.01 * 0.7, 0.99 * 0.25 + 0.01 * 0.3];
        let expected = 0.7 * (0.7_f64 / smoothed[0]).ln() + 0.3 * (0.3_f64 / smoothed[1]).ln();
        assert!((calibrated.divergence_with(&[0, 1]) - expected).abs() < 1e-12);
    }
}
