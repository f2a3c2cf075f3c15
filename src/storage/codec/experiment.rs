//! Changes of experiments, exposures, backfills, the variants that acted on a decision, and how they
//! divided its list.
//!
//! An experiment is JSON, as settings are: it is rare and has many fields.

use super::wire::Fault;
use super::wire::Reader;
use super::wire::put_floats;
use super::wire::put_text;
use super::wire::put_time;
use super::wire::put_varint;
use engine::domain::Assignment;
use engine::domain::BackfillChunk;
use engine::domain::Division;
use engine::domain::ExperimentChange;
use engine::domain::Exposure;
use engine::domain::Timestamp;
use engine::domain::UserId;

/// An experiment of one byte, a variant, flags.
const ASSIGNMENT_BYTES_MIN: usize = 3;

/// Kinds of a division.
const IN_TURNS: u8 = 1;
const DRAWN: u8 = 2;
/// In the place of a variant where no variant chose a position.
const NOT_CHOSEN: u8 = u8::MAX;

const TESTER: u8 = 1;
const OWN_RANKER: u8 = 1 << 1;

pub fn put_change(out: &mut Vec<u8>, change: &ExperimentChange) {
    put_varint(out, change.replaces);
    put_text(out, &change.by);
    put_text(out, &change.what);
    serde_json::to_writer(out, &change.experiment).expect("experiments have text keys only");
}

pub fn read_change(reader: &mut Reader<'_>) -> Result<ExperimentChange, Fault> {
    let replaces = reader.varint()?;
    let (by, what) = (reader.text()?.into(), reader.text()?.into());
    let experiment = serde_json::from_slice(reader.remainder());
    let experiment =
        experiment.map_err(|error| Fault::Damaged(format!("an experiment: {error}")))?;
    Ok(ExperimentChange { experiment, replaces, by, what })
}

pub fn put_exposure(out: &mut Vec<u8>, exposure: &Exposure, base: Timestamp) {
    put_text(out, exposure.user_id.as_str());
    put_time(out, exposure.exposed_at, base);
    out.push(exposure.segment);
    put_assignments(out, &exposure.assignments);
}

pub fn read_exposure(reader: &mut Reader<'_>, base: Timestamp) -> Result<Exposure, Fault> {
    // Fields are evaluated in the order written here, which is that of the bytes.
    Ok(Exposure {
        user_id: reader.parsed(UserId::parse)?,
        exposed_at: reader.time(base)?,
        segment: reader.byte()?,
        assignments: read_assignments(reader)?,
    })
}

pub fn put_chunk(out: &mut Vec<u8>, chunk: &BackfillChunk) {
    put_varint(out, chunk.experiment.into());
    put_varint(out, chunk.since);
    put_varint(out, chunk.column.into());
    put_varint(out, chunk.first_row.into());
    put_floats(out, &chunk.values);
}

pub fn read_chunk(reader: &mut Reader<'_>) -> Result<BackfillChunk, Fault> {
    // Fields are evaluated in the order written here, which is that of the bytes.
    Ok(BackfillChunk {
        experiment: reader.u32("the number of an experiment")?,
        since: reader.varint()?,
        column: reader.u32("the number of a column")?,
        first_row: reader.u32("the number of a unit")?,
        values: reader.floats()?,
    })
}

pub fn put_assignments(out: &mut Vec<u8>, assignments: &[Assignment]) {
    put_varint(out, assignments.len() as u64);
    for assignment in assignments {
        put_varint(out, assignment.experiment.into());
        out.push(assignment.variant);
        let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        out.push(bit(assignment.is_tester, TESTER) | bit(assignment.own_ranker, OWN_RANKER));
    }
}

pub fn read_assignments(reader: &mut Reader<'_>) -> Result<Vec<Assignment>, Fault> {
    let count = reader.count(ASSIGNMENT_BYTES_MIN)?;
    let mut assignments = Vec::with_capacity(count);
    for _ in 0..count {
        let experiment = reader.u32("the number of an experiment")?;
        let (variant, flags) = (reader.byte()?, reader.byte()?);
        let (is_tester, own_ranker) = (flags & TESTER != 0, flags & OWN_RANKER != 0);
        assignments.push(Assignment { experiment, variant, is_tester, own_ranker });
    }
    Ok(assignments)
}

pub fn put_division(out: &mut Vec<u8>, division: &Division) {
    match division {
        Division::InTurns { experiment, chosen_by } => {
            out.push(IN_TURNS);
            put_varint(out, (*experiment).into());
            put_varint(out, chosen_by.len() as u64);
            out.extend(chosen_by.iter().map(|by| by.unwrap_or(NOT_CHOSEN)));
        }
        Division::Drawn { experiment, variant, chances } => {
            out.push(DRAWN);
            put_varint(out, (*experiment).into());
            out.push(*variant);
            put_floats(out, chances);
        }
    }
}

pub fn read_division(reader: &mut Reader<'_>) -> Result<Division, Fault> {
    let kind = reader.byte()?;
    let experiment = reader.u32("the number of an experiment")?;
    match kind {
        IN_TURNS => {
            let count = reader.count(1)?;
            let by = |code: u8| (code != NOT_CHOSEN).then_some(code);
            let chosen_by: Result<_, Fault> = (0..count).map(|_| reader.byte().map(by)).collect();
            Ok(Division::InTurns { experiment, chosen_by: chosen_by? })
        }
        DRAWN => {
            Ok(Division::Drawn { experiment, variant: reader.byte()?, chances: reader.floats()? })
        }
        _ => Err(Fault::TooNew { what: "division", found: kind.into(), known: u64::from(DRAWN) }),
    }
}
