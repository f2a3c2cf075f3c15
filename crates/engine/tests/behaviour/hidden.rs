//! Hidden items: who hides an item does not get it again.

use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::Planted;
use crate::harness::Settings;
use crate::harness::World;
use crate::harness::quick_settings;
use crate::harness::share_in;

/// Forty films, of which all like the first; a user who hid it.
fn hidden(settings: Settings) -> World {
    let mut world = World::with(settings);
    for film in 0..40 {
        world.add(Described::new(&format!("film-{film}")).topic("film"));
    }
    for user in 0..12 {
        let name = format!("user-{user}");
        world.like(&name, "film-0");
        world.click(&name, &format!("film-{}", 1 + user));
        world.pass_hours(2.0);
    }
    world.click("reader", "film-3");
    world.hide("reader", "film-0");
    world.pass_hours(100.0);
    world
}

fn assert_is_hidden(world: &World, ask: &Ask, rule: &str) {
    let list = world.answer(ask).items();
    assert!(list.len() >= 10, "{rule}: {list:?}");
    let found = list.iter().position(|item| item == "film-0");
    assert_eq!(found, None, "{rule}: it is back in {list:?}");
}

#[test]
fn a_hidden_item_stays_away_whatever_the_seen_rules_of_the_request_say() {
    let world = hidden(quick_settings());
    let ask = || Ask::of("reader", 20);
    assert_is_hidden(&world, &ask(), "by default");
    assert_is_hidden(&world, &ask().include_seen(true), "with seen items");
    assert_is_hidden(&world, &ask().cooldown_hours(1.0), "after a cooldown of an hour");
    assert_is_hidden(&world, &ask().seen_after(5), "with items had fewer than five times");
}

#[test]
fn a_hidden_item_stays_away_where_the_settings_recommend_again_what_was_had() {
    let settings = Settings { recommend_seen: Some(true), ..quick_settings() };
    assert_is_hidden(&hidden(settings), &Ask::of("reader", 20), "by the settings");
}

#[test]
fn a_hidden_item_stays_away_when_it_is_described_again_and_after_later_events() {
    let mut world = hidden(quick_settings());
    world.add(Described::new("film-0").titled("Now with a title").topic("film"));
    world.impression("reader", "film-0");
    world.dwell("reader", "film-0", 0.5);
    world.skip("reader", "film-0");
    let ask = Ask::of("reader", 20).include_seen(true);
    assert_is_hidden(&world, &ask, "described again");
    assert_is_hidden(&world.restored(), &ask, "after a snapshot");
}

#[test]
fn what_one_user_hides_others_still_get() {
    let world = hidden(quick_settings());
    let list = world.top("another", 10);
    assert!(list.iter().any(|item| item == "film-0"), "{list:?}");
}

#[test]
fn who_hides_one_item_of_a_favourite_topic_still_gets_the_topic() {
    let mut planted = Planted::topics(World::new(), 30, 200, 10);
    planted.browse(10, 0.9);
    let user = "user-4";
    let before = planted.world.best(user, 10);
    let share_before = share_in(&before, &planted.favourites(4));
    planted.world.hide(user, &before[0]);
    planted.world.pass_hours(24.0);
    let after = planted.world.best(user, 10);
    let share = share_in(&after, &planted.favourites(4));
    assert!(
        share >= share_before - 0.2 && !after.contains(&before[0]),
        "of favourite topics: {share_before} in {before:?}, then {share} in {after:?}"
    );
}
