//! What an upsert and a deletion change.

use std::sync::Arc;

use crate::Engine;
use crate::columns::index::ItemIndex;
use crate::domain::Item;
use crate::domain::ItemId;
use crate::domain::Timestamp;
use crate::models::content::Inverted;
use crate::state::Entry;
use crate::state::document;

impl Engine {
    pub(super) fn upsert_item(&mut self, item: &Item, sequence: u64, at: Timestamp) {
        let index = self.intern_item(item.item_id.as_str(), sequence);
        self.remove_from_catalogue(index);
        let topics = item.topics.iter().map(|topic| self.view.topics.keep(topic)).collect();
        let source = item.source.as_ref().map(|source| self.view.sources.keep(source));
        let counts = self.view.vocabulary.count_document(&document(item));
        let refit = self.view.vocabulary.add(&counts);
        *self.view.items.terms.get_mut(index) = self.view.vocabulary.weigh(&counts);
        let before = self.view.items.entries[index].added_at;
        let added_at = if before == Timestamp::default() { at } else { before };
        let item = Some(Arc::new(item.clone()));
        let entry = Entry { item, topics, source, counts, updated_at: at, added_at };
        self.view.postings.insert(index, &entry);
        self.view.leaders.touch(index);
        *self.view.items.entries.get_mut(index) = Arc::new(entry);
        self.view.counts.catalogue += 1;
        if let Some(evicted) = refit {
            self.forget_terms(evicted);
            self.weigh_all_terms();
        } else {
            self.view.inverted.insert(index, &self.view.items.terms[index]);
            self.embed_item(index);
        }
        self.predict_factors(index);
    }

    pub(super) fn delete_item(&mut self, item_id: &ItemId, at: Timestamp) {
        let Some(index) = self.view.items.ids.find(item_id.as_str()) else {
            return;
        };
        self.remove_from_catalogue(index);
        Arc::make_mut(self.view.items.entries.get_mut(index)).updated_at = at;
    }

    /// Takes an item out of the catalogue; what was learnt about it stays.
    pub(super) fn remove_from_catalogue(&mut self, index: ItemIndex) {
        if self.view.items.entries[index].item.is_none() {
            return;
        }
        self.view.postings.remove(index, &self.view.items.entries[index]);
        self.view.inverted.remove(index, &self.view.items.terms[index]);
        self.view.leaders.touch(index);
        let entry = Arc::make_mut(self.view.items.entries.get_mut(index));
        entry.item = None;
        let counts = std::mem::take(&mut entry.counts);
        entry.topics.iter().for_each(|&topic| self.view.topics.let_go(topic));
        entry.source.iter().for_each(|&source| self.view.sources.let_go(source));
        self.view.vocabulary.remove(&counts);
        *self.view.items.terms.get_mut(index) = Default::default();
        self.view.items.embeddings.set(index, None);
        self.view.counts.catalogue -= 1;
    }

    /// Drops terms that the vocabulary evicted from the counts of all items. Their ids are free at
    /// once, or with the next model where one was learnt from them.
    pub(super) fn forget_terms(&mut self, evicted: Vec<u32>) {
        if evicted.is_empty() {
            return;
        }
        let view = &mut self.view;
        for item in view.items.entries.indices() {
            if let Some(counts) = view.items.entries[item].counts.without(&evicted) {
                Arc::make_mut(view.items.entries.get_mut(item)).counts = counts;
            }
        }
        if view.model.is_some() {
            Arc::make_mut(&mut view.sweep).terms_in_model.extend(evicted);
        } else {
            evicted.into_iter().for_each(|term| view.vocabulary.terms.release(term));
        }
    }

    /// Derives the term vectors and the content embeddings again after the vocabulary's weights
    /// changed.
    pub(crate) fn weigh_all_terms(&mut self) {
        let vocabulary = &self.view.vocabulary;
        self.view.items.terms =
            self.view.items.entries.iter().map(|entry| vocabulary.weigh(&entry.counts)).collect();
        self.view.inverted = Inverted::new(self.view.items.terms.iter());
        self.embed_all();
    }
}
