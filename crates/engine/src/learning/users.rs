//! What an update of a user changes.

use std::sync::Arc;

use crate::Engine;
use crate::domain::Timestamp;
use crate::domain::UserRules;
use crate::domain::UserUpdate;

impl Engine {
    pub(super) fn update_user(&mut self, update: &UserUpdate, sequence: u64, at: Timestamp) {
        let user = self.intern_user(update.user_id.as_str());
        let mut rules = UserRules::clone(&self.view.users.states[user].rules);
        update.rules.apply_to(&mut rules, at);
        self.view.users.set_rules(user, rules);
        if !update.attributes.is_empty() {
            let attributes = update.attributes.applied_to(&self.view.users.states[user].attributes);
            let cohorts = self.view.cohorts.of(&attributes);
            let state = Arc::make_mut(self.view.users.states.get_mut(user));
            (state.attributes, state.cohorts) = (attributes, cohorts);
        }
        Arc::make_mut(self.view.users.states.get_mut(user)).changed_at = sequence;
    }
}
