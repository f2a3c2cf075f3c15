//! Users that were merged into others: which id answers as which user.
//!
//! - Flat: an alias names a user who is no alias. When that user is merged, too, its aliases go
//!   along.
//! - A user has at most [`MERGED_IDS`] aliases, and all of them have a budget of bytes. Beyond
//!   either, those that were merged first are forgotten: such an id is a new user again.
//! - Who is whom is a fact that the caller stated, not something learnt: aliases stay when their
//!   user is evicted.
//! - What is kept by user without an index is kept by [`UserKey`]. Only aliases make one, so
//!   nothing is kept under an id that answers as another.
//! - The lookup table is derived: digests and snapshots hold users and their aliases.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::columns::column::Column;
use crate::columns::interner::Interner;
use crate::columns::interner::name_key;
use crate::columns::key_index::KeyIndex;
use crate::columns::part::Part;
use crate::domain::Sequence;
use crate::domain::limits::MERGED_IDS;

/// Memory of an alias in addition to its id, and of a user with aliases in addition to its own.
const ALIAS_BYTES: usize = 96;
const USER_BYTES: usize = 160;
/// Each eviction frees this part of the budget: one in this many.
const EVICTED_ONE_IN: usize = 16;

/// Names a user where there is no index: a hash of the id that the user answers as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserKey(u64);

impl UserKey {
    /// Of no user: what a user left who was erased.
    pub const NOBODY: Self = Self(u64::MAX);

    pub const fn get(self) -> u64 {
        self.0
    }

    #[cfg(test)]
    pub const fn of(key: u64) -> Self {
        Self(key)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Alias {
    id: Arc<str>,
    /// The record that made it one.
    since: Sequence,
}

/// What a merge of one user into another does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeEffect<'a> {
    /// The first one is folded into this user.
    Due(&'a str),
    /// Nothing: both answer as this user already.
    Done(&'a str),
    /// Nothing: the second one is the first, or was merged into it.
    Circular,
    /// Nothing: the first one was merged into this other user.
    Taken(&'a str),
}

/// All aliases of a namespace.
#[derive(Debug, Clone, Default)]
pub struct Aliases {
    /// Users that others were merged into.
    users: Interner,
    /// The aliases of each, the oldest first; none where the slot is free. As long as `users`.
    merged: Column<Arc<Vec<Alias>>, u32>,
    /// The slot of the user, by alias. Derived.
    by_id: KeyIndex,
    /// Derived.
    bytes: usize,
}

impl Aliases {
    /// The id that an id answers as: itself, unless it is an alias.
    pub fn resolve<'a>(&'a self, id: &'a str) -> &'a str {
        let has = |slot: usize| self.merged[slot as u32].iter().any(|alias| *alias.id == *id);
        let user = self.by_id.find(name_key(id), has);
        user.and_then(|slot| self.users.name(slot as u32)).map_or(id, AsRef::as_ref)
    }

    /// The key of the user that an id answers as.
    pub fn key(&self, id: &str) -> UserKey {
        UserKey(name_key(self.resolve(id)))
    }

    /// The aliases of the user that an id answers as, the latest first.
    pub fn of<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let user = self.users.find(self.resolve(id));
        let aliases = user.map_or(&[][..], |slot| &self.merged[slot][..]);
        aliases.iter().rev().map(|alias| &*alias.id)
    }

    /// The record that made the latest alias; 0: there is none.
    pub fn latest(&self) -> Sequence {
        let latest = self.merged.iter().filter_map(|own| own.last());
        latest.map(|alias| alias.since).max().unwrap_or(0)
    }

    pub fn effect<'a>(&'a self, from: &'a str, into: &'a str) -> MergeEffect<'a> {
        let (now, into) = (self.resolve(from), self.resolve(into));
        match (now == from, now == into) {
            (true, false) => MergeEffect::Due(into),
            (false, true) => MergeEffect::Done(into),
            (true, true) => MergeEffect::Circular,
            (false, false) => MergeEffect::Taken(now),
        }
    }

    /// Takes in a merge; one that is not due changes nothing.
    pub fn merge(&mut self, from: &str, into: &str, sequence: Sequence, budget: usize) {
        let MergeEffect::Due(user) = self.effect(from, into) else {
            return;
        };
        let user: Arc<str> = user.into();
        let mut aliases = self.take(from);
        aliases.push(Alias { id: from.into(), since: sequence });
        self.add(&user, aliases);
        self.evict(budget);
    }

    /// Forgets the aliases of a user: each of these ids is a new user again.
    pub fn forget(&mut self, user: &str) {
        self.take(user);
    }

    /// The aliases of a user, which is none of theirs any more.
    fn take(&mut self, user: &str) -> Vec<Alias> {
        let Some(slot) = self.users.find(user) else {
            return Vec::new();
        };
        let aliases = std::mem::take(self.merged.get_mut(slot));
        aliases.iter().for_each(|alias| self.unlist(alias, slot));
        self.let_go(slot);
        Arc::unwrap_or_clone(aliases)
    }

    fn add(&mut self, user: &str, aliases: Vec<Alias>) {
        let users = self.users.live();
        let slot = self.users.intern(user);
        self.merged.grow(slot as usize + 1, &Arc::default());
        if self.users.live() > users {
            self.bytes += USER_BYTES + user.len();
        }
        aliases.iter().for_each(|alias| self.list(alias, slot));
        let own = Arc::make_mut(self.merged.get_mut(slot));
        own.extend(aliases);
        own.sort_by_key(|alias| alias.since);
        let surplus = own.len().saturating_sub(MERGED_IDS);
        self.forget_oldest(slot, surplus);
    }

    fn list(&mut self, alias: &Alias, slot: u32) {
        self.by_id.insert(name_key(&alias.id), slot as usize, |_| false);
        self.bytes += ALIAS_BYTES + alias.id.len();
    }

    fn unlist(&mut self, alias: &Alias, slot: u32) {
        self.by_id.remove(name_key(&alias.id), slot as usize);
        self.bytes -= ALIAS_BYTES + alias.id.len();
    }

    /// Frees the slot of a user without aliases.
    fn let_go(&mut self, slot: u32) {
        self.bytes -= USER_BYTES + self.users.name(slot).map_or(0, |user| user.len());
        self.users.forget(slot);
        self.users.release(slot);
    }

    fn forget_oldest(&mut self, slot: u32, count: usize) {
        if count == 0 {
            return;
        }
        let own = Arc::make_mut(self.merged.get_mut(slot));
        let forgotten: Vec<Alias> = own.drain(..count).collect();
        let is_last = own.is_empty();
        forgotten.iter().for_each(|alias| self.unlist(alias, slot));
        if is_last {
            self.let_go(slot);
        }
    }

    /// Forgets the oldest aliases once all take more than `budget` bytes.
    fn evict(&mut self, budget: usize) {
        if self.bytes <= budget {
            return;
        }
        let slots = self.merged.indices().zip(self.merged.iter());
        let of_user = |(slot, own): (u32, &Arc<Vec<Alias>>)| {
            own.iter().map(|alias| (alias.since, slot)).collect::<Vec<_>>()
        };
        let mut oldest: Vec<(Sequence, u32)> = slots.flat_map(of_user).collect();
        oldest.sort_unstable();
        for (_, slot) in oldest {
            if self.bytes <= budget - budget / EVICTED_ONE_IN {
                break;
            }
            self.forget_oldest(slot, 1);
        }
    }

    /// What digests and snapshots hold.
    pub fn parts(&self) -> [&dyn Part; 2] {
        let Self { users, merged, by_id: _, bytes: _ } = self;
        [users, merged]
    }

    pub fn parts_mut(&mut self) -> [&mut dyn Part; 2] {
        let Self { users, merged, by_id: _, bytes: _ } = self;
        [users, merged]
    }

    /// Derives what is not in snapshots; `false` where users and aliases do not fit together.
    pub fn derive(&mut self) -> bool {
        if self.users.len() != self.merged.len() {
            return false;
        }
        self.users.derive_free(|_| false);
        for slot in self.merged.indices() {
            let aliases = self.merged[slot].clone();
            let is_sound = self.users.is_live(slot) != aliases.is_empty()
                && aliases.len() <= MERGED_IDS
                && aliases.is_sorted_by(|a, b| a.since < b.since);
            if !is_sound {
                return false;
            }
            self.bytes += self.users.name(slot).map_or(0, |user| USER_BYTES + user.len());
            for alias in aliases.iter() {
                let is_known = self.resolve(&alias.id) != &*alias.id;
                if is_known || self.users.find(&alias.id).is_some() {
                    return false;
                }
                self.list(alias, slot);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const BUDGET: usize = 1 << 20;

    fn merged(pairs: &[(&str, &str)]) -> Aliases {
        let mut aliases = Aliases::default();
        for (sequence, (from, into)) in (1..).zip(pairs) {
            aliases.merge(from, into, sequence, BUDGET);
        }
        aliases
    }

    fn restored(aliases: &Aliases) -> Aliases {
        let mut restored = Aliases::default();
        for (part, into) in aliases.parts().into_iter().zip(restored.parts_mut()) {
            part.sections().for_each(|section| into.read(&section).unwrap());
        }
        assert!(restored.derive());
        restored
    }

    #[test]
    fn an_id_answers_as_the_last_of_a_chain_of_merges() {
        let aliases = merged(&[("a", "b"), ("x", "b"), ("b", "c"), ("c", "d")]);
        assert!(["a", "x", "b", "c", "d"].into_iter().all(|id| aliases.resolve(id) == "d"));
        assert_eq!(aliases.of("x").collect::<Vec<_>>(), ["c", "b", "x", "a"]);
        assert_eq!(aliases.key("a"), aliases.key("d"));
        assert_ne!(aliases.key("a"), aliases.key("other"));
        assert_eq!(aliases.of("other").count(), 0);
    }

    #[test]
    fn a_merge_is_due_once_and_neither_in_a_circle_nor_into_a_second_user() {
        let aliases = merged(&[("a", "b"), ("b", "c")]);
        for (from, into, expected) in [
            ("a", "b", MergeEffect::Done("c")),
            ("a", "c", MergeEffect::Done("c")),
            ("c", "a", MergeEffect::Circular),
            ("c", "c", MergeEffect::Circular),
            ("a", "d", MergeEffect::Taken("c")),
            ("d", "a", MergeEffect::Due("c")),
            ("c", "d", MergeEffect::Due("d")),
        ] {
            assert_eq!(aliases.effect(from, into), expected, "{from} into {into}");
        }
        let again = merged(&[("a", "b"), ("b", "c"), ("a", "b"), ("c", "a"), ("a", "d")]);
        assert_eq!(again.parts().map(Part::digest), aliases.parts().map(Part::digest));
    }

    #[test]
    fn a_user_keeps_its_latest_aliases_and_all_together_keep_to_the_budget() {
        let mut aliases = Aliases::default();
        for number in 0..MERGED_IDS as u64 + 10 {
            aliases.merge(&format!("visit-{number}"), "ada", number, BUDGET);
        }
        assert_eq!(aliases.of("ada").count(), MERGED_IDS);
        assert_eq!(aliases.resolve("visit-9"), "visit-9");
        assert_eq!(aliases.resolve("visit-10"), "ada");
        for number in 0..2_000 {
            aliases.merge(&format!("v{number}"), &format!("user-{number}"), 1_000 + number, 64_000);
            assert!(aliases.bytes <= 64_000, "{}", aliases.bytes);
        }
        assert_eq!(aliases.of("ada").count(), 0, "the oldest went first");
        let kept = (0..2_000).filter(|n| aliases.resolve(&format!("v{n}")) == format!("user-{n}"));
        let kept: Vec<u64> = kept.collect();
        assert!(kept.len() > 150 && kept[0] == 2_000 - kept.len() as u64, "{} kept", kept.len());
        assert_eq!(restored(&aliases).bytes, aliases.bytes);
        assert!(aliases.users.len() < 400, "slots are used again");
    }

    #[test]
    fn aliases_that_do_not_fit_together_are_not_restored() {
        let alias = |id: &str, since| Alias { id: id.into(), since };
        for lists in [
            vec![vec![]],
            vec![vec![alias("a", 2), alias("b", 1)]],
            vec![vec![alias("user-0", 1)]],
            vec![vec![alias("a", 1)], vec![alias("a", 2)]],
            vec![vec![alias("user-1", 1)], vec![alias("a", 2)]],
        ] {
            let mut aliases = Aliases::default();
            for (number, list) in lists.iter().enumerate() {
                aliases.users.intern(&format!("user-{number}"));
                aliases.merged.push(Arc::new(list.clone()));
            }
            assert!(!aliases.derive(), "{lists:?}");
        }
    }

    proptest! {
        #[test]
        fn who_is_whom_is_as_if_each_merge_renamed_a_user(
            merges in prop::collection::vec((0..12_u8, 0..12_u8), 0..40),
        ) {
            let mut aliases = Aliases::default();
            let mut user_of: BTreeMap<u8, u8> = (0..12).map(|id| (id, id)).collect();
            for (sequence, (from, into)) in (1..).zip(merges) {
                aliases.merge(&from.to_string(), &into.to_string(), sequence, BUDGET);
                let target = user_of[&into];
                if user_of[&from] == from && target != from {
                    user_of.values_mut().filter(|user| **user == from).for_each(|u| *u = target);
                }
                let again = restored(&aliases);
                for (id, user) in &user_of {
                    let (id, user) = (id.to_string(), user.to_string());
                    prop_assert_eq!(aliases.resolve(&id), &user);
                    prop_assert_eq!(again.resolve(&id), &user);
                }
                prop_assert_eq!(again.bytes, aliases.bytes);
            }
        }
    }
}
