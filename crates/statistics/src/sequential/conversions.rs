//! Rates, exactly, from the first conversion on: in which arm does the next conversion fall?
//!
//! While users go to the treatment with probability `share` and both rates are equal, each
//! conversion is of the treatment with probability `share`, whatever the rates are and however they
//! change with time. A Beta mixture over other probabilities is the evidence.
//! Invariants: the level holds exactly, at every number of conversions; it needs the same `share` for
//! all users counted, so a changed split is a new test.
//! Sources: Lindon and Malek, "Anytime-valid inference for multinomial count data" (2022); the
//! interval of one rate: Howard et al. (2021), `bernoulli_confidence_interval` of confseq.

use crate::level::{Level, ParameterError, positive, share};
use crate::mixture;
use crate::outcome::{Arm, Comparison, Effect, Interval, Missing};
use crate::sequential::anytime_p;
use crate::summary::Counts;

/// Level, split and size of a test on conversions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConversionPlan {
    level: Level,
    share: f64,
    concentration: f64,
}

impl ConversionPlan {
    /// `share` of the users of both arms go to the treatment; so many conversions of both arms
    /// together are expected.
    pub fn new(
        level: Level,
        share_of_treatment: f64,
        conversions: u64,
    ) -> Result<Self, ParameterError> {
        let planned = positive("the planned number of conversions", conversions as f64)?;
        let concentration = mixture::concentration_for(planned, level.evidence());
        Ok(Self {
            level,
            share: share("the share of the treatment", share_of_treatment)?,
            concentration,
        })
    }

    /// Of the users, in the treatment.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.share
    }
}

/// Compares two rates by their conversions. The lift needs a conversion of the control.
#[must_use]
pub fn conversions(control: &Counts, treatment: &Counts, plan: &ConversionPlan) -> Comparison {
    let (misses, hits) = (control.conversions, treatment.conversions);
    let mut missing = Vec::new();
    for (arm, it) in [(Arm::Control, control), (Arm::Treatment, treatment)] {
        if it.units == 0 {
            missing.push(Missing::Units { arm, has: 0, needs: 1 });
        }
    }
    let total = hits as f64 + misses as f64;
    if missing.is_empty() && total == 0.0 {
        missing.push(Missing::Conversions { arm: Arm::Control, has: 0, needs: 1 });
    }
    if !missing.is_empty() {
        return Comparison::nothing(missing);
    }
    let ln_e_value = ln_e_value_of_conversions(control, treatment, plan);
    let interval = mixture::share_interval(hits, misses, plan.concentration, plan.level.evidence());
    // At the rate of both arms together.
    let rate = total / (control.units as f64 + treatment.units as f64);
    let difference = |of: f64| rate * (of / plan.share - (1.0 - of) / (1.0 - plan.share));
    let lift = |of: f64| of / (1.0 - of) * ((1.0 - plan.share) / plan.share) - 1.0;
    let effect = |of: &dyn Fn(f64) -> f64| Effect {
        value: of(hits as f64 / total),
        interval: Interval { low: of(interval.low), high: of(interval.high) },
    };
    let comparison = Comparison {
        difference: Some(effect(&difference)),
        lift: Some(effect(&lift)).filter(|it| it.interval.is_finite()),
        lift_by_fieller: None,
        p_value: Some(anytime_p(ln_e_value)),
        ln_e_value: Some(ln_e_value),
        missing,
    };
    comparison.in_agreement()
}

/// The evidence alone, without intervals: a hundred times faster.
#[must_use]
pub fn ln_e_value_of_conversions(
    control: &Counts,
    treatment: &Counts,
    plan: &ConversionPlan,
) -> f64 {
    let counts = [treatment.conversions, control.conversions];
    mixture::ln_e_value(&counts, &[plan.share, 1.0 - plan.share], plan.concentration)
}

/// The rate of one arm, valid at any time; narrowest near the planned number of units.
#[must_use]
pub fn rate_interval(counts: &Counts, plan: &super::Plan) -> Interval {
    let evidence = plan.level.evidence();
    let concentration = mixture::concentration_for(plan.tuned_for, evidence);
    let hits = counts.conversions.min(counts.units);
    mixture::share_interval(hits, counts.units - hits, concentration, evidence)
}
