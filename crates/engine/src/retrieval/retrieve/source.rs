//! The sources of candidates.

use std::slice::from_ref;

use crate::columns::index::ItemIndex;
use crate::features::Associated;
use crate::models::collaborative::ItemItemScores;

/// Where candidates come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Factors,
    Cooccurrence,
    ItemItem,
    Sequence,
    Overlap,
    Content,
    Embedding,
    Cohorts,
    Location,
    Attributes,
    Popular,
    Trending,
    Fresh,
    Newcomers,
    Boosts,
    Explore,
}

impl Source {
    /// Sources that depend on the user.
    pub const PERSONAL: [Self; 7] = [
        Self::Factors,
        Self::Cooccurrence,
        Self::ItemItem,
        Self::Sequence,
        Self::Overlap,
        Self::Content,
        Self::Embedding,
    ];
    /// Sources that are the same for many users.
    pub const SHARED: [Self; 9] = [
        Self::Cohorts,
        Self::Location,
        Self::Attributes,
        Self::Popular,
        Self::Trending,
        Self::Fresh,
        Self::Newcomers,
        Self::Boosts,
        Self::Explore,
    ];

    /// The lists of scores by weights of items that a source searches.
    pub fn associations(self, associated: &Associated) -> &[ItemItemScores<ItemIndex>] {
        let Associated { together, sequence, overlap } = associated;
        match self {
            Self::ItemItem => together,
            Self::Sequence => from_ref(sequence),
            Self::Overlap => from_ref(overlap),
            _ => &[],
        }
    }
}
