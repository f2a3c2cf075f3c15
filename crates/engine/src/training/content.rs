//! What the content of items says of their factors: fitted with each training.

use std::collections::BTreeMap;

use crate::columns::index::ItemIndex;
use crate::domain::Item;
use crate::models::collaborative::TrainingSet;
use crate::models::content::ContentModel;
use crate::models::content::FactorMap;
use crate::models::content::Latent;
use crate::models::content::MapExample;
use crate::models::content::RANK_MAX;
use crate::models::content::SparseVector;
use crate::models::content::TermVectors;
use crate::models::content::embed;
use crate::state::View;
use crate::training::columns::Columns;

/// The latent space of the catalogue.
pub fn latent(view: &View) -> Option<Latent> {
    let catalogue: Vec<&SparseVector> =
        view.items.terms.iter().map(TermVectors::whole).filter(|terms| !terms.is_empty()).collect();
    let settings = view.settings();
    let rank = (settings.embedding_dimension as usize).min(RANK_MAX);
    Latent::fit(&catalogue, rank, settings.seed)
}

/// Learns the maps to trained factors, which are row-major by column, `k` wide, of the users of a
/// set.
pub fn fit(
    view: &View,
    columns: &Columns,
    (item_factors, k): (&[f32], usize),
    set: &TrainingSet,
    latent: Option<Latent>,
) -> ContentModel {
    let positives = positives_by_column(set);
    let settings = view.settings();
    let dimension = settings.embedding_dimension as usize;
    let own = |item: &Item| embed(&item.embedding, dimension, &SparseVector::default(), None);
    let fit_map = |embedding: &dyn Fn(ItemIndex) -> Option<Vec<f32>>| {
        let items = columns.items().iter().zip(item_factors.chunks_exact(k)).zip(&positives);
        let liked = items.filter(|(_, positives)| **positives > 0);
        let known: Vec<(Vec<f32>, &[f32], u32)> = liked
            .filter_map(|((&item, row), &count)| Some((embedding(item)?, row, count)))
            .collect();
        let examples: Vec<MapExample<'_>> = known
            .iter()
            .map(|(embedding, factors, positives)| MapExample {
                embedding,
                factors,
                positives: *positives,
            })
            .collect();
        FactorMap::fit(&examples)
    };
    let own_map = fit_map(&|item| {
        own(view.items.entries[item].item.as_ref()?).map(|(_, embedding)| embedding)
    });
    // Every item with terms teaches this one, also those with an embedding of their own.
    let latent_map = fit_map(&|item| latent.as_ref()?.project(view.items.terms[item].whole()));
    ContentModel { latent, own_map, latent_map }
}

/// How many users consumed the item of each column.
fn positives_by_column(set: &TrainingSet) -> Vec<u32> {
    let mut counts = vec![0; set.n_items()];
    for user in 0..set.n_users() {
        let (columns, weights) = set.row(user);
        let positives = columns.iter().zip(weights).filter(|entry| *entry.1 > 0.0);
        positives.for_each(|(&column, _)| counts[column as usize] += 1);
    }
    counts
}

/// Figures of what was learnt, by name.
pub fn figures(content: &ContentModel) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::from([("latent_dimensions".to_owned(), content.rank() as f64)]);
    let maps = [("content_map", &content.latent_map), ("embedding_map", &content.own_map)];
    for (name, map) in maps {
        let explained = map.as_ref().map_or(0.0, FactorMap::r_squared);
        figures.insert(format!("{name}_r_squared"), explained);
    }
    figures
}
