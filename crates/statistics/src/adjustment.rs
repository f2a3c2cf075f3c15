//! A metric adjusted by each unit's value from before its exposure: the same effect with less noise.
//!
//! Invariants: the value from before cannot depend on the arm, so no adjustment moves the effect in
//! expectation; with no variation in it, nothing is adjusted.
//! Sources: Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled
//! experiments" (CUPED, 2013); Lin, "Agnostic notes on regression adjustments" (2013).

use crate::summary::{Estimate, Moments, Pairs};

/// Both arms after adjustment: control, treatment.
pub type Adjusted = (Estimate, Estimate);

/// CUPED: one slope of metric on value from before, over both arms together. Means are moved to the
/// value from before that both arms have together, so that lifts keep their meaning.
#[must_use]
pub fn cuped(control: &Pairs, treatment: &Pairs) -> Adjusted {
    let mut together = *control;
    together.merge(treatment);
    let pooled = together.moments();
    let slope = slope(&pooled);
    let adjusted = |arm: &Pairs| {
        let moments = arm.moments();
        let variance = residual(&moments, slope) / (moments.units - 1.0).max(1.0);
        let mean = moments.metric_mean - slope * (moments.other_mean - pooled.other_mean);
        arm.estimate_of(mean, variance / moments.units.max(1.0))
    };
    (adjusted(control), adjusted(treatment))
}

/// Lin: a slope for each arm. The difference of the means is the regression with interactions; the
/// variance also has what the common centre of both arms adds.
#[must_use]
pub fn lin(control: &Pairs, treatment: &Pairs) -> Adjusted {
    let mut together = *control;
    together.merge(treatment);
    let pooled = together.moments();
    let slopes = [control, treatment].map(|arm| slope(&arm.moments()));
    let apart = slopes[1] - slopes[0];
    let units = pooled.units.max(1.0);
    // Half of it in each arm: only the sum of both is used.
    let centre = 0.5 * apart * apart * (pooled.other / units) / units;
    let adjusted = |arm: &Pairs, slope: f64| {
        let moments = arm.moments();
        let variance = residual(&moments, slope) / (moments.units - 2.0).max(1.0);
        let mean = moments.metric_mean - slope * (moments.other_mean - pooled.other_mean);
        arm.estimate_of(mean, variance / moments.units.max(1.0) + centre)
    };
    (adjusted(control, slopes[0]), adjusted(treatment, slopes[1]))
}

fn slope(moments: &Moments) -> f64 {
    if moments.other > 0.0 { moments.product / moments.other } else { 0.0 }
}

/// The sum of squares that the slope leaves.
fn residual(moments: &Moments, slope: f64) -> f64 {
    let left = moments.metric - 2.0 * slope * moments.product + slope * slope * moments.other;
    if left < 0.0 { 0.0 } else { left }
}
