//! The log writer on a log that waits, refuses and panics when it is told to.

use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tokio::task::JoinHandle;

use super::*;
use crate::service::clock::SystemClock;
use crate::storage::AppendOutcome;
use crate::storage::Extent;
use crate::storage::HashCheck;
use crate::storage::LogAppend;
use crate::storage::LogEnd;
use crate::storage::LogRead;
use crate::storage::Position;
use crate::storage::ReadLimit;
use engine::domain::DecisionId;
use engine::domain::FeatureLayout;
use engine::domain::ItemId;
use engine::domain::LogRecord;
use engine::domain::ShownItem;
use engine::domain::Strategy;
use engine::domain::Timestamp;
use engine::domain::UserId;

type Rejection = Box<dyn Fn(&[LogAppend]) -> Option<storage::Error> + Send>;

/// A log in memory that can be told to wait, to refuse and to panic.
#[derive(Default)]
struct Fake {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_frozen: bool,
    refuses: Option<Rejection>,
    /// What each commit wrote: of each group how many decisions and how many others.
    commits: Vec<Vec<(usize, usize)>>,
    threads: Vec<String>,
    end: Sequence,
}

impl Fake {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn freeze(&self) {
        self.lock().is_frozen = true;
    }

    fn thaw(&self) {
        self.lock().is_frozen = false;
        self.changed.notify_all();
    }

    fn refuse(&self, rejection: impl Fn(&[LogAppend]) -> Option<storage::Error> + Send + 'static) {
        self.lock().refuses = Some(Box::new(rejection));
    }
}

fn decisions(append: &LogAppend) -> usize {
    append.records.iter().filter(|record| matches!(record, Record::Decision(_))).count()
}

impl InteractionLog for Fake {
    fn append(
        &self,
        groups: &[LogAppend],
        _now: Timestamp,
    ) -> Result<Vec<Result<Appended, storage::Error>>, storage::Error> {
        let mut state = self.lock();
        while state.is_frozen {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        state.threads.push(name);
        if let Some(error) = state.refuses.as_ref().and_then(|refuses| refuses(groups)) {
            return Err(error);
        }
        let sizes = groups.iter().map(|group| {
            let decisions = decisions(group);
            (decisions, group.records.len() - decisions)
        });
        state.commits.push(sizes.collect());
        let appended = groups.iter().map(|group| {
            let first = state.end + 1;
            state.end += group.records.len() as Sequence;
            let outcomes = (first..=state.end).map(AppendOutcome::Accepted).collect();
            Ok(Appended { outcomes, log_end: state.end })
        });
        Ok(appended.collect())
    }

    fn read_after(
        &self,
        _partition: &Partition,
        _after: Position,
        _limit: ReadLimit,
    ) -> Result<LogRead, storage::Error> {
        unreachable!("the writer reads nothing")
    }

    fn read_from(
        &self,
        _partition: &Partition,
        _after: Sequence,
        _limit: ReadLimit,
    ) -> Result<Vec<LogRecord>, storage::Error> {
        unreachable!("the writer reads nothing")
    }

    fn position_at(
        &self,
        _partition: &Partition,
        _sequence: Sequence,
    ) -> Result<Option<Position>, storage::Error> {
        unreachable!("the writer reads nothing")
    }

    fn log_ends(&self, _of: &[Partition]) -> Result<Vec<LogEnd>, storage::Error> {
        unreachable!("the writer reads nothing")
    }

    fn release(&self, _partition: &Partition) {}

    fn check_event_hashes(
        &self,
        _partition: &Partition,
        _extent: Extent,
    ) -> Result<HashCheck, storage::Error> {
        unreachable!("the writer reads nothing")
    }

    fn event_hashes_rebuilt(&self) -> u64 {
        0
    }

    fn is_shared(&self) -> bool {
        false
    }
}

struct World {
    log: Arc<Fake>,
    handle: Handle,
    metrics: Arc<Metrics>,
    store: Arc<StoreMonitor>,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl World {
    fn start() -> Self {
        let (log, metrics) = (Arc::<Fake>::default(), Arc::<Metrics>::default());
        let store = Arc::<StoreMonitor>::default();
        let clock = Arc::new(SystemClock);
        let (service, handle) = log_writer(log.clone(), clock, metrics.clone(), store.clone());
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(service.run(shutdown.clone()));
        Self { log, handle, metrics, store, shutdown, running }
    }

    /// Submits, and waits for the outcome in a task of its own.
    fn send(
        &self,
        tail: &Arc<LogTail>,
        records: Vec<Record>,
    ) -> JoinHandle<Result<Appended, Error>> {
        let (handle, tail) = (self.handle.clone(), tail.clone());
        tokio::spawn(async move { handle.append(&tail, records).await })
    }

    /// Waits until the writer's thread is in a commit.
    async fn until_committing(&self) {
        until(|| self.store.commit_runs()).await;
    }

    fn free_bytes(&self) -> usize {
        self.handle.event_budget.available_permits()
    }

    async fn stop(self) {
        self.log.thaw();
        self.shutdown.cancel();
        self.running.await.unwrap();
    }
}

async fn until(reached: impl Fn() -> bool) {
    for _ in 0..4_000 {
        if reached() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it did not come to that");
}

fn tail(name: &str) -> Arc<LogTail> {
    let namespace = NamespaceName::parse(name).unwrap();
    Arc::new(LogTail::new(Partition { namespace, incarnation: 1 }, 0))
}

fn event(n: usize) -> Record {
    Record::ItemDeleted(ItemId::parse(format!("i{n}")).unwrap())
}

fn large_event(bytes: usize) -> Record {
    Record::ModelPublished(engine::domain::PublishedModel {
        version: 1,
        trained_at: 1,
        encoded: vec![0; bytes].into(),
    })
}

fn decision(n: usize, features: usize) -> Decision {
    let shown = ShownItem {
        item_id: ItemId::parse("i").unwrap(),
        score: 0.5,
        propensity: 0.5,
        features: vec![0.0; features],
    };
    Decision {
        decision_id: DecisionId::parse(format!("d{n}")).unwrap(),
        user_id: UserId::parse("u").unwrap(),
        decided_at: Timestamp::default(),
        strategy: Strategy::Greedy,
        epsilon: 0.0,
        model_version: 0,
        watermark: 0,
        candidates: 1,
        segment: 0,
        layout: FeatureLayout::default(),
        shown: vec![shown],
        exploration_cost: 0.0,
        trial: None,
        assignments: Vec::new(),
        division: None,
        continues: None,
        detail: None,
    }
}

#[tokio::test]
async fn what_is_submitted_while_a_commit_runs_shares_the_next_one_decisions_first() {
    let world = World::start();
    world.log.freeze();
    let (shop, news) = (tail("shop"), tail("news"));
    let first = world.send(&shop, vec![event(0)]);
    world.until_committing().await;
    assert!(world.handle.offer_decision(&shop, decision(1, 4)));
    let second = world.handle.submit(&shop, vec![event(1), event(2)]).await.unwrap();
    assert!(world.handle.offer_decision(&news, decision(2, 4)));
    let third = world.handle.submit(&shop, vec![event(3)]).await.unwrap();
    world.log.thaw();
    first.await.unwrap().unwrap();
    // Their outcomes are their own: sequence 2 is the decision's.
    let accepted =
        |of: &[Sequence]| of.iter().copied().map(AppendOutcome::Accepted).collect::<Vec<_>>();
    assert_eq!(second.outcome().await.unwrap().outcomes, accepted(&[3, 4]));
    assert_eq!(third.outcome().await.unwrap().outcomes, accepted(&[5]));
    assert_eq!(world.log.lock().commits, [vec![(0, 1)], vec![(1, 3), (1, 0)]]);
    assert_eq!(shop.end(), 5);
    world.stop().await;
}

#[tokio::test]
async fn it_writes_on_a_thread_of_its_own_whatever_blocks_the_others() {
    let world = World::start();
    // Far more than the runtime has blocking threads.
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    for _ in 0..600 {
        let wait = wait.clone();
        tokio::task::spawn_blocking(move || {
            let _released = wait.lock().unwrap_or_else(PoisonError::into_inner).recv();
        });
    }
    let written = world.send(&tail("shop"), vec![event(0)]);
    tokio::time::timeout(Duration::from_secs(1), written).await.unwrap().unwrap().unwrap();
    assert_eq!(world.log.lock().threads, ["log-writer"]);
    drop(release);
    world.stop().await;
}

#[tokio::test]
async fn a_caller_who_goes_away_frees_no_budget_before_the_commit() {
    let world = World::start();
    world.log.freeze();
    let shop = tail("shop");
    let all = world.free_bytes();
    let first = world.send(&shop, vec![event(0)]);
    world.until_committing().await;
    let gone = world.send(&shop, vec![large_event(1_000_000)]);
    until(|| all - world.free_bytes() > 1_000_000).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(all - world.free_bytes() > 1_000_000, "{}", world.free_bytes());
    world.log.thaw();
    first.await.unwrap().unwrap();
    until(|| world.free_bytes() == all).await;
    assert_eq!(world.log.lock().end, 2, "it was written all the same");
    world.stop().await;
}

#[tokio::test]
async fn records_in_flight_are_bounded_by_bytes() {
    let world = World::start();
    world.log.freeze();
    let shop = tail("shop");
    let blocking = world.send(&shop, vec![event(0)]);
    world.until_committing().await;
    // Three fit with what is written; the fourth waits for budget.
    let quarter = EVENT_BYTES / 4;
    let sent: Vec<_> = (0..4).map(|_| world.send(&shop, vec![large_event(quarter)])).collect();
    until(|| world.free_bytes() == 0).await;
    assert_eq!(world.handle.queue.len(), 3);
    // A commit that lasts is a store that does not answer: callers that wait are refused.
    for sent in sent {
        let refused = sent.await.unwrap();
        let unavailable =
            matches!(refused, Err(Error::Storage(storage::Error::Unavailable { .. })));
        assert!(unavailable, "{refused:?}");
    }
    world.log.thaw();
    blocking.await.unwrap().unwrap();
    // One that is larger than the whole budget has it for itself.
    world.handle.append(&shop, vec![large_event(EVENT_BYTES + 1)]).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn decisions_beyond_their_bytes_are_dropped_and_counted_and_nobody_waits() {
    let world = World::start();
    world.log.freeze();
    let shop = tail("shop");
    let blocking = world.send(&shop, vec![event(0)]);
    world.until_committing().await;
    let each = decision(0, 25_000).bytes();
    let offered = 2 * DECISION_BYTES / each;
    let taken = (0..offered).filter(|n| world.handle.offer_decision(&shop, decision(*n, 25_000)));
    let taken = taken.count();
    assert!((offered / 2 - 20..=offered / 2 + 20).contains(&taken), "{taken} of {offered}");
    assert_eq!(world.metrics.decisions_dropped.get(), (offered - taken) as u64);
    world.log.thaw();
    blocking.await.unwrap().unwrap();
    until(|| world.log.lock().end == 1 + taken as Sequence).await;
    // No commit holds all of them.
    assert!(world.log.lock().commits.iter().all(|groups| groups[0].0 < taken));
    world.stop().await;
}

#[tokio::test]
async fn a_decision_that_is_too_large_is_dropped_and_counted() {
    let world = World::start();
    let shop = tail("shop");
    let features = DECISION_BYTES_EACH / 4;
    assert!(!world.handle.offer_decision(&shop, decision(0, features)));
    assert_eq!(world.metrics.decisions_dropped.get(), 1);
    assert!(world.handle.offer_decision(&shop, decision(1, features / 2)));
    until(|| world.log.lock().end == 1).await;
    world.stop().await;
}

#[tokio::test]
async fn a_decision_takes_no_event_down_with_it() {
    for panics in [false, true] {
        let world = World::start();
        world.log.refuse(move |groups| {
            let refused = groups.iter().any(|group| decisions(group) > 0);
            assert!(!(refused && panics), "on purpose");
            let reason = "the record is too large".to_owned();
            refused.then_some(storage::Error::Misconfigured { reason })
        });
        world.log.freeze();
        let shop = tail("shop");
        let first = world.send(&shop, vec![event(0)]);
        world.until_committing().await;
        assert!(world.handle.offer_decision(&shop, decision(1, 4)));
        let second = world.handle.submit(&shop, vec![event(1), event(2)]).await.unwrap();
        world.log.thaw();
        first.await.unwrap().unwrap();
        let outcomes = second.outcome().await.unwrap().outcomes;
        assert_eq!(outcomes, [2, 3].map(AppendOutcome::Accepted));
        assert_eq!(world.metrics.decisions_dropped.get(), 1);
        world.stop().await;
    }
}

#[tokio::test]
async fn every_kind_of_failure_reaches_the_caller_as_it_is() {
    let reason = || "r".to_owned();
    let kinds = [
        storage::Error::Unavailable { reason: reason() },
        storage::Error::Corrupt { what: "w".to_owned(), reason: reason() },
        storage::Error::TooNew { what: "w", found: 2, known: 1 },
        storage::Error::Misconfigured { reason: reason() },
    ];
    let world = World::start();
    for kind in kinds {
        let rejection = kind.clone();
        world.log.refuse(move |_groups| Some(rejection.clone()));
        let outcome = world.handle.append(&tail("shop"), vec![event(0)]).await.unwrap_err();
        let Error::Storage(outcome) = outcome else { panic!("{outcome:?}") };
        assert_eq!(outcome.to_string(), kind.to_string());
        assert_eq!(std::mem::discriminant(&outcome), std::mem::discriminant(&kind));
    }
    world.stop().await;
}

#[tokio::test]
async fn a_panic_of_the_store_is_internal_and_the_writer_goes_on() {
    let world = World::start();
    world.log.refuse(|_groups| panic!("on purpose"));
    let outcome = world.handle.append(&tail("shop"), vec![event(0)]).await;
    assert!(matches!(outcome, Err(Error::Internal { .. })), "{outcome:?}");
    world.log.refuse(|_groups| None);
    world.handle.append(&tail("shop"), vec![event(0)]).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_noticed_and_nobody_queues_behind_it() {
    let world = World::start();
    world.log.freeze();
    let (shop, frozen) = (tail("shop"), Instant::now());
    let stuck = world.send(&shop, vec![event(0)]);
    world.until_committing().await;
    let waiting = world.send(&shop, vec![event(1)]);
    // Refused, not lost with the one that is stuck.
    let refused = waiting.await.unwrap();
    assert!(frozen.elapsed() < Duration::from_secs(2), "{:?}", frozen.elapsed());
    let is_refused = |outcome: &Result<Appended, Error>| {
        matches!(outcome, Err(Error::Storage(storage::Error::Unavailable { .. })))
    };
    assert!(is_refused(&refused), "{refused:?}");
    assert!(!world.store.health().writes);
    let asked = Instant::now();
    assert!(is_refused(&world.handle.append(&shop, vec![event(2)]).await));
    assert!(asked.elapsed() < Duration::from_millis(100), "{:?}", asked.elapsed());
    world.log.thaw();
    stuck.await.unwrap().unwrap();
    assert!(world.store.health().writes);
    world.handle.append(&shop, vec![event(3)]).await.unwrap();
    assert_eq!(world.log.lock().end, 2, "what was refused was not written");
    world.stop().await;
}

#[tokio::test]
async fn at_the_end_what_was_submitted_is_written_and_nothing_more_is_taken() {
    let world = World::start();
    world.log.freeze();
    let shop = tail("shop");
    let first = world.send(&shop, vec![event(0)]);
    world.until_committing().await;
    let second = world.handle.submit(&shop, vec![event(1)]).await.unwrap();
    assert!(world.handle.offer_decision(&shop, decision(1, 4)));
    world.shutdown.cancel();
    let (log, handle, running) = (world.log, world.handle, world.running);
    let late = async {
        loop {
            let refused = handle.append(&shop, vec![event(2)]);
            match tokio::time::timeout(Duration::from_millis(10), refused).await {
                Ok(outcome) => return outcome,
                Err(_taken) => continue,
            }
        }
    };
    assert!(matches!(late.await, Err(Error::ShuttingDown)));
    log.thaw();
    running.await.unwrap();
    first.await.unwrap().unwrap();
    second.outcome().await.unwrap();
    let state = log.lock();
    assert_eq!(state.commits.iter().flatten().map(|(decisions, _)| decisions).sum::<usize>(), 1);
}
