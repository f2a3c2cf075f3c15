//! Explanations as messages: reasons, absences, what to ask a new user about.

use crate::proto;
use crate::service::Absence;
use crate::service::Alteration;
use crate::service::Cause;
use crate::service::Gap;
use crate::service::ReasonInWords;
use crate::service::Suggestion;
use engine::CandidateSource;
use engine::Exclusion;
use engine::OnboardingItem;
use engine::ReasonKind;
use engine::SourceTrace;
use engine::View;
use engine::domain::LanguageTag;
use engine::domain::Withheld;

pub fn reason(words: ReasonInWords) -> proto::ReasonDetail {
    let reason = words.reason;
    proto::ReasonDetail {
        text: words.text,
        kind: reason_kind(reason.kind).into(),
        cause_item_id: words.cause_id,
        cause_title: words.cause_title,
        topic: reason.topic.map(String::from).unwrap_or_default(),
        group: reason.group.map(String::from).unwrap_or_default(),
        component: reason.component.unwrap_or_default().to_owned(),
        contribution: reason.contribution,
    }
}

fn reason_kind(kind: ReasonKind) -> proto::ReasonKind {
    use proto::ReasonKind as Message;
    match kind {
        ReasonKind::ConsumedTogether => Message::ConsumedTogether,
        ReasonKind::SharedTaste => Message::SharedTaste,
        ReasonKind::SimilarContent => Message::SimilarContent,
        ReasonKind::LikedTopic => Message::LikedTopic,
        ReasonKind::LikedSource => Message::LikedSource,
        ReasonKind::Popular => Message::Popular,
        ReasonKind::Trending => Message::Trending,
        ReasonKind::PopularInCohort => Message::PopularInCohort,
        ReasonKind::PopularAtLocation => Message::PopularAtLocation,
        ReasonKind::Attributes => Message::Attributes,
        ReasonKind::TimeOfWeek => Message::TimeOfWeek,
        ReasonKind::OwnTimeOfWeek => Message::OwnTimeOfWeek,
        ReasonKind::Device => Message::Device,
        ReasonKind::New => Message::New,
        ReasonKind::Repeat => Message::Repeat,
        ReasonKind::SessionContent => Message::SessionContent,
        ReasonKind::SessionTopic => Message::SessionTopic,
        ReasonKind::Boosted | ReasonKind::BoostedByUser => Message::Boosted,
        ReasonKind::Exploration => Message::Exploration,
        ReasonKind::Pinned => Message::Pinned,
    }
}

pub fn absence(absence: Absence) -> proto::ExplainAbsenceResponse {
    let rule = |exclusion: &Exclusion| filter_rule(*exclusion).into();
    let suppressed_by = absence.suppressed_by.into_iter().map(request_change);
    proto::ExplainAbsenceResponse {
        cause: absence_cause(absence.cause).into(),
        summary: absence.sentence,
        position: absence.position.map(|position| position as u32),
        excluded_by: absence.exclusions.iter().map(rule).collect(),
        sources: absence.sources.into_iter().map(source).collect(),
        candidate_rank: absence.gap.map(candidate_rank),
        suppressed_by: suppressed_by.collect(),
        suggestions: absence.suggestions.into_iter().map(suggestion).collect(),
        model_version: absence.model_version,
        watermark: absence.watermark,
    }
}

fn absence_cause(cause: Cause) -> proto::AbsenceCause {
    use proto::AbsenceCause as Message;
    match cause {
        Cause::Present => Message::Present,
        Cause::UnknownItem => Message::UnknownItem,
        Cause::NotInCatalogue => Message::NotInCatalogue,
        Cause::NotACandidate => Message::NotACandidate,
        Cause::Filtered => Message::Filtered,
        Cause::NotRetrieved => Message::NotRetrieved,
        Cause::Suppressed => Message::Suppressed,
        Cause::Outranked => Message::Outranked,
    }
}

fn filter_rule(exclusion: Exclusion) -> proto::FilterRule {
    use proto::FilterRule as Message;
    match exclusion {
        Exclusion::NotInCatalogue => Message::Catalogue,
        Exclusion::Topics => Message::Topics,
        Exclusion::Sources => Message::Sources,
        Exclusion::Attributes => Message::Attributes,
        Exclusion::PublishedAfter => Message::PublishedAfter,
        Exclusion::Listed => Message::ExcludeItemIds,
        Exclusion::Expression => Message::Expression,
        Exclusion::Seen => Message::Seen,
        Exclusion::SeenCooldown => Message::SeenCooldown,
        Exclusion::SeenAfterSessions => Message::SeenAfterSessions,
        Exclusion::FrequencyCap => Message::FrequencyCap,
        Exclusion::BlockedItem => Message::UserBlockedItem,
        Exclusion::BlockedSource => Message::UserBlockedSource,
        Exclusion::BlockedTopic => Message::UserBlockedTopic,
        Exclusion::HiddenByUser => Message::HiddenByUser,
        Exclusion::Withheld(Withheld::Hidden) => Message::HiddenItem,
        Exclusion::Withheld(Withheld::NotYetPublished) => Message::NotYetPublished,
        Exclusion::Withheld(Withheld::Expired) => Message::Expired,
        Exclusion::EarlierPage => Message::EarlierPage,
    }
}

fn source(trace: SourceTrace) -> proto::RetrievalSource {
    proto::RetrievalSource {
        source: candidate_source(trace.source).into(),
        candidates: trace.given as u32,
        rank: trace.position.map(|position| position as u32),
        score: trace.score,
        cut: trace.cut,
    }
}

fn candidate_source(source: CandidateSource) -> proto::CandidateSource {
    use proto::CandidateSource as Message;
    match source {
        CandidateSource::Factors => Message::Collaborative,
        CandidateSource::Cooccurrence => Message::Cooccurrence,
        CandidateSource::ItemItem => Message::ItemItem,
        CandidateSource::Sequence => Message::Sequence,
        CandidateSource::Overlap => Message::Overlap,
        CandidateSource::Content => Message::Content,
        CandidateSource::Embedding => Message::Embedding,
        CandidateSource::Cohorts => Message::Cohorts,
        CandidateSource::Location => Message::Location,
        CandidateSource::Attributes => Message::Attributes,
        CandidateSource::Popular => Message::Popular,
        CandidateSource::Trending => Message::Trending,
        CandidateSource::Fresh => Message::Fresh,
        CandidateSource::Newcomers => Message::NewItems,
        CandidateSource::Boosts => Message::Boosts,
        CandidateSource::Explore => Message::Random,
    }
}

fn candidate_rank(gap: Gap) -> proto::CandidateRank {
    let score = gap.candidate_rank.score;
    let difference = |(component, difference): (&str, f64)| proto::ComponentDifference {
        component: component.to_owned(),
        difference,
    };
    let (last_item_id, last_score) =
        gap.last_shown.map_or((String::new(), score), |(id, score)| (id.to_string(), score));
    proto::CandidateRank {
        rank: gap.candidate_rank.rank as u32,
        candidates: gap.candidates as u32,
        score,
        last_item_id,
        last_score,
        gap: last_score - score,
        differences: gap.differences.into_iter().map(difference).collect(),
    }
}

fn suggestion(suggestion: Suggestion) -> proto::AbsenceSuggestion {
    proto::AbsenceSuggestion {
        changes: suggestion.alterations.into_iter().map(request_change).collect(),
        position: suggestion.position as u32,
        displaced: suggestion.displaced as u32,
        text: suggestion.sentence,
    }
}

fn request_change(alteration: Alteration) -> proto::RequestChange {
    use proto::ListRule;
    use proto::request_change::Change;
    let off = |rule: ListRule| Change::SwitchOff(rule.into());
    let change = match alteration {
        Alteration::Without(rule) => Change::DropRule(filter_rule(rule).into()),
        Alteration::AddCandidate => Change::AddCandidate(true),
        Alteration::MaxResults(positions) => Change::MaxResults(positions as u32),
        Alteration::Boost(addend) => Change::BoostAdd(addend),
        Alteration::NoTopicThreshold => off(ListRule::TopicDiversityThreshold),
        Alteration::NoSourceThreshold => off(ListRule::SourceDiversityThreshold),
        Alteration::NoMaxPerTopic => off(ListRule::MaxPerTopic),
        Alteration::NoMaxPerSource => off(ListRule::MaxPerSource),
        Alteration::NoDiversityWeight => off(ListRule::DiversityWeight),
        Alteration::NoSerendipity => off(ListRule::SerendipityWeight),
        Alteration::NoNovelty => off(ListRule::NoveltyWeight),
        Alteration::NoDiversity => off(ListRule::AllDiversity),
        Alteration::NoPins => off(ListRule::Pins),
    };
    proto::RequestChange { change: Some(change) }
}

pub fn onboarding(
    view: &View,
    items: Vec<OnboardingItem>,
    language: Option<&LanguageTag>,
) -> proto::OnboardingItemsResponse {
    let item = |picked: OnboardingItem| {
        let item = view.entry(picked.index).item.as_ref();
        let topics = item.map_or_else(Vec::new, |item| item.topics.clone());
        let topics: Vec<String> = topics.into_iter().map(String::from).collect();
        let share = 100.0 * picked.familiarity;
        let known = format!("chosen by {share:.0} % of all users");
        let text = match topics.first() {
            Some(topic) => format!("tells about {topic}; {known}"),
            None => known,
        };
        proto::OnboardingItem {
            item_id: view.item_id(picked.index).unwrap_or_default().to_owned(),
            title: item.map_or_else(String::new, |item| item.title_in(language).to_owned()),
            topics,
            gain: picked.gain,
            familiarity: picked.familiarity,
            text,
        }
    };
    proto::OnboardingItemsResponse {
        items: items.into_iter().map(item).collect(),
        model_version: view.model_version(),
        watermark: view.watermark(),
    }
}
