//! How many different items the lists of a variant have shown: an estimate of fixed size.
//!
//! HyperLogLog with 4,096 registers: 4 KiB, a standard error of 1.6 %; few items are counted by the
//! registers that are still empty, which is more exact. Hashes are the keys of items, so the same
//! items give the same registers in any order.
//! Source: Flajolet, Fusy, Gandouet and Meunier, "HyperLogLog: the analysis of a near-optimal
//! cardinality estimation algorithm" (2007).

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::numeric::math;

const BITS: u32 = 12;
const REGISTERS: usize = 1 << BITS;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Coverage {
    /// The longest run of zeros of each register, and one more. Empty: nothing was shown.
    Counting(Arc<Vec<u8>>),
    /// The estimate that is left when the experiment is over.
    Over(u64),
}

impl Default for Coverage {
    fn default() -> Self {
        Self::Counting(Arc::default())
    }
}

/// The register of a key, and what it is at least.
fn register(key: u64) -> (usize, u8) {
    // Keys are hashes; their first bits choose.
    let at = (key >> (u64::BITS - BITS)) as usize;
    let rest = key << BITS | 1 << (BITS - 1);
    (at, rest.leading_zeros() as u8 + 1)
}

impl Coverage {
    /// Whether an item, by its key, would change anything.
    pub fn is_changed_by(&self, key: u64) -> bool {
        let (at, least) = register(key);
        match self {
            Self::Counting(registers) => registers.get(at).is_none_or(|known| *known < least),
            Self::Over(_) => false,
        }
    }

    pub fn add(&mut self, key: u64) {
        let (at, least) = register(key);
        if let Self::Counting(registers) = self {
            let registers = Arc::make_mut(registers);
            registers.resize(REGISTERS, 0);
            registers[at] = registers[at].max(least);
        }
    }

    /// Different items, about.
    pub fn items(&self) -> u64 {
        let registers = match self {
            Self::Over(items) => return *items,
            Self::Counting(registers) if registers.is_empty() => return 0,
            Self::Counting(registers) => registers,
        };
        let m = REGISTERS as f64;
        let empty = registers.iter().filter(|register| **register == 0).count();
        let sum: f64 = registers.iter().map(|&run| 1.0 / (1_u64 << run.min(63)) as f64).sum();
        let raw = 0.721_3 / (1.0 + 1.079 / m) * m * m / sum;
        let is_small = raw <= 2.5 * m && empty > 0;
        let items = if is_small { m * math::ln(m / empty as f64) } else { raw };
        items.round_ties_even() as u64
    }

    /// Keeps the estimate alone.
    pub fn end(&mut self) {
        *self = Self::Over(self.items());
    }

    /// Whether what was read from a snapshot has the right size.
    pub fn is_whole(&self) -> bool {
        match self {
            Self::Counting(registers) => registers.is_empty() || registers.len() == REGISTERS,
            Self::Over(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::interner::name_key;

    fn of(items: usize) -> Coverage {
        let mut coverage = Coverage::default();
        for _ in 0..2 {
            (0..items).for_each(|item| coverage.add(name_key(&format!("item-{item}"))));
        }
        coverage
    }

    #[test]
    fn different_items_are_counted_once_within_a_few_percent() {
        for items in [0, 1, 10, 500, 5_000, 20_000, 200_000] {
            let found = of(items).items() as f64;
            let off = (found - items as f64).abs();
            assert!(off <= 0.05 * items as f64, "{found} of {items}");
        }
    }

    #[test]
    fn what_was_shown_changes_nothing_and_the_estimate_stays_when_it_is_over() {
        let mut coverage = of(1_000);
        assert!((0..1_000).all(|item| !coverage.is_changed_by(name_key(&format!("item-{item}")))));
        let before = coverage.items();
        coverage.end();
        coverage.add(name_key("another"));
        assert_eq!((coverage.items(), coverage.is_whole()), (before, true));
    }
}
