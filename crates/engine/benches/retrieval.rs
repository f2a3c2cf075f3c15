//! Candidates from 100,000 items: under no filter, under filters that a tenth and a hundredth of
//! the items match, and right after an event.

use std::hint::black_box;

use criterion::BatchSize;
use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use engine::Caps;
use engine::Eligibility;
use engine::Engine;
use engine::Filter;
use engine::GiveUp;
use engine::ItemIndex;
use engine::RequestValues;
use engine::Retrieval;
use engine::Supply;
use engine::UserContext;
use engine::View;
use engine::domain::AttributeValue;
use engine::domain::Attributes;
use engine::domain::EventId;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::InteractionType;
use engine::domain::Item;
use engine::domain::ItemId;
use engine::domain::LogRecord;
use engine::domain::Record;
use engine::domain::Settings;
use engine::domain::Timestamp;
use engine::domain::UserId;

const ITEMS: usize = 100_000;
const EVENTS: usize = 20_000;
const NOW: i64 = 1_700_000_000;

/// A number that looks drawn.
fn mixed(number: usize) -> usize {
    (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) as usize
}

fn item(number: usize) -> Item {
    let word = |nth: usize| format!("word{}", mixed(number * 31 + nth) % 5_000);
    let price = AttributeValue::Number((number % 100) as f64);
    let attributes = [("price".to_owned(), price)].into_iter().collect();
    Item {
        title: (0..12).map(word).collect::<Vec<_>>().join(" "),
        topics: vec![
            format!("tenth{}", number % 10).into(),
            format!("percent{}", number % 100).into(),
        ],
        published_at: Some(Timestamp::from_seconds(NOW - (mixed(number) % 30_000_000) as i64)),
        attributes: Attributes::new(attributes).expect("within limits"),
        ..Item::new(ItemId::parse(format!("i{number}")).expect("an id"))
    }
}

fn click(number: usize) -> Record {
    // A few items are consumed by many.
    let of_all = mixed(number) % ITEMS;
    let item = of_all * (mixed(number + 7) % 1_000) / 1_000;
    Record::Interaction(Interaction {
        event_id: EventId::parse(format!("e{number}")).expect("an id"),
        user_id: UserId::parse(format!("u{}", number % 400)).expect("an id"),
        item_id: ItemId::parse(format!("i{item}")).expect("an id"),
        kind: InteractionType::Click,
        value: None,
        occurred_at: Timestamp::from_seconds(NOW - 1_000 + number as i64 / 100),
        session_id: None,
        decision_id: None,
        position: None,
        context: InteractionContext::default(),
    })
}

fn apply(engine: &mut Engine, record: Record) {
    let sequence = engine.state().watermark() + 1;
    let recorded_at = Timestamp::from_seconds(NOW);
    engine.apply(&[LogRecord { sequence, recorded_at, record }]).expect("records are in order");
}

fn retrieve(view: &View, filter: &Filter) -> Vec<ItemIndex> {
    let user = view.user_index("u7").map(|index| view.user(index).as_ref());
    let context = UserContext::new(view, user);
    let now = Timestamp::from_seconds(NOW);
    let retrieval = Retrieval {
        view,
        user,
        context: &context,
        eligible: &Eligibility::new(view, filter, "u7", &context, now, &[]),
        values: RequestValues::NONE,
        now,
        seed_key: b"decision",
        give_up: &GiveUp::never(),
    };
    let supply = Supply {
        needed: 100,
        positions: 20,
        caps: Caps::NONE,
        shares: Caps::NONE,
        above: &[],
        boosts: &[],
    };
    retrieval.run(&supply).expect("nobody gives up")
}

fn retrieval(criterion: &mut Criterion) {
    let mut engine = Engine::new(Settings::default());
    (0..ITEMS).for_each(|number| apply(&mut engine, Record::ItemUpserted(item(number))));
    (0..EVENTS).for_each(|number| apply(&mut engine, click(number)));
    let topic = |name: &str| Filter { topics: vec![name.into()], ..Filter::default() };
    let expression = |text: &str| {
        let expression = engine::parse_expression(text).expect("an expression");
        Filter { expression: Some(expression), ..Filter::default() }
    };
    let filters = [
        ("no filter", Filter::default()),
        ("a tenth", topic("tenth3")),
        ("a hundredth", topic("percent37")),
        ("a hundredth by number", expression("price < 1")),
        ("a hundredth by negation", expression("not price >= 1")),
        ("a hundredth by title", expression("title < \"word10\"")),
    ];
    let mut group = criterion.benchmark_group("candidates of 100,000 items");
    group.sample_size(20);
    for (name, filter) in &filters {
        let view = engine.view();
        group.bench_function(*name, |bencher| {
            bencher.iter(|| black_box(retrieve(&view, filter)));
        });
        group.bench_function(format!("{name}, after an event"), |bencher| {
            bencher.iter_batched(
                || {
                    let mut engine = engine.fork();
                    apply(&mut engine, click(EVENTS));
                    engine
                },
                |engine| {
                    black_box(retrieve(engine.state(), filter));
                    engine
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.bench_function("an event learnt", |bencher| {
        bencher.iter_batched(
            || engine.fork(),
            |mut engine| {
                apply(&mut engine, click(EVENTS));
                engine
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("an item put in and a view", |bencher| {
        bencher.iter_batched(
            || engine.fork(),
            |mut engine| {
                apply(&mut engine, Record::ItemUpserted(item(ITEMS)));
                black_box(engine.view());
                engine
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, retrieval);
criterion_main!(benches);
