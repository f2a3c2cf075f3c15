//! The scale of features: each is divided by its own unit, so that weights are comparable and
//! no value is extreme.
//!
//! - A feature is divided by the root mean square of its values that are not 0, among the
//!   items of the prequential tests. It is not centred: 0 means "nothing known" and must stay
//!   0, which adds nothing to any score. Centring would make it a value below average. The
//!   constant of the ranker covers what all candidates share; that changes no choice.
//! - It moves slowly, so that weights learnt on it stay valid: a test moves the square by at most
//!   [`STEP_MAX`] of itself, later by six times one in [`WINDOW`].
//! - [`FeatureScale::apply`] is the only way to apply the scale, for learning and for scoring. A
//!   value that is not finite becomes 0, others are clamped to plus or minus [`VALUE_MAX`].

use serde::Deserialize;
use serde::Serialize;

use crate::models::hybrid::rows::FeatureMatrix;

/// Bound of the absolute value of a scaled feature.
pub const VALUE_MAX: f32 = 8.0;
/// Tests that the initial scale counts as, and the length of the later average.
const PRIOR_TESTS: f64 = 30.0;
const WINDOW: u32 = 20_000;
/// How far one test moves a square at most, as a share of it.
const STEP_MAX: f64 = 0.02;
/// A square of one test counts as at most this many times the present one.
const SURPRISE_MAX: f64 = 4.0;
/// Bounds of a unit: smaller values are rounding errors, larger ones are no features.
pub const UNIT_RANGE: (f64, f64) = (1e-6, 1e6);

/// How the unit of a feature comes about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScaleOf {
    /// Learnt; this at first.
    Learnt(f64),
    /// This, whatever the values: for what tests hardly see, since they are of users who are
    /// known.
    Fixed(f64),
    /// What a training finds. Until then the feature is not used: it counts as 0.
    Fitted,
}

/// What each feature is divided by.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeatureScale {
    features: Vec<Unit>,
    /// Values that were not finite, of the tests.
    pub non_finite: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Unit {
    square: f64,
    /// Tests with a value of it, at most [`WINDOW`].
    tests: u32,
    /// Whether it stays what it was.
    fixed: bool,
}

impl FeatureScale {
    /// A scale that was not learnt yet.
    pub fn new(units: impl IntoIterator<Item = ScaleOf>) -> Self {
        let unit = |of: ScaleOf| {
            let (unit, fixed) = match of {
                ScaleOf::Learnt(unit) => (unit, false),
                ScaleOf::Fixed(unit) => (unit, true),
                ScaleOf::Fitted => (0.0, true),
            };
            Unit { square: unit * unit, tests: 0, fixed }
        };
        Self { features: units.into_iter().map(unit).collect(), non_finite: 0 }
    }

    /// What each feature is divided by; 0 for one that is not used.
    pub fn units(&self) -> impl ExactSizeIterator<Item = f64> {
        self.features.iter().map(|feature| feature.square.sqrt())
    }

    /// The scale for another layout: `positions` gives the former position of each feature, if any.
    #[must_use]
    pub fn aligned(&self, positions: &[Option<usize>], new: &Self) -> Self {
        let features = positions.iter().zip(&new.features);
        let features = features.map(|(position, new)| match position {
            Some(position) if !new.fixed || new.square == 0.0 => self.features[*position],
            _ => *new,
        });
        Self { features: features.collect(), non_finite: self.non_finite }
    }

    /// Sets what a feature is divided by from now on, as a training found it. It is learnt no further:
    /// the weights of the training hold for this unit.
    pub fn fix(&mut self, position: usize, unit: f64) {
        self.features[position] = Unit { square: unit * unit, tests: WINDOW, fixed: true };
    }

    /// Puts rows onto the scale.
    pub fn apply(&self, matrix: &mut FeatureMatrix) {
        let factor = |unit: f64| if unit > 0.0 { (1.0 / unit) as f32 } else { 0.0 };
        let factors: Vec<f32> = self.units().map(factor).collect();
        for row in matrix.rows_mut() {
            for (value, factor) in row.iter_mut().zip(&factors) {
                let scaled = *value * factor;
                let is_known = value.is_finite();
                *value = if is_known { scaled.clamp(-VALUE_MAX, VALUE_MAX) } else { 0.0 };
            }
        }
    }

    /// Learns from the rows of a test, as they are before [`Self::apply`]; `weight` of 0 to 1.
    pub fn learn(&mut self, raw: &FeatureMatrix, weight: f64) {
        for (position, feature) in self.features.iter_mut().enumerate() {
            let most = f64::from(VALUE_MAX * VALUE_MAX) * feature.square;
            let (mut sum, mut count) = (0.0, 0_u32);
            for row in raw.rows() {
                let value = f64::from(row[position]);
                if !value.is_finite() {
                    self.non_finite += 1;
                } else if value != 0.0 {
                    sum += (value * value).min(most);
                    count += 1;
                }
            }
            if count > 0 && !feature.fixed {
                feature.learn(sum / f64::from(count), weight);
            }
        }
    }
}

impl Unit {
    fn learn(&mut self, square: f64, weight: f64) {
        // Twice the pace of a plain mean, so that a wrong start is soon forgotten.
        let pace = 2.0 * weight / (2.0 * PRIOR_TESTS + f64::from(self.tests));
        let surprise = (square / self.square).min(SURPRISE_MAX) - 1.0;
        let step = (pace * surprise).clamp(-STEP_MAX, STEP_MAX);
        let (least, most) = UNIT_RANGE;
        self.square = (self.square * (1.0 + step)).clamp(least * least, most * most);
        self.tests = (self.tests + 1).min(WINDOW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[f32]) -> FeatureMatrix {
        FeatureMatrix::from_rows(values.chunks(1))
    }

    fn unit(scale: &FeatureScale) -> f64 {
        scale.units().next().unwrap()
    }

    #[test]
    fn values_get_a_mean_square_of_one_and_zeros_stay_zeros() {
        let mut scale = FeatureScale::new([ScaleOf::Learnt(1.0)]);
        let values = [0.0, 20.0, -10.0, 0.0, 15.0];
        (0..2_000).for_each(|_| scale.learn(&rows(&values), 1.0));
        assert!((unit(&scale) / (725.0_f64 / 3.0).sqrt() - 1.0).abs() < 0.02, "{scale:?}");
        let mut scaled = rows(&values);
        scale.apply(&mut scaled);
        assert_eq!((scaled.row(0), scaled.row(3)), (&[0.0][..], &[0.0][..]));
    }

    #[test]
    fn one_test_moves_the_scale_by_a_bounded_share_that_falls_with_the_number_of_tests() {
        let mut scale = FeatureScale::new([ScaleOf::Learnt(1.0)]);
        scale.learn(&rows(&[1e30, -1e30]), 1.0);
        assert!(unit(&scale) <= (1.0 + STEP_MAX).sqrt() + 1e-9, "{scale:?}");
        (0..WINDOW).for_each(|_| scale.learn(&rows(&[1.0]), 1.0));
        let before = unit(&scale);
        scale.learn(&rows(&[1e30]), 1.0);
        assert!(unit(&scale) / before - 1.0 < 2e-4, "{before} {}", unit(&scale));
        (0..100).for_each(|_| scale.learn(&rows(&[1e30]), 0.01));
        assert!(unit(&scale) / before - 1.0 < 4e-4, "{before} {}", unit(&scale));
    }

    #[test]
    fn a_value_that_is_not_finite_is_zero_and_counted() {
        let mut scale = FeatureScale::new([ScaleOf::Learnt(0.5)]);
        let mut values = rows(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e38, -1e38, 1.0]);
        scale.learn(&values, 1.0);
        assert_eq!(scale.non_finite, 3);
        scale.apply(&mut values);
        let values: Vec<f32> = values.rows().map(|row| row[0]).collect();
        assert_eq!(values[..5], [0.0, 0.0, 0.0, VALUE_MAX, -VALUE_MAX]);
        assert!((1.9..2.0).contains(&values[5]), "{values:?}");
    }
}
