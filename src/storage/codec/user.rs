//! Changes of users: the user's id, what is set and removed of the attributes, then each list of rules
//! with what is added to it and removed from it.
//!
//! A list that nothing changes takes three bytes.

use super::attributes;
use super::wire::Fault;
use super::wire::Reader;
use super::wire::put_f64;
use super::wire::put_text;
use super::wire::put_texts;
use super::wire::put_time;
use super::wire::put_varint;
use engine::domain::AttributesChange;
use engine::domain::ListChange;
use engine::domain::Mute;
use engine::domain::RuleTarget;
use engine::domain::RulesChange;
use engine::domain::ScoreChange;
use engine::domain::Timestamp;
use engine::domain::UserBoost;
use engine::domain::UserId;
use engine::domain::UserUpdate;

const ITEM: u8 = 1;
const TOPIC: u8 = 2;
const SOURCE: u8 = 3;

const ADD: u8 = 1;
const MULTIPLY: u8 = 2;

/// Whether a user is profiled: as before, profiled, not profiled.
const UNCHANGED: u8 = 0;
const PROFILED: u8 = 1;
const NON_PROFILED: u8 = 2;

pub fn put(out: &mut Vec<u8>, update: &UserUpdate, base: Timestamp) {
    let UserUpdate { user_id, attributes, rules } = update;
    put_text(out, user_id.as_str());
    out.push(attributes.replaces.into());
    attributes::put(out, &attributes.set);
    put_texts(out, &attributes.remove);
    let RulesChange { blocked_items, blocked_sources, blocked_topics, mutes, boosts, non_profiled } =
        rules;
    for names in [blocked_items, blocked_sources, blocked_topics] {
        put_list(out, names, |out, name| put_text(out, name), |out, name| put_text(out, name));
    }
    let put_mute = |out: &mut Vec<u8>, mute: &Mute| {
        put_target(out, &mute.target);
        put_until(out, mute.until, base);
    };
    put_list(out, mutes, put_mute, put_target);
    let put_boost = |out: &mut Vec<u8>, boost: &UserBoost| {
        put_target(out, &boost.target);
        let (code, value) = match boost.change {
            ScoreChange::Add(addend) => (ADD, addend),
            ScoreChange::Multiply(factor) => (MULTIPLY, factor),
        };
        out.push(code);
        put_f64(out, value);
        put_until(out, boost.until, base);
    };
    put_list(out, boosts, put_boost, put_target);
    out.push(match non_profiled {
        None => UNCHANGED,
        Some(false) => PROFILED,
        Some(true) => NON_PROFILED,
    });
}

fn put_list<T, K>(
    out: &mut Vec<u8>,
    change: &ListChange<T, K>,
    put_entry: impl Fn(&mut Vec<u8>, &T),
    put_key: impl Fn(&mut Vec<u8>, &K),
) {
    out.push(change.replaces.into());
    put_varint(out, change.add.len() as u64);
    change.add.iter().for_each(|entry| put_entry(out, entry));
    put_varint(out, change.remove.len() as u64);
    change.remove.iter().for_each(|key| put_key(out, key));
}

fn put_target(out: &mut Vec<u8>, target: &RuleTarget) {
    out.push(match target {
        RuleTarget::Item(_) => ITEM,
        RuleTarget::Topic(_) => TOPIC,
        RuleTarget::Source(_) => SOURCE,
    });
    put_text(out, target.name());
}

fn put_until(out: &mut Vec<u8>, until: Option<Timestamp>, base: Timestamp) {
    out.push(until.is_some().into());
    until.into_iter().for_each(|until| put_time(out, until, base));
}

pub fn read(reader: &mut Reader<'_>, base: Timestamp) -> Result<UserUpdate, Fault> {
    let name = |reader: &mut Reader<'_>| reader.text().map(Box::from);
    let mute = |reader: &mut Reader<'_>| {
        Ok(Mute { target: read_target(reader)?, until: read_until(reader, base)? })
    };
    let boost = |reader: &mut Reader<'_>| {
        // Fields are evaluated in the order written here, which is that of the bytes.
        Ok(UserBoost {
            target: read_target(reader)?,
            change: read_change(reader)?,
            until: read_until(reader, base)?,
        })
    };
    // The same here.
    Ok(UserUpdate {
        user_id: reader.parsed(UserId::parse)?,
        attributes: AttributesChange {
            replaces: reader.byte()? != 0,
            set: attributes::read(reader)?,
            remove: reader.texts()?,
        },
        rules: RulesChange {
            blocked_items: read_list(reader, name, name)?,
            blocked_sources: read_list(reader, name, name)?,
            blocked_topics: read_list(reader, name, name)?,
            mutes: read_list(reader, mute, read_target)?,
            boosts: read_list(reader, boost, read_target)?,
            non_profiled: match reader.byte()? {
                UNCHANGED => None,
                PROFILED => Some(false),
                NON_PROFILED => Some(true),
                code => return Err(too_new("whether a user is profiled", code, NON_PROFILED)),
            },
        },
    })
}

fn read_list<T, K>(
    reader: &mut Reader<'_>,
    entry: impl Fn(&mut Reader<'_>) -> Result<T, Fault>,
    key: impl Fn(&mut Reader<'_>) -> Result<K, Fault>,
) -> Result<ListChange<T, K>, Fault> {
    let replaces = reader.byte()? != 0;
    let add = (0..reader.count(1)?).map(|_| entry(reader)).collect::<Result<_, _>>()?;
    let remove = (0..reader.count(1)?).map(|_| key(reader)).collect::<Result<_, _>>()?;
    Ok(ListChange { replaces, add, remove })
}

fn read_target(reader: &mut Reader<'_>) -> Result<RuleTarget, Fault> {
    let code = reader.byte()?;
    let name = reader.text()?.into();
    match code {
        ITEM => Ok(RuleTarget::Item(name)),
        TOPIC => Ok(RuleTarget::Topic(name)),
        SOURCE => Ok(RuleTarget::Source(name)),
        code => Err(too_new("target of a user's rule", code, SOURCE)),
    }
}

fn read_change(reader: &mut Reader<'_>) -> Result<ScoreChange, Fault> {
    let code = reader.byte()?;
    let value = reader.f64()?;
    match code {
        _ if !value.is_finite() => Err(Fault::damaged("a user's boost is not finite")),
        ADD => Ok(ScoreChange::Add(value)),
        MULTIPLY => Ok(ScoreChange::Multiply(value)),
        code => Err(too_new("change of a user's boost", code, MULTIPLY)),
    }
}

fn read_until(reader: &mut Reader<'_>, base: Timestamp) -> Result<Option<Timestamp>, Fault> {
    (reader.byte()? != 0).then(|| reader.time(base)).transpose()
}

fn too_new(what: &'static str, code: u8, known: u8) -> Fault {
    Fault::TooNew { what, found: code.into(), known: known.into() }
}
