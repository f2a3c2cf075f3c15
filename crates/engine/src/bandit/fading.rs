//! How old evidence fades: by half over a number of decisions, in steps of a fixed number of
//! them.

use crate::numeric::math;

/// Decisions between two fadings.
pub(super) const DECISIONS_PER_TICK: u64 = 16;

/// The weight of evidence of a decision that comes `decisions` decisions later.
pub fn discount(half_life: u32, number: u64, decisions: u64) -> f64 {
    let ticks = decisions / DECISIONS_PER_TICK - number / DECISIONS_PER_TICK;
    retention(half_life, ticks)
}

/// What is left after so many fadings.
pub(super) fn retention(half_life: u32, ticks: u64) -> f64 {
    if half_life == 0 || ticks == 0 {
        return 1.0;
    }
    math::exp2(-((ticks * DECISIONS_PER_TICK) as f64) / f64::from(half_life))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_evidence_fades_by_the_decisions_since_its_own() {
        assert_eq!(discount(0, 0, 1_000_000), 1.0);
        assert_eq!(discount(160, 0, 160), 0.5);
        assert_eq!(discount(160, 31, 47), discount(160, 16, 32));
    }
}
