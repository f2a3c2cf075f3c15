//! Items nobody has touched yet: where their content is, and the factors it foretells.
//!
//! - Places of items are derived of entries, terms and model; they follow every change
//!   of these.
//! - Foretold factors are state: they are written when a model is switched to and when an
//!   item is upserted, to items that no training has seen. Evidence of an item's own is
//!   blended with them by the solve of new items, whose prior mean they are.
//! - The Gram matrix of the model counts the rows that stand in the factors.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::iter::IntoParallelIterator;
use rayon::iter::ParallelIterator;

use super::Engine;
use super::collaborative;
use super::content::ContentModel;
use super::content::EmbeddingSpace;
use super::content::Embeddings;
use super::content::FactorMap;
use super::content::Latent;
use super::content::MapExample;
use super::content::SparseVector;
use super::content::embed;
use super::view::Entry;
use super::view::View;
use crate::domain::Item;

/// Dimensions of the latent space at most.
const RANK_MAX: u32 = 64;

impl View {
    /// Where an item is, described by its entry and its terms.
    pub(super) fn embed(
        &self,
        entry: &Entry,
        terms: &SparseVector,
    ) -> Option<(EmbeddingSpace, Vec<f32>)> {
        let own = entry.item.as_ref().map_or(&[][..], |item| &item.embedding);
        let latent = self.model.as_ref().and_then(|model| model.content.latent.as_ref());
        embed(own, self.settings.embedding_dimension as usize, terms, latent)
    }

    /// The factors that the content of an item foretells.
    pub(super) fn foretold_factors(&self, item: u32) -> Option<Vec<f32>> {
        let (space, row) = self.embeddings.row(item)?;
        self.model.as_ref()?.content.factors(space, row)
    }
}

impl Engine {
    /// Derives where every item is.
    pub(super) fn embed_all(&mut self) {
        let view = &self.view;
        let rank = view.model.as_ref().map_or(0, |model| model.content.rank());
        let mut embeddings = Embeddings::new(view.settings.embedding_dimension as usize, rank);
        let items = 0..view.entries.len();
        // A place depends on its item alone, so threads change no bit.
        let places: Vec<_> = items
            .into_par_iter()
            .map(|index| view.embed(&view.entries[index], &view.terms[index]))
            .collect();
        for (index, place) in places.into_iter().enumerate() {
            embeddings.set(index as u32, place);
        }
        self.view.embeddings = embeddings;
    }

    /// Derives where one item is.
    pub(super) fn embed_item(&mut self, index: u32) {
        let view = &self.view;
        let place = view.embed(&view.entries[index as usize], &view.terms[index as usize]);
        self.view.embeddings.set(index, place);
    }

    /// Gives an item that no training has seen the factors its content foretells; one with
    /// evidence of its own is solved again.
    pub(super) fn foretell(&mut self, index: u32) {
        let Some(model) = &self.view.model else {
            return;
        };
        if model.is_trained(index) {
            return;
        }
        if self.view.accumulators[index as usize].is_some() {
            if let Err(place) = self.view.unsolved.binary_search(&index) {
                self.view.unsolved.insert(place, index);
            }
            return;
        }
        let nothing = vec![0.0; model.k];
        let old = self.view.factors.row(index).map_or_else(|| nothing.clone(), <[f32]>::to_vec);
        let new = self.view.foretold_factors(index).unwrap_or(nothing);
        if old != new {
            let model = self.view.model.as_mut().expect("it was just there");
            collaborative::update_gram(&mut Arc::make_mut(model).item_gram, &old, &new);
            self.view.factors.set_row(index, &new);
        }
    }

    /// As [`Self::foretell`] for every item of the catalogue, right after a switch.
    pub(super) fn foretell_all(&mut self) {
        let Some(model) = self.view.model.clone() else {
            return;
        };
        let mut any = false;
        for index in 0..self.view.entries.len() as u32 {
            if model.is_trained(index) {
                continue;
            }
            if let Some(factors) = self.view.foretold_factors(index) {
                self.view.factors.set_row(index, &factors);
                any = true;
            }
        }
        if any {
            let gram = collaborative::gram(&self.view.factors.to_vec(), model.k);
            let model = self.view.model.as_mut().expect("it was just there");
            Arc::make_mut(model).item_gram = gram;
        }
    }
}

/// Learns the latent space of the catalogue and the maps to trained factors, which are
/// row-major, `k` wide. `positives` counts those of each item.
pub(super) fn fit_content(
    view: &View,
    item_factors: &[f32],
    k: usize,
    positives: &[u32],
) -> ContentModel {
    let catalogue: Vec<&SparseVector> =
        view.terms.iter().filter(|terms| !terms.is_empty()).collect();
    let settings = view.settings();
    let rank = settings.embedding_dimension.min(RANK_MAX) as usize;
    let latent = Latent::fit(&catalogue, rank, settings.seed);
    let dimension = settings.embedding_dimension as usize;
    let own = |item: &Item| embed(&item.embedding, dimension, &SparseVector::default(), None);
    let own_map = fit_map(item_factors, k, positives, |index| {
        own(view.entries[index].item.as_ref()?).map(|place| place.1)
    });
    // Every item with terms teaches this one, also those with an embedding of their own.
    let latent_map =
        fit_map(item_factors, k, positives, |index| latent.as_ref()?.project(&view.terms[index]));
    ContentModel { latent, own_map, latent_map }
}

fn fit_map(
    item_factors: &[f32],
    k: usize,
    positives: &[u32],
    place: impl Fn(usize) -> Option<Vec<f32>>,
) -> Option<FactorMap> {
    let trained: Vec<(usize, Vec<f32>)> = (0..positives.len())
        .filter(|&index| positives[index] > 0)
        .filter_map(|index| Some((index, place(index)?)))
        .collect();
    let examples: Vec<MapExample<'_>> = trained
        .iter()
        .map(|(index, embedding)| MapExample {
            embedding,
            factors: &item_factors[index * k..][..k],
            positives: positives[*index],
        })
        .collect();
    FactorMap::fit(&examples)
}

/// Figures of what was learnt, by name.
pub(super) fn content_figures(content: &ContentModel) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::from([("latent_dimensions".to_owned(), content.rank() as f64)]);
    let maps = [("content_map", &content.latent_map), ("embedding_map", &content.own_map)];
    for (name, map) in maps {
        let explained = map.as_ref().map_or(0.0, FactorMap::r_squared);
        figures.insert(format!("{name}_r_squared"), explained);
    }
    figures
}
