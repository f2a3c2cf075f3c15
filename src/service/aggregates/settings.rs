//! What may be released about the users of a namespace in a period, and what releases cost.

use engine::domain::Timestamp;
use privacy::ParameterError;
use privacy::Rho;

/// The least part of a period's budget that a release may cost: it bounds the ledger.
const PARTS_MAX: u64 = 1_000;
/// The least cost of all, for budgets that are nearly nothing: the noise of less does not fit.
const NANO_RHO_MIN: u64 = 1_000;
/// The greatest cost of a release in rho, and the greatest epsilon: far beyond any protection.
const RHO_MAX: f64 = 1e6;
const EPSILON_MAX: f64 = 1e3;

/// The budget of each namespace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrivacySettings {
    /// What all releases of a period guarantee together, at `delta`.
    pub epsilon: f64,
    pub delta: f64,
    /// The same as a cost.
    pub limit: Rho,
    period_ms: i64,
}

impl PrivacySettings {
    /// # Errors
    /// An epsilon that is not from 0 to 1e6, a delta that is not from 1e-100 and below 1.
    pub fn new(epsilon: f64, delta: f64, period_days: u32) -> Result<Self, ParameterError> {
        let limit = Rho::limit(epsilon, delta)?;
        let period_ms = i64::from(period_days.max(1)) * Timestamp::DAY_MS;
        Ok(Self { epsilon, delta, limit, period_ms })
    }

    /// The period of a time, from its start to that of the next; they are counted from 1970-01-01.
    pub fn period(&self, time: Timestamp) -> (Timestamp, Timestamp) {
        let start = time.as_millis().div_euclid(self.period_ms).saturating_mul(self.period_ms);
        let start = Timestamp::from_millis(start);
        (start, start.plus_millis(self.period_ms))
    }

    /// What a release of this rho costs.
    ///
    /// # Errors
    /// What is too little, too much, or no number.
    pub fn cost(&self, rho: f64) -> Result<Rho, String> {
        if !(0.0..=RHO_MAX).contains(&rho) {
            return Err(format!("must be more than 0 and at most {RHO_MAX}, is {rho}"));
        }
        self.checked(Rho::from_nanos((rho * 1e9) as u64).map_err(|error| error.to_string())?)
    }

    /// The cost whose epsilon is this, at the delta of the budget.
    ///
    /// # Errors
    /// As [`Self::cost`].
    pub fn cost_of_epsilon(&self, epsilon: f64) -> Result<Rho, String> {
        if !(0.0..=EPSILON_MAX).contains(&epsilon) {
            return Err(format!("must be more than 0 and at most {EPSILON_MAX}, is {epsilon}"));
        }
        self.checked(Rho::limit(epsilon, self.delta).map_err(|error| error.to_string())?)
    }

    fn checked(&self, cost: Rho) -> Result<Rho, String> {
        let least = self.limit.nanos().div_ceil(PARTS_MAX).max(NANO_RHO_MIN);
        if cost.nanos() < least {
            let (least, found) = (least as f64 / 1e9, cost.value());
            return Err(format!("must cost at least {least} rho, costs {found}"));
        }
        Ok(cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_follow_each_other_without_a_gap() {
        let settings = PrivacySettings::new(1.0, 1e-6, 30).unwrap();
        let (start, end) = settings.period(Timestamp::from_seconds(1_700_000_000));
        assert_eq!(end, start.plus_millis(30 * Timestamp::DAY_MS));
        assert_eq!(settings.period(end), (end, end.plus_millis(30 * Timestamp::DAY_MS)));
        assert_eq!(settings.period(end.plus_millis(-1)).0, start);
    }

    #[test]
    fn a_cost_is_a_number_and_not_too_little_a_part_of_the_budget() {
        let settings = PrivacySettings::new(1.0, 1e-6, 30).unwrap();
        assert_eq!(settings.cost_of_epsilon(1.0), Ok(settings.limit));
        assert_eq!(settings.cost(0.001).map(Rho::nanos), Ok(1_000_000));
        let least = settings.limit.nanos().div_ceil(PARTS_MAX);
        assert!(settings.cost((least - 1) as f64 / 1e9).is_err());
        for wrong in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e9] {
            assert!(settings.cost(wrong).is_err() && settings.cost_of_epsilon(wrong).is_err());
        }
        let nothing = PrivacySettings::new(0.0, 1e-6, 30).unwrap();
        assert_eq!(nothing.limit, Rho::ZERO);
    }
}
