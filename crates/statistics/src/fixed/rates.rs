//! Rates at a fixed horizon: Newcombe's interval of the difference, the logarithm of the ratio for
//! the lift.
//!
//! Invariants: intervals stay within what rates can be; no conversions at all still give an interval
//! of the difference.
//! Sources: Wilson (1927) for one rate; Newcombe, "Interval estimation for the difference between
//! independent proportions", method 10 (1998); Katz, Baptista, Azen and Pike, "Obtaining confidence
//! intervals for the risk ratio in cohort studies" (1978).

use crate::contrast::{Contrast, LogRatio, fieller};
use crate::level::Level;
use crate::outcome::{Comparison, Effect, Interval, Missing};
use crate::special::{normal, root};
use crate::summary::Counts;

/// Beyond every p-value that a f64 can hold.
const Z_MAX: f64 = 38.0;

/// Rates of two arms.
#[must_use]
pub fn rates(control: &Counts, treatment: &Counts, level: Level) -> Comparison {
    let (a, b) = (control.estimate(), treatment.estimate());
    match Contrast::of(&a, &b) {
        Err(missing) if missing != [Missing::Variation] => return Comparison::nothing(missing),
        // Rates of 0 or 1 vary by chance all the same.
        _ => {}
    }
    let z = normal::upper_quantile(0.5 * level.alpha());
    let ratio = LogRatio::of(&a, &b);
    let of_log = ratio.map_or(f64::INFINITY, |ratio| ratio.z().abs());
    // Both must leave 0 out, so the weaker of the two speaks.
    let p_value = normal::two_sided(newcombe_z(control, treatment).min(of_log));
    let interval = newcombe(control, treatment, level);
    let comparison = Comparison {
        difference: Some(Effect { value: b.mean - a.mean, interval }),
        lift: ratio.map(|ratio| ratio.lift(z)),
        lift_by_fieller: fieller(&a, &b, z),
        p_value: Some(p_value),
        ln_e_value: None,
        missing: Vec::new(),
    };
    comparison.in_agreement()
}

/// Wilson's interval of one rate: within 0 and 1, of some width even at 0 conversions.
#[must_use]
pub fn wilson(counts: &Counts, level: Level) -> Interval {
    wilson_of(counts, normal::upper_quantile(0.5 * level.alpha()))
}

fn wilson_of(counts: &Counts, z: f64) -> Interval {
    let (n, rate) = (counts.units.max(1) as f64, counts.rate());
    let scale = 1.0 + z * z / n;
    let centre = (rate + z * z / (2.0 * n)) / scale;
    let half_width = z / scale * (rate * (1.0 - rate) / n + z * z / (4.0 * n * n)).sqrt();
    let around = Interval::around(centre, half_width);
    Interval { low: around.low.max(0.0).min(rate), high: around.high.min(1.0).max(rate) }
}

/// Newcombe's interval of the difference, from both Wilson intervals.
#[must_use]
pub fn newcombe(control: &Counts, treatment: &Counts, level: Level) -> Interval {
    newcombe_of(control, treatment, normal::upper_quantile(0.5 * level.alpha()))
}

fn newcombe_of(control: &Counts, treatment: &Counts, z: f64) -> Interval {
    let (a, b) = (wilson_of(control, z), wilson_of(treatment, z));
    let (rate_a, rate_b) = (control.rate(), treatment.rate());
    let length = |x: f64, y: f64| (x * x + y * y).sqrt();
    Interval {
        low: rate_b - rate_a - length(rate_b - b.low, a.high - rate_a),
        high: rate_b - rate_a + length(b.high - rate_b, rate_a - a.low),
    }
}

/// The z at which Newcombe's interval touches 0: it makes a p-value that agrees with the interval.
fn newcombe_z(control: &Counts, treatment: &Counts) -> f64 {
    let difference = treatment.rate() - control.rate();
    if difference == 0.0 {
        return 0.0;
    }
    root::between(0.0, Z_MAX, |z| {
        let interval = newcombe_of(control, treatment, z);
        if difference > 0.0 { interval.low } else { -interval.high }
    })
}
