//! A GetEvaluationMetrics request.

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
    let days = match message.days {
        0 => Ok(limits::EVALUATION_DAYS_DEFAULT),
        days if days <= limits::EVALUATION_DAYS => Ok(days),
        days => Err(format!("must be at most {}, is {days}", limits::EVALUATION_DAYS)),
    };
    let days = violations.take("days", days).unwrap_or_default();
    let variant = violations.take("variant", variant(message.variant)).flatten();
    let mut read = |field: &str, set: Option<f32>, otherwise: f32, range: (f32, f32)| {
        strategy_parameter(&mut violations, field, set, otherwise, range)
    };
    let ranker = &settings.ranker;
    let call = EvaluationCall {
        since: now.plus_millis(-i64::from(days) * Timestamp::DAY_MS),
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    #[test]
    fn no_days_are_a_week_and_what_is_not_given_is_that_of_the_namespace() {
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
            days: 91,
            epsilon: Some(f32::NAN),
            exploration_scale: Some(-1.0),
            propensity_floor: Some(0.0),
            variant: "\n".to_owned(),
            ..Default::default()
        };
        let wrong = evaluation(request, &Settings::default(), NOW).unwrap_err();
        let fields: Vec<_> = wrong.into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["days", "variant", "epsilon", "exploration_scale", "propensity_floor"]);
    }
}
