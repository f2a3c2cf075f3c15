//! What a protocol asks of a recommender, and the popularity baselines.
//!
//! A recommender hears rows in order of time, of every value: which of them are
//! positive is its own to judge, by [`RecommenderOptions::positive`]. The
//! prequential protocol passes positives only, and never calls `train`.

use crate::domain::Timestamp;
use crate::numeric::math;

use super::dataset::Row;
use super::protocols::Protocol;

/// Something that ranks the catalogue for a user.
pub trait Recommender {
    /// How reports call it.
    fn name(&self) -> &str;

    /// Learns one row. Rows come in order of time.
    fn learn(&mut self, row: &Row);

    /// Called once when a training part is complete, before any `score`.
    fn train(&mut self);

    /// Scores every item for `user` at `now`; `scores` is as long as the catalogue
    /// and holds NaN at entry. Higher is better; what is not finite ranks last.
    fn score(&mut self, user: u32, now: Timestamp, scores: &mut [f32]);
}

/// What the recommenders of one run are told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecommenderOptions {
    pub protocol: Protocol,
    /// A row with at least this value is a positive.
    pub positive: f32,
    pub seed: u64,
}

/// Ranks by the number of positives, all alike or fading by a half-life. The same
/// ranking for everyone: what any personalization has to beat.
#[derive(Debug, Clone)]
pub struct Popularity {
    name: String,
    positive: f32,
    /// Weight of the next positive, relative to those before it.
    growth: f64,
    /// Weight of the newest positive. Old counts never fade; new ones weigh more.
    weight: f64,
    counts: Vec<f64>,
}

impl Popularity {
    /// Largest weight before all counts are scaled down: far from overflow.
    const WEIGHT_MAX: f64 = 1e100;

    /// Every positive counts one.
    pub fn new(items: usize, positive: f32) -> Self {
        let counts = vec![0.0; items];
        Self { name: "popularity".to_owned(), positive, growth: 1.0, weight: 1.0, counts }
    }

    /// A positive counts half after `half_life_events` further positives.
    pub fn with_half_life(items: usize, positive: f32, half_life_events: u32) -> Self {
        Self {
            name: format!("popularity, half-life {half_life_events}"),
            growth: math::exp2(1.0 / f64::from(half_life_events.max(1))),
            ..Self::new(items, positive)
        }
    }
}

impl Recommender for Popularity {
    fn name(&self) -> &str {
        &self.name
    }

    fn learn(&mut self, row: &Row) {
        if row.value < self.positive {
            return;
        }
        self.weight *= self.growth;
        self.counts[row.item as usize] += self.weight;
        if self.weight > Self::WEIGHT_MAX {
            self.counts.iter_mut().for_each(|count| *count /= self.weight);
            self.weight = 1.0;
        }
    }

    fn train(&mut self) {}

    fn score(&mut self, _user: u32, _now: Timestamp, scores: &mut [f32]) {
        let scale = 1.0 / self.weight;
        for (score, count) in scores.iter_mut().zip(&self.counts) {
            *score = (count * scale) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(mut popularity: Popularity, items: &[(u32, f32)]) -> Vec<f32> {
        for (item, value) in items {
            popularity.learn(&Row {
                user: 0,
                item: *item,
                value: *value,
                at: Timestamp::default(),
            });
        }
        let mut scores = vec![f32::NAN; popularity.counts.len()];
        popularity.score(0, Timestamp::default(), &mut scores);
        scores
    }

    #[test]
    fn popularity_counts_positives_only() {
        let scores = learnt(Popularity::new(3, 4.0), &[(0, 5.0), (1, 3.5), (0, 4.0), (2, 4.5)]);
        assert_eq!(scores, [2.0, 0.0, 1.0]);
    }

    #[test]
    fn a_positive_counts_half_after_one_half_life() {
        let scores = learnt(
            Popularity::with_half_life(3, 1.0, 2),
            &[(0, 1.0), (1, 1.0), (2, 1.0), (2, 0.0)],
        );
        assert!((scores[0] - 0.5).abs() < 1e-6);
        assert!((scores[1] - 0.5_f32.sqrt()).abs() < 1e-6);
        assert!((scores[2] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn weights_stay_finite_over_thousands_of_half_lives() {
        let scores = learnt(Popularity::with_half_life(2, 1.0, 1), &[(1, 1.0); 5_000]);
        assert_eq!(scores[0], 0.0);
        assert!((scores[1] - 2.0).abs() < 1e-6);
    }
}
