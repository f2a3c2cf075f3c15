//! How to choose among arms with estimated rewards and known uncertainty.
//!
//! A [`Policy`] turns beliefs (a mean and a standard deviation of the reward for each
//! arm) into the probability of choosing each arm. The choice is then one draw from
//! these. So a propensity is exactly the probability of the choice for every
//! policy: no estimate, no Monte-Carlo error.
//!
//! - Propensities are not negative and sum to 1 but for rounding.
//! - Policies do not depend on the kind of arm: layouts, notifications, candidates of a ranking.
//! - Sources: Thompson sampling by quadrature in [`thompson`]; LinUCB, Li et al. 2010;
//!   SquareCB, Foster and Rakhlin 2020.

mod best;
mod beta;
mod quadrature;
mod slate;
mod square_cb;
mod thompson;

pub use best::{EpsilonGreedy, Greedy, UpperConfidence};
pub use beta::BetaThompson;
pub use slate::ThompsonSlate;
pub use square_cb::SquareCb;
pub use thompson::Thompson;

/// Beliefs about the reward of each arm. Both slices have the same length.
#[derive(Debug, Clone, Copy)]
pub struct Beliefs<'a> {
    pub means: &'a [f64],
    /// Standard deviations of the means, not of single rewards; 0 or more.
    pub deviations: &'a [f64],
}

/// Bound of the absolute value of a mean: sums and differences keep their digits.
const BELIEVABLE: f64 = 1e12;

fn is_believable(mean: f64) -> bool {
    mean.abs() <= BELIEVABLE
}

/// Usable means and deviations: NaN becomes the least mean with deviation 0; values beyond
/// the bounds become the least or the largest.
fn sound(Beliefs { means, deviations }: Beliefs<'_>) -> (Vec<f64>, Vec<f64>) {
    let ends = |values: &[f64]| {
        let finite = values.iter().copied().filter(|value| is_believable(*value));
        finite.fold(None, |ends: Option<(f64, f64)>, value| {
            Some(ends.map_or((value, value), |(least, most)| (least.min(value), most.max(value))))
        })
    };
    let (least, most) = ends(means).unwrap_or((0.0, 0.0));
    let (_, widest) = ends(deviations).unwrap_or((0.0, 0.0));
    let mean = |mean: &f64| if mean.is_nan() { least } else { mean.clamp(least, most) };
    let deviation = |d: &f64| if d.is_nan() { 0.0 } else { d.clamp(0.0, widest.max(0.0)) };
    (means.iter().map(mean).collect(), deviations.iter().map(deviation).collect())
}

/// A rule for choosing an arm.
pub trait Policy {
    /// Writes the probability of choosing each arm; `propensities` is as long as the
    /// beliefs, at least 1.
    fn propensities(&self, beliefs: Beliefs<'_>, propensities: &mut [f64]);
}

/// Mixes in an even share of all arms, so that no propensity is below `share / n`: estimates
/// from the log stay finite.
pub fn mix_evenly(propensities: &mut [f64], share: f64) {
    let each = share / propensities.len() as f64;
    for propensity in propensities {
        *propensity = (1.0 - share) * *propensity + each;
    }
}

/// The arm that a uniform number in 0..1 falls on.
pub fn draw(propensities: &[f64], uniform: f64) -> usize {
    let total: f64 = propensities.iter().sum();
    let mut left = uniform * total;
    for (arm, propensity) in propensities.iter().enumerate() {
        left -= propensity;
        if left < 0.0 {
            return arm;
        }
    }
    // Rounding may leave a rest after the last arm with a probability.
    propensities.iter().rposition(|propensity| *propensity > 0.0).unwrap_or(0)
}

#[cfg(test)]
mod tests;
