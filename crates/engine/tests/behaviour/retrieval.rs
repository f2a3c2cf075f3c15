//! Retrieval: what a request is about is found, however large the catalogue is and whatever
//! else is known.

use std::sync::OnceLock;

use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::Event;
use crate::harness::Kind;
use crate::harness::Planted;
use crate::harness::World;
use crate::harness::mean;
use crate::harness::share_in;

const ITEMS: usize = 6_000;

/// One in ten items is a gem; each of the others that come first got more clicks than
/// any gem, and ten gems got more than the other gems.
fn gems() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let mut world = World::new();
        for item in 0..ITEMS {
            let kind = if item % 10 == 9 { "gem" } else { "stone" };
            let described = Described::new(&format!("item-{item}")).topic(kind).source(kind);
            let carats = if kind == "gem" { 2.0 + item as f64 / 1e6 } else { 0.5 };
            world.add(described.attribute("kind", kind).number("carats", carats));
        }
        // In rounds, so that what was clicked before is what is clicked next.
        for round in 0..3 {
            for stone in 0..600 {
                let (user, item) = (stone * 3 + round, stone / 9 * 10 + stone % 9);
                world.click(&format!("user-{}", user % 400), &format!("item-{item}"));
                world.pass_seconds(20.0);
            }
            for (number, gem) in best_gems().iter().enumerate().filter(|_| round > 0) {
                world.click(&format!("jeweller-{round}-{number}"), gem);
            }
        }
        world
    })
}

/// They are the newest of the catalogue.
fn best_gems() -> Vec<String> {
    (0..10).map(|gem| format!("item-{}", ITEMS - 1 - gem * 10)).collect()
}

fn assert_gems(ask: Ask, filter: &str) {
    let list = gems().answer(&ask).items();
    let share = share_in(&list, &best_gems());
    assert!(list.len() == 10 && share == 1.0, "by {filter}: {share} of the ten best in {list:?}");
}

#[test]
fn the_best_of_a_category_are_answered_whatever_the_filter_tests() {
    let ask = || Ask::of("stranger", 10).plain();
    assert_gems(ask().topic("gem"), "topic");
    assert_gems(ask().source("gem"), "source");
    assert_gems(ask().attribute("kind", "gem"), "attribute");
    assert_gems(ask().expression("kind == \"gem\""), "expression");
    assert_gems(ask().expression("carats >= 2"), "number");
    assert_gems(ask().expression("kind != \"stone\" and not carats < 1"), "negation");
}

/// A catalogue of 4,000 items with labels, and the clicks on each: many on a few, none on
/// most.
struct Labelled {
    world: World,
    clicks: Vec<usize>,
}

const LABELLED: usize = 4_000;

fn labels(item: usize) -> (usize, usize, usize) {
    (item % 7, item * 31 % 11, item * 17 % 5)
}

fn labelled() -> &'static Labelled {
    static LABELLED_WORLD: OnceLock<Labelled> = OnceLock::new();
    LABELLED_WORLD.get_or_init(|| {
        let (mut world, mut clicks) = (World::new(), vec![0; LABELLED]);
        for item in 0..LABELLED {
            let (topic, source, shelf) = labels(item);
            let described = Described::new(&format!("item-{item}"));
            let described = described.topic(&format!("t{topic}")).source(&format!("s{source}"));
            world.add(described.attribute("shelf", &format!("a{shelf}")));
        }
        for click in 0..4_000 {
            // Which items get many clicks has nothing to do with their order.
            let rank = (world.random.unit().powi(2) * LABELLED as f64) as usize;
            let item = (rank * 1_487 + 11) % LABELLED;
            clicks[item] += 1;
            world.click(&format!("user-{}", click % 500), &format!("item-{item}"));
        }
        Labelled { world, clicks }
    })
}

/// Every filter by one or two of the three kinds of labels, and none.
fn filters() -> Vec<[Option<usize>; 3]> {
    let some = |most: usize| std::iter::once(None).chain((0..most).map(Some));
    let mut filters = Vec::new();
    for topic in some(7) {
        for source in some(11) {
            for shelf in some(5) {
                let filter = [topic, source, shelf];
                if filter.contains(&None) {
                    filters.push(filter);
                }
            }
        }
    }
    filters
}

/// What is wrong with what is retrieved and answered under a filter.
fn fault([topic, source, shelf]: [Option<usize>; 3], n: usize) -> Option<String> {
    let Labelled { world, clicks } = labelled();
    let mut ask = Ask::of("stranger", n).plain();
    if let Some(topic) = topic {
        ask = ask.topic(&format!("t{topic}"));
    }
    if let Some(source) = source {
        ask = ask.source(&format!("s{source}"));
    }
    if let Some(shelf) = shelf {
        ask = ask.attribute("shelf", &format!("a{shelf}"));
    }
    let fits = |item: &usize| {
        let (own_topic, own_source, own_shelf) = labels(*item);
        topic.is_none_or(|topic| topic == own_topic)
            && source.is_none_or(|source| source == own_source)
            && shelf.is_none_or(|shelf| shelf == own_shelf)
    };
    let mut matches: Vec<usize> = (0..LABELLED).filter(fits).collect();
    matches.sort_by_key(|&item| std::cmp::Reverse(clicks[item]));
    let found = world.retrieved(&ask);
    // Of equals either will do.
    let last = matches.get(n).map_or(0, |&item| clicks[item]);
    let best = matches.iter().take(n).filter(|&&item| clicks[item] > last);
    let missing: Vec<(usize, usize)> = best
        .filter(|item| !found.contains(&format!("item-{item}")))
        .map(|&item| (item, clicks[item]))
        .collect();
    let (delivered, most) = (world.answer(&ask).list.len(), n.min(matches.len()));
    (!missing.is_empty() || delivered != most).then(|| {
        format!(
            "topic {topic:?}, source {source:?}, shelf {shelf:?}: of {} matches {delivered} of {n} \
             are delivered, the best that are not retrieved, with their clicks: {missing:?}",
            matches.len()
        )
    })
}

#[test]
fn the_most_popular_matches_are_always_retrieved_and_as_many_delivered_as_exist() {
    let filters = filters();
    let sizes = [1, 20, 5, 100, 20];
    let faults: Vec<String> = filters
        .iter()
        .enumerate()
        .filter_map(|(number, filter)| fault(*filter, sizes[number % sizes.len()]))
        .collect();
    let (count, all) = (faults.len(), filters.len());
    let some: Vec<&String> = faults.iter().take(5).collect();
    assert!(faults.is_empty(), "{count} of {all} filters: {some:#?}");
}

#[test]
fn under_a_filter_users_still_get_their_own_taste() {
    let mut planted = Planted::checkerboard(World::new(), 40, 400);
    let shelf = |item: usize| if (item / 2).is_multiple_of(8) { "small" } else { "large" };
    for item in 0..400 {
        planted.world.add(Described::new(&format!("item-{item}")).source(shelf(item)));
    }
    planted.browse(30, 1.0);
    let share = mean((0..40).map(|user| {
        let ask = Ask::of(&planted.users[user], 8).plain().source("small");
        share_in(&planted.world.answer(&ask).items(), &planted.favourites(user))
    }));
    assert!(share >= 0.85, "{share:.3} of the first eight of a small shelf are of the own colour");
}

/// A library of 2,000 books of which a few are about violins; a reader of one of them.
fn library() -> World {
    let mut world = World::new();
    for book in 0..2_000 {
        let is_violin = (1_000..1_008).contains(&book);
        let title = if is_violin { "violin making".to_owned() } else { format!("volume {book}") };
        world.add(Described::new(&format!("book-{book}")).titled(&title));
    }
    for click in 0..300 {
        world.click(&format!("user-{}", click % 60), &format!("book-{}", 100 + click % 150));
        world.pass_seconds(30.0);
    }
    world.click("violinist", "book-1000");
    world
}

#[test]
fn unknown_ids_of_events_do_not_push_the_catalogue_out_of_retrieval() {
    let mut world = library();
    let violins: Vec<String> = (1_001..1_008).map(|book| format!("book-{book}")).collect();
    let found = |world: &World| {
        let found = world.retrieved(&Ask::of("violinist", 10));
        (violins.iter().filter(|violin| found.contains(violin)).count(), found.len())
    };
    let before = found(&world);
    assert_eq!(before.0, 7, "books like the one that was read, of {} retrieved", before.1);
    for stray in 0..60_000 {
        let (user, item) = (format!("stray-{}", stray % 20), format!("unknown-{stray}"));
        world.happens(Event::of(&user, &item, Kind::Impression));
    }
    let after = found(&world);
    assert_eq!(after.0, 7, "books like the one that was read, of {} retrieved", after.1);
    let count = after.1 as f64 / before.1 as f64;
    assert!(count >= 0.9, "{} items are retrieved, before {}", after.1, before.1);
}

#[test]
fn what_is_only_asked_about_or_shown_becomes_no_part_of_the_state() {
    let mut world = library();
    let held = world.items_held();
    let answer = world.decide(Ask::of("a passer-by", 10));
    let ids: Vec<String> = (0..50).map(|number| format!("nobody-has-{number}")).collect();
    world.answer(&Ask::of("a passer-by", 10).among(&ids));
    world.repeat_decision(&answer, "another");
    assert_eq!(world.items_held(), held);
}
