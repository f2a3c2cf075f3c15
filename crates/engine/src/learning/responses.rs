//! What a user did with the positions of a list, and a change of taste that this tells.

use std::sync::Arc;

use crate::Engine;
use crate::columns::index::UserIndex;
use crate::consumption::Response;
use crate::domain::Interaction;
use crate::domain::Sequence;
use crate::features::FEATURES;
use crate::learning::apply::decision_key;
use crate::numeric::math;
use crate::state::View;

/// Groups of features that tell of the long-term taste.
const LONG_TERM: [&str; 4] = ["collaborative", "content", "profile", "item-item"];

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
            let vector = decision.vector(position)?;
            let expected = decision.expected(position);
            let without = expected * math::exp(-self.of_long_term(&vector));
            let (expected, without) = (expected as f32, without as f32);
            Some((Response::new(item, decision.decided_at, expected, without), is_taken))
        };
        decision.looked_at().filter_map(response).collect()
    }

    /// What the long-term taste adds to the logit of a choice.
    fn of_long_term(&self, vector: &[f32]) -> f64 {
        let features = &vector[vector.len() - FEATURES.len()..];
        let values = FEATURES.iter().zip(self.hybrid.weights()).zip(features);
        let values = values.filter(|((feature, _), _)| LONG_TERM.contains(&feature.group));
        values.map(|((_, weight), value)| weight * f64::from(*value)).sum()
    }
}

impl Engine {
    /// Takes in what an event tells of its list.
    pub(super) fn note_responses(
        &mut self,
        event: &Interaction,
        user: UserIndex,
        sequence: Sequence,
    ) {
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
        if let Some(at) = known.find_change() {
            state.turn(at);
            state.changed_at = sequence;
        }
    }
}
