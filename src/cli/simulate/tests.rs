//! What the arguments mean and what is printed.

use clap::Parser;
use engine::domain::Timestamp;
use engine::evaluation::simulation::Drift;
use engine::evaluation::simulation::Outcome;
use engine::evaluation::simulation::Tally;
use engine::evaluation::simulation::World;

use super::Args;
use super::clock::Clock;
use super::report;
use super::simulated;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(line: &str) -> Args {
    let words = std::iter::once("simulate").chain(line.split_whitespace());
    Line::try_parse_from(words).expect("a command line").args
}

#[test]
fn a_drift_is_in_the_middle_where_nothing_is_said_and_never_at_an_end() {
    let drift = args("--world shop --drift 0.3 --rounds 20").world().unwrap().drift;
    assert_eq!(drift, Some(Drift { share: 0.3, round: 10 }));
    assert_eq!(args("--world news").world().unwrap().drift, None);
    for wrong in
        ["--drift 2", "--taste 11", "--drift 0.3 --drift-round 30", "--drift 0.3 --rounds 1"]
    {
        assert!(args(&format!("--world news {wrong}")).world().is_err(), "{wrong}");
    }
}

#[test]
fn the_last_round_ends_now_and_articles_are_there_before_the_first_one() {
    let world = World::new(args("--world news --rounds 4 --people 20").world().unwrap());
    let now = Timestamp::from_millis(100 * Timestamp::DAY_MS);
    let clock = Clock::ending(now, &world.settings);
    let visits = (0..4).flat_map(|round| world.visits(round));
    let times: Vec<Timestamp> = visits.map(|visit| clock.visit(visit)).collect();
    let start = now.plus_millis(-Timestamp::DAY_MS);
    assert!(times.is_sorted() && times.iter().all(|time| (start..now).contains(time)));
    let first = &world.items()[0];
    assert!(clock.published(first) < start && clock.expires(first) > Some(start));
    let shop = World::new(args("--world shop").world().unwrap());
    assert_eq!(Clock::ending(now, &shop.settings).expires(&shop.items()[0]), None);
}

#[test]
fn every_policy_has_a_column_a_letter_and_a_line() {
    let args = args("--world news --rounds 12 --people 30 --items 60 --positions 4 --drift 0.5");
    let world = World::new(args.world().unwrap());
    let outcomes = simulated(&world, 4);
    let names: Vec<&str> = outcomes.iter().map(|outcome| outcome.policy.as_str()).collect();
    assert_eq!(names, ["random", "popular", "popular, decaying", "newest", "oracle"]);
    let text = report::text(&args, &world, &outcomes);
    assert!(
        text.contains("r random, p popular, P popular, decaying, n newest, o oracle"),
        "{text}"
    );
    assert!(text.lines().any(|line| line.starts_with("   11  |") && line.contains('o')), "{text}");
    assert!(text.contains("visits since the drift") && text.contains("from 10 on"), "{text}");
    let nothing = Outcome { policy: "none".to_owned(), tally: Tally::new(&world.settings) };
    assert!(!report::text(&args, &world, &[nothing]).contains("Click rate by round"));
}
