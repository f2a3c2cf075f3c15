//! The hyperparameters of training, and the L2 weights that follow from them.
//!
//! The L2 weight of a row with n observations among m columns is `l_row = lambda (n + a0 m)^nu` (the paper's equation for
//! frequency-scaled regularization; nu = 1 scales fully, nu = 0 is the classic form).
//! Rescaling: good lambdas differ by orders of magnitude between values of nu, so the paper's section on tuning searches
//! over lambda* on the scale of a reference exponent nu*. Here nu* = 1 and
//!   `lambda = regularization * S(1) / S(nu)`, `S(x) = sum_u (|I_u| + a0 |I|)^x + sum_i (|U_i| + a0 |U|)^x`,
//! which keeps the total L2 weight of the model equal to that at nu = 1; at nu = 1 lambda = regularization exactly.

use serde::{Deserialize, Serialize};

use crate::models::collaborative::training_set::TrainingSet;
use crate::numeric::math;

/// The hyperparameters of one training.
///
/// `Default` was chosen on MovieLens latest-small by the mean NDCG@20 of four leave-one-out splits that end before the
/// test item; regularization 0.004 to 0.01 and unobserved weight 0.1 to 0.3 are within 7 % of it. Tune on larger data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Hyperparameters {
    /// Number of factors k, 1 to 512; multiples of 16 are several times faster per factor than others.
    pub factors: usize,
    /// L2 weight on the scale of `frequency_exponent` = 1 (module header), above 0; 0.001 to 0.1 is the usual range.
    pub regularization: f32,
    /// Weight a0 of the square of every predicted score, observed or not, 0 or more; 0.02 to 1 is the usual range.
    pub unobserved_weight: f32,
    /// nu, 0 to 1.
    pub frequency_exponent: f32,
    /// Passes over users and items, at least 1; 16 from a random start, 1 to 4 from a warm one.
    pub epochs: usize,
    /// Standard deviation of the random start; the paper advises 0.1 / sqrt(k).
    pub init_standard_deviation: f32,
    /// Names the random start; the same seed and data give the same factors.
    pub seed: u64,
}

/// A hyperparameter outside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidHyperparameter {
    pub field: &'static str,
    pub range: &'static str,
}

impl std::fmt::Display for InvalidHyperparameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} must be {}", self.field, self.range)
    }
}

impl std::error::Error for InvalidHyperparameter {}

impl Default for Hyperparameters {
    fn default() -> Self {
        Self::with_factors(64)
    }
}

impl Hyperparameters {
    /// The defaults for k factors.
    #[must_use]
    pub fn with_factors(factors: usize) -> Self {
        Self {
            factors,
            regularization: 0.006,
            unobserved_weight: 0.2,
            frequency_exponent: 1.0,
            epochs: 16,
            init_standard_deviation: 0.1 / (factors.max(1) as f32).sqrt(),
            seed: 0,
        }
    }

    /// Rejects values outside the ranges that the fields state.
    pub fn validate(&self) -> Result<(), InvalidHyperparameter> {
        let invalid = |field, range| Err(InvalidHyperparameter { field, range });
        if !(1..=512).contains(&self.factors) {
            return invalid("factors", "1 to 512");
        }
        if !(self.regularization.is_finite() && self.regularization > 0.0) {
            return invalid("regularization", "finite and above 0");
        }
        if !(self.unobserved_weight.is_finite() && self.unobserved_weight >= 0.0) {
            return invalid("unobserved_weight", "finite and 0 or more");
        }
        if !(0.0..=1.0).contains(&self.frequency_exponent) {
            return invalid("frequency_exponent", "0 to 1");
        }
        if self.epochs == 0 {
            return invalid("epochs", "1 or more");
        }
        let sd = self.init_standard_deviation;
        if !(sd.is_finite() && sd > 0.0) {
            return invalid("init_standard_deviation", "finite and above 0");
        }
        Ok(())
    }
}

/// The L2 and unobserved weights of one trained model: what fold-in and online items need to repeat its row solves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Regularization {
    /// lambda after the rescaling of the module header.
    pub lambda: f64,
    /// nu.
    pub frequency_exponent: f64,
    /// a0.
    pub unobserved_weight: f32,
    /// |U| of the training.
    pub n_users: usize,
    /// |I| of the training.
    pub n_items: usize,
}

impl Regularization {
    /// The weights for a training on `set`.
    #[must_use]
    pub fn of(hyperparameters: &Hyperparameters, set: &TrainingSet) -> Self {
        let mut item_counts = vec![0_usize; set.n_items()];
        let mut user_counts = vec![0_usize; set.n_users()];
        for (user, count) in user_counts.iter_mut().enumerate() {
            *count = set.row_len(user);
            for &item in set.row(user).0 {
                item_counts[item as usize] += 1;
            }
        }
        Self::from_counts(hyperparameters, &user_counts, &item_counts)
    }

    fn from_counts(hp: &Hyperparameters, user_counts: &[usize], item_counts: &[usize]) -> Self {
        let mut weights = Self {
            lambda: f64::from(hp.regularization),
            frequency_exponent: f64::from(hp.frequency_exponent),
            unobserved_weight: hp.unobserved_weight,
            n_users: user_counts.len(),
            n_items: item_counts.len(),
        };
        let total = |exponent: f64| {
            let users = user_counts.iter().map(|n| weights.mass(*n, weights.n_items, exponent));
            let items = item_counts.iter().map(|n| weights.mass(*n, weights.n_users, exponent));
            users.chain(items).fold(0.0, |sum, mass| sum + mass)
        };
        let (reference, own) = (total(1.0), total(weights.frequency_exponent));
        if weights.frequency_exponent < 1.0 && reference > 0.0 && own > 0.0 {
            weights.lambda *= reference / own;
        }
        weights
    }

    /// l_u of a user with `n` observations.
    #[must_use]
    pub fn user(&self, n: usize) -> f32 {
        (self.lambda * self.mass(n, self.n_items, self.frequency_exponent)) as f32
    }

    /// l_i of an item with `n` observations.
    #[must_use]
    pub fn item(&self, n: usize) -> f32 {
        (self.lambda * self.mass(n, self.n_users, self.frequency_exponent)) as f32
    }

    /// `(n + a0 columns)^exponent`. The base is at least a small number: an item without a user and a0 = 0 must still
    /// have a positive L2 weight, or its equations are singular.
    fn mass(&self, n: usize, columns: usize, exponent: f64) -> f64 {
        let base = n as f64 + f64::from(self.unobserved_weight) * columns as f64;
        let base = base.max(1e-3);
        if exponent == 1.0 { base } else { math::pow(base, exponent) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> TrainingSet {
        TrainingSet::from_rows(3, &[vec![(0, 1.0), (1, 1.0)], vec![(0, 1.0)]]).unwrap()
    }

    #[test]
    fn the_total_weight_does_not_depend_on_the_exponent() {
        let total = |exponent: f32| {
            let hp = Hyperparameters { frequency_exponent: exponent, ..Hyperparameters::default() };
            let weights = Regularization::of(&hp, &set());
            let users = weights.user(2) + weights.user(1);
            users + weights.item(2) + weights.item(1) + weights.item(0)
        };
        for exponent in [0.0, 0.5, 0.9] {
            assert!((total(exponent) / total(1.0) - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn full_scaling_leaves_lambda_as_given() {
        let weights = Regularization::of(&Hyperparameters::default(), &set());
        assert_eq!(weights.lambda, f64::from(Hyperparameters::default().regularization));
        let expected = weights.lambda * (2.0 + f64::from(0.2_f32) * 3.0);
        assert!((f64::from(weights.user(2)) - expected).abs() < 1e-8);
    }

    #[test]
    fn ranges_are_checked() {
        let good = Hyperparameters::default();
        assert_eq!(good.validate(), Ok(()));
        for (bad, field) in [
            (Hyperparameters { factors: 0, ..good }, "factors"),
            (Hyperparameters { regularization: 0.0, ..good }, "regularization"),
            (Hyperparameters { unobserved_weight: -1.0, ..good }, "unobserved_weight"),
            (Hyperparameters { frequency_exponent: f32::NAN, ..good }, "frequency_exponent"),
            (Hyperparameters { epochs: 0, ..good }, "epochs"),
            (Hyperparameters { init_standard_deviation: 0.0, ..good }, "init_standard_deviation"),
        ] {
            assert_eq!(bad.validate().unwrap_err().field, field);
        }
    }
}
