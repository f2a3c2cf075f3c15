//! Results of a search: the right items, only of the catalogue, and as many as there are.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use crate::Engine;
use crate::GiveUp;
use crate::columns::index::ItemIndex;
use crate::domain::AttributeValue;
use crate::domain::Attributes;
use crate::domain::EventId;
use crate::domain::Interaction;
use crate::domain::InteractionContext;
use crate::domain::InteractionType;
use crate::domain::Item;
use crate::domain::ItemId;
use crate::domain::LogRecord;
use crate::domain::Record;
use crate::domain::ScoreChange;
use crate::domain::Settings;
use crate::domain::SettingsChange;
use crate::domain::Timestamp;
use crate::domain::UserId;
use crate::domain::Withheld;
use crate::features::UserContext;
use crate::models::contexts::RequestValues;
use crate::retrieval::Boost;
use crate::retrieval::Caps;
use crate::retrieval::Eligibility;
use crate::retrieval::Exclusion;
use crate::retrieval::Filter;
use crate::retrieval::Retrieval;
use crate::retrieval::Supply;
use crate::retrieval::Target;
use crate::state::View;

mod filters;

const NOW: i64 = 1_700_000_000;

/// An engine and its records.
struct World {
    engine: Engine,
    records: Vec<LogRecord>,
}

impl World {
    fn new() -> Self {
        let settings = Settings { recommend_seen: Some(false), ..Settings::default() };
        Self { engine: Engine::new(settings), records: Vec::new() }
    }

    fn learn(&mut self, record: Record) {
        let sequence = self.records.len() as u64 + 1;
        let recorded_at = Timestamp::from_seconds(NOW);
        self.records.push(LogRecord { sequence, recorded_at, record });
        self.engine.apply(&self.records[self.records.len() - 1..]).unwrap();
    }

    fn event(&mut self, kind: InteractionType, user: &str, item: &str) {
        self.learn(Record::Interaction(Interaction {
            event_id: EventId::parse(format!("e{}", self.records.len())).unwrap(),
            user_id: UserId::parse(user).unwrap(),
            item_id: ItemId::parse(item).unwrap(),
            kind,
            value: None,
            occurred_at: Timestamp::from_seconds(NOW - 600),
            session_id: None,
            decision_id: None,
            position: None,
            context: InteractionContext::default(),
        }));
    }

    fn index(&self, id: &str) -> ItemIndex {
        self.engine.state().item_index(id).unwrap()
    }
}

fn item(number: usize) -> Item {
    Item {
        published_at: Some(Timestamp::from_seconds(NOW - 1_000_000 + number as i64)),
        ..Item::new(ItemId::parse(format!("i{number}")).unwrap())
    }
}

/// A request for a list.
#[derive(Clone, Copy)]
struct Request<'a> {
    user: &'a str,
    now: i64,
    key: &'a str,
    supply: Supply<'a>,
}

impl<'a> Request<'a> {
    fn of(user: &'a str) -> Self {
        let supply = Supply {
            needed: 50,
            positions: 10,
            caps: Caps::NONE,
            shares: Caps::NONE,
            above: &[],
            boosts: &[],
        };
        Self { user, now: NOW, key: "decision", supply }
    }

    fn positions(mut self, positions: usize) -> Self {
        (self.supply.positions, self.supply.needed) = (positions, 5 * positions);
        self
    }

    fn run(self, view: &View, filter: &Filter) -> Vec<ItemIndex> {
        let now = Timestamp::from_seconds(self.now);
        let user = view.user_index(self.user).map(|user| view.user(user).as_ref());
        let context = UserContext::new(view, user);
        let retrieval = Retrieval {
            view,
            user,
            context: &context,
            eligible: &Eligibility::new(view, filter, self.user, &context, now, &[]),
            values: RequestValues::NONE,
            now,
            seed_key: self.key.as_bytes(),
            give_up: &GiveUp::never(),
        };
        retrieval.run(&self.supply).unwrap()
    }
}

fn topic(name: &str) -> Filter {
    Filter { topics: vec![name.into()], ..Filter::default() }
}

/// The `n` most popular items that the filter allows, by a full scan.
fn most_popular(view: &View, filter: &Filter, user: &str, now: i64, n: usize) -> Vec<ItemIndex> {
    let now = Timestamp::from_seconds(now);
    let index = view.user_index(user).map(|user| view.user(user).as_ref());
    let context = UserContext::new(view, index);
    let eligible = Eligibility::new(view, filter, user, &context, now, &[]);
    let scales = view.popularity_scales();
    let value = |index: ItemIndex| scales.popularity(&view.items.popularity.items[index]);
    let mut all: Vec<ItemIndex> = view
        .item_indices()
        .filter(|&index| eligible.allows(view.entry(index), Some(index)))
        .collect();
    let born = |index: ItemIndex| view.entry(index).born();
    all.sort_by(|&a, &b| value(b).total_cmp(&value(a)).then(born(b).cmp(&born(a))).then(b.cmp(&a)));
    all.truncate(n);
    all
}

#[test]
fn the_ten_most_popular_of_a_category_are_found_among_six_thousand_items() {
    let mut world = World::new();
    for number in 0..6_000 {
        let name = if number % 10 == 7 { "rare" } else { "common" };
        world.learn(Record::ItemUpserted(Item { topics: vec![name.into()], ..item(number) }));
    }
    // Many other items are more popular than those of the category.
    for number in (0..6_000).filter(|number| number % 10 != 7).take(1_500) {
        world.event(InteractionType::Like, &format!("r{}", number % 700), &format!("i{number}"));
    }
    let best: BTreeSet<usize> = (0..10).map(|nth| 5_007 - nth * 300).collect();
    for number in &best {
        world.event(InteractionType::Click, &format!("fan{number}"), &format!("i{number}"));
    }
    let view = world.engine.state();
    let found = Request::of("new user").run(view, &topic("rare"));
    let missing: Vec<_> =
        best.iter().filter(|n| !found.contains(&world.index(&format!("i{n}")))).collect();
    assert!(missing.is_empty(), "not found: {missing:?}");
    assert!(found.len() >= 50, "{} of the 600 are delivered", found.len());
    let all = Request::of("new user").positions(200).run(view, &topic("rare"));
    assert_eq!(all.len(), 600, "every match is delivered when all are requested");
}

#[test]
fn items_that_fill_a_list_up_are_popular_or_young_and_not_the_first_indices() {
    let mut world = World::new();
    for number in 0..3_000 {
        world.learn(Record::ItemUpserted(Item { topics: vec!["all".into()], ..item(number) }));
    }
    let view = world.engine.state();
    let found = Request::of("new user").positions(40).run(view, &topic("all"));
    let oldest = found.iter().filter(|index| index.get() < 1_000).count();
    let youngest = found.iter().filter(|index| index.get() >= 2_500).count();
    assert!(oldest < 20 && youngest >= 180, "{oldest} of the oldest, {youngest} of the youngest");
}

#[test]
fn items_that_only_events_name_displace_no_candidates() {
    let mut world = World::new();
    let words = ["river", "boat", "fish", "lake", "stone", "peak", "rope", "snow"];
    for number in 0..200 {
        let title = format!("{} {}", words[number % 4], words[4 + number % 4]);
        world.learn(Record::ItemUpserted(Item { title, ..item(number) }));
    }
    world.event(InteractionType::Like, "reader", "i0");
    let before = Request::of("reader").run(world.engine.state(), &Filter::default());
    for number in 0..3_000 {
        world.event(
            InteractionType::Click,
            &format!("u{}", number % 7),
            &format!("unknown-{number}"),
        );
    }
    let view = world.engine.state();
    for draw in 0..20 {
        let key = format!("decision {draw}");
        let found = Request { key: &key, ..Request::of("reader") }.run(view, &Filter::default());
        assert!(found.iter().all(|&index| view.entry(index).item.is_some()));
        assert!(found.len() >= 100, "{} are delivered", found.len());
    }
    // Items similar to the user's are found as before.
    let alike: Vec<ItemIndex> =
        (4..200).step_by(4).map(|n| world.index(&format!("i{n}"))).collect();
    let count = |found: &[ItemIndex]| alike.iter().filter(|index| found.contains(index)).count();
    let after = Request::of("reader").run(view, &Filter::default());
    assert_eq!((count(&before), count(&after)), (alike.len(), alike.len()));
}

#[test]
fn items_to_explore_are_drawn_evenly_from_those_allowed() {
    let mut world = World::new();
    // No share for new items.
    let settings = Settings { new_item_share: 0.0, ..Settings::default() };
    world.learn(Record::SettingsSet(SettingsChange { settings, replaces: 0 }));
    for number in 0..4_000 {
        let name = if number % 20 == 0 { "rare" } else { "common" };
        world.learn(Record::ItemUpserted(Item { topics: vec![name.into()], ..item(number) }));
    }
    let view = world.engine.state();
    let mut times: BTreeMap<ItemIndex, usize> = BTreeMap::new();
    for draw in 0..200 {
        let key = format!("decision {draw}");
        let request = Request { key: &key, ..Request::of("new user") }.positions(1);
        for index in request.run(view, &topic("rare")) {
            *times.entry(index).or_default() += 1;
        }
    }
    // 100 of the 200 matches are the youngest; the others come by draws of 20 of 200.
    let drawn: Vec<usize> = times.values().copied().filter(|&times| times < 200).collect();
    assert!(drawn.len() >= 95, "{} of the older ones are ever drawn", drawn.len());
    assert!(drawn.iter().all(|&times| times < 45), "{drawn:?}");
}

#[test]
fn a_hidden_item_never_comes_back_whatever_the_seen_rules_are() {
    let mut world = World::new();
    for number in 0..30 {
        world.learn(Record::ItemUpserted(item(number)));
    }
    for reader in 0..20 {
        world.event(InteractionType::Like, &format!("r{reader}"), "i3");
    }
    world.event(InteractionType::Like, "reader", "i4");
    world.event(InteractionType::Hide, "reader", "i3");
    let filter = Filter { include_seen: true, ..Filter::default() };
    let (view, hidden) = (world.engine.state(), world.index("i3"));
    let found = Request::of("reader").run(view, &filter);
    assert!(!found.contains(&hidden) && found.contains(&world.index("i4")));
    assert!(Request::of("other user").run(view, &filter).contains(&hidden));
    let user = view.user(view.user_index("reader").unwrap()).as_ref();
    let (context, now) = (UserContext::new(view, Some(user)), Timestamp::from_seconds(NOW));
    let eligible = Eligibility::new(view, &filter, "reader", &context, now, &[]);
    let entry = view.entry(hidden);
    assert_eq!(eligible.exclusions(entry, Some(hidden)), [Exclusion::HiddenByUser]);
    assert!(eligible.allows_pinned(entry, Some(hidden)), "pins are the caller's decision");
}

#[test]
fn an_item_of_the_future_does_not_exist_before_its_time() {
    let mut world = World::new();
    for number in 0..300 {
        world.learn(Record::ItemUpserted(Item { topics: vec!["news".into()], ..item(number) }));
    }
    let later = Some(Timestamp::from_seconds(NOW + 3_600));
    let future = || Item { published_at: later, topics: vec!["news".into()], ..item(999) };
    world.learn(Record::ItemUpserted(future()));
    for reader in 0..9 {
        world.event(InteractionType::Like, &format!("r{reader}"), "i999");
        world.event(InteractionType::Like, &format!("r{reader}"), "i5");
    }
    let (view, index) = (world.engine.state(), world.index("i999"));
    let raised = Boost { target: Target::Item("i999".into()), change: ScoreChange::Add(1.0) };
    let boosts = [raised];
    for filter in [Filter::default(), topic("news")] {
        for (now, is_there) in [(NOW, false), (NOW + 3_599, false), (NOW + 3_600, true)] {
            let mut request = Request { now, ..Request::of("r1") };
            request.supply.boosts = &boosts;
            let filter = Filter { include_seen: true, ..filter.clone() };
            assert_eq!(request.run(view, &filter).contains(&index), is_there, "at {now}");
        }
    }
    let (context, filter) = (UserContext::default(), Filter::default());
    let now = Timestamp::from_seconds(NOW);
    let eligible = Eligibility::new(view, &filter, "new user", &context, now, &[]);
    let known = view.entry(index);
    assert_eq!(
        eligible.exclusions(known, Some(index)),
        [Exclusion::Withheld(Withheld::NotYetPublished)]
    );
    assert!(!eligible.allows_pinned(known, Some(index)), "it cannot be pinned");
    let (described, _) = view.describe_inline(Arc::new(item(999)));
    for allowed in [Eligibility::allows, Eligibility::allows_pinned] {
        assert!(!allowed(&eligible, &described, Some(index)), "the catalogue withholds it");
        assert!(allowed(&eligible, &described, Some(world.index("i5"))), "this one is shown");
    }
    let (described, _) = view.describe_inline(Arc::new(Item { published_at: later, ..item(5) }));
    assert!(!eligible.allows(&described, Some(world.index("i5"))), "the request says so itself");
    let alike = crate::similar_items(view, world.index("i5"), now, 300);
    assert!(alike.iter().all(|one| one.index != index));
}

#[test]
fn an_earlier_pool_is_completed_with_items_published_since() {
    let mut world = World::new();
    for number in 0..200 {
        world.learn(Record::ItemUpserted(item(number)));
    }
    let later = Some(Timestamp::from_seconds(NOW + 60));
    world.learn(Record::ItemUpserted(Item { published_at: later, ..item(500) }));
    let (view, index) = (world.engine.state(), world.index("i500"));
    let (context, filter) = (UserContext::default(), Filter::default());
    let completed = |pool: Vec<ItemIndex>, now: i64| {
        let now = Timestamp::from_seconds(now);
        let retrieval = Retrieval {
            view,
            user: None,
            context: &context,
            eligible: &Eligibility::new(view, &filter, "", &context, now, &[]),
            values: RequestValues::NONE,
            now,
            seed_key: b"",
            give_up: &GiveUp::never(),
        };
        retrieval.complete(pool, &Request::of("").supply).unwrap()
    };
    assert!(!completed(vec![index, ItemIndex::new(9_999_999)], NOW).contains(&index));
    assert!(completed(Vec::new(), NOW + 60).contains(&index));
}

#[test]
fn caps_are_filled_with_the_most_popular_items_of_other_topics() {
    let mut world = World::new();
    for number in 0..4_000 {
        let name = if number % 400 == 1 { format!("t{number}") } else { "common".to_owned() };
        world.learn(Record::ItemUpserted(Item {
            topics: vec![name.as_str().into()],
            published_at: None,
            ..item(number)
        }));
    }
    let mut request = Request::of("new user").positions(10);
    request.supply.caps.per_topic = 1;
    let view = world.engine.state();
    let found = request.run(view, &Filter::default());
    let topics: BTreeSet<u32> =
        found.iter().flat_map(|&index| view.entry(index).topics.clone()).collect();
    assert!(topics.len() >= 10, "{} topics", topics.len());
}
