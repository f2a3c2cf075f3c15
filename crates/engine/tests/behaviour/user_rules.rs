//! Blocks, mutes and boosts of a user: they hold in every call until they are changed.

use crate::harness::Answer;
use crate::harness::Ask;
use crate::harness::DAY;
use crate::harness::Described;
use crate::harness::Planted;
use crate::harness::SetFor;
use crate::harness::Settings;
use crate::harness::World;
use crate::harness::quick_settings;

const SPORTS: [&str; 4] = ["tennis", "golf", "chess", "rowing"];

/// Fifteen items of each sport; tennis is the most popular, and what the reader likes.
fn sports() -> World {
    let mut world = World::new();
    for sport in SPORTS {
        for number in 0..15 {
            world.add(described(&format!("{sport}-{number}"), sport));
        }
    }
    for user in 0..40 {
        let sport = if user % 4 == 3 { SPORTS[1 + user / 4 % 3] } else { SPORTS[0] };
        for number in 0..4 {
            world.click(&format!("user-{user}"), &format!("{sport}-{}", (user + number * 4) % 15));
        }
        world.pass_hours(1.0);
    }
    for number in 0..3 {
        world.like("reader", &format!("tennis-{number}"));
    }
    world.pass_hours(1.0);
    world
}

/// Each sport has a paper of its own.
fn described(id: &str, sport: &str) -> Described {
    Described::new(id).topic(sport).source(&format!("the {sport} paper"))
}

fn of(sport: &str, list: &[String]) -> usize {
    list.iter().filter(|item| item.starts_with(sport)).count()
}

fn ask(n: usize) -> Ask {
    Ask::of("reader", n).plain()
}

/// Every way to ask for a list of the reader's.
fn lists(world: &World) -> [(&'static str, Answer); 4] {
    let ids: Vec<String> = SPORTS
        .iter()
        .flat_map(|sport| (0..15).map(move |number| format!("{sport}-{number}")))
        .collect();
    [
        ("retrieval", world.answer(&ask(40))),
        ("candidates", world.answer(&ask(40).among(&ids))),
        ("a popular baseline", world.answer(&ask(40).popular_baseline())),
        ("a filter for it", world.answer(&ask(40).topic("tennis").topic("golf"))),
    ]
}

#[test]
fn what_a_user_has_blocked_comes_in_no_list_and_comes_back_when_it_is_not_blocked_any_more() {
    let mut world = sports();
    for (way, answer) in lists(&world) {
        assert!(of("tennis", &answer.items()) > 0, "{way}: {:?}", answer.items());
    }
    let before = world.answer(&ask(40)).items();
    let rules = SetFor::default()
        .block_topic("tennis")
        .block_source("the golf paper")
        .block_item("chess-4");
    world.update("reader", rules);
    for (way, answer) in lists(&world) {
        let list = answer.items();
        let blocked = of("tennis", &list) + of("golf", &list) + of("chess-4", &list);
        assert_eq!(blocked, 0, "{way}: {list:?}");
        assert!(answer.candidates.iter().all(|one| !one.item.starts_with("tennis")), "{way}");
        assert!(way == "a filter for it" || list.len() == 29, "{way}: {} items", list.len());
    }
    world.click("reader", "rowing-1");
    assert_eq!(of("tennis", &world.answer(&ask(40)).items()), 0, "events change nothing about it");
    assert_eq!(of("tennis", &world.restored().answer(&ask(40)).items()), 0, "nor a restart");
    let others = world.answer(&Ask::of("another", 40).plain()).items();
    assert!(of("tennis", &others) > 0, "others are not concerned: {others:?}");
    world.update("reader", SetFor::default().unblock_topic("tennis"));
    let after = world.answer(&ask(40)).items();
    assert!(of("tennis", &after) >= of("tennis", &before) - 1, "{after:?}");
}

#[test]
fn a_block_holds_for_a_topic_whose_first_item_comes_later() {
    let mut world = sports();
    world.update("reader", SetFor::default().block_topic("darts").block_source("the darts paper"));
    for number in 0..5 {
        world.add(Described::new(&format!("darts-{number}")).topic("darts"));
        world.add(Described::new(&format!("darts-b{number}")).source("the darts paper"));
    }
    for user in 0..30 {
        world.click(&format!("fan-{user}"), &format!("darts-{}", user % 5));
        world.click(&format!("fan-{user}"), &format!("darts-b{}", user % 5));
    }
    let others = world.answer(&Ask::of("another", 20).plain()).items();
    assert!(of("darts", &others) > 5, "{others:?}");
    for (way, answer) in lists(&world) {
        assert_eq!(of("darts", &answer.items()), 0, "{way}: {:?}", answer.items());
    }
}

#[test]
fn a_muted_topic_falls_behind_and_is_back_when_its_time_is_over() {
    let mut world = sports();
    let before = world.answer(&ask(10)).items();
    assert!(of("tennis", &before) >= 7, "{before:?}");
    let until = world.in_hours(7.0 * DAY);
    world.update("reader", SetFor::default().mute_topic("tennis", Some(until)));
    let muted = world.answer(&ask(60));
    let first: Vec<String> = muted.items().into_iter().take(10).collect();
    assert!(of("tennis", &first) <= 2, "{first:?}");
    assert!(of("tennis", &muted.items()) > 0, "a mute is no block: {:?}", muted.items());
    let change = |item: &str| {
        let found = muted.list.iter().find(|one| one.item.starts_with(item));
        found.and_then(|one| one.components.get("boost").copied()).unwrap_or(0.0)
    };
    assert!(change("tennis") < 0.0 && change("golf") == 0.0);
    let sooner = world.answer(&ask(10).at(world.in_hours(6.9 * DAY))).items();
    let later = world.answer(&ask(10).at(world.in_hours(7.1 * DAY))).items();
    assert!(of("tennis", &sooner) <= 2 && of("tennis", &later) >= 7, "{sooner:?}, then {later:?}");
}

#[test]
fn no_reason_names_a_topic_or_a_source_that_the_user_has_muted() {
    let mut world = sports();
    let named = |world: &World| -> Vec<String> {
        let list = world.answer(&ask(60)).list.into_iter();
        let reasons = list.flat_map(|one| one.reasons);
        reasons.flat_map(|one| [one.topic, one.group]).flatten().map(String::from).collect()
    };
    let before = named(&world);
    assert!(before.contains(&"tennis".to_owned()), "{before:?}");
    assert!(before.contains(&"the tennis paper".to_owned()), "{before:?}");
    let rules = SetFor::default().mute_topic("tennis", None).mute_source("the tennis paper");
    world.update("reader", rules);
    let muted = named(&world);
    assert!(muted.iter().all(|name| !name.contains("tennis")) && !muted.is_empty(), "{muted:?}");
}

#[test]
fn a_muted_topic_falls_behind_before_anything_is_learnt() {
    let mut world = World::new();
    for sport in SPORTS {
        for number in 0..10 {
            world.add(described(&format!("{sport}-{number}"), sport));
        }
    }
    let first = world.answer(&ask(10)).items();
    let sport = first[0].split('-').next().unwrap().to_owned();
    world.update("reader", SetFor::default().mute_topic(&sport, None));
    let muted = world.answer(&ask(10)).items();
    assert_eq!(of(&sport, &muted), 0, "{sport} is muted: {muted:?}, before {first:?}");
}

#[test]
fn a_boosted_topic_comes_first_though_nothing_else_brings_it_up() {
    let mut world = Planted::topics(World::new(), 40, 4_000, 100);
    world.browse(4, 0.9);
    let Planted { mut world, .. } = world;
    for number in 0..12 {
        let old = world.in_hours(-1_000.0 * DAY);
        world.add(Described::new(&format!("curling-{number}")).topic("curling").published(old));
    }
    let before = world.best("user-3", 10);
    assert_eq!(of("curling", &before), 0, "{before:?}");
    world.update("user-3", SetFor::default().boost_topic("curling", 1.0));
    let after = world.answer(&Ask::of("user-3", 10).plain());
    assert!(of("curling", &after.items()) >= 9, "{:?}", after.items());
    assert!(after.list.iter().all(|one| one.components.get("boost") == Some(&1.0)), "{after:?}");
}

/// A namespace for a thousand users.
fn small() -> World {
    let mut world = World::with(Settings { users_max: 1_000, ..quick_settings() });
    (0..50).for_each(|item| world.add(Described::new(&format!("item-{item}")).topic("any")));
    world
}

#[test]
fn users_with_rules_are_remembered_longer_than_those_with_a_history_alone() {
    let mut world = small();
    for user in 0..100 {
        world.update(&format!("ruled-{user}"), SetFor::default().block_topic("tennis"));
    }
    for user in 0..3_000 {
        for item in 0..2 {
            world.click(&format!("user-{user}"), &format!("item-{}", (user + item) % 50));
        }
        world.pass_seconds(30.0);
    }
    let known = (0..100).filter(|user| world.knows(&format!("ruled-{user}"))).count();
    assert_eq!(known, 100);
    assert!(world.users() <= 1_000);
}

#[test]
fn users_who_are_not_to_be_profiled_are_remembered_longer_than_others_with_rules() {
    let mut world = small();
    let private = |user: usize| format!("private-{user}");
    for user in 0..300 {
        world.update(&private(user), SetFor::default().profiled(false));
    }
    for user in 0..1_500 {
        let name = format!("ruled-{user}");
        world.click(&name, &format!("item-{}", user % 50));
        world.update(&name, SetFor::default().block_topic("tennis"));
    }
    assert_eq!((0..300).filter(|&user| world.knows(&private(user))).count(), 300);
    assert!(world.users() <= 1_000);
}

/// Blocks of so many items with long ids.
fn long_blocks(who: &str, blocks: usize) -> SetFor {
    let block = |rules: SetFor, number| rules.block_item(&format!("{who}-{number:0>240}"));
    (0..blocks).fold(SetFor::default(), block)
}

#[test]
fn users_whose_rules_are_too_long_lose_the_rules_and_nothing_else() {
    let mut world = small();
    (0..10).for_each(|item| world.click("reader", &format!("item-{item}")));
    let had = world.had("reader");
    world.update("reader", long_blocks("reader", 200).block_topic("any").profiled(false));
    let ask = Ask::of("reader", 10).plain().include_seen(true);
    assert_eq!(world.answer(&ask).items(), [""; 0], "all items are of the blocked topic");
    for other in 0..40 {
        let other = format!("other-{other}");
        world.update(&other, long_blocks(&other, 150));
    }
    assert_eq!(world.answer(&ask).items().len(), 10, "the blocks were dropped");
    world.like("reader", "item-20");
    assert_eq!(world.had("reader"), had, "nothing more is learnt, and nothing is forgotten");
    assert!((0..40).all(|other| world.knows(&format!("other-{other}"))));
}

#[test]
fn rules_do_not_drive_out_histories_nor_take_memory_without_end() {
    let mut world = small();
    for user in 0..400 {
        for item in 0..10 {
            world.click(&format!("user-{user}"), &format!("item-{}", (user + item) % 50));
        }
    }
    world.update("honest", SetFor::default().block_topic("tennis").block_source("a paper"));
    for attacker in 0..3_000 {
        let name = format!("attacker-{attacker}");
        world.update(&name, long_blocks(&name, 150));
    }
    let known = (0..400).filter(|user| world.knows(&format!("user-{user}"))).count();
    assert!(known >= 390, "{known} of 400 users with a history are left");
    assert!(world.knows("honest"), "short rules stay before long ones");
    let bytes = world.state_bytes();
    assert!(bytes < 6 << 20, "the state takes {bytes} bytes");
    let again = world.restored();
    assert_eq!(again.users(), world.users());
}

#[test]
fn attributes_do_not_take_memory_without_end() {
    let mut world = small();
    let long = "x".repeat(1_000);
    for attacker in 0..500 {
        for number in 0..15 {
            let attribute = SetFor::default().attribute(&format!("name-{number}"), &long);
            world.update(&format!("attacker-{attacker}"), attribute);
        }
    }
    let bytes = world.state_bytes();
    assert!(bytes < 4 << 20, "the state takes {bytes} bytes");
    assert_eq!(world.restored().users(), world.users());
}
