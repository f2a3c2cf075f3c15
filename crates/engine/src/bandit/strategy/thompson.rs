//! Thompson sampling over independent normal scores, with exact propensities.
//!
//! Each arm's score is drawn from its belief, the highest wins. The probability of each
//! arm to win is a one-dimensional integral (see [`crate::bandit::strategy::quadrature`]). The choice is
//! drawn from these probabilities, which is the same distribution as drawing the scores.
//! A shared model correlates the scores of its arms. Drawing them independently explores
//! a little more, and its propensities can be computed.

use crate::bandit::strategy::Beliefs;
use crate::bandit::strategy::Policy;
use crate::bandit::strategy::quadrature::Quadrature;
use crate::bandit::strategy::sound;
use crate::numeric::math;
use crate::numeric::normal::LnCdf;

/// Bound of a score in standard deviations: one in 10^10 is beyond.
pub(super) const REACH: f64 = 6.5;
/// An arm this many standard deviations behind has no chance: one in three million.
const RIVAL_REACH: f64 = 5.0;

/// Thompson sampling of one arm.
#[derive(Debug, Clone, Copy)]
pub struct Thompson {
    /// Factor of the standard deviations; 0 is greedy, 1 the textbook.
    pub scale: f64,
}

impl Policy for Thompson {
    fn propensities(&self, beliefs: Beliefs<'_>, propensities: &mut [f64]) {
        let (means, deviations) = sound(beliefs);
        let beliefs = Beliefs { means: &means, deviations: &deviations };
        let rivals = self.rivals(beliefs);
        let of = |values: &[f64]| rivals.iter().map(|&arm| values[arm]).collect::<Vec<f64>>();
        let (means, deviations) = (of(beliefs.means), of(beliefs.deviations));
        let mut of_rivals = vec![1.0; rivals.len()];
        match of_rivals.as_mut_slice() {
            [_alone] => {}
            [first, second] => {
                *first = self.duel(means[0] - means[1], deviations[0], deviations[1]);
                *second = 1.0 - *first;
            }
            of_rivals => {
                self.integrate(Beliefs { means: &means, deviations: &deviations }, of_rivals);
            }
        }
        propensities.fill(0.0);
        for (arm, propensity) in rivals.into_iter().zip(of_rivals) {
            propensities[arm] = propensity;
        }
    }
}

impl Thompson {
    /// The probability that one of two wins, in closed form: their difference is normal.
    fn duel(&self, ahead: f64, first: f64, second: f64) -> f64 {
        let deviation = self.scale * (first * first + second * second).sqrt();
        if deviation > 0.0 {
            math::exp(LnCdf::default().at(ahead / deviation))
        } else {
            // Only arms that tie can win then.
            0.5
        }
    }

    /// The arms that may win: an arm wins no more often than it beats the one of the
    /// highest mean. Mostly a few when there is much evidence, which makes the integral
    /// cheap.
    fn rivals(&self, Beliefs { means, deviations }: Beliefs<'_>) -> Vec<usize> {
        let best = (0..means.len()).max_by(|&a, &b| means[a].total_cmp(&means[b]));
        let best = best.expect("there is an arm to choose");
        let square = |arm: usize| (self.scale * deviations[arm]) * (self.scale * deviations[arm]);
        let may_win = |arm: &usize| {
            let behind = means[best] - means[*arm];
            behind * behind <= RIVAL_REACH * RIVAL_REACH * (square(best) + square(*arm))
        };
        (0..means.len()).filter(may_win).collect()
    }

    fn integrate(&self, Beliefs { means, deviations }: Beliefs<'_>, propensities: &mut [f64]) {
        let deviations = scaled(Beliefs { means, deviations }, self.scale);
        let end = |reach: f64| {
            let both = means.iter().zip(&deviations);
            both.map(|(mean, d)| mean + reach * d).fold(f64::NEG_INFINITY, f64::max)
        };
        let precisions: Vec<f64> = deviations.iter().map(|deviation| 1.0 / deviation).collect();
        let ln_cdf = LnCdf::default();
        let ln_f = |arm: usize, t: f64| ln_cdf.at((t - means[arm]) * precisions[arm]);
        Quadrature::new(means.len(), end(-REACH), end(REACH), ln_f).propensities(propensities);
    }
}

/// Standard deviations times a scale.
pub(super) fn scaled(Beliefs { means, deviations }: Beliefs<'_>, scale: f64) -> Vec<f64> {
    let widest = deviations.iter().fold(0.0, |widest, d| d.max(widest)) * scale;
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Raises deviations near 0 to one far below every difference that matters, but not
    // below the precision of means of this size.
    let size = low.abs().max(high.abs());
    let narrowest = ((high - low).max(widest) * 1e-6).max(1e-12 * size.max(1.0));
    deviations.iter().map(|given| (given * scale).max(narrowest)).collect()
}
