//! A decision as it is printed: for people a table, for machines JSON.

use serde::Serialize;

use crate::cli::dataset::format_timestamp;
use crate::cli::output;
use crate::service::NotRedone;
use engine::domain::CandidateScores;
use engine::domain::Decision;
use engine::domain::DecisionDetail;
use engine::domain::LogRecord;
use engine::domain::NamespaceName;

/// What came of working a decision out again.
#[derive(Debug)]
pub enum Verdict {
    /// The same bits.
    Reproduced,
    /// What differs, a sentence each.
    Differs(Vec<String>),
    NotRedone(NotRedone),
}

/// All of a decision, and the verdict.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `reproduced`, `differs` or `not redone`.
    verdict: &'static str,
    /// Why not.
    reasons: Vec<String>,
    decision_id: String,
    namespace: String,
    sequence: u64,
    recorded_at: String,
    user_id: String,
    decided_at: String,
    strategy: &'static str,
    epsilon: f64,
    model_version: u64,
    watermark: u64,
    /// How many stood to choose from.
    candidates: u32,
    call: Option<Call>,
    shown: Vec<Place>,
    /// Everything that stood to choose from, in the ranker's order.
    scores: Vec<Scored>,
}

/// What was asked.
#[derive(Debug, Serialize)]
struct Call {
    engine_revision: u32,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    utc_offset_minutes: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    context_watermark: u64,
    candidates_from: &'static str,
    /// Candidates that the request described itself.
    described: u32,
    diversity: String,
    places: u32,
    filter: String,
    pins: Vec<String>,
    boosts: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Place {
    place: usize,
    item_id: String,
    score: f32,
    propensity: f32,
    pinned: bool,
    features: Vec<f32>,
}

#[derive(Debug, Serialize)]
struct Scored {
    item_id: String,
    /// What the choice went by.
    score: f32,
    /// Standard deviation of the expected reward.
    #[serde(skip_serializing_if = "Option::is_none")]
    deviation: Option<f32>,
}

impl Report {
    pub fn new(
        name: &NamespaceName,
        record: &LogRecord,
        decision: &Decision,
        verdict: &Verdict,
    ) -> Self {
        let (verdict, reasons) = match verdict {
            Verdict::Reproduced => ("reproduced", Vec::new()),
            Verdict::Differs(found) => ("differs", found.clone()),
            Verdict::NotRedone(reason) => ("not redone", vec![reason.to_string()]),
        };
        let detail = decision.detail.as_deref();
        let candidates = detail.map(|detail| &detail.candidates);
        let deviations = candidates.and_then(CandidateScores::deviations).unwrap_or_default();
        let scores = candidates.into_iter().flat_map(CandidateScores::iter).enumerate();
        let scored = |(place, (id, score)): (usize, (&str, f32))| {
            let deviation = deviations.get(place).copied();
            Scored { item_id: id.to_owned(), score, deviation }
        };
        let shown = decision.shown.iter().enumerate();
        Self {
            verdict,
            reasons,
            decision_id: decision.decision_id.to_string(),
            namespace: name.to_string(),
            sequence: record.sequence,
            recorded_at: format_timestamp(record.recorded_at),
            user_id: decision.user_id.to_string(),
            decided_at: format_timestamp(decision.decided_at),
            strategy: decision.strategy.name(),
            epsilon: detail.map_or(decision.epsilon.into(), |detail| detail.choice.epsilon),
            model_version: decision.model_version,
            watermark: decision.watermark,
            candidates: decision.candidates,
            call: detail.map(Call::new),
            shown: shown
                .map(|(place, shown)| Place {
                    place,
                    item_id: shown.item_id.to_string(),
                    score: shown.score,
                    propensity: shown.propensity,
                    pinned: shown.features.is_empty(),
                    features: shown.features.clone(),
                })
                .collect(),
            scores: scores.map(scored).collect(),
        }
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = format!(
            "decision {} of {} in {}, record {} of {}\n\
             for {} by {} (epsilon {}), model {}, as of record {}, from {} candidates\n",
            self.decision_id,
            self.decided_at,
            self.namespace,
            self.sequence,
            self.recorded_at,
            self.user_id,
            self.strategy,
            self.epsilon,
            self.model_version,
            self.watermark,
            self.candidates,
        );
        if let Some(call) = &self.call {
            text += &call.lines();
        }
        let head = ["place", "item", "score", "propensity", "pinned"].map(str::to_owned);
        let mut rows = vec![head.to_vec()];
        rows.extend(self.shown.iter().map(|place| {
            vec![
                place.place.to_string(),
                place.item_id.clone(),
                format!("{:.6}", place.score),
                format!("{:.6}", place.propensity),
                if place.pinned { "pinned".to_owned() } else { String::new() },
            ]
        }));
        output::align(&mut text, &rows);
        text += &format!("\n{}\n", self.verdict);
        self.reasons.iter().for_each(|reason| text += &format!("- {reason}\n"));
        text
    }
}

impl Call {
    fn new(detail: &DecisionDetail) -> Self {
        let owned = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        let pins = detail.pins.iter().map(|pin| format!("{} at place {}", pin.item_id, pin.place));
        let boosts = detail.boosts.iter().map(|boost| {
            let change = if boost.multiplies { "times" } else { "plus" };
            format!("{:?} {}: {change} {}", boost.subject, boost.name, boost.amount)
        });
        Self {
            engine_revision: detail.engine_revision,
            seed: detail.seed,
            variant: owned(&detail.variant),
            utc_offset_minutes: detail.occasion.utc_offset_minutes,
            device_type: owned(&detail.occasion.device_type),
            location: owned(&detail.occasion.location),
            context_watermark: detail.context_watermark,
            candidates_from: detail.source.name(),
            described: detail.described,
            diversity: format!("{:?}", detail.choice),
            places: detail.choice.places,
            filter: format!("{:?}", detail.filter),
            pins: pins.collect(),
            boosts: boosts.collect(),
        }
    }

    fn lines(&self) -> String {
        let mut text = format!(
            "engine revision {}, seed {}, candidates {} ({} described by the request)\n{}\n",
            self.engine_revision, self.seed, self.candidates_from, self.described, self.diversity,
        );
        if let Some(variant) = &self.variant {
            text += &format!("variant {variant}\n");
        }
        for line in self.pins.iter().map(|pin| format!("pinned {pin}\n")) {
            text += &line;
        }
        for line in self.boosts.iter().map(|boost| format!("boost of {boost}\n")) {
            text += &line;
        }
        text
    }
}
