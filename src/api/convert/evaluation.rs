//! A GetEvaluationMetrics request.

use super::durations::millis;
use super::scalars::strategy_parameter;
use super::scalars::variant;
use crate::proto;
use crate::service::EvaluationCall;
use engine::domain::RankerSettings;
use engine::domain::Settings;
use engine::domain::Timestamp;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;

/// `settings`: of the namespace.
///
/// # Errors
/// Every field that breaks the contract, but for the namespace.
pub fn evaluation(
    message: proto::GetEvaluationMetricsRequest,
    settings: &Settings,
    now: Timestamp,
) -> Result<EvaluationCall, Vec<Violation>> {
    let mut violations = Violations::default();
    let period = violations.take("period", period(message.period)).unwrap_or_default();
    let variant = violations.take("variant", variant(message.variant)).flatten();
    let mut read = |field: &str, set: Option<f64>, otherwise: f32, range: (f32, f32)| {
        strategy_parameter(&mut violations, field, set, otherwise, range)
    };
    let ranker = &settings.ranker;
    let call = EvaluationCall {
        since: now.plus_millis(-period),
        epsilon: read("epsilon", message.epsilon, settings.epsilon, (0.0, 1.0)),
        exploration_scale: read(
            "exploration_scale",
            message.exploration_scale,
            ranker.exploration_scale,
            RankerSettings::EXPLORATION_SCALE,
        ),
        propensity_floor: read(
            "propensity_floor",
            message.propensity_floor,
            ranker.propensity_floor,
            RankerSettings::PROPENSITY_FLOOR,
        ),
        variant,
    };
    violations.finish(call)
}

/// The length of the time that is looked at, in milliseconds.
pub(super) fn period(message: Option<prost_types::Duration>) -> Result<i64, String> {
    let days = i64::from(limits::EVALUATION_DAYS);
    match message.map(millis).transpose()? {
        None => Ok(i64::from(limits::EVALUATION_DAYS_DEFAULT) * Timestamp::DAY_MS),
        Some(period) if (1..=days * Timestamp::DAY_MS).contains(&period) => Ok(period),
        Some(_) => Err(format!("must be more than 0 and at most {days} days")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn days(days: i64) -> prost_types::Duration {
        prost_types::Duration { seconds: days * 86_400, nanos: 0 }
    }

    #[test]
    fn a_period_is_longer_than_nothing_and_at_most_a_quarter() {
        let of = |period| {
            let request =
                proto::GetEvaluationMetricsRequest { period: Some(period), ..Default::default() };
            evaluation(request, &Settings::default(), NOW).map(|call| call.since)
        };
        assert_eq!(of(days(90)), Ok(NOW.plus_millis(-90 * Timestamp::DAY_MS)));
        let hour = prost_types::Duration { seconds: 3_600, nanos: 0 };
        assert_eq!(of(hour), Ok(NOW.plus_millis(-Timestamp::HOUR_MS)));
        for wrong in [days(0), days(-1), days(91)] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn no_period_is_a_week_and_what_is_not_given_is_that_of_the_namespace() {
        let mut settings = Settings { epsilon: 0.25, ..Settings::default() };
        settings.ranker.exploration_scale = 0.7;
        let request = proto::GetEvaluationMetricsRequest {
            propensity_floor: Some(0.2),
            ..Default::default()
        };
        let read = evaluation(request, &settings, NOW).unwrap();
        assert_eq!(read.since, NOW.plus_millis(-7 * Timestamp::DAY_MS));
        assert_eq!((read.epsilon, read.exploration_scale, read.propensity_floor), (0.25, 0.7, 0.2));
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let request = proto::GetEvaluationMetricsRequest {
            period: Some(days(91)),
            epsilon: Some(f64::NAN),
            exploration_scale: Some(-1.0),
            propensity_floor: Some(0.0),
            variant: "\n".to_owned(),
            ..Default::default()
        };
        let wrong = evaluation(request, &Settings::default(), NOW).unwrap_err();
        let fields: Vec<_> = wrong.into_iter().map(|violation| violation.field).collect();
        assert_eq!(
            fields,
            ["period", "variant", "epsilon", "exploration_scale", "propensity_floor"]
        );
    }
}
