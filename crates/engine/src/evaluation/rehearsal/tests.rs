//! Lists and logged positions whose figures are known.

use crate::domain::Settings;
use crate::domain::Timestamp;
use crate::evaluation::off_policy::Estimator;
use crate::evaluation::off_policy::Warning;
use crate::evaluation::rehearsal::estimate::LoggedPosition;
use crate::evaluation::rehearsal::facts::ItemFacts;
use crate::evaluation::rehearsal::facts::NONE;
use crate::evaluation::rehearsal::*;
use crate::state::View;

/// Topics and sources by number: the first has none.
const RED: u32 = 2;

fn item(key: u64, topic: u32) -> ItemFacts {
    ItemFacts {
        key,
        reward: key as f64 / 100.0,
        topics: vec![topic],
        source: topic,
        is_in_catalogue: key < 100,
        is_new: key.is_multiple_of(2),
        is_popular: key < 3,
    }
}

fn list(items: &[(u64, u32)]) -> ListFacts {
    let items = items.iter().map(|&(key, topic)| item(key, topic)).collect();
    ListFacts { items, similarity: None }
}

fn figures(pairs: &[(u32, ListFacts, ListFacts)]) -> Figures {
    let view = View::new(Settings::default());
    let mut lists = Lists::default();
    pairs.iter().for_each(|(user, now, proposed)| lists.add(*user, now, proposed));
    assert_eq!(lists.len(), pairs.len() as u64);
    lists.figures(&Facts::new(&view, Timestamp::default()))
}

#[test]
fn lists_that_stay_the_same_change_nothing() {
    let one = list(&[(1, NONE), (2, RED)]);
    let found = figures(&[(0, one.clone(), one.clone()), (1, one.clone(), one)]);
    assert_eq!((found.changed_positions.point, found.changed_lists.point), (0.0, 0.0));
    assert_eq!((found.overlap.point, found.rank_change.point), (1.0, 0.0));
    assert_eq!(found.expected_reward.difference.point, 0.0);
    assert!(verdict(&found, None).starts_with("None of 2 lists would change."));
}

#[test]
fn differences_are_counted_by_position_and_by_item() {
    // The second and the third swap; the fourth goes, a new one comes; the fifth has no successor.
    let now = list(&[(1, NONE), (2, NONE), (3, NONE), (4, NONE), (5, NONE)]);
    let proposed = list(&[(1, NONE), (3, NONE), (2, NONE), (200, NONE)]);
    let same = list(&[(1, NONE)]);
    let found = figures(&[(0, now, proposed), (1, same.clone(), same)]);
    assert_eq!(found.changed_positions.point, 4.0 / 6.0);
    assert_eq!(found.changed_lists.point, 0.5);
    assert_eq!(found.overlap.point, (3.0 / 5.0 + 1.0) / 2.0);
    assert_eq!(found.rank_change.point, 2.0 / 4.0);
    assert_eq!((found.length.now, found.length.proposed), (3.0, 2.5));
    assert_eq!(found.distinct_items, [5, 4]);
    // Item 200 is not of the catalogue, which is empty here.
    assert_eq!(found.coverage, [5.0, 3.0]);
    assert_eq!((found.new_items.now, found.new_items.proposed), (2.0 / 6.0, 2.0 / 5.0));
    assert_eq!((found.popular_items.now, found.popular_items.proposed), (3.0 / 6.0, 3.0 / 5.0));
}

#[test]
fn exposure_is_told_by_the_largest_changes_and_adds_up() {
    // Thirty labels of one position each; 2 gives its position to 3.
    let labels: Vec<u32> = (0..30).map(|number| RED + number).collect();
    let view = View::new(Settings::default());
    let mut facts = Facts::new(&view, Timestamp::default());
    for label in &labels {
        assert_eq!(facts.topics.number(&format!("topic {label}")), *label);
    }
    let now: Vec<(u64, u32)> = (0..).zip(labels.iter().copied()).collect();
    let proposed: Vec<(u64, u32)> =
        now.iter().map(|&(key, label)| (key, if label == RED { RED + 1 } else { label })).collect();
    let mut lists = Lists::default();
    lists.add(0, &list(&now), &list(&proposed));
    let found = lists.figures(&facts).by_topic;
    assert_eq!(found.labels.len(), 20);
    let names: Vec<_> = found.labels[..2].iter().map(|label| label.name.as_deref()).collect();
    assert_eq!(names, [Some("topic 2"), Some("topic 3")]);
    assert_eq!(found.labels[1].proposed, 2.0 / 30.0);
    let sum = |side: fn(&LabelShare) -> f64| found.labels.iter().map(side).sum::<f64>();
    assert!((sum(|it| it.now) + found.rest[0] - 1.0).abs() < 1e-12);
    assert!((sum(|it| it.proposed) + found.rest[1] - 1.0).abs() < 1e-12);
}

#[test]
fn one_user_has_no_interval_and_several_have_one_by_user() {
    let (a, b) = (list(&[(1, NONE)]), list(&[(2, NONE)]));
    let one = figures(&[(0, a.clone(), b.clone()), (0, a.clone(), a.clone())]);
    assert_eq!(one.changed_positions.point, 0.5);
    assert!(one.changed_positions.low.is_nan() && one.expected_reward.difference.low.is_nan());
    // Half of the users have only changed lists: many lists of each say no more than one.
    let pairs = (0..40).flat_map(|user| {
        let proposed = if user % 2 == 0 { b.clone() } else { a.clone() };
        std::iter::repeat_n((user, a.clone(), proposed), 10)
    });
    let many = figures(&pairs.collect::<Vec<_>>());
    let Figures { changed_positions: found, .. } = &many;
    // Standard error of 40 fair coins: .079.
    assert!((0.3..0.38).contains(&found.low) && (0.62..0.7).contains(&found.high), "{found:?}");
    let gain = many.expected_reward.difference;
    assert!((gain.point - 0.005).abs() < 1e-12 && gain.low > 0.003, "{gain:?}");
    assert!(verdict(&many, None).contains("50.0 % would change"), "{}", verdict(&many, None));
}

/// Positions of 300 users: of two items one pays, each was shown with this probability.
fn estimate(propensity: f64, targets: impl Fn(bool) -> [f64; 2]) -> RewardEstimate {
    let mut rounds = Rounds::default();
    for user in 0..300 {
        let pays = f64::from(user % 10) < 10.0 * propensity;
        let (reward, propensity) =
            if pays { (1.0, propensity) } else { (0.0, (1.0 - propensity).max(1e-3)) };
        let item = u64::from(pays);
        let targets = targets(pays);
        rounds.add(&LoggedPosition { item, position: 0, user, reward, propensity, targets });
    }
    rounds.estimate().expect("there are positions")
}

#[test]
fn a_configuration_that_shows_what_pays_more_often_earns_more() {
    let found = estimate(0.5, |pays| if pays { [0.5, 0.9] } else { [0.5, 0.1] });
    assert_eq!((found.positions, found.users, found.certain), (300, 300, 0.0));
    assert_eq!((found.logged.value, found.now.value), (0.5, 0.5));
    let snips = found.proposed.iter().find(|it| it.estimator == Estimator::Snips).unwrap();
    assert!((snips.value.value - 0.9).abs() < 1e-9 && (snips.lift - 0.4).abs() < 1e-9);
    assert!(found.difference.low > 0.3 && found.is_supported(), "{found:?}");
    let view = figures(&[(0, list(&[(1, NONE)]), list(&[(2, NONE)]))]);
    let text = verdict(&view, Some(&found));
    assert!(text.contains("it would earn more: 0.9000 of a position instead of 0.5000"), "{text}");
}

#[test]
fn a_configuration_that_changes_nothing_earns_what_was_earned() {
    let found = estimate(0.3, |pays| [if pays { 0.3 } else { 0.7 }; 2]);
    let snips = found.proposed[0];
    assert!((snips.value.value - found.logged.value).abs() < 1e-12);
    assert!(snips.lift.abs() < 1e-12 && found.difference.point.abs() < 1e-12);
    assert_eq!((found.difference.low, found.difference.high), (0.0, 0.0));
    assert!((found.effective_sample_size - 300.0).abs() < 1e-6 && found.warnings.is_empty());
}

#[test]
fn a_log_without_chance_cannot_say_what_another_configuration_earns() {
    let found = estimate(1.0, |_| [1.0, 0.2]);
    assert_eq!(found.certain, 1.0);
    assert!(!found.is_supported(), "{found:?}");
    assert!(matches!(found.warnings[0], Warning::SeemsUnsupported { .. }), "{found:?}");
    let text = verdict(&figures(&[(0, list(&[]), list(&[]))]), Some(&found));
    assert!(text.contains("The log cannot say") && text.contains("explores"), "{text}");
    let none = estimate(1.0, |_| [1.0, 0.0]);
    assert!(!none.is_supported() && none.difference.point.is_nan());
    // And it can say what the same lists earn.
    assert!(estimate(1.0, |_| [1.0, 1.0]).is_supported());
}

#[test]
fn without_logged_positions_there_is_no_estimate() {
    assert!(Rounds::default().estimate().is_none());
    let mut rounds = Rounds::default();
    let impossible = LoggedPosition {
        item: 1,
        position: 0,
        user: 0,
        reward: 1.0,
        propensity: 0.0,
        targets: [1.0; 2],
    };
    rounds.add(&impossible);
    assert!(rounds.estimate().is_none());
}
