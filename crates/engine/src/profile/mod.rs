//! What is known about each person, updated with every interaction.

mod history;
mod session;
mod showings;
mod user;

pub use history::{History, HistoryEntry};
pub use showings::{Showings, is_within_a_day};
pub use user::{Event, User};
