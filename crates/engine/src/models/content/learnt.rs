//! What a training learns about content: the latent space, and a map from each space to
//! item factors. Part of a published model.

use serde::Deserialize;
use serde::Serialize;

use crate::models::content::embeddings::EmbeddingSpace;
use crate::models::content::factor_map::FactorMap;
use crate::models::content::latent::Latent;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContentModel {
    pub latent: Option<Latent>,
    pub own_map: Option<FactorMap>,
    pub latent_map: Option<FactorMap>,
}

impl ContentModel {
    /// The predicted factors of an item with this embedding.
    pub fn factors(&self, space: EmbeddingSpace, row: &[f32]) -> Option<Vec<f32>> {
        let map = match space {
            EmbeddingSpace::Own => &self.own_map,
            EmbeddingSpace::Latent => &self.latent_map,
        };
        map.as_ref()?.map(row)
    }

    /// Dimensions of the latent space; 0: there is none.
    pub fn rank(&self) -> usize {
        self.latent.as_ref().map_or(0, Latent::rank)
    }

    /// Whether bytes read from a model with `k` factors are usable.
    pub fn is_whole(&self, k: usize) -> bool {
        self.latent.iter().all(Latent::is_whole)
            && self.own_map.iter().chain(&self.latent_map).all(|map| map.is_whole(k))
    }

    /// All numbers used in computations.
    pub fn numbers(&self) -> impl Iterator<Item = &f32> {
        let maps = self.own_map.iter().chain(&self.latent_map).flat_map(FactorMap::numbers);
        self.latent.iter().flat_map(Latent::numbers).chain(maps)
    }
}
