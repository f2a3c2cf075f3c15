//! What a published model changes, and what gathers about items between two trainings.

use std::sync::Arc;

use crate::Engine;
use crate::domain::PublishedModel;
use crate::domain::Timestamp;
use crate::learning::apply::Effect;
use crate::models::collaborative;
use crate::models::collaborative::ItemSolve;
use crate::models::published;
use crate::state::factors::ItemFactors;

impl Engine {
    /// Everything is checked before anything is changed.
    pub(super) fn switch_model(
        &mut self,
        published: &PublishedModel,
        sequence: u64,
        at: Timestamp,
    ) -> Effect {
        let version = published.version;
        let decoded = match published::decode(&self.view, published, sequence, at) {
            Ok(decoded) => decoded,
            Err(fault) => return Effect::ModelRefused { version, fault },
        };
        self.view.items.factors = ItemFactors::new(decoded.model.k, &decoded.item_factors);
        self.view.item_item = decoded.item_item;
        self.view.model = Some(decoded.model);
        self.view.release_rows_of_old_model();
        // A good moment to weigh terms anew: doublings grow rare in old catalogues.
        let evicted = self.view.vocabulary.refit();
        self.forget_terms(evicted);
        self.weigh_all_terms();
        // Sums over the old user factors mean nothing beside the new ones.
        self.view.items.accumulators =
            std::iter::repeat_n(None, self.view.items.entries.len()).collect();
        self.view.unsolved.clear();
        self.foretell_all();
        Effect::ModelSwitched { version }
    }

    /// Gives items with new evidence their factors: an exact item-side solve, as
    /// in training, with the user side fixed.
    pub(super) fn solve_new_items(&mut self) {
        let unsolved = std::mem::take(&mut self.view.unsolved);
        let Some(model) = self.view.model.clone().filter(|_| !unsolved.is_empty()) else {
            return;
        };
        let mut solver = ItemSolve::new(model.k);
        let mut row = vec![0.0; model.k];
        let mut updated = model.as_ref().clone();
        for item in unsolved {
            let Some(sums) = &self.view.items.accumulators[item as usize] else {
                continue;
            };
            let prior = self.view.foretold_factors(item);
            let (gram, weights) = (&model.user_gram, &model.regularization);
            solver.solve(sums, gram, weights, prior.as_deref(), &mut row);
            let old = self
                .view
                .items
                .factors
                .row(item)
                .map_or_else(|| vec![0.0; model.k], <[f32]>::to_vec);
            collaborative::update_gram(&mut updated.item_gram, &old, &row);
            self.view.items.factors.set_row(item, &row);
        }
        self.view.model = Some(Arc::new(updated));
    }
}
