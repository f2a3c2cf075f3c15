//! Answers of the use cases as messages.

use crate::api::convert;
use crate::api::explanations;
use crate::proto;
use crate::service::Answer;
use crate::service::Degradation;
use crate::service::DegradedReason;
use crate::service::ProfilePart;
use crate::service::ProfileReport;
use engine::SimilarItem;
use engine::View;
use engine::domain::LanguageTag;
use engine::domain::Strategy;
use engine::domain::Timestamp;

pub fn personalize(
    answer: Answer,
    decision_id: String,
    strategy: Strategy,
) -> proto::PersonalizeResponse {
    // What showed nothing is not recorded: its id would name no decision.
    let decision_id = if answer.recommendations.is_empty() { String::new() } else { decision_id };
    let recommendations = answer.recommendations.into_iter().enumerate();
    let recommendations = recommendations.map(|(position, item)| proto::Recommendation {
        item_id: item.item_id.to_string(),
        title: item.title,
        position: position as u32,
        score: item.score,
        propensity: item.propensity,
        components: by_name(item.components),
        reasons: item.reasons.iter().map(|reason| reason.text.clone()).collect(),
        reason_details: item.reasons.into_iter().map(explanations::reason).collect(),
    });
    proto::PersonalizeResponse {
        decision_id,
        recommendations: recommendations.collect(),
        model_version: answer.model_version,
        watermark: answer.watermark,
        degraded: answer.degraded.into_iter().map(degradation).collect(),
        unknown_candidate_ids: answer.unknown_candidate_ids,
        strategy: convert::strategy_message(strategy).into(),
        origin: convert::list_origin_message(answer.origin).into(),
        assignments: Vec::new(),
    }
}

fn degradation(degradation: Degradation) -> proto::Degradation {
    use proto::DegradedReason as Message;
    let reason = match degradation.reason {
        DegradedReason::LogUnreachable => Message::LogUnreachable,
        DegradedReason::LogNotWritable => Message::LogNotWritable,
        DegradedReason::BehindLog => Message::BehindLog,
        DegradedReason::LearningStopped => Message::LearningStopped,
        DegradedReason::LogReplaced => Message::LogReplaced,
        DegradedReason::EventHashesDamaged => Message::EventHashesDamaged,
    };
    proto::Degradation { reason: reason.into(), text: degradation.text.into_owned() }
}

/// `now`: rules that hold no more by then are left out.
pub fn profile(report: ProfileReport, now: Timestamp) -> proto::Profile {
    let user = convert::user_message(&report.user_id, &report.attributes, &report.rules, now);
    let counts = report.interaction_counts.into_iter().map(|(kind, count)| {
        proto::InteractionCount { r#type: convert::interaction_type_message(kind).into(), count }
    });
    let times = report.times.into_iter().map(|time| proto::TimePreference {
        day_of_week: time.day_of_week,
        hour: time.hour,
        weight: time.weight,
    });
    let recent = report.recent_items.into_iter().map(|item| proto::RecentItem {
        item_id: item.item_id,
        title: item.title,
        r#type: convert::interaction_type_message(item.kind).into(),
        occurred_at: Some(convert::timestamp_message(item.occurred_at)),
    });
    let exposures = report.exposures.into_iter();
    proto::Profile {
        user_id: report.user_id,
        topics: preferences(report.topics),
        sources: preferences(report.sources),
        devices: preferences(report.devices),
        times: times.collect(),
        interaction_counts: counts.collect(),
        recent_items: recent.collect(),
        cohort: report.cohort,
        user: Some(user),
        first_seen: seen(report.first_seen),
        last_seen: seen(report.last_seen),
        merged_user_ids: report.merged_user_ids,
        assignments: exposures.map(convert::exposure_message).collect(),
    }
}

/// Unset for a user of whom nothing but what is set is known.
fn seen(at: Timestamp) -> Option<prost_types::Timestamp> {
    (at != Timestamp::default()).then(|| convert::timestamp_message(at))
}

fn preferences(parts: Vec<ProfilePart>) -> Vec<proto::Preference> {
    let preference = |part: ProfilePart| proto::Preference {
        name: part.name,
        weight: part.weight,
        confidence: part.confidence,
    };
    parts.into_iter().map(preference).collect()
}

/// With the title for readers of the language.
pub fn similar_item(
    view: &View,
    similar: SimilarItem,
    language: Option<&LanguageTag>,
) -> proto::SimilarItem {
    let item = view.entry(similar.index).item.as_ref();
    proto::SimilarItem {
        item_id: view.item_id(similar.index).unwrap_or_default().to_owned(),
        title: item.map_or_else(String::new, |item| item.title_in(language).to_owned()),
        score: similar.score,
        components: by_name(similar.components),
    }
}

fn by_name(
    components: std::collections::BTreeMap<&'static str, f64>,
) -> std::collections::BTreeMap<String, f64> {
    components.into_iter().map(|(name, part)| (name.to_owned(), part)).collect()
}
