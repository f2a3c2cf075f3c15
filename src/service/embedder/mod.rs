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
use engine::View;
use engine::domain::Item;
use engine::domain::ItemField;
use engine::domain::Record;
use engine::domain::embedded_texts;
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

    /// Gives upserted items that have a text and no embedding the one of their text, and changed
    /// items that of their text with the change, as the view knows it. Namespaces whose embeddings
    /// have another length than the model's are left alone.
    ///
    /// # Errors
    /// `Overloaded` when too much waits already; `Internal` when the model panics.
    pub async fn fill(&self, records: &mut [Record], view: &View) -> Result<(), Error> {
        let dimension = view.settings().embedding_dimension as usize;
        if dimension != self.model.dimension() {
            if !self.told.swap(true, Ordering::Relaxed) {
                let made = self.model.dimension();
                tracing::warn!(made, expected = dimension, "a namespace gets no embeddings");
            }
            return Ok(());
        }
        let texts: Vec<Option<String>> =
            records.iter().map(|record| unembedded(record, view)).collect();
        let waiting_bytes = records.iter().zip(&texts).filter_map(|(record, text)| {
            let text = text.as_ref()?;
            Some(text.len() + record.bytes())
        });
        let bytes = waiting_bytes.sum::<usize>().min(WAITING_BYTES);
        let bytes = u32::try_from(bytes).expect("the budget is below 4 GiB");
        let overloaded = |_none_left| Error::Overloaded("too many items wait for an embedding");
        let _permit = self.waiting.try_acquire_many(bytes).map_err(overloaded)?;
        let (mut missing, mut missing_texts) = (Vec::new(), Vec::new());
        for (record, text) in records.iter_mut().zip(texts) {
            let Some(text) = text else {
                continue;
            };
            let key = self.key(&text);
            match self.cached(&key).await {
                Some(embedding) => {
                    set_embedding(record, embedding);
                    self.count("cached", 1);
                }
                None => {
                    missing.push((record, key));
                    missing_texts.push(text);
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let computed = self.compute(missing_texts).await?;
        for ((record, key), embedding) in missing.into_iter().zip(computed) {
            let Some(embedding) = embedding else {
                continue;
            };
            let bytes = embedding.iter().flat_map(|value| value.to_le_bytes()).collect();
            self.cache.put(key, bytes, LIFETIME);
            set_embedding(record, embedding);
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

/// The text of which an item needs an embedding after a record.
fn unembedded(record: &Record, view: &View) -> Option<String> {
    match record {
        Record::ItemUpserted(item) => Some(item).filter(|item| item.embedding.is_empty()).map(text),
        Record::ItemPatched(patch) => {
            let is_asked =
                patch.mask.has(ItemField::Embedding) && patch.values.embedding.is_empty();
            let follows = !patch.mask.has(ItemField::Embedding) && patch.changes_embedded_text();
            let entry = view.catalogue_item(patch.item_id().as_str());
            let item = entry?.item.as_ref()?;
            // One that a caller gave stays until a caller gives another.
            let is_own = !item.embedding.is_empty() && !item.embedding_is_computed;
            let needs_one = is_asked || follows && !is_own;
            needs_one.then(|| patch.applied_to(item).ok().as_ref().map(text))?
        }
        _ => None,
    }
    .filter(|text| !text.is_empty())
}

/// The mask of a change stays as the caller gave it: an embedding that another caller gives in the
/// meantime is kept when the change is merged.
fn set_embedding(record: &mut Record, embedding: Vec<f32>) {
    let item = match record {
        Record::ItemUpserted(item) => item,
        Record::ItemPatched(patch) => &mut patch.values,
        _ => return,
    };
    (item.embedding, item.embedding_is_computed) = (embedding, true);
}

/// What the model reads of an item.
fn text(item: &Item) -> String {
    let parts = embedded_texts(item).map(|(_, text)| text);
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.trim().is_empty()).collect();
    parts.join(". ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::domain::ItemId;
    use engine::domain::ItemMask;
    use engine::domain::ItemPatch;

    #[test]
    fn a_computed_embedding_leaves_one_that_another_caller_gave_in_the_meantime() {
        let bare = || Item::new(ItemId::parse("i").unwrap());
        let mask = ItemMask { fields: [ItemField::Title].into(), ..ItemMask::default() };
        let values = Item { title: "new".to_owned(), ..bare() };
        let mut record = Record::ItemPatched(ItemPatch { mask, values });
        set_embedding(&mut record, vec![2.0]);
        let Record::ItemPatched(patch) = record else {
            panic!("it is still a change");
        };
        assert_eq!(patch.applied_to(&bare()).unwrap().embedding, [2.0]);
        let given = Item { embedding: vec![1.0], ..bare() };
        assert_eq!(patch.applied_to(&given).unwrap().embedding, [1.0]);
    }
}
