//! A user who asks to be forgotten: a newcomer at once, and after a replay of a log with
//! placeholders as if never there.

use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::Event;
use crate::harness::Kind;
use crate::harness::SetFor;
use crate::harness::World;

/// Forty records of two tastes, and fans of each.
fn shop() -> World {
    let mut world = World::with_log();
    for taste in ["jazz", "metal"] {
        for number in 0..20 {
            world.add(Described::new(&format!("{taste}-{number:02}")).topic(taste));
        }
    }
    for (taste, fan) in ["jazz", "metal"].into_iter().flat_map(|t| (0..10).map(move |f| (t, f))) {
        for number in 0..7 {
            let item = format!("{taste}-{:02}", (fan + 3 * number) % 20);
            world.like(&format!("{taste}-fan-{fan}"), &item);
        }
        world.pass_hours(0.5);
    }
    world
}

/// Leaves something wherever a user can.
fn lives(world: &mut World, user: &str) {
    let visit = format!("{user}-before-sign-in");
    ["jazz-01", "jazz-08"].iter().for_each(|item| world.like(&visit, item));
    world.merge(&visit, user);
    world.update(user, SetFor::default().block_topic("metal"));
    for item in ["jazz-03", "jazz-15", "jazz-18"] {
        let shown = world.decide(Ask::of(user, 5));
        let taken = shown.items()[0].clone();
        world.happens(Event::of(user, &taken, Kind::Click).to(&shown));
        world.like(user, item);
        world.pass_hours(1.0);
    }
}

#[test]
fn an_erased_user_is_served_as_a_newcomer_by_any_of_the_ids_also_from_a_snapshot() {
    let mut world = shop();
    lives(&mut world, "ada");
    assert_ne!(world.best("ada", 10), world.best("nobody", 10));
    world.erase("ada-before-sign-in");
    for world in [&world, &world.restored()] {
        assert!(!world.knows("ada") && world.merged_ids("ada").is_empty());
        for id in ["ada", "ada-before-sign-in"] {
            assert_eq!(world.best(id, 10), world.best("nobody", 10), "{id}");
        }
    }
    world.like("ada", "metal-03");
    assert_eq!(world.merged_ids("ada"), [] as [&str; 0], "who comes back is a new user");
}

#[test]
fn a_log_with_placeholders_replays_to_a_state_that_never_met_the_user_and_takes_its_models() {
    let (mut with, mut without) = (shop(), shop());
    for world in [&mut with, &mut without] {
        lives(world, "ada");
        world.train().unwrap();
        ["metal-04", "metal-11"].iter().for_each(|item| world.like("bob", item));
        world.erase("ada");
    }
    let replayed = with.replayed_without(&["ada", "ada-before-sign-in"]);
    assert!(!replayed.knows("ada") && replayed.knows("bob"));
    assert_eq!(
        replayed.view().model_version(),
        1,
        "a model that was trained with the user is taken"
    );
    assert_eq!(replayed.best("bob", 10).len(), 10);
    let again = without.replayed_without(&["ada", "ada-before-sign-in"]);
    assert_eq!(replayed.digest(), again.digest());
    // Not what a log says in which nothing is left out.
    assert_ne!(replayed.digest(), with.digest());
}
