//! What a filter costs for one item: expressions near the bound, and long lists of values.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;

use engine::Eligibility;
use engine::Engine;
use engine::Entry;
use engine::Filter;
use engine::UserContext;
use engine::domain::AttributeValue;
use engine::domain::Attributes;
use engine::domain::Item;
use engine::domain::ItemId;
use engine::domain::Settings;
use engine::domain::limits;
use engine::parse_expression;

/// Attributes `a` and `b` as long as they may be, alike but for the end of each text.
fn entry(engine: &Engine) -> Entry {
    let start = "x".repeat(limits::ATTRIBUTE_STRING_BYTES - 3);
    let texts = |end: char| {
        let list = (0..limits::ATTRIBUTE_LIST).map(|n| format!("{start}{n:02}{end}"));
        AttributeValue::List(list.collect())
    };
    let values = [("a", texts('a')), ("b", texts('b'))].map(|(name, list)| (name.to_owned(), list));
    let attributes = Attributes::new(BTreeMap::from(values)).expect("within the limits");
    let item = Item {
        title: "A title".to_owned(),
        topics: (0..limits::TOPICS).map(|n| format!("topic {n}").into()).collect(),
        source: Some("source".into()),
        attributes,
        ..Item::new(ItemId::parse("item").expect("an id"))
    };
    engine.state().describe_inline(Arc::new(item)).0
}

fn filters(criterion: &mut Criterion) {
    let engine = Engine::new(Settings::default());
    let (entry, context) = (entry(&engine), UserContext::default());
    let words = |count: usize| (0..count).map(|n| format!("'t{n}'")).collect::<Vec<_>>().join(",");
    let sources = vec!["source in ['q', 'r'] or id = 'other' or title < 'A'"; 25].join(" or ");
    let expressions = [
        ("two lists of hostile texts", "a in b".to_owned()),
        ("hostile texts among 200 others", format!("a in [{}]", words(200))),
        ("a plain one", "'topic 3' in topics and source = 'source' and not has(price)".to_owned()),
        ("75 tests", sources),
    ];
    let now = engine.state().clock();
    for (name, text) in expressions {
        let expression = parse_expression(&text).expect("within the bound");
        let name = format!("filter, {name}, at most {} steps", expression.cost());
        let filter = Filter { expression: Some(expression), ..Filter::default() };
        let eligible = Eligibility::new(engine.state(), &filter, "", &context, now, &[]);
        criterion.bench_function(&name, |bencher| {
            bencher.iter(|| black_box(eligible.allows(&entry, None)));
        });
    }
    let topics: Vec<Box<str>> = (0..10_000).map(|n| format!("other {n}").into()).collect();
    let filter = Filter { topics, ..Filter::default() };
    let eligible = Eligibility::new(engine.state(), &filter, "", &context, now, &[]);
    criterion.bench_function("filter, 32 topics among 10,000", |bencher| {
        bencher.iter(|| black_box(eligible.allows(&entry, None)));
    });
}

criterion_group!(benches, filters);
criterion_main!(benches);
