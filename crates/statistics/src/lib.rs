//! The statistics of experiments: from sums and counts to intervals, p-values and decisions.
//!
//! - Pure functions: no I/O, no clock, no randomness. The same sums give the same bits on every
//!   platform.
//! - Knows nothing of experiments as objects: an arm is its sums, a plan is a level and a number of
//!   units.
//! - No result is NaN or infinite. Where data do not suffice, the answer says what is missing
//!   ([`Missing`]). Only a wrong parameter is an error ([`ParameterError`]).
//! - An interval leaves 0 out exactly when its verdict names a winner; difference and lift never
//!   disagree.
//!
//! Formulas, papers and simulations: `docs/experiments-mathematics.md`.
//!
//! Layers, bottom-up. Each uses only those above it in this list:
//!
//! - `special`: distributions and roots.
//! - [`Level`], [`Missing`], [`Comparison`]: what goes in and what comes out.
//! - [`summary`]: sums of an arm and its estimate. [`adjustment`]: by a value from before (CUPED, Lin).
//! - `contrast`: two estimates side by side. `mixture`: counts against expected shares.
//! - [`fixed`]: one look at a planned time. [`sequential`]: any number of looks at any time.
//! - [`guardrail`], [`power`], [`sample_ratio`], [`multiplicity`], [`interleaving`].
//! - [`words`]: numbers and verdicts as text.
#![deny(clippy::disallowed_types)]

pub mod adjustment;
mod contrast;
pub mod fixed;
pub mod guardrail;
pub mod interleaving;
mod level;
mod mixture;
pub mod multiplicity;
mod outcome;
pub mod power;
pub mod sample_ratio;
pub mod sequential;
pub mod special;
pub mod summary;
pub mod words;

pub use level::{Level, ParameterError};
pub use outcome::{Arm, Comparison, Effect, Interval, Missing, Verdict};
pub use summary::{Counts, Estimate, Kind, Pairs, Values};
