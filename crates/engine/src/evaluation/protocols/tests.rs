//! Each protocol on data small enough to follow by hand.

use std::sync::Arc;
use std::sync::Mutex;

use crate::evaluation::DatasetBuilder;
use crate::evaluation::Facts;
use crate::evaluation::Row;
use crate::evaluation::protocols::*;

/// A user, and the items learnt before.
type Asked = (u32, Vec<u32>);

/// Gives fixed scores and notes what it was told.
#[derive(Default)]
struct Scripted {
    scores: Vec<f32>,
    learnt: Vec<(u32, u32)>,
    learnt_at_training: Option<usize>,
    asked: Mutex<Vec<(u32, i64, usize)>>,
    /// What copies of this one were asked: user, items learnt, in the order of asking.
    copies: Arc<Mutex<Vec<Asked>>>,
    is_copy: bool,
}

impl Scripted {
    fn new(scores: &[f32]) -> Self {
        Self { scores: scores.to_vec(), ..Self::default() }
    }
}

impl Recommender for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn learn(&mut self, row: &Row) {
        self.learnt.push((row.user, row.item));
    }

    fn train(&mut self) {
        self.learnt_at_training = Some(self.learnt.len());
    }

    fn fork(&self) -> Box<dyn Recommender> {
        Box::new(Self {
            scores: self.scores.clone(),
            copies: self.copies.clone(),
            is_copy: true,
            ..Self::default()
        })
    }

    fn score(&self, user: u32, now: Timestamp, scores: &mut [f32]) {
        let second = now.as_millis() / 1_000;
        self.asked.lock().unwrap().push((user, second, self.learnt.len()));
        if self.is_copy {
            let learnt = self.learnt.iter().map(|(_, item)| *item).collect();
            self.copies.lock().unwrap().push((user, learnt));
        }
        for (to, from) in scores.iter_mut().zip(&self.scores) {
            *to = *from;
        }
    }
}

/// Rows (user, item, value); their second is their index.
fn dataset(rows: &[(u32, u32, f32)]) -> Dataset {
    spaced(rows, 1)
}

/// Whose rows are uses of their own.
fn days_apart(rows: &[(u32, u32, f32)]) -> Dataset {
    spaced(rows, 86_400)
}

fn spaced(rows: &[(u32, u32, f32)], seconds: i64) -> Dataset {
    let mut builder = DatasetBuilder::default();
    for item in 0..6 {
        let item = crate::evaluation::DatasetItem { id: item.to_string(), ..Default::default() };
        builder.add_item(item).unwrap();
    }
    for user in 0..3 {
        builder.add_user(&user.to_string(), Default::default()).unwrap();
    }
    for (number, (user, item, value)) in (0..).zip(rows) {
        let at = Timestamp::from_seconds(number * seconds);
        builder.add_interaction(&user.to_string(), &item.to_string(), *value, at);
    }
    builder.build()
}

fn ignore(_: u64, _: u64) {}

fn task(k: usize) -> Task {
    Task { positive: 4.0, repeats: false, k, max_cases: usize::MAX }
}

/// User, list, relevant of each case.
type Told = Vec<(u32, Vec<u32>, Vec<u32>)>;

fn lists(protocol: Protocol, data: &Dataset, task: &Task, recommender: &mut Scripted) -> Told {
    let split = Split::of(data, protocol, task);
    split.learn(data, recommender, &mut ignore);
    let cases = split.test(recommender, data.items.len(), task.k, &mut ignore);
    cases.into_iter().map(|case| (case.user, case.list, case.relevant)).collect()
}

/// User, rank, history of each case.
fn ranks(data: &Dataset, task: &Task, recommender: &mut Scripted) -> Vec<(u32, u32, u32)> {
    let facts = Facts::new(data, task.positive, |_| true);
    let mut outcome = prequential(data, task, &facts, recommender, &mut ignore);
    let (_, cases) = outcome.remove(0);
    cases.into_iter().map(|case| (case.user, case.rank.unwrap(), case.history())).collect()
}

#[test]
fn temporal_tests_the_last_fifth_without_what_was_seen_in_training() {
    let data = dataset(&[
        (0, 0, 5.0),
        (0, 1, 1.0), // seen although not a positive
        (1, 2, 1.0), // user 1 has no training positive
        (0, 2, 4.0),
        (2, 0, 5.0),
        (2, 0, 5.0),
        (2, 0, 5.0),
        (2, 0, 5.0),
        // test from here: floor(.8 * 11) = 8
        (0, 1, 5.0), // seen: dropped from the test
        (0, 4, 5.0),
        (1, 3, 5.0),
    ]);
    let mut recommender = Scripted::new(&[9.0, 8.0, 7.0, 1.0, 1.0, 1.0]);
    let cases = lists(Protocol::Temporal, &data, &task(2), &mut recommender);
    assert_eq!(cases, [(0, vec![3, 4], vec![4])]);
    assert_eq!(recommender.learnt_at_training, Some(8));
    assert_eq!(*recommender.asked.lock().unwrap(), [(0, 8, 8)], "now is the user's first test row");
}

#[test]
fn leave_last_out_learns_what_came_before_each_users_last_positive() {
    let data = dataset(&[
        (0, 0, 5.0),
        (1, 3, 5.0), // the only positive of user 1: no training positive left
        (0, 1, 2.0),
        (0, 2, 5.0), // the test of user 0
        (0, 5, 1.0), // after it: dropped
        (2, 4, 1.0), // no positive at all: training
    ]);
    let mut recommender = Scripted::new(&[1.0, 2.0, 3.0, 3.0, f32::NAN, f32::INFINITY]);
    let cases = lists(Protocol::LeaveLastOut, &data, &task(4), &mut recommender);
    assert_eq!(cases, [(0, vec![2, 3], vec![2])]);
    assert_eq!(recommender.learnt, [(0, 0), (0, 1), (2, 4)]);
    assert_eq!(recommender.learnt_at_training, Some(3));
    assert_eq!(*recommender.asked.lock().unwrap(), [(0, 3, 3)]);
}

#[test]
fn a_last_positive_that_was_seen_before_is_no_test() {
    let data = days_apart(&[(0, 0, 5.0), (0, 1, 5.0), (0, 0, 5.0)]);
    let mut recommender = Scripted::new(&[1.0; 6]);
    assert!(lists(Protocol::LeaveLastOut, &data, &task(2), &mut recommender).is_empty());
}

#[test]
fn prequential_ranks_each_positive_before_it_is_learnt() {
    let data = dataset(&[
        (0, 5, 4.0),
        (0, 1, 3.0), // not a positive: not passed on, and still a candidate
        (1, 2, 4.0),
        (0, 3, 5.0),
        (0, 3, 5.0), // had before: learnt, not counted
    ]);
    let mut recommender = Scripted::new(&[1.0, 2.0, 2.0, 2.0, 0.5, 9.0]);
    let cases = ranks(&data, &task(3), &mut recommender);
    // User 1: behind item 5 and, by index, item 1. Then item 5 is no candidate any more;
    // items 1 and 2 win by index.
    assert_eq!(cases, [(0, 1, 0), (1, 3, 0), (0, 3, 1)]);
    assert_eq!(recommender.learnt, [(0, 5), (1, 2), (0, 3), (0, 3)]);
    assert_eq!(*recommender.asked.lock().unwrap(), [(0, 0, 0), (1, 2, 1), (0, 3, 2)]);
    assert_eq!(recommender.learnt_at_training, None);
}

#[test]
fn a_recommender_that_leaves_scores_unset_gets_the_last_rank_for_them() {
    let data = dataset(&[(0, 4, 5.0), (0, 0, 5.0)]);
    let mut recommender = Scripted::new(&[1.0]);
    let ranks: Vec<u32> =
        ranks(&data, &task(1), &mut recommender).iter().map(|case| case.1).collect();
    assert_eq!(ranks, [6, 1]);
}

#[test]
fn progress_ends_at_its_total() {
    let data = dataset(&[(0, 0, 5.0), (0, 1, 5.0)]);
    let mut last = (0, 1);
    let mut recommender = Scripted::new(&[0.0; 6]);
    let split = Split::of(&data, Protocol::LeaveLastOut, &task(1));
    split.learn(&data, &mut recommender, &mut ignore);
    split.test(&recommender, 6, 1, &mut |done, total| last = (done, total));
    assert_eq!(last, (3, 3));
    let facts = Facts::new(&data, 4.0, |_| true);
    prequential(&data, &task(1), &facts, &mut recommender, &mut |done, total| last = (done, total));
    assert_eq!(last, (2, 2));
}

#[test]
fn an_empty_data_set_has_no_cases() {
    let data = Dataset::default();
    let mut recommender = Scripted::new(&[]);
    for protocol in [Protocol::Temporal, Protocol::LeaveLastOut] {
        assert!(lists(protocol, &data, &task(10), &mut recommender).is_empty());
    }
    assert!(ranks(&data, &task(10), &mut recommender).is_empty());
    assert_eq!(ColdStart::of(&data, &task(10)).users(), 0);
    assert_eq!(repeat_share(&data, 1.0), 0.0);
}

#[test]
fn with_repeats_what_was_had_is_ranked_and_tested() {
    let repeating = Task { repeats: true, ..task(2) };
    let data = days_apart(&[(0, 0, 5.0), (0, 1, 5.0), (0, 0, 5.0)]);
    let scores = [3.0, 2.0, 1.0, 0.0, 0.0, 0.0];
    let cases = lists(Protocol::LeaveLastOut, &data, &repeating, &mut Scripted::new(&scores));
    assert_eq!(cases, [(0, vec![0, 1], vec![0])]);
    let cases = ranks(&data, &repeating, &mut Scripted::new(&scores));
    assert_eq!(cases, [(0, 1, 0), (0, 2, 1), (0, 1, 2)]);
}

#[test]
fn repeats_are_counted_in_the_first_four_fifths() {
    let data = days_apart(&[
        (0, 0, 5.0),
        (0, 0, 5.0), // a repeat
        (0, 0, 1.0), // not a positive
        (1, 0, 5.0), // of another user
        (0, 0, 5.0), // behind floor(.8 * 5)
    ]);
    assert_eq!(repeat_share(&data, 4.0), 1.0 / 3.0);
}

#[test]
fn further_rows_of_one_use_are_neither_repeats_nor_tests() {
    let data = dataset(&[(0, 0, 5.0), (0, 1, 5.0), (0, 1, 5.0), (0, 0, 5.0), (1, 0, 5.0)]);
    assert_eq!(repeat_share(&data, 4.0), 0.0);
    let repeating = Task { repeats: true, ..task(2) };
    let scores = [3.0, 2.0, 1.0, 0.0, 0.0, 0.0];
    let cases = lists(Protocol::LeaveLastOut, &data, &repeating, &mut Scripted::new(&scores));
    assert_eq!(cases, [(0, vec![0, 1], vec![1])], "the last use that begins is of item 1");
}

#[test]
fn held_out_users_are_revealed_step_by_step_to_copies_that_share_nothing() {
    let mut builder = DatasetBuilder::default();
    for user in 0..200 {
        for step in 0..16 {
            let item = ((user + step) % 20).to_string();
            let at = Timestamp::from_seconds(step);
            builder.add_interaction(&user.to_string(), &item, 5.0, at);
        }
    }
    let data = builder.build();
    let plan = ColdStart::of(&data, &task(3));
    assert!((30..50).contains(&plan.users()), "{} of 200 are about a fifth", plan.users());
    assert_eq!(plan.tests_per_user, 5);
    let mut recommender = Scripted::new(&[1.0; 20]);
    let steps = plan.run(&data, 3, &mut recommender, &mut ignore);

    let held_out: Vec<u32> = steps[0].cases.iter().map(|case| case.user).collect();
    assert!(recommender.learnt.iter().all(|(user, _)| !held_out.contains(user)));
    let histories: Vec<u32> = steps.iter().map(|step| step.cases[0].history()).collect();
    assert_eq!(histories, [0, 1, 2, 5, 10, 11]);
    assert_eq!(steps[3].cases[0].had, 6..11);
    for step in &steps {
        for (case, first) in step.cases.iter().zip(&steps[0].cases) {
            assert_eq!((case.user, &case.relevant), (first.user, &first.relevant));
            assert_eq!(case.list, first.list, "the candidates are the same");
            assert!(case.relevant.len() == 5);
        }
    }
    let copies = recommender.copies.lock().unwrap();
    let asked: Vec<&Vec<u32>> =
        copies.iter().filter(|(user, _)| *user == held_out[0]).map(|(_, items)| items).collect();
    assert_eq!(asked.iter().map(|items| items.len()).collect::<Vec<_>>(), [0, 1, 2, 5, 10, 11]);
    let before = &data_items(&data, held_out[0])[..11];
    assert_eq!((&asked[3][..], &asked[5][..]), (&before[6..], before), "the last before the test");
}

fn data_items(data: &Dataset, user: u32) -> Vec<u32> {
    data.rows.iter().filter(|row| row.user == user).map(|row| row.item).collect()
}

#[test]
fn short_histories_get_a_shorter_plan() {
    let mut builder = DatasetBuilder::default();
    for user in 0..300 {
        for step in 0..4 {
            let at = Timestamp::from_seconds(step);
            builder.add_interaction(&user.to_string(), &step.to_string(), 5.0, at);
        }
    }
    let plan = ColdStart::of(&builder.build(), &task(3));
    let golden = [Step::Events(0), Step::Events(1), Step::Events(2), Step::Warm];
    assert_eq!((plan.steps.as_slice(), plan.tests_per_user), (&golden[..], 1));
}

#[test]
fn protocols_are_found_by_their_names() {
    for protocol in Protocol::ALL {
        assert_eq!(Protocol::from_name(protocol.name()), Some(protocol));
    }
    assert_eq!(Protocol::from_name("random"), None);
}
