//! What decisions do to the state, and what people then did with what was shown.

use std::sync::Arc;

use super::Engine;
use super::apply::Effect;
use super::apply::decision_key;
use super::bandit::PENDING_DECISIONS_MAX;
use super::bandit::PendingDecision;
use super::bandit::PendingItem;
use super::bandit::PendingTrial;
use super::bandit::Weight;
use super::bandit::discount;
use super::view::View;
use crate::domain::Decision;
use crate::domain::Interaction;
use crate::domain::Timestamp;
use crate::domain::reward;

/// Where the decision of this number waits for rewards.
fn place_of(number: u64) -> usize {
    (number % PENDING_DECISIONS_MAX as u64) as usize
}

impl View {
    /// Names of the decisions that may still be rewarded, from this number of decisions on.
    pub fn decision_keys_from(&self, number: u64) -> impl Iterator<Item = u128> {
        let end = self.counts.decisions;
        let first = number.max(end.saturating_sub(PENDING_DECISIONS_MAX as u64));
        (first..end).map(|number| self.decisions[place_of(number)].key)
    }

    /// Names of the selections of arms that may still be rewarded, from this number of
    /// selections on.
    pub fn selection_keys_from(&self, number: u64) -> impl Iterator<Item = u128> {
        self.arms.keys_from(number)
    }

    /// Selections of arms learnt so far.
    pub fn selections(&self) -> u64 {
        self.arms.selections
    }
}

impl Engine {
    pub(super) fn apply_decision(
        &mut self,
        decision: &Decision,
        recorded_at: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let user = self.intern_user(decision.user_id.as_str());
        let items: Vec<PendingItem> = decision
            .shown
            .iter()
            .map(|shown| {
                let item = self.intern_item(shown.item_id.as_str());
                PendingItem::new(item, shown.features.clone(), shown.propensity)
            })
            .collect();
        for shown in &items {
            self.view.popularity.items.get_mut(shown.item as usize).shown += 1;
            self.view.popularity.totals.shown += 1;
        }
        let key = decision_key(decision.decision_id.as_str());
        let at = decision.decided_at;
        self.note_shown(user, items.iter().map(|shown| shown.item), at, key);
        let number = self.view.counts.decisions;
        self.view.counts.decisions += 1;
        let settings = self.view.settings.ranker;
        let ranker = Arc::make_mut(&mut self.view.ranker);
        ranker.tick(settings.half_life_decisions, number);
        ranker.account.spend(f64::from(decision.exploration_cost));
        let curve = settings
            .examination_decay
            .map_or_else(Vec::new, |decay| ranker.examination.curve(items.len(), f64::from(decay)));
        let mut pending = PendingDecision::new(key, user, decision.segment, number, items);
        pending.trial = decision.trial.as_ref().map(|trial| PendingTrial::new(trial, recorded_at));
        pending.begin(&curve, ranker);
        if let Some(trial) = &decision.trial {
            Arc::make_mut(&mut self.view.takeover).begin(trial);
        }
        let pending = Arc::new(pending);
        let place = place_of(number);
        if place < self.view.decisions.len() {
            // Whoever it makes room for can be rewarded no more.
            if self.view.counts.settled + PENDING_DECISIONS_MAX as u64 == number {
                self.settle_next(recorded_at, effects);
            }
            let forgotten = std::mem::replace(self.view.decisions.get_mut(place), pending);
            self.decision_places.remove(&forgotten.key);
        } else {
            self.view.decisions.push(pending);
        }
        self.decision_places.insert(key, place);
    }

    /// Takes in what trials earned whose rewards have been waited for until now.
    pub(super) fn settle_decisions(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let window = self.view.takeover.reward_window_seconds;
        while self.view.counts.settled < self.view.counts.decisions {
            let next = &self.view.decisions[place_of(self.view.counts.settled)];
            if next.trial.is_some_and(|trial| now < trial.due(window)) {
                break;
            }
            self.settle_next(now, effects);
        }
    }

    fn settle_next(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let decision = &self.view.decisions[place_of(self.view.counts.settled)];
        self.view.counts.settled += 1;
        if let Some(trial) = &decision.trial {
            let takeover = Arc::make_mut(&mut self.view.takeover);
            let fell_back = takeover.settle(trial, decision, now);
            effects.extend(fell_back.map(|against| Effect::TakeoverFellBack { against }));
        }
    }

    pub(super) fn note_shown(
        &mut self,
        user: u32,
        items: impl Iterator<Item = u32>,
        at: Timestamp,
        decision: u128,
    ) {
        let showings = &mut self.view.showings;
        showings.grow(user as usize + 1, &Arc::default());
        Arc::make_mut(showings.get_mut(user as usize)).note(items, at, decision);
    }

    pub(super) fn credit_decision(
        &mut self,
        event: &Interaction,
        user: u32,
        item: u32,
        confidence: f32,
    ) {
        let Some(decision_id) = &event.decision_id else {
            return;
        };
        let key = decision_key(decision_id.as_str());
        let Some(&place) = self.decision_places.get(&key) else {
            return;
        };
        if self.view.decisions[place].user != user {
            return;
        }
        let decision = Arc::make_mut(self.view.decisions.get_mut(place));
        let half_life = self.view.settings.ranker.half_life_decisions;
        let left = discount(half_life, decision.number, self.view.counts.decisions - 1);
        let ranker = Arc::make_mut(&mut self.view.ranker);
        let (rewarded, earned) = (decision.is_rewarded(item), decision.earned(item));
        decision.credit(item, reward(confidence), Weight::new(left), ranker);
        ranker.account.earn(decision.earned(item) - earned);
        if !rewarded && decision.is_rewarded(item) {
            self.view.popularity.items.get_mut(item as usize).rewarded += 1;
            self.view.popularity.totals.rewarded += 1;
        }
    }
}
