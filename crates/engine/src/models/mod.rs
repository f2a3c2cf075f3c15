//! Models: data structures that learn, each independent of the state and of requests.

pub mod aging;
pub mod clock;
pub mod cold_start;
pub mod collaborative;
pub mod content;
pub mod contexts;
pub mod decay;
pub mod decays;
pub mod factors;
pub mod hybrid;
pub mod prequential;
pub mod published;
pub mod recent_positives;
pub mod sorted_chunks;
pub mod weighing;
