//! The decision record of an answer: what was shown, and how it came about.
//!
//! - [`Detail`] says how much: at `Shown` only what the ranker learns from; at
//!   `Candidates` the call and every candidate with its score; at `Full` the items that
//!   the request itself described, too.
//! - [`call_of`] is the inverse of what is recorded of a call. Both take structs apart by
//!   name, so that a field to come cannot be forgotten here.

use super::personalize::Candidates;
use super::personalize::PersonalizeCall;
use super::personalize::PinnedItem;
use super::scene::List;
use super::scene::item_of;
use engine::Boost;
use engine::Change;
use engine::Choice;
use engine::ENGINE_REVISION;
use engine::Exploring;
use engine::Filter;
use engine::SyntaxError;
use engine::Target;
use engine::Trial;
use engine::View;
use engine::domain::BoostSubject;
use engine::domain::CandidateScores;
use engine::domain::CandidateSource;
use engine::domain::Decision;
use engine::domain::DecisionDetail;
use engine::domain::RecordedBoost;
use engine::domain::RecordedChoice;
use engine::domain::RecordedFilter;
use engine::domain::RecordedOccasion;
use engine::domain::RecordedPin;
use engine::domain::ShownItem;
use engine::domain::TakeoverTrial;
use engine::parse_expression;

/// Bytes of an id that room is made for.
const ID_BYTES: usize = 16;

/// How much of a decision is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What was shown.
    Shown,
    /// And the call, and all candidates with their scores.
    Candidates,
    /// And the items that the request described.
    Full,
}

/// How an answer is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recording {
    detail: Detail,
    /// Whether the personal candidates were found for an earlier call.
    remembered: bool,
    /// Whether candidates are recorded with their standard deviations.
    deviations: bool,
}

impl Recording {
    pub const fn new(detail: Detail) -> Self {
        let deviations = !matches!(detail, Detail::Shown);
        Self { detail, remembered: false, deviations }
    }

    pub const fn remembering(self, remembered: bool) -> Self {
        Self { remembered, ..self }
    }

    /// As the given record was made.
    pub fn like(detail: &DecisionDetail) -> Self {
        let kept = if detail.items.is_empty() { Detail::Candidates } else { Detail::Full };
        Self {
            detail: kept,
            remembered: detail.source == CandidateSource::Remembered,
            deviations: detail.candidates.deviations().is_some(),
        }
    }

    pub const fn holds_deviations(self) -> bool {
        self.deviations
    }
}

/// The record of a list.
pub fn decision(
    view: &View,
    call: &PersonalizeCall,
    list: &List<'_>,
    recording: Recording,
) -> Decision {
    let shown = list.ranked.items.iter().map(|item| ShownItem {
        item_id: item_of(&list.candidates[item.candidate]).item_id.clone(),
        score: item.estimate as f32,
        propensity: item.propensity as f32,
        // Without features the ranker learns nothing from it.
        features: if item.pinned { Vec::new() } else { item.features.clone() },
    });
    Decision {
        decision_id: call.decision_id.clone(),
        user_id: call.user_id.clone(),
        decided_at: call.now,
        strategy: call.choice.strategy,
        epsilon: call.choice.epsilon as f32,
        model_version: view.model_version(),
        watermark: view.watermark(),
        candidates: list.candidates.len() as u32,
        segment: list.ranked.segment,
        shown: shown.collect(),
        exploration_cost: list.ranked.exploration_cost as f32,
        trial: list.ranked.trial.as_ref().map(|trial| Box::new(recorded_trial(trial, call))),
        detail: match recording.detail {
            Detail::Shown => None,
            _ => Some(Box::new(detail(view, call, list, recording))),
        },
    }
}

fn recorded_trial(trial: &Trial, call: &PersonalizeCall) -> TakeoverTrial {
    let Trial {
        round,
        origin,
        chances,
        places,
        same_place,
        in_both,
        same_first,
        expected_gain,
        difference,
    } = trial;
    TakeoverTrial {
        round: *round,
        origin: *origin,
        chances: *chances,
        baseline: call.baseline.clone().expect("a trial has a baseline"),
        places: *places,
        same_place: *same_place,
        in_both: *in_both,
        same_first: *same_first,
        expected_gain: *expected_gain as f32,
        difference: difference.clone(),
    }
}

fn detail(
    view: &View,
    call: &PersonalizeCall,
    list: &List<'_>,
    recording: Recording,
) -> DecisionDetail {
    let catalogued = list.candidates.len() - list.described;
    let described = list.candidates[catalogued..].iter();
    let items = match recording.detail {
        Detail::Full => described.filter_map(|candidate| candidate.entry.item.clone()).collect(),
        Detail::Candidates | Detail::Shown => Vec::new(),
    };
    let mut candidates = CandidateScores::with_capacity(list.candidates.len(), ID_BYTES);
    for (candidate, score) in list.candidates.iter().zip(&list.ranked.scores) {
        candidates.push(item_of(candidate).item_id.as_str(), *score as f32);
    }
    if recording.deviations {
        let deviations = list.ranked.deviations.iter().map(|deviation| *deviation as f32);
        let known = candidates.with_deviations(deviations.collect());
        candidates = known.expect("the ranking was asked for them");
    }
    DecisionDetail {
        engine_revision: ENGINE_REVISION,
        seed: view.settings().seed,
        variant: call.variant.clone(),
        occasion: RecordedOccasion {
            utc_offset_minutes: call.utc_offset_minutes,
            device_type: call.device_type.clone(),
            location: call.location.clone(),
        },
        context_watermark: list.beside.person.watermark,
        source: match &call.candidates {
            Candidates::Given { .. } => CandidateSource::Given,
            Candidates::Catalogue if recording.remembered => CandidateSource::Remembered,
            Candidates::Catalogue => CandidateSource::Catalogue,
        },
        choice: recorded_choice(&call.choice),
        filter: recorded_filter(&call.filter),
        pins: call.pins.iter().map(recorded_pin).collect(),
        boosts: call.boosts.iter().map(recorded_boost).collect(),
        shown_lately: list.beside.shown.clone(),
        unlearnt_cost: list.beside.unlearnt_cost,
        described: list.described as u32,
        items,
        candidates,
    }
}

fn recorded_choice(choice: &Choice) -> RecordedChoice {
    let Choice {
        strategy: _,
        epsilon,
        exploring: Exploring { scale, gamma, floor },
        method,
        diversity_weight,
        serendipity_weight,
        novelty_weight,
        topic_threshold,
        source_threshold,
        max_per_topic,
        max_per_source,
        places,
    } = *choice;
    RecordedChoice {
        epsilon,
        exploration_scale: scale,
        square_cb_gamma: gamma,
        propensity_floor: floor,
        method,
        diversity_weight,
        serendipity_weight,
        novelty_weight,
        topic_threshold,
        source_threshold,
        max_per_topic,
        max_per_source,
        places: places as u32,
    }
}

fn recorded_filter(filter: &Filter) -> RecordedFilter {
    let Filter {
        topics,
        sources,
        attributes,
        published_after,
        exclude,
        expression,
        include_seen,
        seen_cooldown_hours,
        seen_after_interactions,
        frequency_cap_per_day,
    } = filter;
    RecordedFilter {
        topics: topics.clone(),
        sources: sources.clone(),
        attributes: attributes.clone(),
        published_after: *published_after,
        exclude: exclude.clone(),
        expression: expression.as_ref().map(|expression| expression.to_string().into()),
        include_seen: *include_seen,
        seen_cooldown_hours: *seen_cooldown_hours,
        seen_after_interactions: *seen_after_interactions,
        frequency_cap_per_day: *frequency_cap_per_day,
    }
}

fn recorded_pin(pin: &PinnedItem) -> RecordedPin {
    RecordedPin { item_id: pin.item_id.clone(), place: pin.place as u32 }
}

fn recorded_boost(boost: &Boost) -> RecordedBoost {
    let (subject, name) = match &boost.target {
        Target::Item(id) => (BoostSubject::Item, id.clone()),
        Target::Topic(topic) => (BoostSubject::Topic, topic.clone()),
        Target::Source(source) => (BoostSubject::Source, source.clone()),
        Target::Matching(expression) => (BoostSubject::Matching, expression.to_string().into()),
    };
    let (multiplies, amount) = match boost.change {
        Change::Add(addend) => (false, addend),
        Change::Multiply(factor) => (true, factor),
    };
    RecordedBoost { subject, name, multiplies, amount }
}

/// The call that a record is of. Candidates of the request are not in it: they are in
/// the record, as they stood to choose from.
///
/// # Errors
/// When an expression cannot be read.
pub fn call_of(
    decision: &Decision,
    detail: &DecisionDetail,
) -> Result<PersonalizeCall, SyntaxError> {
    let pins = detail.pins.iter();
    Ok(PersonalizeCall {
        user_id: decision.user_id.clone(),
        decision_id: decision.decision_id.clone(),
        candidates: match detail.source {
            CandidateSource::Given => Candidates::Given { items: Vec::new(), ids: Vec::new() },
            CandidateSource::Catalogue | CandidateSource::Remembered => Candidates::Catalogue,
        },
        filter: filter_of(&detail.filter)?,
        choice: choice_of(decision, &detail.choice),
        pins: pins
            .map(|pin| PinnedItem { item_id: pin.item_id.clone(), place: pin.place as usize })
            .collect(),
        boosts: detail.boosts.iter().map(boost_of).collect::<Result<_, _>>()?,
        now: decision.decided_at,
        utc_offset_minutes: detail.occasion.utc_offset_minutes,
        device_type: detail.occasion.device_type.clone(),
        location: detail.occasion.location.clone(),
        baseline: decision.trial.as_ref().map(|trial| trial.baseline.clone()),
        explain: false,
        variant: detail.variant.clone(),
    })
}

fn choice_of(decision: &Decision, choice: &RecordedChoice) -> Choice {
    let RecordedChoice {
        epsilon,
        exploration_scale: scale,
        square_cb_gamma: gamma,
        propensity_floor: floor,
        method,
        diversity_weight,
        serendipity_weight,
        novelty_weight,
        topic_threshold,
        source_threshold,
        max_per_topic,
        max_per_source,
        places,
    } = *choice;
    Choice {
        strategy: decision.strategy,
        epsilon,
        exploring: Exploring { scale, gamma, floor },
        method,
        diversity_weight,
        serendipity_weight,
        novelty_weight,
        topic_threshold,
        source_threshold,
        max_per_topic,
        max_per_source,
        places: places as usize,
    }
}

fn filter_of(filter: &RecordedFilter) -> Result<Filter, SyntaxError> {
    let RecordedFilter {
        topics,
        sources,
        attributes,
        published_after,
        exclude,
        expression,
        include_seen,
        seen_cooldown_hours,
        seen_after_interactions,
        frequency_cap_per_day,
    } = filter;
    Ok(Filter {
        topics: topics.clone(),
        sources: sources.clone(),
        attributes: attributes.clone(),
        published_after: *published_after,
        exclude: exclude.clone(),
        expression: expression.as_deref().map(parse_expression).transpose()?,
        include_seen: *include_seen,
        seen_cooldown_hours: *seen_cooldown_hours,
        seen_after_interactions: *seen_after_interactions,
        frequency_cap_per_day: *frequency_cap_per_day,
    })
}

fn boost_of(boost: &RecordedBoost) -> Result<Boost, SyntaxError> {
    let name = boost.name.clone();
    Ok(Boost {
        target: match boost.subject {
            BoostSubject::Item => Target::Item(name),
            BoostSubject::Topic => Target::Topic(name),
            BoostSubject::Source => Target::Source(name),
            BoostSubject::Matching => Target::Matching(parse_expression(&name)?),
        },
        change: if boost.multiplies {
            Change::Multiply(boost.amount)
        } else {
            Change::Add(boost.amount)
        },
    })
}
