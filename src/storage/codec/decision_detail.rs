//! How a decision came about: a mask of the optional parts, the call, then the
//! candidates, ids first, then columns: scores, and standard deviations of the expected
//! rewards, which records of earlier versions end before.
//!
//! The whole is framed by its length, so that fields to come stand behind the last one
//! and an older version passes over them.

use std::sync::Arc;

use super::attributes;
use super::item;
use super::wire::Fault;
use super::wire::Reader;
use super::wire::put_f32;
use super::wire::put_f64;
use super::wire::put_floats;
use super::wire::put_signed;
use super::wire::put_text;
use super::wire::put_texts;
use super::wire::put_time;
use super::wire::put_varint;
use engine::domain::BoostSubject;
use engine::domain::CandidateScores;
use engine::domain::CandidateSource;
use engine::domain::DecisionDetail;
use engine::domain::DiversityMethod;
use engine::domain::Item;
use engine::domain::ItemId;
use engine::domain::RecordedBoost;
use engine::domain::RecordedChoice;
use engine::domain::RecordedFilter;
use engine::domain::RecordedOccasion;
use engine::domain::RecordedPin;
use engine::domain::Timestamp;

const VARIANT: u8 = 1;
const DEVICE_TYPE: u8 = 1 << 1;
const LOCATION: u8 = 1 << 2;
const FILTER: u8 = 1 << 3;
const PINS: u8 = 1 << 4;
const BOOSTS: u8 = 1 << 5;
const SHOWN_LATELY: u8 = 1 << 6;
const ITEMS: u8 = 1 << 7;

/// Of the filter.
const PUBLISHED_AFTER: u8 = 1;
const EXPRESSION: u8 = 1 << 1;
const INCLUDE_SEEN: u8 = 1 << 2;

/// An id of one byte with its length, and a place.
const PIN_BYTES_MIN: usize = 3;
/// A subject, a name, a flag and an amount.
const BOOST_BYTES_MIN: usize = 11;
/// The length of an id and a score.
const CANDIDATE_BYTES_MIN: usize = 5;

pub fn put(out: &mut Vec<u8>, detail: &DecisionDetail, base: Timestamp) {
    out.push(mask(detail));
    put_varint(out, detail.engine_revision.into());
    put_varint(out, detail.seed);
    put_varint(out, detail.context_watermark);
    out.push(detail.source.code());
    put_choice(out, &detail.choice);
    put_signed(out, detail.occasion.utc_offset_minutes.into());
    let texts = [&detail.variant, &detail.occasion.device_type, &detail.occasion.location];
    for text in texts.into_iter().flatten() {
        put_text(out, text);
    }
    if detail.filter != RecordedFilter::default() {
        put_filter(out, &detail.filter, base);
    }
    if !detail.pins.is_empty() {
        put_varint(out, detail.pins.len() as u64);
        for pin in &detail.pins {
            put_text(out, pin.item_id.as_str());
            put_varint(out, pin.place.into());
        }
    }
    if !detail.boosts.is_empty() {
        put_varint(out, detail.boosts.len() as u64);
        for boost in &detail.boosts {
            out.extend([boost.subject.code(), u8::from(boost.multiplies)]);
            put_text(out, &boost.name);
            put_f64(out, boost.amount);
        }
    }
    if !detail.shown_lately.is_empty() {
        put_texts(out, &detail.shown_lately);
    }
    if !detail.items.is_empty() {
        put_varint(out, detail.items.len() as u64);
        for described in &detail.items {
            item::put(out, described, base);
        }
    }
    put_varint(out, detail.described.into());
    put_varint(out, detail.candidates.len() as u64);
    detail.candidates.ids().for_each(|id| put_text(out, id));
    detail.candidates.scores().iter().for_each(|score| put_f32(out, *score));
    put_floats(out, detail.candidates.deviations().unwrap_or_default());
    put_f64(out, detail.unlearnt_cost);
}

fn mask(detail: &DecisionDetail) -> u8 {
    let bit = |present: bool, bit: u8| if present { bit } else { 0 };
    bit(detail.variant.is_some(), VARIANT)
        | bit(detail.occasion.device_type.is_some(), DEVICE_TYPE)
        | bit(detail.occasion.location.is_some(), LOCATION)
        | bit(detail.filter != RecordedFilter::default(), FILTER)
        | bit(!detail.pins.is_empty(), PINS)
        | bit(!detail.boosts.is_empty(), BOOSTS)
        | bit(!detail.shown_lately.is_empty(), SHOWN_LATELY)
        | bit(!detail.items.is_empty(), ITEMS)
}

fn put_choice(out: &mut Vec<u8>, choice: &RecordedChoice) {
    out.push(match choice.method {
        DiversityMethod::None => 0,
        DiversityMethod::Mmr => 1,
        DiversityMethod::Dpp => 2,
        DiversityMethod::Calibrated => 3,
    });
    let numbers = [
        choice.epsilon,
        choice.diversity_weight,
        choice.serendipity_weight,
        choice.novelty_weight,
        choice.topic_threshold,
        choice.source_threshold,
        choice.exploration_scale,
        choice.square_cb_gamma,
        choice.propensity_floor,
    ];
    numbers.into_iter().for_each(|number| put_f64(out, number));
    let counts = [choice.max_per_topic, choice.max_per_source, choice.places];
    counts.into_iter().for_each(|count| put_varint(out, count.into()));
}

fn read_choice(reader: &mut Reader<'_>) -> Result<RecordedChoice, Fault> {
    let method = match reader.byte()? {
        0 => DiversityMethod::None,
        1 => DiversityMethod::Mmr,
        2 => DiversityMethod::Dpp,
        3 => DiversityMethod::Calibrated,
        code => return Err(too_new("diversity method", code, 3)),
    };
    // Fields are evaluated in the order written here, which is that of the bytes.
    Ok(RecordedChoice {
        method,
        epsilon: reader.f64()?,
        diversity_weight: reader.f64()?,
        serendipity_weight: reader.f64()?,
        novelty_weight: reader.f64()?,
        topic_threshold: reader.f64()?,
        source_threshold: reader.f64()?,
        exploration_scale: reader.f64()?,
        square_cb_gamma: reader.f64()?,
        propensity_floor: reader.f64()?,
        max_per_topic: reader.u32("a cap")?,
        max_per_source: reader.u32("a cap")?,
        places: reader.u32("the number of places")?,
    })
}

fn put_filter(out: &mut Vec<u8>, filter: &RecordedFilter, base: Timestamp) {
    let bit = |present: bool, bit: u8| if present { bit } else { 0 };
    out.push(
        bit(filter.published_after.is_some(), PUBLISHED_AFTER)
            | bit(filter.expression.is_some(), EXPRESSION)
            | bit(filter.include_seen, INCLUDE_SEEN),
    );
    put_texts(out, &filter.topics);
    put_texts(out, &filter.sources);
    put_texts(out, &filter.exclude);
    attributes::put(out, &filter.attributes);
    if let Some(after) = filter.published_after {
        put_time(out, after, base);
    }
    if let Some(expression) = &filter.expression {
        put_text(out, expression);
    }
    put_f32(out, filter.seen_cooldown_hours);
    put_varint(out, filter.seen_after_interactions.into());
    put_varint(out, filter.frequency_cap_per_day.into());
}

fn read_filter(reader: &mut Reader<'_>, base: Timestamp) -> Result<RecordedFilter, Fault> {
    let mask = reader.byte()?;
    let has = |bit: u8| mask & bit != 0;
    Ok(RecordedFilter {
        include_seen: has(INCLUDE_SEEN),
        topics: reader.texts()?,
        sources: reader.texts()?,
        exclude: reader.texts()?,
        attributes: attributes::read(reader)?,
        published_after: has(PUBLISHED_AFTER).then(|| reader.time(base)).transpose()?,
        expression: has(EXPRESSION).then(|| reader.text().map(Box::from)).transpose()?,
        seen_cooldown_hours: reader.f32()?,
        seen_after_interactions: reader.u32("a number of interactions")?,
        frequency_cap_per_day: reader.u32("a cap")?,
    })
}

pub fn read(reader: &mut Reader<'_>, base: Timestamp) -> Result<DecisionDetail, Fault> {
    let mask = reader.byte()?;
    let has = |bit: u8| mask & bit != 0;
    let engine_revision = reader.u32("an engine revision")?;
    let seed = reader.varint()?;
    let context_watermark = reader.varint()?;
    let code = reader.byte()?;
    let source =
        CandidateSource::from_code(code).ok_or_else(|| too_new("source of candidates", code, 3))?;
    let choice = read_choice(reader)?;
    let utc_offset_minutes = reader.i32("a UTC offset")?;
    let variant = has(VARIANT).then(|| reader.text().map(Box::from)).transpose()?;
    let occasion = RecordedOccasion {
        utc_offset_minutes,
        device_type: has(DEVICE_TYPE).then(|| reader.text().map(Box::from)).transpose()?,
        location: has(LOCATION).then(|| reader.text().map(Box::from)).transpose()?,
    };
    Ok(DecisionDetail {
        engine_revision,
        seed,
        variant,
        occasion,
        context_watermark,
        source,
        choice,
        filter: if has(FILTER) { read_filter(reader, base)? } else { RecordedFilter::default() },
        pins: if has(PINS) { read_pins(reader)? } else { Vec::new() },
        boosts: if has(BOOSTS) { read_boosts(reader)? } else { Vec::new() },
        shown_lately: if has(SHOWN_LATELY) { reader.texts()? } else { Vec::new() },
        items: if has(ITEMS) { read_items(reader, base)? } else { Vec::new() },
        described: reader.u32("a number of candidates")?,
        candidates: read_candidates(reader)?,
        unlearnt_cost: if reader.is_empty() { 0.0 } else { reader.f64()? },
    })
}

fn read_pins(reader: &mut Reader<'_>) -> Result<Vec<RecordedPin>, Fault> {
    let pin = |reader: &mut Reader<'_>| {
        let item_id = reader.parsed(ItemId::parse)?;
        Ok(RecordedPin { item_id, place: reader.u32("a place")? })
    };
    (0..reader.count(PIN_BYTES_MIN)?).map(|_| pin(reader)).collect()
}

fn read_boosts(reader: &mut Reader<'_>) -> Result<Vec<RecordedBoost>, Fault> {
    let boost = |reader: &mut Reader<'_>| {
        let code = reader.byte()?;
        let subject =
            BoostSubject::from_code(code).ok_or_else(|| too_new("subject of a boost", code, 4))?;
        Ok(RecordedBoost {
            subject,
            multiplies: reader.byte()? != 0,
            name: Box::from(reader.text()?),
            amount: reader.f64()?,
        })
    };
    (0..reader.count(BOOST_BYTES_MIN)?).map(|_| boost(reader)).collect()
}

fn read_items(reader: &mut Reader<'_>, base: Timestamp) -> Result<Vec<Arc<Item>>, Fault> {
    (0..reader.count(2)?).map(|_| item::read(reader, base).map(Arc::new)).collect()
}

/// Ids are not checked again: only texts that are compared with come of them.
fn read_candidates(reader: &mut Reader<'_>) -> Result<CandidateScores, Fault> {
    let count = reader.count(CANDIDATE_BYTES_MIN)?;
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        ids.push(reader.text()?);
    }
    let bytes = ids.iter().map(|id| id.len()).sum::<usize>();
    let mut candidates = CandidateScores::with_capacity(count, bytes.div_ceil(count.max(1)));
    for id in ids {
        candidates.push(id, reader.f32()?);
    }
    let deviations = if reader.is_empty() { Vec::new() } else { reader.floats()? };
    if deviations.is_empty() {
        return Ok(candidates);
    }
    let not_as_many = || Fault::damaged("not as many standard deviations as candidates");
    candidates.with_deviations(deviations).ok_or_else(not_as_many)
}

fn too_new(what: &'static str, found: u8, known: u64) -> Fault {
    Fault::TooNew { what, found: found.into(), known }
}
