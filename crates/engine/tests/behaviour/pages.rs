//! Lists of several pages: each item once, the best first, by what is known when a page is asked for.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::harness::Answer;
use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::Kind;
use crate::harness::World;
use crate::harness::share_in;

/// So many items of the topics in turn; the first are the most popular.
fn popular_in_order(items: usize, topics: &[&str]) -> World {
    let mut world = World::new();
    for item in 0..items {
        let described = Described::new(&format!("item-{item}"));
        let source = format!("source-{}", item % 7);
        world.add(described.topic(topics[item % topics.len()]).source(&source));
    }
    for item in 0..items.min(80) {
        for user in 0..(80 - item) {
            world.click(&format!("user-{user}"), &format!("item-{item}"));
        }
        world.pass_seconds(60.0);
    }
    world
}

/// The pages of a list to its end, each recorded.
fn pages(world: &mut World, ask: &Ask) -> Vec<Answer> {
    let mut pages = Vec::new();
    let mut page = world.decide(ask.clone());
    while !page.list.is_empty() {
        let next = ask.clone().after(&page);
        pages.push(page);
        page = world.decide(next);
    }
    pages
}

fn joined(pages: &[Answer]) -> Vec<String> {
    pages.iter().flat_map(Answer::items).collect()
}

fn count<'a>(labels: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    labels.for_each(|label| *counts.entry(label).or_default() += 1);
    counts
}

fn number(item: &str) -> usize {
    item["item-".len()..].parse().expect("a number")
}

#[test]
fn pages_to_the_end_show_every_allowed_item_once_and_then_nothing() {
    let mut world = popular_in_order(250, &["a", "b", "c"]);
    world.hide("reader", "item-4");
    let pages = pages(&mut world, &Ask::of("reader", 10));
    let list = joined(&pages);
    let once: BTreeSet<&String> = list.iter().collect();
    assert_eq!((pages.len(), list.len(), once.len()), (25, 249, 249), "{list:?}");
    assert!(!list.contains(&"item-4".to_owned()));
}

#[test]
fn pages_are_what_one_long_list_would_be() {
    let world = popular_in_order(90, &["a", "b", "c"]);
    let ask = |n: usize| Ask::of("reader", n).plain();
    let long = world.answer(&ask(60)).items();
    let mut fork = world.fork();
    let mut list = Vec::new();
    let mut page = fork.answer(&ask(20));
    for _ in 0..3 {
        list.extend(page.items());
        page = fork.answer(&ask(20).after(&page));
    }
    assert_eq!(list, long);
    // With variety it is much the same.
    let varied = pages(&mut fork, &Ask::of("reader", 20));
    let share = share_in(&joined(&varied[..3]), &world.answer(&Ask::of("reader", 60)).items());
    assert!(share > 0.85, "{share}");
}

#[test]
fn the_twentieth_page_of_a_large_catalogue_is_the_best_of_what_is_left() {
    let mut world = World::new();
    for item in 0..4_000 {
        world.add(Described::new(&format!("item-{item}")));
    }
    for item in 0..600 {
        // The first have the most clicks.
        for click in 0..(1 + (600 - item) / 100) {
            world
                .click(&format!("user-{}", (item * 31 + click * 7) % 300), &format!("item-{item}"));
        }
    }
    let ask = Ask::of("stranger", 20).plain();
    let mut page = world.decide(ask.clone());
    for _ in 1..20 {
        page = world.decide(ask.clone().after(&page));
    }
    // About positions 380 to 399 of the most popular.
    let items = page.items();
    let near = items.iter().filter(|item| (280..500).contains(&number(item))).count();
    assert!(items.len() == 20 && near >= 18, "{items:?}");
}

#[test]
fn caps_of_topics_and_sources_hold_over_all_pages() {
    let mut world = popular_in_order(210, &["a", "b", "c"]);
    let ask = Ask::of("reader", 10).at_most(20, 0);
    let list = joined(&pages(&mut world, &ask));
    let topics = count(list.iter().map(|item| ["a", "b", "c"][number(item) % 3]));
    assert_eq!(topics, BTreeMap::from([("a", 20), ("b", 20), ("c", 20)]));
    let ask = Ask::of("reader", 10).at_most(0, 5);
    let list = joined(&pages(&mut world, &ask));
    let sources =
        count(list.iter().map(|item| ["0", "1", "2", "3", "4", "5", "6"][number(item) % 7]));
    assert!(sources.len() == 7 && sources.values().all(|&items| items == 5), "{sources:?}");
}

#[test]
fn shares_of_topics_are_of_all_positions_so_far() {
    // Half of the items are of one topic, and all popular ones.
    let mut world = World::new();
    for item in 0..120 {
        let quiet = format!("quiet-{}", item % 5);
        let topic = if item < 60 { "loud" } else { quiet.as_str() };
        world.add(Described::new(&format!("item-{item}")).topic(topic));
    }
    for item in 0..60 {
        (0..5).for_each(|user| world.click(&format!("user-{user}"), &format!("item-{item}")));
    }
    let ask = Ask::of("reader", 10).plain().topic_threshold(0.7);
    let mut shown = 0;
    for (page, answer) in pages(&mut world, &ask).iter().take(6).enumerate() {
        let loud = answer.items().iter().filter(|item| number(item) < 60).count();
        shown += loud;
        assert_eq!(shown, 3 * (page + 1), "page {page}: {:?}", answer.items());
    }
}

#[test]
fn a_varied_second_page_turns_to_other_topics_than_the_first_showed() {
    let mut world = World::new();
    for item in 0..40 {
        let topic = if item < 20 { "loud" } else { "quiet" };
        world.add(Described::new(&format!("item-{item}")).topic(topic));
    }
    let loud = |answer: &Answer| answer.items().iter().filter(|it| number(it) < 20).count();
    let ask = Ask::of("reader", 4).topic_threshold(0.0);
    let of_loud = world.decide(ask.clone().topic("loud"));
    let of_quiet = world.decide(ask.clone().topic("quiet"));
    let first = |page: &Answer| number(&world.answer(&ask.clone().after(page)).items()[0]) < 20;
    assert_eq!((loud(&of_loud), loud(&of_quiet)), (4, 0));
    assert!(!first(&of_loud) && first(&of_quiet));
}

#[test]
fn what_happens_between_two_pages_counts_for_the_second() {
    let mut world = World::new();
    for taste in ["jazz", "metal"] {
        for item in 0..30 {
            world.add(Described::new(&format!("{taste}-{item}")).topic(taste).titled(taste));
        }
        for fan in 0..10 {
            for item in (0..30).filter(|item| item % 3 == fan % 3) {
                world.click(&format!("{taste}-fan-{fan}"), &format!("{taste}-{item}"));
            }
            world.pass_seconds(30.0);
        }
    }
    let ask = Ask::of("visitor", 10).plain();
    let first = world.decide(ask.clone());
    let without = world.answer(&ask.clone().after(&first));
    let of = |answer: &Answer, taste: &str| {
        answer.items().iter().filter(|item| item.starts_with(taste)).count()
    };
    let rare = if of(&without, "jazz") < of(&without, "metal") { "jazz" } else { "metal" };
    for item in first.items().iter().filter(|item| item.starts_with(rare)).take(3) {
        world.reacts(&first, item, Kind::Like);
    }
    (0..3).for_each(|item| world.like("visitor", &format!("{rare}-{item}")));
    let hidden = without.items()[0].clone();
    world.hide("visitor", &hidden);
    let after = world.answer(&ask.after(&first));
    let (before, after_likes) = (of(&without, rare), of(&after, rare));
    assert!(after_likes > before, "{:?} {:?}", without.items(), after.items());
    assert!(!after.items().contains(&hidden));
    assert_eq!(share_in(&after.items(), &first.items()), 0.0);
}

#[test]
fn a_list_by_popularity_stays_by_popularity_and_its_later_pages_are_no_trials() {
    // Nothing is taken over: all lists are the baseline's.
    let mut world = popular_in_order(60, &["a", "b"]);
    let ask = |n: usize| Ask::of("reader", n).popular_baseline();
    let long = world.answer(&ask(60)).items();
    let pages = pages(&mut world, &ask(10));
    assert_eq!(joined(&pages), long);
    assert!(pages.iter().all(|page| page.list.iter().all(|one| one.propensity == 1.0)));
    assert_eq!(world.view().takeover().trials, 1);
}
