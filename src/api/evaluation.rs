//! What policies would have earned, as a message.

use super::convert;
use crate::proto;
use crate::service::EstimatedValue;
use crate::service::Evaluation;
use crate::service::Namespace;
use crate::service::PolicyEvaluation;
use crate::service::PolicyReport;

pub fn message(
    namespace: &Namespace,
    evaluation: &Evaluation,
) -> proto::GetEvaluationMetricsResponse {
    let first = &evaluation.policies.first().expect("an evaluation has policies").report;
    proto::GetEvaluationMetricsResponse {
        namespace: namespace.name().to_string(),
        since: Some(convert::timestamp_message(evaluation.since)),
        until: Some(convert::timestamp_message(evaluation.until)),
        decisions: evaluation.decisions,
        decisions_without_candidates: evaluation.without_candidates,
        decisions_evaluated: evaluation.evaluated,
        share_of_users: evaluation.share_of_users,
        rounds: first.rounds as u64,
        users: first.units as u64,
        logged: Some(reward(&first.logged)),
        policies: evaluation.policies.iter().map(policy).collect(),
    }
}

fn policy(evaluation: &PolicyEvaluation) -> proto::PolicyEvaluation {
    let report: &PolicyReport = &evaluation.report;
    let known = report.estimates.iter().filter(|estimate| estimate.value.value.is_finite());
    proto::PolicyEvaluation {
        policy: evaluation.name.to_owned(),
        estimates: known
            .map(|estimate| proto::PolicyEstimate {
                estimator: estimate.estimator.label().to_owned(),
                reward: Some(reward(&estimate.value)),
                lift: estimate.lift,
                lift_low: finite(estimate.lift_bootstrap.low),
                lift_high: finite(estimate.lift_bootstrap.high),
                effective_sample_size: estimate.effective_sample_size,
                largest_weight: estimate.largest_weight,
            })
            .collect(),
        effective_sample_size: report.support.effective_sample_size,
        warnings: report.warnings.iter().map(ToString::to_string).collect(),
    }
}

fn reward(value: &EstimatedValue) -> proto::EstimatedReward {
    proto::EstimatedReward {
        value: value.value,
        standard_error: finite(value.standard_error),
        low: finite(value.bootstrap.low),
        high: finite(value.bootstrap.high),
    }
}

fn finite(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}
