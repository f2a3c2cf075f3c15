//! What is known about each person, updated with every interaction.

mod history;
mod session;
mod user;

pub use history::HistoryEntry;
pub use user::{Event, User};
