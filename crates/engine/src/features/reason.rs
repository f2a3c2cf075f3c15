//! What a feature says for an item, in terms of the user.

/// What kind of thing speaks for an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasonKind {
    /// Users who wanted the causing item want this one soon after.
    WantedTogether,
    /// Users with the taste that the causing item shows most want it.
    SharedTaste,
    /// It is like the causing item.
    SimilarContent,
    /// The user likes its topic.
    LikedTopic,
    /// The user likes its source.
    LikedSource,
    Popular,
    Trending,
    /// It is popular among users of the user's cohort.
    PopularInCohort,
    /// It is popular where the user is.
    PopularInPlace,
    /// Its topics are wanted at this time of the week.
    TimeOfWeek,
    /// The user wants its topics at this time of the week.
    OwnTimeOfWeek,
    /// Its topics are wanted on this kind of device.
    Device,
    New,
    /// The user comes back to it.
    Repeat,
    /// It is like what the user is busy with.
    SessionContent,
    /// It is about what the user is busy with.
    SessionTopic,
    /// It is raised by the caller's rules.
    Boosted,
    /// Shown to learn about it.
    Exploration,
    /// The caller wants it there.
    Pinned,
}

/// What a reason names: where the cause of a feature's value is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The item of the recent path that co-occurs most with it.
    Together,
    /// The item of the recent path that it follows most.
    Before,
    /// The item that adds most to the item-item score.
    Neighbour,
    /// The item that adds most to the score of the factors.
    Factors,
    /// The liked item that is most similar.
    SimilarLiked,
    /// The liked item of the session that is most similar.
    SimilarInSession,
    /// The latest item of the session with the same topic.
    SessionTopic,
    /// The item itself.
    Itself,
    /// Its topic that the user likes most, else its first one.
    Topic,
    /// Its topic that the user likes most; no reason without one.
    LikedTopic,
    Source,
    Cohort,
    Location,
    Device,
}
