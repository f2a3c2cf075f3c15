//! Learning curve: how good are the lists for a user after 0, 1, 2, 5, 10 events?
//!
//! - A fifth of the users, by the hash of their id, is held out whole. The rows of the
//!   others are learnt in order of time.
//! - Of a held-out user's positives the last few are the test, the same at every step.
//!   When the stream reaches the first of them, copies of the recommender are told of the
//!   user: of the last 0, 1, 2, 5, 10 positives before the test, as if the user had come
//!   that late, and at the last step, **warm**, of all. So what is known of all other users
//!   is the same at every step, and nothing is known that was yet to come.
//! - Copies learn as a running service does and are not trained again; no user's test is
//!   touched by what another revealed.
//! - Candidates are the same at every step: without repeats, the catalogue without
//!   what the user had before the test, revealed or not. Otherwise the items a user
//!   really had would count as mistakes at the early steps only.
//! - `now` is the time of the first test positive.
//! - Users count who have positives for every step (10 and 5 tests) and whose test comes
//!   after the first fifth of the rows. Where fewer than 30 users have them, the plan
//!   gets shorter: see [`PLANS`].

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::Timestamp;
use crate::evaluation::dataset::Dataset;
use crate::evaluation::dataset::Row;
use crate::evaluation::facts::Facts;
use crate::evaluation::protocols::Case;
use crate::evaluation::protocols::Progress;
use crate::evaluation::protocols::Scores;
use crate::evaluation::protocols::Task;
use crate::evaluation::protocols::best;
use crate::evaluation::recommender::Recommender;

/// One user in so many is held out.
const HELD_OUT_ONE_IN: u64 = 5;
/// Fewest users to follow a plan with.
const USERS_MIN: usize = 30;
/// One row in so many is learnt before any user is tested.
const LEARNT_BEFORE_ONE_IN: usize = 5;
const ROWS_PER_PROGRESS: usize = 1_024;

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
    /// By index.
    users: Vec<HeldOut>,
}

#[derive(Debug)]
struct HeldOut {
    user: u32,
    /// Index in the data set of the first test positive.
    position: usize,
    now: Timestamp,
    /// Positives before the test, in order of time.
    before: Vec<Positive>,
    /// Which of the user's positives is the first test.
    tested: u32,
    relevant: Vec<u32>,
    excluded: Vec<u32>,
}

/// A positive of a held-out user.
#[derive(Debug, Clone, Copy)]
struct Positive {
    row: Row,
    /// Index in the data set.
    position: usize,
    /// Which of the user's positives it is, from 0.
    order: u32,
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
        let mut positives_of: Vec<Vec<Positive>> = vec![Vec::new(); dataset.users.len()];
        for (position, row) in dataset.rows.iter().enumerate() {
            if is_held_out[row.user as usize] && row.value >= task.positive {
                let positives = &mut positives_of[row.user as usize];
                positives.push(Positive { row: *row, position, order: positives.len() as u32 });
            }
        }
        let tested_from = dataset.rows.len() / LEARNT_BEFORE_ONE_IN;
        let mut found = None;
        for plan in PLANS {
            let users = qualified(&positives_of, task, plan, tested_from);
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
        }
        users.sort_by_key(|held_out| held_out.position);
        let steps = events.iter().map(|&n| Step::Events(n)).chain([Step::Warm]).collect();
        let facts = Facts::new(dataset, task.positive, |position| is_training[position]);
        Self { is_training, steps, tests_per_user, facts, users }
    }

    /// How many users are tested.
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// Who is tested and on what, for a reader.
    pub fn describe(&self) -> String {
        format!(
            "{} users held out of all learning, the last {} of their positives being the test at every step",
            self.users.len(),
            self.tests_per_user,
        )
    }

    /// Learns the other users in order of time, and walks each held-out one through the
    /// steps when its time comes.
    pub fn run(
        &self,
        dataset: &Dataset,
        k: usize,
        recommender: &mut dyn Recommender,
        progress: Progress<'_>,
    ) -> Vec<StepCases> {
        let total = dataset.rows.len() as u64;
        let mut walks: Vec<Vec<Case>> = Vec::with_capacity(self.users.len());
        for (position, (row, is_training)) in dataset.rows.iter().zip(&self.is_training).enumerate()
        {
            if position % ROWS_PER_PROGRESS == 0 {
                progress(position as u64, total);
            }
            if *is_training {
                recommender.learn(row);
            }
            let next = self.users.get(walks.len()).filter(|held_out| held_out.position == position);
            if let Some(held_out) = next {
                walks.push(self.walk(held_out, recommender, dataset.items.len(), k));
            }
        }
        progress(total, total);
        walks.sort_by_key(|walk| walk.first().map(|case| case.user));
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
        let ask = |step: &Step| {
            let before = &held_out.before;
            let revealed = match *step {
                Step::Events(n) => &before[before.len() - n..],
                Step::Warm => before,
            };
            let mut own = recommender.fork();
            for positive in revealed {
                own.learn(&positive.row);
            }
            let mut scores = Scores::new(items, 0);
            scores.fill(&*own, (held_out.user, held_out.now), &held_out.excluded);
            Case {
                user: held_out.user,
                had: revealed.first().map_or(held_out.tested, |first| first.order)..held_out.tested,
                list: best(k, &scores.own),
                expected: self.facts.expected(k, &held_out.excluded),
                relevant: held_out.relevant.clone(),
                rank: None,
            }
        };
        self.steps.iter().map(ask).collect()
    }
}

/// The held-out users with enough positives for a plan, the first test not before a row.
fn qualified(
    positives_of: &[Vec<Positive>],
    task: &Task,
    (events, tests): (&[usize], usize),
    tested_from: usize,
) -> Vec<HeldOut> {
    let longest = events.last().copied().unwrap_or(0);
    let held_out = |(user, all): (u32, &Vec<Positive>)| {
        let positives = if task.repeats { all.clone() } else { first_of_each_item(all) };
        let cut = positives.len().checked_sub(tests).filter(|&cut| cut >= longest.max(1))?;
        let first = positives[cut];
        if first.position < tested_from {
            return None;
        }
        Some(HeldOut {
            user,
            position: first.position,
            now: first.row.at,
            before: positives[..cut].to_vec(),
            tested: first.order,
            relevant: items(&positives[cut..]),
            excluded: if task.repeats { Vec::new() } else { items(&positives[..cut]) },
        })
    };
    (0..).zip(positives_of).filter_map(held_out).collect()
}

/// Ascending.
fn items(positives: &[Positive]) -> Vec<u32> {
    let mut items: Vec<u32> = positives.iter().map(|positive| positive.row.item).collect();
    items.sort_unstable();
    items.dedup();
    items
}

/// The first positive of each item, in order of time.
fn first_of_each_item(positives: &[Positive]) -> Vec<Positive> {
    let mut had: Vec<u32> = Vec::new();
    let is_first = |positive: &&Positive| match had.binary_search(&positive.row.item) {
        Ok(_) => false,
        Err(position) => {
            had.insert(position, positive.row.item);
            true
        }
    };
    positives.iter().filter(is_first).copied().collect()
}
