//! Special functions to about 12 digits, in the tails too: what scipy and R give, without either.
//!
//! Invariants: pure functions on f64 with the same bits on every platform. An argument outside the
//! domain gives NaN here; the rest of the crate never passes one.

pub mod beta;
pub mod gamma;
pub mod math;
pub mod normal;
pub mod root;
pub mod student;
