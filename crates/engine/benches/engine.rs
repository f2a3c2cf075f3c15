//! What the engine costs beyond its kernels: learning a batch, deriving a user's
//! context, ranking candidates, publishing a view, the digest, replay from a snapshot.
//!
//! The data are the bundled MovieLens ratings, so users and items have real shapes;
//! k is the default. It stands for one core of the server; network, storage and the
//! decision log are left out.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;

use criterion::BatchSize;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use engine::Candidate;
use engine::Choice;
use engine::Earlier;
use engine::Effort;
use engine::Eligibility;
use engine::Engine;
use engine::Exploring;
use engine::Filter;
use engine::GiveUp;
use engine::ItemIndex;
use engine::RankRequest;
use engine::RequestContext;
use engine::RequestValues;
use engine::Retrieval;
use engine::Supply;
use engine::UserContext;
use engine::UserIndex;
use engine::View;
use engine::domain::Decision;
use engine::domain::DecisionId;
use engine::domain::DiversityMethod;
use engine::domain::EventId;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::InteractionType;
use engine::domain::Item;
use engine::domain::ItemId;
use engine::domain::LogRecord;
use engine::domain::RankerSettings;
use engine::domain::Record;
use engine::domain::Settings;
use engine::domain::ShownItem;
use engine::domain::Strategy;
use engine::domain::Timestamp;
use engine::domain::UserId;
use engine::rank;
use engine::train;

fn lines(file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/movielens").join(file);
    let text = std::fs::read_to_string(path).expect("the bundled data are in the repository");
    text.lines().skip(1).map(str::to_owned).collect()
}

fn item(line: &str) -> Record {
    let (id, rest) = line.split_once(',').expect("movies.csv has three columns");
    let (title, genres) = rest.rsplit_once(',').expect("movies.csv has three columns");
    Record::ItemUpserted(Item {
        title: title.trim_matches('"').to_owned(),
        topics: genres.split('|').map(Into::into).collect(),
        ..Item::new(ItemId::parse(id).expect("an id"))
    })
}

fn rating(line: &str) -> (i64, Record) {
    let cells: Vec<&str> = line.split(',').collect();
    let seconds: i64 = cells[3].parse().expect("a time");
    let record = Record::Interaction(Interaction {
        event_id: EventId::parse(line).expect("an id"),
        user_id: UserId::parse(cells[0]).expect("an id"),
        item_id: ItemId::parse(cells[1]).expect("an id"),
        kind: InteractionType::Rating,
        value: Some(cells[2].parse().expect("a rating")),
        occurred_at: Timestamp::from_seconds(seconds),
        session_id: None,
        decision_id: None,
        position: None,
        context: InteractionContext::default(),
    });
    (seconds, record)
}

/// The bundled data as a log: the catalogue, then ratings in order of time.
fn log() -> Vec<LogRecord> {
    let mut ratings: Vec<(i64, Record)> = lines("ratings.csv").iter().map(|l| rating(l)).collect();
    ratings.sort_by_key(|(seconds, _)| *seconds);
    let items = lines("movies.csv").iter().map(|line| (0, item(line))).collect::<Vec<_>>();
    items
        .into_iter()
        .chain(ratings)
        .enumerate()
        .map(|(position, (seconds, record))| LogRecord {
            sequence: position as u64 + 1,
            recorded_at: Timestamp::from_seconds(seconds),
            record,
        })
        .collect()
}

/// An engine that has learnt the log up to `end`, with a model trained there.
fn learnt(log: &[LogRecord], end: usize) -> Engine {
    let mut engine = Engine::new(Settings::default());
    engine.apply(&log[..end]).expect("the log is readable");
    let model = train(engine.state(), Effort::Search, &mut |_| ControlFlow::Continue(()))
        .expect("enough data");
    let sequence = engine.state().watermark() + 1;
    let recorded_at = engine.state().clock();
    let record = Record::ModelPublished(model);
    engine.apply(&[LogRecord { sequence, recorded_at, record }]).expect("the model is readable");
    engine
}

fn restored(engine: &Engine) -> Engine {
    Engine::restore(engine.view().sections()).expect("just stored")
}

fn learning(criterion: &mut Criterion) {
    let log = log();
    let tail = 8_192;
    let engine = learnt(&log, log.len() - tail);
    let next: Vec<LogRecord> = log[log.len() - tail..]
        .iter()
        .enumerate()
        .map(|(position, record)| LogRecord {
            sequence: engine.state().watermark() + 1 + position as u64,
            ..record.clone()
        })
        .collect();
    let mut group = criterion.benchmark_group("apply");
    group.sample_size(10);
    group.throughput(Throughput::Elements(tail as u64));
    for batch in [64, 4_096] {
        group.bench_function(format!("ratings, a view every {batch}"), |bencher| {
            bencher.iter_batched(
                || restored(&engine),
                |mut engine| {
                    for batch in next.chunks(batch) {
                        engine.apply(batch).expect("the log is readable");
                        black_box(engine.view());
                    }
                    engine
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
    criterion.bench_function("digest after 64 ratings", |bencher| {
        bencher.iter_batched(
            || {
                let mut engine = restored(&engine);
                engine.state().digest();
                engine.apply(&next[..64]).expect("the log is readable");
                engine
            },
            |engine| black_box(engine.state().digest()),
            BatchSize::LargeInput,
        );
    });
    criterion.bench_function("view of 610 users and 9,742 items", |bencher| {
        bencher.iter(|| black_box(engine.view()));
    });
}

/// As of the latest event, nowhere in particular.
fn now(view: &View) -> RequestContext {
    RequestContext {
        now: view.clock(),
        utc_offset_minutes: 0,
        device: None,
        values: RequestValues::NONE,
    }
}

fn choice(strategy: Strategy, method: DiversityMethod, weight: f64, extra: f64) -> Choice {
    Choice {
        strategy,
        epsilon: 0.1,
        exploring: Exploring::of(&RankerSettings::default()),
        method,
        diversity_weight: weight,
        serendipity_weight: extra,
        novelty_weight: extra,
        topic_threshold: 0.3,
        source_threshold: 0.0,
        max_per_topic: 0,
        max_per_source: 0,
        positions: 20,
    }
}

/// Lists that are drawn in turn: a draw decides what the places below it cost.
const DECISIONS: usize = 64;

/// A user of the data.
const USER: &str = "42";

/// A user with a history on a view.
struct Scene<'a> {
    view: &'a View,
    index: UserIndex,
    context: UserContext,
    filter: Filter,
    decisions: Vec<String>,
    give_up: GiveUp<'static>,
}

impl Scene<'_> {
    fn request(&self, strategy: Strategy, variety: (DiversityMethod, f64, f64)) -> RankRequest<'_> {
        let (method, weight, extra) = variety;
        RankRequest {
            user: Some(self.view.user(self.index)),
            context: &self.context,
            request_context: now(self.view),
            choice: choice(strategy, method, weight, extra),
            boosts: &[],
            own_boosts: 0,
            pins: &[],
            earlier: Earlier::default(),
            baseline: None,
            ranked_by: engine::RankedBy::default(),
            rival: None,
            unlearnt_cost: 0.0,
            explain: false,
            // The service records them by default, whatever the strategy.
            deviations: true,
            decision_id: &self.decisions[0],
            give_up: &self.give_up,
        }
    }

    /// Candidates of the catalogue for a request.
    fn retrieve(&self, request: &RankRequest<'_>) -> Vec<ItemIndex> {
        let (view, now) = (self.view, self.view.clock());
        let eligible = Eligibility::new(view, &self.filter, USER, &self.context, now, &[]);
        let retrieval = Retrieval {
            view,
            user: request.user,
            context: &self.context,
            eligible: &eligible,
            values: RequestValues::NONE,
            now,
            seed_key: request.decision_id.as_bytes(),
            give_up: &self.give_up,
        };
        retrieval.run(&Supply::of(&request.choice, &[], &[])).expect("nobody gives up")
    }
}

fn ranking(criterion: &mut Criterion) {
    let log = log();
    let engine = learnt(&log, log.len());
    let view = &*engine.view();
    let index = view.user_index(USER).expect("a user of the data");
    criterion.bench_function("user context, 440 ratings", |bencher| {
        bencher.iter(|| black_box(UserContext::new(view, Some(view.user(index)))));
    });
    let context = UserContext::new(view, Some(view.user(index)));
    let decisions = (0..DECISIONS).map(|number| format!("decision {number}")).collect();
    let give_up = GiveUp::never();
    let scene = Scene { view, index, context, filter: Filter::default(), decisions, give_up };
    for count in [100, 500] {
        rank_given(criterion, &scene, count);
    }
    rank_experienced(criterion, restored(&engine));
    for strategy in [Strategy::Greedy, Strategy::Thompson] {
        answer_given(criterion, &scene, strategy);
        let mut request = scene.request(strategy, (DiversityMethod::Dpp, 0.3, 0.0));
        let mut turn = scene.decisions.iter().cycle();
        let name = format!("retrieve and rank, {}, Dpp", strategy.name());
        criterion.bench_function(&name, |bencher| {
            bencher.iter(|| {
                request.decision_id = turn.next().expect("a cycle has no end");
                let found = scene.retrieve(&request);
                let candidates: Vec<Candidate<'_>> =
                    found.iter().map(|&item| Candidate::known(view, item)).collect();
                black_box(rank(view, &candidates, &request))
            });
        });
    }
    criterion.bench_function("retrieve from 9,742 items", |bencher| {
        let request = scene.request(Strategy::Greedy, (DiversityMethod::None, 0.0, 0.0));
        bencher.iter(|| black_box(scene.retrieve(&request)));
    });
}

/// One list after the other, each drawn again.
fn bench_rank<'a>(
    criterion: &mut Criterion,
    scene: &'a Scene<'_>,
    name: &str,
    mut request: RankRequest<'a>,
    candidates: &[Candidate<'_>],
) {
    let mut turn = scene.decisions.iter().cycle();
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            request.decision_id = turn.next().expect("a cycle has no end");
            black_box(rank(scene.view, candidates, &request))
        });
    });
}

/// Items from all over the catalogue.
fn some_items() -> impl Iterator<Item = ItemIndex> {
    (0..).step_by(17).map(ItemIndex::new)
}

fn rank_given(criterion: &mut Criterion, scene: &Scene<'_>, count: usize) {
    let candidates: Vec<Candidate<'_>> =
        some_items().take(count).map(|item| Candidate::known(scene.view, item)).collect();
    for (strategy, method, weight, extra) in [
        (Strategy::Greedy, DiversityMethod::None, 0.0, 0.0),
        (Strategy::Thompson, DiversityMethod::None, 0.0, 0.0),
        (Strategy::LinUcb, DiversityMethod::None, 0.0, 0.0),
        (Strategy::SquareCb, DiversityMethod::None, 0.0, 0.0),
        (Strategy::Greedy, DiversityMethod::Dpp, 0.3, 0.0),
        (Strategy::Thompson, DiversityMethod::Dpp, 0.3, 0.0),
        (Strategy::EpsilonGreedy, DiversityMethod::Dpp, 0.3, 0.0),
        (Strategy::EpsilonGreedy, DiversityMethod::Calibrated, 0.3, 0.0),
        (Strategy::EpsilonGreedy, DiversityMethod::Dpp, 0.3, 0.2),
    ] {
        let request = scene.request(strategy, (method, weight, extra));
        let with = if extra > 0.0 { " with serendipity and novelty" } else { "" };
        let name = format!("rank {count} candidates, {}, {method:?}{with}", strategy.name());
        bench_rank(criterion, scene, &name, request, &candidates);
    }
}

/// With a ranker that has learnt from a thousand lists.
fn rank_experienced(criterion: &mut Criterion, mut engine: Engine) {
    for list in 0..1_000 {
        let view = engine.view();
        let user = UserId::parse((list % 600 + 1).to_string()).expect("an id");
        let index = view.user_index(user.as_str()).expect("a user of the data");
        let context = UserContext::new(&view, Some(view.user(index)));
        let decisions = vec![format!("lived {list}")];
        let give_up = GiveUp::never();
        let scene =
            Scene { view: &view, index, context, filter: Filter::default(), decisions, give_up };
        let request = scene.request(Strategy::Thompson, (DiversityMethod::Dpp, 0.3, 0.0));
        let candidates: Vec<Candidate<'_>> =
            some_items().take(100).map(|item| Candidate::known(&view, item)).collect();
        let records = lived(&scene, &user, &request, &candidates);
        engine.apply(&records).expect("records made here are readable");
    }
    let view = &*engine.view();
    let index = view.user_index(USER).expect("a user of the data");
    let context = UserContext::new(view, Some(view.user(index)));
    let decisions = (0..DECISIONS).map(|number| format!("decision {number}")).collect();
    let give_up = GiveUp::never();
    let scene = Scene { view, index, context, filter: Filter::default(), decisions, give_up };
    let candidates: Vec<Candidate<'_>> =
        some_items().take(100).map(|item| Candidate::known(view, item)).collect();
    for strategy in [Strategy::Greedy, Strategy::Thompson] {
        let request = scene.request(strategy, (DiversityMethod::Dpp, 0.3, 0.0));
        let name = format!("rank 100 candidates, {}, Dpp, 1,000 lists learnt", strategy.name());
        bench_rank(criterion, &scene, &name, request, &candidates);
    }
}

/// A list, and what followed: all of it was seen, and one item in ten was clicked.
fn lived(
    scene: &Scene<'_>,
    user_id: &UserId,
    request: &RankRequest<'_>,
    candidates: &[Candidate<'_>],
) -> Vec<LogRecord> {
    let view = scene.view;
    let ranked = rank(view, candidates, request).expect("nobody gives up");
    let item_of = |candidate: usize| {
        let item = candidates[candidate].entry.item.as_ref().expect("it is in the catalogue");
        item.item_id.clone()
    };
    let decision_id = DecisionId::parse(request.decision_id).expect("an id");
    let shown = ranked.items.iter().map(|item| ShownItem {
        item_id: item_of(item.candidate),
        score: item.estimate as f32,
        propensity: item.propensity as f32,
        features: item.features.clone(),
    });
    let decision = Record::Decision(Decision {
        layout: view.ranker().layout().clone(),
        decision_id: decision_id.clone(),
        user_id: user_id.clone(),
        decided_at: view.clock(),
        strategy: request.choice.strategy,
        epsilon: 0.1,
        model_version: view.model_version(),
        watermark: view.watermark(),
        candidates: candidates.len() as u32,
        segment: ranked.segment,
        shown: shown.collect(),
        exploration_cost: 0.0,
        trial: None,
        assignments: Vec::new(),
        division: None,
        continues: None,
        detail: None,
    });
    let seen = ranked.items.iter().enumerate().map(|(position, item)| {
        let clicked = (position + view.watermark() as usize).is_multiple_of(10);
        Record::Interaction(Interaction {
            event_id: EventId::parse(format!("{} {position}", request.decision_id)).expect("an id"),
            user_id: user_id.clone(),
            item_id: item_of(item.candidate),
            kind: if clicked { InteractionType::Click } else { InteractionType::Impression },
            value: None,
            occurred_at: view.clock(),
            session_id: None,
            decision_id: Some(decision_id.clone()),
            position: Some(position as u32),
            context: InteractionContext::default(),
        })
    });
    let records = std::iter::once(decision).chain(seen);
    let first = view.watermark() + 1;
    let at = |(sequence, record)| LogRecord { sequence, recorded_at: view.clock(), record };
    (first..).zip(records).map(at).collect()
}

/// What a call with 100 candidates takes in addition to the network and the record: looking them
/// up, filtering, ranking, the ids of the answer.
fn answer_given(criterion: &mut Criterion, scene: &Scene<'_>, strategy: Strategy) {
    let view = scene.view;
    let items = some_items().take(100);
    let ids: Vec<String> = items.filter_map(|item| Some(view.item_id(item)?.to_owned())).collect();
    let mut request = scene.request(strategy, (DiversityMethod::Dpp, 0.3, 0.0));
    let mut turn = scene.decisions.iter().cycle();
    let name = format!("answer for 100 candidates, {}, Dpp", strategy.name());
    // All of them stay.
    let filter = Filter { include_seen: true, ..Filter::default() };
    criterion.bench_function(&name, |bencher| {
        bencher.iter(|| {
            request.decision_id = turn.next().expect("a cycle has no end");
            let (context, now) = (&scene.context, view.clock());
            let eligible = Eligibility::new(view, &filter, USER, context, now, &[]);
            let found = ids.iter().filter_map(|id| view.item_index(id));
            let allowed = found.filter(|&item| eligible.allows(view.entry(item), Some(item)));
            let candidates: Vec<Candidate<'_>> =
                allowed.map(|item| Candidate::known(view, item)).collect();
            let ranked = rank(view, &candidates, &request).expect("nobody gives up");
            let shown = ranked.items.iter().map(|item| candidates[item.candidate].index);
            let answer: Vec<&str> = shown.flatten().filter_map(|item| view.item_id(item)).collect();
            black_box((answer, ranked))
        });
    });
}

fn recovery(criterion: &mut Criterion) {
    let log = log();
    let engine = learnt(&log, log.len());
    let sections: Vec<_> = engine.view().sections().collect();
    let mut group = criterion.benchmark_group("recovery of 110,578 records");
    group.sample_size(10);
    group.bench_function("from a snapshot", |bencher| {
        bencher.iter_batched(
            || sections.clone(),
            |sections| black_box(Engine::restore(sections).expect("just stored")),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("from the log", |bencher| {
        bencher.iter(|| {
            let mut engine = Engine::new(Settings::default());
            engine.apply(&log).expect("the log is readable");
            engine
        });
    });
    group.finish();
}

criterion_group!(benches, learning, ranking, recovery);
criterion_main!(benches);
