//! Stands in for `embedder` in a build without it: there is no model, so nothing fills in embeddings.

use std::path::Path;
use std::sync::Arc;

use super::error::Error;
use crate::storage::Cache;
use crate::telemetry::Metrics;
use engine::View;
use engine::domain::Record;

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(
        "this program was built without what computes embeddings; build it with \
         `cargo build --release --features embedder`, or use the Docker image"
    )]
    NotBuiltIn,
}

/// There is none.
#[derive(Debug)]
pub enum EmbeddingModel {}

impl EmbeddingModel {
    /// # Errors
    /// Always.
    pub fn open(_directory: &Path) -> Result<Self, ModelError> {
        Err(ModelError::NotBuiltIn)
    }

    pub fn dimension(&self) -> usize {
        match *self {}
    }
}

/// There is none, for there is no model to make it of.
#[derive(Debug, Clone)]
pub struct Embedder(Arc<EmbeddingModel>);

impl Embedder {
    pub fn new(model: Arc<EmbeddingModel>, _cache: Arc<dyn Cache>, _metrics: Arc<Metrics>) -> Self {
        Self(model)
    }

    pub async fn fill(&self, _records: &mut [Record], _view: &View) -> Result<(), Error> {
        match *self.0 {}
    }
}
