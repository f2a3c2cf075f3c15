//! The sources of candidates by name.

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
    pub const SHARED: [Self; 8] = [
        Self::Cohorts,
        Self::Location,
        Self::Popular,
        Self::Trending,
        Self::Fresh,
        Self::Newcomers,
        Self::Boosts,
        Self::Explore,
    ];

    /// Sources that are score components have the component's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Factors => "collaborative",
            Self::Cooccurrence => "cooccurrence",
            Self::ItemItem => "item_item",
            Self::Content => "content",
            Self::Embedding => "embedding",
            Self::Cohorts => "cohorts",
            Self::Location => "location",
            Self::Popular => "popular",
            Self::Trending => "trending",
            Self::Fresh => "fresh",
            Self::Newcomers => "new_items",
            Self::Boosts => "boosts",
            Self::Explore => "random",
        }
    }
}
