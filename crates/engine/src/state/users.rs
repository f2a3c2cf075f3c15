//! The state by user, in columns.
//!
//! - A user has an index: its slot in every column. Nothing else refers to it, so a slot is used
//!   again as soon as its user is forgotten.
//! - A user may have several ids: those that were merged into it ([`Aliases`]). Every id is
//!   resolved here, so an alias is never taken for a user.
//! - There is a budget. Users with the shortest histories are evicted first, of equals those
//!   that changed longest ago. Users who have set rules come last, but for as many as are more than
//!   half the budget: rules cost a caller one call, so they must not drive out all histories. Of
//!   users with rules those who are not to be profiled stay longest.
//! - Rules and attributes of all users have a budget in bytes, too. Beyond it, those of the users for
//!   whom most is set are dropped; the users stay, and those who are not to be profiled are not.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::columns::aliases::Aliases;
use crate::columns::aliases::UserKey;
use crate::columns::column::Column;
use crate::columns::index::UserIndex;
use crate::columns::interner::Interner;
use crate::columns::part::Part;
use crate::consumption::Impressions;
use crate::consumption::User;
use crate::domain::Attributes;
use crate::domain::Sequence;
use crate::domain::UserRules;
use crate::domain::limits;

/// Each eviction frees this part of the budget: one in this many.
const EVICTED_ONE_IN: usize = 16;

/// The users of a namespace.
#[derive(Debug, Clone, Default)]
pub struct UserStore {
    ids: Interner<UserIndex>,
    aliases: Aliases,
    pub states: Column<Arc<User>, UserIndex>,
    /// Recent impressions of each user; as long as `states`, or shorter.
    pub impressions: Column<Arc<Impressions>, UserIndex>,
    /// Bytes of what is set for all users: rules and attributes.
    pub set_bytes: u64,
    nothing: Arc<User>,
}

/// As in [`super::items`].
macro_rules! parts_of {
    ($store:expr, $part:ty, $parts:ident) => {{
        let UserStore { ids, aliases, states, impressions, set_bytes: _, nothing: _ } = $store;
        let mut parts: Vec<(&'static str, $part)> =
            vec![("user_ids", ids), ("users", states), ("impressions", impressions)];
        parts.extend(["merged_into", "merged_ids"].into_iter().zip(aliases.$parts()));
        parts
    }};
}

impl UserStore {
    pub fn parts(&self) -> Vec<(&'static str, &dyn Part)> {
        parts_of!(self, &dyn Part, parts)
    }

    pub fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)> {
        parts_of!(self, &mut dyn Part, parts_mut)
    }

    /// Slots, used or not: every index is below.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Users known.
    pub fn live(&self) -> usize {
        self.ids.live()
    }

    /// Which id answers as which user.
    pub fn aliases(&self) -> &Aliases {
        &self.aliases
    }

    /// The index of the user that an id answers as.
    pub fn find(&self, user_id: &str) -> Option<UserIndex> {
        self.ids.find(self.aliases.resolve(user_id))
    }

    /// The same in state that has no index.
    pub fn key(&self, user_id: &str) -> UserKey {
        self.aliases.key(user_id)
    }

    /// The index of the user that an id answers as, and whether it is new.
    pub fn intern(&mut self, user_id: &str) -> (UserIndex, bool) {
        let before = self.ids.live();
        let user = self.ids.intern(self.aliases.resolve(user_id));
        self.states.grow(user.as_usize() + 1, &self.nothing);
        (user, self.ids.live() > before)
    }

    /// Replaces what is known of a user.
    pub fn put(&mut self, user: UserIndex, state: User) {
        let before = self.states[user].set_bytes();
        let after = state.set_bytes();
        self.set_bytes = self.set_bytes.saturating_sub(before) + after;
        *self.states.get_mut(user) = Arc::new(state);
    }

    /// Forgets users once there are more than `budget`, and rules and attributes once they take more
    /// than they may: by the record of this sequence.
    pub fn evict(&mut self, budget: usize, sequence: Sequence) {
        if self.ids.live() > budget {
            self.evict_least(budget);
        }
        let most = (budget * limits::SET_BYTES_PER_USER).max(limits::SET_BYTES_MIN) as u64;
        if self.set_bytes > most {
            self.drop_most_set(most - most / EVICTED_ONE_IN as u64, sequence);
        }
    }

    fn evict_least(&mut self, budget: usize) {
        let (mut with_rules, mut evictable) = (Vec::new(), Vec::new());
        for index in self.ids.live_indices() {
            let user = &self.states[index];
            let rank = (user.history.entries().len(), user.changed_at, index);
            if user.rules.is_empty() {
                evictable.push(rank);
            } else {
                with_rules.push((user.rules.non_profiled, rank));
            }
        }
        with_rules.sort_unstable();
        let kept = with_rules.split_off(with_rules.len().saturating_sub(budget / 2));
        evictable.extend(with_rules.into_iter().map(|(_, rank)| rank));
        evictable.sort_unstable();
        let surplus = self.ids.live() - budget + budget / EVICTED_ONE_IN;
        let kept = kept.into_iter().map(|(_, rank)| rank);
        for (.., user) in evictable.into_iter().chain(kept).take(surplus) {
            self.take(user);
        }
    }

    /// Drops rules and attributes of users until those of the others take no more than `most` bytes.
    /// That a user is not to be profiled stays.
    fn drop_most_set(&mut self, most: u64, sequence: Sequence) {
        let rank = |index| {
            let user = &self.states[index];
            (Reverse(user.set_bytes()), user.changed_at, index)
        };
        let mut users: Vec<_> = self.ids.live_indices().map(rank).collect();
        users.sort_unstable();
        for (.., user) in users {
            if self.set_bytes <= most {
                return;
            }
            let before = &self.states[user];
            let non_profiled = before.rules.non_profiled;
            let left = User {
                rules: Arc::new(UserRules { non_profiled, ..UserRules::default() }),
                attributes: Attributes::default(),
                cohorts: Vec::new(),
                changed_at: sequence,
                ..before.as_ref().clone()
            };
            self.put(user, left);
        }
    }

    /// Forgets a user and frees the slot; returns what was known.
    pub fn take(&mut self, user: UserIndex) -> (Arc<User>, Arc<Impressions>) {
        let Self { ids, aliases: _, states, impressions, set_bytes, nothing } = self;
        *set_bytes = set_bytes.saturating_sub(states[user].set_bytes());
        ids.forget(user);
        ids.release(user);
        let state = std::mem::replace(states.get_mut(user), nothing.clone());
        let shown = match user.as_usize() < impressions.len() {
            true => std::mem::take(impressions.get_mut(user)),
            false => Arc::default(),
        };
        (state, shown)
    }

    /// From now on an id answers as another user; it is no user any more.
    pub fn add_alias(&mut self, from: &str, into: &str, sequence: Sequence) {
        debug_assert!(self.ids.find(from).is_none(), "a user is taken out before its id answers");
        self.aliases.merge(from, into, sequence, limits::MERGED_IDS_BYTES);
    }

    /// Forgets the aliases of a user who is erased.
    pub fn forget_aliases(&mut self, user: &str) {
        self.aliases.forget(user);
    }

    /// Derives what is not in snapshots; `false` where the columns do not fit together.
    pub fn derive(&mut self) -> bool {
        self.ids.derive_free(|_| false);
        if !self.aliases.derive() {
            return false;
        }
        let Self { ids, aliases, states, impressions, set_bytes: _, nothing: _ } = self;
        let mut names = ids.live_indices().filter_map(|user| ids.name(user));
        names.all(|id| aliases.resolve(id) == &**id)
            && states.len() == ids.len()
            && impressions.len() <= ids.len()
    }
}
