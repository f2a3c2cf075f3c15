//! A user that is merged into another: two ids of one person, such as those of before and after
//! a sign-in.
//!
//! - The state is that of one user who did all of it: history, counts, tastes, attributes,
//!   impressions, decisions that may still be rewarded, the evidence of today.
//! - What all users share learns nothing of it: they have learnt from either already.
//! - A merge that is not due ([`MergeEffect`]) changes nothing. So it does no harm when two
//!   replicas record the same one, or two that contradict each other.

use std::sync::Arc;

use crate::Engine;
use crate::bandit::PendingDecision;
use crate::columns::aliases::MergeEffect;
use crate::columns::aliases::UserKey;
use crate::columns::window::Window;
use crate::consumption::Impressions;
use crate::consumption::User;
use crate::domain::Sequence;
use crate::domain::Timestamp;
use crate::state::View;

impl Engine {
    pub(super) fn merge_users(
        &mut self,
        (from, into): (&str, &str),
        sequence: Sequence,
        at: Timestamp,
    ) {
        let MergeEffect::Due(into) = self.view.aliases().effect(from, into) else {
            return;
        };
        let into: Box<str> = into.into();
        let (old_key, key) = (self.view.user_key(from), self.view.user_key(&into));
        let (state, shown) = self.take_user(from, old_key);
        let user = self.intern_user(&into);
        let view = &mut self.view;
        let gap = view.return_gap.seconds();
        let mut merged = view.users.states[user].merged_with(&state, gap, at);
        merged.cohorts = view.cohorts.of(&merged.attributes);
        merged.changed_at = sequence;
        view.users.put(user, merged);
        view.users.impressions.grow(user.as_usize() + 1, &Arc::default());
        let impressions = view.users.impressions.get_mut(user);
        *impressions = Arc::new(impressions.merged_with(&shown));
        view.move_decisions(old_key, key);
        view.merge_units(old_key, key);
        Arc::make_mut(&mut view.ranker).influence.merge(old_key, key, at);
        view.users.add_alias(from, &into, sequence);
    }

    /// Takes a user out of the state, without what refers to something forgotten. Of one who is
    /// not known, decisions of the window may say what was shown.
    pub(super) fn take_user(
        &mut self,
        user_id: &str,
        key: UserKey,
    ) -> (Arc<User>, Arc<Impressions>) {
        let view = &mut self.view;
        let Some(user) = view.users.find(user_id) else {
            let shown: Vec<&Arc<PendingDecision>> = view.decisions_for(key).collect();
            let mut impressions = Impressions::default();
            for decision in shown.into_iter().rev() {
                let items = decision.items().iter().copied();
                impressions.note(items, decision.decided_at, decision.key);
            }
            return (Arc::default(), Arc::new(impressions));
        };
        if !view.sweep.is_idle() {
            view.sweep_user(user);
        }
        view.users.take(user)
    }
}

impl View {
    /// Decisions for one user are those of another from now on, in one chain.
    pub(super) fn move_decisions(&mut self, from: UserKey, into: UserKey) {
        let numbers = |user| self.decisions_for(user).map(|decision| decision.number);
        let Some(newest) = numbers(from).next() else {
            return;
        };
        let mut all: Vec<u64> = numbers(from).chain(numbers(into)).collect();
        all.sort_unstable();
        self.user_decisions.remove(from.get(), Window::<PendingDecision>::slot(newest));
        let mut previous = None;
        for number in all {
            let known = self.decisions.get(number);
            if known.is_some_and(|known| known.user != into || known.previous != previous)
                && let Some(decision) = self.decisions.get_mut(number)
            {
                (decision.user, decision.previous) = (into, previous);
            }
            previous = Some(number);
        }
        previous.into_iter().for_each(|newest| self.index_user(newest));
    }
}
