//! Protocols that learn one part of the rows and test on another.
//!
//! - **temporal**: the first floor(.8 n) rows are training. All training items of a
//!   user, whatever the rating, are seen: left out of the ranking and of the test.
//!   Users count when they have a test positive after that and a training positive.
//!   `now` is the time of the user's first test row.
//! - **leave-last-out**: each user's last positive is the test, the rows before it
//!   are training, the rows after it are dropped; seen as above. Users count when
//!   they have a training positive. A user without positives is training throughout.
//!   `now` is the time of the test row.
//! - With repeats nothing is left out: a seen item may be ranked and tested. A test is the begin of a
//!   use of an item: what follows within [`super::RETURN_HOURS`] is the same use.

use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::Timestamp;
use crate::evaluation::dataset::Dataset;
use crate::evaluation::facts::Facts;
use crate::evaluation::protocols::Case;
use crate::evaluation::protocols::Outcome;
use crate::evaluation::protocols::Progress;
use crate::evaluation::protocols::Protocol;
use crate::evaluation::protocols::Scores;
use crate::evaluation::protocols::Task;
use crate::evaluation::protocols::best;
use crate::evaluation::protocols::learnt_share;
use crate::evaluation::protocols::names;
use crate::evaluation::protocols::uses;
use crate::evaluation::recommender::Recommender;

/// Rows between two words on progress.
const ROWS_PER_PROGRESS: usize = 1_024;
/// Tests between two words on progress, ranked in parallel.
const TESTS_PER_PROGRESS: usize = 64;

/// Which rows are learnt, and which users are then tested.
#[derive(Debug)]
pub struct Split {
    /// As long as the data set's rows.
    pub is_training: Vec<bool>,
    /// By user.
    pub tests: Vec<Test>,
    /// Of the training part.
    pub facts: Facts,
}

/// A user to be tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    pub user: u32,
    pub now: Timestamp,
    /// Positives of the user in training.
    pub history: u32,
    /// Ascending, not empty.
    pub relevant: Vec<u32>,
    /// Items that are no candidates, ascending.
    pub excluded: Vec<u32>,
}

impl Split {
    /// Cuts the data as the protocol says, which is temporal or leave-last-out.
    pub fn of(dataset: &Dataset, protocol: Protocol, task: &Task) -> Self {
        let tested = uses(dataset, task.positive);
        let (is_training, positives) = match protocol {
            Protocol::Temporal => temporal(dataset, &tested),
            _ => leave_last_out(dataset, &tested),
        };
        let facts = Facts::new(dataset, task.positive, |position| is_training[position]);
        let tests = qualified_tests(dataset, task, &is_training, positives);
        let mut split = Self { is_training, tests, facts };
        split.draw(task.max_cases);
        split
    }

    /// Keeps at most so many tests, those whose users have the lowest hashes.
    pub fn draw(&mut self, most: usize) {
        let tests = &mut self.tests;
        if tests.len() > most {
            tests.sort_by_key(|test| xxh3_64(&test.user.to_le_bytes()));
            tests.truncate(most);
            tests.sort_by_key(|test| test.user);
        }
    }

    /// Learns the training part, then trains.
    pub fn learn(
        &self,
        dataset: &Dataset,
        recommender: &mut dyn Recommender,
        progress: Progress<'_>,
    ) {
        self.feed(dataset, recommender, progress);
        recommender.train();
    }

    /// Learns the training part and leaves the training to the caller.
    pub fn feed(
        &self,
        dataset: &Dataset,
        recommender: &mut dyn Recommender,
        progress: Progress<'_>,
    ) {
        let total = (self.is_training.len() + self.tests.len()) as u64;
        for (index, (row, is_training)) in dataset.rows.iter().zip(&self.is_training).enumerate() {
            if *is_training {
                recommender.learn(row);
            }
            if index % ROWS_PER_PROGRESS == 0 {
                progress(index as u64, total);
            }
        }
    }

    /// Ranks the catalogue for every tested user.
    pub fn test(
        &self,
        recommender: &dyn Recommender,
        items: usize,
        k: usize,
        progress: Progress<'_>,
    ) -> Vec<Case> {
        self.lists(&|test| self.ranking(recommender, test, items, k), k, progress)
    }

    /// The same for the recommender and each of its parts, scored in one pass.
    pub fn test_with_parts(
        &self,
        recommender: &dyn Recommender,
        items: usize,
        k: usize,
        progress: Progress<'_>,
    ) -> Outcome {
        let parts = recommender.parts();
        let rankings = |test: &Test| {
            let mut scores = Scores::new(items, parts.len());
            scores.fill(recommender, (test.user, test.now), &test.excluded);
            scores.all().map(|scores| best(k, scores)).collect()
        };
        self.lists_of(names(recommender), &rankings, k, progress)
    }

    /// The best items for the user of a test, without what is no candidate.
    pub fn ranking(
        &self,
        recommender: &dyn Recommender,
        test: &Test,
        items: usize,
        k: usize,
    ) -> Vec<u32> {
        let mut scores = vec![f32::NAN; items];
        recommender.score(test.user, test.now, &mut scores);
        test.excluded.iter().for_each(|item| scores[*item as usize] = f32::NEG_INFINITY);
        best(k, &scores)
    }

    /// A case for each test, with the list that `list` makes for it.
    pub fn lists(
        &self,
        list: &(dyn Fn(&Test) -> Vec<u32> + Sync),
        k: usize,
        progress: Progress<'_>,
    ) -> Vec<Case> {
        let mut outcome = self.lists_of(vec![String::new()], &|test| vec![list(test)], k, progress);
        outcome.remove(0).1
    }

    /// A case for each test and name, with the lists that `lists` makes for them.
    pub fn lists_of(
        &self,
        names: Vec<String>,
        lists: &(dyn Fn(&Test) -> Vec<Vec<u32>> + Sync),
        k: usize,
        progress: Progress<'_>,
    ) -> Outcome {
        let learnt = self.is_training.len() as u64;
        let total = learnt + self.tests.len() as u64;
        let ask = |test: &Test| -> Vec<Case> {
            lists(test).into_iter().map(|list| self.case(test, list, k)).collect()
        };
        let mut outcome: Outcome = names.into_iter().map(|name| (name, Vec::new())).collect();
        for (done, tests) in (0..).zip(self.tests.chunks(TESTS_PER_PROGRESS)) {
            progress(learnt + done * TESTS_PER_PROGRESS as u64, total);
            let asked: Vec<Vec<Case>> = tests.par_iter().map(ask).collect();
            for cases in asked {
                outcome.iter_mut().zip(cases).for_each(|((_, all), case)| all.push(case));
            }
        }
        progress(total, total);
        outcome
    }

    fn case(&self, test: &Test, list: Vec<u32>, k: usize) -> Case {
        Case {
            user: test.user,
            had: 0..test.history,
            list,
            expected: self.facts.expected(k, &test.excluded),
            relevant: test.relevant.clone(),
            rank: None,
        }
    }
}

/// For each user the time of the test and its positives.
type Positives = Vec<Option<(Timestamp, Vec<u32>)>>;

fn temporal(dataset: &Dataset, tested: &[bool]) -> (Vec<bool>, Positives) {
    let learnt = learnt_share(dataset.rows.len());
    let is_training: Vec<bool> = (0..dataset.rows.len()).map(|row| row < learnt).collect();
    let mut positives: Positives = vec![None; dataset.users.len()];
    for (row, is_tested) in dataset.rows.iter().zip(tested).skip(learnt) {
        let (_, items) = positives[row.user as usize].get_or_insert((row.at, Vec::new()));
        if *is_tested {
            items.push(row.item);
        }
    }
    (is_training, positives)
}

fn leave_last_out(dataset: &Dataset, tested: &[bool]) -> (Vec<bool>, Positives) {
    let mut last_positive: Vec<Option<usize>> = vec![None; dataset.users.len()];
    for (index, (row, is_tested)) in dataset.rows.iter().zip(tested).enumerate() {
        if *is_tested {
            last_positive[row.user as usize] = Some(index);
        }
    }
    let is_training = dataset
        .rows
        .iter()
        .enumerate()
        .map(|(index, row)| last_positive[row.user as usize].is_none_or(|last| index < last))
        .collect();
    let positives = last_positive
        .into_iter()
        .map(|last| last.map(|index| (dataset.rows[index].at, vec![dataset.rows[index].item])))
        .collect();
    (is_training, positives)
}

/// The tests of the users that count. Without repeats, what was seen in training is
/// removed from them.
fn qualified_tests(
    dataset: &Dataset,
    task: &Task,
    is_training: &[bool],
    positives: Positives,
) -> Vec<Test> {
    let mut seen_by_user: Vec<Vec<u32>> = vec![Vec::new(); dataset.users.len()];
    let mut history_of = vec![0; dataset.users.len()];
    for (row, _) in dataset.rows.iter().zip(is_training).filter(|(_, learnt)| **learnt) {
        if !task.repeats {
            seen_by_user[row.user as usize].push(row.item);
        }
        history_of[row.user as usize] += u32::from(row.value >= task.positive);
    }
    let mut tests = Vec::new();
    for (user, ((test, mut excluded), history)) in
        (0..).zip(positives.into_iter().zip(seen_by_user).zip(history_of))
    {
        let Some((now, mut relevant)) = test else { continue };
        excluded.sort_unstable();
        excluded.dedup();
        relevant.retain(|item| excluded.binary_search(item).is_err());
        relevant.sort_unstable();
        relevant.dedup();
        if history > 0 && !relevant.is_empty() {
            tests.push(Test { user, now, history, relevant, excluded });
        }
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_over_the_bound_are_drawn_the_same_each_time_and_stay_in_order() {
        let test = |user| Test {
            user,
            now: Timestamp::default(),
            history: 1,
            relevant: vec![0],
            excluded: Vec::new(),
        };
        let drawn = |most| {
            let facts = Facts::new(&Dataset::default(), 1.0, |_| true);
            let tests = (0..100).map(test).collect();
            let mut split = Split { is_training: Vec::new(), tests, facts };
            split.draw(most);
            split.tests.iter().map(|test| test.user).collect::<Vec<u32>>()
        };
        assert_eq!(drawn(100).len(), 100);
        let few = drawn(10);
        assert_eq!(few.len(), 10);
        assert!(few.is_sorted() && few != (0..10).collect::<Vec<u32>>());
        assert!(few.iter().all(|user| drawn(20).contains(user)), "more cases hold the fewer");
    }
}
