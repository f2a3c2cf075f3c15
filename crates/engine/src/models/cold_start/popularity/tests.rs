//! Popularity in simulated streams, and in extreme ones.

use proptest::prelude::*;

use crate::domain::Settings;
use crate::models::cold_start::popularity::*;
use crate::seed;

const FIRST: ItemIndex = ItemIndex::new(0);

fn day(number: i64) -> Timestamp {
    Timestamp::from_millis(number * Timestamp::DAY_MS)
}

/// Popularity with the half-lives that it goes by, and a catalogue of its items.
struct World {
    popularity: Popularity,
    decays: Decays,
    /// Share of the latest consumptions whose item was among the ten most popular before.
    hits: f64,
}

impl World {
    fn new(items: usize) -> Self {
        let items = (0..items).map(|_| Default::default()).collect();
        let mut popularity = Popularity { items, ..Default::default() };
        let decays = Decays::new(&Settings::default());
        popularity.start_with(90.0 * 24.0);
        Self { popularity, decays, hits: 0.0 }
    }

    fn consume(&mut self, item: u32, weight: f32, at: Timestamp) {
        let (item, catalogue) = (ItemIndex::new(item), self.popularity.items.len() as u64);
        self.popularity.test(item, catalogue, at, &self.decays);
        self.popularity.add_rise(item, weight, Some(1.0), at, &self.decays);
    }

    fn popularity(&self, item: u32, now: Timestamp) -> f32 {
        let scales = self.popularity.scales(now, &self.decays);
        scales.popularity(&self.popularity.items[ItemIndex::new(item)])
    }

    fn trend(&self, item: u32, now: Timestamp) -> f32 {
        let scales = self.popularity.scales(now, &self.decays);
        scales.trend(&self.popularity.items[ItemIndex::new(item)])
    }

    fn top(&self, n: usize, now: Timestamp) -> Vec<u32> {
        let mut items: Vec<u32> = (0..self.popularity.items.len() as u32).collect();
        items.sort_by(|&a, &b| self.popularity(b, now).total_cmp(&self.popularity(a, now)));
        items.truncate(n);
        items
    }

    /// Consumptions drawn by the appeal of each item, by the hour and the item.
    fn live(&mut self, hours: std::ops::Range<i64>, each: usize, appeal: impl Fn(i64, u32) -> f64) {
        let mut rng = seed::stream(7, seed::Purpose::Choose, &hours.start.to_le_bytes());
        for hour in hours {
            let now = Timestamp::from_seconds(1_700_000_000 + hour * 3_600);
            let items = 0..self.popularity.items.len() as u32;
            let appeals: Vec<f64> = items.map(|item| appeal(hour, item)).collect();
            let top = self.top(10, now);
            for _ in 0..each {
                let mut left = seed::unit(&mut rng) * appeals.iter().sum::<f64>();
                let drawn = appeals.iter().position(|appeal| {
                    left -= appeal;
                    left < 0.0
                });
                let item = drawn.unwrap_or(0) as u32;
                let hit = f64::from(u8::from(top.contains(&item)));
                self.hits += (hit - self.hits) / 500.0;
                self.consume(item, 1.0, now);
            }
        }
    }

    fn is_sane(&self, now: Timestamp) -> bool {
        let scales = self.popularity.scales(now, &self.decays);
        let head = &self.popularity.head;
        let totals =
            head.totals.sums.iter().chain(&head.choice_scores()).all(|sum| sum.is_finite());
        let items = self.popularity.items.indices().all(|item| {
            let one = &self.popularity.items[item];
            let values = [
                scales.popularity(one),
                scales.trend(one),
                scales.activity(one),
                scales.cooccurrence_mass(one),
                scales.cooccurrence_weight(one),
                self.popularity.share(item),
            ];
            values.iter().chain(&one.sums).all(|value| value.is_finite() && *value >= 0.0)
        });
        totals && items && head.totals.sums.iter().all(|&sum| sum >= 0.0)
    }
}

/// Every other hour an item is published; interest in it halves every four hours.
fn news(hour: i64, item: u32) -> f64 {
    let age = hour - 2 * i64::from(item);
    if age < 0 { 0.0 } else { (f64::from(item % 5) + 1.0) * (-(age as f64) / 4.0).exp2() }
}

/// An archive: tastes do not change.
fn films(_: i64, item: u32) -> f64 {
    // In no order of the items.
    1.0 / (1.0 + f64::from(item * 37 % 300))
}

#[test]
fn where_items_are_forgotten_in_hours_the_popular_list_is_recent() {
    let mut world = World::new(361);
    world.live(0..720, 20, news);
    let (now, memory) =
        (Timestamp::from_seconds(1_700_000_000 + 719 * 3_600), world.popularity.in_use());
    assert!(matches!(memory, Memory::SixHours | Memory::Day), "{memory:?}");
    assert!(world.hits > 0.7, "{}", world.hits);
    let top = world.top(5, now);
    assert!(top.iter().all(|&item| item >= 345), "{top:?}");
}

#[test]
fn where_tastes_do_not_change_the_popular_list_is_of_all_time() {
    let mut world = World::new(300);
    world.live(0..2_000, 5, films);
    let memory = world.popularity.in_use();
    assert!(matches!(memory, Memory::Quarter | Memory::Everything), "{memory:?}");
    let top = world.top(10, Timestamp::from_seconds(1_700_000_000 + 2_000 * 3_600));
    let best = top.iter().filter(|&&item| item * 37 % 300 < 12).count();
    assert!(best >= 9, "{top:?}");
}

#[test]
fn a_film_archive_that_turns_to_news_is_followed() {
    let mut world = World::new(300);
    world.live(0..1_000, 10, films);
    let before = world.popularity.in_use();
    world.live(1_000..1_300, 10, |hour, item| news(hour - 800, item));
    let after = world.popularity.in_use();
    assert!(!matches!(before, Memory::SixHours | Memory::Day), "{before:?}");
    assert!(matches!(after, Memory::SixHours | Memory::Day | Memory::Activity), "{after:?}");
}

#[test]
fn the_trend_forgets_faster_than_popularity() {
    let mut world = World::new(2);
    world.consume(0, 1.0, day(0));
    assert!(world.trend(0, day(30)) < 0.01);
    assert!(world.popularity(0, day(30)) > 0.7);
    assert_eq!(world.popularity.items[FIRST].positives, 1);
}

#[test]
fn the_order_of_two_events_does_not_matter() {
    let trend = |days: [i64; 2]| {
        let mut world = World::new(2);
        days.into_iter().for_each(|at| world.consume(0, 1.0, day(at)));
        world.trend(0, day(3))
    };
    assert!((trend([0, 3]) - trend([3, 0])).abs() < 1e-6);
}

#[test]
fn moving_the_landmarks_over_decades_changes_no_value() {
    let mut world = World::new(2);
    world.consume(0, 2.0, day(0));
    world.consume(1, 1.0, day(9_000));
    assert_eq!(world.popularity(1, day(9_000)), 1.0);
    assert!(world.trend(0, day(9_000)) < 1e-12);
}

#[test]
fn the_candidate_weight_is_the_documented_power() {
    let mut world = World::new(2);
    [0, 10, 20].into_iter().for_each(|at| world.consume(0, 1.0, day(at)));
    let now = world.popularity.scales(day(25), &world.decays);
    let item = &world.popularity.items[FIRST];
    let expected = now.cooccurrence_mass(item).powf(-0.3);
    assert!((now.cooccurrence_weight(item) - expected).abs() < 1e-5);
    assert_eq!(now.cooccurrence_weight(&world.popularity.items[ItemIndex::new(1)]), 0.0);
}

#[test]
fn popularity_begins_with_the_memory_nearest_to_the_configured_half_life() {
    let decays = Decays::new(&Settings::default());
    let mut popularity = Popularity::default();
    let hours = [0.1, 20.0, 60.0, 400.0, 2_160.0, 1e6];
    let started = hours.map(|hours| {
        popularity.start_with(hours);
        popularity.half_life_hours(&decays)
    });
    assert_eq!(started, [6.0, 24.0, 24.0, 336.0, 2_160.0, 876_000.0]);
}

#[test]
fn totals_count_past_what_32_bits_can() {
    let mut world = World::new(1);
    world.popularity.head.totals.shown = u64::from(u32::MAX);
    let full = ItemStatistics { shown: u32::MAX, positives: u32::MAX, ..Default::default() };
    *world.popularity.items.get_mut(FIRST) = full;
    world.popularity.head.totals.positives = u64::from(u32::MAX);
    world.popularity.count_shown(FIRST);
    world.consume(0, 1.0, day(1));
    assert_eq!(world.popularity.totals().shown, 1 << 32);
    assert_eq!(world.popularity.totals().positives, 1 << 32);
    assert_eq!(world.popularity.items[FIRST].shown, u32::MAX);
}

#[test]
fn ordinary_positives_count_in_full_next_to_a_hundred_million() {
    let mut world = World::new(1);
    world.popularity.add_rise(FIRST, 134_217_728.0, Some(1.0), day(1), &world.decays);
    for _ in 0..200_000 {
        world.popularity.add_rise(FIRST, 1.0, Some(1.0), day(1), &world.decays);
    }
    let added = |found: f64| (found - 134_217_728.0) / 200_000.0;
    let of_item = added(f64::from(world.popularity(0, day(1))));
    assert!((of_item - 1.0).abs() < 0.01, "{of_item}");
    let scales = world.popularity.scales(day(1), &world.decays);
    assert_eq!(added(scales.popularity_of_all(world.popularity.totals())), 1.0);
}

proptest! {
    #[test]
    fn no_time_weight_or_half_life_spoils_popularity_and_later_likes_still_teach(
        events in prop::collection::vec((0..3_u32, -9..9_i32, 0..22_000_i64, prop::sample::select(vec![0.1_f32, 1.0, 24.0, 2_160.0, 1e6])), 1..60),
    ) {
        let mut world = World::new(5);
        let mut clock = day(0);
        for (item, magnitude, on, hours) in events {
            clock = clock.max(day(on));
            world.consume(item, 10_f32.powi(magnitude), day(on));
            let settings = Settings {
                popularity_half_life_hours: hours,
                trend_half_life_hours: hours,
                cooccurrence_half_life_hours: hours,
                ..Settings::default()
            };
            world.decays.change(&settings, clock);
            world.decays.shares.change(hours, clock);
            prop_assert!(world.is_sane(clock));
            prop_assert!(world.is_sane(day(30_000)) && world.is_sane(day(0)));
        }
        let before = (world.popularity(4, clock), world.trend(4, clock));
        for _ in 0..50 {
            world.consume(4, 1.0, clock);
        }
        prop_assert!(world.is_sane(clock));
        prop_assert!(before == (0.0, 0.0));
        let after = (world.popularity(4, clock), world.trend(4, clock));
        // The sum that decays by events lost a little of the first.
        prop_assert!((after.0 - 50.0).abs() < 1.0 && (after.1 - 50.0).abs() < 0.1, "{after:?}");
    }
}
