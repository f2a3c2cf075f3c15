//! How examples of the matrix factorization are weighed: a part of a model, since users are folded in
//! as those were that it was trained on. [`crate::consumption`] weighs them.

use serde::Deserialize;
use serde::Serialize;

/// What of a history is an example, and how it is weighed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Weighing {
    /// 0: age does not matter.
    pub half_life_hours: f32,
    /// Whether what a user did not want is an example, too.
    pub negatives: bool,
    /// Whether coming back to an item makes it weigh more.
    pub repeats: bool,
}

impl Default for Weighing {
    fn default() -> Self {
        Self { half_life_hours: 0.0, negatives: true, repeats: false }
    }
}
