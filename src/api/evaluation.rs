//! What policies would have earned, as a message.

use super::convert;
use crate::proto;
use crate::service::EstimatedValue;
use crate::service::Estimator;
use crate::service::EvaluatedPolicy;
use crate::service::Evaluation;
use crate::service::Namespace;
use crate::service::PolicyEstimate;
use crate::service::PolicyEvaluation;
use crate::service::PolicyReport;
use crate::service::PolicyWarning;

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
        policy: policy_message(evaluation.policy).into(),
        estimates: known.map(estimate).collect(),
        effective_sample_size: report.support.effective_sample_size,
        warnings: report.warnings.iter().map(warning).collect(),
    }
}

pub fn estimate(estimate: &PolicyEstimate) -> proto::PolicyEstimate {
    proto::PolicyEstimate {
        estimator: estimator_message(estimate.estimator).into(),
        reward: Some(reward(&estimate.value)),
        lift: estimate.lift,
        lift_low: finite(estimate.lift_bootstrap.low),
        lift_high: finite(estimate.lift_bootstrap.high),
        effective_sample_size: estimate.effective_sample_size,
        largest_weight: estimate.largest_weight,
    }
}

fn policy_message(policy: EvaluatedPolicy) -> proto::EvaluatedPolicy {
    match policy {
        EvaluatedPolicy::Greedy => proto::EvaluatedPolicy::Greedy,
        EvaluatedPolicy::EpsilonGreedy => proto::EvaluatedPolicy::EpsilonGreedy,
        EvaluatedPolicy::Thompson => proto::EvaluatedPolicy::Thompson,
        EvaluatedPolicy::LinUcb => proto::EvaluatedPolicy::LinUcb,
        EvaluatedPolicy::Uniform => proto::EvaluatedPolicy::Uniform,
    }
}

fn estimator_message(estimator: Estimator) -> proto::Estimator {
    use proto::Estimator as Message;
    match estimator {
        Estimator::Ips => Message::Ips,
        Estimator::ClippedIps => Message::ClippedIps,
        Estimator::Snips => Message::Snips,
        Estimator::Direct => Message::Direct,
        Estimator::DoublyRobust => Message::DoublyRobust,
        Estimator::ClippedDoublyRobust => Message::ClippedDoublyRobust,
        Estimator::SelfNormalizedDoublyRobust => Message::SelfNormalizedDoublyRobust,
        Estimator::SwitchDoublyRobust => Message::SwitchDoublyRobust,
        Estimator::ShrunkDoublyRobust => Message::ShrunkDoublyRobust,
        Estimator::Replay => Message::Replay,
        Estimator::Rejection => Message::Rejection,
        Estimator::RewardInteraction => Message::RewardInteraction,
    }
}

pub fn warning(warning: &PolicyWarning) -> proto::EvaluationWarning {
    use proto::EvaluationWarningReason as Message;
    let reason = match warning {
        PolicyWarning::Unsupported { .. } => Message::Unsupported,
        PolicyWarning::SeemsUnsupported { .. } => Message::SeemsUnsupported,
        PolicyWarning::Unseen { .. } => Message::Unseen,
        PolicyWarning::TooHeavy { .. } => Message::TooHeavy,
        PolicyWarning::FewEffective { .. } => Message::FewEffective,
        PolicyWarning::UnlikeLists { .. } => Message::UnlikeLists,
        PolicyWarning::NoReward => Message::NoReward,
        PolicyWarning::Uneven { .. } => Message::Uneven,
        PolicyWarning::NotUniform => Message::NotUniform,
    };
    proto::EvaluationWarning { reason: reason.into(), text: warning.to_string() }
}

pub fn reward(value: &EstimatedValue) -> proto::EstimatedReward {
    proto::EstimatedReward {
        value: value.value,
        standard_error: finite(value.standard_error),
        low: finite(value.bootstrap.low),
        high: finite(value.bootstrap.high),
    }
}

pub fn finite(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}
