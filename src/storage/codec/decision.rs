//! A decision: its header, the numbers of its features, the shown items with score, propensity and features, then under
//! flags the trial against the caller's order, the page before, the variants of experiments, how one of them
//! divided the list, and how the decision came about, each with its length before it.

use super::decision_detail;
use super::experiment;
use super::takeover;
use super::wire::Fault;
use super::wire::Reader;
use super::wire::put_f32;
use super::wire::put_floats;
use super::wire::put_framed;
use super::wire::put_text;
use super::wire::put_time;
use super::wire::put_varint;
use engine::domain::Continues;
use engine::domain::Decision;
use engine::domain::DecisionId;
use engine::domain::FeatureId;
use engine::domain::FeatureLayout;
use engine::domain::ItemId;
use engine::domain::ListOrigin;
use engine::domain::ShownItem;
use engine::domain::Strategy;
use engine::domain::Timestamp;
use engine::domain::UserId;

/// An id of one byte with its length, two floats and an empty feature vector.
const SHOWN_BYTES_MIN: usize = 11;

/// Of the flags behind the shown items.
const TRIAL: u8 = 1;
const DETAIL: u8 = 1 << 1;
const CONTINUES: u8 = 1 << 2;
const ASSIGNMENTS: u8 = 1 << 3;
const DIVISION: u8 = 1 << 4;
/// In the place of an origin where there is none.
const NO_ORIGIN: u8 = 0;

pub fn put(out: &mut Vec<u8>, decision: &Decision, base: Timestamp) {
    out.push(decision.strategy.code());
    put_f32(out, decision.epsilon);
    put_text(out, decision.decision_id.as_str());
    put_text(out, decision.user_id.as_str());
    put_time(out, decision.decided_at, base);
    put_varint(out, decision.model_version);
    put_varint(out, decision.watermark);
    put_varint(out, decision.candidates.into());
    out.push(decision.segment);
    put_f32(out, decision.exploration_cost);
    put_varint(out, decision.layout.len() as u64);
    decision.layout.ids().iter().for_each(|id| put_varint(out, u64::from(*id)));
    put_varint(out, decision.shown.len() as u64);
    for shown in &decision.shown {
        put_text(out, shown.item_id.as_str());
        put_f32(out, shown.score);
        put_f32(out, shown.propensity);
        put_floats(out, &shown.features);
    }
    let bit = |present: bool, bit: u8| if present { bit } else { 0 };
    out.push(
        bit(decision.trial.is_some(), TRIAL)
            | bit(decision.detail.is_some(), DETAIL)
            | bit(decision.continues.is_some(), CONTINUES)
            | bit(!decision.assignments.is_empty(), ASSIGNMENTS)
            | bit(decision.division.is_some(), DIVISION),
    );
    if let Some(trial) = &decision.trial {
        put_framed(out, |out| takeover::put_trial(out, trial));
    }
    if let Some(continues) = &decision.continues {
        put_framed(out, |out| {
            put_text(out, continues.decision_id.as_str());
            out.push(continues.origin.map_or(NO_ORIGIN, ListOrigin::code));
        });
    }
    if !decision.assignments.is_empty() {
        put_framed(out, |out| experiment::put_assignments(out, &decision.assignments));
    }
    if let Some(division) = &decision.division {
        put_framed(out, |out| experiment::put_division(out, division));
    }
    if let Some(detail) = &decision.detail {
        put_framed(out, |out| decision_detail::put(out, detail));
    }
}

pub fn read(reader: &mut Reader<'_>, base: Timestamp) -> Result<Decision, Fault> {
    let code = reader.byte()?;
    let strategy = Strategy::from_code(code).ok_or(Fault::TooNew {
        what: "strategy",
        found: code.into(),
        known: Strategy::ALL.len() as u64,
    })?;
    // Fields are evaluated in the order written here, which is that of the bytes.
    let mut decision = Decision {
        strategy,
        epsilon: reader.f32()?,
        decision_id: reader.parsed(DecisionId::parse)?,
        user_id: reader.parsed(UserId::parse)?,
        decided_at: reader.time(base)?,
        model_version: reader.varint()?,
        watermark: reader.varint()?,
        candidates: reader.u32("the number of candidates")?,
        segment: reader.byte()?,
        exploration_cost: reader.f32()?,
        layout: read_layout(reader)?,
        shown: read_shown(reader)?,
        trial: None,
        assignments: Vec::new(),
        division: None,
        continues: None,
        detail: None,
    };
    let flags = reader.byte()?;
    if flags & TRIAL != 0 {
        let mut framed = Reader::new(reader.framed()?);
        decision.trial = Some(Box::new(takeover::read_trial(&mut framed)?));
    }
    if flags & CONTINUES != 0 {
        let mut framed = Reader::new(reader.framed()?);
        decision.continues = Some(Box::new(read_continues(&mut framed)?));
    }
    if flags & ASSIGNMENTS != 0 {
        let mut framed = Reader::new(reader.framed()?);
        decision.assignments = experiment::read_assignments(&mut framed)?;
    }
    if flags & DIVISION != 0 {
        let mut framed = Reader::new(reader.framed()?);
        decision.division = Some(Box::new(experiment::read_division(&mut framed)?));
    }
    if flags & DETAIL != 0 {
        let mut framed = Reader::new(reader.framed()?);
        decision.detail = Some(Box::new(decision_detail::read(&mut framed)?));
    }
    Ok(decision)
}

fn read_continues(reader: &mut Reader<'_>) -> Result<Continues, Fault> {
    Ok(Continues {
        decision_id: reader.parsed(DecisionId::parse)?,
        origin: match reader.byte()? {
            NO_ORIGIN => None,
            code => Some(takeover::read_origin(code)?),
        },
    })
}

fn read_layout(reader: &mut Reader<'_>) -> Result<FeatureLayout, Fault> {
    let count = reader.count(1)?;
    let ids: Result<Vec<FeatureId>, Fault> =
        (0..count).map(|_| reader.u16("the number of a feature")).collect();
    Ok(FeatureLayout::new(ids?))
}

fn read_shown(reader: &mut Reader<'_>) -> Result<Vec<ShownItem>, Fault> {
    let count = reader.count(SHOWN_BYTES_MIN)?;
    let mut shown = Vec::with_capacity(count);
    for _ in 0..count {
        shown.push(ShownItem {
            item_id: reader.parsed(ItemId::parse)?,
            score: reader.f32()?,
            propensity: reader.f32()?,
            features: reader.floats()?,
        });
    }
    Ok(shown)
}
