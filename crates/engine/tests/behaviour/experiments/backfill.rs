//! Metrics that are added to a running experiment: computed from the log, they are as if they had been
//! there from the start.

use super::a_day_passes;
use super::user;
use crate::harness::Ask;
use crate::harness::BackfillChunk;
use crate::harness::Cap;
use crate::harness::DAY;
use crate::harness::Described;
use crate::harness::Event;
use crate::harness::Kind;
use crate::harness::Plans;
use crate::harness::Random;
use crate::harness::SetFor;
use crate::harness::World;
use crate::harness::as_secondary;
use crate::harness::by_the_hour;
use crate::harness::further_metrics;

const NAME: &str = "clicks";

/// A world of items, some of them new, whose users have bought and read before.
fn world(users: usize) -> World {
    let mut world = World::with_log();
    for item in 0..6 {
        world.add(Described::new(&format!("item-{item}")).topic(["a", "b"][item % 2]));
    }
    world.pass_hours(6.0 * DAY);
    for item in 6..10 {
        world.add(Described::new(&format!("item-{item}")).topic("c"));
    }
    for number in (0..users).step_by(3) {
        let user = user(number);
        world.happens(Event::of(&user, "item-1", Kind::Purchase).value((number % 7) as f32));
        world.pass_seconds(30.0);
        world.dwell(&user, "item-2", (number % 40) as f32);
    }
    world.pass_hours(DAY);
    world
}

/// What a user does in a visit: lists, and by number clicks, likes, purchases and reading.
fn visit(world: &mut World, number: usize) {
    let user = user(number);
    let answer = world.decide_in_experiments(Ask::of(&user, 4).include_seen(true));
    world.pass_seconds(7.0);
    let item = answer.items()[number % 4].clone();
    if number.is_multiple_of(2) {
        world.reacts(&answer, &item, Kind::Click);
    }
    if number.is_multiple_of(5) {
        world.like(&user, &item);
    }
    if !number.is_multiple_of(4) {
        let paid = (number * 13 % 90 + 1) as f32;
        world.happens(Event::of(&user, &item, Kind::Purchase).value(paid));
    }
    world.dwell(&user, &item, (number % 25) as f32);
}

/// Users come, come back in the days after, and some of what they did is told late.
fn days(world: &mut World, users: std::ops::Range<usize>) {
    users.clone().for_each(|number| visit(world, number));
    for back in 0..2 {
        world.pass_hours(17.0);
        for number in users.clone().filter(|number| number % 3 == back) {
            visit(world, number);
            let at = world.in_hours(-16.5);
            world.happens(Event::of(&user(number), "item-3", Kind::Like).at(at));
        }
    }
}

/// All windows are over, and all units are taken in.
fn the_end(world: &mut World) {
    (0..4).for_each(|_| a_day_passes(world));
}

/// Of each metric: units, those with a value, mean and its error, and what is called.
fn outcome(world: &World) -> Vec<String> {
    let results = world.results(NAME);
    results.metrics.iter().map(|metric| format!("{metric:?}")).collect()
}

fn plans() -> Plans {
    Plans::new(NAME).planned(1_000)
}

#[test]
fn a_metric_that_is_added_has_the_figures_of_one_that_was_there_from_the_start() {
    let lived = |from_the_start: bool| {
        let (mut world, further) = (world(900), further_metrics());
        world.start(&plans().measuring(if from_the_start { &further } else { &[] }));
        days(&mut world, 0..500);
        if !from_the_start {
            world.add_metrics(NAME, &further);
        }
        days(&mut world, 450..700);
        if !from_the_start {
            assert!(world.backfilled(NAME)[1..].iter().all(|share| *share == Some(0.0)));
            world.backfill();
        }
        assert!(world.backfilled(NAME).iter().all(Option::is_none));
        days(&mut world, 650..900);
        the_end(&mut world);
        world
    };
    let (first, added) = (lived(true), lived(false));
    assert_eq!(outcome(&added), outcome(&first));
    let metrics = first.results(NAME).metrics;
    assert!(metrics.iter().all(|metric| metric.arms.iter().all(|arm| arm.units > 300)));
    assert!(metrics.iter().all(|metric| metric.arms.iter().all(|arm| arm.nonzero > 20)));
    assert!(metrics[2].cap.is_some_and(|cap| cap > 80.0), "{:?}", metrics[2].cap);
}

#[test]
fn nothing_counts_before_all_is_computed_and_the_results_say_so() {
    let (mut world, further) = (world(60), further_metrics());
    world.start(&plans());
    days(&mut world, 0..60);
    world.add_metrics(NAME, &further[..3]);
    the_end(&mut world);
    let chunks = world.backfill_chunks();
    // What was before is there for likes, as for clicks.
    assert_eq!(chunks.len(), 5);
    for (number, chunk) in chunks.iter().enumerate() {
        let metrics = world.results(NAME).metrics;
        assert!(metrics[0].arms.iter().all(|arm| arm.units > 0));
        assert_eq!(metrics[3].arms.iter().map(|arm| arm.units).sum::<u64>(), 0, "chunk {number}");
        assert!(world.advice(NAME).1.contains("dwell was added later"), "{}", world.advice(NAME).1);
        world.record_chunk(chunk);
    }
    world.impression("nobody", "item-0");
    let metrics = world.results(NAME).metrics;
    assert_eq!(metrics[3].arms.iter().map(|arm| arm.units).sum::<u64>(), 60);
    assert!(!world.advice(NAME).1.contains("added later"));
}

#[test]
fn chunks_that_come_twice_or_out_of_order_or_of_another_change_count_once_and_leave_no_hole() {
    let (mut world, further) = (world(60), further_metrics());
    world.start(&plans());
    days(&mut world, 0..60);
    world.add_metrics(NAME, &further);
    let mut ordered = world.fork();
    ordered.backfill();
    let chunks: Vec<BackfillChunk> = world.backfill_chunks().iter().flat_map(halves).collect();
    for (number, chunk) in chunks.iter().enumerate() {
        let before = world.backfilled(NAME);
        let since = chunk.since + 1;
        world.record_chunk(&BackfillChunk { since, ..chunk.clone() });
        world.record_chunk(&BackfillChunk { experiment: 7, ..chunk.clone() });
        chunks[number + 1..].iter().rev().for_each(|later| world.record_chunk(later));
        chunks[..number].iter().for_each(|earlier| world.record_chunk(earlier));
        assert_eq!(world.backfilled(NAME), before);
        // Another leader begins again, and goes on here.
        assert_eq!(world.backfill_chunks()[0].values[..chunk.values.len()], chunk.values);
        world.record_chunk(chunk);
        world.record_chunk(chunk);
        assert_ne!(world.backfilled(NAME), before);
    }
    for world in [&mut world, &mut ordered] {
        days(world, 40..80);
        the_end(world);
    }
    assert_eq!(outcome(&world), outcome(&ordered));
}

/// A chunk as two.
fn halves(chunk: &BackfillChunk) -> [BackfillChunk; 2] {
    let (first, second) = chunk.values.split_at(chunk.values.len() / 2);
    let first_row = chunk.first_row + first.len() as u32;
    [
        BackfillChunk { values: first.to_vec(), ..chunk.clone() },
        BackfillChunk { values: second.to_vec(), first_row, ..chunk.clone() },
    ]
}

#[test]
fn a_snapshot_in_the_middle_goes_on_where_it_was_taken() {
    let (mut world, further) = (world(60), further_metrics());
    world.start(&plans());
    days(&mut world, 0..60);
    world.add_metrics(NAME, &further[..2]);
    world.add_metrics(NAME, &further[2..]);
    world.merge(&user(4), &user(50));
    let chunks: Vec<BackfillChunk> = world.backfill_chunks().iter().flat_map(halves).collect();
    chunks[..3].iter().for_each(|chunk| world.record_chunk(chunk));
    let mut restored = world.restored();
    assert_eq!(restored.digest(), world.digest());
    assert_eq!(restored.backfill_chunks(), world.backfill_chunks());
    for world in [&mut world, &mut restored] {
        world.merge(&user(5), &user(51));
        world.backfill();
        days(world, 50..70);
        the_end(world);
    }
    assert_eq!(restored.digest(), world.digest());
    assert_eq!(outcome(&restored), outcome(&world));
}

/// The sum of a metric over all units, where nothing adjusts it.
fn total(world: &World, metric: usize) -> f64 {
    let arms = &world.results(NAME).metrics[metric].arms;
    arms.iter().map(|arm| arm.mean * arm.units as f64).sum()
}

fn units(world: &World, metric: usize) -> u64 {
    world.results(NAME).metrics[metric].arms.iter().map(|arm| arm.units).sum()
}

#[test]
fn merges_while_it_is_computed_neither_lose_nor_double_what_any_id_did() {
    const USERS: usize = 24;
    let mut revenue = further_metrics()[1].clone();
    revenue.cap = Cap::None;
    for seed in 0..60 {
        let mut world = world(0);
        world.random = Random::new(seed);
        world.start(&plans());
        (0..USERS).for_each(|number| visit(&mut world, number));
        let mut visits: Vec<usize> = (0..USERS).collect();
        world.merge(&user(1), &user(2));
        world.add_metrics(NAME, std::slice::from_ref(&revenue));
        let first_leader = world.backfill_chunks();
        while let Some(chunk) = world.backfill_chunks().into_iter().next() {
            let number = world.random.below(USERS);
            match world.random.below(6) {
                0 => {
                    visit(&mut world, number);
                    visits.push(number);
                }
                1 | 2 => {
                    let into = world.random.below(USERS);
                    world.merge(&user(number), &user(into));
                }
                3 => first_leader.iter().for_each(|chunk| world.record_chunk(&some_of(chunk, 3))),
                // Another leader, who knows of the merges.
                _ => world.record_chunk(&some_of(&chunk, 1 + number / 4)),
            }
        }
        the_end(&mut world);
        let payers = visits.iter().filter(|number| *number % 4 > 0);
        let paid: f64 = payers.map(|number| (number * 13 % 90 + 1) as f64).sum();
        assert!((total(&world, 1) - paid).abs() < 1e-3, "{} and {paid}", total(&world, 1));
        assert!(units(&world, 1) < USERS as u64);
    }
}

/// The first values of a chunk.
fn some_of(chunk: &BackfillChunk, values: usize) -> BackfillChunk {
    let mut chunk = chunk.clone();
    chunk.values.truncate(values);
    chunk
}

#[test]
fn what_happened_before_a_merge_counts_for_the_user_who_was_left() {
    let mut revenue = further_metrics()[1].clone();
    revenue.cap = Cap::None;
    let mut world = world(0);
    world.start(&plans());
    (0..60).for_each(|number| visit(&mut world, number));
    world.merge(&user(3), &user(41));
    (0..60).for_each(|number| visit(&mut world, number));
    world.add_metrics(NAME, &[revenue]);
    world.backfill();
    the_end(&mut world);
    let payers = (0..60).filter(|number| number % 4 > 0);
    let paid: f64 = payers.map(|number| (number * 13 % 90 + 1) as f64).sum();
    assert_eq!(units(&world, 1), 59);
    assert!((total(&world, 1) - 2.0 * paid).abs() < 1e-6, "{} and {paid}", total(&world, 1));
}

#[test]
fn a_user_who_is_not_measured_any_more_is_not_counted_from_the_log_either() {
    let (mut world, further) = (world(0), further_metrics());
    world.start(&plans());
    (0..60).for_each(|number| visit(&mut world, number));
    let before = (0..60).filter(|number| number % 5 == 0).count() as u64;
    world.update(&user(10), SetFor::default().profiled(false));
    world.add_metrics(NAME, &further[..1]);
    let chunks = world.backfill_chunks();
    // A tester since the computing began.
    let mut tested = (*world.experiment(NAME).experiment).clone();
    tested.testers = plans().tester(&user(20), 0).0.testers;
    world.put_experiment(tested);
    chunks.iter().for_each(|chunk| world.record_chunk(chunk));
    the_end(&mut world);
    let arms = world.results(NAME).metrics[1].arms.clone();
    assert_eq!(arms.iter().map(|arm| arm.nonzero).sum::<u64>(), before - 2);
    assert_eq!(units(&world, 1), 59, "one without any like is counted, a tester is not");
}

#[test]
fn a_metric_of_a_draft_or_of_an_experiment_without_users_lacks_nothing() {
    let (mut world, further) = (world(0), further_metrics());
    world.put_experiment(plans().0);
    world.add_metrics(NAME, &further[..2]);
    world.start(&plans().measuring(&further[..2]));
    world.add_metrics(NAME, &further[2..]);
    assert!(world.backfill_chunks().is_empty());
    assert!(world.backfilled(NAME).iter().all(Option::is_none));
    days(&mut world, 0..60);
    the_end(&mut world);
    assert_eq!(units(&world, 8), 60);
}

#[test]
fn a_metric_made_of_what_is_measured_already_needs_no_log() {
    let mut world = world(0);
    let again = plans().0.metrics[0].clone();
    world.start(&plans());
    days(&mut world, 0..60);
    world.add_metrics(NAME, &[as_secondary(again)]);
    assert!(world.backfill_chunks().is_empty());
    the_end(&mut world);
    let metrics = world.results(NAME).metrics;
    assert_eq!(metrics[1].arms, metrics[0].arms);
}

#[test]
fn an_experiment_that_stops_meanwhile_says_that_the_metric_is_not_complete() {
    let (mut world, further) = (world(0), further_metrics());
    world.start(&plans());
    days(&mut world, 0..60);
    world.add_metrics(NAME, &further[..1]);
    let chunks = world.backfill_chunks();
    world.record_chunk(&halves(&chunks[0])[0]);
    world.stop(NAME);
    assert!(world.backfill_chunks().is_empty(), "nobody computes it any more");
    let (before, shares) = (outcome(&world), world.backfilled(NAME));
    for chunk in chunks.iter().flat_map(halves) {
        world.record_chunk(&chunk);
    }
    assert_eq!((outcome(&world), world.backfilled(NAME)), (before, shares.clone()));
    assert_eq!(shares[1], Some(0.5));
    assert!(world.advice(NAME).1.contains("ended when 50.0 %"), "{}", world.advice(NAME).1);
    assert_eq!(world.restored().digest(), world.digest());
}

#[test]
fn a_guardrail_that_is_added_stops_what_it_finds_harmed_in_the_log() {
    let mut world = world(0);
    world.start(&plans());
    for number in 0..2_000 {
        let user = user(number);
        world.visits(&user);
        let variant = world.variant(&user, NAME).unwrap();
        if world.random.chance([0.05, 0.3][variant]) {
            world.hide(&user, "item-1");
        }
    }
    a_day_passes(&mut world);
    world.add_metrics(NAME, &plans().guarded_by_hides(0.1).0.metrics[1..]);
    world.impression("nobody", "item-0");
    assert!(world.is_running(NAME));
    world.backfill();
    // A record completes a bounded number of units.
    (0..2).for_each(|_| world.impression("nobody", "item-0"));
    assert!(!world.is_running(NAME));
    assert!(world.advice(NAME).1.contains("harms the guardrail hides"));
}

#[test]
fn slices_of_time_have_the_figures_of_a_metric_from_the_start_over_a_pause_and_late_events() {
    let lived = |from_the_start: bool| {
        let (mut world, mut plans) = (world(0), plans().by_the_hour());
        plans.0.late_events_seconds = 4 * 3_600;
        let of_lists = ["topics", "clicks-per-position"];
        let further =
            further_metrics().into_iter().filter(|it| of_lists.contains(&it.name.as_str()));
        let further: Vec<_> = further.map(by_the_hour).collect();
        world.start(&plans.measuring(if from_the_start { &further } else { &[] }));
        let hours = |world: &mut World, hours: usize| {
            for number in 0..hours * 6 {
                visit(world, number % 50);
                world.pass_seconds(500.0);
                let late = Event::of(&user(number % 50), "item-3", Kind::Click);
                world.happens(late.at(world.in_hours(-2.0)));
            }
        };
        hours(&mut world, 40);
        world.pause(NAME);
        hours(&mut world, 3);
        world.go_on(NAME);
        hours(&mut world, 20);
        if !from_the_start {
            world.add_metrics(NAME, &further);
        }
        hours(&mut world, 10);
        if !from_the_start {
            world.backfill();
        }
        hours(&mut world, 10);
        the_end(&mut world);
        world
    };
    let (first, added) = (lived(true), lived(false));
    assert_eq!(outcome(&added), outcome(&first));
    assert!(units(&first, 1) > 60, "{}", units(&first, 1));
}

#[test]
fn the_end_waits_for_what_is_computed_from_the_log() {
    let mut world = world(40);
    world.start(&plans().ends_in_hours(&world, 40.0));
    days(&mut world, 0..40);
    world.add_metrics(NAME, &further_metrics());
    the_end(&mut world);
    assert!(world.is_running(NAME), "metrics lack values");
    world.backfill();
    world.impression("nobody", "item-0");
    world.impression("nobody", "item-0");
    assert!(!world.is_running(NAME));
    let results = world.results(NAME);
    assert!(results.metrics.iter().all(|metric| metric.backfilled.is_none()));
    for metric in results.metrics.iter().filter(|metric| metric.learning_cap.is_none()) {
        assert_eq!(metric.arms[0].units + metric.arms[1].units, 40, "{metric:?}");
    }
}
