//! The weight of the evidence of one user, so that no single user dominates what is learnt.
//!
//! On each day the first [`FULL`] pieces of evidence of a user count in full, the n-th
//! counts `FULL / n`. So n pieces count about `FULL (1 + ln(n / FULL))`: a user with a hundred times
//! as much evidence as others counts a few times as much. The day is that of the record, not of
//! the event, whose time the client sets.
//!
//! Users are named by their key; those of today with the most evidence are kept.
//! A new user takes a free slot, else one of an earlier day, else that of the user with the least
//! evidence, who then counts in full again. So users with much evidence stay.
//!
//! State: [`PAGES`] x [`SLOTS`] users of 24 bytes, 197 KB.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::posterior::Weight;
use crate::columns::aliases::UserKey;
use crate::domain::Timestamp;
use crate::numeric::math;

const PAGES: usize = 128;
const SLOTS: usize = 64;
const DAY_SECONDS: i64 = 86_400;

/// Pieces of evidence of a user that count in full on a day: five lists of ten.
const FULL: u32 = 50;

/// A piece of evidence of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Items shown, and their rewards.
    Impression,
    /// Positive interactions.
    Choice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Spent {
    user: UserKey,
    day: i32,
    pieces: [u32; 2],
}

/// The evidence of users of today.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Influence {
    /// By the key of the user; allocated at first use.
    pages: Vec<Arc<Vec<Spent>>>,
}

/// How much it says about the interest of others that a user comes back to an item, so long after the
/// last of so many times: `1 / (1 + k)^2` with the times `k` as they are remembered, by half
/// after a day. A hundred times on a day count as less than three; who comes back
/// every week counts nearly in full.
pub fn of_return(times: u16, hours_since: f64) -> f32 {
    let remembered = f64::from(times.min(8)) * math::exp2(-hours_since.max(0.0) / 24.0);
    (1.0 / ((1.0 + remembered) * (1.0 + remembered))) as f32
}

impl Influence {
    /// The weight of each of the next pieces of evidence of a user; counts them.
    pub fn weigh(&mut self, user: UserKey, at: Timestamp, piece: Piece, pieces: usize) -> Weight {
        let spent = self.slot(user, day_of(at));
        let own = &mut spent.pieces[piece as usize];
        *own = own.saturating_add(u32::try_from(pieces).unwrap_or(u32::MAX));
        Weight::new(f64::from(FULL) / f64::from(FULL.max(*own)))
    }

    /// The evidence of a user who is merged into another counts with that of the other. That of
    /// an earlier day counts no more, so it takes nobody's slot.
    pub fn merge(&mut self, from: UserKey, into: UserKey, at: Timestamp) {
        let Some(page) = self.pages.get_mut(page_of(from)) else {
            return;
        };
        let Some(slot) = page.iter().position(|spent| spent.user == from) else {
            return;
        };
        let moved = Arc::make_mut(page).swap_remove(slot);
        let own = self.pages[page_of(into)].iter().find(|spent| spent.user == into);
        if moved.day < day_of(at) || own.is_some_and(|own| own.day > moved.day) {
            return;
        }
        let spent = self.slot(into, moved.day);
        for (own, moved) in spent.pieces.iter_mut().zip(moved.pieces) {
            *own = own.saturating_add(moved);
        }
    }

    fn slot(&mut self, user: UserKey, day: i32) -> &mut Spent {
        if self.pages.is_empty() {
            self.pages.resize(PAGES, Arc::default());
        }
        let page = Arc::make_mut(&mut self.pages[page_of(user)]);
        let new = Spent { user, day, pieces: [0, 0] };
        let slot = match page.iter().position(|spent| spent.user == user) {
            Some(slot) => slot,
            None if page.len() < SLOTS => {
                page.push(new);
                page.len() - 1
            }
            None => {
                let rank = |spent: &Spent| (spent.day, spent.pieces.iter().max().copied());
                let least = (0..SLOTS).min_by_key(|&slot| rank(&page[slot]));
                let slot = least.expect("a full page has slots");
                page[slot] = new;
                slot
            }
        };
        if page[slot].day != day {
            page[slot] = new;
        }
        &mut page[slot]
    }
}

fn day_of(at: Timestamp) -> i32 {
    at.as_millis().div_euclid(1_000 * DAY_SECONDS) as i32
}

fn page_of(user: UserKey) -> usize {
    user.get() as usize % PAGES
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONDAY: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn counted(influence: &mut Influence, user: u64, at: Timestamp, pieces: usize) -> f64 {
        let user = UserKey::of(user);
        let mut weigh = |_| influence.weigh(user, at, Piece::Choice, 1).share();
        (0..pieces).map(&mut weigh).sum()
    }

    #[test]
    fn a_thousand_events_of_a_day_count_as_about_two_hundred_and_the_next_day_starts_again() {
        let mut influence = Influence::default();
        assert_eq!(counted(&mut influence, 7, MONDAY, 50), 50.0);
        let all = 50.0 + counted(&mut influence, 7, MONDAY, 950);
        assert!((all - 50.0 * (1.0 + 20.0_f64.ln())).abs() < 1.0, "{all}");
        assert_eq!(counted(&mut influence, 8, MONDAY, 50), 50.0);
        let tuesday = MONDAY.plus_millis(Timestamp::DAY_MS);
        assert_eq!(counted(&mut influence, 7, tuesday, 50), 50.0);
        let weight = influence.weigh(UserKey::of(7), tuesday, Piece::Impression, 50);
        assert_eq!(weight, Weight::FULL, "impressions have a count of their own");
    }

    #[test]
    fn a_hundred_returns_of_a_day_count_as_less_than_three_and_weekly_ones_nearly_in_full() {
        let of_a_day: f32 = (0..100).map(|times| of_return(times, 0.2)).sum();
        assert!(of_a_day < 3.0, "{of_a_day}");
        assert!((0..100).all(|times| of_return(times, 168.0) > 0.85));
    }

    #[test]
    fn a_million_users_take_no_more_than_the_table_and_a_bot_among_them_is_not_forgotten() {
        let mut influence = Influence::default();
        counted(&mut influence, 7, MONDAY, 1_000);
        for user in 0..1_000_000_u64 {
            let user = UserKey::of(user.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            influence.weigh(user, MONDAY, Piece::Choice, 1);
        }
        assert!(influence.pages.iter().all(|page| page.len() <= SLOTS));
        assert!(counted(&mut influence, 7, MONDAY, 1) < 0.06);
    }

    #[test]
    fn the_evidence_of_two_ids_of_one_user_counts_as_that_of_one() {
        let mut influence = Influence::default();
        influence.merge(UserKey::of(7), UserKey::of(8), MONDAY);
        counted(&mut influence, 7, MONDAY, 40);
        counted(&mut influence, 8, MONDAY, 40);
        influence.merge(UserKey::of(7), UserKey::of(8), MONDAY);
        let is = |counted: f64, expected: f64| (counted - expected).abs() < 1e-3;
        assert!(is(counted(&mut influence, 8, MONDAY, 1), 50.0 / 81.0));
        assert_eq!(counted(&mut influence, 7, MONDAY, 1), 1.0, "the id is free again");
        let tuesday = MONDAY.plus_millis(Timestamp::DAY_MS);
        counted(&mut influence, 8, tuesday, 10);
        influence.merge(UserKey::of(7), UserKey::of(8), tuesday);
        assert!(is(counted(&mut influence, 8, tuesday, 41), 40.0 + 50.0 / 51.0));
    }
    #[test]
    fn a_merge_of_one_who_did_nothing_today_makes_the_evidence_of_no_other_user_be_forgotten() {
        let mut influence = Influence::default();
        let of_page = |number: u64| number * PAGES as u64;
        counted(&mut influence, 7, MONDAY, 1_000);
        let tuesday = MONDAY.plus_millis(Timestamp::DAY_MS);
        for user in 1..=SLOTS as u64 {
            counted(&mut influence, of_page(user), tuesday, 100);
        }
        influence.merge(UserKey::of(7), UserKey::of(of_page(1_000)), tuesday);
        for user in 1..=SLOTS as u64 {
            let next = counted(&mut influence, of_page(user), tuesday, 1);
            assert!(next < 0.6, "user {user} counts {next} again");
        }
    }
}
