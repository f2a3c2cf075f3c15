//! The plain models that the engine is held against: one list, for `evaluate`, the benchmark of rankings and the
//! floors.
//!
//! - Baselines learn the same rows by themselves: popularity by several memories and, where users repeat, what
//!   each had most often.
//! - Components are models of the engine that rank alone: from the same training, in the same pass.

use crate::evaluation::dataset::Dataset;
use crate::evaluation::protocols::Task;
use crate::evaluation::recommender::OwnFrequency;
use crate::evaluation::recommender::Popularity;
use crate::evaluation::recommender::Recommender;

/// Positives after which one counts half, next to popularity that forgets nothing.
const HALF_LIVES: [u32; 3] = [500, 2_000, 10_000];
/// Features that are a model each.
const COMPONENTS: [&str; 8] = [
    "collaborative",
    "item_item",
    "item_item_slow",
    "item_item_all",
    "sequence",
    "overlap",
    "cooccurrence",
    "succession",
];
/// Those that need words.
const OF_WORDS: [&str; 1] = ["content"];

/// Models that learn by themselves, popularity of all time first.
pub fn baselines(dataset: &Dataset, task: &Task) -> Vec<Box<dyn Recommender>> {
    let (users, items, positive) = (dataset.users.len(), dataset.items.len(), task.positive);
    let mut baselines: Vec<Box<dyn Recommender>> = vec![Box::new(Popularity::new(items, positive))];
    for half_life in HALF_LIVES {
        baselines.push(Box::new(Popularity::with_half_life(items, positive, half_life)));
    }
    if task.repeats {
        baselines.push(Box::new(OwnFrequency::new(users, items, positive)));
    }
    baselines
}

/// Features of the engine that each rank alone.
pub fn components(dataset: &Dataset) -> Vec<&'static str> {
    let has_words = dataset.items.iter().any(|item| !item.title.is_empty());
    let of_words = OF_WORDS.into_iter().filter(|_| has_words);
    COMPONENTS.into_iter().chain(of_words).collect()
}
