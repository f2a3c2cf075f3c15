//! What a proposal would change, as a message.

use super::convert;
use super::evaluation;
use super::evaluation::finite;
use crate::proto;
use crate::proto::RehearsalOmissionReason;
use crate::service::BoundedMean;
use crate::service::Change;
use crate::service::Exposure;
use crate::service::LabelShare;
use crate::service::LeftOut;
use crate::service::Rehearsal;
use crate::service::RewardEstimate;

pub fn message(rehearsal: &Rehearsal) -> proto::Rehearsal {
    let figures = &rehearsal.figures;
    let omission = |(reason, decisions): (&LeftOut, &u64)| proto::RehearsalOmission {
        reason: reason_message(*reason).into(),
        decisions: *decisions,
    };
    proto::Rehearsal {
        since: Some(convert::timestamp_message(rehearsal.since)),
        until: Some(convert::timestamp_message(rehearsal.until)),
        decisions: rehearsal.decisions,
        left_out: rehearsal.left_out.iter().map(omission).collect(),
        rehearsed: figures.lists,
        users: figures.users,
        changed_positions: mean(&figures.changed_positions),
        changed_lists: mean(&figures.changed_lists),
        overlap: mean(&figures.overlap),
        rank_change: mean(&figures.rank_change),
        expected_reward: Some(change(&figures.expected_reward)),
        length: Some(change(&figures.length)),
        topics_per_position: Some(change(&figures.topics)),
        similarity: Some(change(&figures.similarity)),
        new_items: Some(change(&figures.new_items)),
        popular_items: Some(change(&figures.popular_items)),
        distinct_items: Some(pair(figures.distinct_items.map(|count| count as f64))),
        coverage: Some(pair(figures.coverage)),
        by_topic: Some(exposure(&figures.by_topic)),
        by_source: Some(exposure(&figures.by_source)),
        reward: rehearsal.reward.as_ref().map(|reward| estimate(reward, rehearsal.unweighed)),
        verdict: rehearsal.verdict.clone(),
        model_version: rehearsal.model_version,
        watermark: rehearsal.watermark,
    }
}

fn reason_message(reason: LeftOut) -> RehearsalOmissionReason {
    match reason {
        LeftOut::NoRequest => RehearsalOmissionReason::NoRequest,
        LeftOut::NotDescribed => RehearsalOmissionReason::NotDescribed,
        LeftOut::Unreadable => RehearsalOmissionReason::Unreadable,
        LeftOut::NotEligible => RehearsalOmissionReason::NotEligible,
    }
}

/// `None` where nothing has it.
fn mean(mean: &BoundedMean) -> Option<proto::BoundedMean> {
    let BoundedMean { point, low, high } = *mean;
    let (value, low, high) = (finite(point)?, finite(low), finite(high));
    Some(proto::BoundedMean { value, low, high })
}

fn change(change: &Change) -> proto::RehearsedMean {
    proto::RehearsedMean {
        now: finite(change.now),
        proposed: finite(change.proposed),
        difference: mean(&change.difference),
    }
}

fn pair([now, proposed]: [f64; 2]) -> proto::RehearsedPair {
    proto::RehearsedPair { now, proposed }
}

fn exposure(exposure: &Exposure) -> proto::RehearsedExposure {
    let share = |label: &LabelShare| proto::RehearsedShare {
        name: label.name.as_deref().unwrap_or_default().to_owned(),
        now: label.now,
        proposed: label.proposed,
    };
    proto::RehearsedExposure {
        labels: exposure.labels.iter().map(share).collect(),
        rest: Some(pair(exposure.rest)),
    }
}

fn estimate(reward: &RewardEstimate, unweighed: u64) -> proto::RehearsedReward {
    let known = reward.proposed.iter().filter(|one| one.value.value.is_finite());
    proto::RehearsedReward {
        positions: reward.positions,
        users: reward.users,
        decisions_left_out: unweighed,
        logged: Some(evaluation::reward(&reward.logged)),
        now: reward.now.value.is_finite().then(|| evaluation::reward(&reward.now)),
        proposed: known.map(evaluation::estimate).collect(),
        difference: mean(&reward.difference),
        effective_sample_size: reward.effective_sample_size,
        certain: reward.certain,
        warnings: reward.warnings.iter().map(evaluation::warning).collect(),
    }
}
