//! The state by user, in columns.
//!
//! - A user has an index: its slot in every column. Nothing else refers to it, so a slot is used
//!   again as soon as its user is forgotten.
//! - There is a budget. Users with the shortest histories are evicted first, of equals those
//!   that changed longest ago.

use std::sync::Arc;

use crate::columns::column::Column;
use crate::columns::index::UserIndex;
use crate::columns::interner::Interner;
use crate::columns::part::Part;
use crate::consumption::Impressions;
use crate::consumption::User;

/// Each eviction frees this part of the budget: one in this many.
const EVICTED_ONE_IN: usize = 16;

/// The users of a namespace.
#[derive(Debug, Clone, Default)]
pub struct UserStore {
    pub ids: Interner<UserIndex>,
    pub states: Column<Arc<User>, UserIndex>,
    /// Recent impressions of each user; as long as `states`, or shorter.
    pub impressions: Column<Arc<Impressions>, UserIndex>,
    nothing: Arc<User>,
}

/// As in [`super::items`].
macro_rules! parts_of {
    ($store:expr, $part:ty) => {{
        let UserStore { ids, states, impressions, nothing: _ } = $store;
        let parts: Vec<(&'static str, $part)> =
            vec![("user_ids", ids), ("users", states), ("impressions", impressions)];
        parts
    }};
}

impl UserStore {
    pub fn parts(&self) -> Vec<(&'static str, &dyn Part)> {
        parts_of!(self, &dyn Part)
    }

    pub fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)> {
        parts_of!(self, &mut dyn Part)
    }

    /// Slots, used or not: every index is below.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// The index of a user, and whether it is new.
    pub fn intern(&mut self, user_id: &str) -> (UserIndex, bool) {
        let before = self.ids.live();
        let user = self.ids.intern(user_id);
        self.states.grow(user.as_usize() + 1, &self.nothing);
        (user, self.ids.live() > before)
    }

    /// Forgets users once there are more than `budget`.
    pub fn evict(&mut self, budget: usize) {
        if self.ids.live() <= budget {
            return;
        }
        let mut evictable: Vec<_> = self
            .ids
            .live_indices()
            .map(|index| {
                let user = &self.states[index];
                (user.history.entries().len(), user.changed_at, index)
            })
            .collect();
        evictable.sort_unstable();
        evictable.truncate(self.ids.live() - budget + budget / EVICTED_ONE_IN);
        evictable.into_iter().for_each(|(.., user)| self.forget(user));
    }

    /// Forgets a user and frees the slot.
    pub fn forget(&mut self, user: UserIndex) {
        let Self { ids, states, impressions, nothing } = self;
        ids.forget(user);
        ids.release(user);
        *states.get_mut(user) = nothing.clone();
        if user.as_usize() < impressions.len() {
            *impressions.get_mut(user) = Arc::default();
        }
    }
}
