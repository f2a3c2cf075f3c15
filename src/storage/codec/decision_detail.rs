//! How a decision came about: the request as the bytes it is, its context, then the
//! candidates in columns: the lengths of their ids, the ids, scores, standard deviations of
//! the expected rewards.

use super::wire::Fault;
use super::wire::Reader;
use super::wire::put_bytes;
use super::wire::put_column;
use super::wire::put_f64;
use super::wire::put_keys;
use super::wire::put_text;
use super::wire::put_texts;
use super::wire::put_varint;
use engine::domain::CandidateScores;
use engine::domain::DecisionDetail;

const REMEMBERED: u8 = 1;
const VARIANT: u8 = 1 << 1;

/// The length of an id, a byte of it, a score and a deviation.
const CANDIDATE_BYTES_MIN: usize = 10;

pub fn put(out: &mut Vec<u8>, detail: &DecisionDetail) {
    let bit = |present: bool, bit: u8| if present { bit } else { 0 };
    out.push(bit(detail.remembered, REMEMBERED) | bit(detail.variant.is_some(), VARIANT));
    put_varint(out, detail.engine_revision.into());
    put_varint(out, detail.seed);
    put_bytes(out, &detail.request);
    put_varint(out, detail.undescribed.into());
    if let Some(variant) = &detail.variant {
        put_text(out, variant);
    }
    put_varint(out, detail.context_watermark);
    put_texts(out, &detail.shown_lately);
    put_keys(out, &detail.earlier);
    put_keys(out, &detail.earlier_pinned);
    put_f64(out, detail.unlearnt_cost);
    put_f64(out, detail.width);
    put_candidates(out, &detail.candidates);
}

fn put_candidates(out: &mut Vec<u8>, candidates: &CandidateScores) {
    put_varint(out, candidates.len() as u64);
    candidates.ids().for_each(|id| put_varint(out, id.len() as u64));
    out.extend_from_slice(candidates.joined_ids().as_bytes());
    put_column(out, candidates.scores());
    put_column(out, candidates.deviations());
}

pub fn read(reader: &mut Reader<'_>) -> Result<DecisionDetail, Fault> {
    let flags = reader.byte()?;
    // Fields are evaluated in the order written here, which is that of the bytes.
    Ok(DecisionDetail {
        remembered: flags & REMEMBERED != 0,
        engine_revision: reader.u32("an engine revision")?,
        seed: reader.varint()?,
        request: reader.framed()?.to_vec(),
        undescribed: reader.u32("a number of items")?,
        variant: match flags & VARIANT {
            0 => None,
            _ => Some(reader.text()?.into()),
        },
        context_watermark: reader.varint()?,
        shown_lately: reader.texts()?,
        earlier: reader.keys()?,
        earlier_pinned: reader.keys()?,
        unlearnt_cost: reader.f64()?,
        width: reader.f64()?,
        candidates: read_candidates(reader)?,
    })
}

/// Ids are not checked again: only texts that are compared with come of them.
fn read_candidates(reader: &mut Reader<'_>) -> Result<CandidateScores, Fault> {
    let count = reader.count(CANDIDATE_BYTES_MIN)?;
    let mut ends = Vec::with_capacity(count);
    let mut end = 0_u32;
    for _ in 0..count {
        let length = reader.u32("the length of an id")?;
        end = end.checked_add(length).ok_or_else(|| Fault::damaged("ids are too long"))?;
        ends.push(end);
    }
    let ids = reader.text_of(end as usize)?.to_owned();
    let (scores, deviations) = (reader.column(count)?, reader.column(count)?);
    let candidates = CandidateScores::from_columns(ids, ends, scores, deviations);
    candidates.ok_or_else(|| Fault::damaged("an id ends inside of a character"))
}
