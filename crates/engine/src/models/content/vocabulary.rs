//! Terms, how many documents have each, and what each weighs.
//!
//! - An id is a slot: it is reused after its term was evicted and its owner released it.
//! - A document counts once for each of its terms, from `add` to `remove`; an item with texts in several
//!   languages is one document here. So
//!   `remove` of the old counts and `add` of the new ones keeps frequencies exact.
//! - Weights (idf) change at refits only, and a term is inactive when its weight is
//!   zero. So a vector is a pure function of term counts and vocabulary.
//! - Refits come after each of the first 64 upserts and then at 128, 256, 512, ...:
//!   a function of the log, independent of batches. Over a catalogue's
//!   life the doublings weigh each item about twice.
//! - Memory is bounded: at most four times `max_features` terms are interned, the
//!   last quarter by topics only. Refits evict terms that no document has, and the rarest ones down
//!   to twice `max_features`. A vocabulary that had to reject terms refits earlier.
//! - Refits choose the `max_features` best terms. Terms first seen after a refit
//!   are active at once while the budget allows, topics always: a new topic must not
//!   wait until the catalogue has doubled.
//!
//! Cost: `add` and `remove` write one number per term; a refit is linear in the
//! terms and asks the caller to weigh all documents again. A clone copies pointers
//! to pages. About 100 bytes per term with its name and its share of the lookup table.

use serde::Deserialize;
use serde::Serialize;

use crate::columns::column::Column;
use crate::columns::interner::Interner;
use crate::columns::part::Part;
use crate::numeric::math::ln;
use crate::numeric::math::ln_f32;

use crate::models::content::counts::Document;
use crate::models::content::counts::TERMS_MAX;
use crate::models::content::counts::TermCounts;
use crate::models::content::language::Language;
use crate::models::content::tokenize::Tokenizer;
use crate::models::content::vector::SparseVector;
use crate::models::content::vectors::TermVectors;

/// Terms interned for each one that may be active: the choice at refits needs
/// candidates whose frequency is known.
const TERMS_PER_FEATURE: usize = 4;
/// Terms that are left for each one that may be active after a refit.
const KEPT_PER_FEATURE: usize = 2;
/// Largest `max_features`; larger values are taken as this one.
pub const MAX_FEATURES_LIMIT: usize = TERMS_MAX / TERMS_PER_FEATURE;

/// Each upsert up to this number refits: few documents are weighed quickly, and a small
/// catalogue has weights of its own.
const REFIT_ALWAYS: u64 = 64;
/// Above this number of documents, a term must occur in two of them to be chosen:
/// otherwise it cannot make two documents similar.
const RARE_ABOVE: u32 = 100;
/// Above this number of documents, a term in more than half of them is not chosen.
const COMMON_ABOVE: u32 = 20;

/// Occurrences that a title's word, a topic and a content's word count for.
const TITLE_COUNT: usize = 2;
const TOPIC_COUNT: usize = 2;
const CONTENT_COUNT: usize = 1;

/// The scalars of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    max_features: u32,
    documents: u32,
    /// Documents added in all; removals do not count back.
    upserts: u64,
    /// Documents at the last refit: terms seen since are weighed against these.
    fitted_documents: u32,
    /// Terms of non-zero weight.
    active: u32,
    /// Upserts at the last refit, and terms rejected since because the budget was full.
    fitted_upserts: u64,
    refused: u64,
}

/// The kind of term to intern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Topic,
}

/// The vocabulary of a namespace; cheap to clone.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    pub head: Head,
    pub terms: Interner,
    /// Documents that have the term, by id.
    pub frequencies: Column<u32>,
    /// Inverse document frequency as of the last refit, by id; 0 is inactive.
    pub weights: Column<f32>,
}

impl Vocabulary {
    /// What digests and snapshots hold as parts.
    pub fn parts(&self) -> Vec<(&'static str, &dyn Part)> {
        vec![
            ("terms", &self.terms),
            ("term_frequencies", &self.frequencies),
            ("term_weights", &self.weights),
        ]
    }

    pub fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)> {
        vec![
            ("terms", &mut self.terms),
            ("term_frequencies", &mut self.frequencies),
            ("term_weights", &mut self.weights),
        ]
    }

    /// `max_features` within 1 and [`MAX_FEATURES_LIMIT`]; else the nearer of the two.
    pub fn new(max_features: usize) -> Self {
        let head = Head {
            max_features: bounded(max_features),
            documents: 0,
            upserts: 0,
            fitted_documents: 0,
            active: 0,
            fitted_upserts: 0,
            refused: 0,
        };
        Self {
            head,
            terms: Interner::default(),
            frequencies: Column::default(),
            weights: Column::default(),
        }
    }

    /// Another bound on features; takes effect on new terms now, on others at the
    /// next refit.
    pub fn set_max_features(&mut self, max_features: usize) {
        self.head.max_features = bounded(max_features);
    }

    /// Terms of a document; new ones get their ids. Changes no frequency.
    pub fn count_document(&mut self, document: &Document<'_>) -> TermCounts {
        count(document, |term, kind| self.intern(term, kind))
    }

    /// Counts a document. `Some` when weights changed: then the caller weighs every vector again
    /// before its next use, and every count without the returned terms. These are evicted;
    /// their ids are to be released once nothing refers to them.
    ///
    /// # Panics
    /// When the counts are of another vocabulary and have terms unknown to this.
    pub fn add(&mut self, counts: &TermCounts) -> Option<Vec<u32>> {
        for (term, _) in counts.iter() {
            *self.frequencies.get_mut(term as usize) += 1;
        }
        let head = &mut self.head;
        head.documents += 1;
        head.upserts += 1;
        let since = head.upserts - head.fitted_upserts;
        let is_short = head.refused > 0 && since >= REFIT_ALWAYS + u64::from(head.documents) / 8;
        let due = head.upserts <= REFIT_ALWAYS || head.upserts.is_power_of_two() || is_short;
        due.then(|| self.refit())
    }

    /// Removes a document that was added with the same counts.
    ///
    /// # Panics
    /// As [`Self::add`].
    pub fn remove(&mut self, counts: &TermCounts) {
        for (term, _) in counts.iter() {
            let frequency = self.frequencies.get_mut(term as usize);
            debug_assert!(*frequency > 0, "a removed document was added before");
            *frequency = frequency.saturating_sub(1);
        }
        self.head.documents = self.head.documents.saturating_sub(1);
    }

    /// Chooses the active terms and their weights from the frequencies of now. Returns evicted
    /// terms, as [`Self::add`] does.
    pub fn refit(&mut self) -> Vec<u32> {
        let documents = self.head.documents;
        let chosen = self.chosen();
        let mut weights = vec![0.0; self.frequencies.len()];
        for &(frequency, term) in &chosen {
            weights[term as usize] = inverse_frequency(documents, frequency);
        }
        let evicted = self.evict(&weights);
        self.weights = weights.into_iter().collect();
        self.head.active = chosen.len() as u32;
        self.head.fitted_documents = documents;
        self.head.fitted_upserts = self.head.upserts;
        self.head.refused = 0;
        evicted
    }

    /// Evicts terms without a weight: those that no document has, and the rarest while there are
    /// too many.
    fn evict(&mut self, weights: &[f32]) -> Vec<u32> {
        let most = KEPT_PER_FEATURE * self.head.max_features as usize;
        let mut idle: Vec<(u32, u32)> = (0..weights.len() as u32)
            .filter(|&term| weights[term as usize] == 0.0 && self.terms.is_live(term))
            .map(|term| (self.frequencies[term as usize], term))
            .collect();
        idle.sort_unstable();
        let unused = idle.partition_point(|&(frequency, _)| frequency == 0);
        idle.truncate(self.terms.live().saturating_sub(most).max(unused));
        let mut evicted: Vec<u32> = idle.into_iter().map(|(_, term)| term).collect();
        evicted.sort_unstable();
        for &term in &evicted {
            self.terms.forget(term);
            *self.frequencies.get_mut(term as usize) = 0;
        }
        evicted
    }

    /// The vector of a document of this vocabulary.
    pub fn weigh(&self, counts: &TermCounts) -> SparseVector {
        let weights = counts.iter().filter_map(|(term, count)| {
            let weight = self.weights.get(term as usize).copied().filter(|&weight| weight > 0.0)?;
            Some((term, sublinear(count) * weight))
        });
        SparseVector::from_sorted(weights.collect())
    }

    /// The vectors of an item whose documents, one for each language, have these counts.
    pub fn weigh_all(&self, counts: &[TermCounts]) -> TermVectors {
        TermVectors::new(counts.iter().map(|counts| self.weigh(counts)).collect())
    }

    /// The vector of a text that is no document: interns nothing, ignores unknown
    /// terms, else equal to [`Self::weigh`].
    pub fn weigh_text(&self, document: &Document<'_>) -> SparseVector {
        self.weigh(&count(document, |term, _| self.terms.find(term)))
    }

    /// Terms that have a weight now.
    pub fn active(&self) -> usize {
        self.head.active as usize
    }

    /// Whether data read from a snapshot is consistent.
    pub fn is_whole(&self) -> bool {
        let terms = self.terms.len();
        self.frequencies.len() == terms && self.weights.len() == terms
    }

    /// The id of a term, given now if it is new and the bound allows.
    fn intern(&mut self, term: &str, kind: Kind) -> Option<u32> {
        let found = self.terms.find(term);
        if found.is_some() {
            return found;
        }
        let features = self.head.max_features as usize;
        let (bound, has_space) = match kind {
            Kind::Word => ((TERMS_PER_FEATURE - 1) * features, self.active() < features),
            Kind::Topic => (TERMS_PER_FEATURE * features, true),
        };
        if self.terms.used() >= bound {
            self.head.refused += 1;
            return None;
        }
        let id = self.terms.intern(term);
        self.frequencies.grow(id as usize + 1, &0);
        // As if one of the fitted documents had it: the weight a refit would give.
        let weight = if has_space { inverse_frequency(self.head.fitted_documents, 1) } else { 0.0 };
        self.weights.grow(id as usize + 1, &0.0);
        *self.weights.get_mut(id as usize) = weight;
        self.head.active += u32::from(has_space);
        Some(id)
    }

    /// The best terms as (document frequency, id): frequent ones first, of equals
    /// the older.
    fn chosen(&self) -> Vec<(u32, u32)> {
        let documents = self.head.documents;
        let least = if documents > RARE_ABOVE { 2 } else { 1 };
        let most = if documents > COMMON_ABOVE { documents / 2 } else { documents };
        let mut terms: Vec<(u32, u32)> = self
            .frequencies
            .iter()
            .copied()
            .zip(0..)
            .filter(|(frequency, _)| (least..=most).contains(frequency))
            .collect();
        let features = self.head.max_features as usize;
        if terms.len() > features {
            terms.select_nth_unstable_by_key(features, |&(frequency, id)| {
                (std::cmp::Reverse(frequency), id)
            });
            terms.truncate(features);
        }
        terms
    }
}

/// Counts the terms of a document under the ids that `id` gives; terms without
/// one are left out. Topics count as phrases and as words.
fn count(document: &Document<'_>, mut id: impl FnMut(&str, Kind) -> Option<u32>) -> TermCounts {
    // About one word in eight bytes of English.
    let mut terms = Vec::with_capacity(document.content.len() / 8 + 32);
    let language = Language::of(document.language, document.title, document.content);
    let mut tokenizer = Tokenizer::new(language);
    let mut record = |term: &str, kind, times| {
        if let Some(id) = id(term, kind) {
            terms.extend(std::iter::repeat_n(id, times));
        }
    };
    // Topics first, so that words do not fill the vocabulary before them.
    for topic in document.topics {
        if let Some(phrase) = tokenizer.topic(topic) {
            record(phrase, Kind::Topic, TOPIC_COUNT);
        }
    }
    for topic in document.topics {
        tokenizer.words(topic, |word| record(word, Kind::Word, TOPIC_COUNT));
    }
    tokenizer.words(document.title, |word| record(word, Kind::Word, TITLE_COUNT));
    tokenizer.words(document.content, |word| record(word, Kind::Word, CONTENT_COUNT));
    TermCounts::count(terms)
}

/// Weight of a term that occurs in `frequency` of `documents`, smoothed as if one
/// more document had every term; at least 1 while the frequency is at most N.
fn inverse_frequency(documents: u32, frequency: u32) -> f32 {
    let ratio = (1.0 + f64::from(documents)) / (1.0 + f64::from(frequency));
    (ln(ratio.max(1.0)) + 1.0) as f32
}

/// Weight of a term that occurs `count` times: it grows with the logarithm.
fn sublinear(count: u16) -> f32 {
    if count <= 1 { 1.0 } else { 1.0 + ln_f32(f32::from(count)) }
}

fn bounded(max_features: usize) -> u32 {
    max_features.clamp(1, MAX_FEATURES_LIMIT) as u32
}

/// Helpers of tests.
#[cfg(test)]
impl Vocabulary {
    /// Hashes of the whole state.
    pub fn digest(&self) -> (Head, [crate::columns::part::Digest; 3]) {
        let parts: [&dyn Part; 3] = [&self.terms, &self.frequencies, &self.weights];
        (self.head, parts.map(Part::digest))
    }

    /// The same, from its sections.
    pub fn restored(&self) -> Self {
        let mut restored = Self { head: self.head, ..Self::new(1) };
        let parts: [(&dyn Part, &mut dyn Part); 3] = [
            (&self.terms, &mut restored.terms),
            (&self.frequencies, &mut restored.frequencies),
            (&self.weights, &mut restored.weights),
        ];
        for (from, to) in parts {
            from.sections().for_each(|section| to.read(&section).unwrap());
        }
        assert!(restored.is_whole());
        restored.terms.derive_free(|_| false);
        restored
    }

    /// Documents counted in now.
    pub fn documents(&self) -> u32 {
        self.head.documents
    }

    /// Terms that have an id.
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// The text of a term: a word, or "topic:" and a topic.
    pub fn term(&self, id: u32) -> Option<&std::sync::Arc<str>> {
        self.terms.name(id)
    }

    /// The id of a term in the form the tokenizer makes.
    pub fn find(&self, term: &str) -> Option<u32> {
        self.terms.find(term)
    }

    /// Documents that have the term now; 0 when it is unknown.
    pub fn document_frequency(&self, id: u32) -> u32 {
        self.frequencies.get(id as usize).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
