//! Percentile bootstrap over users (Efron 1979), for means and paired differences.
//!
//! - Users are resampled, not events: events of one user are alike, and intervals
//!   that ignore this are too narrow.
//! - Every metric of every model sees the same resamples, so a difference of two of
//!   them is paired.
//! - Draws are ChaCha8 of the seed: the same figures on every machine.
//!
//! Cost: resamples x users draws, and as many multiplications per metric.

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::iter::IndexedParallelIterator;
use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;

/// Resamples of a report: percentiles at 2.5 % then rest on 25 of them.
pub const RESAMPLES: usize = 1_000;
/// Columns that one thread takes at least.
const COLUMNS_MIN: usize = 32;
/// Share of resamples inside an interval.
pub const CONFIDENCE: f64 = 0.95;

/// One metric of one model: sums over the cases of each user. Its value is the mean
/// over all cases.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Column {
    /// Sum of the metric over each user's cases.
    pub sums: Vec<f64>,
    /// Number of cases of each user.
    pub counts: Vec<f64>,
}

impl Column {
    /// Mean over all cases; NaN without cases.
    pub fn mean(&self) -> f64 {
        self.sums.iter().sum::<f64>() / self.counts.iter().sum::<f64>()
    }

    /// Number of cases.
    pub fn cases(&self) -> u64 {
        self.counts.iter().sum::<f64>() as u64
    }
}

/// A value and the interval that holds it in 95 of 100 repetitions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub point: f64,
    pub low: f64,
    pub high: f64,
}

/// Means of every column in every resample.
#[derive(Debug)]
pub struct Bootstrap {
    points: Vec<f64>,
    /// By column, then resample. NaN where a resample held no case of the column.
    means: Vec<Vec<f64>>,
}

impl Bootstrap {
    /// Draws `resamples` samples of the users. All columns describe the same users
    /// in the same order.
    pub fn new(columns: &[&Column], resamples: usize, seed: u64) -> Self {
        let users = columns.first().map_or(0, |column| column.sums.len());
        assert!(columns.iter().all(|column| column.sums.len() == users));
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut means = vec![Vec::with_capacity(resamples); columns.len()];
        let mut weights = vec![0.0; users];
        for _ in 0..resamples {
            draw(&mut random, &mut weights);
            columns.par_iter().zip(&mut means).with_min_len(COLUMNS_MIN).for_each(
                |(column, means)| {
                    let sum = weighted_sum(&weights, &column.sums);
                    means.push(sum / weighted_sum(&weights, &column.counts));
                },
            );
        }
        Self { points: columns.iter().map(|column| column.mean()).collect(), means }
    }

    /// The mean of a column, with its interval.
    pub fn estimate(&self, column: usize) -> Estimate {
        interval(self.points[column], self.means[column].clone())
    }

    /// The mean of column `a` minus that of column `b`, with the interval of the
    /// paired difference.
    pub fn difference(&self, a: usize, b: usize) -> Estimate {
        self.combination(&[(a, 1.0), (b, -1.0)])
    }

    /// The sum of the means of columns times their factors, with its interval.
    pub fn combination(&self, terms: &[(usize, f64)]) -> Estimate {
        let sum = |mean_of: &dyn Fn(usize) -> f64| {
            terms.iter().map(|(column, factor)| factor * mean_of(*column)).sum::<f64>()
        };
        let resamples = self.means.first().map_or(0, Vec::len);
        let sums = (0..resamples).map(|resample| sum(&|column| self.means[column][resample]));
        interval(sum(&|column| self.points[column]), sums.collect())
    }
}

/// Counts how often each of `weights.len()` users is drawn in as many draws.
fn draw(random: &mut ChaCha8Rng, weights: &mut [f64]) {
    weights.fill(0.0);
    let users = weights.len() as u64;
    for _ in 0..weights.len() {
        // Lemire's multiply-shift; its bias is under users / 2^32.
        let user = (u64::from(random.next_u32()) * users) >> 32;
        weights[user as usize] += 1.0;
    }
}

/// Sum of products in a fixed order, four sums at a time.
fn weighted_sum(weights: &[f64], values: &[f64]) -> f64 {
    let (weight_chunks, weight_rest) = weights.as_chunks::<4>();
    let (value_chunks, value_rest) = values.as_chunks::<4>();
    let mut lanes = [0.0; 4];
    for (weights, values) in weight_chunks.iter().zip(value_chunks) {
        for ((lane, weight), value) in lanes.iter_mut().zip(weights).zip(values) {
            *lane += weight * value;
        }
    }
    let rest: f64 = weight_rest.iter().zip(value_rest).map(|(weight, value)| weight * value).sum();
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + rest
}

fn interval(point: f64, mut replicates: Vec<f64>) -> Estimate {
    const TAIL: f64 = (1.0 - CONFIDENCE) / 2.0;
    replicates.retain(|mean| mean.is_finite());
    replicates.sort_unstable_by(f64::total_cmp);
    let (low, high) = (quantile(&replicates, TAIL), quantile(&replicates, 1.0 - TAIL));
    Estimate { point, low, high }
}

/// Quantile of ascending values, linear between neighbours (Hyndman and Fan's type
/// 7, numpy's default). NaN without values.
fn quantile(ascending: &[f64], share: f64) -> f64 {
    let Some(last) = ascending.len().checked_sub(1) else { return f64::NAN };
    let position = share * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    let fraction = position - below as f64;
    ascending[below] + fraction * (ascending[above] - ascending[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ones(values: &[f64]) -> Column {
        Column { sums: values.to_vec(), counts: vec![1.0; values.len()] }
    }

    /// 0 and 1 in turn.
    fn coins(users: usize) -> Column {
        ones(&(0..users).map(|user| (user % 2) as f64).collect::<Vec<_>>())
    }

    #[test]
    fn quantiles_are_linear_between_neighbours() {
        let values = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(quantile(&values, 0.5), 3.0);
        // 3 * .75 = 2.25: a quarter of the way from 4 to 8.
        assert_eq!(quantile(&values, 0.75), 5.0);
        assert_eq!(quantile(&values, 1.0), 8.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn the_interval_of_a_mean_agrees_with_its_normal_approximation() {
        let estimate = Bootstrap::new(&[&coins(400)], RESAMPLES, 1).estimate(0);
        // Standard error of 400 fair coins: sqrt(.25 / 400) = .025; 1.96 of it = .049.
        assert_eq!(estimate.point, 0.5);
        assert!((estimate.low - 0.451).abs() < 0.006, "{estimate:?}");
        assert!((estimate.high - 0.549).abs() < 0.006, "{estimate:?}");
    }

    #[test]
    fn a_paired_difference_is_free_of_what_both_share() {
        let base = coins(400);
        let better = ones(&base.sums.iter().map(|value| value + 0.125).collect::<Vec<_>>());
        let bootstrap = Bootstrap::new(&[&better, &base], RESAMPLES, 1);
        let Estimate { point, low, high } = bootstrap.difference(0, 1);
        for value in [point, low, high] {
            assert!((value - 0.125).abs() < 1e-12);
        }
    }

    #[test]
    fn the_interval_of_a_combination_is_that_of_the_combined_values() {
        let base = coins(400);
        let other = ones(&(0..400).map(|user| f64::from(user % 3 == 0)).collect::<Vec<_>>());
        let sums = base.sums.iter().zip(&other.sums).map(|(a, b)| 2.0 * a - b);
        let combined = ones(&sums.collect::<Vec<_>>());
        let bootstrap = Bootstrap::new(&[&base, &other, &combined], 200, 1);
        let (found, golden) =
            (bootstrap.combination(&[(0, 2.0), (1, -1.0)]), bootstrap.estimate(2));
        for (a, b) in
            [(found.point, golden.point), (found.low, golden.low), (found.high, golden.high)]
        {
            assert!((a - b).abs() < 1e-12, "{found:?} is not {golden:?}");
        }
    }

    #[test]
    fn a_user_with_many_events_widens_the_interval() {
        let clustered = Column { sums: vec![0.0, 100.0, 0.0, 100.0], counts: vec![100.0; 4] };
        let wide = Bootstrap::new(&[&clustered], RESAMPLES, 1).estimate(0);
        let narrow = Bootstrap::new(&[&coins(400)], RESAMPLES, 1).estimate(0);
        assert_eq!((wide.point, clustered.cases()), (narrow.point, 400));
        assert!(wide.high - wide.low > 5.0 * (narrow.high - narrow.low));
    }

    #[test]
    fn the_seed_decides_the_draws() {
        let column = ones(&[0.1, 0.7, 0.2, 0.9, 0.4]);
        let run = |seed| Bootstrap::new(&[&column], 100, seed).estimate(0);
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }

    #[test]
    fn resamples_without_a_case_are_left_out() {
        let rare = Column { sums: vec![1.0, 0.0, 0.0], counts: vec![1.0, 0.0, 0.0] };
        let estimate = Bootstrap::new(&[&rare], 200, 1).estimate(0);
        assert_eq!(estimate, Estimate { point: 1.0, low: 1.0, high: 1.0 });
    }

    #[test]
    fn sums_agree_with_a_plain_loop_whatever_the_length() {
        for len in 0..11 {
            let weights: Vec<f64> = (0..len).map(f64::from).collect();
            let values: Vec<f64> = (0..len).map(|x| f64::from(x * x)).collect();
            let golden: f64 = weights.iter().zip(&values).map(|(w, v)| w * v).sum();
            assert_eq!(weighted_sum(&weights, &values), golden);
        }
    }
}
