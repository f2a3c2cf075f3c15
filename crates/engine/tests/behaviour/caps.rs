//! Absolute caps and shares: a list is as long, and as even, as the catalogue allows.

use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::Random;
use crate::harness::World;

/// Topics and source of an item.
type Labels = (Vec<usize>, usize);

/// Up to two topics of four, one source of four. The more topics, the more popular.
fn small(random: &mut Random) -> (World, Vec<Labels>) {
    let mut world = World::new();
    let items: Vec<Labels> = (0..4 + random.below(8))
        .map(|_| {
            let mut topics: Vec<usize> = (0..random.below(3)).map(|_| random.below(4)).collect();
            topics.sort_unstable();
            topics.dedup();
            (topics, random.below(4))
        })
        .collect();
    for (number, (topics, source)) in items.iter().enumerate() {
        let described = Described::new(&format!("item-{number}")).source(&format!("s{source}"));
        world.add(topics.iter().fold(described, |item, topic| item.topic(&format!("t{topic}"))));
        for user in 0..3 * topics.len() {
            world.click(&format!("user-{user}"), &format!("item-{number}"));
        }
    }
    (world, items)
}

/// Whether a set of items keeps caps of topics and sources.
fn keeps<'a>(items: impl Iterator<Item = &'a Labels>, (per_topic, per_source): (u32, u32)) -> bool {
    let (mut topics, mut sources) = ([0_u32; 4], [0_u32; 4]);
    for (of_item, source) in items {
        of_item.iter().for_each(|&topic| topics[topic] += 1);
        sources[*source] += 1;
    }
    let within = |counts: &[u32], cap: u32| cap == 0 || counts.iter().all(|&n| n <= cap);
    within(&topics, per_topic) && within(&sources, per_source)
}

/// The most items that keep the caps, by trying all sets.
fn most(items: &[Labels], caps: (u32, u32)) -> usize {
    let of = |set: u32| items.iter().enumerate().filter(move |(at, _)| set >> at & 1 == 1);
    let sets = (0..1_u32 << items.len()).filter(|&set| keeps(of(set).map(|one| one.1), caps));
    sets.map(|set| set.count_ones() as usize).max().unwrap_or(0)
}

#[test]
fn a_list_within_caps_is_as_long_as_any_choice_of_items_could_make_it() {
    let mut random = Random::new(5);
    let (mut short, mut lists) = (Vec::new(), 0);
    for _ in 0..400 {
        let (world, items) = small(&mut random);
        let caps = (random.below(3) as u32, random.below(3) as u32);
        let positions = 1 + random.below(items.len());
        for ask in [Ask::of("reader", positions), Ask::of("reader", positions).plain()] {
            let list = world.answer(&ask.at_most(caps.0, caps.1)).items();
            let number = |item: &String| item["item-".len()..].parse::<usize>().unwrap();
            assert!(keeps(list.iter().map(|item| &items[number(item)]), caps), "{list:?}");
            let expected = most(&items, caps).min(positions);
            lists += 1;
            if list.len() < expected {
                short.push((list.len(), expected));
            }
        }
    }
    assert!(short.is_empty(), "{} of {lists} lists are short: {short:?}", short.len());
}

#[test]
fn a_share_of_a_topic_is_kept_however_many_popular_items_have_it() {
    let mut world = World::new();
    for item in 0..3_000 {
        world.add(Described::new(&format!("loud-{item}")).topic("loud"));
    }
    for item in 0..200 {
        world.add(Described::new(&format!("quiet-{item}")).topic(&format!("quiet-{}", item % 5)));
    }
    for item in 0..3_000 {
        world.click(&format!("user-{}", item % 400), &format!("loud-{item}"));
    }
    let list = world.answer(&Ask::of("reader", 20).plain().topic_threshold(0.7)).items();
    let loud = list.iter().filter(|item| item.starts_with("loud")).count();
    assert_eq!((list.len(), loud), (20, 6), "{list:?}");
    // Under a filter that leaves one topic the share yields.
    let ask = Ask::of("reader", 20).topic("loud").topic_threshold(0.7);
    assert_eq!(world.answer(&ask).items().len(), 20);
}
