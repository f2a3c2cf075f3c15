//! Something that can be recommended, as the catalogue knows it.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::attributes::Attributes;
use crate::domain::ids::ItemId;
use crate::domain::timestamp::Timestamp;

/// A catalogue entry. Bounds: [`crate::domain::limits`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub item_id: ItemId,
    pub title: String,
    pub content: String,
    pub topics: Vec<Box<str>>,
    pub source: Option<Box<str>>,
    pub published_at: Option<Timestamp>,
    /// Empty, or as long as the namespace's embedding dimension; finite.
    pub embedding: Vec<f32>,
    pub attributes: Attributes,
    /// Primary subtag of BCP 47, two or three lower-case letters; `None`: not said.
    pub language: Option<Box<str>>,
}
