//! What each user does with each item, updated with every interaction.

mod history;
mod session;
mod showings;
mod user;
mod weighing;

pub use history::{History, HistoryEntry};
pub use showings::{Showings, is_within_a_day};
pub use user::{Event, Live, User};
pub use weighing::{Weighing, kept};
