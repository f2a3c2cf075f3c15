//! What an update of a user changes.

use std::sync::Arc;

use crate::Engine;
use crate::consumption::User;
use crate::domain::Timestamp;
use crate::domain::UserRules;
use crate::domain::UserUpdate;

impl Engine {
    pub(super) fn update_user(&mut self, update: &UserUpdate, sequence: u64, at: Timestamp) {
        let user = self.intern_user(update.user_id.as_str());
        let mut state = User::clone(&self.view.users.states[user]);
        let mut rules = UserRules::clone(&state.rules);
        update.rules.apply_to(&mut rules, at);
        if rules != *state.rules {
            state.rules = Arc::new(rules);
        }
        if !update.attributes.is_empty() {
            state.attributes = update.attributes.applied_to(&state.attributes);
            state.cohorts = self.view.cohorts.of(&state.attributes);
        }
        state.changed_at = sequence;
        self.view.users.put(user, state);
    }
}
