//! What a value of a feature adds to the score, as a training fitted it: a line with bends.
//!
//! - `f(x, l) = 0` for `x = 0`, which means "nothing known"; else
//!   `f(x, l) = known + slope x + sum_k bend_k (max(0, x - at_k) - max(0, -at_k)) + length l x`, with `x` on
//!   the scale of features and `l` the [length](FeatureMatrix::length) of the user's history.
//! - Curves add up, so a score is still a sum over features (a generalised additive model with one
//!   interaction: Hastie and Tibshirani 1986).
//! - A curve is divided by its own unit, so that its weight tells what it is worth.

use serde::Deserialize;
use serde::Serialize;

use crate::models::hybrid::rows::FeatureMatrix;
use crate::models::hybrid::scale::VALUE_MAX;

/// Bends of a curve at most.
pub const BENDS_MAX: usize = 3;
/// Bound of all numbers of a curve: others are no fit.
const NUMBER_MAX: f32 = 1e6;

/// See the header.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    pub known: f32,
    pub slope: f32,
    /// Where it bends, ascending, and by how much; [`BENDS_MAX`] at most.
    pub bends: Vec<(f32, f32)>,
    pub length: f32,
}

impl Curve {
    /// Its value, within plus or minus [`VALUE_MAX`]. `x` is finite.
    pub fn at(&self, x: f32, length: f32) -> f32 {
        self.unbounded(x, length).clamp(-VALUE_MAX, VALUE_MAX)
    }

    /// The same without the bound, which would make the objective of a fit no longer convex.
    pub fn unbounded(&self, x: f32, length: f32) -> f32 {
        if x == 0.0 {
            return 0.0;
        }
        let bent = self.bends.iter().map(|&(at, bend)| bend * hinge(x, at)).sum::<f32>();
        self.known + (self.slope + self.length * length) * x + bent
    }

    /// The lines that it consists of without the bound, each a constant and a slope: before the first bend, and
    /// after each. `x = 0` lies on none.
    pub fn lines(&self, length: f32) -> [(f64, f64); BENDS_MAX + 1] {
        let constant =
            self.known - self.bends.iter().map(|&(at, bend)| bend * (-at).max(0.0)).sum::<f32>();
        let mut line = (f64::from(constant), f64::from(self.slope + self.length * length));
        let mut lines = [line; BENDS_MAX + 1];
        for (next, &(at, bend)) in lines[1..].iter_mut().zip(&self.bends) {
            line = (line.0 - f64::from(bend) * f64::from(at), line.1 + f64::from(bend));
            *next = line;
        }
        lines
    }

    /// The same curve, so many times lower.
    #[must_use]
    pub fn divided_by(&self, unit: f32) -> Self {
        Self {
            known: self.known / unit,
            slope: self.slope / unit,
            bends: self.bends.iter().map(|&(at, bend)| (at, bend / unit)).collect(),
            length: self.length / unit,
        }
    }

    fn is_sound(&self) -> bool {
        let bends = self.bends.iter().flat_map(|&(at, bend)| [at, bend]);
        let mut numbers = [self.known, self.slope, self.length].into_iter().chain(bends);
        self.bends.len() <= BENDS_MAX && numbers.all(|number| number.abs() <= NUMBER_MAX)
    }
}

/// What a bend of 1 adds at `x`: 0 at 0.
fn hinge(x: f32, at: f32) -> f32 {
    (x - at).max(0.0) - (-at).max(0.0)
}

/// The curves of all features. Without any, each feature adds its value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// By position; none for a feature that adds its value. Empty without any.
    of: Vec<Option<Curve>>,
    /// Lengths of the histories that they were fitted on: least and greatest.
    lengths: (f32, f32),
}

impl Curves {
    pub fn new(of: Vec<Option<Curve>>, lengths: (f32, f32)) -> Self {
        if of.iter().all(Option::is_none) { Self::default() } else { Self { of, lengths } }
    }

    /// Whether all numbers are finite and in range, for a layout of so many features.
    pub fn is_sound(&self, features: usize) -> bool {
        let (least, greatest) = self.lengths;
        let lengths =
            least.abs() <= NUMBER_MAX && greatest.abs() <= NUMBER_MAX && least <= greatest;
        (self.of.is_empty() || self.of.len() == features)
            && lengths
            && self.of.iter().flatten().all(Curve::is_sound)
    }

    /// Those for another layout: `positions` gives the former position of each feature, if any.
    #[must_use]
    pub fn aligned(&self, positions: &[Option<usize>]) -> Self {
        let of = positions.iter().map(|position| self.of.get((*position)?)?.clone());
        Self::new(of.collect(), self.lengths)
    }

    /// Rows of features on their scale become what the features add, each still to be weighed.
    pub fn apply(&self, features: &mut FeatureMatrix) {
        let length = features.length().clamp(self.lengths.0, self.lengths.1);
        let curved = || self.of.iter().enumerate().filter_map(|(at, of)| Some((at, of.as_ref()?)));
        for row in features.rows_mut() {
            for (at, curve) in curved() {
                row[at] = curve.at(row[at], length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve() -> Curve {
        let bends = vec![(-1.0, 0.5), (2.0, -1.0)];
        Curve { known: 0.25, slope: 1.0, bends, length: 0.5 }
    }

    #[test]
    fn what_is_not_known_adds_nothing_and_a_curve_bends_where_it_says() {
        let values = [0.0, 1.0, 2.0, 3.0].map(|x| curve().at(x, 0.0));
        assert_eq!(values, [0.0, 1.75, 3.25, 3.75]);
        assert_eq!(curve().at(-2.0, 0.0), 0.25 - 2.0 - 0.5);
        assert_eq!(curve().at(1.0, 1.0) - curve().at(1.0, 0.0), 0.5, "long histories add");
        assert_eq!(curve().at(VALUE_MAX, 1e6), VALUE_MAX);
        assert_eq!(curve().divided_by(2.0).at(3.0, 1.0), curve().at(3.0, 1.0) / 2.0);
    }

    #[test]
    fn between_its_bends_it_is_a_line() {
        let lines = curve().lines(0.5);
        for (line, x) in [(0, -3.0), (0, -1.5), (1, -0.5), (1, 0.5), (1, 2.0), (2, 2.5), (2, 3.5)] {
            let (constant, slope) = lines[line];
            assert!(
                (constant + slope * f64::from(x) - f64::from(curve().unbounded(x, 0.5))).abs()
                    < 1e-6
            );
        }
    }

    #[test]
    fn lengths_beyond_those_of_the_fit_count_as_the_nearest() {
        let curves = Curves::new(vec![None, Some(curve())], (-1.0, 0.5));
        let applied = |positives: u32| {
            let mut rows = FeatureMatrix::from_rows([&[3.0, 1.0][..]]).of_history(positives);
            curves.apply(&mut rows);
            rows.row(0).to_vec()
        };
        assert_eq!(applied(0), [3.0, curve().at(1.0, -1.0)]);
        assert_eq!(applied(1_000_000), [3.0, curve().at(1.0, 0.5)]);
    }

    #[test]
    fn curves_stay_with_their_features() {
        let curves = Curves::new(vec![None, Some(curve())], (-1.0, 1.0));
        let moved = curves.aligned(&[Some(1), None, Some(0)]);
        assert_eq!(moved.of, [Some(curve()), None, None]);
        assert_eq!(curves.aligned(&[None, Some(0)]), Curves::default());
        assert!(moved.is_sound(3) && !moved.is_sound(2));
        let wild = Curve { slope: f32::NAN, ..curve() };
        assert!(!Curves::new(vec![Some(wild)], (0.0, 0.0)).is_sound(1));
    }
}
