//! UpdateUser: what a request changes for a user; and what is set for one, as a message.

use std::collections::BTreeSet;

use prost_types::FieldMask;

use super::attributes::attributes;
use super::attributes::attributes_message;
use super::attributes::is_attribute_name;
use super::mask::named_by;
use super::scalars::each_message;
use super::scalars::label;
use super::scalars::listed_id;
use super::scalars::merge;
use super::scalars::timestamp;
use super::scalars::timestamp_message;
use super::scalars::within;
use crate::proto;
use engine::domain::Attributes;
use engine::domain::AttributesChange;
use engine::domain::ListChange;
use engine::domain::Mute;
use engine::domain::Rule;
use engine::domain::RuleTarget;
use engine::domain::RulesChange;
use engine::domain::ScoreChange;
use engine::domain::Timestamp;
use engine::domain::UserBoost;
use engine::domain::UserId;
use engine::domain::UserRules;
use engine::domain::UserUpdate;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;

const LISTS: [&str; 5] =
    ["blocked_item_ids", "blocked_sources", "blocked_topics", "mutes", "boosts"];

/// The fields of a user that a request replaces.
#[derive(Debug, Clone, Default, PartialEq)]
struct Replaced {
    attributes: bool,
    /// Single attributes by name.
    named_attributes: BTreeSet<String>,
    /// In the order of [`LISTS`].
    lists: [bool; LISTS.len()],
    non_profiled: bool,
}

impl Replaced {
    /// What a path names.
    fn by(path: &str) -> Option<Self> {
        let (nothing, all) = (Self::default(), [true; LISTS.len()]);
        match path {
            "*" => Some(Self { attributes: true, lists: all, non_profiled: true, ..nothing }),
            "attributes" => Some(Self { attributes: true, ..nothing }),
            "rules" => Some(Self { lists: all, ..nothing }),
            "non_profiled" => Some(Self { non_profiled: true, ..nothing }),
            _ => match path.split_once('.')? {
                ("attributes", name) if is_attribute_name(name) => {
                    Some(Self { named_attributes: [name.to_owned()].into(), ..nothing })
                }
                ("rules", name) if LISTS.contains(&name) => {
                    Some(Self { lists: LISTS.map(|list| list == name), ..nothing })
                }
                _ => None,
            },
        }
    }

    /// What a message sets.
    fn set_in(user: &proto::User) -> Self {
        let proto::UserRules { blocked_item_ids, blocked_sources, blocked_topics, mutes, boosts } =
            user.rules.clone().unwrap_or_default();
        let empty = [
            blocked_item_ids.is_empty(),
            blocked_sources.is_empty(),
            blocked_topics.is_empty(),
            mutes.is_empty(),
            boosts.is_empty(),
        ];
        Self {
            attributes: user.attributes.is_some(),
            named_attributes: BTreeSet::new(),
            lists: empty.map(|is_empty| !is_empty),
            non_profiled: user.non_profiled.is_some(),
        }
    }

    fn of(mask: Option<FieldMask>, user: &proto::User) -> Result<Self, Vec<Violation>> {
        let named = named_by(mask, "field of a user", Self::by)?;
        if named.is_empty() {
            return Ok(Self::set_in(user));
        }
        let all = named.into_iter().fold(Self::default(), |mut all, one| {
            all.attributes |= one.attributes;
            all.named_attributes.extend(one.named_attributes);
            all.lists.iter_mut().zip(one.lists).for_each(|(all, one)| *all |= one);
            all.non_profiled |= one.non_profiled;
            all
        });
        Ok(all)
    }
}

/// # Errors
/// Every violation of the request.
pub fn user_update(message: proto::UpdateUserRequest) -> Result<UserUpdate, Vec<Violation>> {
    let proto::UpdateUserRequest { namespace: _, user, update_mask, add, remove } = message;
    let user = user.unwrap_or_default();
    let mut violations = Violations::default();
    let user_id = violations.take("user.user_id", UserId::parse(user.user_id.as_str()));
    let replaced = merge(&mut violations, Replaced::of(update_mask, &user)).unwrap_or_default();
    let attributes = violations.absorb("user", attributes_change(&replaced, user.attributes));
    let lists = [user.rules, add, remove].map(Option::unwrap_or_default);
    let mut rules = rules_change(replaced.lists, lists, &mut violations);
    rules.non_profiled = replaced.non_profiled.then_some(user.non_profiled.unwrap_or_default());
    match (user_id, attributes) {
        (Some(user_id), Some(attributes)) => {
            violations.finish(UserUpdate { user_id, attributes, rules })
        }
        _ => Err(violations.into_vec()),
    }
}

fn attributes_change(
    replaced: &Replaced,
    message: Option<prost_types::Struct>,
) -> Result<AttributesChange, Vec<Violation>> {
    let mut message = message.unwrap_or_default();
    let names = &replaced.named_attributes;
    if !replaced.attributes {
        message.fields.retain(|name, _| names.contains(name));
    }
    let set = attributes(Some(message))?;
    let remove = names.iter().filter(|name| set.get(name).is_none());
    let remove = remove.map(|name| name.as_str().into()).collect();
    Ok(AttributesChange { replaces: replaced.attributes, set, remove })
}

/// `lists` are those of the user, those to add and those to remove.
fn rules_change(
    replaced: [bool; LISTS.len()],
    lists: [proto::UserRules; 3],
    violations: &mut Violations,
) -> RulesChange {
    let [user, add, remove] = lists;
    let labels = limits::USER_BLOCKED_LABELS;
    let list = |nth: usize, most| ListReader { name: LISTS[nth], most, replaces: replaced[nth] };
    let [items, sources, topics] =
        [list(0, limits::USER_BLOCKED_ITEMS), list(1, labels), list(2, labels)];
    let [mutes, boosts] = [list(3, limits::USER_MUTES), list(4, limits::USER_BOOSTS)];
    let (item, name) = (|id| named(listed_id(id)), |text| named(label(text)));
    RulesChange {
        blocked_items: items.read(
            [user.blocked_item_ids, add.blocked_item_ids, remove.blocked_item_ids],
            (item, item),
            violations,
        ),
        blocked_sources: sources.read(
            [user.blocked_sources, add.blocked_sources, remove.blocked_sources],
            (name, name),
            violations,
        ),
        blocked_topics: topics.read(
            [user.blocked_topics, add.blocked_topics, remove.blocked_topics],
            (name, name),
            violations,
        ),
        mutes: mutes.read(
            [user.mutes, add.mutes, remove.mutes],
            (mute, |mute| muted(mute.target)),
            violations,
        ),
        boosts: boosts.read(
            [user.boosts, add.boosts, remove.boosts],
            (user_boost, |boost| boosted(boost.target)),
            violations,
        ),
        non_profiled: None,
    }
}

/// One of the lists of a request.
struct ListReader {
    name: &'static str,
    most: usize,
    replaces: bool,
}

impl ListReader {
    /// `of`: the lists of the user, to add, to remove; `as_entry` and `as_key` read one of them.
    fn read<S, T, K>(
        self,
        of: [Vec<S>; 3],
        (as_entry, as_key): (
            impl Fn(S) -> Result<T, Vec<Violation>>,
            impl Fn(S) -> Result<K, Vec<Violation>>,
        ),
        violations: &mut Violations,
    ) -> ListChange<T, K> {
        let Self { name, most, replaces } = self;
        let [values, more, remove] = of;
        let values = if replaces { values } else { Vec::new() };
        let mut add = Vec::with_capacity(values.len() + more.len());
        for (path, values) in
            [(format!("user.rules.{name}"), values), (format!("add.{name}"), more)]
        {
            let read =
                bounded(&path, values, most).and_then(|it| each_message(&path, it, &as_entry));
            add.extend(merge(violations, read).unwrap_or_default());
        }
        let path = format!("remove.{name}");
        let read = bounded(&path, remove, most).and_then(|it| each_message(&path, it, &as_key));
        let remove = merge(violations, read).unwrap_or_default();
        ListChange { replaces, add, remove }
    }
}

fn bounded<T>(path: &str, values: Vec<T>, most: usize) -> Result<Vec<T>, Vec<Violation>> {
    if values.len() <= most {
        return Ok(values);
    }
    let reason = format!("must hold at most {most}, holds {}", values.len());
    Err(vec![Violation::new(path, reason)])
}

fn named(checked: Result<Box<str>, String>) -> Result<Box<str>, Vec<Violation>> {
    checked.map_err(|reason| vec![Violation::new("", reason)])
}

fn mute(message: proto::Mute) -> Result<Mute, Vec<Violation>> {
    let mut violations = Violations::default();
    let target = merge(&mut violations, muted(message.target));
    let until = violations.take("until", message.until.map(timestamp).transpose());
    match (target, until) {
        (Some(target), Some(until)) => Ok(Mute { target, until }),
        _ => Err(violations.into_vec()),
    }
}

fn user_boost(message: proto::UserBoost) -> Result<UserBoost, Vec<Violation>> {
    use proto::user_boost::Change;
    let mut violations = Violations::default();
    let target = merge(&mut violations, boosted(message.target));
    let until = violations.take("until", message.until.map(timestamp).transpose());
    let change = match message.change {
        None => violations.take("change", Err("must be set")),
        Some(Change::Add(addend)) => {
            let most = limits::USER_BOOST_ADDEND;
            violations.take("add", within(addend, -most, most)).map(ScoreChange::Add)
        }
        Some(Change::Multiply(factor)) => {
            let factor = within(factor, 0.0, limits::USER_BOOST_FACTOR);
            violations.take("multiply", factor).map(ScoreChange::Multiply)
        }
    };
    match (target, until, change) {
        (Some(target), Some(until), Some(change)) => Ok(UserBoost { target, change, until }),
        _ => Err(violations.into_vec()),
    }
}

fn muted(target: Option<proto::mute::Target>) -> Result<RuleTarget, Vec<Violation>> {
    use proto::mute::Target;
    match target {
        None => Err(vec![Violation::new("target", "must be set")]),
        Some(Target::ItemId(id)) => item_target(id),
        Some(Target::Topic(topic)) => topic_target(topic),
        Some(Target::Source(source)) => source_target(source),
    }
}

fn boosted(target: Option<proto::user_boost::Target>) -> Result<RuleTarget, Vec<Violation>> {
    use proto::user_boost::Target;
    match target {
        None => Err(vec![Violation::new("target", "must be set")]),
        Some(Target::ItemId(id)) => item_target(id),
        Some(Target::Topic(topic)) => topic_target(topic),
        Some(Target::Source(source)) => source_target(source),
    }
}

fn item_target(id: String) -> Result<RuleTarget, Vec<Violation>> {
    let id = listed_id(id).map_err(|reason| vec![Violation::new("item_id", reason)])?;
    Ok(RuleTarget::Item(id))
}

fn topic_target(topic: String) -> Result<RuleTarget, Vec<Violation>> {
    let topic = label(topic).map_err(|reason| vec![Violation::new("topic", reason)])?;
    Ok(RuleTarget::Topic(topic))
}

fn source_target(source: String) -> Result<RuleTarget, Vec<Violation>> {
    let source = label(source).map_err(|reason| vec![Violation::new("source", reason)])?;
    Ok(RuleTarget::Source(source))
}

/// What is set for a user, without rules that hold no more.
pub fn user_message(
    user_id: &str,
    attributes: &Attributes,
    rules: &UserRules,
    now: Timestamp,
) -> proto::User {
    let names = |names: &[Box<str>]| names.iter().map(|name| name.to_string()).collect();
    let mutes = rules.mutes.entries().iter().filter(|mute| mute.holds_at(now));
    let boosts = rules.boosts.entries().iter().filter(|boost| boost.holds_at(now));
    let lists = proto::UserRules {
        blocked_item_ids: names(rules.blocked_items.entries()),
        blocked_sources: names(rules.blocked_sources.entries()),
        blocked_topics: names(rules.blocked_topics.entries()),
        mutes: mutes.map(mute_message).collect(),
        boosts: boosts.map(boost_message).collect(),
    };
    proto::User {
        user_id: user_id.to_owned(),
        attributes: attributes_message(attributes),
        rules: (lists != proto::UserRules::default()).then_some(lists),
        non_profiled: Some(rules.non_profiled),
    }
}

fn mute_message(mute: &Mute) -> proto::Mute {
    use proto::mute::Target;
    let name = mute.target.name().to_owned();
    let target = match &mute.target {
        RuleTarget::Item(_) => Target::ItemId(name),
        RuleTarget::Topic(_) => Target::Topic(name),
        RuleTarget::Source(_) => Target::Source(name),
    };
    proto::Mute { target: Some(target), until: mute.until.map(timestamp_message) }
}

fn boost_message(boost: &UserBoost) -> proto::UserBoost {
    use proto::user_boost::Change;
    use proto::user_boost::Target;
    let name = boost.target.name().to_owned();
    let target = match &boost.target {
        RuleTarget::Item(_) => Target::ItemId(name),
        RuleTarget::Topic(_) => Target::Topic(name),
        RuleTarget::Source(_) => Target::Source(name),
    };
    let change = match boost.change {
        ScoreChange::Add(addend) => Change::Add(addend),
        ScoreChange::Multiply(factor) => Change::Multiply(factor),
    };
    let until = boost.until.map(timestamp_message);
    proto::UserBoost { target: Some(target), change: Some(change), until }
}

#[cfg(test)]
mod tests;
