//! The newest positives of some users, held out of a training to judge it by.
//!
//! - Users are those seen last, of one day drawn by a hash, with two positives at least: who was
//!   last of all may be who does most. The newest quarter of
//!   their positives, three at most, is held out with all that came after. Of few users a half
//!   is left alone: a trial must not miss most of what is new. Of a user who came since the
//!   serving model was trained, only what is newer than that: its trial knows the rest, as
//!   that model does.
//! - A test ranks each item held out among those that can be recommended, for a user as of
//!   before, without what the user had; the figure is NDCG@20 of one item, `1 / log2(rank + 1)`
//!   down to rank 20, as a mean over the items. Of large catalogues every n-th item is ranked.
//! - Items are columns of the training throughout.

use std::sync::Arc;

use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;
use xxhash_rust::xxh3::xxh3_64;

use crate::columns::index::UserIndex;
use crate::consumption::Consumption;
use crate::consumption::History;
use crate::domain::Timestamp;
use crate::models::weighing::Weighing;
use crate::numeric::math;
use crate::state::View;
use crate::training::columns::Columns;
use crate::training::columns::Row;

/// Users that are tested at most, and of fewer than twice this, one in two...
const USERS_MAX: usize = 1_024;
/// ...but always this many, if there are.
const USERS_EXPECTED: usize = 100;
const POSITIVES_MIN: usize = 2;
const HELD_OUT_MAX: usize = 3;
const HELD_OUT_ONE_IN: usize = 4;
/// Fewest users to judge by.
const USERS_MIN: usize = 10;
/// Items ranked against at most.
const ITEMS_MAX: usize = 20_000;
const DEPTH: usize = 20;

/// What a rank from 1 adds to NDCG@20 of one item; half a rank where it is tied.
pub fn gain(rank: f64) -> f64 {
    if rank > DEPTH as f64 { 0.0 } else { 1.0 / math::log2(rank + 1.0) }
}

/// Who is tested, and with how much withheld.
#[derive(Debug, Clone)]
pub struct Holdout<'v> {
    view: &'v View,
    columns: &'v Columns,
    tests: Vec<Test>,
    /// By user: the history of one of whom something is withheld, without it.
    before: Vec<Option<Arc<History>>>,
    /// By column: whether it is ranked and folded in.
    open: Vec<bool>,
    /// Whether users are folded in by open columns only.
    folds_open_only: bool,
}

/// One user's test.
#[derive(Debug, Clone)]
pub struct Test {
    pub user: UserIndex,
    /// Columns held out, without repetition.
    pub held_out: Vec<u32>,
    /// When the first of them was consumed.
    pub since: Timestamp,
    /// The history without what is held out.
    pub before: Arc<History>,
    /// Columns that are not ranked, sorted: those the user had before, unless they may come again.
    had: Vec<u32>,
}

impl<'v> Holdout<'v> {
    /// `None` when too few users have done enough.
    pub fn new(view: &'v View, columns: &'v Columns) -> Option<Self> {
        let known_until =
            view.model().map_or(Timestamp::default(), |model| model.origin.trained_until);
        let mut users: Vec<((i64, u64), UserIndex, usize)> = Vec::new();
        for (index, user) in view.profiled_users() {
            let positives = user.history.positives().count();
            let uses: usize =
                user.history.positives().map(|entry| usize::from(entry.sessions())).sum();
            // Where users come back, one who has one item only can be tested by it.
            let enough = if view.recommends_seen() { uses } else { positives };
            if enough >= POSITIVES_MIN {
                let days = view.clock.hours_since(user.last_seen).max(0.0) / 24.0;
                let drawn = xxh3_64(&index.get().to_le_bytes());
                users.push(((days as i64, drawn), index, positives));
            }
        }
        users.sort_unstable();
        let most = (users.len() / 2).clamp(USERS_EXPECTED, USERS_MAX);
        let mut before = vec![None; view.users.states.len()];
        let mut tests = Vec::new();
        for (_, index, positives) in users {
            let history = &view.users.states[index].history;
            let mut count = (positives / HELD_OUT_ONE_IN).clamp(1, HELD_OUT_MAX);
            let newest = history.positives().take(count);
            let new = newest.take_while(|entry| entry.at() > known_until).count();
            if new > 0 {
                count = new;
            }
            let test = Test::new(index, history, count, columns, view.recommends_seen());
            if !test.held_out.is_empty() {
                before[index.as_usize()] = Some(test.before.clone());
                tests.push(test);
            }
            if tests.len() == most {
                break;
            }
        }
        let open = columns.open().to_vec();
        let holdout = Self { view, columns, tests, before, open, folds_open_only: false };
        (holdout.len() >= USERS_MIN).then_some(holdout)
    }

    pub fn len(&self) -> usize {
        self.tests.len()
    }

    pub fn view(&self) -> &'v View {
        self.view
    }

    pub fn tests(&self) -> &[Test] {
        &self.tests
    }

    pub fn columns(&self) -> &Columns {
        self.columns
    }

    /// The examples of all users without what is held out.
    pub fn rows(&self, weighing: &Weighing) -> Vec<Row> {
        self.columns.rows(
            weighing,
            self.view.profiled_users().map(|(user, state)| {
                self.before[user.as_usize()].as_ref().unwrap_or(&state.history).as_ref()
            }),
        )
    }

    /// What a tested user had done before, as examples.
    pub fn examples(&self, test: &Test, weighing: &Weighing) -> Row {
        let mut row = self.columns.row(weighing.examples(&test.before));
        if self.folds_open_only {
            row.retain(|example| self.open[example.0 as usize]);
        }
        row
    }

    /// The tests that began after an instant, with nothing in them but columns that are
    /// `known`: neither to rank, nor to rank against, nor to fold users in by. What a user came
    /// back to is not ranked: a model from before was trained on that very pair.
    pub fn within(&self, instant: Timestamp, known: &[bool]) -> Self {
        let open: Vec<bool> =
            self.open.iter().zip(known).map(|(open, known)| *open && *known).collect();
        let mut within = Self { open, folds_open_only: true, ..self.clone() };
        for test in &mut within.tests {
            let history = &self.view.users.states[test.user].history;
            let is_first = |column: u32| {
                let entry = history.find(self.columns.items()[column as usize]);
                entry.is_some_and(|entry| entry.sessions() <= 1)
            };
            test.held_out.retain(|&column| within.open[column as usize] && is_first(column));
        }
        let tests = std::mem::take(&mut within.tests);
        let says_something = |test: &Test| {
            test.since > instant
                && !test.held_out.is_empty()
                && test.before.entries().iter().any(|entry| {
                    let column = self.columns.of_item(entry.item);
                    column.is_some_and(|column| within.open[column as usize])
                })
        };
        let tests: Vec<Test> = tests.into_iter().filter(says_something).collect();
        Self { tests, ..within }
    }

    /// Every other test that began after an instant. What all others withheld is trained on.
    pub fn half_after(&self, instant: Timestamp) -> Self {
        let mut half = self.clone();
        let mut is_kept = false;
        half.tests.retain(|test| {
            is_kept = test.since > instant && !is_kept;
            if !is_kept {
                half.before[test.user.as_usize()] = None;
            }
            is_kept
        });
        half
    }

    /// Of the columns every so many-th is ranked.
    pub fn stride(&self) -> usize {
        self.columns.len().div_ceil(ITEMS_MAX).max(1)
    }

    /// NDCG@20 of each test, in order. `score` fills the scores for a tested user: of the columns that are
    /// ranked ([`Self::stride`]) and of those held out.
    pub fn ndcg(&self, score: impl Fn(&Test, &mut [f32]) + Sync) -> Vec<f64> {
        let (columns, stride) = (self.columns.len(), self.stride());
        self.tests
            .par_iter()
            .map_init(
                || vec![0.0; columns],
                |scores, test| {
                    scores.fill(0.0);
                    score(test, scores);
                    test.ndcg(scores, &self.open, stride)
                },
            )
            .collect()
    }
}

impl Test {
    fn new(
        user: UserIndex,
        history: &History,
        withheld: usize,
        columns: &Columns,
        repeats: bool,
    ) -> Self {
        let before = history.without_newest(withheld);
        let mut had: Vec<u32> = Vec::new();
        if !repeats {
            let known = before.entries().iter();
            had.extend(known.filter_map(|entry| columns.of_item(entry.item)));
            had.sort_unstable();
        }
        let positives = history.positives().take(withheld);
        let after: Vec<&Consumption> = positives.collect();
        let held_out = after.iter().rev().filter_map(|entry| columns.of_item(entry.item));
        Self {
            user,
            held_out: held_out.filter(|&column| columns.open()[column as usize]).collect(),
            since: after.last().map_or(Timestamp::default(), |entry| entry.at()),
            before: Arc::new(before),
            had,
        }
    }

    /// Of someone of whom nothing is known.
    pub fn of_newcomer(user: UserIndex, chosen: u32, at: Timestamp) -> Self {
        let (before, had) = (Arc::default(), Vec::new());
        Self { user, held_out: vec![chosen], since: at, before, had }
    }

    /// Ties count as half; a score that is no number ranks last.
    fn ndcg(&self, scores: &[f32], open: &[bool], stride: usize) -> f64 {
        let gain_of = |&column: &u32| self.rank(column, scores, open, stride).map_or(0.0, gain);
        self.held_out.iter().map(gain_of).sum::<f64>() / self.held_out.len().max(1) as f64
    }

    /// The rank of a column held out; `None` beyond [`DEPTH`], which most are known to be
    /// long before the last score was looked at.
    fn rank(&self, column: u32, scores: &[f32], open: &[bool], stride: usize) -> Option<f64> {
        let own = scores[column as usize];
        if !own.is_finite() {
            return None;
        }
        let (mut better, mut equal) = (0_u32, 0_u32);
        let mut rank = 1.0;
        for (other, &score) in scores.iter().enumerate().step_by(stride) {
            let competes = || open[other] && self.competes(other as u32, column);
            if score >= own && score.is_finite() && competes() {
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

    /// Whether a column is ranked for this user.
    pub fn ranks(&self, column: u32) -> bool {
        self.had.binary_search(&column).is_err()
    }

    /// Whether a column stands against one held out: neither had before nor held out, too.
    fn competes(&self, other: u32, column: u32) -> bool {
        other != column && !self.held_out.contains(&other) && self.ranks(other)
    }
}

/// Mean of the figures of tests; 0 for none.
pub fn mean(figures: &[f64]) -> f64 {
    if figures.is_empty() { 0.0 } else { figures.iter().sum::<f64>() / figures.len() as f64 }
}

/// The mean difference between figures of the same tests, and its standard error, which is
/// infinite for fewer than two.
pub fn difference(figures: &[f64], than: &[f64]) -> (f64, f64) {
    let differences: Vec<f64> = figures.iter().zip(than).map(|(own, other)| own - other).collect();
    let n = differences.len() as f64;
    let centre = mean(&differences);
    let squares: f64 = differences.iter().map(|d| (d - centre) * (d - centre)).sum();
    let error = if n >= 2.0 { (squares / (n - 1.0) / n).sqrt() } else { f64::INFINITY };
    (centre, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test() -> Test {
        Test {
            user: UserIndex::new(0),
            held_out: vec![1, 3],
            since: Timestamp::default(),
            before: Arc::default(),
            had: vec![0],
        }
    }

    #[test]
    fn the_figure_is_ndcg_among_open_items_that_the_user_did_not_have() {
        // Item 0 was had, item 5 cannot be recommended; item 1 ranks first and item 3 second,
        // behind item 2.
        let open = [true, true, true, true, true, false];
        let ndcg = test().ndcg(&[9.0, 5.0, 4.5, 4.0, 1.0, 9.0], &open, 1);
        let expected = (1.0 + 1.0 / 3.0_f64.log2()) / 2.0;
        assert!((ndcg - expected).abs() < 1e-9, "{ndcg}");
        assert!(test().ndcg(&[9.0, f32::NAN, 3.0, f32::NAN, 1.0, 0.0], &open, 1) == 0.0);
    }

    #[test]
    fn the_twentieth_counts_the_next_does_not_and_ties_stand_in_the_middle() {
        let own = |better: usize, equal: usize| {
            let test = Test { held_out: vec![0], had: Vec::new(), ..test() };
            let mut scores = vec![1.0];
            scores.extend(vec![2.0; better]);
            scores.extend(vec![1.0; equal]);
            test.ndcg(&scores, &vec![true; scores.len()], 1)
        };
        assert_eq!(own(19, 0), 1.0 / math::log2(21.0));
        assert_eq!(own(20, 0), 0.0);
        assert_eq!(own(0, 38), own(19, 0));
        assert_eq!(own(0, 39), 0.0);
    }

    #[test]
    fn a_difference_comes_with_its_standard_error() {
        let (centre, error) = difference(&[0.1, 0.2, 0.1], &[0.5, 0.6, 0.5]);
        assert!((centre + 0.4).abs() < 1e-9 && error < 1e-9);
        let (centre, error) = difference(&[0.1, 0.6, 0.1], &[0.5, 0.1, 0.3]);
        assert!(centre > -error);
        assert_eq!(difference(&[1.0], &[0.0]).1, f64::INFINITY);
    }
}
