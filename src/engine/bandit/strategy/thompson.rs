//! Thompson sampling over independent normal scores, with exact propensities.
//!
//! Each arm's score is drawn from its belief, the highest wins. The probability of each
//! arm to win is a one-dimensional integral (see [`super::quadrature`]); the choice is
//! drawn from these probabilities, which is the same distribution as drawing the scores.
//! A shared model correlates the scores of its arms; drawing them independently explores
//! a little more and has propensities that can be known.

use super::Beliefs;
use super::Policy;
use super::quadrature::Quadrature;
use crate::numeric::math;
use crate::numeric::normal::LnCdf;

/// Beyond this many standard deviations nothing is expected: one in 10^10.
const REACH: f64 = 6.5;
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
                let mut slate = ThompsonSlate::default();
                slate.begin(Beliefs { means: &means, deviations: &deviations }, self.scale);
                slate.propensities(of_rivals);
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
            // Only those that tie are rivals then.
            0.5
        }
    }

    /// The arms that may win: an arm wins no more often than it beats the one of the
    /// highest mean. Mostly a few when much was learnt, and the integral costs what they
    /// are.
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
}

/// Thompson sampling of several places one after the other: at each place the arms that
/// are left compete anew. The tables are made once for all places.
#[derive(Debug, Clone, Default)]
pub struct ThompsonSlate {
    means: Vec<f64>,
    /// Reciprocals of the standard deviations.
    precisions: Vec<f64>,
    quadrature: Quadrature,
    ln_cdf: LnCdf,
}

impl ThompsonSlate {
    /// For [`Self::draw`]: with a coarser table. Within a cell arms share by their parts of
    /// it, so this is Thompson sampling to second order in the cell's share.
    pub fn for_draws() -> Self {
        Self { quadrature: Quadrature::coarse(), ..Self::default() }
    }

    /// Starts with all arms. What was allocated for a slate before is used again.
    pub fn begin(&mut self, beliefs: Beliefs<'_>, scale: f64) {
        let Beliefs { means, deviations } = beliefs;
        self.means.clear();
        self.means.extend_from_slice(means);
        let widest = deviations.iter().fold(0.0, |widest, d| d.max(widest)) * scale;
        let (low, high) = means
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), m| (m.min(low), m.max(high)));
        // No deviation: as if there were one far below every difference that matters.
        let narrowest = ((high - low).max(widest) * 1e-6).max(1e-12);
        let deviation = |given: f64| (given * scale).max(narrowest);
        self.precisions.clear();
        self.precisions.extend(deviations.iter().map(|&given| 1.0 / deviation(given)));
        let (mut start, mut end) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        for (mean, &given) in means.iter().zip(deviations) {
            start = start.max(mean - REACH * deviation(given));
            end = end.max(mean + REACH * deviation(given));
        }
        let (means, precisions, ln_cdf) = (&self.means, &self.precisions, self.ln_cdf);
        let ln_f = |arm: usize, t: f64| ln_cdf.at((t - means[arm]) * precisions[arm]);
        self.quadrature.begin(means.len(), start, end, ln_f);
    }

    /// Takes an arm out of the places to come, or back in.
    pub fn set_present(&mut self, arm: usize, present: bool) {
        self.quadrature.set_present(arm, present);
    }

    /// Writes each arm's probability at the next place; 0 for those that were taken out.
    /// At least one arm must be left.
    pub fn propensities(&mut self, propensities: &mut [f64]) {
        let (means, precisions, ln_cdf) = (&self.means, &self.precisions, self.ln_cdf);
        let ln_f = |arm: usize, t: f64| ln_cdf.at((t - means[arm]) * precisions[arm]);
        self.quadrature.propensities(ln_f, propensities);
    }

    /// The mean of an arm, as far as it is not what it was.
    pub fn set_mean(&mut self, arm: usize, mean: f64) {
        if self.means[arm] != mean {
            self.means[arm] = mean;
            let (precision, ln_cdf) = (self.precisions[arm], self.ln_cdf);
            self.quadrature.change(arm, |t| ln_cdf.at((t - mean) * precision));
        }
    }

    /// Makes ready for draws among the arms that are present.
    pub fn prepare(&mut self) {
        let (means, precisions, ln_cdf) = (&self.means, &self.precisions, self.ln_cdf);
        let ln_f = |arm: usize, t: f64| ln_cdf.at((t - means[arm]) * precisions[arm]);
        self.quadrature.prepare(ln_f);
    }

    /// The arm for the next place, by two uniform numbers in 0..1.
    pub fn draw(&self, uniforms: [f64; 2]) -> usize {
        self.quadrature.draw(uniforms[0], uniforms[1])
    }

    /// The probability that [`Self::draw`] gives this arm.
    pub fn propensity_of(&self, arm: usize) -> f64 {
        self.quadrature.propensity_of(arm)
    }
}
