//! New items: which items are new, and the exploration bonus they get.
//!
//! An item is new while it is young and has few impressions. Its reward per impression
//! has a Beta posterior whose prior is the catalogue's mean `m`, counted as `s`
//! impressions: with `n` impressions and `r` rewards the mean is
//! `p = (r + s m) / (n + s)` and the standard deviation
//! `sd(n) = sqrt(p (1 - p) / (n + s + 1))`. The exploration bonus is
//! `c (sd(n) - sd(N))`, `N` being the impressions that end newness and `c` the
//! namespace's `exploration_bonus`. It shrinks with every impression, faster without
//! rewards, and is 0 when the item is known.
//!
//! Impressions are events of that type. Where hardly any are sent, positions in
//! answers count instead.

use crate::domain::Settings;
use crate::domain::Timestamp;
use crate::models::cold_start::popularity::ItemStatistics;
use crate::models::cold_start::popularity::Totals;

/// Impressions that the catalogue's mean counts as for an item, `s`.
const PRIOR_IMPRESSIONS: f64 = 10.0;
/// Prior reward per impression, and the impressions that it counts as.
const REWARD_DEFAULT: f64 = 0.05;
const REWARD_DEFAULT_IMPRESSIONS: f64 = 200.0;
/// Impression events count as sent when there is one for this many shown items.
const SHOWN_PER_IMPRESSION: u64 = 10;
const HOURS_PER_DAY: f64 = 24.0;

/// The rules of newness at one time.
#[derive(Debug, Clone, Copy)]
pub struct Newcomers<'v> {
    settings: &'v Settings,
    now: Timestamp,
    counts_events: bool,
    /// The catalogue's reward per impression.
    mean: f64,
}

impl<'v> Newcomers<'v> {
    /// `totals` are the statistics of all items together.
    pub fn new(settings: &'v Settings, totals: &Totals, now: Timestamp) -> Self {
        let counts_events =
            totals.impressions >= totals.shown / SHOWN_PER_IMPRESSION && totals.impressions > 0;
        let impressions = if counts_events { totals.impressions } else { totals.shown };
        let rewards = totals.rewarded as f64 + REWARD_DEFAULT * REWARD_DEFAULT_IMPRESSIONS;
        let mean = (rewards / (impressions as f64 + REWARD_DEFAULT_IMPRESSIONS)).min(0.5);
        Self { settings, now, counts_events, mean }
    }

    /// How often an item was seen, as far as is known.
    pub fn impressions(&self, statistics: &ItemStatistics) -> u32 {
        if self.counts_events { statistics.impressions } else { statistics.shown }
    }

    /// Whether an item that appeared at `born` is young and has few impressions. `statistics`
    /// is `None` for an item that was never shown.
    pub fn is_new(&self, born: Timestamp, statistics: Option<&ItemStatistics>) -> bool {
        let age_days = self.now.hours_since(born) / HOURS_PER_DAY;
        age_days < f64::from(self.settings.new_item_days)
            && statistics.map_or(0, |one| self.impressions(one))
                < self.settings.new_item_impressions
    }

    /// The exploration bonus of a new item, on the scale of rewards.
    pub fn bonus(&self, statistics: Option<&ItemStatistics>) -> f64 {
        let seen = f64::from(statistics.map_or(0, |one| self.impressions(one)));
        let rewarded = f64::from(statistics.map_or(0, |one| one.rewarded)).min(seen);
        let prior = PRIOR_IMPRESSIONS;
        let mean = (rewarded + prior * self.mean) / (seen + prior);
        let deviation = |n: f64| (mean * (1.0 - mean) / (n + prior + 1.0)).sqrt();
        let known = f64::from(self.settings.new_item_impressions);
        let uncertainty = (deviation(seen) - deviation(known)).max(0.0);
        f64::from(self.settings.exploration_bonus) * uncertainty
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn seen(shown: u32, rewarded: u32) -> ItemStatistics {
        let mut statistics = ItemStatistics::default();
        (statistics.shown, statistics.rewarded) = (shown, rewarded);
        statistics
    }

    fn totals(shown: u64, impressions: u64, rewarded: u64) -> Totals {
        let mut totals = Totals::default();
        (totals.shown, totals.impressions, totals.rewarded) = (shown, impressions, rewarded);
        totals
    }

    fn bonus(shown: u32, rewarded: u32) -> f64 {
        let settings = Settings::default();
        Newcomers::new(&settings, &totals(10_000, 0, 500), NOW).bonus(Some(&seen(shown, rewarded)))
    }

    #[test]
    fn the_bonus_is_the_documented_formula() {
        let mean: f64 = 510.0 / 10_200.0;
        let deviation = |n: f64| (mean * (1.0 - mean) / (n + 11.0)).sqrt();
        let expected = 0.5 * (deviation(0.0) - deviation(100.0));
        assert!((bonus(0, 0) - expected).abs() < 1e-9, "{} {expected}", bonus(0, 0));
        assert_eq!(bonus(100, 20), 0.0);
    }

    #[test]
    fn an_item_is_new_by_age_and_impressions() {
        let settings = Settings::default();
        let newcomers = Newcomers::new(&settings, &Totals::default(), NOW);
        let added = |days: i64| NOW.plus_millis(-days * Timestamp::DAY_MS);
        assert!(newcomers.is_new(added(1), None));
        assert!(newcomers.is_new(added(1), Some(&seen(99, 0))));
        assert!(!newcomers.is_new(added(1), Some(&seen(100, 0))));
        assert!(!newcomers.is_new(added(15), None));
    }

    #[test]
    fn positions_in_answers_count_until_impressions_are_sent() {
        let settings = Settings::default();
        let mut item = seen(80, 0);
        item.impressions = 3;
        let counted = |impressions| {
            Newcomers::new(&settings, &totals(1_000, impressions, 0), NOW).impressions(&item)
        };
        assert_eq!((counted(0), counted(99), counted(100)), (80, 80, 3));
    }

    proptest! {
        #[test]
        fn the_bonus_only_shrinks_without_rewards(shown in 0..200_u32) {
            prop_assert!(bonus(shown + 1, 0) <= bonus(shown, 0));
            prop_assert!((0.0..0.1).contains(&bonus(shown, 0)));
        }
    }
}
