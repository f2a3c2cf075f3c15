//! The encoding of log records, shared by all backends.
//!
//! A payload is a format byte, the base time, and for each record its kind, the
//! length of its body and the body.
//!
//! - Decoding never panics and never allocates more than a small multiple of the
//!   input's length, whatever the bytes.
//! - A record is read whole or not at all. A kind, a type or a format that this version
//!   does not know is `TooNew`, and so is a body with bytes behind the last known field:
//!   who passed over them would learn something else than who wrote them.
//! - Times are stored as distances from the base time, the `recorded_at` of the
//!   batch, which is near most of them.
//! - Ids and attributes are checked again when read. Other bounds are not: they
//!   may change, and what was accepted once must stay readable.

mod arms;
mod attributes;
mod decision;
mod decision_detail;
mod experiment;
mod interaction;
mod item;
mod takeover;
#[cfg(test)]
mod tests;
mod user;
mod wire;

use std::sync::Arc;

pub use wire::Fault;
use wire::Reader;
use wire::put_framed;
use wire::put_text;
use wire::put_time;
use wire::put_varint;

use engine::domain::ItemId;
use engine::domain::LogRecord;
use engine::domain::PublishedModel;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::SettingsChange;
use engine::domain::Timestamp;
use engine::domain::UserId;

const FORMAT: u8 = 1;

const INTERACTION: u8 = 1;
const DECISION: u8 = 2;
const ITEM_UPSERTED: u8 = 3;
const ITEM_DELETED: u8 = 4;
const USER_UPDATED: u8 = 5;
const SETTINGS_SET: u8 = 6;
const MODEL_PUBLISHED: u8 = 7;
const ARM_SELECTED: u8 = 8;
const ARM_REWARDED: u8 = 9;
const TAKEOVER_CHANGED: u8 = 10;
const USERS_MERGED: u8 = 11;
const ITEM_PATCHED: u8 = 12;
const EXPERIMENT_CHANGED: u8 = 13;
const USER_EXPOSED: u8 = 14;
const BACKFILLED: u8 = 15;
const USER_ERASED: u8 = 16;
const PLACEHOLDER: u8 = 17;
/// The newest kind.
const LAST_KIND: u8 = PLACEHOLDER;

/// Begins a payload in `out`, which is emptied.
pub fn begin(out: &mut Vec<u8>, base: Timestamp) {
    out.clear();
    out.push(FORMAT);
    put_time(out, base, Timestamp::default());
}

/// Adds a record to a payload begun with the same base time.
pub fn put(out: &mut Vec<u8>, record: &Record, base: Timestamp) {
    out.push(kind(record));
    put_framed(out, |out| put_body(out, record, base));
}

fn kind(record: &Record) -> u8 {
    match record {
        Record::Interaction(_) => INTERACTION,
        Record::Decision(_) => DECISION,
        Record::ItemUpserted(_) => ITEM_UPSERTED,
        Record::ItemPatched(_) => ITEM_PATCHED,
        Record::ItemDeleted(_) => ITEM_DELETED,
        Record::UserUpdated(_) => USER_UPDATED,
        Record::SettingsSet(_) => SETTINGS_SET,
        Record::ModelPublished(_) => MODEL_PUBLISHED,
        Record::ArmSelected(_) => ARM_SELECTED,
        Record::ArmRewarded(_) => ARM_REWARDED,
        Record::TakeoverChanged(_) => TAKEOVER_CHANGED,
        Record::UsersMerged { .. } => USERS_MERGED,
        Record::ExperimentChanged(_) => EXPERIMENT_CHANGED,
        Record::UserExposed(_) => USER_EXPOSED,
        Record::Backfilled(_) => BACKFILLED,
        Record::UserErased(_) => USER_ERASED,
        Record::Placeholder => PLACEHOLDER,
    }
}

fn put_body(out: &mut Vec<u8>, record: &Record, base: Timestamp) {
    match record {
        Record::Interaction(interaction) => interaction::put(out, interaction, base),
        Record::Decision(decision) => decision::put(out, decision, base),
        Record::ItemUpserted(item) => item::put(out, item, base),
        Record::ItemPatched(patch) => item::put_patch(out, patch, base),
        Record::ItemDeleted(item_id) => put_text(out, item_id.as_str()),
        Record::UserUpdated(update) => user::put(out, update, base),
        Record::SettingsSet(SettingsChange { settings, replaces }) => {
            put_varint(out, *replaces);
            serde_json::to_writer(out, settings).expect("settings have text keys only");
        }
        Record::ModelPublished(model) => {
            put_varint(out, model.version);
            put_varint(out, model.trained_at);
            put_varint(out, model.encoded.len() as u64);
            out.extend_from_slice(&model.encoded);
        }
        Record::ArmSelected(selection) => arms::put_selection(out, selection, base),
        Record::ArmRewarded(reward) => arms::put_reward(out, reward, base),
        Record::TakeoverChanged(change) => takeover::put_change(out, change),
        Record::UsersMerged { from, into } => {
            put_text(out, from.as_str());
            put_text(out, into.as_str());
        }
        Record::ExperimentChanged(change) => experiment::put_change(out, change),
        Record::UserExposed(exposure) => experiment::put_exposure(out, exposure, base),
        Record::Backfilled(chunk) => experiment::put_chunk(out, chunk),
        Record::UserErased(user_id) => put_text(out, user_id.as_str()),
        Record::Placeholder => {}
    }
}

/// Decodes the `count` records of a payload onto `records`, numbered from
/// `first`.
///
/// # Errors
/// The reason; `records` may then hold some of the records.
pub fn read(
    payload: &[u8],
    first: Sequence,
    count: u32,
    recorded_at: Timestamp,
    records: &mut Vec<LogRecord>,
) -> Result<(), Fault> {
    let mut reader = Reader::new(payload);
    let format = reader.byte()?;
    if format == 0 {
        return Err(Fault::damaged("it has no format"));
    }
    if format != FORMAT {
        let (found, known) = (format.into(), FORMAT.into());
        return Err(Fault::TooNew { what: "log batch format", found, known });
    }
    let base = reader.time(Timestamp::default())?;
    for index in 0..u64::from(count) {
        let sequence =
            first.checked_add(index).ok_or_else(|| Fault::damaged("a sequence is too large"))?;
        let record = read_record(&mut reader, base)?;
        records.push(LogRecord { sequence, recorded_at, record });
    }
    if reader.is_empty() { Ok(()) } else { Err(Fault::damaged("it holds too many records")) }
}

fn read_record(reader: &mut Reader<'_>, base: Timestamp) -> Result<Record, Fault> {
    let kind = reader.byte()?;
    let length = reader.count(1)?;
    let mut body = Reader::new(reader.bytes(length)?);
    let record = read_body(kind, &mut body, base)?;
    if body.is_empty() {
        return Ok(record);
    }
    let (found, known) = (length as u64, (length - body.remainder().len()) as u64);
    Err(Fault::TooNew { what: "length of a log record", found, known })
}

fn read_body(kind: u8, body: &mut Reader<'_>, base: Timestamp) -> Result<Record, Fault> {
    match kind {
        INTERACTION => interaction::read(body, base).map(Record::Interaction),
        DECISION => decision::read(body, base).map(Record::Decision),
        ITEM_UPSERTED => item::read(body, base).map(Record::ItemUpserted),
        ITEM_PATCHED => item::read_patch(body, base).map(Record::ItemPatched),
        ITEM_DELETED => body.parsed(ItemId::parse).map(Record::ItemDeleted),
        USER_UPDATED => user::read(body, base).map(Record::UserUpdated),
        SETTINGS_SET => {
            let replaces = body.varint()?;
            let settings = serde_json::from_slice(body.remainder());
            let settings =
                settings.map_err(|error| Fault::Damaged(format!("settings: {error}")))?;
            Ok(Record::SettingsSet(SettingsChange { settings, replaces }))
        }
        MODEL_PUBLISHED => {
            let version = body.varint()?;
            let trained_at = body.varint()?;
            let length = body.count(1)?;
            let encoded = Arc::from(body.bytes(length)?);
            Ok(Record::ModelPublished(PublishedModel { version, trained_at, encoded }))
        }
        ARM_SELECTED => arms::read_selection(body, base).map(Record::ArmSelected),
        ARM_REWARDED => arms::read_reward(body, base).map(Record::ArmRewarded),
        TAKEOVER_CHANGED => takeover::read_change(body).map(Record::TakeoverChanged),
        USERS_MERGED => {
            let from = body.parsed(UserId::parse)?;
            let into = body.parsed(UserId::parse)?;
            Ok(Record::UsersMerged { from, into })
        }
        EXPERIMENT_CHANGED => {
            experiment::read_change(body).map(Box::new).map(Record::ExperimentChanged)
        }
        USER_EXPOSED => experiment::read_exposure(body, base).map(Record::UserExposed),
        BACKFILLED => experiment::read_chunk(body).map(Record::Backfilled),
        USER_ERASED => body.parsed(UserId::parse).map(Record::UserErased),
        PLACEHOLDER => Ok(Record::Placeholder),
        0 => Err(Fault::damaged("a record has no kind")),
        newer => {
            let (found, known) = (newer.into(), LAST_KIND.into());
            Err(Fault::TooNew { what: "log record kind", found, known })
        }
    }
}
