//! Bounds: what only events know does not make the state grow without end.

use crate::harness::Described;
use crate::harness::Event;
use crate::harness::Kind;
use crate::harness::World;
use crate::harness::share_in;

/// Mostly what says little.
fn kind(number: usize) -> Kind {
    match number % 64 {
        0 => Kind::Click,
        rest if rest % 3 == 0 => Kind::Skip,
        _ => Kind::Impression,
    }
}

/// An event that names something new in every field but the user.
fn stray(number: usize) -> Event {
    let (user, item) = (format!("other-{}", number % 5_000), format!("unknown-{number}"));
    Event::of(&user, &item, kind(number))
        .topic(&format!("topic-{number}"))
        .source(&format!("source-{number}"))
        .device(&format!("device-{number}"))
        .location(&format!("town-{number}"))
}

fn catalogue() -> World {
    let mut world = World::new();
    for item in 0..100 {
        world.add(Described::new(&format!("item-{item}")).topic("known").source("known"));
    }
    for user in 0..60 {
        world.click(&format!("user-{user}"), &format!("item-{}", user % 30));
        world.pass_seconds(60.0);
    }
    world
}

#[test]
fn a_million_unknown_items_topics_and_towns_take_no_more_than_some_megabytes() {
    let mut world = catalogue();
    let list = world.best("user-3", 10);
    let mut bytes = Vec::new();
    for batch in 0..10_000 {
        world.happen((batch * 100..(batch + 1) * 100).map(stray));
        if (batch + 1) % 5_000 == 0 {
            bytes.push(world.state_bytes());
        }
        // What users were shown is remembered for two days: half of the ids take longer.
        world.pass_seconds(60.0);
    }
    let [half, all] = bytes[..] else { panic!("{bytes:?}") };
    assert!(
        all <= 32 << 20 && all as f64 <= 1.2 * half as f64,
        "the state takes {half} bytes after 500,000 unknown ids of each kind, {all} after 1,000,000"
    );
    let after = world.best("user-3", 10);
    let left = share_in(&after, &list);
    assert!(left >= 0.8, "{left} of {list:?} is left in {after:?}");
}

#[test]
fn a_visitor_who_came_once_takes_a_few_hundred_bytes() {
    let mut world = catalogue();
    let before = world.state_bytes();
    let visitors = 20_000;
    for number in 0..visitors {
        let event =
            Event::of(&format!("visitor-{number}"), &format!("item-{}", number % 100), Kind::Click);
        world.happens(event.device("phone").location("town"));
        world.pass_seconds(1.0);
    }
    let each = (world.state_bytes() - before) as f64 / f64::from(visitors);
    assert!(each <= 250.0, "{each:.0} bytes of a snapshot for each visitor of one click");
}
