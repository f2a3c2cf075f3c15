//! Figures of a few cases that can be followed by hand.

use crate::domain::Timestamp;
use crate::evaluation::Dataset;
use crate::evaluation::DatasetBuilder;
use crate::evaluation::DatasetItem;
use crate::evaluation::summary::*;

/// Ten items, the even ones of one topic and the odd ones of another; users 0 to 9.
/// Item 0 has half of the positives.
fn dataset() -> Dataset {
    let mut builder = DatasetBuilder::default();
    for item in 0..10 {
        let topics = vec![["even", "odd"][item % 2].to_owned()];
        let item = DatasetItem { id: item.to_string(), topics, ..Default::default() };
        builder.add_item(item).unwrap();
    }
    for user in 0..10 {
        let item = if user < 5 { 0 } else { user };
        let at = Timestamp::from_seconds(user);
        builder.add_interaction(&user.to_string(), &item.to_string(), 1.0, at);
    }
    builder.build()
}

fn facts() -> Facts {
    Facts::new(&dataset(), 1.0, |_| true)
}

fn point(figures: &ModelFigures, metric: &str, subset: Subset) -> f64 {
    figures.find(metric, subset).unwrap().point
}

fn list(user: u32, history: u32, list: &[u32], relevant: &[u32]) -> Case {
    Case {
        user,
        had: 0..history,
        list: list.to_vec(),
        expected: vec![0],
        relevant: relevant.to_vec(),
        rank: None,
    }
}

fn event(user: u32, rank: u32, history: u32) -> Case {
    Case { rank: Some(rank), ..list(user, history, &[5, 1], &[1]) }
}

#[test]
fn figures_of_lists_are_means_over_users_and_coverage_has_no_interval() {
    let hit = vec![list(3, 1, &[5, 1], &[1]), list(8, 1, &[5, 2], &[0])];
    let miss = vec![list(3, 1, &[5, 2], &[1]), list(8, 1, &[5, 2], &[0])];
    let summary = summarize(&[("a".into(), hit), ("b".into(), miss)], &[1, 2], &facts(), 1);
    let figures = &summary.models[0];
    assert_eq!((summary.users, summary.cases), (2, 2));
    assert_eq!(point(figures, "Recall@1", Subset::All), 0.0);
    assert_eq!(point(figures, "Recall@2", Subset::All), 0.5);
    assert_eq!(point(figures, "MRR@2", Subset::All), 0.25);
    assert_eq!(point(figures, "MAP@2", Subset::All), 0.25);
    assert_eq!(point(figures, "Coverage@2", Subset::All), 0.3);
    let is_whole = |figure: &Figure| {
        figure.metric.starts_with("Coverage") || figure.metric.starts_with("Gini")
    };
    assert!(figures.figures.iter().all(|figure| figure.low.is_some() != is_whole(figure)));
    let gain = &summary.comparisons[0];
    assert_eq!((gain.model.as_str(), gain.baseline.as_str()), ("a", "b"));
    let difference =
        |metric: &str| gain.figures.iter().find(|figure| figure.metric == metric).unwrap().point;
    assert_eq!((difference("Recall@2"), difference("Recall@1")), (0.5, 0.0));
}

#[test]
fn figures_beyond_accuracy_look_at_the_list_the_taste_and_popularity() {
    // User 0 had item 0, an even one; user 7 had item 7, an odd one.
    let cases = vec![list(0, 1, &[2, 4], &[4]), list(7, 1, &[1, 2], &[1])];
    let summary = summarize(&[("a".into(), cases)], &[2], &facts(), 1);
    let figures = &summary.models[0];
    // Two even items are alike, an even and an odd one are not.
    assert_eq!(point(figures, "Diversity@2", Subset::All), 0.5);
    // One of two positions each is a find that popularity (item 0) does not list.
    assert_eq!(point(figures, "Serendipity@2", Subset::All), 0.5);
    // Each listed item has at most one of the 10 positives.
    assert!((point(figures, "Novelty@2", Subset::All) - 10.0_f64.log2()).abs() < 1e-12);
    // The first list has the taste; the second half of it: ln(1 / (.99 / 2 + .01)) / 2.
    let golden = (1.0_f64 / 0.505).ln() / 2.0;
    assert!((point(figures, "Calibration error@2", Subset::All) - golden).abs() < 1e-12);
}

#[test]
fn segments_are_of_users_by_history_and_of_relevant_items_by_popularity() {
    let cases =
        vec![list(1, 5, &[0, 3], &[0]), list(2, 6, &[4, 3], &[0, 3]), list(3, 51, &[4, 3], &[5])];
    let summary = summarize(&[("a".into(), cases)], &[2], &facts(), 1);
    let figures = &summary.models[0];
    let recall = |subset| point(figures, "Recall@2", subset);
    assert_eq!([recall(Subset::NewUsers), recall(Subset::WarmUsers)], [1.0, 0.5]);
    assert_eq!(recall(Subset::HeavyUsers), 0.0);
    // Item 0 is the head: found for user 1, not for user 2. Of the tail 3 is found.
    assert_eq!([recall(Subset::HeadItems), recall(Subset::TailItems)], [0.5, 0.5]);
    assert_eq!(figures.find("Recall@2", Subset::TailItems).unwrap().n, 2);
}

#[test]
fn a_segment_without_cases_has_no_figures() {
    let summary = summarize(&[("a".into(), vec![list(1, 1, &[0], &[0])])], &[2], &facts(), 1);
    assert!(summary.models[0].find("NDCG@2", Subset::HeavyUsers).is_none());
}

#[test]
fn figures_of_events_are_means_over_events_and_over_warm_events() {
    let cases = vec![event(4, 1, 0), event(9, 4, 0), event(4, 2, 1), event(4, 8, 2)];
    let summary = summarize(&[("a".into(), cases)], &[2], &facts(), 1);
    let figures = &summary.models[0];
    assert_eq!((summary.users, summary.cases), (2, 4));
    assert_eq!(point(figures, "Hit@2", Subset::All), 0.5);
    assert_eq!(point(figures, "Hit@2", Subset::Warm), 0.5);
    // (1 + 1/4 + 1/2 + 1/8) / 4 and (1/2 + 1/8) / 2.
    assert_eq!(point(figures, "MRR", Subset::All), 0.46875);
    assert_eq!(point(figures, "MRR", Subset::Warm), 0.3125);
    assert_eq!(figures.find("MRR", Subset::Warm).unwrap().n, 2);
    assert!(summary.comparisons.is_empty());
}
