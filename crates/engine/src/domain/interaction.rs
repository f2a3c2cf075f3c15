//! What a user did with an item.

use crate::domain::attributes::Attributes;
use crate::domain::ids::DecisionId;
use crate::domain::ids::EventId;
use crate::domain::ids::ItemId;
use crate::domain::ids::SessionId;
use crate::domain::ids::UserId;
use crate::domain::timestamp::Timestamp;

/// The kind of an interaction. The discriminants are stored: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum InteractionType {
    Impression = 1,
    Click = 2,
    Like = 3,
    Dislike = 4,
    Share = 5,
    Save = 6,
    Purchase = 7,
    /// `value` holds seconds.
    Dwell = 8,
    Skip = 9,
    Hide = 10,
    /// `value` holds the rating, 0 to 5.
    Rating = 11,
}

impl InteractionType {
    pub const ALL: [Self; 11] = [
        Self::Impression,
        Self::Click,
        Self::Like,
        Self::Dislike,
        Self::Share,
        Self::Save,
        Self::Purchase,
        Self::Dwell,
        Self::Skip,
        Self::Hide,
        Self::Rating,
    ];

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Index in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize - 1
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Impression => "impression",
            Self::Click => "click",
            Self::Like => "like",
            Self::Dislike => "dislike",
            Self::Share => "share",
            Self::Save => "save",
            Self::Purchase => "purchase",
            Self::Dwell => "dwell",
            Self::Skip => "skip",
            Self::Hide => "hide",
            Self::Rating => "rating",
        }
    }

    /// Whether an interaction of this type means nothing without its value.
    pub const fn needs_value(self) -> bool {
        matches!(self, Self::Dwell | Self::Rating)
    }
}

/// What surrounded an interaction. Topics and source stand in for a catalogue
/// entry when the item is not in the catalogue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InteractionContext {
    pub topics: Vec<Box<str>>,
    pub source: Option<Box<str>>,
    pub device_type: Option<Box<str>>,
    pub attributes: Attributes,
    /// Where the user was, in the client's words.
    pub location: Option<Box<str>>,
    /// Minutes to add to UTC for the user's clock; `None` is unknown.
    pub utc_offset_minutes: Option<i32>,
}

/// One event of one user with one item.
#[derive(Debug, Clone, PartialEq)]
pub struct Interaction {
    pub event_id: EventId,
    pub user_id: UserId,
    pub item_id: ItemId,
    pub kind: InteractionType,
    /// Rating, dwell seconds, ...; finite and not negative.
    pub value: Option<f32>,
    pub occurred_at: Timestamp,
    pub session_id: Option<SessionId>,
    /// The answer of Personalize that led to this interaction.
    pub decision_id: Option<DecisionId>,
    /// Position in the shown list, from 0.
    pub position: Option<u32>,
    pub context: InteractionContext,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_types_map_onto_each_other() {
        for kind in InteractionType::ALL {
            assert_eq!(InteractionType::from_code(kind.code()), Some(kind));
            assert_eq!(InteractionType::ALL[kind.index()], kind);
        }
        assert_eq!(InteractionType::from_code(0), None);
        assert_eq!(InteractionType::from_code(12), None);
    }
}
