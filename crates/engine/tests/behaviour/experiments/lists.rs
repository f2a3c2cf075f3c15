//! Experiments that divide lists: two rankings in turns, and a variant drawn for each list.

use super::a_day_passes;
use super::user;
use super::world;
use crate::harness::Answer;
use crate::harness::Ask;
use crate::harness::Event;
use crate::harness::ExperimentAdvice as Advice;
use crate::harness::Kind;
use crate::harness::Plans;
use crate::harness::RankerSettings;
use crate::harness::Settings;
use crate::harness::Split;
use crate::harness::Strategy;
use crate::harness::World;

/// Users of an interleaved experiment who click on what they like; what they like is said by item.
fn visits_in_turns(
    world: &mut World,
    users: std::ops::Range<usize>,
    ask: impl Fn(&str) -> Ask,
    likes: impl Fn(&str) -> bool,
) -> Vec<Answer> {
    let mut answers = Vec::new();
    for number in users {
        let answer = world.decide_in_experiments(ask(&user(number)));
        let liked: Vec<String> = answer.items().into_iter().filter(|item| likes(item)).collect();
        for item in liked {
            if world.random.chance(0.3) {
                world.reacts(&answer, &item, Kind::Click);
            }
        }
        world.pass_seconds(20.0);
        answers.push(answer);
    }
    answers
}

/// A world in which some items are popular, and others are liked.
fn with_popular_items() -> World {
    let mut world = world();
    for visit in 0..40 {
        for item in ["item-1", "item-3", "item-5"] {
            world.like(&format!("early-{visit}"), item);
        }
    }
    world.pass_hours(1.0);
    world
}

#[test]
fn of_two_rankings_in_turns_the_one_with_the_items_that_users_like_is_preferred() {
    let mut world = with_popular_items();
    world.start(&Plans::new("turns").in_turns().planned(400));
    // The treatment shows what is popular, which users like; the control shows anything.
    world.set(Settings { epsilon: 1.0, ..world.settings() });
    let ask = |user: &str| {
        let all = Ask::of(user, 4).plain();
        all.clone().strategy(Strategy::EpsilonGreedy).against(all.popular_baseline())
    };
    let popular = ["item-1", "item-3", "item-5"];
    let answers = visits_in_turns(&mut world, 0..600, ask, |item| popular.contains(&item));
    let by_popular = answers.iter().flat_map(|answer| &answer.list);
    assert!(by_popular.filter(|one| one.by == 1).count() > 1_000);
    a_day_passes(&mut world);
    let results = world.results("turns");
    assert_eq!(results.exposed, [600, 600], "each user saw both");
    assert!(results.sample_ratio.is_empty());
    assert!(results.covered[0] == 10 && results.covered[1] <= 5, "{:?}", results.covered);
    let metric = &results.metrics[0];
    assert_eq!((metric.arms[0].units, metric.arms[1].units), (600, 600));
    let difference = metric.treatments[0].comparison.difference.unwrap();
    assert_eq!(results.verdict.advice, Advice::Ship(1), "{}", results.verdict.text);
    assert!(difference.interval.low > 0.0 && difference.interval.high <= 1.0, "{difference:?}");
    // A vote for each user, or none.
    let votes = metric.arms[0].nonzero + metric.arms[1].nonzero;
    assert!(votes <= 600 && metric.arms[1].nonzero > 2 * metric.arms[0].nonzero, "{metric:?}");
    assert_eq!(world.restored().results("turns"), results);
}

#[test]
fn no_preference_is_seen_between_a_ranking_and_itself() {
    let mut world = with_popular_items();
    world.start(&Plans::new("turns").in_turns().planned(400));
    let ask = |user: &str| Ask::of(user, 4).plain().against(Ask::of(user, 4).plain());
    visits_in_turns(&mut world, 0..600, ask, |_item| true);
    a_day_passes(&mut world);
    let results = world.results("turns");
    let comparison = &results.metrics[0].treatments[0].comparison;
    let difference = comparison.difference.unwrap();
    assert!(difference.interval.contains(0.0) && difference.value.abs() < 0.15, "{difference:?}");
    assert!(matches!(results.verdict.advice, Advice::GoOn | Advice::KeepControl));
}

#[test]
fn only_what_names_the_list_and_its_user_is_a_vote() {
    let mut world = world();
    world.start(&Plans::new("turns").in_turns());
    let ask = Ask::of("ada", 4).plain().against(Ask::of("ada", 4).plain());
    let answer = world.decide_in_experiments(ask);
    world.click("ada", &answer.items()[0]);
    world.happens(Event::of("bob", &answer.items()[0], Kind::Click).to(&answer));
    a_day_passes(&mut world);
    let counted = world.counted("turns");
    assert_eq!(counted, [(1, 0), (1, 0)], "a user with no vote");
}

/// Lists of an experiment whose allocation learns: clicked on with a chance by variant.
fn lists(world: &mut World, name: &str, count: usize, chances: [f64; 2]) -> [usize; 2] {
    let mut drawn = [0; 2];
    for number in 0..count {
        let answer = world.decide_in_experiments(Ask::of(&user(number), 3));
        let variant = world.drawn(&answer);
        drawn[variant] += 1;
        if world.random.chance(chances[variant]) {
            world.reacts(&answer, &answer.items()[0].clone(), Kind::Click);
        }
        world.pass_seconds(60.0);
    }
    assert!(world.is_running(name));
    drawn
}

#[test]
fn an_allocation_that_learns_gives_most_lists_to_the_better_variant_and_says_by_how_much() {
    let mut world = world();
    world.start(&Plans::new("learning").learning(0.1).planned(4_000));
    let drawn = lists(&mut world, "learning", 6_000, [0.1, 0.3]);
    assert!(drawn[1] > 4_500 && drawn[0] > 550, "{drawn:?}");
    world.pass_hours(2.0);
    world.impression("nobody", "item-0");
    let results = world.results("learning");
    assert_eq!(results.exposed.iter().sum::<u64>(), 6_000);
    assert!((results.chances[0] - 0.1).abs() < 0.01, "{:?}", results.chances);
    let arms = &results.metrics[0].arms;
    assert_eq!(arms[0].units + arms[1].units, 6_000, "all lists are settled");
    let difference = results.metrics[0].treatments[0].comparison.difference.unwrap();
    assert!((difference.value - 0.2).abs() < 0.05, "{difference:?}");
    assert!(difference.interval.low > 0.0 && difference.interval.contains(0.2), "{difference:?}");
    assert_eq!(results.verdict.advice, Advice::Ship(1), "{}", results.verdict.text);
    let restored = world.restored();
    assert_eq!(restored.results("learning"), results);
    assert_eq!(restored.digest(), world.digest());
}

#[test]
fn equal_variants_are_not_called_although_the_chances_follow_luck() {
    let mut world = world();
    world.start(&Plans::new("learning").learning(0.05));
    lists(&mut world, "learning", 4_000, [0.2, 0.2]);
    let results = world.results("learning");
    let difference = results.metrics[0].treatments[0].comparison.difference.unwrap();
    assert!(difference.interval.contains(0.0), "{difference:?}");
    assert!(!results.metrics[0].treatments[0].is_called);
}

#[test]
fn a_later_page_has_the_variant_of_the_first_and_is_no_list_of_its_own() {
    let mut world = world();
    world.start(&Plans::new("learning").learning(0.1));
    for number in 0..40 {
        let first = world.decide_in_experiments(Ask::of(&user(number), 3));
        let second = world.decide_in_experiments(Ask::of(&user(number), 3).after(&first));
        let third = world.decide_in_experiments(Ask::of(&user(number), 3).after(&second));
        let drawn = [&first, &second, &third].map(|page| world.drawn(page));
        assert!(drawn.iter().all(|one| *one == drawn[0]), "{drawn:?}");
        world.reacts(&second, &second.items()[0].clone(), Kind::Click);
    }
    world.pass_hours(2.0);
    world.impression("nobody", "item-0");
    let counted = world.counted("learning");
    assert_eq!(counted[0].0 + counted[1].0, 40);
    assert_eq!(counted[0].1 + counted[1].1, 0, "a click on a later page is not one of the list");
}

#[test]
fn lists_that_are_waited_for_delay_no_trial_of_the_takeover() {
    let mut world = world();
    world.start(&Plans::new("learning").learning(0.1));
    world.decide_in_experiments(Ask::of("ada", 3));
    world.decide(Ask::of("bob", 3).popular_baseline());
    world.pass_hours(0.6);
    world.impression("nobody", "item-0");
    assert_eq!(world.baseline_outcome().0, 1, "half an hour is over");
    assert!(world.counted("learning").iter().all(|arm| arm.0 == 0), "an hour is not");
    world.pass_hours(0.6);
    world.impression("nobody", "item-0");
    assert_eq!(world.counted("learning").iter().map(|arm| arm.0).sum::<u64>(), 1);
}

#[test]
fn the_end_waits_for_lists_that_wait_for_those_of_another_experiment() {
    let mut world = world();
    // Each has half of the users of the layer; the lists of one are waited for a day.
    world.start(&Plans::new("slow").learning(0.1).share(0.5).within_hours(24));
    world.start(&Plans::new("short").learning(0.1).share(0.5).ends_in_hours(&world, 1.0));
    (0..20).for_each(|number| drop(world.decide_in_experiments(Ask::of(&user(number), 3))));
    world.pass_hours(4.0);
    world.impression("nobody", "item-0");
    assert!(world.is_running("short"));
    world.pass_hours(24.0);
    (0..2).for_each(|_| world.impression("nobody", "item-0"));
    assert!(!world.is_running("short"));
    let (results, counted) = (world.results("short"), world.counted("short"));
    let lists = results.exposed.iter().sum::<u64>();
    assert!(lists > 0 && counted[0].0 + counted[1].0 == lists, "{results:?}");
}

#[test]
fn lists_that_are_forgotten_before_their_window_is_over_are_counted() {
    for plans in [Plans::new("lists").learning(0.1), Plans::new("lists").in_turns()] {
        let mut world = world();
        let ranker = RankerSettings { credit_megabytes: 1, ..world.settings().ranker };
        world.set(Settings { ranker, ..world.settings() });
        let is_in_turns = plans.0.split == Split::Interleaved;
        world.start(&plans);
        let list = |world: &mut World, number: usize| {
            let ask = Ask::of(&user(number), 4).plain();
            let ask = if is_in_turns { ask.clone().against(ask) } else { ask };
            world.decide_in_experiments(ask);
        };
        (0..50).for_each(|number| list(&mut world, number));
        assert_eq!(world.cut_short("lists"), 0);
        (50..4_000).for_each(|number| list(&mut world, number));
        let cut_short = world.cut_short("lists");
        assert!(cut_short > 100, "{cut_short} {is_in_turns}");
        // What is forgotten in its time is not.
        (0..3).for_each(|_| a_day_passes(&mut world));
        assert_eq!(world.cut_short("lists"), cut_short);
        assert_eq!(world.restored().digest(), world.digest());
    }
}

#[test]
fn lists_that_are_drawn_give_no_variant_to_who_only_asks() {
    let mut world = world();
    world.start(&Plans::new("learning").learning(0.1).layer("one").tester("tess", 1));
    assert_eq!(world.variant("ada", "learning"), None);
    assert_eq!(world.variant("tess", "learning"), Some(1));
    let answer = world.decide_in_experiments(Ask::of("tess", 3));
    world.reacts(&answer, &answer.items()[0].clone(), Kind::Click);
    world.pass_hours(2.0);
    world.impression("nobody", "item-0");
    assert!(world.counted("learning").iter().all(|arm| *arm == (0, 0)), "testers are not measured");
}
