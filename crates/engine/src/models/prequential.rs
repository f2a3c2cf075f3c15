//! Live quality: the start of a consumption is a test before it is learnt.
//!
//! - An item that could have been recommended is ranked among itself and 99 sampled items that
//!   could have been, by the hybrid and by popularity alone: of the catalogue, published, not
//!   hidden, and not consumed before unless users return to items.
//! - Further events of a consumption are no tests: the item is known then.
//! - The figures are those of the newest tests in a window.
//!
//! Source: Dawid 1984 (prequential principle); Vinagre, Jorge, Gama 2014.

use std::collections::VecDeque;

use serde::Deserialize;
use serde::Serialize;

/// Sampled items in addition to the consumed one.
pub const NEGATIVES: usize = 99;
const WINDOW: usize = 2_000;
const HIT_RANK: u8 = 10;

/// Ranks from 1 in one test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Ranks {
    hybrid: u8,
    popularity: u8,
}

/// The newest tests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prequential {
    window: VecDeque<Ranks>,
    /// Starts of consumptions considered, tested or not.
    pub considered: u64,
}

/// Figures over the window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PrequentialFigures {
    pub tests: u64,
    pub hit_rate_at_10: f64,
    pub mean_reciprocal_rank: f64,
    pub popularity_hit_rate_at_10: f64,
}

impl Prequential {
    /// Whether the next start of a consumption is a test: all of the first thousands,
    /// then fewer and fewer, so that testing stays a small part of learning.
    pub fn next_is_test(&mut self) -> bool {
        self.considered += 1;
        match self.considered {
            ..4_000 => true,
            4_000..64_000 => self.considered.is_multiple_of(4),
            _ => self.considered.is_multiple_of(64),
        }
    }

    /// Adds the ranks of a test, from 1.
    pub fn note(&mut self, hybrid: usize, popularity: usize) {
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        let rank = |rank: usize| u8::try_from(rank).unwrap_or(u8::MAX);
        self.window.push_back(Ranks { hybrid: rank(hybrid), popularity: rank(popularity) });
    }

    pub fn figures(&self) -> PrequentialFigures {
        let tests = self.window.len();
        if tests == 0 {
            return PrequentialFigures::default();
        }
        let rate = |hit: &dyn Fn(&Ranks) -> bool| {
            self.window.iter().filter(|ranks| hit(ranks)).count() as f64 / tests as f64
        };
        let reciprocal: f64 =
            self.window.iter().map(|ranks| 1.0 / f64::from(ranks.hybrid.max(1))).sum();
        PrequentialFigures {
            tests: tests as u64,
            hit_rate_at_10: rate(&|ranks| ranks.hybrid <= HIT_RANK),
            mean_reciprocal_rank: reciprocal / tests as f64,
            popularity_hit_rate_at_10: rate(&|ranks| ranks.popularity <= HIT_RANK),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_the_newest_tests() {
        let mut prequential = Prequential::default();
        for _ in 0..WINDOW {
            prequential.note(100, 1);
        }
        for _ in 0..WINDOW {
            prequential.note(2, 50);
        }
        let figures = prequential.figures();
        assert_eq!(figures.tests, WINDOW as u64);
        assert_eq!(figures.hit_rate_at_10, 1.0);
        assert_eq!(figures.popularity_hit_rate_at_10, 0.0);
        assert_eq!(figures.mean_reciprocal_rank, 0.5);
    }

    #[test]
    fn testing_grows_rarer_as_interactions_grow_many() {
        let mut prequential = Prequential::default();
        let tests = (0..1_000_000).filter(|_| prequential.next_is_test()).count();
        assert!((30_000..40_000).contains(&tests), "{tests}");
    }
}
