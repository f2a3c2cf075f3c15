//! Personal candidates of large catalogues, kept for an hour and shared by replicas.
//!
//! - Searching a large catalogue for a user takes milliseconds; its outcome holds
//!   while neither the user nor the model, the settings nor the filter change, which the key
//!   says. Cohorts, popular, trending, fresh and random items are added each time,
//!   and ranking, exploration and propensities are always of the moment.
//! - Item indices are handed out in the order of the log, so they mean the same on
//!   every replica. One that is ahead may know items that this one does not yet:
//!   those are left out.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::storage::Cache;
use crate::storage::Partition;
use engine::Filter;
use engine::ItemIndex;
use engine::UserIndex;
use engine::domain::Sequence;

const LIFETIME: Duration = Duration::from_secs(3_600);

/// What personal candidates depend on.
#[derive(Debug)]
pub struct PredictionKey<'a> {
    pub partition: &'a Partition,
    pub user: UserIndex,
    pub user_changed_at: Sequence,
    pub model_version: u64,
    pub settings_at: Sequence,
    pub filter: &'a Filter,
}

impl PredictionKey<'_> {
    pub fn text(&self) -> String {
        let Partition { namespace, incarnation } = self.partition;
        let filter = xxhash_rust::xxh3::xxh3_128(format!("{:?}", self.filter).as_bytes());
        let mut text = format!("prediction/{namespace}/{incarnation}/");
        let Self { user, user_changed_at, model_version, settings_at, .. } = self;
        write!(
            text,
            "{model_version}/{settings_at}/{}/{user_changed_at}/{filter:032x}",
            user.get()
        )
        .expect("writing to a string does not fail");
        text
    }
}

/// The cache of personal candidates.
#[derive(Clone)]
pub struct Predictions(Arc<dyn Cache>);

impl std::fmt::Debug for Predictions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Predictions")
    }
}

impl Predictions {
    pub fn new(cache: Arc<dyn Cache>) -> Self {
        Self(cache)
    }

    pub async fn get(&self, key: &str) -> Option<Vec<ItemIndex>> {
        let bytes = self.0.get(key).await?;
        let (indices, []) = bytes.as_chunks() else {
            return None;
        };
        let indices = indices.iter().map(|index| ItemIndex::new(u32::from_le_bytes(*index)));
        Some(indices.collect())
    }

    pub fn put(&self, key: String, candidates: &[ItemIndex]) {
        let bytes = candidates.iter().flat_map(|index| index.get().to_le_bytes()).collect();
        self.0.put(key, bytes, LIFETIME);
    }
}
