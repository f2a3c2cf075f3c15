//! What a user did with the positions of a list, and a change of taste that this tells.

use std::sync::Arc;

use crate::Engine;
use crate::columns::index::UserIndex;
use crate::consumption::Response;
use crate::domain::Interaction;
use crate::domain::Sequence;
use crate::features::FEATURES;
use crate::learning::apply::decision_key;
use crate::models::hybrid::FeatureMatrix;
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
        let state = &self.users.states[user];
        let positives = state.history.positives().count() as u32;
        let known = &state.responses;
        let response = |(position, is_taken): (usize, bool)| {
            let item = self.item_of_key(decision.items()[position])?;
            if known.knows(item, decision.decided_at, is_taken) {
                return None;
            }
            let vector = decision.vector(position)?;
            let expected = decision.expected(position);
            let without = expected * math::exp(-self.of_long_term(&vector, positives));
            let (expected, without) = (expected as f32, without as f32);
            Some((Response::new(item, decision.decided_at, expected, without), is_taken))
        };
        decision.looked_at().filter_map(response).collect()
    }

    /// What the long-term taste adds to the logit of a choice of a user with so many positives.
    fn of_long_term(&self, vector: &[f32], positives: u32) -> f64 {
        let features = &vector[vector.len() - FEATURES.len()..];
        let shaped =
            self.hybrid.shaped(&FeatureMatrix::from_rows([features]).of_history(positives));
        let values = FEATURES.iter().zip(self.hybrid.weights()).zip(shaped.row(0));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Settings;
    use crate::features::hybrid_prior;
    use crate::models::hybrid::Curve;
    use crate::models::hybrid::Curves;
    use crate::models::hybrid::HybridFit;

    #[test]
    fn what_the_long_term_taste_adds_follows_the_curves_of_its_features() {
        let d = FEATURES.len();
        let mut view = Engine::new(Settings::default()).state().clone();
        let curve = Curve { slope: 3.0, ..Curve::default() };
        let mut curves = vec![None; d];
        curves[0] = Some(curve);
        let mut weights = vec![0.0; d];
        weights[0] = 2.0;
        Arc::make_mut(&mut view.hybrid).adopt(&HybridFit {
            layout: hybrid_prior().layout,
            units: vec![Some(1.0); d],
            curves: Curves::new(curves, (-1.0, 1.0)),
            weights,
            information: vec![0.0; d * d],
            mean: 0.0,
            variance: 1.0,
        });
        assert_eq!(FEATURES[0].group, LONG_TERM[0]);
        let mut vector = vec![0.0; d + 2];
        vector[2] = 0.5;
        assert_eq!(view.of_long_term(&vector, 0), 3.0);
    }
}
