//! What is known about each person, updated with every interaction.

mod history;
mod user;

pub use history::HistoryEntry;
pub use user::{Occasion, User};
