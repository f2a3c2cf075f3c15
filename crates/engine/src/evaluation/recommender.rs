//! What a protocol asks of a recommender, and the baselines.
//!
//! A recommender hears rows in order of time, of every value: which of them are
//! positive is its own to judge. The prequential protocol passes positives only, and
//! never calls `train`.
//!
//! Scoring changes nothing, so that protocols may ask from several threads.

use std::collections::BTreeMap;

use crate::domain::Timestamp;
use crate::numeric::math;

use crate::evaluation::dataset::Row;

/// Something that ranks the catalogue for a user.
pub trait Recommender: Sync {
    /// How reports call it.
    fn name(&self) -> &str;

    /// Learns one row. Rows come in order of time.
    fn learn(&mut self, row: &Row);

    /// Called once when a training part is complete, before any `score`.
    fn train(&mut self);

    /// Scores every item for `user` at `now`; `scores` is as long as the catalogue
    /// and holds NaN at entry. Higher is better; what is not finite ranks last.
    fn score(&self, user: u32, now: Timestamp, scores: &mut [f32]);

    /// Names of plain models inside of it, which have learnt what it has.
    fn parts(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// As [`Self::score`], and by each of its parts: one buffer each, with NaN at entry.
    fn score_with_parts(
        &self,
        user: u32,
        now: Timestamp,
        scores: &mut [f32],
        parts: &mut [Vec<f32>],
    ) {
        debug_assert!(parts.is_empty(), "a recommender with parts scores by them");
        self.score(user, now, scores);
    }

    /// A copy that goes on learning on its own from here, and is never trained again. It has no parts.
    fn fork(&self) -> Box<dyn Recommender>;
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

    fn score(&self, _user: u32, _now: Timestamp, scores: &mut [f32]) {
        let scale = 1.0 / self.weight;
        for (score, count) in scores.iter_mut().zip(&self.counts) {
            *score = (count * scale) as f32;
        }
    }

    fn fork(&self) -> Box<dyn Recommender> {
        Box::new(self.clone())
    }
}

/// Ranks what the user had most often first, then everything else by popularity: what
/// has to be beaten where users repeat.
#[derive(Debug, Clone)]
pub struct OwnFrequency {
    popularity: Popularity,
    positive: f32,
    /// By user, how often each item was a positive.
    had: Vec<BTreeMap<u32, u32>>,
}

impl OwnFrequency {
    pub fn new(users: usize, items: usize, positive: f32) -> Self {
        let popularity = Popularity::new(items, positive);
        Self { popularity, positive, had: vec![BTreeMap::new(); users] }
    }
}

impl Recommender for OwnFrequency {
    fn name(&self) -> &str {
        "own most frequent"
    }

    fn learn(&mut self, row: &Row) {
        self.popularity.learn(row);
        if row.value >= self.positive {
            *self.had[row.user as usize].entry(row.item).or_default() += 1;
        }
    }

    fn train(&mut self) {}

    fn score(&self, user: u32, now: Timestamp, scores: &mut [f32]) {
        self.popularity.score(user, now, scores);
        let most = scores.iter().copied().fold(1.0, f32::max);
        // Below one, so that popularity only decides between equal counts.
        scores.iter_mut().for_each(|score| *score *= 0.5 / most);
        for (item, count) in &self.had[user as usize] {
            scores[*item as usize] += *count as f32;
        }
    }

    fn fork(&self) -> Box<dyn Recommender> {
        Box::new(self.clone())
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
    fn own_counts_come_first_and_popularity_breaks_their_ties() {
        let mut frequency = OwnFrequency::new(2, 4, 1.0);
        for (user, item) in [(0, 3), (0, 3), (0, 1), (1, 2), (1, 2), (1, 1)] {
            frequency.learn(&Row { user, item, value: 1.0, at: Timestamp::default() });
        }
        let mut scores = vec![f32::NAN; 4];
        frequency.score(0, Timestamp::default(), &mut scores);
        assert_eq!(scores, [0.0, 1.5, 0.5, 2.5]);
    }

    #[test]
    fn a_copy_learns_on_its_own() {
        let mut popularity = Popularity::new(2, 1.0);
        popularity.learn(&Row { user: 0, item: 1, value: 1.0, at: Timestamp::default() });
        let mut copy = popularity.fork();
        copy.learn(&Row { user: 0, item: 0, value: 1.0, at: Timestamp::default() });
        let scores = |recommender: &dyn Recommender| {
            let mut scores = [f32::NAN; 2];
            recommender.score(0, Timestamp::default(), &mut scores);
            scores
        };
        assert_eq!((scores(&popularity), scores(&*copy)), ([0.0, 1.0], [1.0, 1.0]));
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
