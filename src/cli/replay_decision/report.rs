//! A decision as it is printed: as a table or as JSON.

use serde::Serialize;

use crate::api::recorded_request;
use crate::cli::output;
use crate::proto::PersonalizeRequest;
use crate::service::NotRedone;
use crate::service::PersonalizeCall;
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
    epsilon: f32,
    model_version: u64,
    watermark: u64,
    /// How many stood to choose from.
    candidates: u32,
    call: Option<Call>,
    shown: Vec<Position>,
    /// Everything that stood to choose from, in the ranker's order.
    scores: Vec<Scored>,
}

/// The request and its context.
#[derive(Debug, Serialize)]
struct Call {
    engine_revision: u32,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    context_watermark: u64,
    candidates_from: &'static str,
    /// Candidates that the request described itself.
    described: usize,
    /// All of it as it was sent, but for namespace and watermark.
    request: String,
    /// What it comes to with the settings of its time, where it was worked out again.
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<String>,
    shown_lately: Vec<String>,
    /// The page before, where it is a later page, and how many items are above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    continue_from: Option<String>,
    items_above: usize,
    unlearnt_cost: f64,
}

#[derive(Debug, Serialize)]
struct Position {
    position: usize,
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
    deviation: f32,
}

impl Report {
    pub fn new(
        name: &NamespaceName,
        record: &LogRecord,
        decision: &Decision,
        verdict: &Verdict,
        call: Option<&PersonalizeCall>,
    ) -> Self {
        let (verdict, reasons) = match verdict {
            Verdict::Reproduced => ("reproduced", Vec::new()),
            Verdict::Differs(found) => ("differs", found.clone()),
            Verdict::NotRedone(reason) => ("not redone", vec![reason.to_string()]),
        };
        let detail = decision.detail.as_deref();
        let scores = detail.into_iter().flat_map(|detail| {
            let candidates = &detail.candidates;
            let numbers = candidates.scores().iter().zip(candidates.deviations());
            candidates.ids().zip(numbers)
        });
        let scored = |(id, (score, deviation)): (&str, (&f32, &f32))| Scored {
            item_id: id.to_owned(),
            score: *score,
            deviation: *deviation,
        };
        let shown = decision.shown.iter().enumerate();
        Self {
            verdict,
            reasons,
            decision_id: decision.decision_id.to_string(),
            namespace: name.to_string(),
            sequence: record.sequence,
            recorded_at: record.recorded_at.to_rfc3339(),
            user_id: decision.user_id.to_string(),
            decided_at: decision.decided_at.to_rfc3339(),
            strategy: decision.strategy.name(),
            epsilon: decision.epsilon,
            model_version: decision.model_version,
            watermark: decision.watermark,
            candidates: decision.candidates,
            call: detail.map(|detail| Call::new(decision, detail, call)),
            shown: shown
                .map(|(position, shown)| Position {
                    position,
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

    /// As a table.
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
        let head = ["position", "item", "score", "propensity", "pinned"].map(str::to_owned);
        let mut rows = vec![head.to_vec()];
        rows.extend(self.shown.iter().map(|position| {
            vec![
                position.position.to_string(),
                position.item_id.clone(),
                format!("{:.6}", position.score),
                format!("{:.6}", position.propensity),
                if position.pinned { "pinned".to_owned() } else { String::new() },
            ]
        }));
        output::align(&mut text, &rows);
        text += &format!("\n{}\n", self.verdict);
        self.reasons.iter().for_each(|reason| text += &format!("- {reason}\n"));
        text
    }
}

impl Call {
    fn new(decision: &Decision, detail: &DecisionDetail, call: Option<&PersonalizeCall>) -> Self {
        let request = recorded_request(decision, detail);
        let described = request.as_ref().map_or(0, |request| request.candidates.len());
        let is_given = |request: &PersonalizeRequest| {
            !(request.candidates.is_empty() && request.candidate_ids.is_empty())
        };
        Self {
            engine_revision: detail.engine_revision,
            seed: detail.seed,
            variant: detail.variant.as_deref().map(str::to_owned),
            context_watermark: detail.context_watermark,
            candidates_from: match &request {
                _ if detail.remembered => "remembered",
                Ok(request) if is_given(request) && request.retrieve => "given and catalogue",
                Ok(request) if is_given(request) => "given",
                Ok(_) => "catalogue",
                Err(_) => "unknown",
            },
            described,
            request: match request {
                Ok(request) => format!("{request:?}"),
                Err(unreadable) => format!("cannot be read: {unreadable}"),
            },
            choice: call.map(|call| format!("{:?}", call.choice)),
            shown_lately: detail.shown_lately.iter().map(|id| id.to_string()).collect(),
            continue_from: decision.continues.as_ref().map(|page| page.decision_id.to_string()),
            items_above: detail.earlier.len(),
            unlearnt_cost: detail.unlearnt_cost,
        }
    }

    fn lines(&self) -> String {
        let mut text = format!(
            "engine revision {}, seed {}, candidates {} ({} described by the request)\n{}\n",
            self.engine_revision, self.seed, self.candidates_from, self.described, self.request,
        );
        if let Some(choice) = &self.choice {
            text += &format!("{choice}\n");
        }
        text
    }
}
