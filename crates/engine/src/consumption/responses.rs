//! What a user did with the latest positions of lists that the user looked at, and whether that still goes
//! with the taste of before.
//!
//! - A position has what was expected of it, and what would have been without the parts of its score that tell of
//!   the long-term taste. Where the taste has changed, the latter predicts better: the liked is passed over, the rest
//!   is clicked as before.
//! - A change is found by the cumulative sum of the log-likelihood ratio of both (CUSUM, Page 1954) over the newest
//!   lists, each of which counts up to a bound: at the list from which on the ratio is greatest, once that is great
//!   enough. Rewards are taken as counts (Poisson).
//! - Bounded: the newest [`RESPONSES_MAX`] positions, 12 bytes each.

use serde::Deserialize;
use serde::Serialize;

use crate::columns::index::ItemIndex;
use crate::consumption::folding::seconds;
use crate::domain::Timestamp;
use crate::numeric::math;

/// Positions that are remembered: those of about ten lists.
pub const RESPONSES_MAX: usize = 48;
/// Expected rewards have steps of 1 over this.
const STEPS: f32 = 255.0;
/// Rewards that are expected at least.
const EXPECTED_MIN: f32 = 0.02;
/// By what factor the taste of before raises or lowers what is expected, at most: so that one click does not
/// decide.
const RATIO_MAX: f32 = 4.0;
/// What one list says at most: a single visit may be an odd one, however long its list is.
const LIST_MAX: f32 = 1.0;
/// What positions of the newest list count, whose clicks may still come.
const NEWEST: f32 = 0.5;
/// The log-likelihood ratio at which the taste has changed: that of three lists one after the other.
const EVIDENCE: f32 = 2.4;

/// A position that the user looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    pub item: ItemIndex,
    /// When its list was made, in seconds since 1970.
    at: u32,
    /// The expected reward, with and without the long-term taste, in steps.
    expected: u8,
    without: u8,
    is_taken: bool,
}

impl Response {
    pub fn new(item: ItemIndex, at: Timestamp, expected: f32, without: f32) -> Self {
        let expected = if expected.is_nan() { EXPECTED_MIN } else { expected };
        let expected = expected.clamp(EXPECTED_MIN, 1.0);
        // `max` prefers a number to NaN.
        let without = without.max(expected / RATIO_MAX).min(expected * RATIO_MAX).min(1.0);
        let steps = |reward: f32| (reward * STEPS).round_ties_even().max(1.0) as u8;
        Self {
            item,
            at: seconds(at),
            expected: steps(expected),
            without: steps(without),
            is_taken: false,
        }
    }

    pub fn expected(&self) -> f32 {
        f32::from(self.expected) / STEPS
    }

    /// When its list was made.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_seconds(i64::from(self.at))
    }

    pub fn is_taken(&self) -> bool {
        self.is_taken
    }

    /// 1 for what was taken, else 0.
    pub fn reward(&self) -> f32 {
        if self.is_taken { 1.0 } else { 0.0 }
    }

    /// The log-likelihood ratio of a changed taste.
    fn tells_change(&self) -> f32 {
        let (expected, without) = (self.expected(), f32::from(self.without) / STEPS);
        self.reward() * math::ln_f32(without / expected) + expected - without
    }
}

/// The latest positions that a user looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Responses {
    /// The oldest first, in the order of the log.
    newest: Vec<Response>,
}

impl Responses {
    /// The oldest first.
    pub fn newest(&self) -> &[Response] {
        &self.newest
    }

    pub fn is_empty(&self) -> bool {
        self.newest.is_empty()
    }

    /// Whether the item of a list is among them, and as taken where it `is_taken`.
    pub fn knows(&self, item: ItemIndex, at: Timestamp, is_taken: bool) -> bool {
        self.position(item, at).is_some_and(|found| self.newest[found].is_taken || !is_taken)
    }

    /// Takes in that the user looked at a position, or also took it.
    pub fn note(&mut self, response: Response, is_taken: bool) {
        match self.position(response.item, response.at()) {
            Some(found) => self.newest[found].is_taken |= is_taken,
            None => {
                if self.newest.len() == RESPONSES_MAX {
                    self.newest.remove(0);
                }
                self.newest.push(Response { is_taken, ..response });
            }
        }
    }

    fn position(&self, item: ItemIndex, at: Timestamp) -> Option<usize> {
        let at = seconds(at);
        self.newest.iter().rposition(|one| one.item == item && one.at == at)
    }

    /// When the taste changed, if it has: the time of the list from which on the taste of before predicts
    /// worse. What has told of it tells of no other change.
    pub fn find_change(&mut self) -> Option<Timestamp> {
        let newest = self.newest.last()?.at;
        let (mut sum, mut most, mut from) = (0.0_f32, 0.0_f32, None);
        for list in self.newest.chunk_by(|a, b| a.at == b.at).rev() {
            let told: f32 = list.iter().map(Response::tells_change).sum();
            // Clicks of the newest list may still come.
            let share = if list[0].at == newest { NEWEST } else { 1.0 };
            sum += share * told.clamp(-LIST_MAX, LIST_MAX);
            if sum > most {
                (most, from) = (sum, Some(list[0].at));
            }
        }
        let from = from.filter(|_| most >= EVIDENCE)?;
        self.newest.iter_mut().for_each(|one| one.without = one.expected);
        Some(Timestamp::from_seconds(i64::from(from)))
    }

    /// Those to lists that were made before, and before any list of which one of these items was taken.
    #[must_use]
    pub fn before(&self, at: Timestamp, items: &[ItemIndex]) -> Self {
        let tells = |one: &&Response| one.is_taken && items.contains(&one.item);
        let lists = self.newest.iter().filter(tells).map(|one| one.at);
        let until = lists.fold(seconds(at), u32::min);
        Self { newest: self.newest.iter().filter(|one| one.at < until).copied().collect() }
    }

    /// Those of both, of two users who turn out to be one.
    #[must_use]
    pub fn merged_with(&self, other: &Self) -> Self {
        let mut newest = [&other.newest[..], &self.newest[..]].concat();
        newest.sort_by_key(|one| one.at);
        newest.drain(..newest.len().saturating_sub(RESPONSES_MAX));
        Self { newest }
    }

    /// Whether any of its items is one of these.
    pub fn refers_to(&self, is_one: &dyn Fn(ItemIndex) -> bool) -> bool {
        self.newest.iter().any(|one| is_one(one.item))
    }

    /// Drops the items that `keeps` denies.
    pub fn retain(&mut self, keeps: impl Fn(ItemIndex) -> bool) {
        self.newest.retain(|one| keeps(one.item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists of three, an hour apart: two of the liked, which are expected to be taken and would not be without the
    /// taste, and another one. `takes`: whether the user takes the first, and the last one.
    fn lists(responses: &mut Responses, hours: std::ops::Range<i64>, takes: (bool, bool)) {
        for hour in hours {
            let at = Timestamp::from_seconds(3_600 * (hour + 1));
            let position = |item: u32, expected, without| {
                Response::new(ItemIndex::new(hour as u32 * 3 + item), at, expected, without)
            };
            responses.note(position(0, 0.4, 0.1), takes.0);
            responses.note(position(1, 0.4, 0.1), false);
            responses.note(position(2, 0.1, 0.1), takes.1);
        }
    }

    #[test]
    fn a_taste_that_no_longer_predicts_has_changed_when_it_began_to_fail() {
        let mut responses = Responses::default();
        lists(&mut responses, 0..8, (true, false));
        assert_eq!(responses.find_change(), None);
        lists(&mut responses, 8..16, (false, true));
        assert_eq!(responses.find_change(), Some(Timestamp::from_seconds(3_600 * 9)));
        assert_eq!(responses.find_change(), None, "one change is found once");
    }

    #[test]
    fn one_list_of_which_nothing_is_taken_is_no_change() {
        let mut responses = Responses::default();
        lists(&mut responses, 0..4, (true, false));
        lists(&mut responses, 4..5, (false, false));
        assert_eq!(responses.find_change(), None);
        lists(&mut responses, 5..8, (true, false));
        assert_eq!(responses.find_change(), None);
    }

    #[test]
    fn a_position_counts_once_and_as_taken_once_it_is() {
        let (item, at) = (ItemIndex::new(7), Timestamp::from_seconds(50));
        let mut responses = Responses::default();
        let one = Response::new(item, at, 0.3, 0.1);
        responses.note(one, false);
        assert!(responses.knows(item, at, false) && !responses.knows(item, at, true));
        responses.note(one, true);
        responses.note(one, false);
        assert!(responses.knows(item, at, true));
        assert_eq!(responses.newest().len(), 1);
        assert_eq!(responses.newest()[0].reward(), 1.0);
    }

    #[test]
    fn the_newest_positions_are_kept_of_one_user_and_of_two_that_are_one() {
        let (mut one, mut other) = (Responses::default(), Responses::default());
        lists(&mut one, 0..40, (true, false));
        lists(&mut other, 40..60, (false, false));
        assert_eq!(one.newest().len(), RESPONSES_MAX);
        let merged = one.merged_with(&other);
        assert_eq!(merged.newest().len(), RESPONSES_MAX);
        assert_eq!(merged.newest()[RESPONSES_MAX - 1], other.newest()[RESPONSES_MAX - 1]);
    }

    #[test]
    fn what_is_held_out_takes_its_list_and_all_later_ones_with_it() {
        let mut responses = Responses::default();
        lists(&mut responses, 0..6, (true, false));
        let late = Timestamp::from_seconds(3_600 * 100);
        assert_eq!(responses.before(late, &[]), responses);
        // The first item of the fifth list was taken.
        let before = responses.before(late, &[ItemIndex::new(12)]);
        assert_eq!(before.newest().len(), 12);
        // The second one of it was not: nothing tells of it.
        assert_eq!(responses.before(late, &[ItemIndex::new(13)]), responses);
    }

    #[test]
    fn strange_expectations_stay_within_bounds() {
        for expected in [f32::NAN, f32::NEG_INFINITY, f32::INFINITY, 0.0] {
            let one = Response::new(ItemIndex::new(1), Timestamp::default(), expected, expected);
            assert!(one.tells_change().is_finite(), "{expected}");
        }
    }
}
