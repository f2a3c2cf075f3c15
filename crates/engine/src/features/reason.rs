//! The reasons that features give for an item, in terms of the user.

/// The kind of a reason for an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasonKind {
    /// Users with a positive of the causing item soon have one of this item.
    ConsumedTogether,
    /// Users with the taste behind the causing item have positives of this item.
    SharedTaste,
    /// It is similar to the causing item.
    SimilarContent,
    /// The user likes its topic.
    LikedTopic,
    /// The user likes its source.
    LikedSource,
    Popular,
    Trending,
    /// It is popular among users of the user's cohort.
    PopularInCohort,
    /// It is popular at the user's location.
    PopularAtLocation,
    /// It, or its topics, have more positives under an attribute of the request context.
    Attributes,
    /// Its topics have more positives at this time of the week.
    TimeOfWeek,
    /// The user consumes its topics at this time of the week.
    OwnTimeOfWeek,
    /// Its topics have more positives on this kind of device.
    Device,
    New,
    /// The user had it before.
    Repeat,
    /// Its content is similar to that of the session.
    SessionContent,
    /// It has a topic of the session.
    SessionTopic,
    /// The caller's rules raise its score.
    Boosted,
    /// Only what the user has set raises its score.
    BoostedByUser,
    /// Chance gave it its position, to learn about it.
    Exploration,
    /// The caller pinned it.
    Pinned,
}

/// What a reason names as the cause of a feature's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The item of the recent path that co-occurs most with it.
    Together,
    /// The item of the recent path that it follows most.
    Before,
    /// The item that adds most to the item-item score.
    Neighbour,
    /// The item that adds most to the score by what comes next.
    Next,
    /// The item whose users are most those of the item.
    Overlap,
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
    /// Its topic that the user likes most, else its first.
    Topic,
    /// Its topic that the user likes most; no reason without one.
    LikedTopic,
    Source,
    Cohort,
    Location,
    /// The attribute of the request context under which it is most popular.
    Attributes,
    Device,
}
