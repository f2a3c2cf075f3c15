//! Differential privacy: exact noise on integers, what a release costs, and what one user may add.
//!
//! - Pure functions: no I/O, no clock, no entropy. A generator comes in as an argument: the operating
//!   system's in production, ChaCha with fixed seeds in tests.
//! - Draws, sensitivities and costs are integers and fractions. Floats are the epsilon of a cost, to
//!   1e-12, and what is computed from a release.
//! - Nothing is NaN or infinite, nothing overflows: a parameter outside its range is an error. Where a
//!   result stops at the end of its type, the docs say so: cutting off a release costs no privacy.
//! - Every rounding is towards more noise and higher cost.
//! - Time to draw depends on what is drawn. Who can time single draws learns of the noise.
//!
//! Of two neighbouring data sets, one has all records of one user more. For [`local`], they are any two
//! values of one client.
//!
//! Layers, bottom-up. Each uses only those above it in this list:
//!
//! - [`Ratio`]: parameters of noise.
//! - [`noise`]: discrete Laplace and discrete Gaussian.
//! - [`accounting`]: cost as [`Rho`], its epsilon at a delta, the noise for a cost. [`budget`]: what is left.
//! - [`contribution`]: what one user adds at most, hence sensitivities.
//! - [`continual`]: counts after every step. [`local`]: noise added by the client.
//! - [`audit`]: what an attack proves about epsilon.
#![deny(clippy::disallowed_types)]

pub mod accounting;
pub mod audit;
pub mod budget;
pub mod continual;
pub mod contribution;
pub mod local;
pub mod noise;
mod parameter;
mod ratio;

pub use accounting::Rho;
pub use budget::Budget;
pub use contribution::Bounds;
pub use ratio::Ratio;
pub use ratio::RatioError;
pub use statistics::ParameterError;
