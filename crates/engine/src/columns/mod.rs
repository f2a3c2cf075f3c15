//! Containers for state: sequences in copy-on-write pages, the indices of items and of users, names
//! with their indices, aliases, windows and matrices. Each has a digest and is written as sections of a
//! snapshot ([`part::Part`]).

pub mod aliases;
pub mod column;
mod free_slots;
pub mod index;
pub mod interner;
pub mod key_index;
pub mod labels;
pub mod part;
pub mod window;
