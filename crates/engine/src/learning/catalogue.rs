//! What an upsert, a patch and a deletion change.

use std::sync::Arc;

use crate::Engine;
use crate::columns::index::ItemIndex;
use crate::domain::Item;
use crate::domain::ItemId;
use crate::domain::ItemPatch;
use crate::domain::Timestamp;
use crate::models::content::Inverted;
use crate::models::content::TermCounts;
use crate::state::Entry;
use crate::state::documents;

impl Engine {
    pub(super) fn upsert_item(&mut self, item: &Item, sequence: u64, at: Timestamp) {
        let index = self.intern_item(item.item_id.as_str(), sequence);
        self.describe(index, Arc::new(item.clone()), at);
    }

    /// Changes some fields of an item. One that is not in the catalogue, or with which the whole
    /// would break a bound, stays as it is.
    pub(super) fn patch_item(&mut self, patch: &ItemPatch, sequence: u64, at: Timestamp) {
        let entry = self.view.catalogue_item(patch.item_id().as_str());
        let item = entry.and_then(|entry| entry.item.as_ref());
        if let Some(Ok(patched)) = item.map(|item| patch.applied_to(item)) {
            let index = self.intern_item(patch.item_id().as_str(), sequence);
            self.describe(index, Arc::new(patched), at);
        }
    }

    /// Puts an item into the catalogue, or in place of what the catalogue said of it. Texts that stay
    /// are not read again.
    fn describe(&mut self, index: ItemIndex, item: Arc<Item>, at: Timestamp) {
        let before = self.view.items.entries[index].clone();
        let texts_stay = before.item.as_ref().is_some_and(|before| before.has_texts_of(&item));
        self.unlist(index);
        if !texts_stay {
            self.forget_texts(index);
        }
        let topics = item.topics.iter().map(|topic| self.view.topics.keep(topic)).collect();
        let source = item.source.as_ref().map(|source| self.view.sources.keep(source));
        let (counts, refit) =
            if texts_stay { (before.counts.clone(), None) } else { self.read_texts(index, &item) };
        let is_new = before.added_at == Timestamp::default();
        let added_at = if is_new { at } else { before.added_at };
        let entry = Entry { item: Some(item), topics, source, counts, updated_at: at, added_at };
        self.view.postings.insert(index, &entry);
        self.view.leaders.touch(index);
        *self.view.items.entries.get_mut(index) = Arc::new(entry);
        self.view.counts.catalogue += 1;
        match refit {
            Some(evicted) => {
                self.forget_terms(evicted);
                self.weigh_all_terms();
            }
            None => {
                if !texts_stay {
                    self.view.inverted.insert(index, &self.view.items.terms[index]);
                }
                self.embed_item(index);
            }
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
        self.unlist(index);
        self.forget_texts(index);
        self.view.items.embeddings.set(index, None);
        Arc::make_mut(self.view.items.entries.get_mut(index)).item = None;
    }

    /// Takes an item that is in the catalogue off its lists; its texts and its entry stay.
    fn unlist(&mut self, index: ItemIndex) {
        let entry = self.view.items.entries[index].clone();
        if entry.item.is_none() {
            return;
        }
        self.view.postings.remove(index, &entry);
        self.view.leaders.touch(index);
        entry.topics.iter().for_each(|&topic| self.view.topics.let_go(topic));
        entry.source.iter().for_each(|&source| self.view.sources.let_go(source));
        self.view.counts.catalogue -= 1;
    }

    /// Counts the terms of an item's texts. `Some` when the vocabulary evicted terms and weighs
    /// all others otherwise.
    fn read_texts(&mut self, index: ItemIndex, item: &Item) -> (Vec<TermCounts>, Option<Vec<u32>>) {
        let vocabulary = &mut self.view.vocabulary;
        let texts = documents(item);
        let counts: Vec<_> = texts.iter().map(|text| vocabulary.count_document(text)).collect();
        let refit = vocabulary.add(&TermCounts::union(&counts));
        *self.view.items.terms.get_mut(index) = vocabulary.weigh_all(&counts);
        (counts, refit)
    }

    fn forget_texts(&mut self, index: ItemIndex) {
        if self.view.items.entries[index].item.is_none() {
            return;
        }
        self.view.inverted.remove(index, &self.view.items.terms[index]);
        let entry = Arc::make_mut(self.view.items.entries.get_mut(index));
        let counts = std::mem::take(&mut entry.counts);
        self.view.vocabulary.remove(&TermCounts::union(&counts));
        *self.view.items.terms.get_mut(index) = Default::default();
    }

    /// Drops terms that the vocabulary evicted from the counts of all items. Their ids are free at
    /// once, or with the next model where one was learnt from them.
    pub(super) fn forget_terms(&mut self, evicted: Vec<u32>) {
        if evicted.is_empty() {
            return;
        }
        let view = &mut self.view;
        for item in view.items.entries.indices() {
            let counts = view.items.entries[item].counts.iter();
            let kept: Vec<_> = counts.map(|counts| counts.without(&evicted)).collect();
            if kept.iter().all(Option::is_none) {
                continue;
            }
            let entry = Arc::make_mut(view.items.entries.get_mut(item));
            for (counts, kept) in entry.counts.iter_mut().zip(kept) {
                if let Some(kept) = kept {
                    *counts = kept;
                }
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
        self.view.items.terms = self
            .view
            .items
            .entries
            .iter()
            .map(|entry| vocabulary.weigh_all(&entry.counts))
            .collect();
        self.view.inverted = Inverted::new(self.view.items.terms.iter());
        self.view.embed_all();
    }
}
