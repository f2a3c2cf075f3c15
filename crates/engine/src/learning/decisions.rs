//! What decisions do to the state, and what users then did with what was shown.
//!
//! A decision may be rewarded for the hours that are set, as far as the memory that is set
//! reaches. Trials are settled in their order, at the latest when they are forgotten.

use std::sync::Arc;

use crate::Engine;
use crate::bandit::ItemEffect;
use crate::bandit::Learners;
use crate::bandit::PendingDecision;
use crate::bandit::PendingTrial;
use crate::bandit::Piece;
use crate::bandit::ShownPosition;
use crate::bandit::Weight;
use crate::bandit::discount;
use crate::columns::aliases::UserKey;
use crate::columns::index::ItemIndex;
use crate::columns::index::UserIndex;
use crate::columns::interner::name_key;
use crate::columns::window::Window;
use crate::consumption::User;
use crate::consumption::is_within_a_day;
use crate::domain::Decision;
use crate::domain::FeatureLayout;
use crate::domain::Interaction;
use crate::domain::Sequence;
use crate::domain::ShownItem;
use crate::domain::TakeoverChange;
use crate::domain::TakeoverTrial;
use crate::domain::Timestamp;
use crate::domain::reward;
use crate::learning::apply::Effect;
use crate::learning::apply::decision_key;
use crate::learning::own_rankers;
use crate::learning::own_rankers::own_ranker_of;
use crate::learning::own_rankers::teach;
use crate::learning::pages::page_before_of;
use crate::models::hybrid::FeatureMatrix;
use crate::state::View;
use crate::takeover::WindowNotHeld;

/// Decisions that the present rate is measured over, and the fewest to measure it by.
const RATE_DECISIONS: u64 = 16_384;
const RATE_DECISIONS_MIN: u64 = 1_024;

impl View {
    /// Whether a decision, by the key of its id, may still be rewarded. Costs a look into a
    /// table, as does the next.
    pub fn knows_decision(&self, key: u128) -> bool {
        self.decision_number(key).is_some()
    }

    /// The same of a selection of an arm.
    pub fn knows_selection(&self, key: u128) -> bool {
        self.arms.knows(key)
    }

    /// The sequence of such a selection: that of the first record with its id.
    pub fn selection_sequence(&self, key: u128) -> Option<Sequence> {
        self.arms.sequence_of(key)
    }

    /// What is believed that an item earns beyond its features. `None`: an item that is not
    /// known.
    pub fn item_effect(&self, item: Option<ItemIndex>) -> ItemEffect {
        let id = item.and_then(|item| self.items.ids.name(item));
        id.map_or_else(|| self.item_effects.of_unknown(), |id| self.item_effects.of(name_key(id)))
    }

    pub(crate) fn pending_decision(&self, key: u128) -> Option<&PendingDecision> {
        self.decisions.get(self.decision_number(key)?)
    }

    pub(super) fn decision_number(&self, key: u128) -> Option<u64> {
        let decisions = &self.decisions;
        let is_it = |slot: usize| {
            decisions.get(decisions.number_at(slot)).is_some_and(|decision| decision.key == key)
        };
        self.decision_index.find(key as u64, is_it).map(|slot| decisions.number_at(slot))
    }

    /// What a decision showed that an event names, as rows of features on their scale, those of
    /// the event's item first, without what the user has in use; `None` where there are no others.
    pub(crate) fn shown_with(
        &self,
        event: &Interaction,
        user: &User,
        at: Timestamp,
    ) -> Option<FeatureMatrix> {
        let key = decision_key(event.decision_id.as_ref()?.as_str());
        let decision = self.decisions.get(self.decision_number(key)?)?;
        let item = name_key(event.item_id.as_str());
        let chosen = decision.items().iter().position(|key| *key == item)?;
        if decision.user != self.user_key(event.user_id.as_str()) {
            return None;
        }
        let open = user.history.open(at, self.return_gap.seconds()).iter();
        let in_use: Vec<u64> = open
            .filter_map(|entry| self.items.ids.name(entry.item))
            .map(|id| name_key(id))
            .collect();
        let shown = decision.items().iter().enumerate();
        let others = shown.filter(|(at, key)| *at != chosen && !in_use.contains(key));
        let vectors: Vec<Vec<f32>> = std::iter::once(decision.vector(chosen)?)
            .chain(others.filter_map(|(at, _)| decision.vector(at)))
            .collect();
        let head = self.ranker.layout().len() - self.hybrid.layout().len();
        let rows = vectors.iter().filter_map(|vector| vector.get(head..));
        let rows =
            FeatureMatrix::from_rows(rows).of_history(user.history.positives().count() as u32);
        Some(rows).filter(|shown| shown.len() > 1)
    }

    fn index_decision(&mut self, number: u64) {
        let Self { decision_index, decisions, .. } = self;
        let Some(key) = decisions.get(number).map(|decision| decision.key) else {
            return;
        };
        let at = |slot: usize| decisions.get(decisions.number_at(slot));
        let is_key = |slot| at(slot).is_some_and(|other| other.key == key);
        decision_index.insert(key as u64, Window::<PendingDecision>::slot(number), is_key);
        self.index_user(number);
    }

    /// From now on this decision is the newest for its user.
    pub(super) fn index_user(&mut self, number: u64) {
        let Self { user_decisions, decisions, .. } = self;
        let Some(user) = decisions.get(number).map(|decision| decision.user) else {
            return;
        };
        let at = |slot: usize| decisions.get(decisions.number_at(slot));
        let is_user = |slot| at(slot).is_some_and(|other| other.user == user);
        user_decisions.insert(user.get(), Window::<PendingDecision>::slot(number), is_user);
    }

    /// The newest decision for a user.
    fn newest_of(&self, user: UserKey) -> Option<&Arc<PendingDecision>> {
        let decisions = &self.decisions;
        let is_it = |slot: usize| {
            decisions.get(decisions.number_at(slot)).is_some_and(|decision| decision.user == user)
        };
        let newest = self.user_decisions.find(user.get(), is_it)?;
        decisions.shared(decisions.number_at(newest))
    }

    /// The decisions for a user that may still be rewarded, the newest first.
    pub(super) fn decisions_for(
        &self,
        user: UserKey,
    ) -> impl Iterator<Item = &Arc<PendingDecision>> {
        std::iter::successors(self.newest_of(user), move |decision| {
            decision.previous.and_then(|number| self.decisions.shared(number))
        })
    }

    #[cfg(test)]
    pub(crate) fn decision_numbers(&self, user: UserKey) -> Vec<u64> {
        self.decisions_for(user).map(|decision| decision.number).collect()
    }

    /// What a user was shown in the 24 hours before `now`: keys of items, one for each
    /// impression. Of a user of whom nothing but requests is known, as far as the decisions
    /// that may still be rewarded reach back.
    pub(crate) fn shown_in_a_day(&self, user_id: &str, now: Timestamp) -> Vec<u64> {
        if let Some(user) = self.user_index(user_id) {
            let impressions = self.users.impressions.get(user);
            return impressions.map_or_else(Vec::new, |shown| shown.in_a_day(now).collect());
        }
        let recent = self.decisions_for(self.user_key(user_id));
        let recent = recent.filter(|decision| is_within_a_day(decision.decided_at, now));
        recent.flat_map(|decision| decision.items().iter().copied()).collect()
    }

    /// Whether the impressions of a decision, by the key of its id, are counted in the state.
    pub fn knows_impressions(&self, user_id: &str, decision: u128) -> bool {
        let impressions =
            self.user_index(user_id).and_then(|user| self.users.impressions.get(user));
        self.decision_number(decision).is_some()
            || impressions.is_some_and(|shown| shown.has_decision(decision))
    }

    /// Derives where each pending decision is. In the order of the log: of two of one key
    /// the newer is meant.
    pub(crate) fn index_decisions(&mut self) {
        for number in self.decisions.first()..self.decisions.end() {
            self.index_decision(number);
        }
    }

    /// Whether the pending decisions of a snapshot fit what is counted.
    pub(crate) fn has_whole_decisions(&self) -> bool {
        let Self { decisions, counts, .. } = self;
        let mut numbers = decisions.first()..decisions.end();
        decisions.end() == counts.decisions
            && [counts.settled, counts.settled_lists]
                .iter()
                .all(|settled| (decisions.first()..=decisions.end()).contains(settled))
            && numbers.all(|number| {
                let decision = decisions.get(number);
                decision.is_some_and(|one| one.number == number && one.is_whole())
            })
    }

    /// Memory of pending decisions that are held, in bytes.
    pub fn pending_decision_bytes(&self) -> u64 {
        self.decisions.bytes()
    }

    /// For how long decisions are held at the present rate, in seconds, where memory is what
    /// bounds it; `None` as long as there are too few.
    pub fn credit_seconds_held(&self) -> Option<u32> {
        let held = self.decisions.held();
        let newest = self.decisions.newest().filter(|_| held >= RATE_DECISIONS_MIN)?;
        let budget = self.settings.ranker.credit_bytes() as f64;
        let mean_bytes = self.decisions.bytes() as f64 / held as f64;
        let over = |count: u64| {
            let first = self.decisions.get(self.decisions.end() - count)?;
            let hours = newest.recorded_at.hours_since(first.recorded_at).max(0.0);
            Some(3_600.0 * hours * budget / (mean_bytes * count as f64))
        };
        let seconds = over(held)?.min(over(held.min(RATE_DECISIONS))?);
        Some(seconds.min(f64::from(u32::MAX)) as u32)
    }

    /// What is wrong with a change of the takeover, if anything is: it would take over
    /// requests, and rewards would be waited for longer than decisions are held at the
    /// present rate.
    pub fn window_not_held(&self, change: &TakeoverChange) -> Option<WindowNotHeld> {
        let takeover = self.takeover.changed(change);
        let held_seconds = self.credit_seconds_held()?;
        let window_seconds = takeover.reward_window_seconds;
        let is_short = takeover.share > 0.0 && held_seconds < window_seconds;
        is_short.then_some(WindowNotHeld { held_seconds, window_seconds })
    }
}

impl Engine {
    pub(crate) fn apply_decision(
        &mut self,
        decision: &Decision,
        recorded_at: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let key = decision_key(decision.decision_id.as_str());
        let user = self.view.user_key(decision.user_id.as_str());
        let shown = decision.shown.iter();
        let shown: Vec<ShownPosition> =
            shown.map(|shown| self.count_shown(shown, &decision.layout)).collect();
        let dimension = self.view.ranker.shared().dimension();
        let mut pending = PendingDecision::new(key, user, &shown, dimension);
        if let Some(user) = self.view.user_index(decision.user_id.as_str()) {
            self.note_shown(user, pending.items().iter().copied(), decision.decided_at, key);
        }
        let number = self.view.decisions.end();
        pending.number = number;
        pending.segment = decision.segment;
        pending.previous = self.view.newest_of(user).map(|newest| newest.number);
        (pending.decided_at, pending.recorded_at) = (decision.decided_at, recorded_at);
        let trial = decision.trial.as_ref();
        pending.trial = trial.map(|trial| Box::new(PendingTrial::new(trial, recorded_at)));
        let page_before = decision.continues.as_ref();
        pending.page_before = page_before.map(|page| Box::new(page_before_of(page)));
        pending.own_ranker = own_ranker_of(&decision.assignments);
        pending.division = self.begin_division(decision, recorded_at);
        self.begin(&mut pending, decision.exploration_cost);
        if let Some(trial) = trial {
            let layout = self.view.ranker.layout();
            let difference = layout.aligned(&decision.layout, &trial.difference);
            let trial = TakeoverTrial { difference, ..TakeoverTrial::clone(trial) };
            Arc::make_mut(&mut self.view.takeover).begin(&trial);
        }
        self.remember(pending, recorded_at, effects);
        let times = (decision.decided_at, recorded_at);
        self.expose(decision.user_id.as_str(), &decision.assignments, times, decision.segment);
        self.measure_list(decision, recorded_at);
        self.cover_items(decision);
    }

    /// Counts the impression of an item that is known. Others are not made known by it.
    fn count_shown(&mut self, shown: &ShownItem, layout: &FeatureLayout) -> ShownPosition {
        let id = shown.item_id.as_str();
        let (key, known) = (name_key(id), self.view.items.ids.find(id));
        if let Some(item) = known {
            self.view.items.popularity.count_shown(item);
        }
        let entry = known.map(|item| &self.view.items.entries[item]);
        ShownPosition {
            item: key,
            counted: known.is_some(),
            has_effect: entry.is_some_and(|entry| entry.item.is_some()),
            features: self.view.ranker.layout().aligned(layout, &shown.features),
            propensity: shown.propensity,
            base: self.view.item_effects.base(key, f64::from(shown.score)),
        }
    }

    /// What a decision changes before anything comes of it.
    fn begin(&mut self, pending: &mut PendingDecision, exploration_cost: f32) {
        let settings = self.view.settings.ranker;
        let View { ranker: shared, item_effects: effects, experiments, .. } = &mut self.view;
        let half_life = settings.half_life_decisions;
        let ranker = Arc::make_mut(shared);
        ranker.tick(half_life, pending.number);
        own_rankers::tick(experiments, half_life, pending.number);
        effects.tick(half_life, pending.number);
        ranker.account.spend(f64::from(exploration_cost));
        let pieces = pending.items().len();
        pending.weight =
            ranker.influence.weigh(pending.user, pending.recorded_at, Piece::Impression, pieces);
        let curve = |decay| ranker.examination.curve(pending.items().len(), f64::from(decay));
        let curve = settings.examination_decay.map_or_else(Vec::new, curve);
        let own_ranker = pending.own_ranker;
        teach(shared, experiments, own_ranker, |ranker| {
            pending.begin(&curve, &mut Learners { ranker, effects });
        });
    }

    fn remember(
        &mut self,
        pending: PendingDecision,
        recorded_at: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let number = self.view.decisions.push(pending);
        self.view.counts.decisions = number + 1;
        self.view.index_decision(number);
        let budget = self.view.settings.ranker.credit_bytes();
        while self.view.decisions.bytes() > budget && self.forget_oldest(recorded_at, effects) {}
    }

    /// The oldest decision can be rewarded no more. Returns whether there was one to forget.
    fn forget_oldest(&mut self, now: Timestamp, effects: &mut Vec<Effect>) -> bool {
        let oldest = self.view.decisions.first();
        let is_newest = self.view.decisions.held() <= 1;
        if self.view.counts.settled == oldest && !is_newest {
            self.settle_next(now, effects);
        }
        if !is_newest {
            self.count_cut_short(now);
        }
        if self.view.counts.settled_lists == oldest && !is_newest {
            self.settle_next_list(now);
        }
        let Some(forgotten) = self.view.decisions.pop() else {
            return false;
        };
        let slot = Window::<PendingDecision>::slot(oldest);
        self.view.decision_index.remove(forgotten.key as u64, slot);
        self.view.user_decisions.remove(forgotten.user.get(), slot);
        true
    }

    /// Takes in what trials earned whose rewards have been waited for until now, and forgets
    /// decisions whose time is over.
    pub(crate) fn settle_decisions(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let window = self.view.takeover.reward_window_seconds;
        while let Some(next) = self.view.decisions.get(self.view.counts.settled) {
            if next.trial.as_ref().is_some_and(|trial| now < trial.due(window)) {
                break;
            }
            self.settle_next(now, effects);
        }
        self.settle_lists(now);
        let kept = Timestamp::HOUR_MS * i64::from(self.view.settings.ranker.credit_hours);
        let is_over = |view: &View| {
            let settled = view.counts.settled.min(view.counts.settled_lists);
            let is_settled = settled > view.decisions.first();
            let oldest = view.decisions.oldest().filter(|_| is_settled);
            oldest.is_some_and(|oldest| oldest.recorded_at.plus_millis(kept) <= now)
        };
        while is_over(&self.view) && self.forget_oldest(now, effects) {}
    }

    fn settle_next(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(decision) = self.view.decisions.shared(self.view.counts.settled).cloned() else {
            return;
        };
        self.view.counts.settled += 1;
        let Some(trial) = &decision.trial else {
            return;
        };
        let takeover = Arc::make_mut(&mut self.view.takeover);
        let were_cut_short = takeover.cut_short > 0;
        let fell_back = takeover.settle(trial, &decision, now);
        effects.extend(fell_back.map(|against| Effect::TakeoverFellBack { against }));
        if takeover.cut_short > 0 && !were_cut_short {
            let window_seconds = takeover.reward_window_seconds;
            let held = 3_600.0 * now.hours_since(trial.recorded_at).max(0.0);
            let held_seconds = held.min(f64::from(window_seconds)) as u32;
            let not_held = WindowNotHeld { held_seconds, window_seconds };
            effects.push(Effect::TakeoverWindowNotHeld(not_held));
        }
    }

    /// What a change of the takeover does, and whether its window is held.
    pub(crate) fn change_takeover(&mut self, change: &TakeoverChange, effects: &mut Vec<Effect>) {
        effects.extend(self.view.window_not_held(change).map(Effect::TakeoverWindowNotHeld));
        Arc::make_mut(&mut self.view.takeover).change(change);
    }

    pub(crate) fn note_shown(
        &mut self,
        user: UserIndex,
        items: impl Iterator<Item = u64>,
        at: Timestamp,
        decision: u128,
    ) {
        let impressions = &mut self.view.users.impressions;
        impressions.grow(user.as_usize() + 1, &Arc::default());
        Arc::make_mut(impressions.get_mut(user)).note(items, at, decision);
    }

    /// A user who becomes known keeps what the decisions of the window say was shown.
    pub(crate) fn note_shown_before(&mut self, user: UserIndex, user_id: &str) {
        let shown: Vec<Arc<PendingDecision>> =
            self.view.decisions_for(self.view.user_key(user_id)).cloned().collect();
        for decision in shown.into_iter().rev() {
            let items = decision.items().iter().copied();
            self.note_shown(user, items, decision.decided_at, decision.key);
        }
    }

    pub(crate) fn credit_decision(
        &mut self,
        event: &Interaction,
        item: ItemIndex,
        confidence: f32,
    ) {
        let Some(decision_id) = &event.decision_id else {
            return;
        };
        let key = decision_key(decision_id.as_str());
        let Some(number) = self.view.decision_number(key) else {
            self.view.counts.late_rewards += u64::from(confidence != 0.0);
            return;
        };
        let user = self.view.user_key(event.user_id.as_str());
        let View { decisions, ranker, item_effects, settings, items, experiments, .. } =
            &mut self.view;
        let now = decisions.end() - 1;
        if decisions.get(number).is_none_or(|decision| decision.user != user) {
            return;
        }
        let Some(decision) = decisions.get_mut(number) else {
            return;
        };
        let shown = name_key(event.item_id.as_str());
        let left = Weight::new(discount(settings.ranker.half_life_decisions, number, now));
        let (rewarded, earned) = (decision.is_rewarded(shown), decision.earned(shown));
        let own_ranker = decision.own_ranker;
        teach(ranker, experiments, own_ranker, |ranker| {
            let mut learners = Learners { ranker, effects: item_effects };
            decision.credit(shown, reward(confidence), left, &mut learners);
        });
        Arc::make_mut(ranker).account.earn(decision.earned(shown) - earned);
        if !rewarded && decision.is_rewarded(shown) && decision.is_counted(shown) {
            items.popularity.count_rewarded(item);
        }
    }
}
