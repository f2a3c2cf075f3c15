//! Training: newer models serve, bad settings are left again, what is gone takes no part.

use crate::harness::Described;
use crate::harness::Planted;
use crate::harness::Settings;
use crate::harness::World;
use crate::harness::mean;
use crate::harness::quick_settings;

/// Readers of many untold tastes to whose catalogue new items come every day.
struct Stream {
    world: World,
    items: usize,
    users: usize,
}

const TASTES: usize = 8;

impl Stream {
    fn new(seed: u64, users: usize) -> Self {
        let world = World::with(Settings { seed, ..quick_settings() });
        let mut stream = Self { world, items: 0, users };
        stream.publish(160);
        stream
    }

    fn publish(&mut self, count: usize) {
        for _ in 0..count {
            self.world.add(Described::new(&format!("item-{}", self.items)));
            self.items += 1;
        }
    }

    /// A day on which each user clicks on two items of the newest 160, of the own taste in
    /// three of four cases.
    fn day(&mut self) {
        self.publish(12);
        for time in 0..2 {
            for user in 0..self.users {
                let own = self.world.random.chance(0.75);
                let oldest = self.items.saturating_sub(160);
                let mut item = oldest + self.world.random.below(self.items - oldest);
                if own {
                    item = item / TASTES * TASTES + user % TASTES;
                }
                let item = item.min(self.items - 1);
                self.world.click(&format!("user-{user}"), &format!("item-{item}"));
                self.world.pass_seconds(20.0 + f64::from(time));
            }
            self.world.pass_hours(10.0);
        }
    }
}

#[test]
fn in_a_stream_of_new_items_no_newer_model_is_refused() {
    let mut outcomes = Vec::new();
    for seed in 1..=2 {
        let mut stream = Stream::new(seed, 80);
        for _ in 0..4 {
            stream.day();
        }
        stream.world.train().unwrap();
        for day in 0..9 {
            stream.day();
            if let Err(error) = stream.world.train() {
                outcomes.push(format!("seed {seed}, day {day}: {error}"));
            }
        }
    }
    let count = outcomes.len();
    assert!(outcomes.is_empty(), "{count} of 18 newer models were refused: {outcomes:#?}");
}

/// Goes on by tastes, after a search on noise or none, with another draw of the start of factors.
/// Returns the validation NDCG of what the last search chose and whether it was refused.
fn taste_after(noise: &Planted, seed: u64, trains_on_noise: bool) -> (f64, Option<String>) {
    let mut planted = noise.fork();
    planted.world.set(Settings { seed, ..noise.world.settings() });
    if trains_on_noise {
        planted.world.train_with_search().unwrap();
        assert!(planted.world.was_searched(), "too little to search on");
    }
    planted.browse(16, 0.85);
    let refused = planted.world.train_with_search().err().map(|error| error.to_string());
    (planted.world.validation_ndcg(), refused)
}

/// Judged by what the search ranks, not by lists: the weights of these were learnt online
/// next to the model of noise, which is no fault of the search.
#[test]
fn a_search_returns_from_what_it_chose_on_noise() {
    // Users who click on anything, of which a search learns nothing.
    let settings = Settings { seed: 2, search_trials: 10, ..quick_settings() };
    let mut noise = Planted::untold_topics(World::with(settings), 110, 160, 8);
    noise.browse(19, 0.0);
    let mut lines = Vec::new();
    let mut ratios = Vec::new();
    let mut found = Vec::new();
    for seed in 1..=5 {
        let (fresh, _) = taste_after(&noise, seed, false);
        let (stale, refused) = taste_after(&noise, seed, true);
        lines.push(format!(
            "seed {seed}: NDCG {stale:.4} after noise and {fresh:.4} from the defaults, \
             refused: {refused:?}"
        ));
        ratios.push(stale / fresh);
        found.push(stale);
    }
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(least >= 0.9, "{lines:#?}");
    let (low, middle) = (found.iter().copied().fold(1.0, f64::min), mean(found));
    assert!(low >= 0.8 * middle, "a seed is worse than noise explains: {lines:#?}");
}

#[test]
fn what_is_gone_from_the_catalogue_takes_no_part_in_a_training() {
    let mut planted = Planted::untold_topics(World::new(), 40, 160, 8);
    for item in 0..600 {
        planted.world.add(Described::new(&format!("gone-{item}")));
    }
    // What is gone got more clicks than what is there.
    for click in 0..2_400 {
        let (user, item) = (format!("user-{}", click % 40), format!("gone-{}", click / 4));
        planted.world.click(&user, &item);
        planted.world.pass_seconds(200.0);
    }
    for item in 0..600 {
        planted.world.delete(&format!("gone-{item}"));
    }
    planted.browse(14, 0.85);
    planted.world.train().unwrap();
    let items = planted.world.items_with_weights();
    assert!(items <= 160.0, "item-item weights of {items} items, 160 are there");
    let share = planted.share_of_favourites(10);
    assert!(share >= 0.75, "{share:.3} of the first ten are favourites");
}

#[test]
fn the_prequential_test_is_as_hard_with_items_that_cannot_be_shown_as_without() {
    let mut plain = Planted::topics(World::new(), 30, 150, 10);
    let mut crowded = plain.fork();
    for item in 0..1_500 {
        // Half are gone, half come next year.
        let (id, later) = (format!("other-{item}"), crowded.world.in_hours(9_000.0));
        crowded.world.add(Described::new(&id).published(later));
        if item % 2 == 0 {
            crowded.world.delete(&id);
        }
    }
    for planted in [&mut plain, &mut crowded] {
        planted.browse(12, 0.8);
    }
    let ((tests, rate), (own_tests, own_rate)) =
        (plain.world.prequential(), crowded.world.prequential());
    let figures = format!("{own_tests} tests hit {own_rate:.3}; without, {tests} hit {rate:.3}");
    assert!((own_rate - rate).abs() <= 0.08, "{figures}");
}
