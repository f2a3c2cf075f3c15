//! The newest positives of some people, held out of a training to judge it by.
//!
//! - People are those seen last, with five positives at least; the newest quarter of
//!   their positives, three at most, is held out with all that came after.
//! - A test ranks each item held out among the catalogue for a person as of before,
//!   without what they had; the figure is NDCG@20 of one item, `1 / log2(rank + 1)` down to
//!   rank 20, as a mean over the items. Of large catalogues every n-th item is ranked.

use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;

use crate::consumption::History;
use crate::consumption::Weighing;
use crate::consumption::kept;
use crate::domain::Timestamp;
use crate::numeric::math;
use crate::state::View;

/// People that are tested at most.
const PEOPLE_MAX: usize = 1_024;
const POSITIVES_MIN: usize = 5;
const HELD_OUT_MAX: usize = 3;
const HELD_OUT_ONE_IN: usize = 4;
/// Fewest people that say anything.
const PEOPLE_MIN: usize = 10;
/// Items ranked against at most.
const ITEMS_MAX: usize = 20_000;
const DEPTH: usize = 20;

/// Who is tested, and with how much withheld.
#[derive(Debug, Clone)]
pub struct Holdout<'v> {
    view: &'v View,
    tests: Vec<Test>,
    /// By person: positives withheld.
    withheld: Vec<u8>,
}

/// One person's test.
#[derive(Debug, Clone)]
pub struct Test {
    pub user: u32,
    /// Items held out, without repetition.
    pub wanted: Vec<u32>,
    /// When the first of them was wanted.
    pub since: Timestamp,
    /// Items the person had before, sorted.
    had: Vec<u32>,
}

impl<'v> Holdout<'v> {
    /// `None` when too few people have done enough.
    pub fn new(view: &'v View) -> Option<Self> {
        let mut people: Vec<(Timestamp, u32, usize)> = Vec::new();
        for (index, user) in view.users.states.iter().enumerate() {
            let positives = user.history.positives().count();
            if positives >= POSITIVES_MIN {
                people.push((user.last_seen, index as u32, positives));
            }
        }
        people.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        people.truncate(PEOPLE_MAX);
        if people.len() < PEOPLE_MIN {
            return None;
        }
        let mut withheld = vec![0; view.users.states.len()];
        let mut tests = Vec::with_capacity(people.len());
        for (_, index, positives) in people {
            let count = (positives / HELD_OUT_ONE_IN).clamp(1, HELD_OUT_MAX);
            withheld[index as usize] = count as u8;
            tests.push(Test::new(index, &view.users.states[index as usize].history, count));
        }
        Some(Self { view, tests, withheld })
    }

    pub fn len(&self) -> usize {
        self.tests.len()
    }

    /// The examples of everybody without what is held out.
    pub fn rows(&self, weighing: &Weighing) -> Vec<Vec<(u32, f32)>> {
        let people = self.view.users.states.iter().zip(&self.withheld);
        people
            .map(|(user, &withheld)| weighing.examples(&user.history, withheld as usize))
            .collect()
    }

    /// What a tested person had done before, as examples.
    pub fn examples(&self, test: &Test, weighing: &Weighing) -> Vec<(u32, f32)> {
        let history = &self.view.users.states[test.user as usize].history;
        weighing.examples(history, usize::from(self.withheld[test.user as usize]))
    }

    /// The tests that began after an instant.
    pub fn after(&self, instant: Timestamp) -> Self {
        let tests = self.tests.iter().filter(|test| test.since > instant).cloned().collect();
        Self { tests, ..self.clone() }
    }

    /// NDCG@20 of each test, in order. `score` fills the scores of the given items for a
    /// tested person.
    pub fn ndcg(&self, score: impl Fn(&Test, &mut [f32]) + Sync) -> Vec<f64> {
        let items = self.view.items_len();
        let stride = items.div_ceil(ITEMS_MAX).max(1);
        self.tests
            .par_iter()
            .map_init(
                || vec![0.0; items],
                |scores, test| {
                    scores.fill(0.0);
                    score(test, scores);
                    test.ndcg(scores, stride)
                },
            )
            .collect()
    }
}

impl Test {
    fn new(user: u32, history: &History, withheld: usize) -> Self {
        let kept = kept(history, withheld);
        let (before, after) = history.entries().split_at(kept);
        let mut had: Vec<u32> = before.iter().map(|entry| entry.item).collect();
        had.sort_unstable();
        let wanted = after.iter().filter(|entry| entry.net() > 0.0);
        Self {
            user,
            wanted: wanted.map(|entry| entry.item).collect(),
            since: after.first().map_or(Timestamp::default(), |entry| entry.at()),
            had,
        }
    }

    /// Ties count as half; a score that is no number ranks last.
    fn ndcg(&self, scores: &[f32], stride: usize) -> f64 {
        let gain = |&item: &u32| {
            let rank = self.rank(item, scores, stride);
            rank.map_or(0.0, |rank| 1.0 / math::log2(rank + 1.0))
        };
        self.wanted.iter().map(gain).sum::<f64>() / self.wanted.len().max(1) as f64
    }

    /// The rank of a wanted item; `None` beyond [`DEPTH`], which most are known to be long
    /// before the last score was looked at.
    fn rank(&self, item: u32, scores: &[f32], stride: usize) -> Option<f64> {
        let own = scores[item as usize];
        if !own.is_finite() {
            return None;
        }
        let (mut better, mut equal) = (0_u32, 0_u32);
        let mut rank = 1.0;
        for (other, &score) in scores.iter().enumerate().step_by(stride) {
            if score >= own && score.is_finite() && self.competes(other as u32, item) {
                better += u32::from(score > own);
                equal += u32::from(score == own);
                rank = 1.0 + stride as f64 * (f64::from(better) + 0.5 * f64::from(equal));
                if rank > DEPTH as f64 {
                    return None;
                }
            }
        }
        Some(rank)
    }

    /// Whether an item stands against a wanted one: neither had before nor wanted, too.
    fn competes(&self, other: u32, item: u32) -> bool {
        other != item && !self.wanted.contains(&other) && self.had.binary_search(&other).is_err()
    }
}

/// Mean of the figures of tests; 0 for none.
pub fn mean(figures: &[f64]) -> f64 {
    if figures.is_empty() { 0.0 } else { figures.iter().sum::<f64>() / figures.len() as f64 }
}

/// Whether figures are worse than those of the same tests they are paired with, beyond
/// one standard error of the mean difference.
pub fn is_worse(figures: &[f64], than: &[f64]) -> bool {
    let differences: Vec<f64> = figures.iter().zip(than).map(|(own, other)| own - other).collect();
    let n = differences.len() as f64;
    let centre = mean(&differences);
    let squares: f64 = differences.iter().map(|d| (d - centre) * (d - centre)).sum();
    n >= 2.0 && centre < -(squares / (n - 1.0) / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test() -> Test {
        Test { user: 0, wanted: vec![1, 3], since: Timestamp::default(), had: vec![0] }
    }

    #[test]
    fn the_figure_is_ndcg_among_what_the_person_did_not_have() {
        // Item 0 was had; item 1 ranks first and item 3 second, behind item 2.
        let ndcg = test().ndcg(&[9.0, 5.0, 4.5, 4.0, 1.0], 1);
        let expected = (1.0 + 1.0 / 3.0_f64.log2()) / 2.0;
        assert!((ndcg - expected).abs() < 1e-9, "{ndcg}");
        assert!(test().ndcg(&[9.0, f32::NAN, 3.0, f32::NAN, 1.0], 1) == 0.0);
    }

    #[test]
    fn the_twentieth_counts_the_next_does_not_and_ties_stand_in_the_middle() {
        let own = |better: usize, equal: usize| {
            let test = Test { wanted: vec![0], had: Vec::new(), ..test() };
            let mut scores = vec![1.0];
            scores.extend(vec![2.0; better]);
            scores.extend(vec![1.0; equal]);
            test.ndcg(&scores, 1)
        };
        assert_eq!(own(19, 0), 1.0 / math::log2(21.0));
        assert_eq!(own(20, 0), 0.0);
        assert_eq!(own(0, 38), own(19, 0));
        assert_eq!(own(0, 39), 0.0);
    }

    #[test]
    fn a_difference_within_one_standard_error_is_not_worse() {
        assert!(is_worse(&[0.1, 0.2, 0.1], &[0.5, 0.6, 0.5]));
        assert!(!is_worse(&[0.1, 0.6, 0.1], &[0.5, 0.1, 0.3]));
        assert!(!is_worse(&[], &[]));
    }
}
