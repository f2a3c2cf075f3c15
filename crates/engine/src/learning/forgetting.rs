//! What is forgotten where there is more than the budgets allow, and the sweep after it.
//!
//! - Users, items that only events know, topics, sources and devices have budgets; those with the
//!   least evidence are forgotten ([`crate::state`] says which).
//! - A forgotten slot is empty at once. It is used again when a sweep has dropped all that
//!   referred to it ([`Sweep`]).
//! - All of it happens at fixed records, so that every replica forgets the same.

use std::sync::Arc;

use crate::Engine;
use crate::consumption::Live;
use crate::models::collaborative;
use crate::state::View;
use crate::state::labels::Labels;
use crate::state::quarantine::Phase;
use crate::state::quarantine::Sweep;

/// Users, items, cohorts or locations that a sweep looks at with each record.
const SWEPT_PER_RECORD: u32 = 16;

impl Engine {
    /// The index of a user that a record names.
    pub(super) fn intern_user(&mut self, user_id: &str) -> u32 {
        let (user, is_new) = self.view.users.intern(user_id);
        if is_new {
            self.note_shown_before(user, user_id);
        } else if !self.view.sweep.is_idle() {
            self.view.sweep_user(user);
        }
        user
    }

    pub(super) fn intern_item(&mut self, item_id: &str, sequence: u64) -> u32 {
        self.view.items.intern(item_id, sequence)
    }

    /// Forgets what is more than the budgets allow.
    pub(super) fn forget_surplus(&mut self) {
        let view = &mut self.view;
        view.users.evict(view.settings.users_max as usize);
        let labels = [&mut view.topics, &mut view.sources, &mut view.devices].map(Labels::evict);
        if labels.iter().any(|evicted| !evicted.is_empty()) {
            let [topics, sources, devices] = labels;
            let sweep = Arc::make_mut(&mut view.sweep);
            sweep.topics.add(topics);
            sweep.sources.add(sources);
            sweep.devices.add(devices);
        }
        let budget = view.settings.unknown_items_max as usize;
        let items = view.items.least_known(budget, view.counts.catalogue);
        if !items.is_empty() {
            self.forget_items(items);
        }
    }

    /// Forgets items that the catalogue does not have.
    fn forget_items(&mut self, items: Vec<u32>) {
        let view = &mut self.view;
        let known = |item: &&u32| view.items.factors.row(**item).is_some();
        let with_factors: Vec<u32> = items.iter().filter(known).copied().collect();
        if let Some(model) = view.model.as_mut().filter(|_| !with_factors.is_empty()) {
            let model = Arc::make_mut(model);
            let nothing = vec![0.0; model.k];
            for item in with_factors {
                let old = view.items.factors.row(item).expect("it was just there").to_vec();
                collaborative::update_gram(&mut model.item_gram, &old, &nothing);
                view.items.factors.set_row(item, &nothing);
            }
        }
        items.iter().for_each(|&item| view.items.forget(item));
        view.unsolved.retain(|&item| view.items.is_live(item));
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
            Phase::Locations => self.locations.rows.len(),
        };
        len as u32
    }

    fn sweep_one(&mut self, phase: Phase, index: u32) {
        match phase {
            Phase::Users => self.sweep_user(index),
            Phase::Items => self.sweep_item(index),
            Phase::Cohorts => self.cohorts.drop_dead(index, |item| self.items.is_live(item)),
            Phase::Locations => self.locations.drop_dead(index, |item| self.items.is_live(item)),
        }
    }

    /// Drops what a user's state says of forgotten items, topics, sources and devices.
    fn sweep_user(&mut self, user: u32) {
        let Self { users, items, topics, sources, devices, .. } = self;
        let live = Live {
            item: &|item| items.is_live(item),
            topic: &|topic| topics.is_live(topic),
            source: &|source| sources.is_live(source),
            device: &|device| devices.is_live(device),
        };
        if users.states[user as usize].refers_to_dead(&live) {
            Arc::make_mut(users.states.get_mut(user as usize)).drop_dead(&live);
        }
    }

    fn sweep_item(&mut self, item: u32) {
        let Self { items, topics, sources, .. } = self;
        items.drop_dead(item);
        let entry = &items.entries[item as usize];
        let is_whole = entry.topics.iter().all(|&topic| topics.is_live(topic))
            && entry.source.is_none_or(|source| sources.is_live(source));
        if !is_whole {
            let entry = Arc::make_mut(items.entries.get_mut(item as usize));
            entry.topics.retain(|&topic| topics.is_live(topic));
            entry.source = entry.source.filter(|&source| sources.is_live(source));
        }
    }

    /// Frees what nothing refers to any more.
    fn release_swept(&mut self) {
        let Self { sweep, items, topics, sources, devices, model, recent_positives, .. } = self;
        let sweep = Arc::make_mut(sweep);
        let Sweep { items: dead, topics: dead_topics, sources: dead_sources, .. } = sweep;
        recent_positives.retain(|item| items.is_live(item));
        for item in dead.end() {
            // The rows of a model stand by index until the next model comes.
            if model.as_ref().is_some_and(|model| model.refers_to(item)) {
                sweep.in_model.push(item);
            } else {
                items.ids.release(item);
            }
        }
        dead_topics.end().into_iter().for_each(|topic| topics.names.release(topic));
        dead_sources.end().into_iter().for_each(|source| sources.names.release(source));
        sweep.devices.end().into_iter().for_each(|device| devices.names.release(device));
    }

    /// With a new model, nothing refers to the rows of the old one.
    pub(super) fn release_rows_of_old_model(&mut self) {
        if self.sweep.in_model.is_empty() && self.sweep.terms_in_model.is_empty() {
            return;
        }
        let sweep = Arc::make_mut(&mut self.sweep);
        let items = std::mem::take(&mut sweep.in_model);
        items.into_iter().for_each(|item| self.items.ids.release(item));
        let terms = std::mem::take(&mut sweep.terms_in_model);
        terms.into_iter().for_each(|term| self.vocabulary.terms.release(term));
    }
}
