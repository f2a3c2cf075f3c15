//! The sources of candidates.

/// Where candidates come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Factors,
    Cooccurrence,
    ItemItem,
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
    pub const PERSONAL: [Self; 5] =
        [Self::Factors, Self::Cooccurrence, Self::ItemItem, Self::Content, Self::Embedding];
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
}
