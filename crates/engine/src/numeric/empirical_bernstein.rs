//! Lower bounds of a running mean that hold at every moment at once: the predictable
//! plug-in empirical Bernstein sequence (Waudby-Smith and Ramdas 2024, "Estimating means
//! of bounded random variables by betting", section 3.2).
//!
//! For observations `x` with mean `c v` given what was before (`c` above 0, `v` what is
//! asked for), any `l` in [0, 1) and any guess `m` that depend on what was before only,
//! and `x - m >= -1`: `exp(l (x - c v) - psi(l) (x - m)^2)` with `psi(l) = -ln(1 - l) - l`
//! has a mean of at most 1 (Fan et al. 2015, lemma 4.1). So by Ville's inequality, with
//! probability `1 - alpha` at all times
//!
//! `sum l c v / sum l c >= (sum l x - sum psi(l) (x - m)^2 - ln(1 / alpha)) / sum l c`.
//!
//! An upper bound is one less a lower bound of what is turned round.

use serde::Deserialize;
use serde::Serialize;

use crate::numeric::math;

/// Largest `l`: a half, as in the experiments of the papers.
const STEP_MAX: f64 = 0.5;

/// What is believed of the observations before there are any; worth one of them.
#[derive(Debug, Clone, Copy)]
pub struct Guess {
    pub mean: f64,
    pub variance: f64,
    /// The guess of an observation is never above this: observations are at least so much
    /// less 1.
    pub mean_max: f64,
}

/// Sums of one lower bound.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LowerBound {
    rounds: f64,
    sum: f64,
    /// Sum of squared distances from the running mean.
    squares: f64,
    /// Of the steps times their scales.
    scaled: f64,
    stepped: f64,
    penalty: f64,
}

impl LowerBound {
    /// Adds an observation `x` whose mean is `scale` times what is asked for. `evidence` is
    /// `ln(1 / alpha)`. With a horizon the bound is tightest after so many observations.
    pub fn observe(
        &mut self,
        x: f64,
        scale: f64,
        guess: &Guess,
        evidence: f64,
        horizon: Option<f64>,
    ) {
        let now = self.rounds + 1.0;
        let variance = (guess.variance + self.squares) / now;
        let spread_over = match horizon {
            Some(horizon) if now <= horizon => horizon,
            _ => now * math::ln(1.0 + now),
        };
        let step = (2.0 * evidence / (variance * spread_over)).sqrt().min(STEP_MAX);
        let predicted = ((guess.mean + self.sum) / now).min(guess.mean_max);
        let psi = -math::log1p(-step) - step;
        self.scaled += step * scale;
        self.stepped += step * x;
        self.penalty += psi * (x - predicted) * (x - predicted);
        self.rounds = now;
        self.sum += x;
        let mean = (guess.mean + self.sum) / (now + 1.0);
        self.squares += (x - mean) * (x - mean);
    }

    /// The bound; minus infinity before the first observation.
    pub fn low(&self, evidence: f64) -> f64 {
        if self.scaled > 0.0 {
            (self.stepped - self.penalty - evidence) / self.scaled
        } else {
            f64::NEG_INFINITY
        }
    }
}
