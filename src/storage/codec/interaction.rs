//! An interaction: type, mask of the optional fields, three ids, time, then the
//! optional fields in the order of their bits.

use super::attributes;
use super::wire::Fault;
use super::wire::Reader;
use super::wire::put_f32;
use super::wire::put_signed;
use super::wire::put_text;
use super::wire::put_texts;
use super::wire::put_time;
use super::wire::put_varint;
use engine::domain::Attributes;
use engine::domain::DecisionId;
use engine::domain::EventId;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::InteractionType;
use engine::domain::ItemId;
use engine::domain::SessionId;
use engine::domain::Timestamp;
use engine::domain::UserId;

/// Those that most interactions have come first: their mask takes one byte.
const VALUE: u32 = 1;
const SESSION: u32 = 1 << 1;
const DECISION: u32 = 1 << 2;
const POSITION: u32 = 1 << 3;
const TOPICS: u32 = 1 << 4;
const SOURCE: u32 = 1 << 5;
const DEVICE_TYPE: u32 = 1 << 6;
const ATTRIBUTES: u32 = 1 << 7;
const LOCATION: u32 = 1 << 8;
const UTC_OFFSET: u32 = 1 << 9;
const ALL: u32 = (1 << 10) - 1;

pub fn put(out: &mut Vec<u8>, interaction: &Interaction, base: Timestamp) {
    out.push(interaction.kind.code());
    put_varint(out, mask(interaction).into());
    put_text(out, interaction.event_id.as_str());
    put_text(out, interaction.user_id.as_str());
    put_text(out, interaction.item_id.as_str());
    put_time(out, interaction.occurred_at, base);
    if let Some(value) = interaction.value {
        put_f32(out, value);
    }
    if let Some(session_id) = &interaction.session_id {
        put_text(out, session_id.as_str());
    }
    if let Some(decision_id) = &interaction.decision_id {
        put_text(out, decision_id.as_str());
    }
    if let Some(position) = interaction.position {
        put_varint(out, position.into());
    }
    let context = &interaction.context;
    if !context.topics.is_empty() {
        put_texts(out, &context.topics);
    }
    if let Some(source) = &context.source {
        put_text(out, source);
    }
    if let Some(device_type) = &context.device_type {
        put_text(out, device_type);
    }
    if !context.attributes.is_empty() {
        attributes::put(out, &context.attributes);
    }
    if let Some(location) = &context.location {
        put_text(out, location);
    }
    if let Some(minutes) = context.utc_offset_minutes {
        put_signed(out, minutes.into());
    }
}

fn mask(interaction: &Interaction) -> u32 {
    let bit = |present: bool, bit: u32| if present { bit } else { 0 };
    let context = &interaction.context;
    bit(interaction.value.is_some(), VALUE)
        | bit(interaction.session_id.is_some(), SESSION)
        | bit(interaction.decision_id.is_some(), DECISION)
        | bit(interaction.position.is_some(), POSITION)
        | bit(!context.topics.is_empty(), TOPICS)
        | bit(context.source.is_some(), SOURCE)
        | bit(context.device_type.is_some(), DEVICE_TYPE)
        | bit(!context.attributes.is_empty(), ATTRIBUTES)
        | bit(context.location.is_some(), LOCATION)
        | bit(context.utc_offset_minutes.is_some(), UTC_OFFSET)
}

pub fn read(reader: &mut Reader<'_>, base: Timestamp) -> Result<Interaction, Fault> {
    let code = reader.byte()?;
    let kind = InteractionType::from_code(code).ok_or(Fault::TooNew {
        what: "interaction type",
        found: code.into(),
        known: InteractionType::ALL.len() as u64,
    })?;
    let mask = reader.u32("a mask of fields")?;
    if mask & !ALL != 0 {
        let (found, known) = (mask.into(), ALL.into());
        return Err(Fault::TooNew { what: "fields of an interaction", found, known });
    }
    let has = |bit: u32| mask & bit != 0;
    // Fields are evaluated in the order written here, which is that of the bytes.
    Ok(Interaction {
        kind,
        event_id: reader.parsed(EventId::parse)?,
        user_id: reader.parsed(UserId::parse)?,
        item_id: reader.parsed(ItemId::parse)?,
        occurred_at: reader.time(base)?,
        value: has(VALUE).then(|| reader.f32()).transpose()?,
        session_id: has(SESSION).then(|| reader.parsed(SessionId::parse)).transpose()?,
        decision_id: has(DECISION).then(|| reader.parsed(DecisionId::parse)).transpose()?,
        position: has(POSITION).then(|| reader.u32("a position")).transpose()?,
        context: InteractionContext {
            topics: if has(TOPICS) { reader.texts()? } else { Vec::new() },
            source: has(SOURCE).then(|| reader.text().map(Box::from)).transpose()?,
            device_type: has(DEVICE_TYPE).then(|| reader.text().map(Box::from)).transpose()?,
            attributes: if has(ATTRIBUTES) {
                attributes::read(reader)?
            } else {
                Attributes::default()
            },
            location: has(LOCATION).then(|| reader.text().map(Box::from)).transpose()?,
            utc_offset_minutes: has(UTC_OFFSET).then(|| reader.i32("a UTC offset")).transpose()?,
        },
    })
}
