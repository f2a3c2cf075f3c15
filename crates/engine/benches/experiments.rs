//! What experiments cost: the hash, the variants of a request, an event with and without them, results,
//! metrics that are added later.
//!
//! cargo bench -p personalization-engine --bench experiments

use std::hint::black_box;

use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;

use engine::AskedList;
use engine::BackfillRun;
use engine::Engine;
use engine::UserFacts;
use engine::assignments;
use engine::bucket;
use engine::domain::Assignment;
use engine::domain::Attributes;
use engine::domain::BUCKETS;
use engine::domain::BackfillChunk;
use engine::domain::Cap;
use engine::domain::EventId;
use engine::domain::Experiment;
use engine::domain::ExperimentChange;
use engine::domain::ExperimentState;
use engine::domain::Exposure;
use engine::domain::Good;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::InteractionType;
use engine::domain::ItemId;
use engine::domain::Key;
use engine::domain::LogRecord;
use engine::domain::Measure;
use engine::domain::Metric;
use engine::domain::MetricKind;
use engine::domain::MetricTest;
use engine::domain::Plan;
use engine::domain::Record;
use engine::domain::Role;
use engine::domain::Settings;
use engine::domain::Split;
use engine::domain::Timestamp;
use engine::domain::UserId;
use engine::domain::Variant;

/// Users who are exposed to each experiment.
const USERS: usize = 200_000;
const EXPERIMENTS: usize = 5;
const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn key(text: String) -> Key {
    Key::parse(text).expect("a key")
}

/// A running experiment in a layer of its own, judged by clicks and by what is spent.
fn experiment(number: usize) -> Experiment {
    let types = Measure::types([InteractionType::Click]);
    let clicks = Metric {
        name: key("clicks".into()),
        kind: MetricKind::Rate,
        measure: Measure::Events { types, after_list: false },
        window: (0, 86_400),
        good: Good::Higher,
        role: Role::Primary,
        cap: Cap::None,
        test: MetricTest::Conversions,
        expected_rate: 0.05,
    };
    let spent = Metric {
        name: key("spent".into()),
        kind: MetricKind::Mean,
        measure: Measure::Values { types: u16::MAX, after_list: false },
        role: Role::Secondary,
        test: MetricTest::Sequential,
        ..clicks.clone()
    };
    let variant = |name: &str| Variant {
        name: key(name.into()),
        weight: 0.5,
        overrides: Vec::new(),
        own_ranker: false,
    };
    let name = || key(format!("experiment-{number}"));
    Experiment {
        key: name(),
        state: ExperimentState::Running,
        hypothesis: "".into(),
        layer: name(),
        salt: name(),
        split: Split::Users,
        allocation: BUCKETS,
        buckets: vec![(0, BUCKETS)],
        variants: vec![variant("control"), variant("treatment")],
        eligibility: "".into(),
        metrics: vec![clicks, spent],
        plan: Plan::default(),
        late_events_seconds: 0,
        starts_at: None,
        ends_at: None,
        testers: Vec::new(),
        holdback: false,
        shipped: None,
    }
}

fn user(number: usize) -> UserId {
    UserId::parse(format!("user-{number}")).expect("an id")
}

/// An engine of users who clicked once, exposed to so many experiments.
fn engine(experiments: usize) -> (Engine, u64) {
    let (mut engine, mut sequence) = (Engine::new(Settings::default()), 0);
    let mut apply = |engine: &mut Engine, record: Record| {
        sequence += 1;
        let record = LogRecord { sequence, recorded_at: NOW, record };
        engine.apply(&[record]).expect("the next record");
    };
    for number in 0..experiments {
        let replaces = engine.state().experiments().changed_at();
        let (experiment, by, what) = (experiment(number), "".into(), "".into());
        let change = ExperimentChange { experiment, replaces, by, what };
        apply(&mut engine, Record::ExperimentChanged(Box::new(change)));
    }
    for number in 0..USERS {
        let assignment = |experiment| Assignment {
            experiment: experiment as u32,
            variant: (number % 2) as u8,
            is_tester: false,
            own_ranker: false,
        };
        let assignments = (0..experiments).map(assignment).collect();
        let (user_id, exposed_at) = (user(number), NOW);
        let exposure = Exposure { user_id, exposed_at, segment: 0, assignments };
        apply(&mut engine, Record::UserExposed(exposure));
    }
    (engine, sequence)
}

fn click(sequence: u64) -> LogRecord {
    let number = sequence as usize * 7_919 % USERS;
    let interaction = Interaction {
        event_id: EventId::parse(format!("e{sequence}")).expect("an id"),
        user_id: user(number),
        item_id: ItemId::parse(format!("item-{}", number % 500)).expect("an id"),
        kind: InteractionType::Click,
        value: None,
        occurred_at: NOW,
        session_id: None,
        decision_id: None,
        position: None,
        context: InteractionContext::default(),
    };
    LogRecord { sequence, recorded_at: NOW, record: Record::Interaction(interaction) }
}

const LIST: Option<AskedList<'_>> = Some(AskedList { decision_id: "d", drawn_before: None });

fn facts<'a>(user_id: &'a str, context: &'a Attributes) -> UserFacts<'a> {
    let (own, device_type, location, language) = (None, None, None, None);
    UserFacts { user_id, own, context, device_type, location, language }
}

fn costs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("experiments");
    group.throughput(Throughput::Elements(1));
    let users: Vec<String> = (0..1_024).map(|number| format!("user-{number}")).collect();
    let mut next = (0..).map(|number: usize| users[number % users.len()].as_str());
    group.bench_function("bucket", |bencher| {
        bencher.iter(|| bucket(black_box("new-ranker"), next.next().expect("endless")));
    });
    let context = Attributes::default();
    for experiments in [0, EXPERIMENTS] {
        let (mut engine, mut sequence) = engine(experiments);
        let view = engine.view();
        for (who, id) in [("exposed", "user-77"), ("new", "nobody-yet")] {
            group.bench_function(format!("assignments/{experiments}/{who}"), |bencher| {
                bencher
                    .iter(|| assignments(&view, facts(black_box(id), &context), LIST, NOW).len());
            });
        }
        drop(view);
        group.bench_function(format!("event/{experiments}"), |bencher| {
            bencher.iter(|| {
                sequence += 1;
                engine.apply(&[click(sequence)]).expect("the next record")
            });
        });
        if let Some(entry) = engine.view().experiments().find("experiment-0") {
            group.bench_function("results", |bencher| bencher.iter(|| entry.results()));
        }
        let bytes = engine.view().experiment_unit_bytes() as f64;
        if experiments > 0 {
            let units = (experiments * USERS) as f64;
            println!("{:.0} bytes for each user and experiment", bytes / units);
        }
    }
}

/// A record read again for an added metric, and a record of its values.
fn backfills(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("backfill");
    let (mut engine, mut sequence) = engine(1);
    let mut added = experiment(0);
    let types = Measure::types([InteractionType::Purchase]);
    let measure = Measure::Events { types, after_list: false };
    let metric = Metric { name: key("bought".into()), measure, ..added.metrics[1].clone() };
    added.metrics.push(metric);
    let replaces = engine.state().experiments().changed_at();
    let change = ExperimentChange { experiment: added, replaces, by: "".into(), what: "".into() };
    let mut apply = |engine: &mut Engine, record: Record| {
        sequence += 1;
        let record = LogRecord { sequence, recorded_at: NOW, record };
        engine.apply(&[record]).expect("the next record");
    };
    apply(&mut engine, Record::ExperimentChanged(Box::new(change)));
    let view = engine.view();
    let begun = || BackfillRun::of(&view).expect("columns that lack values");
    group.bench_function(format!("begin/{USERS} users"), |bencher| bencher.iter(begun));
    let (mut run, mut next) = (begun(), 0);
    group.throughput(Throughput::Elements(1));
    group.bench_function("event", |bencher| {
        bencher.iter(|| {
            next += 1;
            run.learn(&view, &click(next));
        });
    });
    let values =
        run.chunks().map(|chunk| BackfillChunk { values: vec![1.0; chunk.values.len()], ..chunk });
    let mut values = values.collect::<Vec<_>>().into_iter();
    let started = std::time::Instant::now();
    let chunks = values.len();
    values.by_ref().for_each(|chunk| apply(&mut engine, Record::Backfilled(chunk)));
    let each = started.elapsed() / chunks as u32;
    println!(
        "{chunks} records of values, {each:?} each; all is there: {}",
        engine.state().experiments().with_backfill().is_none()
    );
}

criterion_group!(benches, costs, backfills);
criterion_main!(benches);
