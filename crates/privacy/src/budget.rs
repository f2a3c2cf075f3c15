//! What may still be released about the users of a period.
//!
//! Invariants: nothing is spent above the limit; what is spent never shrinks; a spending that fails changes
//! nothing. Spend first, release after it is stored: what was released cannot be taken back.

use statistics::ParameterError;

use crate::accounting::Rho;

/// The limit of a period and what is spent of it. What a period is, the caller decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    limit: Rho,
    spent: Rho,
}

/// Too little is left for what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the privacy budget has {} rho left, {} are needed", left.value(), asked.value())]
pub struct Exhausted {
    pub asked: Rho,
    pub left: Rho,
}

impl Budget {
    /// A period in which all releases together have this epsilon, from 0 to 1e6, at `delta`, from 1e-100
    /// and below 1.
    pub fn new(epsilon: f64, delta: f64) -> Result<Self, ParameterError> {
        Ok(Self::resume(Rho::limit(epsilon, delta)?, Rho::ZERO))
    }

    /// From what was stored. A limit that was lowered below what is spent leaves nothing.
    #[must_use]
    pub fn resume(limit: Rho, spent: Rho) -> Self {
        Self { limit, spent }
    }

    /// The budget after a release of this cost.
    pub fn spend(self, rho: Rho) -> Result<Self, Exhausted> {
        match self.spent.plus(rho) {
            Ok(spent) if spent <= self.limit => Ok(Self { spent, ..self }),
            _ => Err(Exhausted { asked: rho, left: self.left() }),
        }
    }

    #[must_use]
    pub fn limit(self) -> Rho {
        self.limit
    }

    #[must_use]
    pub fn spent(self) -> Rho {
        self.spent
    }

    #[must_use]
    pub fn left(self) -> Rho {
        self.limit.less(self.spent)
    }
}
