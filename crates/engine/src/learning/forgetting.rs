//! What is forgotten where there is more than the budgets allow, and the sweep after it.
//!
//! - Users, items that only events know, topics, sources and devices have budgets; those with the
//!   least evidence are forgotten ([`crate::state`] says which).
//! - A forgotten slot is empty at once. It is used again when a sweep has dropped all that
//!   referred to it ([`Sweep`]).
//! - All of it happens at fixed records, so that every replica forgets the same.

use std::sync::Arc;

use crate::Engine;
use crate::columns::index::ItemIndex;
use crate::columns::index::UserIndex;
use crate::consumption::Live;
use crate::domain::Sequence;
use crate::state::View;
use crate::state::quarantine::Phase;
use crate::state::quarantine::Sweep;

/// Users, items, cohorts or values of contexts that a sweep looks at with each record.
const SWEPT_PER_RECORD: u32 = 16;

impl Engine {
    /// The index of the user that an id of a record answers as.
    pub(super) fn intern_user(&mut self, user_id: &str) -> UserIndex {
        let (user, is_new) = self.view.users.intern(user_id);
        if is_new {
            self.note_shown_before(user, user_id);
        } else if !self.view.sweep.is_idle() {
            self.view.sweep_user(user);
        }
        user
    }

    pub(super) fn intern_item(&mut self, item_id: &str, sequence: u64) -> ItemIndex {
        self.view.items.intern(item_id, sequence)
    }

    /// Forgets what is more than the budgets allow, by the record of this sequence.
    pub(super) fn forget_surplus(&mut self, sequence: Sequence) {
        let view = &mut self.view;
        view.users.evict(view.settings.users_max as usize, sequence);
        let evicted = [
            view.topics.evict(),
            view.sources.evict(),
            view.devices.evict(),
            view.context_values.evict(),
            view.cohorts.evict(),
        ];
        if evicted.iter().any(|slots| !slots.is_empty()) {
            let Sweep { topics, sources, devices, context_values, cohorts, .. } =
                Arc::make_mut(&mut view.sweep);
            for &topic in &evicted[0] {
                view.contexts.forget(topic);
                view.aging.forget(topic);
            }
            let kinds = [topics, sources, devices, context_values, cohorts];
            kinds.into_iter().zip(evicted).for_each(|(kind, slots)| kind.add(slots));
        }
        let budget = view.settings.unknown_items_max as usize;
        let items = view.items.least_known(budget, view.counts.catalogue);
        if !items.is_empty() {
            self.forget_items(items);
        }
    }

    /// Forgets items that the catalogue does not have.
    fn forget_items(&mut self, items: Vec<ItemIndex>) {
        items.iter().for_each(|&item| self.forget_factors(item));
        let view = &mut self.view;
        items.iter().for_each(|&item| view.items.forget(item));
        Arc::make_mut(&mut view.sweep).items.add(items);
    }

    /// Looks at the next few of all that may refer to forgotten slots.
    pub(super) fn sweep(&mut self) {
        if self.view.sweep.is_idle() {
            return;
        }
        let at = Arc::make_mut(&mut self.view.sweep).at();
        let (phase, from) = at.expect("a sweep that is not idle is somewhere");
        let view = &mut self.view;
        let len = view.len_of(phase);
        let to = len.min(from + SWEPT_PER_RECORD);
        (from..to).for_each(|index| view.sweep_one(phase, index));
        let next = if to < len { Some((phase, to)) } else { phase.next().map(|next| (next, 0)) };
        Arc::make_mut(&mut view.sweep).go_to(next);
        if next.is_none() {
            view.release_swept();
        }
    }
}

impl View {
    fn len_of(&self, phase: Phase) -> u32 {
        let len = match phase {
            Phase::Users => self.users.len(),
            Phase::Items => self.items.len(),
            Phase::Cohorts => self.cohorts.rows.len(),
            Phase::ContextValues => self.context_values.rows.len(),
            Phase::Topics => self.topics.len(),
        };
        len as u32
    }

    fn sweep_one(&mut self, phase: Phase, index: u32) {
        let Self { items, devices, context_values, cohorts, contexts, .. } = self;
        match phase {
            Phase::Users => self.sweep_user(UserIndex::new(index)),
            Phase::Items => self.sweep_item(ItemIndex::new(index)),
            Phase::Cohorts => cohorts.drop_dead(index, |item| items.is_live(item)),
            Phase::ContextValues => context_values.drop_dead(index, |item| items.is_live(item)),
            Phase::Topics => contexts.drop_dead(
                index,
                |device| devices.is_live(device),
                |value| context_values.names.is_live(value),
            ),
        }
    }

    /// Drops what a user's state says of forgotten items, topics, sources and devices.
    pub(super) fn sweep_user(&mut self, user: UserIndex) {
        let Self { users, items, topics, sources, devices, cohorts, .. } = self;
        let live = Live {
            item: &|item| items.is_live(item),
            topic: &|topic| topics.is_live(topic),
            source: &|source| sources.is_live(source),
            device: &|device| devices.is_live(device),
            cohort: &|cohort| cohorts.names.is_live(cohort),
        };
        if users.states[user].refers_to_dead(&live) {
            Arc::make_mut(users.states.get_mut(user)).drop_dead(&live);
        }
    }

    fn sweep_item(&mut self, item: ItemIndex) {
        let Self { items, topics, sources, .. } = self;
        items.drop_dead(item);
        let entry = &items.entries[item];
        let is_whole = entry.topics.iter().all(|&topic| topics.is_live(topic))
            && entry.source.is_none_or(|source| sources.is_live(source));
        if !is_whole {
            let entry = Arc::make_mut(items.entries.get_mut(item));
            entry.topics.retain(|&topic| topics.is_live(topic));
            entry.source = entry.source.filter(|&source| sources.is_live(source));
        }
    }

    /// Frees what nothing refers to any more.
    fn release_swept(&mut self) {
        let is_device = |device| self.devices.is_live(device);
        let is_value = |value| self.context_values.names.is_live(value);
        self.contexts.drop_dead_of_all(is_device, is_value);
        let Self { sweep, items, recent_positives, .. } = self;
        recent_positives.retain(|item| items.is_live(item));
        let Sweep { items: dead, topics, sources, devices, context_values, cohorts, .. } =
            Arc::make_mut(sweep);
        dead.end().into_iter().for_each(|item| items.ids.release(item));
        let labels = [
            (topics, &mut self.topics),
            (sources, &mut self.sources),
            (devices, &mut self.devices),
            (context_values, &mut self.context_values.names),
            (cohorts, &mut self.cohorts.names),
        ];
        for (dead, labels) in labels {
            dead.end().into_iter().for_each(|label| labels.names.release(label));
        }
    }

    /// With a new model, nothing refers to the rows of the old one.
    pub(super) fn release_rows_of_old_model(&mut self) {
        if self.sweep.terms_in_model.is_empty() {
            return;
        }
        let sweep = Arc::make_mut(&mut self.sweep);
        let terms = std::mem::take(&mut sweep.terms_in_model);
        terms.into_iter().for_each(|term| self.vocabulary.terms.release(term));
    }
}
