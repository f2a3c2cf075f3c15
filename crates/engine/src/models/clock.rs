//! The time that everything decays by: that of the events, when several of them agree.
//!
//! An event moves the clock to its own time when that is at most a day ahead of the clock, or of
//! the median of the last five events that were not before it. In a stream the clock is the
//! time of the newest event. After a pause it follows as soon as three events are later than it.
//! One event with a wrong year, by an error of a server's clock, moves nothing.
//!
//! - It never goes back: landmarks of decayed sums are before it.
//! - An event ahead of it is decayed as of the clock.
//! - Limits: the first event of all sets the clock, and so do three events with the same error.
//! - 40 bytes.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::Timestamp;

const EVENTS: usize = 5;

/// The times of the last events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTimes {
    /// Of those not before the clock, the oldest first, at most [`EVENTS`].
    last: Vec<Timestamp>,
}

impl EventTimes {
    /// Adds the time of an event and returns the clock after it.
    pub fn advance(&mut self, clock: Timestamp, at: Timestamp) -> Timestamp {
        if at < clock {
            return clock;
        }
        if self.last.len() == EVENTS {
            self.last.remove(0);
        }
        self.last.push(at);
        let mut sorted = self.last.clone();
        sorted.sort_unstable();
        let believed = sorted[(sorted.len() - 1) / 2].max(clock).plus_millis(Timestamp::DAY_MS);
        let agreed = sorted.into_iter().rfind(|&time| time <= believed);
        clock.max(agreed.unwrap_or(clock))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(number: i64) -> Timestamp {
        Timestamp::from_millis(number * Timestamp::DAY_MS)
    }

    fn after(events: &[i64]) -> Timestamp {
        let mut times = EventTimes::default();
        let advance = |clock, &at: &i64| times.advance(clock, day(at));
        events.iter().fold(Timestamp::default(), advance)
    }

    #[test]
    fn in_a_stream_the_clock_is_the_time_of_the_newest_event() {
        assert_eq!(after(&[100]), day(100));
        assert_eq!(after(&[100, 100, 101, 102]), day(102));
    }

    #[test]
    fn one_event_of_another_year_moves_nothing() {
        assert_eq!(after(&[100, 100, 500]), day(100));
        assert_eq!(after(&[100, 100, 100, 500, 101, 101, 500, 101, 102]), day(102));
    }

    #[test]
    fn a_pause_is_followed_once_three_events_came_from_beyond_it() {
        let paused = [100, 100, 100, 100, 100, 130, 130, 130];
        assert_eq!(after(&paused[..7]), day(100));
        assert_eq!(after(&paused), day(130));
    }

    #[test]
    fn old_events_between_live_ones_do_not_delay_the_clock() {
        assert_eq!(after(&[100, 5, 6, 7, 101, 8, 9, 10, 11, 102, 12, 13]), day(102));
    }

    #[test]
    fn a_history_in_order_is_followed_to_its_end() {
        let weekly: Vec<i64> = (0..1_000).map(|week| week * 7).collect();
        assert!(after(&weekly) >= day(998 * 7 - 7));
        let hourly: Vec<i64> = (0..1_000).collect();
        assert_eq!(after(&hourly), day(999));
    }

    proptest! {
        #[test]
        fn the_clock_never_goes_back_and_is_never_ahead_of_all_events(
            events in prop::collection::vec(0..30_000_i64, 1..40),
        ) {
            let clocks: Vec<Timestamp> = (1..=events.len()).map(|n| after(&events[..n])).collect();
            prop_assert!(clocks.is_sorted());
            let newest = day(*events.iter().max().unwrap());
            prop_assert!(clocks.iter().all(|&clock| clock <= newest));
        }
    }
}
