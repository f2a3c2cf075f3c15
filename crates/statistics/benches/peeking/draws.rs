//! Random draws for simulated experiments: the same numbers on every platform.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use statistics::special::{math, normal};

pub struct Draws(ChaCha8Rng);

impl Draws {
    /// The stream of one experiment.
    pub fn new(seed: u64, experiment: u64) -> Self {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        stream.set_stream(experiment);
        Self(stream)
    }

    /// In 0 to 1, never at an end.
    pub fn unit(&mut self) -> f64 {
        ((self.0.next_u64() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub fn normal(&mut self) -> f64 {
        normal::quantile(self.unit())
    }

    /// A log-normal number around 1, cut at `cap`.
    pub fn amount(&mut self, deviation: f64, cap: f64) -> f64 {
        math::exp(deviation * self.normal()).min(cap)
    }

    /// How many of `trials` succeed, by adding up probabilities; for expectations up to a few
    /// hundred.
    pub fn successes(&mut self, trials: u64, probability: f64) -> u64 {
        if probability > 0.5 {
            return trials - self.successes(trials, 1.0 - probability);
        }
        let odds = probability / (1.0 - probability);
        let mut term = math::exp(trials as f64 * math::log1p(-probability));
        let mut left = self.unit() - term;
        let mut found = 0;
        while left > 0.0 && found < trials {
            term *= odds * (trials - found) as f64 / (found + 1) as f64;
            left -= term;
            found += 1;
        }
        found
    }
}
