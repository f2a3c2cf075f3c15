//! How many units an experiment needs, what it can detect, and what a running one still can.
//!
//! "Detect" means: with probability `power`, the interval leaves 0 out at the end. A sequential test
//! may decide earlier, so its power is at least that.
//! Invariants: more units never detect less; a sequential design never needs fewer units than a
//! fixed one.
//! Sources: Cohen, Statistical Power Analysis (1988); for rates both variances unpooled.

use crate::contrast::Contrast;
use crate::level::{Level, ParameterError, positive, share, within};
use crate::outcome::Missing;
use crate::sequential::asymptotic::TwoSided;
use crate::special::{normal, root, student};
use crate::summary::Estimate;

/// No experiment is larger, by far.
const UNITS_MAX: f64 = 1e13;

/// When the data are looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Looks {
    /// Once, at the end.
    Once,
    /// At any time, with intervals tuned for so many units of both arms.
    AnyTime { tuned_for: f64 },
    /// At any time, with intervals tuned for the end.
    AnyTimeTunedForTheEnd,
}

/// An experiment of two arms that is being planned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Design {
    looks: Looks,
    level: Level,
    /// The z of the power.
    reach: f64,
    power: f64,
    share: f64,
}

impl Design {
    /// `share` of the units of both arms go to the treatment.
    pub fn new(
        looks: Looks,
        level: Level,
        power: f64,
        share_of_treatment: f64,
    ) -> Result<Self, ParameterError> {
        let (name, range) = ("the power", "from 0.5 to 0.999");
        if !within(power, 0.5, 0.999) {
            return Err(ParameterError { name, range, found: power });
        }
        if let Looks::AnyTime { tuned_for } = looks {
            positive("the planned number of units", tuned_for)?;
        }
        let share = share("the share of the treatment", share_of_treatment)?;
        Ok(Self { looks, level, reach: normal::quantile(power), power, share })
    }

    /// Units of both arms that detect a difference of `effect` between means with this standard
    /// deviation per unit; none where no experiment is large enough. Of a ratio, the deviation is
    /// [`deviation_of`] an estimate.
    pub fn units_for_mean(
        &self,
        deviation: f64,
        effect: f64,
    ) -> Result<Option<f64>, ParameterError> {
        let deviation = positive("the standard deviation", deviation)?;
        let effect = positive("the effect", effect.abs())?;
        let variance = deviation * deviation;
        Ok(self.units(|units| self.short_of(effect, variance, variance, units)))
    }

    /// The smallest difference between means that so many units of both arms detect.
    pub fn detectable_mean(&self, deviation: f64, units: f64) -> Result<f64, ParameterError> {
        let deviation = positive("the standard deviation", deviation)?;
        let units = positive("the number of units", units)?;
        let largest = 1e6 * deviation;
        let variance = deviation * deviation;
        Ok(root::between(0.0, largest, |effect| self.short_of(effect, variance, variance, units)))
    }

    /// Units of both arms that detect a relative change of a rate; none where no experiment is large
    /// enough.
    pub fn units_for_rate(&self, rate: f64, lift: f64) -> Result<Option<f64>, ParameterError> {
        let rate = share("the rate", rate)?;
        let changed = share("the changed rate", rate * (1.0 + lift))?;
        positive("the lift", lift.abs())?;
        let effect = (changed - rate).abs();
        let variance = |rate: f64| rate * (1.0 - rate);
        Ok(self
            .units(|units| self.short_by_normal(effect, variance(rate), variance(changed), units)))
    }

    /// The smallest relative rise of a rate that so many units of both arms detect; none where even
    /// a rise to 1 is not detected.
    pub fn detectable_rate(&self, rate: f64, units: f64) -> Result<Option<f64>, ParameterError> {
        let rate = share("the rate", rate)?;
        let units = positive("the number of units", units)?;
        let variance = |rate: f64| rate * (1.0 - rate);
        let short = |changed: f64| {
            self.short_by_normal(changed - rate, variance(rate), variance(changed), units)
        };
        let changed = (short(1.0) <= 0.0).then(|| root::between(rate, 1.0, short));
        Ok(changed.map(|changed| changed / rate - 1.0))
    }

    fn units(&self, mut short_of: impl FnMut(f64) -> f64) -> Option<f64> {
        (short_of(UNITS_MAX) <= 0.0).then(|| root::between(4.0, UNITS_MAX, short_of))
    }

    /// What is missing to detect an effect, in its own unit or in power; 0 where it is just detected.
    fn short_of(&self, effect: f64, control: f64, treatment: f64, units: f64) -> f64 {
        if self.looks != Looks::Once {
            return self.short_by_normal(effect, control, treatment, units);
        }
        let degrees = (units - 2.0).max(1.0);
        let shift = effect / self.error(control, treatment, units);
        // Beyond, the power is 1 to all digits.
        if shift > 60.0 {
            return self.power - 1.0;
        }
        let t = student::upper_quantile(0.5 * self.level.alpha(), degrees);
        self.power - student::power(t, degrees, shift)
    }

    fn short_by_normal(&self, effect: f64, control: f64, treatment: f64, units: f64) -> f64 {
        (self.multiplier(units) + self.reach) * self.error(control, treatment, units) - effect
    }

    /// Of the difference, given variances per unit.
    fn error(&self, control: f64, treatment: f64, units: f64) -> f64 {
        (control / (units * (1.0 - self.share)) + treatment / (units * self.share)).sqrt()
    }

    fn multiplier(&self, units: f64) -> f64 {
        let tuned_for = match self.looks {
            Looks::Once => return normal::upper_quantile(0.5 * self.level.alpha()),
            Looks::AnyTime { tuned_for } => tuned_for,
            Looks::AnyTimeTunedForTheEnd => units,
        };
        TwoSided::new(self.level, tuned_for).multiplier(units)
    }
}

/// The standard deviation per unit that an arm's mean or ratio has shown.
#[must_use]
pub fn deviation_of(estimate: &Estimate) -> f64 {
    (estimate.variance * estimate.units as f64).sqrt()
}

/// The smallest true effects that a test can still be expected to detect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detectable {
    pub difference: f64,
    /// As a part of the control's mean; none where that is not above 0.
    pub lift: Option<f64>,
}

/// What a running test will detect once both arms together have so many units, if the spread of the
/// values and the split stay as they are. The number of today says what it could have shown by now.
pub fn still_detectable(
    control: &Estimate,
    treatment: &Estimate,
    design: &Design,
    units: f64,
) -> Result<Detectable, Vec<Missing>> {
    let contrast = Contrast::of(control, treatment)?;
    let units = units.clamp(contrast.units(), UNITS_MAX.max(contrast.units()));
    let error = contrast.error * (contrast.units() / units).sqrt();
    let difference = (design.multiplier(units) + design.reach) * error;
    let lift = (control.mean > 0.0).then(|| difference / control.mean);
    Ok(Detectable { difference, lift: lift.filter(|it| it.is_finite()) })
}
