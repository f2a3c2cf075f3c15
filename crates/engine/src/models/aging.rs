//! How fast items age, by topic, learnt from the age of items when users consume them.
//!
//! If interest fades by half in every `h` hours, the ages of consumed items have the
//! median `h`: the median age is the half-life. It is computed from a decayed
//! histogram of half-octaves of age, from one hour to a century.
//!
//! Shrinkage, on the logarithm of the half-life: a topic towards all topics, all
//! topics towards the configured one, by pseudo-observations. A half-life that is
//! configured for a topic or a source overrides the learnt one.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::columns::column::Column;
use crate::columns::part::Part;
use crate::domain::Settings;
use crate::domain::Timestamp;
use crate::models::decay::DecayTime;
use crate::models::decay::DecayedRow;
use crate::models::decay::power;
use crate::numeric::math;

const BUCKETS_PER_OCTAVE: f64 = 2.0;
/// 2^20 hours are 120 years.
const BUCKETS: u32 = 40;
const AGE_HOURS_MAX: f64 = 1_048_576.0;
/// Observations that the more general half-life counts as.
const PRIOR_MASS: f64 = 20.0;

/// Ages of items when they were consumed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ages {
    histogram: DecayedRow,
    /// log2 of the median in hours, and the decayed number of ages, as of the clock at the
    /// latest.
    median: f32,
    mass: f32,
}

impl Ages {
    fn note(&mut self, bucket: u32, at: DecayTime, clock: DecayTime) {
        self.histogram.add(bucket, 1.0, at, BUCKETS as usize);
        self.mass = self.histogram.total() * self.histogram.scale(clock);
        self.median = self.median_of_histogram();
    }

    /// log2 of the median age, between the ends of its bucket in proportion.
    fn median_of_histogram(&self) -> f32 {
        let half = self.histogram.total() / 2.0;
        let mut below = 0.0;
        for &(bucket, mass) in self.histogram.entries() {
            if below + mass >= half {
                let within = if mass > 0.0 { (half - below) / mass } else { 0.5 };
                return (bucket as f32 + within) / BUCKETS_PER_OCTAVE as f32;
            }
            below += mass;
        }
        0.0
    }

    fn shrunk_towards(&self, general: f64) -> f64 {
        let mass = f64::from(self.mass);
        (mass * f64::from(self.median) + PRIOR_MASS * general) / (mass + PRIOR_MASS)
    }
}

/// Ages by topic and over all.
#[derive(Debug, Clone, Default)]
pub struct Aging {
    pub topics: Column<Arc<Ages>>,
    pub all: Arc<Ages>,
}

impl Aging {
    /// What digests and snapshots hold as parts.
    pub fn parts(&self) -> Vec<(&'static str, &dyn Part)> {
        vec![("ages", &self.topics)]
    }

    pub fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)> {
        vec![("ages", &mut self.topics)]
    }

    /// Empties what is known of a topic.
    pub fn forget(&mut self, topic: u32) {
        if (topic as usize) < self.topics.len() {
            *self.topics.get_mut(topic as usize) = Arc::default();
        }
    }

    /// Counts that an item of these topics was consumed at an age. An age below 0 or above the
    /// largest is ignored.
    pub fn note(&mut self, topics: &[u32], age_hours: f64, at: DecayTime, clock: DecayTime) {
        if !(0.0..=AGE_HOURS_MAX).contains(&age_hours) {
            return;
        }
        let octaves = math::log2(age_hours.max(1.0));
        let bucket = ((octaves * BUCKETS_PER_OCTAVE) as u32).min(BUCKETS - 1);
        Arc::make_mut(&mut self.all).note(bucket, at, clock);
        for &topic in topics {
            self.topics.grow(topic as usize + 1, &Arc::default());
            Arc::make_mut(self.topics.get_mut(topic as usize)).note(bucket, at, clock);
        }
    }

    /// The learnt half-life of an item of these topics, in hours: the geometric mean
    /// over the topics.
    pub fn half_life_hours(&self, topics: &[u32], settings: &Settings) -> f64 {
        let configured = math::log2(f64::from(settings.freshness_half_life_hours));
        let general = self.all.shrunk_towards(configured);
        if topics.is_empty() {
            return math::exp2(general);
        }
        let of_topic = |&topic: &u32| {
            self.topics.get(topic as usize).map_or(general, |ages| ages.shrunk_towards(general))
        };
        math::exp2(topics.iter().map(of_topic).sum::<f64>() / topics.len() as f64)
    }
}

/// How fresh an item is at `now`: 1 when it is published, half after one half-life; 0 before
/// it is published.
pub fn freshness(published: Timestamp, now: Timestamp, half_life_hours: f64) -> f32 {
    let age_hours = now.hours_since(published);
    if age_hours < 0.0 { 0.0 } else { power(-age_hours / half_life_hours) as f32 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: DecayTime = DecayTime::from_half_lives(200.0);

    fn consumed_at(ages: impl IntoIterator<Item = (u32, f64)>) -> Aging {
        let mut aging = Aging::default();
        for (topic, hours) in ages {
            aging.note(&[topic], hours, NOW, NOW);
        }
        aging
    }

    #[test]
    fn with_nothing_learnt_the_half_life_is_the_configured_one() {
        let settings = Settings { freshness_half_life_hours: 48.0, ..Settings::default() };
        let hours = Aging::default().half_life_hours(&[3], &settings);
        assert!((hours - 48.0).abs() < 1e-9, "{hours}");
    }

    #[test]
    fn news_age_in_hours_and_songs_in_months_where_users_consume_them_so() {
        // Ages with half-lives of 4 hours and of 1,440.
        let spread = |half_life: f64| {
            (1..200).map(move |n| half_life * -(1.0 - f64::from(n) / 200.0).log2())
        };
        let news = spread(4.0).map(|hours| (0, hours));
        let aging = consumed_at(news.chain(spread(1_440.0).map(|hours| (1, hours))));
        let half_life = |topics: &[u32]| aging.half_life_hours(topics, &Settings::default());
        assert!((3.0..8.0).contains(&half_life(&[0])), "{}", half_life(&[0]));
        assert!((900.0..1_500.0).contains(&half_life(&[1])), "{}", half_life(&[1]));
        let both = half_life(&[0, 1]);
        assert!((both - (half_life(&[0]) * half_life(&[1])).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn an_event_from_before_the_publication_is_ignored() {
        let mut aging = consumed_at((0..50).map(|_| (0, 100.0)));
        let before = aging.half_life_hours(&[0], &Settings::default());
        aging.note(&[0], -470_000.0, DecayTime::default(), NOW);
        aging.note(&[0], f64::INFINITY, NOW, NOW);
        assert_eq!(aging.half_life_hours(&[0], &Settings::default()), before);
        // The age of an old event counts, decayed to nothing.
        aging.note(&[0], 100.0, DecayTime::default(), NOW);
        let after = aging.half_life_hours(&[0], &Settings::default());
        assert!((after - before).abs() < 1e-3, "{before} {after}");
    }

    #[test]
    fn what_is_published_later_is_not_fresh() {
        let published = Timestamp::from_seconds(1_700_000_000);
        let after = |hours: i64| published.plus_millis(hours * Timestamp::HOUR_MS);
        assert_eq!(freshness(published, after(0), 24.0), 1.0);
        assert_eq!(freshness(published, after(24), 24.0), 0.5);
        assert_eq!(freshness(published, after(-1), 24.0), 0.0);
        assert_eq!(freshness(published, after(-9_000), 0.1), 0.0);
    }

    proptest! {
        #[test]
        fn a_half_life_lies_between_the_topics_own_and_the_general_one(
            ages in prop::collection::vec(1.0..10_000.0_f64, 1..50),
        ) {
            let aging = consumed_at(ages.iter().map(|&hours| (0, hours)));
            let (own, general) = (f64::from(aging.topics[0].median), 168.0_f64.log2());
            let learnt = aging.half_life_hours(&[0], &Settings::default()).log2();
            prop_assert!(learnt >= own.min(general) - 1e-6 && learnt <= own.max(general) + 1e-6);
        }

        #[test]
        fn the_median_is_within_half_an_octave_of_the_exact_one(
            mut ages in prop::collection::vec(1.0..100_000.0_f64, 1..60),
        ) {
            let aging = consumed_at(ages.iter().map(|&hours| (0, hours)));
            ages.sort_by(f64::total_cmp);
            let (low, high) = (ages[(ages.len() - 1) / 2].log2(), ages[ages.len() / 2].log2());
            let median = f64::from(aging.topics[0].median);
            prop_assert!(median >= low - 0.51 && median <= high + 0.51, "{median} {low} {high}");
        }
    }
}
