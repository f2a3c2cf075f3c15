//! What the tests of behaviour are written with: a world with a clock, a catalogue and
//! users, and questions to the engine as the service asks them.
//!
//! - [`World`] owns the engine and the clock; each of its methods is one record of the log.
//! - [`Ask`] and [`Answer`] are one call of Personalize: retrieve, rank, record.
//! - [`Planted`] is a world whose users have hidden tastes, so that a list can be judged; [`Served`]
//!   is an item of such a list with what came of it.
//! - Whatever names a type of the engine is in here, so that a change of its interface
//!   changes the harness and no test.

mod ask;
mod described;
mod inside;
mod lab;
mod planted;
mod random;
mod served;
mod world;

pub use ask::Answer;
pub use ask::Ask;
pub use described::Described;
pub use described::Event;
pub use described::SetFor;
pub use inside::everything_is_finite;
pub use lab::ExperimentAdvice;
pub use lab::Plans;
pub use lab::as_secondary;
pub use lab::by_the_hour;
pub use lab::further_metrics;
pub use planted::Planted;
pub use random::Random;
pub use served::Reliability;
pub use served::Served;
pub use served::reliability;
pub use world::World;
pub use world::quick_settings;

pub use engine::domain::BackfillChunk;
pub use engine::domain::Cap;
pub use engine::domain::InteractionType as Kind;
pub use engine::domain::RankerSettings;
pub use engine::domain::Settings;
pub use engine::domain::Split;
pub use engine::domain::Strategy;
pub use engine::domain::Timestamp;

/// Hours of a day.
pub const DAY: f64 = 24.0;

/// The share of equal positions of two lists of lists.
pub fn share_unchanged(before: &[Vec<String>], after: &[Vec<String>]) -> f64 {
    let pairs = before.iter().zip(after);
    let positions: usize = before.iter().map(Vec::len).sum();
    let same: usize =
        pairs.map(|(before, after)| before.iter().zip(after).filter(|(a, b)| a == b).count()).sum();
    same as f64 / positions.max(1) as f64
}

/// The share of a list that is in `of`.
pub fn share_in<T: AsRef<str>>(list: &[String], of: &[T]) -> f64 {
    let is_in = |item: &&String| of.iter().any(|one| one.as_ref() == item.as_str());
    list.iter().filter(is_in).count() as f64 / list.len().max(1) as f64
}

/// The mean of some figures; 0 for none.
pub fn mean(figures: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0_f64);
    for figure in figures {
        sum += figure;
        count += 1.0;
    }
    sum / count.max(1.0)
}
