//! Time: items of the future, clocks that leap, half-lives that change.

use crate::harness::Ask;
use crate::harness::DAY;
use crate::harness::Described;
use crate::harness::Event;
use crate::harness::Kind;
use crate::harness::Planted;
use crate::harness::Settings;
use crate::harness::World;
use crate::harness::mean;
use crate::harness::quick_settings;
use crate::harness::share_in;

#[test]
fn an_item_that_is_published_tomorrow_is_not_there_before_tomorrow() {
    let mut world = World::new();
    for item in 0..40 {
        let at = world.in_hours(-24.0 * item as f64);
        world.add(Described::new(&format!("item-{item}")).topic("news").published(at));
    }
    for user in 0..20 {
        world.click(&format!("user-{user}"), &format!("item-{}", user % 7));
        world.pass_hours(1.0);
    }
    let at = world.in_hours(24.0);
    world.add(Described::new("tomorrow").titled("news").topic("news").published(at));
    let is_listed =
        |world: &World, ask: Ask| world.answer(&ask).items().contains(&"tomorrow".to_owned());
    let ask = |user: &str| Ask::of(user, 60);
    for (user, request) in [
        ("stranger", ask("stranger")),
        ("user-3", ask("user-3")),
        ("user-3 by topic", ask("user-3").topic("news")),
        ("stranger by id", ask("stranger").among(&["tomorrow", "item-3"])),
    ] {
        assert!(!is_listed(&world, request.clone()), "for {user}, a day too early");
        let later = world.in_hours(25.0);
        assert!(is_listed(&world, request.at(later)), "for {user}, when it is there");
    }
    world.pass_hours(25.0);
    assert!(is_listed(&world, ask("user-3")), "a day later");
}

/// Readers, some of whom a wrong clock must leave alone.
fn readers(settings: Settings) -> Planted {
    let mut planted = Planted::topics(World::with(settings), 30, 200, 10);
    planted.browse(14, 0.8);
    // The last click was a moment ago.
    planted.world.pass_hours(-24.0);
    planted
}

/// How much of the lists of some is left in those of a second world.
fn left_of_lists(world: &World, other: &World) -> f64 {
    let users = (1..30).map(|user| format!("user-{user}")).chain(["stranger".to_owned()]);
    mean(users.map(|user| share_in(&other.best(&user, 10), &world.best(&user, 10))))
}

#[test]
fn an_event_of_a_client_whose_clock_is_400_days_ahead_does_not_age_those_of_others() {
    let planted = readers(quick_settings());
    let (mut world, mut leapt) = (planted.world.fork(), planted.world.fork());
    world.click("user-0", "item-0");
    let at = leapt.in_hours(400.0 * DAY);
    leapt.happens(Event::of("user-0", "item-0", Kind::Click).at(at));
    let left = left_of_lists(&world, &leapt);
    assert!(left >= 0.95, "{left:.3} of the lists of others is left");
}

#[test]
fn an_event_that_a_server_records_400_days_ahead_does_not_age_those_of_others() {
    let planted = readers(quick_settings());
    let (mut world, mut leapt) = (planted.world.fork(), planted.world.fork());
    world.click("user-0", "item-0");
    leapt.pass_hours(400.0 * DAY);
    leapt.click("user-0", "item-0");
    leapt.pass_hours(-400.0 * DAY);
    let left = left_of_lists(&world, &leapt);
    assert!(left >= 0.9, "{left:.3} of the lists of others is left at once");
    for one in [&mut world, &mut leapt] {
        for reader in 0..20 {
            one.click(&format!("later-{reader}"), &format!("item-{}", reader * 9 % 200));
            one.pass_hours(1.0);
        }
    }
    let left = left_of_lists(&world, &leapt);
    assert!(left >= 0.9, "{left:.3} of the lists of others is left after 20 more events");
}

#[test]
fn a_changed_half_life_leaves_everything_worth_what_it_was() {
    let settings = Settings {
        profile_half_life_hours: 24.0,
        popularity_half_life_hours: 24.0,
        trend_half_life_hours: 24.0,
        cooccurrence_half_life_hours: 24.0,
        ..quick_settings()
    };
    let planted = readers(settings);
    let before = planted.world.fork();
    let mut after = planted.world.fork();
    let years = 24.0 * 365.0 * 5.0;
    after.set(Settings {
        profile_half_life_hours: years,
        popularity_half_life_hours: years,
        trend_half_life_hours: years,
        cooccurrence_half_life_hours: years,
        ..after.settings()
    });
    // Users do not click at the same moment: an hour more or less is within the tolerance.
    let weights = |world: &World| -> Vec<(String, f64)> { world.topic_weights("user-4") };
    for ((topic, was), (_, is)) in weights(&before).iter().zip(weights(&after)) {
        let ratio = is / was;
        assert!((0.9..=1.1).contains(&ratio), "the weight of {topic} was {was} and is {is}");
    }
    let left = left_of_lists(&before, &after);
    assert!(left >= 0.9, "{left:.3} of the lists is left");
    let of = |world: &World| {
        let ask = Ask::of("user-4", 1).among(&["item-14", "item-3", "item-77"]);
        world.answer(&ask).features().flatten().map(|value| f64::from(*value)).collect::<Vec<_>>()
    };
    let (was, is) = (of(&before), of(&after));
    let moved = was.iter().zip(&is).map(|(was, is)| (was - is).abs()).fold(0.0, f64::max);
    assert!(moved <= 0.15, "a feature moved by {moved}: {was:.3?} {is:.3?}");
}

#[test]
fn a_shorter_half_life_leaves_everything_worth_what_it_was() {
    let planted = readers(quick_settings());
    let before = planted.world.fork();
    let mut after = planted.world.fork();
    after.set(Settings {
        profile_half_life_hours: 12.0,
        popularity_half_life_hours: 12.0,
        trend_half_life_hours: 12.0,
        cooccurrence_half_life_hours: 12.0,
        ..after.settings()
    });
    let left = left_of_lists(&before, &after);
    assert!(left >= 0.9, "{left:.3} of the lists is left");
}
