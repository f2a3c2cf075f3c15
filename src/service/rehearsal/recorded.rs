//! How likely a call would have shown a recorded list, by the candidates and beliefs of its record.

use std::collections::HashMap;
use std::sync::Arc;

use crate::service::personalize::Candidates;
use crate::service::personalize::PersonalizeCall;
use crate::service::work_out::CallContext;
use crate::service::work_out::ask_among;
use crate::service::work_out::item_of;
use engine::Cancelled;
use engine::Candidate;
use engine::GiveUp;
use engine::ItemIndex;
use engine::Placed;
use engine::View;
use engine::boosted_rewards;
use engine::domain::Believed;
use engine::domain::DecisionDetail;
use engine::domain::Item;
use engine::propensities_of;
use engine::strategy::Beliefs;

/// Candidates of a decision, those of the catalogue first, with what was believed of each.
#[derive(Debug, Clone, Default)]
pub struct RecordedCandidates {
    indices: Vec<ItemIndex>,
    described: Vec<Arc<Item>>,
    /// Expected rewards with boosts and bonuses.
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl RecordedCandidates {
    /// Those that are still known: of the catalogue, and as the request describes them.
    pub fn of(view: &View, detail: &DecisionDetail, given: &Candidates) -> Self {
        let (mut of_catalogue, mut of_request) = (Self::default(), Self::default());
        for Believed { item_id, mean, deviation } in detail.beliefs() {
            let index = view.item_index(item_id);
            let index = index.filter(|&index| view.entry(index).item.is_some());
            let known = match (given.described(item_id), index) {
                (Some(item), _) => {
                    of_request.described.push(item.clone());
                    &mut of_request
                }
                (None, Some(index)) => {
                    of_catalogue.indices.push(index);
                    &mut of_catalogue
                }
                (None, None) => continue,
            };
            known.means.push(f64::from(mean));
            known.deviations.push(f64::from(deviation));
        }
        of_catalogue.described = of_request.described;
        of_catalogue.means.append(&mut of_request.means);
        of_catalogue.deviations.append(&mut of_request.deviations);
        of_catalogue
    }

    /// The same with beliefs changed as the present model believes otherwise of them under one call than under
    /// another.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn shifted(
        self,
        view: &View,
        context: &CallContext,
        (from, to): (&PersonalizeCall, &PersonalizeCall),
        give_up: &GiveUp<'_>,
    ) -> Result<Self, Cancelled> {
        let rewards = |call: &PersonalizeCall| {
            ask_among(view, call, context, give_up, self.among(), |asked| {
                boosted_rewards(view, asked.candidates, asked.request)
            })
        };
        let changes: Vec<(f64, f64)> = rewards(to)?.into_iter().zip(rewards(from)?).collect();
        let means = self.means.iter().zip(changes);
        let means = means.map(|(mean, (to, from))| mean + to - from).collect();
        Ok(Self { means, ..self })
    }

    /// The probability that a call gives each position of a list to its item, given the positions above.
    /// Conditions of the request exclude candidates, what the user did does not. `shown`: ids, and whether
    /// the item was pinned. `None` when an item is no candidate.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn propensities<'s>(
        &self,
        view: &View,
        context: &CallContext,
        call: &PersonalizeCall,
        shown: impl Iterator<Item = (&'s str, bool)>,
        give_up: &GiveUp<'_>,
    ) -> Result<Option<Vec<f64>>, Cancelled> {
        ask_among(view, call, context, give_up, self.among(), |asked| {
            let ids = asked.candidates.iter().map(|one| item_of(one).item_id.as_str());
            let position_of: HashMap<&str, usize> = ids.zip(0..).collect();
            let placed =
                |(id, pinned)| position_of.get(id).map(|&candidate| Placed { candidate, pinned });
            let Some(shown) = shown.map(placed).collect::<Option<Vec<Placed>>>() else {
                return Ok(None);
            };
            let is_excluded =
                |one: &Candidate<'_>| !asked.eligible.is_asked_for(one.entry, one.index);
            let candidates = asked.candidates.iter().zip(0..);
            let excluded = candidates.filter(|(one, _)| is_excluded(one)).map(|(_, at)| at);
            let excluded: Vec<usize> = excluded.collect();
            let beliefs = Beliefs { means: &self.means, deviations: &self.deviations };
            let found =
                propensities_of(view, asked.candidates, asked.request, beliefs, &shown, &excluded);
            found.map(Some)
        })
    }

    fn among(&self) -> (Vec<ItemIndex>, Vec<Arc<Item>>) {
        (self.indices.clone(), self.described.clone())
    }
}
