//! People: communities with tastes, persons who deviate from theirs, and how often they come.

use rand_chacha::ChaCha8Rng;

use super::draws;
use super::items::DIMENSIONS;
use super::items::Item;
use super::items::TOPICS;
use crate::numeric::math;
use crate::seed;

/// Groups of people whose tastes are alike.
const COMMUNITIES: usize = 8;
/// How far persons are from their community, as a standard deviation; communities lie 1 apart.
const DEVIATION: f64 = 0.5;
/// Favourite topics of a community.
const FAVOURITES: usize = 3;
/// Mean visits of a person in a round, and how much they differ (as the standard deviation of a logarithm).
const ACTIVITY: f64 = 0.45;
const ACTIVITY_SPREAD: f64 = 0.8;
/// Visits of one person in a round at most, on average.
const ACTIVITY_MAX: f64 = 3.0;
/// The share of the people that is there from the first round on.
const PRESENT: f64 = 0.5;

/// What a person likes.
#[derive(Debug, Clone, PartialEq)]
pub struct Taste {
    topics: Vec<f64>,
    position: Vec<f64>,
}

impl Taste {
    /// That of a community, from which a person deviates.
    fn draw(seed: u64, community: u64, rng: &mut ChaCha8Rng) -> Self {
        let mut shared = draws::stream(seed, "community", &[community]);
        let mut topics = vec![0.0; TOPICS];
        for _ in 0..FAVOURITES {
            topics[seed::below(&mut shared, TOPICS)] = 1.0;
        }
        let mut position = draws::normals(&mut shared, DIMENSIONS);
        for value in topics.iter_mut().chain(&mut position) {
            *value += DEVIATION * draws::normal(rng);
        }
        Self { topics, position }
    }

    /// How much the topic of an item is liked: 1 for a favourite, 0 for another, as a rule.
    pub fn of_topic(&self, item: &Item) -> f64 {
        self.topics[item.topic]
    }

    /// How near the item is within its topic: 0 on average.
    pub fn of_position(&self, item: &Item) -> f64 {
        let products = self.position.iter().zip(&item.position).map(|(taste, item)| taste * item);
        products.sum::<f64>() / (DIMENSIONS as f64).sqrt()
    }
}

/// A person, by number.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// The round from which on the person comes.
    pub arrives: u32,
    /// Visits in a round, on average.
    pub activity: f64,
    pub taste: Taste,
    /// The taste after a drift, of those who change.
    pub later: Option<Taste>,
}

impl Person {
    /// The person of a number; `drifting` is the share of those who change.
    pub fn draw(seed: u64, number: usize, rounds: u32, drifting: f64) -> Self {
        let mut rng = draws::stream(seed, "person", &[number as u64]);
        let late = seed::unit(&mut rng) * f64::from(rounds);
        let arrives = if seed::unit(&mut rng) < PRESENT { 0 } else { late as u32 };
        let spread = ACTIVITY_SPREAD * draws::normal(&mut rng);
        let activity = ACTIVITY * math::exp(spread - ACTIVITY_SPREAD * ACTIVITY_SPREAD / 2.0);
        let community = seed::below(&mut rng, COMMUNITIES);
        let taste = Taste::draw(seed, community as u64, &mut rng);
        let drifts = seed::unit(&mut rng) < drifting;
        let other = (community + 1 + seed::below(&mut rng, COMMUNITIES - 1)) % COMMUNITIES;
        let later = drifts.then(|| Taste::draw(seed, other as u64, &mut rng));
        Self { arrives, activity: activity.min(ACTIVITY_MAX), taste, later }
    }
}
