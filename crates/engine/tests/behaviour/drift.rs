//! Changes of taste: a user who turns to something else is followed within a few visits, one who strays for a
//! visit or goes to and fro is not torn.

use crate::harness::Ask;
use crate::harness::Kind;
use crate::harness::Planted;
use crate::harness::Strategy;
use crate::harness::World;

const TOPICS: usize = 8;
/// Numbers of users that turn to something else.
const USERS: [usize; 4] = [3, 6, 17, 28];

/// What a user likes at first.
fn old(user: usize) -> [usize; 2] {
    [user % TOPICS, (user * 3 + 1) % TOPICS]
}

/// The first two topics that are none of these.
fn new(user: usize) -> [usize; 2] {
    let others: Vec<usize> = (0..TOPICS).filter(|topic| !old(user).contains(topic)).collect();
    [others[0], others[1]]
}

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
fn visit(world: &mut World, user: usize, liked: &[usize]) -> f64 {
    let answer = world
        .decide(Ask::of(&format!("user-{user}"), 10).plain().strategy(Strategy::EpsilonGreedy));
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

fn visits(world: &mut World, user: usize, liked: &[usize], count: usize) -> Vec<f64> {
    (0..count).map(|_| visit(world, user, liked)).collect()
}

fn mean(shares: &[f64]) -> f64 {
    shares.iter().sum::<f64>() / shares.len() as f64
}

#[test]
fn users_whose_taste_changes_have_the_new_one_in_their_lists_within_five_visits() {
    let mut planted = shop();
    let (mut former, mut now, mut told) = (Vec::new(), Vec::new(), Vec::new());
    for user in USERS {
        let before = visits(&mut planted.world, user, &old(user), 8);
        let after = visits(&mut planted.world, user, &new(user), 7);
        former.extend_from_slice(&before[4..]);
        now.extend_from_slice(&after[5..]);
        told.push((before, after));
    }
    assert!(mean(&now) >= 0.8 * mean(&former), "{told:?}");
}

#[test]
fn a_single_odd_visit_does_not_take_the_taste_away() {
    let mut planted = shop();
    for user in USERS {
        let before = visits(&mut planted.world, user, &old(user), 8);
        let odd = visit(&mut planted.world, user, &new(user));
        let after = visits(&mut planted.world, user, &old(user), 2);
        let (former, now) = (mean(&before[4..]), mean(&after));
        assert!(now >= 0.8 * former, "{before:?}, {odd}, then {after:?}");
    }
}

#[test]
fn users_of_two_tastes_in_turns_keep_the_one_of_most_days() {
    let mut planted = shop();
    for user in USERS {
        visits(&mut planted.world, user, &old(user), 4);
        let weeks: Vec<(Vec<f64>, Vec<f64>)> = (0..4)
            .map(|_| {
                let days = visits(&mut planted.world, user, &old(user), 5);
                (days, visits(&mut planted.world, user, &new(user), 2))
            })
            .collect();
        let days: Vec<f64> = weeks.iter().flat_map(|(days, _)| days).copied().collect();
        assert!(mean(&days) >= 0.75, "{weeks:?}");
    }
}
