//! Changes of taste: a user who turns to something else is followed within a few visits, one who strays for a
//! visit or goes to and fro is not torn.

use crate::harness::Ask;
use crate::harness::Kind;
use crate::harness::Planted;
use crate::harness::Strategy;
use crate::harness::World;

const TOPICS: usize = 8;
const USER: &str = "user-3";
/// What the user likes at first, and later.
const OLD: [usize; 2] = [3, 2];
const NEW: [usize; 2] = [5, 0];

/// A shop of eight topics whose people have clicked in lists for ten days, with a model.
fn shop() -> Planted {
    let mut planted = Planted::topics(World::new(), 40, 1_000, TOPICS);
    planted.browse(6, 0.8);
    planted.world.train().unwrap();
    for _ in 0..4 {
        planted.serve(1, 10, Strategy::EpsilonGreedy, 0.5);
        planted.world.pass_hours(24.0);
    }
    planted.world.train().unwrap();
    planted
}

fn has(item: &str, topics: &[usize]) -> bool {
    let number: usize = item.trim_start_matches("item-").parse().expect("the number of an item");
    topics.contains(&(number % TOPICS))
}

/// The user looks at a list, clicks half of what has one of the topics, and comes back a day later. The share of the
/// list that has one of them.
fn visit(world: &mut World, liked: &[usize]) -> f64 {
    let answer = world.decide(Ask::of(USER, 10).plain().strategy(Strategy::EpsilonGreedy));
    let mut found = 0;
    for item in answer.items() {
        world.reacts(&answer, &item, Kind::Impression);
        if has(&item, liked) {
            found += 1;
            if found % 2 == 1 {
                world.reacts(&answer, &item, Kind::Click);
            }
        }
    }
    world.pass_hours(24.0);
    f64::from(found) / 10.0
}

fn visits(world: &mut World, liked: &[usize], count: usize) -> Vec<f64> {
    (0..count).map(|_| visit(world, liked)).collect()
}

fn mean(shares: &[f64]) -> f64 {
    shares.iter().sum::<f64>() / shares.len() as f64
}

#[test]
fn a_user_whose_taste_changes_has_the_new_one_in_the_lists_within_five_visits() {
    let mut planted = shop();
    let world = &mut planted.world;
    let before = visits(world, &OLD, 8);
    let former = mean(&before[4..]);
    let after = visits(world, &NEW, 8);
    println!("{before:?} {after:?}");
    let now = mean(&after[4..]);
    assert!(now >= 0.8 * former, "{before:?}, then {after:?}");
}

#[test]
fn a_single_odd_visit_does_not_take_the_taste_away() {
    let mut planted = shop();
    let world = &mut planted.world;
    let before = visits(world, &OLD, 8);
    let odd = visit(world, &NEW);
    let after = visits(world, &OLD, 2);
    println!("{before:?} {odd} {after:?}");
    let (former, now) = (mean(&before[4..]), mean(&after));
    assert!(now >= 0.8 * former, "{before:?}, {odd}, then {after:?}");
}

#[test]
fn a_user_of_two_tastes_in_turns_keeps_both() {
    let mut planted = shop();
    let world = &mut planted.world;
    visits(world, &OLD, 4);
    let mut shares = Vec::new();
    for _ in 0..4 {
        // Five days of one, two of the other.
        shares.extend(visits(world, &OLD, 5));
        shares.extend(visits(world, &NEW, 2));
    }
    println!("{shares:?}");
    let late = mean(&shares[14..]);
    assert!(late >= 0.35, "{shares:?}");
}
