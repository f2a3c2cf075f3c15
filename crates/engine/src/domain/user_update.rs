//! A change of what is set for a user.
//!
//! A change says what it changes and not the whole state, and is made when the record is learnt:
//! of two additions at a time both stay, and a change that is sent twice does no more than one.

use crate::domain::attributes::Attributes;
use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::domain::timestamp::Timestamp;
use crate::domain::user_rules::Mute;
use crate::domain::user_rules::Rule;
use crate::domain::user_rules::RuleList;
use crate::domain::user_rules::RuleTarget;
use crate::domain::user_rules::UserBoost;
use crate::domain::user_rules::UserRules;

/// What changes for a user, who need not be known before.
#[derive(Debug, Clone, PartialEq)]
pub struct UserUpdate {
    pub user_id: UserId,
    pub attributes: AttributesChange,
    pub rules: RulesChange,
}

/// Attributes are removed first, then set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AttributesChange {
    /// Whether all that there were are removed.
    pub replaces: bool,
    pub set: Attributes,
    /// Names.
    pub remove: Vec<Box<str>>,
}

/// The change of one list. Rules are removed first, then added.
#[derive(Debug, Clone, PartialEq)]
pub struct ListChange<T, K = T> {
    /// Whether all that there were are removed.
    pub replaces: bool,
    /// In place of those about the same.
    pub add: Vec<T>,
    /// What the removed rules are about.
    pub remove: Vec<K>,
}

impl<T, K> Default for ListChange<T, K> {
    fn default() -> Self {
        Self { replaces: false, add: Vec::new(), remove: Vec::new() }
    }
}

/// Changes of all lists, and of whether the user is profiled where it is set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RulesChange {
    pub blocked_items: ListChange<Box<str>>,
    pub blocked_sources: ListChange<Box<str>>,
    pub blocked_topics: ListChange<Box<str>>,
    pub mutes: ListChange<Mute, RuleTarget>,
    pub boosts: ListChange<UserBoost, RuleTarget>,
    pub non_profiled: Option<bool>,
}

/// A list that had no space for all that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullList {
    pub name: &'static str,
    /// Entries that it may have.
    pub most: usize,
}

impl AttributesChange {
    pub fn is_empty(&self) -> bool {
        !self.replaces && self.set.is_empty() && self.remove.is_empty()
    }

    /// The attributes after the change. Those that are set beyond the bound are left out, the
    /// last by name first.
    pub fn applied_to(&self, attributes: &Attributes) -> Attributes {
        let mut changed = if self.replaces { Attributes::default() } else { attributes.clone() };
        self.remove.iter().for_each(|name| changed.remove(name));
        for (name, value) in self.set.iter() {
            let _fits = changed.set(name, value);
        }
        changed
    }
}

impl RulesChange {
    /// Whether it replaces the list of this name.
    pub fn replaces(&self, list: &str) -> bool {
        match list {
            "blocked_item_ids" => self.blocked_items.replaces,
            "blocked_sources" => self.blocked_sources.replaces,
            "blocked_topics" => self.blocked_topics.replaces,
            "mutes" => self.mutes.replaces,
            "boosts" => self.boosts.replaces,
            _ => false,
        }
    }

    /// Makes the change at a moment, at which rules that hold no more are dropped. Rules beyond the
    /// bounds are left out; returns the lists for which it was so.
    pub fn apply_to(&self, rules: &mut UserRules, at: Timestamp) -> Vec<FullList> {
        let Self { blocked_items, blocked_sources, blocked_topics, mutes, boosts, non_profiled } =
            self;
        blocked_items.remove_from(&mut rules.blocked_items, at);
        blocked_sources.remove_from(&mut rules.blocked_sources, at);
        blocked_topics.remove_from(&mut rules.blocked_topics, at);
        mutes.remove_from(&mut rules.mutes, at);
        boosts.remove_from(&mut rules.boosts, at);
        rules.non_profiled = non_profiled.unwrap_or(rules.non_profiled);
        let mut space = rules.space();
        let list = |name, most| FullList { name, most };
        let labels = limits::USER_BLOCKED_LABELS;
        let full = [
            blocked_items.add_to(
                &mut rules.blocked_items,
                list("blocked_item_ids", limits::USER_BLOCKED_ITEMS),
                &mut space,
            ),
            blocked_sources.add_to(
                &mut rules.blocked_sources,
                list("blocked_sources", labels),
                &mut space,
            ),
            blocked_topics.add_to(
                &mut rules.blocked_topics,
                list("blocked_topics", labels),
                &mut space,
            ),
            mutes.add_to(&mut rules.mutes, list("mutes", limits::USER_MUTES), &mut space),
            boosts.add_to(&mut rules.boosts, list("boosts", limits::USER_BOOSTS), &mut space),
        ];
        rules.mutes.drop_past(at);
        rules.boosts.drop_past(at);
        full.into_iter().flatten().collect()
    }
}

impl<T: Rule<Key = K>, K: Ord> ListChange<T, K> {
    fn remove_from(&self, list: &mut RuleList<T>, at: Timestamp) {
        list.drop_past(at);
        if self.replaces {
            list.clear();
        }
        self.remove.iter().for_each(|key| list.remove(key));
    }

    /// The list, if it had no space for all.
    fn add_to(
        &self,
        list: &mut RuleList<T>,
        full: FullList,
        space: &mut usize,
    ) -> Option<FullList> {
        let mut fits = true;
        for rule in &self.add {
            fits &= list.put(rule, full.most, space);
        }
        (!fits).then_some(full)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::attributes::AttributeValue;
    use crate::domain::user_rules::ScoreChange;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn names(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|&name| name.into()).collect()
    }

    fn topics(replaces: bool, add: &[&str], remove: &[&str]) -> RulesChange {
        let blocked_topics = ListChange { replaces, add: names(add), remove: names(remove) };
        RulesChange { blocked_topics, ..RulesChange::default() }
    }

    fn mute(topic: &str, until: Option<i64>) -> Mute {
        let until = until.map(Timestamp::from_seconds);
        Mute { target: RuleTarget::Topic(topic.into()), until }
    }

    fn muting(add: Vec<Mute>) -> RulesChange {
        let mutes = ListChange { add, ..ListChange::default() };
        RulesChange { mutes, ..RulesChange::default() }
    }

    #[test]
    fn additions_stay_side_by_side_and_a_replaced_list_is_the_new_one() {
        let mut rules = UserRules::default();
        for change in [topics(false, &["c"], &[]), topics(false, &["a", "c"], &["b"])] {
            assert_eq!(change.apply_to(&mut rules, NOW), []);
        }
        assert_eq!(rules.blocked_topics.entries(), names(&["a", "c"]));
        topics(false, &["b"], &["a"]).apply_to(&mut rules, NOW);
        assert_eq!(rules.blocked_topics.entries(), names(&["b", "c"]));
        topics(true, &["z"], &[]).apply_to(&mut rules, NOW);
        assert_eq!(rules.blocked_topics.entries(), names(&["z"]));
        assert!(rules.blocked_topics.has("z") && !rules.blocked_topics.has("b"));
        topics(true, &[], &[]).apply_to(&mut rules, NOW);
        assert!(rules.is_empty());
    }

    #[test]
    fn a_later_rule_about_the_same_replaces_the_one_before() {
        let mut rules = UserRules::default();
        muting(vec![mute("a", Some(2_000))]).apply_to(&mut rules, NOW);
        muting(vec![mute("a", None)]).apply_to(&mut rules, NOW);
        assert_eq!(rules.mutes.entries(), [mute("a", None)]);
        let boost = |multiply| UserBoost {
            target: RuleTarget::Source("s".into()),
            change: ScoreChange::Multiply(multiply),
            until: None,
        };
        let boosts = ListChange { add: vec![boost(2.0), boost(3.0)], ..ListChange::default() };
        RulesChange { boosts, ..RulesChange::default() }.apply_to(&mut rules, NOW);
        assert_eq!(rules.boosts.entries(), [boost(3.0)]);
    }

    #[test]
    fn rules_of_the_past_make_space_for_others() {
        let mut rules = UserRules::default();
        let many = |from: usize, until| {
            let mutes = from..from + limits::USER_MUTES;
            muting(mutes.map(|number| mute(&number.to_string(), until)).collect())
        };
        assert_eq!(many(0, Some(1_500)).apply_to(&mut rules, NOW), []);
        let full = many(100, None).apply_to(&mut rules, NOW);
        assert_eq!(full, [FullList { name: "mutes", most: limits::USER_MUTES }]);
        assert_eq!(many(100, None).apply_to(&mut rules, Timestamp::from_seconds(1_500)), []);
        assert!(rules.mutes.entries().iter().all(|mute| mute.until.is_none()));
        muting(vec![mute("100", Some(1_400))]).apply_to(&mut rules, Timestamp::from_seconds(1_500));
        assert_eq!(rules.mutes.entries().len(), limits::USER_MUTES - 1);
    }

    #[test]
    fn what_is_beyond_the_bounds_is_left_out_and_what_stands_stays() {
        let mut rules = UserRules::default();
        let long = |from: usize| {
            let names = (from..from + 200).map(|number| format!("{number:0>256}").into());
            let blocked_items = ListChange { add: names.collect(), ..ListChange::default() };
            RulesChange { blocked_items, ..RulesChange::default() }
        };
        assert_eq!(long(0).apply_to(&mut rules, NOW), []);
        let before = rules.clone();
        assert_eq!(long(200).apply_to(&mut rules, NOW)[0].name, "blocked_item_ids");
        assert!(rules.bytes() <= limits::USER_RULES_BYTES);
        let kept = before.blocked_items.entries().iter().all(|id| rules.blocked_items.has(id));
        assert!(kept && rules.blocked_items.entries().len() > 200);
        assert_eq!(long(0).apply_to(&mut rules, NOW), [], "known ones take no space");
    }

    #[test]
    fn single_attributes_change_and_the_others_stay() {
        let attributes = |values: &[(&str, f64)]| {
            let value =
                |&(name, value): &(&str, f64)| (name.to_owned(), AttributeValue::Number(value));
            Attributes::new(values.iter().map(value).collect::<BTreeMap<_, _>>()).unwrap()
        };
        let before = attributes(&[("age", 30.0), ("floor", 2.0)]);
        let set = attributes(&[("age", 31.0), ("rooms", 3.0)]);
        let change =
            AttributesChange { replaces: false, set: set.clone(), remove: names(&["floor", "x"]) };
        assert_eq!(change.applied_to(&before), attributes(&[("age", 31.0), ("rooms", 3.0)]));
        let change = AttributesChange { replaces: true, set: set.clone(), remove: Vec::new() };
        assert_eq!(change.applied_to(&before), set);
        let all: Vec<(String, f64)> =
            (0..limits::ATTRIBUTES).map(|n| (format!("n{n:02}"), 1.0)).collect();
        let all: Vec<(&str, f64)> = all.iter().map(|(name, value)| (&**name, *value)).collect();
        let change = AttributesChange { set: attributes(&all), ..AttributesChange::default() };
        let full = change.applied_to(&before);
        assert_eq!(full.iter().count(), limits::ATTRIBUTES);
        assert!(full.get("age").is_some() && full.get("n63").is_none());
    }
}
