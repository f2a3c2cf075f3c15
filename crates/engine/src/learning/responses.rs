//! What a user did with the positions of a list: of which the user knows how they were seen and what was expected.

use std::sync::Arc;

use crate::Engine;
use crate::columns::index::UserIndex;
use crate::consumption::Response;
use crate::domain::Interaction;
use crate::learning::apply::decision_key;
use crate::state::View;

impl View {
    /// The positions of the event's list that its user has looked at and of which the user's state does not know
    /// yet, and whether each is taken.
    fn new_responses(&self, event: &Interaction, user: UserIndex) -> Vec<(Response, bool)> {
        let find = || {
            let key = decision_key(event.decision_id.as_ref()?.as_str());
            self.pending_decision(key)
        };
        let Some(decision) = find() else {
            return Vec::new();
        };
        if decision.user != self.user_key(event.user_id.as_str()) {
            return Vec::new();
        }
        let known = &self.users.states[user].responses;
        let response = |(position, is_taken): (usize, bool)| {
            let item = self.item_of_key(decision.items()[position])?;
            if known.knows(item, decision.decided_at, is_taken) {
                return None;
            }
            let expected = decision.expected(position) as f32;
            Some((Response::new(item, decision.decided_at, expected), is_taken))
        };
        decision.looked_at().filter_map(response).collect()
    }
}

impl Engine {
    /// Takes in what an event tells of its list.
    pub(super) fn note_responses(&mut self, event: &Interaction, user: UserIndex) {
        if !self.view.users.states[user].is_profiled() {
            return;
        }
        let responses = self.view.new_responses(event, user);
        if responses.is_empty() {
            return;
        }
        let state = Arc::make_mut(self.view.users.states.get_mut(user));
        let known = Arc::make_mut(&mut state.responses);
        for (response, is_taken) in responses {
            known.note(response, is_taken);
        }
    }
}
