//! The decision record of an answer: what was shown, and how it came about.
//!
//! - [`Detail`] says how much: at `Shown` only what the ranker learns from; at
//!   `Candidates` the request and every candidate with its score; at `Full` the items that
//!   the request itself described, too.
//! - The request comes as bytes from the edge, which reads them when the decision is worked
//!   out again. Nothing here knows its fields.
//! - A record is bounded: one that would be longer says what was shown and no more.

use super::personalize::CallDivision;
use super::personalize::PersonalizeCall;
use super::work_out::List;
use super::work_out::item_of;
use engine::ENGINE_REVISION;
use engine::RankedItem;
use engine::Trial;
use engine::View;
use engine::domain::CandidateScores;
use engine::domain::Continues;
use engine::domain::Decision;
use engine::domain::DecisionDetail;
use engine::domain::Division;
use engine::domain::ShownItem;
use engine::domain::Strategy;
use engine::domain::TakeoverTrial;
use engine::domain::limits;

/// Bytes reserved for an id.
const ID_BYTES: usize = 16;

/// How much of a decision is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What was shown.
    Shown,
    /// And the request, and all candidates with their scores.
    Candidates,
    /// And the items that the request described.
    Full,
}

/// What the record of a decision is to say of its request, and with it of how the decision
/// came about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RequestRecord {
    /// Nothing.
    #[default]
    NotRequested,
    /// All: see [`DecisionDetail`].
    Bytes { request: Vec<u8>, undescribed: u32 },
    /// Nothing, since it is longer than a record may be.
    TooLong,
}

impl RequestRecord {
    /// As the given record has it.
    pub fn of(detail: &DecisionDetail) -> Self {
        Self::Bytes { request: detail.request.clone(), undescribed: detail.undescribed }
    }

    /// Whether there is one, so that candidates are recorded with their scores.
    pub const fn is_there(&self) -> bool {
        matches!(self, Self::Bytes { .. })
    }

    /// Whether one was requested, whether it is there or not.
    pub const fn is_requested(&self) -> bool {
        !matches!(self, Self::NotRequested)
    }
}

/// The record of a list. `remembered`: whether candidates of the catalogue were found for an
/// earlier call.
pub fn decision(
    view: &View,
    call: &PersonalizeCall,
    list: &List<'_>,
    request: RequestRecord,
    remembered: bool,
) -> Decision {
    let shown = list.ranked.items.iter().map(|item| ShownItem {
        item_id: item_of(&list.candidates[item.candidate]).item_id.clone(),
        score: item.estimate as f32,
        propensity: item.propensity as f32,
        // Without features the ranker learns nothing from it.
        features: if item.pinned { Vec::new() } else { item.features.clone() },
    });
    let mut decision = Decision {
        decision_id: call.decision_id.clone(),
        user_id: call.user_id.clone(),
        decided_at: call.now,
        strategy: call.choice.strategy,
        epsilon: call.choice.epsilon as f32,
        model_version: view.model_version(),
        watermark: view.watermark(),
        candidates: list.candidates.len() as u32,
        segment: list.ranked.segment,
        layout: view.ranker().layout().clone(),
        shown: shown.collect(),
        exploration_cost: list.ranked.exploration_cost as f32,
        trial: list.ranked.trial.as_ref().map(|trial| Box::new(recorded_trial(trial))),
        assignments: call.assignments.clone(),
        division: division(call, list).map(Box::new),
        continues: call.continue_from.as_ref().map(|decision_id| {
            let (decision_id, origin) = (decision_id.clone(), list.ranked.origin);
            Box::new(Continues { decision_id, origin })
        }),
        detail: match request {
            RequestRecord::NotRequested | RequestRecord::TooLong => None,
            RequestRecord::Bytes { request, undescribed } => {
                let detail = detail(view, call, list, (request, undescribed), remembered);
                Some(Box::new(detail))
            }
        },
    };
    if decision.record_bytes() > limits::DECISION_BYTES {
        decision.detail = None;
    }
    decision
}

fn division(call: &PersonalizeCall, list: &List<'_>) -> Option<Division> {
    Some(match call.division.as_deref()? {
        CallDivision::InTurns { experiment, .. } => {
            let by = |item: &RankedItem| (!item.pinned).then_some(item.by as u8);
            let chosen_by = list.ranked.items.iter().map(by).collect();
            Division::InTurns { experiment: *experiment, chosen_by }
        }
        CallDivision::Drawn { experiment, variant, chances } => {
            let (experiment, variant, chances) = (*experiment, *variant, chances.clone());
            Division::Drawn { experiment, variant, chances }
        }
    })
}

fn recorded_trial(trial: &Trial) -> TakeoverTrial {
    let Trial {
        round,
        origin,
        chances,
        positions,
        same_position,
        in_both,
        same_first,
        expected_gain,
        difference,
    } = trial;
    TakeoverTrial {
        round: *round,
        origin: *origin,
        chances: *chances,
        positions: *positions,
        same_position: *same_position,
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
    (request, undescribed): (Vec<u8>, u32),
    remembered: bool,
) -> DecisionDetail {
    let count = list.candidates.len();
    let mut candidates = CandidateScores::with_capacity(count, count * ID_BYTES);
    let deviations = &list.ranked.deviations;
    assert_eq!(deviations.len(), count, "the ranking was asked for them");
    let numbers = list.ranked.scores.iter().zip(deviations);
    for (candidate, (score, deviation)) in list.candidates.iter().zip(numbers) {
        candidates.push(item_of(candidate).item_id.as_str(), *score as f32, *deviation as f32);
    }
    DecisionDetail {
        engine_revision: ENGINE_REVISION,
        seed: view.settings().seed,
        request,
        undescribed,
        variant: call.variant.clone(),
        context_watermark: list.call_context.derived.watermark,
        remembered,
        shown_lately: list.call_context.shown.clone(),
        earlier: call.earlier.items.clone(),
        earlier_pinned: call.earlier.pinned.clone(),
        unlearnt_cost: list.call_context.unlearnt_cost,
        width: match call.choice.strategy {
            Strategy::LinUcb => call.choice.exploring.scale,
            Strategy::Greedy
            | Strategy::EpsilonGreedy
            | Strategy::Thompson
            | Strategy::SquareCb => 0.0,
        },
        candidates,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::domain::DecisionId;
    use engine::domain::FeatureLayout;
    use engine::domain::ItemId;
    use engine::domain::ListOrigin;
    use engine::domain::Timestamp;
    use engine::domain::UserId;

    /// Numbers of a feature vector, a third more than there are.
    const FEATURES: usize = 34;

    #[test]
    fn what_is_learnt_from_always_fits_in_a_record() {
        let longest = "x".repeat(limits::ID_BYTES);
        let shown = ShownItem {
            item_id: ItemId::parse(longest.clone()).unwrap(),
            score: 0.5,
            propensity: 0.5,
            features: vec![0.5; FEATURES],
        };
        let decision = Decision {
            decision_id: DecisionId::parse(longest.clone()).unwrap(),
            user_id: UserId::parse(longest.clone()).unwrap(),
            decided_at: Timestamp::from_millis(i64::MAX),
            strategy: Strategy::Thompson,
            epsilon: 0.1,
            model_version: u64::MAX,
            watermark: u64::MAX,
            candidates: u32::MAX,
            segment: u8::MAX,
            layout: FeatureLayout::new(0..FEATURES as u16),
            shown: vec![shown; limits::RESULTS],
            exploration_cost: 1.0,
            trial: Some(Box::new(TakeoverTrial {
                round: u32::MAX,
                origin: ListOrigin::Ranker,
                chances: [0.5; 3],
                positions: u32::MAX,
                same_position: u32::MAX,
                in_both: u32::MAX,
                same_first: true,
                expected_gain: 0.5,
                difference: vec![0.5; FEATURES],
            })),
            assignments: Vec::new(),
            division: None,
            continues: Some(Box::new(Continues {
                decision_id: DecisionId::parse(longest).unwrap(),
                origin: Some(ListOrigin::Ranker),
            })),
            detail: None,
        };
        assert!(decision.record_bytes() <= limits::DECISION_BYTES);
    }
}
