//! Sums of an arm, and what the rest needs of them: mean and variance.
//!
//! Invariants
//! - Counts are integers: merging is exact in any order.
//! - Sums of values are f64 in the order of `add` and `merge`: the same calls in the same order give
//!   the same bits. A caller that needs the same result on several machines adds in the order of the log
//!   and merges in a fixed order.
//! - Sums that are infinite or no number are reported by the comparison, never passed on.
//!
//! Source of the variance of a ratio: Deng, Knoblich and Lu, "Applying the delta method in metric
//! analytics" (2018).

use serde::{Deserialize, Serialize};

/// Below this part of the squares, a centred sum is what rounding left of 0.
const ROUNDING: f64 = 1e-12;

/// What a metric is made of; it decides how much is needed before a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A share of units.
    Rate,
    /// A mean of values per unit, or a ratio of two.
    Value,
}

/// An arm as every comparison sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub kind: Kind,
    pub units: u64,
    /// Units with a value other than 0; of a rate, conversions.
    pub nonzero: u64,
    pub mean: f64,
    /// Of the mean: the square of its standard error.
    pub variance: f64,
}

/// Of a rate: units, and those that did it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub units: u64,
    pub conversions: u64,
}

impl Counts {
    pub fn add(&mut self, converted: bool) {
        self.units += 1;
        self.conversions += u64::from(converted);
    }

    pub fn merge(&mut self, other: &Self) {
        self.units = self.units.saturating_add(other.units);
        self.conversions = self.conversions.saturating_add(other.conversions);
    }

    #[must_use]
    pub fn rate(&self) -> f64 {
        self.conversions.min(self.units) as f64 / self.units.max(1) as f64
    }

    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let mean = self.rate();
        let variance = mean * (1.0 - mean) / self.units.max(1) as f64;
        let nonzero = self.conversions.min(self.units);
        Estimate { kind: Kind::Rate, units: self.units, nonzero, mean, variance }
    }
}

/// Of a mean: one value per unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Values {
    pub units: u64,
    pub nonzero: u64,
    pub sum: f64,
    pub squares: f64,
}

impl Values {
    /// Adds a unit's value, cut at `cap`; infinity cuts nothing. See [`quantile`].
    pub fn add(&mut self, value: f64, cap: f64) {
        // What is no number stays none, to be reported.
        let value = if value > cap { cap } else { value };
        self.units += 1;
        self.nonzero += u64::from(value != 0.0);
        self.sum += value;
        self.squares += value * value;
    }

    pub fn merge(&mut self, other: &Self) {
        self.units = self.units.saturating_add(other.units);
        self.nonzero = self.nonzero.saturating_add(other.nonzero);
        self.sum += other.sum;
        self.squares += other.squares;
    }

    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let n = self.units as f64;
        let variance = centred(n, self.squares, self.sum, self.sum) / (n - 1.0).max(1.0);
        self.estimate_of(self.sum / n.max(1.0), variance / n.max(1.0))
    }

    fn estimate_of(&self, mean: f64, variance: f64) -> Estimate {
        Estimate { kind: Kind::Value, units: self.units, nonzero: self.nonzero, mean, variance }
    }
}

/// Of two values per unit: a metric with what it is divided by, or with a value from before the
/// exposure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Pairs {
    /// The metric, or the numerator of a ratio.
    pub metric: Values,
    /// The denominator, or the value from before; its units are those of the metric.
    pub other: Values,
    pub products: f64,
}

impl Pairs {
    /// Adds a unit. Caps as in [`Values::add`], by the caller.
    pub fn add(&mut self, metric: f64, other: f64) {
        self.metric.add(metric, f64::INFINITY);
        self.other.add(other, f64::INFINITY);
        self.products += metric * other;
    }

    pub fn merge(&mut self, more: &Self) {
        self.metric.merge(&more.metric);
        self.other.merge(&more.other);
        self.products += more.products;
    }

    /// The sum of the metric over the sum of the other value. No denominator: not finite, which
    /// every comparison reports.
    #[must_use]
    pub fn ratio(&self) -> Estimate {
        let moments = self.moments();
        let n = moments.units;
        let ratio = self.metric.sum / self.other.sum;
        let centred =
            moments.metric - 2.0 * ratio * moments.product + ratio * ratio * moments.other;
        let below = self.other.sum / n.max(1.0);
        let variance = centred.max(0.0) / (n - 1.0).max(1.0) / (below * below) / n.max(1.0);
        self.metric.estimate_of(ratio, variance)
    }

    pub(crate) fn moments(&self) -> Moments {
        let n = self.metric.units as f64;
        let (y, x) = (&self.metric, &self.other);
        Moments {
            units: n,
            metric_mean: y.sum / n.max(1.0),
            other_mean: x.sum / n.max(1.0),
            metric: centred(n, y.squares, y.sum, y.sum),
            other: centred(n, x.squares, x.sum, x.sum),
            product: self.products - y.sum * (x.sum / n.max(1.0)),
        }
    }

    pub(crate) fn estimate_of(&self, mean: f64, variance: f64) -> Estimate {
        self.metric.estimate_of(mean, variance)
    }
}

/// Means, and sums of squares and products around them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    pub units: f64,
    pub metric_mean: f64,
    pub other_mean: f64,
    pub metric: f64,
    pub other: f64,
    pub product: f64,
}

/// The sum of squares around the mean; 0 where only rounding is left.
fn centred(n: f64, squares: f64, a: f64, b: f64) -> f64 {
    let rest = squares - a * (b / n.max(1.0));
    // NaN stays: it is reported later.
    if rest <= ROUNDING * squares { 0.0 } else { rest }
}

/// The quantile of values in ascending order, between the two nearest (type 7 of Hyndman and Fan):
/// at .99 of the values that are not 0, the cap of a metric. None of no values.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = share.clamp(0.0, 1.0) * last as f64;
    let below = (at as usize).min(last);
    let above = (below + 1).min(last);
    Some(sorted[below] + (at - below as f64) * (sorted[above] - sorted[below]))
}
