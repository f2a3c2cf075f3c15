//! A GetEvaluationMetrics request.

use crate::domain::SettingsRange;
use crate::domain::Timestamp;
use crate::domain::Violation;
use crate::domain::Violations;
use crate::domain::limits;
use crate::proto;
use crate::service::EvaluationCall;

/// `epsilon`: of the namespace.
///
/// # Errors
/// Violations of `days` and `epsilon`.
pub fn evaluation(
    message: &proto::GetEvaluationMetricsRequest,
    epsilon: f32,
    now: Timestamp,
) -> Result<EvaluationCall, Vec<Violation>> {
    let mut violations = Violations::default();
    let days = match message.days {
        0 => Ok(limits::EVALUATION_DAYS_DEFAULT),
        days if days <= limits::EVALUATION_DAYS => Ok(days),
        days => Err(format!("must be at most {}, is {days}", limits::EVALUATION_DAYS)),
    };
    let days = violations.take("days", days).unwrap_or_default();
    let epsilon = f64::from(message.epsilon.unwrap_or(epsilon));
    violations.take("epsilon", SettingsRange::EPSILON.check(epsilon));
    violations.finish(EvaluationCall {
        since: now.plus_millis(-i64::from(days) * Timestamp::DAY_MS),
        epsilon,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn request(days: u32, epsilon: Option<f32>) -> proto::GetEvaluationMetricsRequest {
        proto::GetEvaluationMetricsRequest { days, epsilon, ..Default::default() }
    }

    #[test]
    fn no_days_are_a_week_and_no_epsilon_is_that_of_the_namespace() {
        let read = evaluation(&request(0, None), 0.25, NOW).unwrap();
        assert_eq!(read.since, NOW.plus_millis(-7 * Timestamp::DAY_MS));
        assert_eq!(read.epsilon, 0.25);
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let wrong = evaluation(&request(91, Some(f32::NAN)), 0.1, NOW).unwrap_err();
        let fields: Vec<_> = wrong.into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["days", "epsilon"]);
    }
}
