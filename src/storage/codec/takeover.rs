//! Changes of a takeover, and what a decision with a baseline says.

use super::wire::Fault;
use super::wire::Reader;
use super::wire::put_f32;
use super::wire::put_f64;
use super::wire::put_floats;
use super::wire::put_varint;
use engine::domain::ListOrigin;
use engine::domain::TakeoverChange;
use engine::domain::TakeoverTrial;

const SHARE: u8 = 1;
const POPULAR_SHARE: u8 = 1 << 1;
const ALPHA: u8 = 1 << 2;
const REWARD_WINDOW: u8 = 1 << 3;
const RESTART: u8 = 1 << 4;

pub fn put_change(out: &mut Vec<u8>, change: &TakeoverChange) {
    let bit = |present: bool, bit: u8| if present { bit } else { 0 };
    out.push(
        bit(change.share.is_some(), SHARE)
            | bit(change.popular_share.is_some(), POPULAR_SHARE)
            | bit(change.alpha.is_some(), ALPHA)
            | bit(change.reward_window_seconds.is_some(), REWARD_WINDOW)
            | bit(change.restart, RESTART),
    );
    for value in [change.share, change.popular_share, change.alpha].into_iter().flatten() {
        put_f64(out, value);
    }
    if let Some(seconds) = change.reward_window_seconds {
        put_varint(out, seconds.into());
    }
}

pub fn read_change(reader: &mut Reader<'_>) -> Result<TakeoverChange, Fault> {
    let mask = reader.byte()?;
    let has = |bit: u8| mask & bit != 0;
    // Fields are evaluated in the order written here, which is that of the bytes.
    Ok(TakeoverChange {
        share: has(SHARE).then(|| reader.f64()).transpose()?,
        popular_share: has(POPULAR_SHARE).then(|| reader.f64()).transpose()?,
        alpha: has(ALPHA).then(|| reader.f64()).transpose()?,
        reward_window_seconds: has(REWARD_WINDOW)
            .then(|| reader.u32("the window of rewards"))
            .transpose()?,
        restart: has(RESTART),
    })
}

pub fn put_trial(out: &mut Vec<u8>, trial: &TakeoverTrial) {
    put_varint(out, trial.round.into());
    out.push(trial.origin.code());
    trial.chances.iter().for_each(|chance| put_f64(out, *chance));
    for count in [trial.positions, trial.same_position, trial.in_both] {
        put_varint(out, count.into());
    }
    out.push(trial.same_first.into());
    put_f32(out, trial.expected_gain);
    put_floats(out, &trial.difference);
}

pub fn read_origin(code: u8) -> Result<ListOrigin, Fault> {
    ListOrigin::from_code(code).ok_or(Fault::TooNew {
        what: "origin of a list",
        found: code.into(),
        known: ListOrigin::ALL.len() as u64,
    })
}

pub fn read_trial(reader: &mut Reader<'_>) -> Result<TakeoverTrial, Fault> {
    let round = reader.u32("the round of a takeover")?;
    let origin = read_origin(reader.byte()?)?;
    // Fields are evaluated in the order written here, which is that of the bytes.
    Ok(TakeoverTrial {
        round,
        origin,
        chances: [reader.f64()?, reader.f64()?, reader.f64()?],
        positions: reader.u32("the number of positions")?,
        same_position: reader.u32("the number of positions")?,
        in_both: reader.u32("the number of items")?,
        same_first: reader.byte()? != 0,
        expected_gain: reader.f32()?,
        difference: reader.floats()?,
    })
}
