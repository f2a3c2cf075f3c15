//! The conditions of a request on its items, and the rules that exclude an item.

use crate::domain::Attributes;
use crate::domain::Timestamp;
use crate::domain::Withheld;
use crate::expression::Expression;

/// Which candidates a request allows: the same for every user at any time.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Any of these topics; empty: all.
    pub topics: Vec<Box<str>>,
    /// Any of these sources; empty: all.
    pub sources: Vec<Box<str>>,
    /// Every one of these attributes.
    pub attributes: Attributes,
    pub published_after: Option<Timestamp>,
    /// Excluded ids, sorted.
    pub exclude: Vec<Box<str>>,
    pub expression: Option<Expression>,
    /// Whether items the user already had are allowed. Hidden items stay excluded.
    pub include_seen: bool,
    /// Hours for which an item is excluded after an interaction; 0: no such rule.
    pub seen_cooldown_hours: f32,
    /// Number of interactions that excludes an item; 0: no such rule.
    pub seen_after_sessions: u32,
    /// Number of impressions in 24 hours that excludes an item; 0: no such rule.
    pub frequency_cap_per_day: u32,
}

impl Filter {
    /// Whether the result depends only on the item, the user's history and the model: neither on
    /// the time nor on impressions. What time and changes of the catalogue do to an item does not count.
    pub fn is_timeless(&self) -> bool {
        self.seen_cooldown_hours == 0.0
            && self.frequency_cap_per_day == 0
            && !self.expression.as_ref().is_some_and(Expression::depends_on_time)
    }
}

/// The rule that excludes an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusion {
    /// It is not in the catalogue.
    NotInCatalogue,
    /// It is not shown to any user at the moment.
    Withheld(Withheld),
    Topics,
    Sources,
    Attributes,
    PublishedAfter,
    /// It is one of the excluded ids.
    Listed,
    Expression,
    /// The user has blocked it.
    BlockedItem,
    /// The user has blocked its source.
    BlockedSource,
    /// The user has blocked one of its topics.
    BlockedTopic,
    /// The user hid it.
    HiddenByUser,
    /// The user had it.
    Seen,
    /// The user had it a short while ago.
    SeenCooldown,
    /// The user had it often enough.
    SeenAfterSessions,
    /// The user was shown it often enough today.
    FrequencyCap,
    /// An earlier page of the list showed it.
    EarlierPage,
}

impl Exclusion {
    /// All rules but [`Self::NotInCatalogue`], those about the item first.
    pub const RULES: [Self; 18] = [
        Self::Topics,
        Self::Sources,
        Self::PublishedAfter,
        Self::Listed,
        Self::EarlierPage,
        Self::Attributes,
        Self::Expression,
        Self::Withheld(Withheld::Hidden),
        Self::Withheld(Withheld::NotYetPublished),
        Self::Withheld(Withheld::Expired),
        Self::BlockedItem,
        Self::BlockedSource,
        Self::BlockedTopic,
        Self::HiddenByUser,
        Self::Seen,
        Self::SeenCooldown,
        Self::SeenAfterSessions,
        Self::FrequencyCap,
    ];

    /// Whether it is a condition of the request on the item alone.
    pub fn is_condition(self) -> bool {
        matches!(
            self,
            Self::Topics
                | Self::Sources
                | Self::Attributes
                | Self::PublishedAfter
                | Self::Listed
                | Self::Expression
        )
    }

    /// Whether no field of a request lifts the rule.
    pub fn is_beyond_requests(self) -> bool {
        match self {
            Self::NotInCatalogue
            | Self::Withheld(_)
            | Self::BlockedItem
            | Self::BlockedSource
            | Self::BlockedTopic
            | Self::HiddenByUser
            | Self::EarlierPage => true,
            Self::Topics
            | Self::Sources
            | Self::Attributes
            | Self::PublishedAfter
            | Self::Listed
            | Self::Expression
            | Self::Seen
            | Self::SeenCooldown
            | Self::SeenAfterSessions
            | Self::FrequencyCap => false,
        }
    }
}
