//! Whatever a filter tests, retrieval finds the most popular matches, and all that exist.

use super::*;
use crate::domain::AttributesChange;
use crate::domain::ListChange;
use crate::domain::RulesChange;
use crate::domain::UserUpdate;

/// Every kind of test, those that sets answer and those that they do not.
const TESTS: [&str; 40] = [
    "\"t1\" in topics",
    "topics in [\"t0\", \"t2\", 4]",
    "[\"t0\", \"t2\"] in topics",
    "topics = \"t1\"",
    "topics != \"t1\"",
    "has(topics)",
    "source = \"s1\"",
    "source != \"s1\"",
    "source in [\"s0\", \"s2\"]",
    "\"s0\" in source",
    "source > \"s1\"",
    "price < 5",
    "price <= 4",
    "3 < price",
    "price >= 2",
    "price = 3",
    "price != 3",
    "price in [1, 5, \"b1\"]",
    "3 in price",
    "price < \"b\"",
    "price < true",
    "brand = \"b1\"",
    "brand != \"b1\"",
    "brand in [\"b0\", \"b2\", 7]",
    "\"b1\" in brand",
    "tags = \"b1\"",
    "tags in [\"b1\", \"b3\"]",
    "\"b2\" in tags",
    "has(tags)",
    "on_sale",
    "on_sale = false",
    "has(on_sale)",
    "age_hours < 20",
    "10 <= age_hours",
    "has(published_at)",
    "has(expires_at)",
    "expires_at > 1700000000",
    "language = \"de\"",
    "language in [\"de\", \"fr\"]",
    "id in [\"i7\", \"i8\", \"i9\", \"none\"]",
];

fn expression() -> impl Strategy<Value = Option<String>> {
    let test = prop::sample::select(TESTS.to_vec()).prop_map(str::to_owned);
    let tree = test.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| format!("not ({one})")),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|all| all.join(" and ")),
            prop::collection::vec(inner, 2..4).prop_map(|any| format!("({})", any.join(" or "))),
        ]
    });
    prop::option::weighted(0.8, tree)
}

fn filter() -> impl Strategy<Value = Filter> {
    let labels = |prefix: &'static str| {
        prop_oneof![
            2 => Just(Vec::new()),
            1 => prop::collection::vec(0..4_u8, 1..3),
        ]
        .prop_map(move |some| -> Vec<Box<str>> {
            some.into_iter().map(|n| format!("{prefix}{n}").into()).collect()
        })
    };
    let attribute = prop_oneof![
        Just(None),
        Just(None),
        Just(Some(("brand", AttributeValue::Text("b1".into())))),
        Just(Some(("tags", AttributeValue::List(vec!["b0".into(), "b2".into()])))),
        Just(Some(("on_sale", AttributeValue::Flag(true)))),
        Just(Some(("price", AttributeValue::Number(3.0)))),
    ];
    let after = prop::option::weighted(0.2, 0..60_i64);
    let exclude = prop::collection::btree_set(0..300_usize, 0..5);
    (labels("t"), labels("s"), attribute, after, exclude, expression(), any::<bool>()).prop_map(
        |(topics, sources, attribute, after, exclude, expression, include_seen)| {
            let attributes =
                attribute.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
            let mut exclude: Vec<Box<str>> =
                exclude.into_iter().map(|n| format!("i{n}").into()).collect();
            exclude.sort();
            Filter {
                topics,
                sources,
                attributes: Attributes::new(attributes).unwrap(),
                published_after: after.map(|hours| Timestamp::from_seconds(NOW - hours * 3_600)),
                exclude,
                expression: expression.map(|text| crate::parse_expression(&text).unwrap()),
                include_seen,
                ..Filter::default()
            }
        },
    )
}

/// A topic, a source and an item that a user has blocked; the first two may not exist.
fn blocks(user: &str, (topic, source, number): (u8, u8, usize)) -> Record {
    let add = |name: String| ListChange { add: vec![name.into()], ..ListChange::default() };
    let rules = RulesChange {
        blocked_items: add(item(number).item_id.to_string()),
        blocked_sources: add(format!("s{source}")),
        blocked_topics: add(format!("t{topic}")),
        ..RulesChange::default()
    };
    let user_id = UserId::parse(user).unwrap();
    let attributes = AttributesChange::default();
    Record::UserUpdated(UserUpdate { user_id, attributes, rules })
}

/// An item made of a few numbers.
fn varied(number: usize, code: u32) -> Item {
    let of = |shift: u32, most: u32| (code >> shift) % most;
    let mut attributes = BTreeMap::new();
    attributes.insert("brand".to_owned(), AttributeValue::Text(format!("b{}", of(0, 4))));
    if of(4, 5) > 0 {
        attributes.insert("price".to_owned(), AttributeValue::Number(of(3, 9).into()));
    }
    if of(16, 5) == 0 {
        let languages = vec!["de".to_owned(), "en".to_owned()];
        attributes.insert("language".to_owned(), AttributeValue::List(languages));
    }
    if of(5, 3) == 0 {
        let tags = vec![format!("b{}", of(7, 4)), format!("b{}", of(9, 4))];
        attributes.insert("tags".to_owned(), AttributeValue::List(tags));
    }
    if of(6, 2) == 0 {
        attributes.insert("on_sale".to_owned(), AttributeValue::Flag(of(8, 2) == 0));
    }
    Item {
        title: format!("word{} word{}", of(2, 7), of(4, 11)),
        topics: (0..of(10, 3)).map(|n| format!("t{}", (of(11, 4) + n) % 4).into()).collect(),
        source: (of(12, 5) < 4).then(|| format!("s{}", of(12, 5)).into()),
        published_at: (of(14, 4) > 0)
            .then(|| Timestamp::from_seconds(NOW + 18_000 - i64::from(of(13, 60)) * 3_600)),
        language: (of(15, 3) == 0).then(|| "de".into()),
        hidden: of(17, 9) == 0,
        expires_at: (of(18, 4) == 0)
            .then(|| Timestamp::from_seconds(NOW + 7_200 - i64::from(of(19, 4)) * 3_600)),
        attributes: Attributes::new(attributes).unwrap(),
        ..item(number)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_most_popular_matches_are_always_found_and_all_that_exist_are_delivered(
        codes in prop::collection::vec(any::<u32>(), 300),
        clicks in prop::collection::vec((0..9_u8, 0..400_usize), 0..300),
        deleted in prop::collection::vec(0..300_usize, 0..30),
        filters in prop::collection::vec(filter(), 6),
        blocked in (0..6_u8, 0..6_u8, 0..300_usize),
    ) {
        let mut world = World::new();
        world.learn(blocks("u1", blocked));
        for (number, &code) in codes.iter().enumerate() {
            world.learn(Record::ItemUpserted(varied(number, code)));
        }
        for (user, number) in clicks {
            let kind = [InteractionType::Click, InteractionType::Like, InteractionType::Hide];
            let kind = kind[number % 3];
            world.event(kind, &format!("u{user}"), &format!("i{number}"));
        }
        for number in deleted {
            world.learn(Record::ItemDeleted(item(number).item_id));
        }
        let restored = Engine::restore(world.engine.state().sections()).unwrap();
        for filter in &filters {
            for user in ["u1", "u2", "new user"] {
                let request = Request::of(user);
                let found = request.run(world.engine.state(), filter);
                let best = most_popular(world.engine.state(), filter, user, NOW, 10);
                for index in &best {
                    prop_assert!(found.contains(index), "{:?} of {:?}", index, best);
                }
                let all = most_popular(world.engine.state(), filter, user, NOW, 300);
                prop_assert!(found.iter().all(|index| all.contains(index)));
                prop_assert!(found.len() >= all.len().min(50));
                let many = request.positions(60).run(world.engine.state(), filter);
                let mut all = all;
                all.sort_unstable();
                prop_assert_eq!(&many, &all);
                prop_assert_eq!(&request.run(restored.state(), filter), &found);
            }
        }
    }
}
