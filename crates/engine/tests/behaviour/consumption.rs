//! Consumptions: what is one use of an item for a user is one for the engine, in however
//! many events it is reported.

use crate::harness::Described;
use crate::harness::Event;
use crate::harness::Kind;
use crate::harness::Planted;
use crate::harness::Settings;
use crate::harness::World;
use crate::harness::quick_settings;
use crate::harness::share_in;

/// How a client reports that a user reads an item.
fn plainly(world: &mut World, user: &str, item: &str) {
    world.click(user, item);
}

/// The same with a like two seconds after the click.
fn with_like(world: &mut World, user: &str, item: &str) {
    world.click(user, item);
    world.pass_seconds(2.0);
    world.like(user, item);
}

/// The same with a heartbeat each minute.
fn with_heartbeats(world: &mut World, user: &str, item: &str) {
    world.click(user, item);
    for minute in 1..=3 {
        world.pass_seconds(61.0);
        world.dwell(user, item, 61.0 * minute as f32);
    }
}

type Report = fn(&mut World, &str, &str);

/// Readers who never read an article twice, by a client that reports in this way.
fn read(report: Report, rounds: usize) -> Planted {
    let mut planted = Planted::topics(World::new(), 30, 200, 10);
    for _ in 0..rounds {
        for user in 0..planted.users.len() {
            let Some(item) = planted.choose(user, 0.8) else {
                continue;
            };
            let (name, id) = (planted.users[user].clone(), planted.items[item].clone());
            report(&mut planted.world, &name, &id);
            planted.world.pass_seconds(20.0);
        }
        planted.world.pass_hours(24.0);
    }
    planted
}

fn assert_nothing_is_repeated(report: Report) {
    let planted = read(report, 12);
    assert!(!planted.world.recommends_again(), "nobody ever came back to an item");
    // What a reader has just had is not recommended to the reader.
    let (mut world, user) = (planted.world, "user-4");
    let last = "item-14";
    report(&mut world, user, last);
    world.pass_seconds(300.0);
    let list = world.top(user, 20);
    assert!(!list.iter().any(|item| item == last), "what was just had is in {list:?}");
}

#[test]
fn a_like_two_seconds_after_the_click_is_no_repetition() {
    assert_nothing_is_repeated(with_like);
}

#[test]
fn heartbeats_of_one_reading_are_no_repetitions() {
    assert_nothing_is_repeated(with_heartbeats);
}

/// Tests and hit rates of the prequential test are those of a client that reports plainly.
fn assert_test_is_as_hard(report: Report) {
    let (plain, chatty) = (read(plainly, 12), read(report, 12));
    let ((tests, rate), (own_tests, own_rate)) =
        (plain.world.prequential(), chatty.world.prequential());
    let figures =
        format!("{own_tests} tests hit {own_rate:.3}; of a plain client {tests} hit {rate:.3}");
    assert!(own_tests.abs_diff(tests) <= tests / 10, "{figures}");
    assert!((own_rate - rate).abs() <= 0.06, "{figures}");
}

#[test]
fn a_like_two_seconds_after_the_click_does_not_ease_the_prequential_test() {
    assert_test_is_as_hard(with_like);
}

#[test]
fn heartbeats_do_not_ease_the_prequential_test() {
    assert_test_is_as_hard(with_heartbeats);
}

#[test]
fn heartbeats_do_not_make_an_item_more_popular_than_clicks_do() {
    let mut world = World::new();
    for film in 0..40 {
        world.add(Described::new(&format!("film-{film}")));
    }
    // Six users want film 0, four want film 1 and send heartbeats.
    for user in 0..6 {
        world.click(&format!("six-{user}"), "film-0");
        world.pass_seconds(30.0);
    }
    for user in 0..4 {
        with_heartbeats(&mut world, &format!("four-{user}"), "film-1");
    }
    let list = world.best("stranger", 3);
    assert_eq!(list[0], "film-0", "{list:?}");
}

/// Pairs of items that go together, bought by many; a buyer of half of them.
fn shop() -> World {
    let mut world = World::new();
    for number in 0..40 {
        world.add(Described::new(&format!("phone-{number}")));
        world.add(Described::new(&format!("case-{number}")));
    }
    for user in 0..120 {
        let (name, pair) = (format!("user-{user}"), user % 40);
        world.purchase(&name, &format!("phone-{pair}"));
        world.pass_hours(2.0);
        world.purchase(&name, &format!("case-{pair}"));
        world.pass_hours(2.0);
    }
    world
}

#[test]
fn a_skip_after_a_purchase_does_not_erase_the_purchase() {
    let mut world = shop();
    world.purchase("buyer", "phone-7");
    world.pass_hours(24.0);
    let before = world.best("buyer", 5);
    assert!(before.iter().any(|item| item == "case-7"), "before the skip: {before:?}");
    // The phone is shown again and passed over.
    world.skip("buyer", "phone-7");
    world.pass_hours(1.0);
    let after = world.best("buyer", 5);
    assert!(after.iter().any(|item| item == "case-7"), "after the skip: {after:?}");
}

#[test]
fn a_dislike_after_a_like_takes_it_back() {
    let mut world = shop();
    world.like("buyer", "phone-7");
    world.pass_hours(24.0);
    let before = world.best("buyer", 3);
    assert!(before.iter().any(|item| item == "case-7"), "before the dislike: {before:?}");
    world.happens(Event::of("buyer", "phone-7", Kind::Dislike));
    world.pass_hours(1.0);
    let after = world.best("buyer", 3);
    assert!(!after.iter().any(|item| item == "case-7"), "after the dislike: {after:?}");
}

#[test]
fn a_repeat_buyer_gets_the_groceries_that_are_due() {
    let settings = Settings { recommend_seen: None, ..quick_settings() };
    let mut world = World::with(settings);
    for number in 0..120 {
        world.add(Described::new(&format!("grocery-{number}")));
    }
    // Each of 24 households buys its five staples each week, and one other thing.
    let staples = |household: usize| -> Vec<String> {
        (0..5).map(|n| format!("grocery-{}", (household * 5 + n * 17) % 120)).collect()
    };
    for _week in 0..6 {
        for household in 0..24 {
            let name = format!("household-{household}");
            for item in staples(household) {
                world.purchase(&name, &item);
                world.pass_seconds(30.0);
            }
            let other = world.random.below(120);
            world.purchase(&name, &format!("grocery-{other}"));
            world.pass_seconds(600.0);
        }
        world.pass_hours(160.0);
    }
    assert!(world.recommends_again(), "users come back to items");
    let shares: Vec<f64> = (0..24)
        .map(|household| {
            let list = world.top(&format!("household-{household}"), 8);
            5.0_f64.min(8.0 * share_in(&list, &staples(household)))
        })
        .collect();
    let found = shares.iter().sum::<f64>() / 24.0;
    assert!(found >= 4.0, "{found:.2} of five staples in a list of eight: {shares:?}");
}

#[test]
fn what_a_client_kept_back_for_a_month_does_not_count_as_the_newest_taste() {
    let mut planted = Planted::untold_topics(World::new(), 40, 500, 10);
    planted.browse(20, 0.9);
    let (mut ordered, mut late) = (planted.world.fork(), planted.world.fork());
    // Clicks of thirty days on topic 7, then of one day on topic 2.
    let old = (0..30).map(|n| (format!("item-{}", n * 10 + 7), -800.0 + 24.0 * f64::from(n)));
    let new = (0..10).map(|n| (format!("item-{}", n * 10 + 2), -20.0 + f64::from(n)));
    let event = |(item, hours): (String, f64)| {
        Event::of("reader", &item, Kind::Click).at(planted.world.in_hours(hours))
    };
    ordered.happen(old.clone().chain(new.clone()).map(event));
    late.happen(new.chain(old).map(event));
    let of_new_topic = |list: &[String]| {
        list.iter().filter(|item| item.ends_with('2')).count() as f64 / list.len() as f64
    };
    let (list, own) = (ordered.best("reader", 10), late.best("reader", 10));
    let (share, own_share) = (of_new_topic(&list), of_new_topic(&own));
    assert!(
        share >= 0.4 && own_share >= share - 0.2,
        "of the newest taste: {share} in order {list:?}, {own_share} where the old came last {own:?}"
    );
}

#[test]
fn a_mere_impression_leaves_what_is_derived_of_a_user_as_it_is() {
    let planted = read(plainly, 2);
    let (mut world, before) = (planted.world.fork(), planted.world.derived_key("user-4"));
    world.impression("user-4", "item-9");
    assert_eq!(world.derived_key("user-4"), before);
    world.click("user-4", "item-9");
    assert_ne!(world.derived_key("user-4"), before);
}
