//! Experiments over gRPC: their life, who gets what, what counts, and what is refused.

pub mod backfill;
pub mod lab;
pub mod life;
mod lists;
mod rehearsal;
mod variants;
mod wrong;
