//! How examples of the matrix factorization are weighed. It is part of a model, since users are
//! folded in with the weights of its training. [`crate::consumption`] computes the weights.

use serde::Deserialize;
use serde::Serialize;

/// What of a history is an example, and how it is weighed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Weighing {
    /// 0: age does not matter.
    pub half_life_hours: f32,
    /// Whether negatives are examples, too.
    pub negatives: bool,
    /// Whether repeated consumption increases the weight.
    pub repeats: bool,
}

impl Default for Weighing {
    fn default() -> Self {
        Self { half_life_hours: 0.0, negatives: true, repeats: false }
    }
}
