//! What the catalogue or the events of users say about an item.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::Item;
use crate::domain::Timestamp;
use crate::models::content::TermCounts;

/// How long an item is new.
const NEW_MS: i64 = 7 * Timestamp::DAY_MS;

/// What the engine knows about an item.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// `None` for an item known from interactions only; it is never retrieved.
    pub item: Option<Arc<Item>>,
    pub topics: Vec<u32>,
    pub source: Option<u32>,
    /// Of the texts of each language, the item's own first.
    pub counts: Vec<TermCounts>,
    pub updated_at: Timestamp,
    /// When it was first added to the catalogue.
    pub added_at: Timestamp,
}

impl Entry {
    /// The time of its publication, else of its first upsert.
    pub fn born(&self) -> Timestamp {
        self.item.as_ref().and_then(|item| item.published_at).unwrap_or(self.added_at)
    }

    /// Whether the catalogue has had it for less than a week.
    pub fn is_new(&self, now: Timestamp) -> bool {
        now < self.added_at.plus_millis(NEW_MS)
    }
}
