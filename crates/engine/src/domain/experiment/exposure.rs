//! Which variants acted on an answer, and the record of it where there is no decision.

use crate::domain::ids::UserId;
use crate::domain::timestamp::Timestamp;

/// A variant that acted on an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// The number of the experiment in its namespace.
    pub experiment: u32,
    /// Index of the variant.
    pub variant: u8,
    /// Given by hand: not measured.
    pub is_tester: bool,
    /// Whether the ranker of the variant made the list.
    pub own_ranker: bool,
}

/// An answer that was no decision: only the variant was requested, or nothing was left to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    pub user_id: UserId,
    pub exposed_at: Timestamp,
    /// See [`Decision::segment`](crate::domain::Decision::segment).
    pub segment: u8,
    pub assignments: Vec<Assignment>,
}
