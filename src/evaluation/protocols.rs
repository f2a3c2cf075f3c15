//! The three ways to test a recommender on recorded interactions.
//!
//! Common to all: rows in order of time, a row with value >= `positive` is a
//! positive, candidates are the whole catalogue, ties go to the lower item index,
//! a score that is not finite ranks last (a diverged model must not win).
//!
//! - **temporal**: the first floor(.8 n) rows are training. All training items of a
//!   user, whatever the rating, are seen: left out of the ranking and of the test.
//!   Users count when they have a test positive after that and a training positive.
//!   `now` is the time of the user's first test row.
//! - **leave-last-out**: each user's last positive is the test, the rows before it
//!   are training, the rows after it are dropped; seen as above. Users count when
//!   they have a training positive. A user without positives is training throughout.
//!   `now` is the time of the test row.
//! - **prequential** (test, then learn): positives only, one by one; candidates are
//!   the items that the user has not yet had as a positive. A positive that the user
//!   had before cannot be ranked: it is learnt and not counted. `now` is its time.
//!   Nothing is ever seen before it is tested (Vinagre et al. 2014).

use crate::domain::Timestamp;
use crate::numeric::TopK;

use super::dataset::Dataset;
use super::recommender::Recommender;

/// A protocol, by the name that `evaluate --protocol` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    Temporal,
    LeaveLastOut,
    Prequential,
}

impl Protocol {
    pub const ALL: [Self; 3] = [Self::Temporal, Self::LeaveLastOut, Self::Prequential];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Temporal => "temporal",
            Self::LeaveLastOut => "leave-last-out",
            Self::Prequential => "prequential",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }
}

/// Told (steps done, steps in all) now and then.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// What one user was recommended, and what they then took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListCase {
    pub user: u32,
    /// Best first, without seen items and without scores that are not finite.
    pub list: Vec<u32>,
    /// Ascending, not empty.
    pub relevant: Vec<u32>,
}

/// Where one event's item ranked just before the event was learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventCase {
    pub user: u32,
    /// From 1.
    pub rank: u32,
    /// The user had an earlier positive.
    pub warm: bool,
}

/// Which rows are learnt, and which users are then tested.
struct Split {
    /// As long as the data set's rows.
    is_training: Vec<bool>,
    tests: Vec<Test>,
}

struct Test {
    user: u32,
    now: Timestamp,
    relevant: Vec<u32>,
    seen: Vec<u32>,
}

/// Runs the temporal protocol; lists are `k` long. One case per user, by index.
pub fn temporal(
    dataset: &Dataset,
    positive: f32,
    k: usize,
    recommender: &mut dyn Recommender,
    progress: Progress<'_>,
) -> Vec<ListCase> {
    run(dataset, temporal_split(dataset, positive), k, recommender, progress)
}

/// Runs leave-last-out; lists are `k` long. One case per user, by index.
pub fn leave_last_out(
    dataset: &Dataset,
    positive: f32,
    k: usize,
    recommender: &mut dyn Recommender,
    progress: Progress<'_>,
) -> Vec<ListCase> {
    run(dataset, leave_last_out_split(dataset, positive), k, recommender, progress)
}

/// Runs the prequential protocol. One case per positive, in order of time.
pub fn prequential(
    dataset: &Dataset,
    positive: f32,
    recommender: &mut dyn Recommender,
    progress: Progress<'_>,
) -> Vec<EventCase> {
    let total = dataset.positives(positive) as u64;
    let mut cases = Vec::with_capacity(dataset.positives(positive));
    let mut had_by_user: Vec<Vec<u32>> = vec![Vec::new(); dataset.users.len()];
    let mut scores = vec![f32::NAN; dataset.items.len()];
    for (done, row) in (0..).zip(dataset.rows.iter().filter(|row| row.value >= positive)) {
        progress(done, total);
        let had = &mut had_by_user[row.user as usize];
        if let Err(place) = had.binary_search(&row.item) {
            score_unseen(recommender, row.user, row.at, had, &mut scores);
            let candidates = scores.len() - had.len();
            let rank = rank_of(row.item as usize, &scores, candidates);
            cases.push(EventCase { user: row.user, rank, warm: !had.is_empty() });
            had.insert(place, row.item);
        }
        recommender.learn(row);
    }
    progress(total, total);
    cases
}

/// Learns the training part, then ranks for every tested user.
fn run(
    dataset: &Dataset,
    split: Split,
    k: usize,
    recommender: &mut dyn Recommender,
    progress: Progress<'_>,
) -> Vec<ListCase> {
    const ROWS_PER_PROGRESS: usize = 1_024;
    let learnt_last = split.is_training.len() as u64;
    let total = learnt_last + split.tests.len() as u64;
    for (index, (row, is_training)) in dataset.rows.iter().zip(&split.is_training).enumerate() {
        if *is_training {
            recommender.learn(row);
        }
        if index % ROWS_PER_PROGRESS == 0 {
            progress(index as u64, total);
        }
    }
    recommender.train();
    let mut scores = vec![f32::NAN; dataset.items.len()];
    let mut cases = Vec::with_capacity(split.tests.len());
    for (done, test) in (learnt_last..).zip(split.tests) {
        progress(done, total);
        score_unseen(recommender, test.user, test.now, &test.seen, &mut scores);
        cases.push(ListCase { user: test.user, list: best(k, &scores), relevant: test.relevant });
    }
    progress(total, total);
    cases
}

fn temporal_split(dataset: &Dataset, positive: f32) -> Split {
    let learnt = dataset.rows.len() * 4 / 5;
    let is_training: Vec<bool> = (0..dataset.rows.len()).map(|row| row < learnt).collect();
    let mut first_test_at: Vec<Option<Timestamp>> = vec![None; dataset.users.len()];
    let mut wanted: Vec<Vec<u32>> = vec![Vec::new(); dataset.users.len()];
    for row in &dataset.rows[learnt..] {
        first_test_at[row.user as usize].get_or_insert(row.at);
        if row.value >= positive {
            wanted[row.user as usize].push(row.item);
        }
    }
    let wanted = first_test_at.into_iter().zip(wanted).map(|(at, items)| at.map(|at| (at, items)));
    let tests = qualified_tests(dataset, positive, &is_training, wanted);
    Split { is_training, tests }
}

fn leave_last_out_split(dataset: &Dataset, positive: f32) -> Split {
    let mut last_positive: Vec<Option<usize>> = vec![None; dataset.users.len()];
    for (index, row) in dataset.rows.iter().enumerate() {
        if row.value >= positive {
            last_positive[row.user as usize] = Some(index);
        }
    }
    let is_training: Vec<bool> = dataset
        .rows
        .iter()
        .enumerate()
        .map(|(index, row)| last_positive[row.user as usize].is_none_or(|last| index < last))
        .collect();
    let wanted = last_positive
        .into_iter()
        .map(|last| last.map(|index| (dataset.rows[index].at, vec![dataset.rows[index].item])));
    let tests = qualified_tests(dataset, positive, &is_training, wanted);
    Split { is_training, tests }
}

/// The tests of the users that count. `wanted` gives, for each user, the time of
/// the test and its positives; what was seen in training is removed from them.
fn qualified_tests(
    dataset: &Dataset,
    positive: f32,
    is_training: &[bool],
    wanted: impl Iterator<Item = Option<(Timestamp, Vec<u32>)>>,
) -> Vec<Test> {
    let mut seen_by_user: Vec<Vec<u32>> = vec![Vec::new(); dataset.users.len()];
    let mut has_positive = vec![false; dataset.users.len()];
    for (row, _) in dataset.rows.iter().zip(is_training).filter(|(_, learnt)| **learnt) {
        seen_by_user[row.user as usize].push(row.item);
        has_positive[row.user as usize] |= row.value >= positive;
    }
    let mut tests = Vec::new();
    for (user, ((test, mut seen), has_positive)) in
        (0..).zip(wanted.zip(seen_by_user).zip(has_positive))
    {
        let Some((now, mut relevant)) = test else { continue };
        seen.sort_unstable();
        seen.dedup();
        relevant.retain(|item| seen.binary_search(item).is_err());
        relevant.sort_unstable();
        relevant.dedup();
        if has_positive && !relevant.is_empty() {
            tests.push(Test { user, now, relevant, seen });
        }
    }
    tests
}

/// Fills `scores`; those of `seen` items are minus infinity, hence never ranked.
fn score_unseen(
    recommender: &mut dyn Recommender,
    user: u32,
    now: Timestamp,
    seen: &[u32],
    scores: &mut [f32],
) {
    scores.fill(f32::NAN);
    recommender.score(user, now, scores);
    for item in seen {
        scores[*item as usize] = f32::NEG_INFINITY;
    }
}

/// The `k` best items with finite scores, best first.
fn best(k: usize, scores: &[f32]) -> Vec<u32> {
    let mut top = TopK::new(k);
    for (item, score) in (0..).zip(scores) {
        if score.is_finite() {
            top.push(*score, item);
        }
    }
    top.into_sorted_vec().into_iter().map(|(item, _)| item).collect()
}

/// Rank from 1 of `target`: how many items score higher, or the same with a lower
/// index, plus one. The last of `candidates` when its score is not finite.
fn rank_of(target: usize, scores: &[f32], candidates: usize) -> u32 {
    let own = scores[target];
    if !own.is_finite() {
        return u32::try_from(candidates).expect("items are counted in 32 bits");
    }
    // Counts in u32 so that the loops vectorise; NaN fails every comparison.
    let before: u32 =
        scores[..target].iter().map(|x| u32::from((*x >= own) & (*x < f32::INFINITY))).sum();
    let after: u32 =
        scores[target + 1..].iter().map(|x| u32::from((*x > own) & (*x < f32::INFINITY))).sum();
    1 + before + after
}

#[cfg(test)]
mod tests;
