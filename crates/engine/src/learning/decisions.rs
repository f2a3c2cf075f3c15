//! What decisions do to the state, and what people then did with what was shown.

use std::sync::Arc;

use crate::Engine;
use crate::bandit::PENDING_DECISIONS_MAX;
use crate::bandit::PendingDecision;
use crate::bandit::PendingItem;
use crate::bandit::PendingTrial;
use crate::bandit::Piece;
use crate::bandit::Weight;
use crate::bandit::discount;
use crate::consumption::is_within_a_day;
use crate::domain::Decision;
use crate::domain::FeatureLayout;
use crate::domain::Interaction;
use crate::domain::ShownItem;
use crate::domain::TakeoverTrial;
use crate::domain::Timestamp;
use crate::domain::reward;
use crate::learning::apply::Effect;
use crate::learning::apply::decision_key;
use crate::state::View;
use crate::state::interner::name_key;

/// Where the decision of this number waits for rewards.
fn place_of(number: u64) -> usize {
    (number % PENDING_DECISIONS_MAX as u64) as usize
}

impl View {
    /// Whether a decision, by the key of its id, may still be rewarded. Costs a look into a
    /// table, as does the next.
    pub fn knows_decision(&self, key: u128) -> bool {
        self.decision_position(key).is_some()
    }

    /// The same of a selection of an arm.
    pub fn knows_selection(&self, key: u128) -> bool {
        self.arms.knows(key)
    }

    fn decision_position(&self, key: u128) -> Option<usize> {
        self.decision_index.find(key as u64, |at| self.decisions[at].key == key)
    }

    fn index_decision(&mut self, at: usize) {
        let Self { decision_index, user_decisions, decisions, .. } = self;
        let (key, user) = (decisions[at].key, decisions[at].user);
        decision_index.insert(key as u64, at, |at| decisions[at].key == key);
        user_decisions.insert(user, at, |at| decisions[at].user == user);
    }

    /// The newest decision for a user, by the key of the id.
    fn newest_of(&self, user: u64) -> Option<&Arc<PendingDecision>> {
        let newest = self.user_decisions.find(user, |at| self.decisions[at].user == user);
        newest.map(|at| &self.decisions[at])
    }

    /// The decisions for a user that may still be rewarded, the newest first.
    fn decisions_for(&self, user: u64) -> impl Iterator<Item = &Arc<PendingDecision>> {
        let oldest = self.counts.decisions.saturating_sub(PENDING_DECISIONS_MAX as u64);
        std::iter::successors(self.newest_of(user), move |decision| {
            let previous = decision.previous.filter(|&number| number >= oldest)?;
            Some(&self.decisions[place_of(previous)])
        })
    }

    /// What a user was shown in the 24 hours before `now`: keys of items, one for each
    /// showing. Of a user of whom nothing but requests is known, as far as the decisions
    /// that may still be rewarded reach back.
    pub(crate) fn shown_in_a_day(&self, user_id: &str, now: Timestamp) -> Vec<u64> {
        if let Some(user) = self.user_index(user_id) {
            let showings = self.users.impressions.get(user as usize);
            return showings.map_or_else(Vec::new, |showings| showings.in_a_day(now).collect());
        }
        let recent = self.decisions_for(name_key(user_id));
        let recent = recent.filter(|decision| is_within_a_day(decision.decided_at, now));
        recent.flat_map(|decision| decision.items.iter().map(|shown| shown.item)).collect()
    }

    /// Whether the showings of a decision, by the key of its id, are counted in the state.
    pub fn knows_showings(&self, user_id: &str, decision: u128) -> bool {
        let showings =
            self.user_index(user_id).and_then(|user| self.users.impressions.get(user as usize));
        self.decision_position(decision).is_some()
            || showings.is_some_and(|showings| showings.has_decision(decision))
    }

    /// Derives where each pending decision is. In the order of the log: of two of one key
    /// the newer is meant.
    pub(crate) fn index_decisions(&mut self) {
        let end = self.counts.decisions;
        for number in end - self.decisions.len() as u64..end {
            self.index_decision(place_of(number));
        }
    }
}

impl Engine {
    pub(crate) fn apply_decision(
        &mut self,
        decision: &Decision,
        recorded_at: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let shown = decision.shown.iter();
        let items: Vec<PendingItem> =
            shown.map(|shown| self.count_shown(shown, &decision.layout)).collect();
        let key = decision_key(decision.decision_id.as_str());
        if let Some(user) = self.view.user_index(decision.user_id.as_str()) {
            let shown = items.iter().map(|shown| shown.item);
            self.note_shown(user, shown, decision.decided_at, key);
        }
        let user = name_key(decision.user_id.as_str());
        let previous = self.view.newest_of(user).map(|newest| newest.number);
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
        (pending.decided_at, pending.previous) = (decision.decided_at, previous);
        pending.weight =
            ranker.influence.weigh(user, recorded_at, Piece::Impression, pending.items.len());
        pending.trial = decision.trial.as_ref().map(|trial| PendingTrial::new(trial, recorded_at));
        pending.begin(&curve, ranker);
        if let Some(trial) = &decision.trial {
            let layout = self.view.ranker.layout();
            let difference = layout.aligned(&decision.layout, &trial.difference);
            let trial = TakeoverTrial { difference, ..TakeoverTrial::clone(trial) };
            Arc::make_mut(&mut self.view.takeover).begin(&trial);
        }
        self.remember(pending, recorded_at, effects);
    }

    /// Counts the showing of an item that is known. Others are not made known by it.
    fn count_shown(&mut self, shown: &ShownItem, layout: &FeatureLayout) -> PendingItem {
        let id = shown.item_id.as_str();
        let known = self.view.items.ids.find(id);
        if let Some(item) = known {
            self.view.items.popularity.count_shown(item);
        }
        let features = self.view.ranker.layout().aligned(layout, &shown.features);
        PendingItem::new(name_key(id), known.is_some(), features, shown.propensity)
    }

    fn remember(
        &mut self,
        pending: PendingDecision,
        recorded_at: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let number = pending.number;
        let (place, pending) = (place_of(number), Arc::new(pending));
        if place < self.view.decisions.len() {
            // Whoever it makes room for can be rewarded no more.
            if self.view.counts.settled + PENDING_DECISIONS_MAX as u64 == number {
                self.settle_next(recorded_at, effects);
            }
            let forgotten = std::mem::replace(self.view.decisions.get_mut(place), pending);
            self.view.decision_index.remove(forgotten.key as u64, place);
            self.view.user_decisions.remove(forgotten.user, place);
        } else {
            self.view.decisions.push(pending);
        }
        self.view.index_decision(place);
    }

    /// Takes in what trials earned whose rewards have been waited for until now.
    pub(crate) fn settle_decisions(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
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

    pub(crate) fn note_shown(
        &mut self,
        user: u32,
        items: impl Iterator<Item = u64>,
        at: Timestamp,
        decision: u128,
    ) {
        let showings = &mut self.view.users.impressions;
        showings.grow(user as usize + 1, &Arc::default());
        Arc::make_mut(showings.get_mut(user as usize)).note(items, at, decision);
    }

    /// Whoever becomes known keeps what the decisions of the window say was shown.
    pub(crate) fn note_shown_before(&mut self, user: u32, user_id: &str) {
        let shown: Vec<Arc<PendingDecision>> =
            self.view.decisions_for(name_key(user_id)).cloned().collect();
        for decision in shown.into_iter().rev() {
            let items = decision.items.iter().map(|shown| shown.item);
            self.note_shown(user, items, decision.decided_at, decision.key);
        }
    }

    pub(crate) fn credit_decision(&mut self, event: &Interaction, item: u32, confidence: f32) {
        let Some(decision_id) = &event.decision_id else {
            return;
        };
        let key = decision_key(decision_id.as_str());
        let Some(place) = self.view.decision_position(key) else {
            return;
        };
        if self.view.decisions[place].user != name_key(event.user_id.as_str()) {
            return;
        }
        let shown = name_key(event.item_id.as_str());
        let decision = Arc::make_mut(self.view.decisions.get_mut(place));
        let half_life = self.view.settings.ranker.half_life_decisions;
        let left = discount(half_life, decision.number, self.view.counts.decisions - 1);
        let ranker = Arc::make_mut(&mut self.view.ranker);
        let (rewarded, earned) = (decision.is_rewarded(shown), decision.earned(shown));
        decision.credit(shown, reward(confidence), Weight::new(left), ranker);
        ranker.account.earn(decision.earned(shown) - earned);
        if !rewarded && decision.is_rewarded(shown) && decision.is_counted(shown) {
            self.view.items.popularity.count_rewarded(item);
        }
    }
}
