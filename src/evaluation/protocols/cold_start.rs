//! Learning curve: how good are the lists for somebody after 0, 1, 2, 5, 10 events?
//!
//! - A fifth of the users, by the hash of their id, is held out whole; training sees
//!   the rows of the others.
//! - Of a held-out user's positives in order of time the last few are the test, the
//!   same at every step; the first 0, 1, 2, 5, 10 are revealed, and at the last step,
//!   **warm**, all before the test.
//! - Revealed events reach a copy of the recommender that learns as a running service
//!   does and is not trained again: no user's test is touched by what another revealed.
//! - Candidates are the same at every step: without repeats, the catalogue without
//!   what the user had before the test, revealed or not. Otherwise the items a user is
//!   yet to take would count as mistakes at the early steps only.
//! - `now` is the time of the first test positive.
//! - Users count who have positives for every step: 10 and 5 tests. Where fewer than
//!   30 users have them, the plan gets shorter: see [`PLANS`].

use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;
use xxhash_rust::xxh3::xxh3_64;

use super::Case;
use super::Progress;
use super::Task;
use super::best;
use super::score_open;
use super::split::learn_rows;
use crate::domain::Timestamp;
use crate::evaluation::dataset::Dataset;
use crate::evaluation::dataset::Row;
use crate::evaluation::facts::Facts;
use crate::evaluation::recommender::Recommender;

/// One user in so many is held out.
const HELD_OUT_ONE_IN: u64 = 5;
/// Users that make a plan worth following.
const USERS_MIN: usize = 30;
const USERS_PER_PROGRESS: usize = 16;

/// Numbers of revealed events before the warm step, and of tests after it; the first
/// plan with enough users is followed, or the last that has any.
const PLANS: [(&[usize], usize); 5] = [
    (&[0, 1, 2, 5, 10], 5),
    (&[0, 1, 2, 5, 10], 1),
    (&[0, 1, 2, 5], 1),
    (&[0, 1, 2], 1),
    (&[0, 1], 1),
];

/// How much a recommender has been told of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many positives.
    Events(usize),
    /// All before the test.
    Warm,
}

/// The cases of one step, the same users at each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepCases {
    pub step: Step,
    pub cases: Vec<Case>,
}

/// Who is held out and how they are tested.
#[derive(Debug)]
pub struct ColdStart {
    pub is_training: Vec<bool>,
    pub steps: Vec<Step>,
    /// Test positives of each user.
    pub tests_per_user: usize,
    /// Of the training part.
    pub facts: Facts,
    users: Vec<HeldOut>,
}

#[derive(Debug)]
struct HeldOut {
    user: u32,
    now: Timestamp,
    /// Positives before the test, in order of time.
    revealed: Vec<Row>,
    relevant: Vec<u32>,
    excluded: Vec<u32>,
}

impl ColdStart {
    pub fn of(dataset: &Dataset, task: &Task) -> Self {
        let is_held_out: Vec<bool> = dataset
            .users
            .iter()
            .map(|id| xxh3_64(id.as_bytes()).is_multiple_of(HELD_OUT_ONE_IN))
            .collect();
        let is_training: Vec<bool> =
            dataset.rows.iter().map(|row| !is_held_out[row.user as usize]).collect();
        let mut rows_of: Vec<Vec<Row>> = vec![Vec::new(); dataset.users.len()];
        for row in dataset.rows.iter().filter(|row| is_held_out[row.user as usize]) {
            rows_of[row.user as usize].push(*row);
        }
        let mut found = None;
        for plan in PLANS {
            let users = qualified(&rows_of, task, plan);
            let enough = users.len() >= USERS_MIN;
            if enough || !users.is_empty() {
                found = Some((plan, users));
            }
            if enough {
                break;
            }
        }
        let ((events, tests_per_user), mut users) = found.unwrap_or_else(|| (PLANS[0], Vec::new()));
        let most = (task.max_cases / (events.len() + 1)).max(1);
        if users.len() > most {
            users.sort_by_key(|held_out| xxh3_64(&held_out.user.to_le_bytes()));
            users.truncate(most);
            users.sort_by_key(|held_out| held_out.user);
        }
        let steps = events.iter().map(|&n| Step::Events(n)).chain([Step::Warm]).collect();
        let facts = Facts::new(dataset, task.positive, |place| is_training[place]);
        Self { is_training, steps, tests_per_user, facts, users }
    }

    /// How many users are tested.
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// Who is tested and on what, for a reader.
    pub fn describe(&self) -> String {
        format!(
            "{} users whom training never saw, the last {} of their positives being the test at every step",
            self.users.len(),
            self.tests_per_user,
        )
    }

    /// Learns the other users, then walks the held-out ones through the steps.
    pub fn run(
        &self,
        dataset: &Dataset,
        k: usize,
        recommender: &mut dyn Recommender,
        progress: Progress<'_>,
    ) -> Vec<StepCases> {
        learn_rows(dataset, &self.is_training, recommender, self.users.len(), progress);
        let learnt = self.is_training.len();
        let total = (learnt + self.users.len()) as u64;
        let mut walks: Vec<Vec<Case>> = Vec::with_capacity(self.users.len());
        let recommender = &*recommender;
        for users in self.users.chunks(USERS_PER_PROGRESS) {
            progress((learnt + walks.len()) as u64, total);
            let walk = |user: &HeldOut| self.walk(user, recommender, dataset.items.len(), k);
            walks.append(&mut users.par_iter().map(walk).collect());
        }
        progress(total, total);
        let at_step = |step: usize| walks.iter().map(|walk| walk[step].clone()).collect();
        (0..self.steps.len())
            .map(|step| StepCases { step: self.steps[step], cases: at_step(step) })
            .collect()
    }

    /// The cases of one user, one for each step.
    fn walk(
        &self,
        held_out: &HeldOut,
        recommender: &dyn Recommender,
        items: usize,
        k: usize,
    ) -> Vec<Case> {
        let mut own = recommender.fork();
        let mut scores = vec![f32::NAN; items];
        let mut told = 0;
        let ask = |step: &Step| {
            let upto = match *step {
                Step::Events(n) => n,
                Step::Warm => held_out.revealed.len(),
            };
            for row in &held_out.revealed[told..upto] {
                own.learn(row);
            }
            told = upto;
            score_open(&*own, held_out.user, held_out.now, &held_out.excluded, &mut scores);
            Case {
                user: held_out.user,
                history: upto as u32,
                list: best(k, &scores),
                expected: self.facts.expected(k, &held_out.excluded),
                relevant: held_out.relevant.clone(),
                rank: None,
            }
        };
        self.steps.iter().map(ask).collect()
    }
}

/// The held-out users with enough positives for a plan.
fn qualified(
    rows_of: &[Vec<Row>],
    task: &Task,
    (events, tests): (&[usize], usize),
) -> Vec<HeldOut> {
    let longest = events.last().copied().unwrap_or(0);
    let held_out = |(user, rows): (u32, &Vec<Row>)| {
        let positives: Vec<Row> = distinct_positives(rows, task);
        let cut = positives.len().checked_sub(tests).filter(|&cut| cut >= longest.max(1))?;
        let now = positives[cut].at;
        let mut excluded: Vec<u32> = if task.repeats {
            Vec::new()
        } else {
            positives[..cut].iter().map(|row| row.item).collect()
        };
        excluded.sort_unstable();
        let mut relevant: Vec<u32> = positives[cut..].iter().map(|row| row.item).collect();
        relevant.sort_unstable();
        relevant.dedup();
        Some(HeldOut { user, now, revealed: positives[..cut].to_vec(), relevant, excluded })
    };
    (0..).zip(rows_of).filter_map(held_out).collect()
}

/// A user's positives in order of time; without repeats the first of each item.
fn distinct_positives(rows: &[Row], task: &Task) -> Vec<Row> {
    let mut had: Vec<u32> = Vec::new();
    let is_wanted = |row: &&Row| {
        let place = had.binary_search(&row.item);
        if let Err(place) = place {
            had.insert(place, row.item);
        }
        task.repeats || place.is_err()
    };
    rows.iter().filter(|row| row.value >= task.positive).filter(is_wanted).copied().collect()
}
