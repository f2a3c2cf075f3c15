//! The gap after which a return to the same item is a repetition and not part of the same use.
//!
//! The times between two events of one user and one item have two modes: seconds to minutes
//! within one use (a click and a like, heartbeats), a day and more from one use to the next. They
//! are counted in a histogram with bins of half an octave, from a minute to 45 days, and the gap
//! is the valley between them: the first local minimum of the smoothed counts between 1 and 48
//! hours that is at most half as high as the highest point on each side, and after which the
//! counts rise to a quarter of the highest point at once (so that a few times in the valley are no
//! mode). Of a flat valley it is the point nearest to the default. Without such a valley, or with
//! mode). If the valley is flat, it is the point nearest to the default. Without such a valley, or with
//!
//! The histogram is halved at 65,536 times, so it follows a client that changes, and it stays
//! bounded. Whole numbers only: the same events give the same gap.
//!
//! Source: Halfaker et al., "User Session Identification Based on Strong Regularities in
//! Inter-activity Time" (WWW 2015), who cut at the valley between two log-normal modes.

use serde::Deserialize;
use serde::Serialize;

/// Half octaves from one minute on; the last takes all beyond.
const BINS: usize = 32;
const GAP_DEFAULT_SECONDS: u32 = 4 * 3_600;
/// The edges that a gap may lie on: from 64 minutes to 34 hours.
const FIRST_EDGE: usize = 12;
const LAST_EDGE: usize = 22;
/// The one nearest to the default.
const DEFAULT_EDGE: usize = 16;
/// Fewer times than this before or after the gap are not used.
const SIDE_MIN: u64 = 50;
/// Times at which the histogram is halved.
const TOTAL_MAX: u32 = 1 << 16;
/// The gap is computed again after this many times.
const EVERY: u64 = 64;

/// Seconds at which a bin begins: `60 * 2^(edge / 2)`; 0 for the first, which takes all below.
const fn edge_seconds(edge: usize) -> u32 {
    match edge {
        0 => 0,
        _ if edge.is_multiple_of(2) => 60 << (edge / 2),
        // 60 * sqrt(2), to 16 bits after the point.
        _ => ((5_560_914_u64 << (edge / 2)) >> 16) as u32,
    }
}

/// The histogram and the gap found in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnGap {
    bins: [u32; BINS],
    noted: u64,
    seconds: u32,
}

impl Default for ReturnGap {
    fn default() -> Self {
        Self { bins: [0; BINS], noted: 0, seconds: GAP_DEFAULT_SECONDS }
    }
}

impl ReturnGap {
    /// The gap: 1 to 48 hours.
    pub fn seconds(&self) -> u32 {
        self.seconds
    }

    /// Counts the time between two events of one user and one item.
    pub fn note(&mut self, seconds: u32) {
        let bin = (1..BINS).rev().find(|&bin| edge_seconds(bin) <= seconds).unwrap_or(0);
        self.bins[bin] += 1;
        self.noted += 1;
        if self.bins.iter().sum::<u32>() >= TOTAL_MAX {
            self.bins.iter_mut().for_each(|count| *count /= 2);
        }
        if self.noted.is_multiple_of(EVERY) {
            self.seconds = self.valley().map_or(GAP_DEFAULT_SECONDS, edge_seconds);
        }
    }

    /// The edge at which a use ends.
    fn valley(&self) -> Option<usize> {
        let heights: [u64; BINS + 1] = std::array::from_fn(|edge| self.height(edge));
        let highest = |edges: &[u64]| edges.iter().copied().max().unwrap_or(0);
        let side = |bins: &[u32]| bins.iter().map(|&count| u64::from(count)).sum::<u64>();
        let mut edge = FIRST_EDGE;
        while edge <= LAST_EDGE {
            // All points of equal minimum are the valley.
            let flat = (edge..=LAST_EDGE).take_while(|&next| heights[next] == heights[edge]);
            let end = edge + flat.count();
            let (before, after) = (&heights[..edge], &heights[end..]);
            let rising = after.windows(2).take_while(|pair| pair[1] >= pair[0]).count();
            let (bottom, highest_after) = (2 * heights[edge], highest(after));
            let is_valley = heights[edge - 1] >= heights[edge]
                && bottom <= highest(before)
                && bottom <= highest_after
                && 4 * after[rising] >= highest_after;
            let cut = DEFAULT_EDGE.clamp(edge, end - 1);
            let (within, returns) = self.bins.split_at(cut);
            if is_valley && side(within) >= SIDE_MIN && side(returns) >= SIDE_MIN {
                return Some(cut);
            }
            edge = end;
        }
        None
    }

    /// The smoothed count at an edge.
    fn height(&self, edge: usize) -> u64 {
        let bin = |bin: Option<usize>| bin.and_then(|bin| self.bins.get(bin)).copied().unwrap_or(0);
        let near = bin(edge.checked_sub(1)).saturating_add(bin(Some(edge)));
        let far = bin(edge.checked_sub(2)).saturating_add(bin(Some(edge + 1)));
        2 * u64::from(near) + u64::from(far)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: u32 = 60;
    const HOUR: u32 = 3_600;

    fn gap(times: &[(u32, u32)]) -> u32 {
        let mut gap = ReturnGap::default();
        for round in 0..640 {
            for &(seconds, one_in) in times {
                if round % one_in == 0 {
                    gap.note(seconds);
                }
            }
        }
        gap.seconds()
    }

    #[test]
    fn edges_are_half_octaves_of_a_minute() {
        let edges = [0, 1, 2, 3, FIRST_EDGE, DEFAULT_EDGE, LAST_EDGE, BINS - 1].map(edge_seconds);
        assert_eq!(edges, [0, 84, 120, 169, 64 * 60, 256 * 60, 2_048 * 60, 2_780_457]);
    }

    #[test]
    fn without_returns_the_gap_is_the_default() {
        assert_eq!(ReturnGap::default().seconds(), 4 * HOUR);
        assert_eq!(gap(&[(2, 1), (MINUTE, 1)]), 4 * HOUR);
        assert_eq!(gap(&[(30 * HOUR, 1)]), 4 * HOUR, "the length of a use is unknown");
    }

    #[test]
    fn heartbeats_and_daily_returns_are_told_apart_however_rare_returns_are() {
        let daily = [(MINUTE, 1), (MINUTE, 1), (2, 1), (24 * HOUR, 8)];
        assert!((2 * HOUR..16 * HOUR).contains(&gap(&daily)), "{}", gap(&daily));
    }

    #[test]
    fn long_uses_move_the_gap_up_and_quick_returns_move_it_down() {
        let long_uses = [
            (MINUTE, 1),
            (2 * HOUR, 1),
            (3 * HOUR, 1),
            (4 * HOUR, 1),
            (5 * HOUR, 2),
            (72 * HOUR, 1),
        ];
        assert!(gap(&long_uses) > 6 * HOUR, "{}", gap(&long_uses));
        let quick = [(20, 1), (MINUTE, 1), (3 * HOUR, 1), (4 * HOUR, 1), (5 * HOUR, 1)];
        assert!(gap(&quick) < 2 * HOUR, "{}", gap(&quick));
    }

    #[test]
    fn a_client_that_changes_is_followed() {
        let mut gap = ReturnGap::default();
        for _ in 0..40_000 {
            gap.note(MINUTE);
            gap.note(3 * HOUR);
        }
        assert!(gap.seconds() < 3 * HOUR);
        for _ in 0..100_000 {
            gap.note(MINUTE);
            gap.note(48 * HOUR);
        }
        assert!((3 * HOUR..30 * HOUR).contains(&gap.seconds()), "{}", gap.seconds());
    }

    proptest! {
        #[test]
        fn the_gap_keeps_its_bounds(times in prop::collection::vec(any::<u32>(), 0..400)) {
            let mut gap = ReturnGap::default();
            for seconds in times {
                gap.note(seconds >> (seconds % 32));
                prop_assert!((HOUR..=48 * HOUR).contains(&gap.seconds()));
            }
        }
    }
}
