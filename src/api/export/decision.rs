//! A decision as JSON: what was shown, what it was chosen from, and the request.
//!
//! Left out is the seed of the namespace, which is not about the user and draws for all.

use std::collections::BTreeMap;

use serde::Serialize;

use super::message::MessageJson;
use super::values::Instant;
use crate::api::convert;
use engine::View;
use engine::domain::Assignment;
use engine::domain::Decision;
use engine::domain::DecisionDetail;
use engine::domain::Division;
use engine::domain::FeatureId;
use engine::domain::ListOrigin;
use engine::domain::ShownItem;
use engine::domain::Split;
use engine::domain::TakeoverTrial;

#[derive(Serialize)]
pub struct DecisionJson<'a> {
    decision_id: &'a str,
    user_id: &'a str,
    decided_at: Instant,
    strategy: &'static str,
    epsilon: f32,
    model_version: u64,
    watermark: u64,
    /// How many.
    candidates: u32,
    segment: u8,
    exploration_cost: f32,
    items: Vec<ItemJson<'a>>,
    /// Of `features` of the items.
    feature_names: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    assignments: Vec<AssignmentJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    division: Option<DivisionJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<TrialJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continue_from: Option<&'a str>,
    /// Of the list that it continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<DetailJson<'a>>,
}

impl<'a> DecisionJson<'a> {
    pub fn new(view: &'a View, decision: &'a Decision) -> Self {
        let continues = decision.continues.as_deref();
        let name = |id: &FeatureId| match engine::feature_name(*id) {
            Some(name) => name.to_owned(),
            None => format!("feature_{id}"),
        };
        Self {
            decision_id: decision.decision_id.as_str(),
            user_id: decision.user_id.as_str(),
            decided_at: Instant(decision.decided_at),
            strategy: decision.strategy.name(),
            epsilon: decision.epsilon,
            model_version: decision.model_version,
            watermark: decision.watermark,
            candidates: decision.candidates,
            segment: decision.segment,
            exploration_cost: decision.exploration_cost,
            items: decision.shown.iter().enumerate().map(ItemJson::new).collect(),
            feature_names: decision.layout.ids().iter().map(name).collect(),
            assignments: AssignmentJson::all(view, &decision.assignments),
            division: decision.division.as_deref().map(|it| DivisionJson::new(view, it)),
            baseline: decision.trial.as_deref().map(TrialJson::new),
            continue_from: continues.map(|page| page.decision_id.as_str()),
            origin: continues.and_then(|page| page.origin).map(ListOrigin::name),
            detail: decision.detail.as_deref().map(|detail| DetailJson::new(decision, detail)),
        }
    }
}

#[derive(Serialize)]
struct ItemJson<'a> {
    item_id: &'a str,
    position: usize,
    score: f32,
    propensity: f32,
    pinned: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    features: &'a [f32],
}

impl<'a> ItemJson<'a> {
    fn new((position, shown): (usize, &'a ShownItem)) -> Self {
        Self {
            item_id: shown.item_id.as_str(),
            position,
            score: shown.score,
            propensity: shown.propensity,
            pinned: shown.features.is_empty(),
            features: &shown.features,
        }
    }
}

/// A variant that acted. An experiment that is not known any more has a number only.
#[derive(Serialize)]
pub struct AssignmentJson<'a> {
    #[serde(flatten)]
    experiment: ExperimentJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
    variant_number: u8,
    tester: bool,
    /// Whether both variants fill one list.
    interleaved: bool,
    own_ranker: bool,
}

#[derive(Serialize)]
struct ExperimentJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    experiment: Option<&'a str>,
    experiment_number: u32,
}

impl<'a> ExperimentJson<'a> {
    fn new(view: &'a View, number: u32) -> Self {
        let entry = view.experiments().numbered(number);
        let experiment = entry.map(|entry| entry.experiment.key.as_str());
        Self { experiment, experiment_number: number }
    }
}

impl<'a> AssignmentJson<'a> {
    pub fn all(view: &'a View, assignments: &[Assignment]) -> Vec<Self> {
        assignments.iter().map(|assignment| Self::new(view, assignment)).collect()
    }

    fn new(view: &'a View, assignment: &Assignment) -> Self {
        let Assignment { experiment: number, variant, is_tester: tester, own_ranker } = *assignment;
        let entry = view.experiments().numbered(number);
        let divides = entry.is_some_and(|entry| entry.experiment.split == Split::Interleaved);
        let interleaved = divides && !tester;
        let experiment = ExperimentJson::new(view, number);
        let variant_number = variant;
        let variant = variant_name(view, number, variant).filter(|_| !interleaved);
        Self { experiment, variant, variant_number, tester, interleaved, own_ranker }
    }
}

fn variant_name(view: &View, experiment: u32, variant: u8) -> Option<&str> {
    let entry = view.experiments().numbered(experiment)?;
    let variant = entry.experiment.variants.get(usize::from(variant))?;
    Some(variant.name.as_str())
}

#[derive(Serialize)]
struct DivisionJson<'a> {
    #[serde(flatten)]
    experiment: ExperimentJson<'a>,
    #[serde(flatten)]
    way: WayJson<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WayJson<'a> {
    /// The number of the variant that chose each position; null for a pinned one.
    InTurns { chosen_by: &'a [Option<u8>] },
    Drawn {
        #[serde(skip_serializing_if = "Option::is_none")]
        variant: Option<&'a str>,
        variant_number: u8,
        chances: &'a [f32],
    },
}

impl<'a> DivisionJson<'a> {
    fn new(view: &'a View, division: &'a Division) -> Self {
        let way = match division {
            Division::InTurns { experiment: _, chosen_by } => WayJson::InTurns { chosen_by },
            Division::Drawn { experiment, variant, chances } => WayJson::Drawn {
                variant: variant_name(view, *experiment, *variant),
                variant_number: *variant,
                chances,
            },
        };
        Self { experiment: ExperimentJson::new(view, division.experiment()), way }
    }
}

/// What it said of the ranker against the caller's own order.
#[derive(Serialize)]
struct TrialJson<'a> {
    origin: &'static str,
    round: u32,
    /// By origin.
    chances: BTreeMap<&'static str, f64>,
    positions: u32,
    same_position: u32,
    in_both: u32,
    same_first: bool,
    expected_gain: f32,
    /// By `feature_names`.
    difference: &'a [f32],
}

impl<'a> TrialJson<'a> {
    fn new(trial: &'a TakeoverTrial) -> Self {
        let chances = ListOrigin::ALL.into_iter().zip(trial.chances);
        Self {
            origin: trial.origin.name(),
            round: trial.round,
            chances: chances.map(|(origin, chance)| (origin.name(), chance)).collect(),
            positions: trial.positions,
            same_position: trial.same_position,
            in_both: trial.in_both,
            same_first: trial.same_first,
            expected_gain: trial.expected_gain,
            difference: &trial.difference,
        }
    }
}

#[derive(Serialize)]
struct DetailJson<'a> {
    engine_revision: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<MessageJson>,
    /// Candidates that the request described and that the record holds the ids of only.
    undescribed: u32,
    context_watermark: u64,
    remembered: bool,
    shown_lately: &'a [Box<str>],
    /// Hashes as text: numbers of JSON are not as exact everywhere.
    earlier: Vec<String>,
    earlier_pinned: Vec<String>,
    unlearnt_cost: f64,
    width: f64,
    candidate_scores: Vec<CandidateJson<'a>>,
}

#[derive(Serialize)]
struct CandidateJson<'a> {
    item_id: &'a str,
    score: f32,
    deviation: f32,
}

impl<'a> DetailJson<'a> {
    fn new(decision: &Decision, detail: &'a DecisionDetail) -> Self {
        // The checksum of the record holds, so only bytes of a later version are none.
        let request = convert::recorded_request(decision, detail).ok();
        let texts = |keys: &[u64]| keys.iter().map(u64::to_string).collect();
        let candidates = &detail.candidates;
        let numbers = candidates.scores().iter().zip(candidates.deviations());
        let scored = candidates.ids().zip(numbers);
        Self {
            engine_revision: detail.engine_revision,
            request: request.map(|request| MessageJson::new("PersonalizeRequest", &request)),
            undescribed: detail.undescribed,
            context_watermark: detail.context_watermark,
            remembered: detail.remembered,
            shown_lately: &detail.shown_lately,
            earlier: texts(&detail.earlier),
            earlier_pinned: texts(&detail.earlier_pinned),
            unlearnt_cost: detail.unlearnt_cost,
            width: detail.width,
            candidate_scores: scored
                .map(|(item_id, (&score, &deviation))| CandidateJson { item_id, score, deviation })
                .collect(),
        }
    }
}
