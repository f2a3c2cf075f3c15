//! Owners of one process and of two, on a store that a test can slow down and shorten.

mod backfill;
mod budgets;
mod erasures;
mod store;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use super::super::Detail;
use super::super::Namespace;
use super::super::Options;
use super::super::PrivacySettings;
use super::super::RateLimits;
use super::super::Running;
use super::super::SystemClock;
use super::super::Training;
use super::super::TrainingState;
use super::super::error::Error;
use super::super::start;
use crate::telemetry::Metrics;
use engine::Engine;
use engine::domain::EventId;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::InteractionType;
use engine::domain::ItemId;
use engine::domain::NamespaceName;
use engine::domain::Record;
use engine::domain::Settings;
use engine::domain::Timestamp;
use engine::domain::UserId;
use store::World;

fn options() -> Options {
    Options {
        settings: Settings::default(),
        snapshot_every_records: 100_000,
        open_namespaces_max: 100,
        auto_retrain: false,
        rate_limits: RateLimits::default(),
        ready_lag_records: 1_000,
        decision_detail: Detail::Shown,
        decision_retention_days: 0,
        suppression_days: 1,
        privacy: PrivacySettings::new(1.0, 1e-6, 30).unwrap(),
        embedding_model: None,
    }
}

fn process(world: &Arc<World>, number: usize, options: Options) -> Running {
    start(world.stores(number), options, Arc::new(SystemClock), Arc::new(Metrics::default()))
}

fn name(name: &str) -> NamespaceName {
    NamespaceName::parse(name).unwrap()
}

fn clicks(prefix: &str, numbers: std::ops::Range<i64>) -> Vec<Record> {
    let click = |number: i64| {
        Record::Interaction(Interaction {
            event_id: EventId::parse(format!("{prefix}-{number}")).unwrap(),
            user_id: UserId::parse(format!("user-{}", number % 7)).unwrap(),
            item_id: ItemId::parse(format!("item-{}", number % 11)).unwrap(),
            kind: InteractionType::Click,
            value: None,
            occurred_at: Timestamp::from_seconds(1_700_000_000 + number),
            session_id: None,
            decision_id: None,
            position: None,
            context: InteractionContext::default(),
        })
    };
    numbers.map(click).collect()
}

/// Waits until `look` gives something.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "waited too long: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn create(running: &Running, named: &str) -> NamespaceName {
    running.service.namespaces.create(name(named), None).await.unwrap();
    name(named)
}

async fn open(running: &Running, named: &NamespaceName) -> Arc<Namespace> {
    eventually("an open namespace", async || running.service.namespaces.get(named).await.ok()).await
}

/// Writes clicks in batches of fifty and waits until they are learnt.
async fn write(running: &Running, named: &NamespaceName, prefix: &str, batches: i64) -> u64 {
    let namespace = open(running, named).await;
    let mut end = 0;
    for batch in 0..batches {
        let records = clicks(prefix, 50 * batch..50 * (batch + 1));
        end = running.service.write(&namespace, records).await.unwrap().log_end;
    }
    // Another handle when the state was rebuilt meanwhile.
    eventually("what was written", async || {
        let namespace = open(running, named).await;
        namespace.view_at(end, Duration::from_secs(1)).await.ok()
    })
    .await;
    end
}

/// The digest of what the store has.
fn replayed(world: &World, named: &NamespaceName) -> (u64, [u8; 32]) {
    let mut engine = Engine::new(Settings::default());
    engine.apply(&world.records(named)).unwrap();
    (engine.state().watermark(), engine.state().digest())
}

async fn agrees(running: &Running, world: &World, named: &NamespaceName) -> Arc<Namespace> {
    eventually("the state of the log", async || {
        let namespace = running.service.namespaces.get(named).await.ok()?;
        let view = namespace.view();
        ((view.watermark(), view.digest()) == replayed(world, named)).then_some(namespace)
    })
    .await
}

fn counter(running: &Running, counter: &str) -> u64 {
    let text = running.service.metrics.render();
    let start = format!("personalization_{counter} ");
    let line = text.lines().find(|line| line.starts_with(&start));
    let value = line.and_then(|line| line[start.len()..].parse().ok());
    value.unwrap_or_else(|| panic!("no {counter} in {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_opening_serves_all_however_many_callers_give_up() {
    let world = Arc::new(World::default());
    let first = process(&world, 1, options());
    let shop = create(&first, "shop").await;
    // Too few for a last snapshot.
    write(&first, &shop, "e", 18).await;
    first.stop().await;
    assert!(world.snapshots(&shop).is_empty());
    world.replays.store(0, Ordering::Relaxed);
    world.slow_reads(100);

    let second = process(&world, 2, options());
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (namespaces, shop) = (second.service.namespaces.clone(), shop.clone());
        callers.spawn(async move {
            for _ in 0..8 {
                let given_up = Duration::from_millis(80);
                let _none = tokio::time::timeout(given_up, namespaces.get(&shop)).await;
            }
        });
    }
    callers.join_all().await;
    // By now the opening has taken longer than a call waits.
    match second.service.namespaces.get(&shop).await {
        Err(Error::Opening { progress, .. }) => {
            assert!(progress.learnt > 0 && progress.end > 900, "{progress:?}");
        }
        opened => assert!(opened.is_ok(), "{opened:?}"),
    }
    agrees(&second, &world, &shop).await;
    assert_eq!(world.replays.load(Ordering::Relaxed), 1, "one opening");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_too_long_learns_how_far_the_opening_is() {
    let world = Arc::new(World::default());
    let first = process(&world, 1, options());
    let shop = create(&first, "shop").await;
    write(&first, &shop, "e", 18).await;
    first.stop().await;
    world.slow_reads(100);
    let second = process(&world, 2, options());
    let began = Instant::now();
    let refused = second.service.namespaces.get(&shop).await;
    let Err(Error::Opening { name, progress }) = refused else { panic!("{refused:?}") };
    assert_eq!((name, progress.end), (shop.clone(), 901));
    assert!(progress.learnt > 0);
    assert!(began.elapsed() < Duration::from_millis(860), "{:?}", began.elapsed());
    let unknown = second.service.namespaces.get(&super::tests::name("nowhere")).await;
    assert!(matches!(unknown, Err(Error::NoNamespace(_))), "nobody waits behind an opening");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_whose_log_lost_its_end_converge_to_what_the_log_has() {
    let world = Arc::new(World::default());
    let options = || Options { snapshot_every_records: 50, ..options() };
    let (a, b) = (process(&world, 1, options()), process(&world, 2, options()));
    let shop = create(&a, "shop").await;
    let end = write(&a, &shop, "before", 6).await;
    let old = open(&b, &shop).await;
    old.view_at(end, Duration::from_secs(20)).await.unwrap();
    eventually("a snapshot", async || {
        (world.snapshots(&shop).last()?.sequence == end).then_some(())
    })
    .await;
    // As a standby that lagged.
    world.lose_last_batch(&shop);
    let end = write(&a, &shop, "after", 2).await;
    for running in [&a, &b] {
        let namespace = agrees(running, &world, &shop).await;
        assert_eq!(namespace.view().watermark(), end);
        assert_eq!(namespace.impairment(), None);
        assert!(counter(running, "log_chain_breaks_total") >= 1);
    }
    assert!(old.is_closed() && old.impairment().is_some(), "who holds the old state is told");
    eventually("snapshots of this log only", async || {
        let ends = world.ends(&shop);
        let snapshots = world.snapshots(&shop);
        let newest = snapshots.last()?.sequence == end;
        (newest && snapshots.iter().all(|at| ends.contains(at))).then_some(())
    })
    .await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_bound_the_least_used_sleeps_and_leaves_nothing_behind() {
    let world = Arc::new(World::default());
    let running = process(&world, 1, Options { open_namespaces_max: 2, ..options() });
    let names = [create(&running, "a").await, create(&running, "b").await];
    let mut handles = Vec::new();
    for name in &names {
        write(&running, name, "e", 1).await;
        handles.push(open(&running, name).await);
    }
    eventually("leases", async || (counter(&running, "namespaces_led") == 2).then_some(())).await;
    let before = agrees(&running, &world, &names[0]).await.view().digest();
    let third = create(&running, "c").await;
    write(&running, &third, "e", 1).await;
    assert_eq!(counter(&running, "namespaces_open"), 2);
    let index = handles.iter().position(|handle| handle.is_closed()).expect("one sleeps");
    let closed = &handles[index];
    eventually("its dedup window to be freed", async || {
        let released = world.released.lock().unwrap();
        released.contains(&closed.tail.partition).then_some(())
    })
    .await;
    assert_eq!(world.snapshots(closed.name()).len(), 1, "its leader stored a snapshot");
    let label = format!("namespace=\"{}\"", closed.name());
    eventually("no metrics of it", async || {
        (!running.service.metrics.render().contains(&label)).then_some(())
    })
    .await;
    // What holds on to it may go on writing, which wakes it.
    let end = running.service.write(closed, clicks("late", 0..5)).await.unwrap().log_end;
    let again = open(&running, closed.name()).await;
    assert!(!again.is_closed());
    assert_eq!(again.view_at(end, Duration::from_secs(20)).await.unwrap().watermark(), end);
    let first = agrees(&running, &world, &names[0]).await;
    assert_eq!(first.view().digest() == before, closed.name() != &names[0]);
    running.stop().await;
}

/// A stream holds on to its handle while its namespace sleeps and is opened again; where one
/// process has the log, nobody asks for its end.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_through_an_earlier_handle_is_learnt() {
    let world = Arc::new(World::default());
    world.is_alone.store(true, Ordering::Relaxed);
    let running = process(&world, 1, Options { open_namespaces_max: 1, ..options() });
    let (shop, other) = (create(&running, "shop").await, create(&running, "other").await);
    write(&running, &shop, "e", 1).await;
    let stream = open(&running, &shop).await;
    write(&running, &other, "e", 1).await;
    assert!(stream.is_closed(), "it was put to sleep");
    running.service.write(&stream, clicks("late", 0..5)).await.unwrap();
    let again = open(&running, &shop).await;
    for number in 1..4 {
        let records = clicks("late", 5 * number..5 * (number + 1));
        let end = running.service.write(&stream, records).await.unwrap().log_end;
        assert!(again.view_at(end, Duration::from_secs(20)).await.is_ok(), "batch {number}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_namespace_is_led_by_one_of_those_who_have_it_open() {
    let world = Arc::new(World::default());
    let options = || Options { snapshot_every_records: 50, ..options() };
    let (a, b) = (process(&world, 1, options()), process(&world, 2, options()));
    let (first, second) = (create(&a, "first").await, create(&a, "second").await);
    write(&a, &first, "e", 2).await;
    // The other one has never opened it.
    write(&b, &second, "e", 2).await;
    eventually("each its own", async || {
        (counter(&a, "namespaces_led") == 1 && counter(&b, "namespaces_led") == 1).then_some(())
    })
    .await;
    eventually("a snapshot", async || (!world.snapshots(&second).is_empty()).then_some(())).await;
    open(&a, &second).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(counter(&a, "namespaces_led"), 1, "one leader");
    b.stop().await;
    eventually("the new leader", async || (counter(&a, "namespaces_led") == 2).then_some(())).await;
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_namespace_ends_its_owner_and_its_successor_begins_empty() {
    let world = Arc::new(World::default());
    let running = process(&world, 1, options());
    let shop = create(&running, "shop").await;
    write(&running, &shop, "e", 20).await;
    let old = open(&running, &shop).await;
    assert!(running.service.retrain(&old).await.unwrap().1);
    running.service.namespaces.delete(shop.clone()).await.unwrap();
    assert!(old.is_closed());
    create(&running, "shop").await;
    let new = open(&running, &shop).await;
    assert_ne!(new.tail.partition, old.tail.partition);
    let late = running.service.write(&old, clicks("late", 0..5)).await;
    assert!(matches!(late, Err(Error::NoNamespace(_))), "{late:?}");
    agrees(&running, &world, &shop).await;
    assert_eq!(world.records(&shop).len(), 1, "its settings and nothing else");
    assert!(world.released.lock().unwrap().contains(&old.tail.partition));
    running.stop().await;
}

/// The newest training of a namespace, once it has ended.
async fn ended(running: &Running, namespace: &Namespace) -> Training {
    eventually("the end of the training", async || {
        let training = running.service.training(namespace, None).await.unwrap();
        (!training.is_running()).then_some(training)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_goes_on_when_its_caller_leaves_and_who_asks_again_gets_the_same_one() {
    let world = Arc::new(World::default());
    let (a, b) = (process(&world, 1, options()), process(&world, 2, options()));
    let shop = create(&a, "shop").await;
    write(&a, &shop, "e", 20).await;
    let (here, there) = (open(&a, &shop).await, open(&b, &shop).await);
    assert!(matches!(a.service.training(&here, None).await, Err(Error::NoTraining { .. })));
    {
        // Its caller leaves as soon as the command is on its way.
        let asking = a.service.retrain(&here);
        assert!(tokio::time::timeout(Duration::ZERO, asking).await.is_err());
    }
    let running =
        eventually("a training", async || a.service.training(&here, None).await.ok()).await;
    if let Ok((joined, false)) = a.service.retrain(&here).await {
        assert_eq!(joined.training_id, running.training_id);
    }
    let done = ended(&b, &there).await;
    assert!(matches!(done.state, TrainingState::Succeeded { .. }), "{done:?}");
    let known = b.service.training(&there, Some(&done.training_id)).await.unwrap();
    assert_eq!(known, done);
    let other = b.service.training(&there, Some("another")).await;
    assert!(matches!(other, Err(Error::NoTraining { .. })));
    assert!(here.view().model_version() >= 1);
    a.stop().await;
    b.stop().await;
}
