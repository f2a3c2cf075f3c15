//! Selections of arms and their rewards.
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
use engine::domain::ArmName;
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
    put_floats(out, &selection.context.numbers);
    attributes::put(out, &selection.context.attributes);
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
    let selection = ArmSelection {
        strategy,
        epsilon: reader.f32()?,
        decision_id: reader.parsed(DecisionId::parse)?,
        set: reader.parsed(ArmSetName::parse)?,
        selected_at: reader.time(base)?,
        watermark: reader.varint()?,
        seed: reader.varint()?,
        offered: read_offered(reader)?,
        chosen: reader.u32("the index of the chosen arm")?,
        context: ArmContext { numbers: reader.floats()?, attributes: attributes::read(reader)? },
    };
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
            propensity: reader.f64()?,
            mean: reader.f64()?,
            deviation: reader.f64()?,
        });
    }
    Ok(offered)
}

pub fn put_reward(out: &mut Vec<u8>, reward: &ArmReward, base: Timestamp) {
    out.push(u8::from(reward.corrects));
    put_text(out, reward.event_id.as_str());
    put_text(out, reward.decision_id.as_str());
    put_f32(out, reward.reward);
    put_time(out, reward.occurred_at, base);
}

pub fn read_reward(reader: &mut Reader<'_>, base: Timestamp) -> Result<ArmReward, Fault> {
    // Fields are evaluated in the order written here, which is that of the bytes.
    Ok(ArmReward {
        corrects: reader.byte()? != 0,
        event_id: reader.parsed(EventId::parse)?,
        decision_id: reader.parsed(DecisionId::parse)?,
        reward: reader.f32()?,
        occurred_at: reader.time(base)?,
    })
}
