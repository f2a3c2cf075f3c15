//! Each protocol on data small enough to follow by hand.

use super::*;
use crate::evaluation::DatasetBuilder;
use crate::evaluation::Row;

/// Gives fixed scores and notes what it was told.
#[derive(Default)]
struct Scripted {
    scores: Vec<f32>,
    learnt: Vec<(u32, u32)>,
    learnt_at_training: Option<usize>,
    asked: Vec<(u32, i64, usize)>,
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

    fn score(&mut self, user: u32, now: Timestamp, scores: &mut [f32]) {
        self.asked.push((user, now.as_millis() / 1_000, self.learnt.len()));
        for (to, from) in scores.iter_mut().zip(&self.scores) {
            *to = *from;
        }
    }
}

/// Rows (user, item, value); their second is their place.
fn dataset(rows: &[(u32, u32, f32)]) -> Dataset {
    let mut builder = DatasetBuilder::default();
    for item in 0..6 {
        let item = crate::evaluation::DatasetItem { id: item.to_string(), ..Default::default() };
        builder.add_item(item).unwrap();
    }
    for user in 0..3 {
        builder.add_user(&user.to_string(), Default::default()).unwrap();
    }
    for (second, (user, item, value)) in (0..).zip(rows) {
        let at = Timestamp::from_seconds(second);
        builder.add_interaction(&user.to_string(), &item.to_string(), *value, at);
    }
    builder.build()
}

fn ignore(_: u64, _: u64) {}

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
    let cases = temporal(&data, 4.0, 2, &mut recommender, &mut ignore);
    assert_eq!(cases, [ListCase { user: 0, list: vec![3, 4], relevant: vec![4] }]);
    assert_eq!(recommender.learnt_at_training, Some(8));
    assert_eq!(recommender.asked, [(0, 8, 8)], "now is the user's first test row");
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
    let cases = leave_last_out(&data, 4.0, 4, &mut recommender, &mut ignore);
    assert_eq!(cases, [ListCase { user: 0, list: vec![2, 3], relevant: vec![2] }]);
    assert_eq!(recommender.learnt, [(0, 0), (0, 1), (2, 4)]);
    assert_eq!(recommender.learnt_at_training, Some(3));
    assert_eq!(recommender.asked, [(0, 3, 3)]);
}

#[test]
fn a_last_positive_that_was_seen_before_is_no_test() {
    let data = dataset(&[(0, 0, 5.0), (0, 1, 5.0), (0, 0, 5.0)]);
    let mut recommender = Scripted::new(&[1.0; 6]);
    assert!(leave_last_out(&data, 4.0, 2, &mut recommender, &mut ignore).is_empty());
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
    let cases = prequential(&data, 4.0, &mut recommender, &mut ignore);
    let golden = [
        EventCase { user: 0, rank: 1, warm: false },
        // Behind item 5 and, by index, item 1.
        EventCase { user: 1, rank: 3, warm: false },
        // Item 5 is no candidate any more; items 1 and 2 win by index.
        EventCase { user: 0, rank: 3, warm: true },
    ];
    assert_eq!(cases, golden);
    assert_eq!(recommender.learnt, [(0, 5), (1, 2), (0, 3), (0, 3)]);
    assert_eq!(recommender.asked, [(0, 0, 0), (1, 2, 1), (0, 3, 2)]);
    assert_eq!(recommender.learnt_at_training, None);
}

#[test]
fn scores_that_are_not_finite_rank_last_and_never_push_others_down() {
    let scores = [f32::INFINITY, f32::NAN, 1.0, f32::NEG_INFINITY, 2.0];
    assert_eq!(rank_of(4, &scores, 5), 1);
    assert_eq!(rank_of(2, &scores, 5), 2);
    for diverged in [0, 1, 3] {
        assert_eq!(rank_of(diverged, &scores, 5), 5);
    }
    assert_eq!(rank_of(0, &[f32::NAN; 7], 7), 7, "a diverged model once won by its ties");
    assert_eq!(best(3, &scores), [4, 2]);
}

#[test]
fn a_recommender_that_leaves_scores_unset_gets_the_last_rank_for_them() {
    let data = dataset(&[(0, 4, 5.0), (0, 0, 5.0)]);
    let mut recommender = Scripted::new(&[1.0]);
    let ranks: Vec<u32> = prequential(&data, 4.0, &mut recommender, &mut ignore)
        .iter()
        .map(|case| case.rank)
        .collect();
    assert_eq!(ranks, [6, 1]);
}

#[test]
fn progress_ends_at_its_total() {
    let data = dataset(&[(0, 0, 5.0), (0, 1, 5.0)]);
    let mut last = (0, 1);
    leave_last_out(&data, 4.0, 1, &mut Scripted::new(&[0.0; 6]), &mut |done, total| {
        last = (done, total);
    });
    assert_eq!(last, (3, 3));
    prequential(&data, 4.0, &mut Scripted::new(&[0.0; 6]), &mut |done, total| last = (done, total));
    assert_eq!(last, (2, 2));
}

#[test]
fn an_empty_data_set_has_no_cases() {
    let data = Dataset::default();
    let mut recommender = Scripted::new(&[]);
    assert!(temporal(&data, 4.0, 10, &mut recommender, &mut ignore).is_empty());
    assert!(leave_last_out(&data, 4.0, 10, &mut recommender, &mut ignore).is_empty());
    assert!(prequential(&data, 4.0, &mut recommender, &mut ignore).is_empty());
}

#[test]
fn protocols_are_found_by_their_names() {
    for protocol in Protocol::ALL {
        assert_eq!(Protocol::from_name(protocol.name()), Some(protocol));
    }
    assert_eq!(Protocol::from_name("random"), None);
}
