//! Embeddings of items that come without one, by a local sentence-transformer.
//!
//! - They are computed before an item is written, so they enter the log as data: replay,
//!   other replicas and a later start need no model.
//! - The same text under the same model is computed once in 24 hours: the cache is shared.
//! - Work is done on blocking threads, some texts at a turn. What waits is bounded by bytes;
//!   beyond the bound it is refused. A caller who goes away is worked for to the end of the
//!   turn only.
//! - A text that the model cannot take leaves its own item without embedding, counted and
//!   logged.

mod chunks;
mod model;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::blocking::run_blocking;
use super::error::Error;
use crate::storage::Cache;
use crate::telemetry::Metrics;
use engine::domain::Item;
use engine::domain::Record;
pub use model::EmbeddingModel;
pub use model::ModelError;

const LIFETIME: Duration = Duration::from_secs(24 * 3_600);
/// Turns that compute at a time: each uses every core that training would.
const RUNNING_MAX: usize = 1;
/// Texts of a turn.
const TEXTS_PER_TURN: usize = 64;
/// Memory of items that may wait for their turn, with the copies of their texts.
const WAITING_BYTES: usize = 32 * 1024 * 1024;

/// Fills in embeddings. Cheap to clone.
#[derive(Clone)]
pub struct Embedder {
    model: Arc<EmbeddingModel>,
    cache: Arc<dyn Cache>,
    metrics: Arc<Metrics>,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Whether it was logged that the model does not suit a namespace.
    told: Arc<AtomicBool>,
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedder").field("model", &self.model).finish_non_exhaustive()
    }
}

impl Embedder {
    pub fn new(model: Arc<EmbeddingModel>, cache: Arc<dyn Cache>, metrics: Arc<Metrics>) -> Self {
        let running = Arc::new(Semaphore::new(RUNNING_MAX));
        let waiting = Arc::new(Semaphore::new(WAITING_BYTES));
        Self { model, cache, metrics, running, waiting, told: Arc::default() }
    }

    /// Gives upserted items that have a text and no embedding the one of their text.
    /// Namespaces whose embeddings have another length than the model's are left alone.
    ///
    /// # Errors
    /// `Overloaded` when too much waits already; `Internal` when the model panics.
    pub async fn fill(&self, records: &mut [Record], dimension: usize) -> Result<(), Error> {
        if dimension != self.model.dimension() {
            if !self.told.swap(true, Ordering::Relaxed) {
                let made = self.model.dimension();
                tracing::warn!(made, expected = dimension, "a namespace gets no embeddings");
            }
            return Ok(());
        }
        let waiting_bytes = records.iter_mut().filter_map(|record| {
            let (_item, text) = unembedded(record)?;
            Some(text.len() + record.bytes())
        });
        let bytes = waiting_bytes.sum::<usize>().min(WAITING_BYTES);
        let bytes = u32::try_from(bytes).expect("the budget is below 4 GiB");
        let overloaded = |_none_left| Error::Overloaded("too many items wait for an embedding");
        let _permit = self.waiting.try_acquire_many(bytes).map_err(overloaded)?;
        let (mut missing, mut texts) = (Vec::new(), Vec::new());
        for (position, record) in records.iter_mut().enumerate() {
            let Some((item, text)) = unembedded(record) else {
                continue;
            };
            let key = self.key(&text);
            match self.cached(&key).await {
                Some(embedding) => {
                    item.embedding = embedding;
                    self.count("cached", 1);
                }
                None => {
                    missing.push((position, key));
                    texts.push(text);
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let computed = self.compute(texts).await?;
        for ((position, key), embedding) in missing.into_iter().zip(computed) {
            let (Some(embedding), Record::ItemUpserted(item)) = (embedding, &mut records[position])
            else {
                continue;
            };
            let bytes = embedding.iter().flat_map(|value| value.to_le_bytes()).collect();
            self.cache.put(key, bytes, LIFETIME);
            item.embedding = embedding;
        }
        Ok(())
    }

    /// `None` for a text that the model failed at.
    async fn compute(&self, mut texts: Vec<String>) -> Result<Vec<Option<Vec<f32>>>, Error> {
        let mut embeddings = Vec::with_capacity(texts.len());
        while !texts.is_empty() {
            let later = texts.split_off(texts.len().min(TEXTS_PER_TURN));
            embeddings.append(&mut self.turn(std::mem::replace(&mut texts, later)).await?);
        }
        let failed = embeddings.iter().filter(|embedding| embedding.is_none()).count();
        self.count("computed", embeddings.len() - failed);
        self.count("failed", failed);
        Ok(embeddings)
    }

    async fn turn(&self, texts: Vec<String>) -> Result<Vec<Option<Vec<f32>>>, Error> {
        let closed = |_closed| Error::ShuttingDown;
        let turn = self.running.clone().acquire_owned().await.map_err(closed)?;
        let started = std::time::Instant::now();
        let model = self.model.clone();
        let work = move || {
            // Held by the work: a caller who goes away frees no slot for more of it.
            let _turn = turn;
            match model.embed(&texts) {
                Ok(embeddings) => embeddings.into_iter().map(Some).collect(),
                Err(_one_of_them) => texts.iter().map(|text| alone(&model, text)).collect(),
            }
        };
        let computed = run_blocking(work).await;
        self.metrics.embedding_seconds.observe(started.elapsed().as_secs_f64());
        computed
    }

    async fn cached(&self, key: &str) -> Option<Vec<f32>> {
        let bytes = self.cache.get(key).await?;
        let (values, []) = bytes.as_chunks() else {
            return None;
        };
        let embedding: Vec<f32> = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
        let sound = embedding.len() == self.model.dimension()
            && embedding.iter().all(|value| value.is_finite());
        sound.then_some(embedding)
    }

    fn key(&self, text: &str) -> String {
        format!("embedding/{}/{}", self.model.fingerprint(), blake3::hash(text.as_bytes()).to_hex())
    }

    fn count(&self, outcome: &str, items: usize) {
        if items == 0 {
            return;
        }
        let labels = vec![("outcome", outcome.to_owned())];
        self.metrics.embeddings.get_or_create(&labels).inc_by(items as u64);
    }
}

fn alone(model: &EmbeddingModel, text: &String) -> Option<Vec<f32>> {
    let embedded = model.embed(std::slice::from_ref(text));
    let logged = embedded.inspect_err(|error| tracing::warn!(%error, "no embedding of a text"));
    logged.ok()?.pop()
}

/// The item of a record that needs an embedding, with the text to make it of.
fn unembedded(record: &mut Record) -> Option<(&mut Item, String)> {
    let Record::ItemUpserted(item) = record else {
        return None;
    };
    if !item.embedding.is_empty() {
        return None;
    }
    let topics = item.topics.join(", ");
    let parts = [item.title.as_str(), item.content.as_str(), topics.as_str()];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.trim().is_empty()).collect();
    let text = parts.join(". ");
    (!text.is_empty()).then_some((item, text))
}
