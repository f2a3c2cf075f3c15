//! Experiments: users get one variant for good, are counted once and after their window, and what
//! comes out is what was planted.

mod backfill;
mod lists;
mod metrics;

use crate::harness::Ask;
use crate::harness::Cap;
use crate::harness::DAY;
use crate::harness::Described;
use crate::harness::Event;
use crate::harness::ExperimentAdvice as Advice;
use crate::harness::Kind;
use crate::harness::Plans;
use crate::harness::SetFor;
use crate::harness::Strategy;
use crate::harness::World;

fn world() -> World {
    let mut world = World::new();
    for item in 0..10 {
        world.add(Described::new(&format!("item-{item}")).topic(["a", "b"][item % 2]));
    }
    world
}

fn user(number: usize) -> String {
    format!("user-{number}")
}

/// New users visit, a few each minute; each does something, by variant, within the hour.
fn live(
    world: &mut World,
    users: std::ops::Range<usize>,
    name: &str,
    chances: [f64; 2],
    kind: Kind,
) {
    for number in users {
        let user = user(number);
        world.visits(&user);
        world.pass_seconds(20.0);
        let Some(variant) = world.variant(&user, name) else { continue };
        if world.random.chance(chances[variant]) {
            world.happens(Event::of(&user, "item-1", kind));
        }
    }
}

/// A day on which nobody comes, and a record after it.
fn a_day_passes(world: &mut World) {
    world.pass_hours(DAY + 1.0);
    world.impression("nobody", "item-0");
}

#[test]
fn the_better_variant_is_to_be_shipped_and_a_variant_that_changes_nothing_is_not() {
    let mut world = world();
    world.start(&Plans::new("better").layer("one").planned(4_000));
    world.start(&Plans::new("same").layer("two").planned(4_000));
    for number in 0..4_000 {
        let user = user(number);
        world.visits(&user);
        let variant = world.variant(&user, "better").unwrap();
        if world.random.chance([0.2, 0.3][variant]) {
            world.click(&user, "item-1");
        }
        world.pass_seconds(5.0);
    }
    a_day_passes(&mut world);
    // A record completes a bounded number of units.
    for _ in 0..5 {
        world.impression("nobody", "item-0");
    }
    let (advice, text) = world.advice("better");
    assert_eq!(advice, Advice::Ship(1), "{text}");
    assert!(text.contains("treatment is better") && text.contains("Ship treatment"), "{text}");
    let results = world.results("better");
    let lift = results.metrics[0].treatments[0].comparison.lift.unwrap();
    assert!(lift.interval.contains(0.5), "{lift:?}");
    let (advice, text) = world.advice("same");
    assert_eq!(advice, Advice::KeepControl, "{text}");
    assert!(text.contains("no difference is shown"), "{text}");
}

#[test]
fn a_user_counts_once_and_only_when_the_window_is_over() {
    let mut world = world();
    world.start(&Plans::new("clicks"));
    world.click("ada", "item-1");
    world.pass_seconds(10.0);
    world.visits("ada");
    world.pass_hours(2.0);
    world.visits("ada");
    world.click("ada", "item-2");
    world.click("ada", "item-3");
    assert_eq!(world.counted("clicks"), [(0, 0), (0, 0)], "her day is not over");
    assert_eq!(world.results("clicks").exposed.iter().sum::<u64>(), 1);
    a_day_passes(&mut world);
    let variant = world.variant("ada", "clicks").unwrap();
    assert_eq!(world.counted("clicks")[variant], (1, 1));
    assert_eq!(world.counted("clicks")[1 - variant], (0, 0));
}

#[test]
fn what_is_before_the_exposure_and_after_the_window_does_not_count() {
    let mut world = world();
    world.start(&Plans::new("clicks"));
    world.click("before", "item-1");
    world.pass_seconds(10.0);
    for user in ["before", "after"] {
        world.visits(user);
    }
    world.pass_hours(DAY + 0.5);
    world.click("after", "item-1");
    let late = Event::of("after", "item-2", Kind::Click).at(world.in_hours(-1.0));
    world.happens(late);
    world.impression("nobody", "item-0");
    let counted = world.counted("clicks");
    let (units, clicked) = (counted[0].0 + counted[1].0, counted[0].1 + counted[1].1);
    assert_eq!((units, clicked), (2, 0), "the late event came after the wait for late events");
}

#[test]
fn a_share_that_rises_moves_no_user_and_layers_keep_experiments_apart() {
    let mut world = world();
    world.start(&Plans::new("one").share(0.2));
    world.start(&Plans::new("other").share(0.3));
    world.start(&Plans::new("elsewhere").layer("second").share(0.5));
    let users: Vec<String> = (0..2_000).map(user).collect();
    let of = |world: &World, name: &str| -> Vec<Option<usize>> {
        users.iter().map(|user| world.variant(user, name)).collect()
    };
    let (one, other) = (of(&world, "one"), of(&world, "other"));
    assert!(one.iter().zip(&other).all(|(a, b)| a.is_none() || b.is_none()));
    let share = |variants: &[Option<usize>]| {
        variants.iter().flatten().count() as f64 / variants.len() as f64
    };
    assert!((share(&one) - 0.2).abs() < 0.03 && (share(&other) - 0.3).abs() < 0.03);
    world.ramp("one", 0.7);
    let raised = of(&world, "one");
    assert!((share(&raised) - 0.7).abs() < 0.03, "{}", share(&raised));
    assert!(one.iter().zip(&raised).all(|(before, after)| before.is_none() || before == after));
    assert_eq!(of(&world, "other"), other);
    // Of another layer nothing follows.
    let both =
        raised.iter().zip(of(&world, "elsewhere")).filter(|(a, b)| a.is_some() && b.is_some());
    let both = both.count() as f64 / users.len() as f64;
    assert!((both - 0.35).abs() < 0.03, "{both}");
}

#[test]
fn a_user_who_was_exposed_keeps_the_variant_when_eligibility_and_merges_change_the_hash() {
    let mut world = world();
    world.start(&Plans::new("clicks"));
    let apart = (0..100).map(|number| (format!("visit-{number}"), user(number)));
    let mut apart = apart
        .filter(|(visit, user)| world.variant(visit, "clicks") != world.variant(user, "clicks"));
    let (visit, account) = apart.next().unwrap();
    world.visits(&visit);
    let kept = world.variant(&visit, "clicks");
    world.pass_hours(1.0);
    world.visits(&account);
    world.merge(&visit, &account);
    assert_eq!(world.variant(&account, "clicks"), kept, "what was exposed first");
    world.click(&account, "item-1");
    a_day_passes(&mut world);
    let counted = world.counted("clicks");
    assert_eq!(counted[kept.unwrap()], (1, 1), "{counted:?}");
    assert_eq!(counted[0].0 + counted[1].0, 1, "one person");
}

#[test]
fn what_either_id_of_a_user_did_within_the_window_counts_once_they_are_merged() {
    let mut world = world();
    world.start(&Plans::new("clicks"));
    world.visits("visit");
    world.pass_hours(1.0);
    world.visits("account");
    world.click("account", "item-1");
    let first = world.variant("visit", "clicks").unwrap();
    world.merge("visit", "account");
    a_day_passes(&mut world);
    let counted = world.counted("clicks");
    assert_eq!((counted[first], counted[1 - first]), ((1, 1), (0, 0)));
}

#[test]
fn a_user_of_two_ids_stays_in_one_experiment_of_a_layer() {
    let mut world = world();
    world.start(&Plans::new("one").share(0.5));
    world.start(&Plans::new("other").share(0.5));
    let of = |name: &str| (0..100).map(user).find(|user| world.variant(user, name).is_some());
    let (visit, account) = (of("one").unwrap(), of("other").unwrap());
    world.visits(&visit);
    world.pass_hours(1.0);
    world.visits(&account);
    world.merge(&visit, &account);
    let kept = world.visits(&account);
    assert_eq!(kept.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["one"]);
    a_day_passes(&mut world);
    let units = |name: &str| world.counted(name).iter().map(|arm| arm.0).sum::<u64>();
    assert_eq!((units("one"), units("other")), (1, 0));
}

#[test]
fn an_exposed_user_who_becomes_a_tester_is_measured_no_more() {
    let mut world = world();
    let plans = Plans::new("clicks");
    world.start(&plans);
    world.visits("ada");
    let buckets = world.experiment("clicks").experiment.buckets.clone();
    let mut changed = plans.tester("ada", 0).0;
    (changed.buckets, changed.state) = (buckets, world.experiment("clicks").experiment.state);
    world.put_experiment(changed);
    world.click("ada", "item-1");
    a_day_passes(&mut world);
    assert_eq!(world.counted("clicks"), [(0, 0), (0, 0)]);
}

#[test]
fn a_harmed_guardrail_stops_the_experiment_at_one_record_and_frees_its_users() {
    let mut world = world();
    world.start(&Plans::new("loud").guarded_by_hides(0.1).planned(2_000));
    let mut stopped_at = None;
    for number in 0..6_000 {
        let user = user(number);
        world.visits(&user);
        world.pass_seconds(60.0);
        if let Some(variant) = world.variant(&user, "loud") {
            if world.random.chance([0.05, 0.15][variant]) {
                world.hide(&user, "item-1");
            }
        } else {
            stopped_at = Some(number);
            break;
        }
    }
    assert!(stopped_at.is_some_and(|number| number > 1_500), "{stopped_at:?}");
    assert!(!world.is_running("loud"));
    let (advice, text) = world.advice("loud");
    assert_eq!(advice, Advice::KeepControl, "{text}");
    assert!(text.contains("harms the guardrail hides"), "{text}");
    world.start(&Plans::new("next"));
    assert!(world.variant("user-1", "next").is_some(), "the layer is free again");
}

#[test]
fn a_guardrail_that_is_not_harmed_stops_nothing() {
    let mut world = world();
    world.start(&Plans::new("quiet").guarded_by_hides(0.1).planned(2_000));
    live(&mut world, 0..2_500, "quiet", [0.1, 0.1], Kind::Hide);
    assert!(world.is_running("quiet"));
}

#[test]
fn results_are_the_same_from_a_snapshot_and_go_on_from_there() {
    let mut world = world();
    world.start(&Plans::new("clicks").guarded_by_hides(0.1).planned(500));
    world.start(&Plans::new("money").layer("two").on_revenue(Cap::At(50.0)));
    live(&mut world, 0..600, "clicks", [0.2, 0.3], Kind::Click);
    world.merge("user-1", "user-2");
    world.pass_hours(DAY - 2.0);
    let mut restored = world.restored();
    assert_eq!(restored.digest(), world.digest());
    for world in [&mut world, &mut restored] {
        for number in 0..40 {
            let user = user(number);
            world.happens(Event::of(&user, "item-3", Kind::Purchase).value(5.0));
            world.visits(&format!("late-{number}"));
        }
        a_day_passes(world);
    }
    assert_eq!(restored.digest(), world.digest());
    assert_eq!(restored.results("clicks"), world.results("clicks"));
    assert!(world.results("money").metrics[0].arms.iter().all(|arm| arm.units > 200));
}

#[test]
fn variants_that_lose_users_are_found_out_before_anything_is_believed() {
    let mut world = world();
    world.start(&Plans::new("leaky").planned(2_000));
    for number in 0..4_000 {
        let user = user(number);
        // One in six users of the treatment is lost before it is recorded.
        if world.variant(&user, "leaky") == Some(1) && number % 6 == 0 {
            continue;
        }
        world.visits(&user);
        world.pass_seconds(30.0);
        world.click(&user, "item-1");
    }
    a_day_passes(&mut world);
    let (advice, text) = world.advice("leaky");
    assert_eq!(advice, Advice::CheckData, "{text}");
    assert!(text.contains("the figures cannot be trusted"), "{text}");
}

#[test]
fn testers_get_their_variant_from_the_draft_on_and_are_not_measured() {
    let mut world = world();
    let plans = Plans::new("new").tester("grace", 1).tester("alan", 0);
    world.put_experiment(plans.0.clone());
    assert_eq!(world.variant("grace", "new"), Some(1));
    assert_eq!((world.variant("alan", "new"), world.variant("ada", "new")), (Some(0), None));
    world.start(&plans);
    for name in ["grace", "alan"] {
        world.visits(name);
    }
    assert_eq!(world.results("new").exposed, [0, 0]);
    world.visits("ada");
    assert_eq!(world.results("new").exposed.iter().sum::<u64>(), 1);
}

#[test]
fn only_eligible_users_get_a_variant_and_a_user_without_a_profile_gets_none() {
    let mut world = world();
    let condition = r#"plan == "free" and device_type == "phone""#;
    world.start(&Plans::new("phones").eligible(condition));
    world.update("ada", SetFor::default().attribute("plan", "free"));
    world.update("bob", SetFor::default().attribute("plan", "paid"));
    assert_eq!(world.variants("ada", true).len(), 1);
    assert_eq!(world.variants("ada", false).len(), 0, "not on a phone");
    assert_eq!(world.variants("bob", true).len(), 0, "not on this plan");
    assert_eq!(world.variants("eve", true).len(), 0, "of whom nothing is known");
    world.update("ada", SetFor::default().profiled(false));
    assert_eq!(world.variants("ada", true).len(), 0);
}

#[test]
fn a_pause_assigns_nothing_and_measures_those_who_were_exposed() {
    let mut world = world();
    world.start(&Plans::new("clicks"));
    world.visits("ada");
    world.pause("clicks");
    assert_eq!(world.visits("bob"), []);
    assert_eq!(world.variant("ada", "clicks"), None);
    world.click("ada", "item-1");
    a_day_passes(&mut world);
    let counted = world.counted("clicks");
    assert_eq!((counted[0].0 + counted[1].0, counted[0].1 + counted[1].1), (1, 1));
}

#[test]
fn an_experiment_ends_at_its_end_without_anyone() {
    let mut world = world();
    let plans = Plans::new("short").ends_in_hours(&world, 48.0);
    world.start(&plans);
    world.pass_hours(47.0);
    world.visits("ada");
    world.click("ada", "item-1");
    assert!(world.variant("bob", "short").is_some());
    world.pass_hours(2.0);
    world.impression("nobody", "item-0");
    assert_eq!(world.variant("bob", "short"), None, "the end has come");
    assert!(world.is_running("short"), "her window is open");
    a_day_passes(&mut world);
    assert!(!world.is_running("short"));
    let counted = world.counted("short");
    assert_eq!(counted[0].1 + counted[1].1, 1);
    assert!(world.advice("short").1.contains("has ended as planned"));
}

#[test]
fn the_end_waits_until_all_whose_windows_are_over_are_taken_in() {
    const USERS: usize = 3_000;
    let mut world = world();
    world.start(&Plans::new("short").ends_in_hours(&world, 5.0));
    (0..USERS).for_each(|number| drop(world.visits(&user(number))));
    // The first record for days finds more windows over than one record takes in.
    world.pass_hours(72.0);
    world.impression("nobody", "item-0");
    assert!(world.is_running("short"));
    (0..3).for_each(|_| world.impression("nobody", "item-0"));
    assert!(!world.is_running("short"));
    let counted = world.counted("short");
    assert_eq!(counted[0].0 + counted[1].0, USERS as u64);
}

#[test]
fn those_held_back_are_in_no_other_experiment() {
    let mut world = world();
    world.start(&Plans::new("hold").layer("holdback").share(0.2).holdback());
    world.start(&Plans::new("clicks"));
    let (mut held, mut measured, mut others) = (0, 0, 0);
    for number in 0..2_000 {
        let user = user(number);
        let is_in = world.variant(&user, "clicks").is_some();
        match world.variant(&user, "hold") {
            Some(0) => {
                held += 1;
                assert!(!is_in, "{user} is held back");
            }
            Some(_) => {
                measured += 1;
                assert!(is_in);
            }
            None => others += 1,
        }
    }
    for (found, expected) in [(held, 200.0), (measured, 200.0), (others, 1_600.0)] {
        assert!((f64::from(found) - expected).abs() < 60.0, "{held} {measured} {others}");
    }
}

#[test]
fn what_a_variant_with_its_own_ranker_learns_changes_no_score_of_the_others() {
    let mut world = world();
    world.start(&Plans::new("explore").own_ranker());
    let treated = (0..100).map(user).find(|user| world.variant(user, "explore") == Some(1));
    let treated = treated.unwrap();
    let shared = world.ranker_weights();
    let ask = || Ask::of(&treated, 5).strategy(Strategy::EpsilonGreedy).include_seen(true);
    for round in 0..300 {
        let answer = world.decide_in_experiments(ask());
        let item = answer.items()[round % 2].clone();
        world.reacts(&answer, &item, Kind::Click);
        world.pass_seconds(60.0);
    }
    let (own, after) = (world.own_weights("explore", 1), world.ranker_weights());
    let moved = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum() };
    assert_eq!(moved(&after, &shared), 0.0, "the shared ranker has not learnt");
    assert!(moved(&own, &shared) > 0.01, "its own has: {}", moved(&own, &shared));
    // A restored snapshot ranks by it as before.
    let restored = world.restored();
    assert_eq!(restored.own_weights("explore", 1), world.own_weights("explore", 1));
    let (here, there) = (world.top(&treated, 5), restored.top(&treated, 5));
    assert_eq!(here, there);
    world.decide_in_experiments(ask());
    world.stop("explore");
    let last = world.decide(ask());
    world.reacts(&last, &last.items()[0].clone(), Kind::Click);
    assert!(moved(&world.ranker_weights(), &shared) > 0.0, "the shared one learns on");
}
