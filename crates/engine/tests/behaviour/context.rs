//! Request context: what the same user is shown on another device, at another location, at
//! another time of the day.

use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::Event;
use crate::harness::Kind;
use crate::harness::World;
use crate::harness::mean;

const USERS: usize = 80;
const ITEMS: usize = 200;
const DAYS: usize = 12;
/// Clicks of ten that are as the context has it.
const LOYALTY: f64 = 0.85;

/// Two kinds of items, even and odd, with a topic each.
fn two_topics() -> World {
    let mut world = World::new();
    for item in 0..ITEMS {
        let topic = if item % 2 == 0 { "short" } else { "long" };
        world.add(Described::new(&format!("item-{item}")).topic(topic));
    }
    world
}

/// Every user clicks twice a day, twelve hours apart: on an item of the kind that `kind` names
/// for the user and the half of the day.
fn lived(
    mut world: World,
    kind: impl Fn(usize, usize) -> usize,
    event: impl Fn(Event, usize) -> Event,
) -> World {
    for _ in 0..DAYS {
        for half in 0..2 {
            for user in 0..USERS {
                let loyal = world.random.chance(LOYALTY);
                let kind = (kind(user, half) + usize::from(!loyal)) % 2;
                let item = world.random.below(ITEMS / 2) * 2 + kind;
                let click =
                    Event::of(&format!("user-{user}"), &format!("item-{item}"), Kind::Click);
                world.happens(event(click, half));
            }
            world.pass_hours(12.0);
        }
    }
    world
}

/// The mean share, over users, of items of a kind in a list.
fn share_of_kind(world: &World, kind: impl Fn(usize) -> usize, ask: impl Fn(Ask) -> Ask) -> f64 {
    let number = |item: &String| item["item-".len()..].parse::<usize>().expect("a number");
    mean((0..USERS).map(|user| {
        let list = world.answer(&ask(Ask::of(&format!("user-{user}"), 10).plain())).items();
        let of_kind = list.iter().filter(|item| number(item) % 2 == kind(user)).count();
        of_kind as f64 / list.len() as f64
    }))
}

#[test]
fn on_a_phone_users_get_what_is_consumed_on_phones() {
    let device = |half: usize| if half == 0 { "phone" } else { "tv" };
    let world = lived(two_topics(), |_, half| half, |event, half| event.device(device(half)));
    let share = |half: usize| share_of_kind(&world, |_| 0, |ask| ask.device(device(half)));
    let (phone, tv) = (share(0), share(1));
    assert!(
        phone > 0.5 && tv < 0.5 && phone - tv > 0.3,
        "short: {phone:.2} on phones, {tv:.2} on a tv"
    );
}

#[test]
fn at_a_location_users_get_what_is_consumed_there() {
    let town = |half: usize| if half == 0 { "harbour" } else { "hills" };
    let world = lived(two_topics(), |_, half| half, |event, half| event.location(town(half)));
    let share = |half: usize| share_of_kind(&world, |_| 0, |ask| ask.location(town(half)));
    let (harbour, hills) = (share(0), share(1));
    let text = format!("short: {harbour:.2} at the harbour, {hills:.2} in the hills");
    assert!(harbour > 0.5 && hills < 0.5 && harbour - hills > 0.3, "{text}");
}

#[test]
fn under_an_attribute_of_the_context_users_get_what_is_consumed_under_it() {
    let mood = |half: usize| if half == 0 { "calm" } else { "lively" };
    let world =
        lived(two_topics(), |_, half| half, |event, half| event.in_context("mood", mood(half)));
    let share =
        |half: usize| share_of_kind(&world, |_| 0, |ask| ask.in_context("mood", mood(half)));
    let (calm, lively) = (share(0), share(1));
    let text = format!("short: {calm:.2} when calm, {lively:.2} when lively");
    assert!(calm > 0.5 && lively < 0.5 && calm - lively > 0.3, "{text}");
    let unknown = share_of_kind(&world, |_| 0, |ask| ask.in_context("mood", "sad"));
    let none = share_of_kind(&world, |_| 0, |ask| ask);
    assert_eq!(unknown, none, "a value that no event had says nothing");
}

#[test]
fn users_get_what_they_themselves_consume_at_this_time_of_the_day() {
    // Half of the users do it the other way round, so the time alone says nothing.
    let world = lived(two_topics(), |user, half| (user + half) % 2, |event, _| event);
    let share = |half: usize| {
        let at = world.in_hours(half as f64 * 12.0);
        share_of_kind(&world, |user| (user + half) % 2, |ask| ask.at(at))
    };
    let (first, second) = (share(0), share(1));
    assert!(first > 0.6 && second > 0.6, "of their own kind: {first:.2} and {second:.2}");
}
