//! What users have set for themselves: blocks, mutes, boosts, and whether they are profiled.
//!
//! - Rules are about names and not about indices: a blocked topic that no item has yet holds when
//!   its first item comes.
//! - Each list is sorted by what its rules are about, with one rule for each. A list is bounded in
//!   its entries, all lists together in their bytes ([`limits`]).

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::de::Error;

use crate::domain::limits;
use crate::domain::timestamp::Timestamp;

/// The items of a mute or a boost.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleTarget {
    Item(Box<str>),
    Topic(Box<str>),
    Source(Box<str>),
}

impl RuleTarget {
    pub fn name(&self) -> &str {
        match self {
            Self::Item(name) | Self::Topic(name) | Self::Source(name) => name,
        }
    }
}

/// The change of a score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreChange {
    Add(f64),
    /// At least 0.
    Multiply(f64),
}

/// Less of something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mute {
    pub target: RuleTarget,
    /// From when on it does not hold any more; `None`: it holds until it is removed.
    pub until: Option<Timestamp>,
}

/// More of something, or less, by a measure of the caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserBoost {
    pub target: RuleTarget,
    pub change: ScoreChange,
    /// As of a mute.
    pub until: Option<Timestamp>,
}

/// An entry of a list of rules.
pub trait Rule: Clone {
    type Key: Ord;

    /// What it is about.
    fn key(&self) -> &Self::Key;

    /// The name of what it is about.
    fn name(&self) -> &str;

    fn until(&self) -> Option<Timestamp> {
        None
    }

    fn holds_at(&self, now: Timestamp) -> bool {
        self.until().is_none_or(|until| now < until)
    }
}

impl Rule for Box<str> {
    type Key = Self;

    fn key(&self) -> &Self {
        self
    }

    fn name(&self) -> &str {
        self
    }
}

impl Rule for Mute {
    type Key = RuleTarget;

    fn key(&self) -> &RuleTarget {
        &self.target
    }

    fn name(&self) -> &str {
        self.target.name()
    }

    fn until(&self) -> Option<Timestamp> {
        self.until
    }
}

impl Rule for UserBoost {
    type Key = RuleTarget;

    fn key(&self) -> &RuleTarget {
        &self.target
    }

    fn name(&self) -> &str {
        self.target.name()
    }

    fn until(&self) -> Option<Timestamp> {
        self.until
    }
}

/// Rules sorted by what they are about, one for each.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct RuleList<T>(Vec<T>);

impl<T> Default for RuleList<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Rule> RuleList<T> {
    pub fn entries(&self) -> &[T] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Memory that its entries take.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(bytes_of).sum()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn remove(&mut self, key: &T::Key) {
        if let Ok(position) = self.position(key) {
            self.0.remove(position);
        }
    }

    pub(super) fn drop_past(&mut self, now: Timestamp) {
        self.0.retain(|rule| rule.holds_at(now));
    }

    /// Adds a rule, or puts it in place of the one about the same. A new one is left out where
    /// the list is full or `space`, in bytes, does not suffice. Returns whether it is in the list.
    pub(super) fn put(&mut self, rule: &T, most: usize, space: &mut usize) -> bool {
        match self.position(rule.key()) {
            Ok(position) => self.0[position] = rule.clone(),
            Err(position) => {
                let bytes = bytes_of(rule);
                if self.0.len() >= most || bytes > *space {
                    return false;
                }
                *space -= bytes;
                self.0.insert(position, rule.clone());
            }
        }
        true
    }

    /// Adds the rules of another list that are about something else, as far as there is space.
    fn add_missing(&mut self, other: &Self, most: usize, space: &mut usize) {
        let missing = other.0.iter().filter(|rule| self.position(rule.key()).is_err());
        for rule in missing.cloned().collect::<Vec<T>>() {
            self.put(&rule, most, space);
        }
    }

    fn position(&self, key: &T::Key) -> Result<usize, usize> {
        self.0.binary_search_by(|rule| rule.key().cmp(key))
    }
}

impl RuleList<Box<str>> {
    pub fn has(&self, name: &str) -> bool {
        self.0.binary_search_by(|own| (**own).cmp(name)).is_ok()
    }
}

fn bytes_of<T: Rule>(rule: &T) -> usize {
    size_of::<T>() + rule.name().len()
}

impl<'de, T: Rule + Deserialize<'de>> Deserialize<'de> for RuleList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rules = Vec::<T>::deserialize(deserializer)?;
        if rules.is_sorted_by(|one, next| one.key() < next.key()) {
            Ok(Self(rules))
        } else {
            Err(D::Error::custom("rules of a user are not in their order"))
        }
    }
}

/// All that a user has set but the attributes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UserRules {
    /// Ids of items that are not recommended.
    pub blocked_items: RuleList<Box<str>>,
    /// Sources of such items.
    pub blocked_sources: RuleList<Box<str>>,
    /// Topics of such items.
    pub blocked_topics: RuleList<Box<str>>,
    pub mutes: RuleList<Mute>,
    pub boosts: RuleList<UserBoost>,
    /// Whether nothing that was learnt about the user is used, and nothing more is learnt.
    pub non_profiled: bool,
}

impl UserRules {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0 && !self.non_profiled
    }

    /// Memory that the rules take.
    pub fn bytes(&self) -> usize {
        let Self { blocked_items, blocked_sources, blocked_topics, mutes, boosts, non_profiled: _ } =
            self;
        let names = [blocked_items, blocked_sources, blocked_topics];
        names.into_iter().map(RuleList::bytes).sum::<usize>() + mutes.bytes() + boosts.bytes()
    }

    /// Bytes that are left for more rules.
    pub(super) fn space(&self) -> usize {
        limits::USER_RULES_BYTES.saturating_sub(self.bytes())
    }

    /// The rules that hold of these and of those of another user: of two about the same the own
    /// one, and beyond the bounds the other's are left out. Neither is profiled if one of them is
    /// not to be.
    #[must_use]
    pub fn merged_with(&self, other: &Self, at: Timestamp) -> Self {
        let (mut merged, mut other) = (self.clone(), other.clone());
        for rules in [&mut merged, &mut other] {
            rules.mutes.drop_past(at);
            rules.boosts.drop_past(at);
        }
        let mut space = merged.space();
        let Self { blocked_items, blocked_sources, blocked_topics, mutes, boosts, non_profiled } =
            &mut merged;
        blocked_items.add_missing(&other.blocked_items, limits::USER_BLOCKED_ITEMS, &mut space);
        for (own, others) in
            [(blocked_sources, &other.blocked_sources), (blocked_topics, &other.blocked_topics)]
        {
            own.add_missing(others, limits::USER_BLOCKED_LABELS, &mut space);
        }
        mutes.add_missing(&other.mutes, limits::USER_MUTES, &mut space);
        boosts.add_missing(&other.boosts, limits::USER_BOOSTS, &mut space);
        *non_profiled |= other.non_profiled;
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(4);

    fn list(names: impl IntoIterator<Item = String>) -> RuleList<Box<str>> {
        let (mut list, mut space) = (RuleList::default(), usize::MAX);
        names.into_iter().for_each(|name| assert!(list.put(&name.into(), usize::MAX, &mut space)));
        list
    }

    fn mute(topic: &str, until: Option<i64>) -> Mute {
        let until = until.map(Timestamp::from_seconds);
        Mute { target: RuleTarget::Topic(topic.into()), until }
    }

    fn topics(names: &[&str]) -> RuleList<Box<str>> {
        list(names.iter().map(|&name| name.to_owned()))
    }

    #[test]
    fn rules_of_two_users_become_one_set_in_which_the_own_ones_hold() {
        let mut own = UserRules { blocked_topics: topics(&["a", "c"]), ..UserRules::default() };
        let mut other = UserRules { blocked_topics: topics(&["b", "c"]), ..UserRules::default() };
        let mut space = usize::MAX;
        assert!(own.mutes.put(&mute("a", None), 9, &mut space));
        assert!(other.mutes.put(&mute("a", Some(5)), 9, &mut space));
        assert!(other.mutes.put(&mute("b", Some(5)), 9, &mut space));
        other.non_profiled = true;
        let merged = own.merged_with(&other, NOW);
        assert_eq!(merged.blocked_topics, topics(&["a", "b", "c"]));
        assert_eq!(merged.mutes.entries(), [mute("a", None), mute("b", Some(5))]);
        assert!(merged.non_profiled);
        assert_eq!(own.merged_with(&UserRules::default(), NOW), own);
        assert_eq!(UserRules::default().merged_with(&own, NOW), own);
    }

    #[test]
    fn a_rule_whose_time_is_over_does_not_hide_that_of_the_other_user() {
        let boost = |until: i64, addend: f64| UserBoost {
            target: RuleTarget::Topic("a".into()),
            change: ScoreChange::Add(addend),
            until: Some(Timestamp::from_seconds(until)),
        };
        let (mut own, mut other, mut space) =
            (UserRules::default(), UserRules::default(), usize::MAX);
        assert!(own.mutes.put(&mute("a", Some(3)), 9, &mut space));
        assert!(own.boosts.put(&boost(3, 0.5), 9, &mut space));
        assert!(other.mutes.put(&mute("a", Some(5)), 9, &mut space));
        assert!(other.mutes.put(&mute("b", Some(3)), 9, &mut space));
        assert!(other.boosts.put(&boost(5, -0.5), 9, &mut space));
        let merged = own.merged_with(&other, NOW);
        assert_eq!(merged.mutes.entries(), [mute("a", Some(5))]);
        assert_eq!(merged.boosts.entries(), [boost(5, -0.5)]);
    }

    #[test]
    fn merged_rules_keep_to_the_bounds_and_the_own_ones_stay() {
        let name = |who: &str, number: usize| format!("{who}-{number:04}");
        let blocks = |who: &str| list((0..900).map(|number| name(who, number)));
        let own = UserRules { blocked_items: blocks("own"), ..UserRules::default() };
        let other = UserRules { blocked_items: blocks("a"), ..UserRules::default() };
        let merged = own.merged_with(&other, NOW);
        assert_eq!(merged.blocked_items.entries().len(), limits::USER_BLOCKED_ITEMS);
        assert!((0..900).all(|number| merged.blocked_items.has(&name("own", number))));
        let long =
            |who: char| list((0..200).map(|n| format!("{n:03}{}", who.to_string().repeat(250))));
        let own = UserRules { blocked_sources: long('o'), ..UserRules::default() };
        let other = UserRules { blocked_topics: long('t'), ..UserRules::default() };
        let merged = own.merged_with(&other, NOW);
        assert_eq!(merged.blocked_sources, own.blocked_sources);
        assert!(!merged.blocked_topics.is_empty());
        assert!(merged.bytes() <= limits::USER_RULES_BYTES, "{}", merged.bytes());
    }

    #[test]
    fn rules_out_of_order_are_not_read() {
        let rules = UserRules { blocked_topics: topics(&["a", "b"]), ..UserRules::default() };
        let bytes = postcard::to_stdvec(&rules).unwrap();
        assert_eq!(postcard::from_bytes::<UserRules>(&bytes), Ok(rules));
        let at = bytes.iter().position(|byte| *byte == b'a').unwrap();
        let mut disordered = bytes;
        disordered[at] = b'b';
        assert!(postcard::from_bytes::<UserRules>(&disordered).is_err());
    }
}
