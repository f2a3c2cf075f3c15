//! Guardrails: a metric that the treatment must not harm by more than a margin.
//!
//! Two questions with one side each, on the logarithm of the ratio: is the loss surely below the
//! margin (`Safe`), or surely above it (`Harmed`)? Each answer is wrong with a probability of at most
//! the level.
//! Invariants: `Safe` and `Harmed` exclude each other; the same guards as for verdicts. A margin of 0
//! asks for any harm.
//! Source: Schultzberg, Ankargren and Frånberg, "Risk-aware product decisions in A/B tests with
//! multiple metrics" (2024), for the use of both questions.

use crate::contrast::{Contrast, LogRatio, lift_of};
use crate::level::{Level, ParameterError, within};
use crate::outcome::Missing;
use crate::sequential::Plan;
use crate::special::{math, student};
use crate::summary::Estimate;

/// Which direction of the metric is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Good {
    Higher,
    Lower,
}

/// What the metric may lose, as a part of the control's mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Margin {
    good: Good,
    loss: f64,
}

impl Margin {
    pub fn new(good: Good, loss: f64) -> Result<Self, ParameterError> {
        let (name, range) = ("the margin", "from 0 to 0.9");
        let fits = within(loss, 0.0, 0.9);
        fits.then_some(Self { good, loss }).ok_or(ParameterError { name, range, found: loss })
    }

    /// The lift at the margin, as a logarithm of a ratio.
    fn log_ratio(&self) -> f64 {
        math::log1p(if self.good == Good::Higher { -self.loss } else { self.loss })
    }
}

/// What a guardrail says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// See `missing`.
    NotEnoughYet,
    /// Neither is shown.
    Open,
    /// The loss is below the margin.
    Safe,
    /// The loss is above the margin: stop.
    Harmed,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Guardrail {
    pub state: State,
    /// Treatment over control, less 1.
    pub lift: Option<f64>,
    /// The lift is above this, and below the other: each by itself at the level.
    pub bounds: Option<(f64, f64)>,
    pub p_value_of_safe: f64,
    pub p_value_of_harmed: f64,
    pub missing: Vec<Missing>,
}

/// At one planned look.
#[must_use]
pub fn fixed(control: &Estimate, treatment: &Estimate, margin: &Margin, level: Level) -> Guardrail {
    judge(control, treatment, margin, |contrast| {
        let degrees = contrast.degrees();
        let multiplier = student::upper_quantile(level.alpha(), degrees);
        let p_value = move |z: f64| {
            let half = 0.5 * student::two_sided(z, degrees);
            if z > 0.0 { half } else { 1.0 - half }
        };
        (multiplier, Box::new(p_value))
    })
}

/// At any time and as often as one likes.
#[must_use]
pub fn sequential(
    control: &Estimate,
    treatment: &Estimate,
    margin: &Margin,
    plan: &Plan,
) -> Guardrail {
    judge(control, treatment, margin, |contrast| {
        let (boundary, units) = (plan.one_sided_boundary(), contrast.units());
        (boundary.multiplier(units), Box::new(move |z: f64| boundary.p_value(z, units)))
    })
}

/// How many standard errors decide, and the p-value of a number of them.
type Test = (f64, Box<dyn Fn(f64) -> f64>);

fn judge(
    control: &Estimate,
    treatment: &Estimate,
    margin: &Margin,
    test: impl Fn(&Contrast) -> Test,
) -> Guardrail {
    let (contrast, ratio) = match comparable(control, treatment) {
        Ok(found) => found,
        Err(missing) => return not_enough(missing),
    };
    let (multiplier, p_value) = test(&contrast);
    let LogRatio { value, error } = ratio;
    let (low, high) = (value - multiplier * error, value + multiplier * error);
    let above = (value - margin.log_ratio()) / error;
    let missing = contrast.guards();
    let (safe, harmed) = match margin.good {
        Good::Higher => (low > margin.log_ratio(), high < margin.log_ratio()),
        Good::Lower => (high < margin.log_ratio(), low > margin.log_ratio()),
    };
    let towards_safe = if margin.good == Good::Higher { above } else { -above };
    let state = match (missing.is_empty(), safe, harmed) {
        (false, ..) => State::NotEnoughYet,
        (_, true, _) => State::Safe,
        (_, _, true) => State::Harmed,
        _ => State::Open,
    };
    let p = |z: f64| if missing.is_empty() { p_value(z) } else { 1.0 };
    let bounds = if missing.is_empty() {
        (low, high)
    } else {
        (low.min(margin.log_ratio()), high.max(margin.log_ratio()))
    };
    Guardrail {
        state,
        lift: Some(lift_of(value)),
        bounds: Some((lift_of(bounds.0), lift_of(bounds.1))),
        p_value_of_safe: p(towards_safe),
        p_value_of_harmed: p(-towards_safe),
        missing,
    }
}

fn comparable(
    control: &Estimate,
    treatment: &Estimate,
) -> Result<(Contrast, LogRatio), Vec<Missing>> {
    let contrast = Contrast::of(control, treatment)?;
    let ratio = contrast.log_ratio.ok_or_else(|| contrast.without_ratio())?;
    Ok((contrast, ratio))
}

fn not_enough(missing: Vec<Missing>) -> Guardrail {
    let (p_value_of_safe, p_value_of_harmed) = (1.0, 1.0);
    let state = State::NotEnoughYet;
    Guardrail { state, lift: None, bounds: None, p_value_of_safe, p_value_of_harmed, missing }
}
