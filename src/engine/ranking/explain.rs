//! Reasons for a recommendation: what its score is made of, in terms of the person.

use std::collections::BTreeMap;

use super::features::Candidate;
use super::rank::RankRequest;
use super::rank::Reason;
use crate::engine::view::View;

/// Reasons given at most.
const REASONS_MAX: usize = 3;

/// The strongest positive components as reasons, the strongest first.
pub fn reasons(
    view: &View,
    request: &RankRequest<'_>,
    candidate: &Candidate<'_>,
    components: &BTreeMap<&'static str, f64>,
    explored: bool,
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if explored {
        reasons.push(Reason::Exploration);
    }
    let mut parts: Vec<(&str, f64)> =
        components.iter().map(|(name, part)| (*name, *part)).filter(|part| part.1 > 0.0).collect();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    for (name, _) in parts {
        if let Some(reason) = reason(view, request, candidate, name)
            && !reasons.contains(&reason)
            && reasons.len() < REASONS_MAX
        {
            reasons.push(reason);
        }
    }
    reasons
}

fn reason(
    view: &View,
    request: &RankRequest<'_>,
    candidate: &Candidate<'_>,
    component: &str,
) -> Option<Reason> {
    match component {
        "cooccurrence" => {
            let cause = view.cooccurrence_scorer(&request.context.recent).cause(candidate.index?);
            cause.map(Reason::BecauseOf)
        }
        "collaborative" => Some(Reason::YourTaste),
        "content" | "embedding" => Some(Reason::LikeYourContent),
        "topic_affinity" => {
            let user = request.user?;
            let best = candidate.entry.topics.iter().max_by(|&&a, &&b| {
                user.topics.stored(a).total_cmp(&user.topics.stored(b)).then(b.cmp(&a))
            });
            best.copied().map(Reason::Topic)
        }
        "popularity" | "popularity_all_time" | "popularity_for_newcomers" => Some(Reason::Popular),
        "trend" => Some(Reason::Trending),
        "cohort" => Some(Reason::PopularInCohort),
        "freshness" => Some(Reason::Fresh),
        _ => None,
    }
}
