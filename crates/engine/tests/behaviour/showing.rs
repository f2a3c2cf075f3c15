//! When items are shown: hidden ones never, others from their publication until they expire. All are
//! learnt from.

use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::Strategy;
use crate::harness::World;

/// Of the films that all like, one is hidden, one has expired, one comes later and one leaves soon.
const WITHHELD: [&str; 3] = ["hidden", "expired", "upcoming"];

/// A catalogue of films whose most popular ones are withheld, in a trained world.
fn cinema() -> World {
    let mut world = World::new();
    let film = |name: &str| Described::new(name).titled("a film of trains").topic("film");
    let now = world.now();
    for name in ["hidden", "expired", "upcoming", "leaving"] {
        world.add(film(name));
    }
    for number in 0..60 {
        world.add(film(&format!("film-{number}")).number("number", f64::from(number)));
    }
    for user in 0..30 {
        let name = format!("user-{user}");
        for item in ["hidden", "expired", "upcoming", "leaving"] {
            world.like(&name, item);
        }
        for step in 0..8 {
            world.click(&name, &format!("film-{}", (user * 7 + step * 5) % 60));
        }
        world.pass_hours(1.0);
    }
    world.train().expect("enough to train on");
    world.patch(&["hidden"], film("hidden").hidden(true));
    world.patch(&["expires_at"], film("expired").expires(world.in_hours(-1.0)));
    world.patch(&["published_at"], film("upcoming").published(world.in_hours(10.0)));
    world.patch(&["expires_at"], film("leaving").expires(world.in_hours(10.0)));
    assert!(world.now() > now);
    world
}

fn assert_none(list: &[String], of: &[&str], by: &str) {
    let found: Vec<_> = list.iter().filter(|item| of.contains(&item.as_str())).collect();
    assert!(!list.is_empty() && found.is_empty(), "by {by}: {found:?} in {list:?}");
}

#[test]
fn a_withheld_item_comes_by_no_path() {
    let world = cinema();
    let fans = || Ask::of("user-3", 60).include_seen(true);
    let asks = [
        ("a new user", Ask::of("stranger", 60)),
        ("taste", fans()),
        ("topic", fans().topic("film")),
        ("expression", fans().expression("not has(number)")),
        ("the candidates of the request", fans().among(&[&WITHHELD[..], &["film-1"]].concat())),
        ("the popular baseline", fans().popular_baseline()),
        ("chance", fans().strategy(Strategy::EpsilonGreedy)),
    ];
    for world in [&world, &world.restored()] {
        for (by, ask) in &asks {
            assert_none(&world.answer(ask).items(), &WITHHELD, by);
        }
        assert_none(&world.retrieved(&fans()), &WITHHELD, "retrieval");
        assert_none(&world.similar("film-1", 60), &WITHHELD, "similarity");
        assert_none(&world.onboarding(50), &WITHHELD, "onboarding");
    }
    let open = world.answer(&fans().among(&["leaving", "hidden"])).items();
    assert_eq!(open, ["leaving"]);
}

#[test]
fn similar_items_may_start_from_a_hidden_one() {
    assert!(cinema().similar("hidden", 10).len() == 10);
}

#[test]
fn the_moment_of_the_request_decides_not_the_time_of_the_last_record() {
    let world = cinema();
    let at = |hours: f64| {
        let ask = Ask::of("user-3", 10).include_seen(true).among(&["upcoming", "leaving"]);
        let mut items = world.answer(&ask.at(world.in_hours(hours))).items();
        items.sort();
        items
    };
    assert_eq!(at(9.9), ["leaving"]);
    assert_eq!(at(10.0), ["upcoming"]);
    assert_eq!(at(-2.0), ["leaving"]);
    let top = |hours: f64| {
        let ask = Ask::of("stranger", 5).plain().at(world.in_hours(hours));
        world.answer(&ask).items()
    };
    assert!(top(9.9).contains(&"leaving".to_owned()) && !top(9.9).contains(&"upcoming".to_owned()));
    assert!(!top(10.0).contains(&"leaving".to_owned()), "{:?}", top(10.0));
    assert!(top(10.0).contains(&"upcoming".to_owned()), "{:?}", top(10.0));
    let before = top(-2.0);
    assert!(before.contains(&"expired".to_owned()), "an hour before it expired: {before:?}");
}

#[test]
fn what_users_do_with_a_hidden_item_raises_its_neighbours() {
    let mut world = World::new();
    for number in 0..40 {
        world.add(Described::new(&format!("book-{number}")).topic("book"));
    }
    world.add(Described::new("secret").topic("book").hidden(true));
    for user in 0..12 {
        let name = format!("user-{user}");
        world.click(&name, "secret");
        world.click(&name, "book-7");
        world.click(&format!("other-{user}"), &format!("book-{}", 10 + user));
        world.pass_hours(1.0);
    }
    world.click("reader", "secret");
    assert_eq!(world.best("reader", 3)[0], "book-7");
    assert_eq!(world.similar("secret", 3)[0], "book-7");
    assert!(!world.similar("book-7", 40).contains(&"secret".to_owned()));
}

#[test]
fn an_item_that_is_no_longer_hidden_is_there_at_once_with_all_that_was_learnt() {
    let mut world = cinema();
    assert_none(&world.top("stranger", 10), &["hidden"], "before");
    world.patch(&["hidden"], Described::new("hidden"));
    let list = world.best("stranger", 4);
    assert!(list.contains(&"hidden".to_owned()), "most popular of all: {list:?}");
}

#[test]
fn an_expired_item_that_is_upserted_again_is_back() {
    let mut world = cinema();
    world.add(Described::new("expired").titled("a film of trains").topic("film"));
    let list = world.best("stranger", 4);
    assert!(list.contains(&"expired".to_owned()), "{list:?}");
    world.delete("hidden");
    world.add(Described::new("hidden").hidden(true));
    assert_none(&world.top("stranger", 60), &["hidden"], "deletion and a hidden upsert");
}

#[test]
fn a_filter_may_ask_when_items_expire() {
    let world = cinema();
    let list = world.answer(&Ask::of("stranger", 10).expression("has(expires_at)")).items();
    assert_eq!(list, ["leaving"]);
}
