//! A decision: its header, then the shown items with score, propensity and
//! features.
//!
//! Behind the last item stands what was added since, under a mask that is left out when
//! nothing of it is there, each part with its length before it. Parts to come have a bit
//! in this mask; a field to come of each shown item is a column.

use super::decision_detail;
use super::takeover;
use super::wire::Fault;
use super::wire::Reader;
use super::wire::put_f32;
use super::wire::put_floats;
use super::wire::put_framed;
use super::wire::put_text;
use super::wire::put_time;
use super::wire::put_varint;
use engine::domain::Decision;
use engine::domain::DecisionId;
use engine::domain::ItemId;
use engine::domain::ShownItem;
use engine::domain::Strategy;
use engine::domain::Timestamp;
use engine::domain::UserId;

/// An id of one byte with its length, two floats and an empty feature vector.
const SHOWN_BYTES_MIN: usize = 11;

/// Of the mask behind the shown items.
const DETAIL: u8 = 1;
const SEGMENT: u8 = 1 << 1;
const TRIAL: u8 = 1 << 2;
const EXPLORATION_COST: u8 = 1 << 3;

pub fn put(out: &mut Vec<u8>, decision: &Decision, base: Timestamp) {
    out.push(decision.strategy.code());
    put_f32(out, decision.epsilon);
    put_text(out, decision.decision_id.as_str());
    put_text(out, decision.user_id.as_str());
    put_time(out, decision.decided_at, base);
    put_varint(out, decision.model_version);
    put_varint(out, decision.watermark);
    put_varint(out, decision.candidates.into());
    put_varint(out, decision.shown.len() as u64);
    for shown in &decision.shown {
        put_text(out, shown.item_id.as_str());
        put_f32(out, shown.score);
        put_f32(out, shown.propensity);
        put_floats(out, &shown.features);
    }
    let bit = |present: bool, bit: u8| if present { bit } else { 0 };
    let mask = bit(decision.detail.is_some(), DETAIL)
        | bit(decision.segment != 0, SEGMENT)
        | bit(decision.trial.is_some(), TRIAL)
        | bit(decision.exploration_cost != 0.0, EXPLORATION_COST);
    if mask == 0 {
        return;
    }
    out.push(mask);
    if let Some(detail) = &decision.detail {
        put_framed(out, |out| decision_detail::put(out, detail, base));
    }
    if decision.segment != 0 {
        put_framed(out, |out| out.push(decision.segment));
    }
    if let Some(trial) = &decision.trial {
        put_framed(out, |out| takeover::put_trial(out, trial));
    }
    if decision.exploration_cost != 0.0 {
        put_framed(out, |out| put_f32(out, decision.exploration_cost));
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
        shown: read_shown(reader)?,
        segment: 0,
        exploration_cost: 0.0,
        trial: None,
        detail: None,
    };
    let mask = if reader.is_empty() { 0 } else { reader.byte()? };
    if mask & DETAIL != 0 {
        let length = reader.count(1)?;
        let mut framed = Reader::new(reader.bytes(length)?);
        decision.detail = Some(Box::new(decision_detail::read(&mut framed, base)?));
    }
    if mask & SEGMENT != 0 {
        let length = reader.count(1)?;
        decision.segment = Reader::new(reader.bytes(length)?).byte()?;
    }
    if mask & TRIAL != 0 {
        let length = reader.count(1)?;
        let mut framed = Reader::new(reader.bytes(length)?);
        decision.trial = Some(Box::new(takeover::read_trial(&mut framed)?));
    }
    if mask & EXPLORATION_COST != 0 {
        let length = reader.count(1)?;
        decision.exploration_cost = Reader::new(reader.bytes(length)?).f32()?;
    }
    Ok(decision)
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
