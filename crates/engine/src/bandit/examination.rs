//! How likely a place of a list is looked at: the examination hypothesis, a place is
//! rewarded if it is looked at and the item is wanted (Craswell et al. 2008).
//!
//! Learnt from places where chance decided: weighted by the inverse of its propensity,
//! what stands there stands for any candidate, so rates of reward of two places differ
//! by examination only (Joachims, Swaminathan and Schnabel 2017, harvested from our own
//! randomisation). The first place counts as always looked at. Until enough was seen,
//! and for what was not: `(k + 1)^-decay`.
//!
//! - Sums are integers in fixed point, as those of the posterior.

use serde::Deserialize;
use serde::Serialize;

use crate::numeric::math;

/// Places told apart; what is below is as the last.
const PLACES: usize = 50;
/// A more probable choice is rather the ranking's than chance's.
const PROPENSITY_MAX: f32 = 0.5;
/// Bounds what one lucky draw can say.
const INVERSE_MAX: f32 = 100.0;
const SCALE: f32 = 4_096.0;
/// Weighted showings that the prior curve is worth at each place.
const PRIOR_MASS: f64 = 20_000.0;
/// Rate of reward at the first place before any was seen.
const PRIOR_RATE: f64 = 0.05;
/// No place is as good as never looked at.
const EXAMINATION_MIN: f64 = 0.01;

/// Sums by place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examination {
    /// Inverse propensities of what was shown, and of what of it was rewarded.
    places: Vec<(i64, i64)>,
}

/// What a showing at a place counts; 0 where chance did not decide.
fn mass(propensity: f32) -> i64 {
    if propensity > 0.0 && propensity <= PROPENSITY_MAX {
        ((1.0 / propensity).min(INVERSE_MAX) * SCALE).round_ties_even() as i64
    } else {
        0
    }
}

impl Examination {
    fn place(&mut self, place: usize) -> &mut (i64, i64) {
        let place = place.min(PLACES - 1);
        if self.places.len() <= place {
            self.places.resize(place + 1, (0, 0));
        }
        &mut self.places[place]
    }

    pub fn note_shown(&mut self, place: usize, propensity: f32) {
        let shown = &mut self.place(place).0;
        *shown = shown.saturating_add(mass(propensity));
    }

    /// The first reward of what was shown there.
    pub fn note_rewarded(&mut self, place: usize, propensity: f32) {
        let rewarded = &mut self.place(place).1;
        *rewarded = rewarded.saturating_add(mass(propensity));
    }

    /// The probability that each place is looked at, never rising.
    pub fn curve(&self, places: usize, decay: f64) -> Vec<f64> {
        let prior = |place: usize| math::pow((place + 1) as f64, -decay);
        let sums = |place: usize| {
            let (shown, rewarded) = self.places.get(place).copied().unwrap_or_default();
            (shown as f64 / f64::from(SCALE), rewarded as f64 / f64::from(SCALE))
        };
        let rate = |place: usize, prior_rate: f64| {
            let (shown, rewarded) = sums(place);
            (rewarded + PRIOR_MASS * prior_rate) / (shown + PRIOR_MASS)
        };
        let (shown, rewarded) = sums(0);
        // The first place's own rate, so that a curve scales with the rewards there are.
        let pooled = if shown > 0.0 { rewarded / shown } else { PRIOR_RATE };
        let first = rate(0, pooled).max(1e-9);
        let mut below = 1.0_f64;
        (0..places)
            .map(|place| {
                let seen = rate(place.min(PLACES - 1), pooled * prior(place)) / first;
                below = below.min(seen).max(EXAMINATION_MIN);
                below
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_evidence_the_curve_is_the_prior() {
        let curve = Examination::default().curve(4, 1.0);
        for (found, expected) in curve.iter().zip([1.0, 0.5, 1.0 / 3.0, 0.25]) {
            assert!((found - expected).abs() < 1e-9, "{curve:?}");
        }
        assert_eq!(Examination::default().curve(3, 0.0), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn what_chance_showed_teaches_the_curve_and_what_the_ranking_chose_does_not() {
        let mut examination = Examination::default();
        for round in 0..40_000 {
            for place in 0..3 {
                examination.note_shown(place, 0.05);
                examination.note_shown(place, 0.9);
                // Wanted by one in ten; looked at always, in four of five, in one of five.
                if round % 50 < [5, 4, 1][place] {
                    examination.note_rewarded(place, 0.05);
                }
                examination.note_rewarded(2, 0.9);
            }
        }
        let curve = examination.curve(3, 1.0);
        for (found, expected) in curve.iter().zip([1.0, 0.8, 0.2]) {
            assert!((found - expected).abs() < 0.02, "{curve:?}");
        }
    }
}
