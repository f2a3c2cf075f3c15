//! Selections of arms, with their rewards and withdrawals.
//!
//! A field to come of each offered arm is a column behind the last field.

use super::attributes;
use super::wire::Fault;
use super::wire::Reader;
use super::wire::put_f32;
use super::wire::put_f64;
use super::wire::put_floats;
use super::wire::put_text;
use super::wire::put_time;
use super::wire::put_varint;
use engine::domain::ArmContext;
use engine::domain::ArmFeatures;
use engine::domain::ArmName;
use engine::domain::ArmOutcome;
use engine::domain::ArmReward;
use engine::domain::ArmSelection;
use engine::domain::ArmSetName;
use engine::domain::ArmStrategy;
use engine::domain::DecisionId;
use engine::domain::EventId;
use engine::domain::OfferedArm;
use engine::domain::Timestamp;

/// A name of one byte with its length, and three floats of eight.
const OFFERED_BYTES_MIN: usize = 26;
/// Codes of outcomes.
const REWARD: u8 = 0;
const CORRECTION: u8 = 1;
const WITHDRAWAL: u8 = 2;

pub fn put_selection(out: &mut Vec<u8>, selection: &ArmSelection, base: Timestamp) {
    out.push(selection.strategy.code());
    put_f32(out, selection.epsilon);
    put_text(out, selection.decision_id.as_str());
    put_text(out, selection.set.as_str());
    put_time(out, selection.selected_at, base);
    put_varint(out, selection.watermark);
    put_varint(out, selection.seed);
    put_varint(out, selection.offered.len() as u64);
    for arm in &selection.offered {
        put_text(out, arm.name.as_str());
        put_f64(out, arm.propensity);
        put_f64(out, arm.mean);
        put_f64(out, arm.deviation);
    }
    put_varint(out, selection.chosen.into());
    put_context(out, &selection.context);
    for arm in &selection.offered {
        put_context(out, &arm.features);
    }
}

/// A context, or the features of an arm.
fn put_context(out: &mut Vec<u8>, context: &ArmContext) {
    put_floats(out, &context.numbers);
    attributes::put(out, &context.attributes);
}

fn read_context(reader: &mut Reader<'_>) -> Result<ArmContext, Fault> {
    Ok(ArmContext { numbers: reader.floats()?, attributes: attributes::read(reader)? })
}

pub fn read_selection(reader: &mut Reader<'_>, base: Timestamp) -> Result<ArmSelection, Fault> {
    let code = reader.byte()?;
    let known = ArmStrategy::ALL.len() as u64;
    let strategy = ArmStrategy::from_code(code).ok_or(Fault::TooNew {
        what: "strategy of arms",
        found: code.into(),
        known,
    })?;
    // Fields are evaluated in the order written here, which is that of the bytes.
    let mut selection = ArmSelection {
        strategy,
        epsilon: reader.f32()?,
        decision_id: reader.parsed(DecisionId::parse)?,
        set: reader.parsed(ArmSetName::parse)?,
        selected_at: reader.time(base)?,
        watermark: reader.varint()?,
        seed: reader.varint()?,
        offered: read_offered(reader)?,
        chosen: reader.u32("the index of the chosen arm")?,
        context: read_context(reader)?,
    };
    for arm in &mut selection.offered {
        arm.features = read_context(reader)?;
    }
    if (selection.chosen as usize) < selection.offered.len() {
        Ok(selection)
    } else {
        Err(Fault::damaged("the chosen arm was not offered"))
    }
}

fn read_offered(reader: &mut Reader<'_>) -> Result<Vec<OfferedArm>, Fault> {
    let count = reader.count(OFFERED_BYTES_MIN)?;
    let mut offered = Vec::with_capacity(count);
    for _ in 0..count {
        offered.push(OfferedArm {
            name: reader.parsed(ArmName::parse)?,
            features: ArmFeatures::default(),
            propensity: reader.f64()?,
            mean: reader.f64()?,
            deviation: reader.f64()?,
        });
    }
    Ok(offered)
}

pub fn put_reward(out: &mut Vec<u8>, reward: &ArmReward, base: Timestamp) {
    let (code, share) = match reward.outcome {
        ArmOutcome::Reward(reward) => (REWARD, reward),
        ArmOutcome::Correction(reward) => (CORRECTION, reward),
        ArmOutcome::Withdrawal => (WITHDRAWAL, 0.0),
    };
    out.push(code);
    put_f32(out, share);
    put_text(out, reward.event_id.as_str());
    put_text(out, reward.decision_id.as_str());
    put_time(out, reward.occurred_at, base);
}

pub fn read_reward(reader: &mut Reader<'_>, base: Timestamp) -> Result<ArmReward, Fault> {
    let (code, share) = (reader.byte()?, reader.f32()?);
    let outcome = match code {
        REWARD => ArmOutcome::Reward(share),
        CORRECTION => ArmOutcome::Correction(share),
        WITHDRAWAL => ArmOutcome::Withdrawal,
        _ => {
            let (found, known) = (code.into(), WITHDRAWAL.into());
            return Err(Fault::TooNew { what: "outcome of a selection", found, known });
        }
    };
    // Fields are evaluated in the order written here, which is that of the bytes.
    Ok(ArmReward {
        outcome,
        event_id: reader.parsed(EventId::parse)?,
        decision_id: reader.parsed(DecisionId::parse)?,
        occurred_at: reader.time(base)?,
    })
}
