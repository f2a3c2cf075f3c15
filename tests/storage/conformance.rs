//! The promises of the storage traits, as one function a promise. Each backend
//! calls them all from tests of its own.

use std::sync::Arc;

use engine::domain::EventId;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::InteractionType;
use engine::domain::ItemId;
use engine::domain::LogRecord;
use engine::domain::NamespaceName;
use engine::domain::PublishedModel;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Settings;
use engine::domain::Timestamp;
use engine::domain::UserId;
use personalization::storage::AppendOutcome;
use personalization::storage::AppendOutcome::Accepted;
use personalization::storage::AppendOutcome::Duplicate;
use personalization::storage::Appended;
use personalization::storage::Error;
use personalization::storage::InteractionLog;
use personalization::storage::LogAppend;
use personalization::storage::NamespaceEntry;
use personalization::storage::NamespaceStore;
use personalization::storage::Snapshot;
use personalization::storage::SnapshotHeader;
use personalization::storage::SnapshotStore;

pub trait Store: InteractionLog + NamespaceStore + SnapshotStore {}

impl<T: InteractionLog + NamespaceStore + SnapshotStore> Store for T {}

/// Opens the same data again and again; the store opened before must be dropped.
pub trait Backend {
    fn open_with(&self, dedup_horizon: u64) -> Arc<dyn Store>;

    fn open(&self) -> Arc<dyn Store> {
        self.open_with(100_000)
    }
}

pub const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

pub fn default_namespace() -> NamespaceName {
    NamespaceName::default()
}

pub fn interaction(event_id: &str) -> Record {
    Record::Interaction(Interaction {
        event_id: EventId::parse(event_id).unwrap(),
        user_id: UserId::parse("ann").unwrap(),
        item_id: ItemId::parse(format!("item of {event_id}")).unwrap(),
        kind: InteractionType::Click,
        value: None,
        occurred_at: NOW,
        session_id: None,
        decision_id: None,
        position: None,
        context: InteractionContext::default(),
    })
}

/// Interactions `{prefix}-{number}`.
pub fn interactions(prefix: &str, numbers: std::ops::Range<u64>) -> Vec<Record> {
    numbers.map(|number| interaction(&format!("{prefix}-{number}"))).collect()
}

pub fn append(store: &dyn Store, records: Vec<Record>) -> Appended {
    append_to(store, &default_namespace(), records, NOW)
}

fn append_to(
    store: &dyn Store,
    namespace: &NamespaceName,
    records: Vec<Record>,
    now: Timestamp,
) -> Appended {
    let groups = [LogAppend { namespace: namespace.clone(), records, fence: None }];
    store.append(&groups, now).unwrap().remove(0).unwrap()
}

fn append_one(store: &dyn Store, event_id: &str) -> AppendOutcome {
    append(store, vec![interaction(event_id)]).outcomes[0]
}

/// The whole log, read in steps of `records_max`.
fn read_all(store: &dyn Store, namespace: &NamespaceName, records_max: usize) -> Vec<LogRecord> {
    let mut log: Vec<LogRecord> = Vec::new();
    loop {
        let after = log.last().map_or(0, |record| record.sequence);
        let step = store.read_after(namespace, after, records_max).unwrap();
        if step.is_empty() {
            return log;
        }
        log.extend(step);
    }
}

fn assert_gapless(log: &[LogRecord]) {
    for (record, sequence) in log.iter().zip(1..) {
        assert_eq!(record.sequence, sequence);
    }
}

fn records_of(log: Vec<LogRecord>) -> Vec<Record> {
    log.into_iter().map(|record| record.record).collect()
}

fn create(store: &dyn Store, name: &str) -> NamespaceName {
    let name = NamespaceName::parse(name).unwrap();
    store.create(&NamespaceEntry { name: name.clone(), created_at: NOW, settings: None }).unwrap();
    name
}

pub fn snapshot(watermark: Sequence, engine_revision: u32) -> Snapshot {
    Snapshot {
        header: SnapshotHeader { watermark, engine_revision, taken_at: NOW },
        sections: vec![
            ("users".to_owned(), vec![watermark as u8; 100]),
            ("nothing".to_owned(), Vec::new()),
            ("items".to_owned(), (0..9_000_000_u32).map(|at| (at * 7) as u8).collect()),
        ],
    }
}

pub fn newest_watermark(store: &dyn Store, engine_revision: u32) -> Option<Sequence> {
    let newest = store.newest(&default_namespace(), engine_revision).unwrap();
    newest.map(|snapshot| snapshot.header.watermark)
}

pub fn an_empty_log_ends_at_zero(store: &dyn Store) {
    assert_eq!(store.log_end(&default_namespace()).unwrap(), 0);
    assert_eq!(store.read_after(&default_namespace(), 0, 10).unwrap(), []);
    assert_eq!(append(store, Vec::new()), Appended { outcomes: Vec::new(), log_end: 0 });
}

pub fn records_are_read_in_the_order_of_their_append(store: &dyn Store) {
    let name = default_namespace();
    let mut written = Vec::new();
    for call in 0..20 {
        let mut records = interactions(&format!("call{call}"), 0..call);
        records.push(Record::ItemDeleted(ItemId::parse(format!("item{call}")).unwrap()));
        written.extend(records.iter().cloned());
        append(store, records);
    }
    for records_max in [1, 7, 1_000] {
        let log = read_all(store, &name, records_max);
        assert_gapless(&log);
        assert!(log.iter().all(|record| record.recorded_at == NOW));
        assert_eq!(records_of(log), written);
    }
    for after in 0..=written.len() {
        let rest = store.read_after(&name, after as u64, usize::MAX).unwrap();
        assert_eq!(records_of(rest), written[after..]);
    }
    let beyond = store.read_after(&name, u64::MAX, 10).unwrap();
    assert_eq!(beyond, []);
}

pub fn sequences_have_no_gaps_where_duplicates_were_left_out(store: &dyn Store) {
    append(store, interactions("a", 0..10));
    let mixed = append(store, interactions("a", 5..15));
    let expected: Vec<_> =
        std::iter::repeat_n(Duplicate, 5).chain((11..=15).map(Accepted)).collect();
    assert_eq!(mixed, Appended { outcomes: expected, log_end: 15 });
    assert_eq!(store.log_end(&default_namespace()).unwrap(), 15);
    assert_gapless(&read_all(store, &default_namespace(), 100));
}

pub fn large_appends_are_split_and_lose_nothing(store: &dyn Store) {
    let model = |version| {
        let encoded = Arc::from(vec![version as u8; 3_000_000]);
        Record::ModelPublished(PublishedModel { version, trained_at: 1, encoded })
    };
    let mut records = interactions("a", 0..25_000);
    records.insert(12_345, model(1));
    records.push(model(2));
    let appended = append(store, records.clone());
    assert_eq!(appended.log_end, 25_002);
    let log = read_all(store, &default_namespace(), 1);
    assert_gapless(&log);
    assert_eq!(records_of(log), records);
    // Reading stops within a bounded batch after the records asked for.
    assert!(store.read_after(&default_namespace(), 0, 1).unwrap().len() <= 10_000);
}

pub fn a_duplicate_within_one_call_is_found(store: &dyn Store) {
    let records = vec![interaction("a"), interaction("b"), interaction("a")];
    let name = default_namespace();
    let groups = [
        LogAppend { namespace: name.clone(), records, fence: None },
        LogAppend {
            namespace: name,
            records: vec![interaction("b"), interaction("c")],
            fence: None,
        },
    ];
    let appended: Vec<_> =
        store.append(&groups, NOW).unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(appended[0].outcomes, [Accepted(1), Accepted(2), Duplicate]);
    assert_eq!(appended[1].outcomes, [Duplicate, Accepted(3)]);
}

pub fn a_duplicate_of_an_earlier_call_is_found_and_nothing_is_written(store: &dyn Store) {
    append(store, interactions("a", 0..3));
    let again = append(store, interactions("a", 0..3));
    assert_eq!(again, Appended { outcomes: vec![Duplicate; 3], log_end: 3 });
    assert_eq!(read_all(store, &default_namespace(), 100).len(), 3);
}

pub fn a_duplicate_is_found_after_a_reopen(backend: &dyn Backend) {
    append(&*backend.open(), interactions("a", 0..3));
    let reopened = backend.open();
    assert_eq!(append(&*reopened, interactions("a", 2..4)).outcomes, [Duplicate, Accepted(4)]);
}

pub fn an_event_id_is_remembered_for_the_horizon_also_after_a_reopen(backend: &dyn Backend) {
    let horizon = 10;
    append_one(&*backend.open_with(horizon), "first");
    for number in 0..2 * horizon {
        let store = backend.open_with(horizon);
        let again = append_one(&*store, "first");
        // `number` records lie between the first and this one.
        if number < horizon {
            assert_eq!(again, Duplicate, "after {number} records");
        } else if again != Duplicate {
            return;
        }
        append_one(&*store, &format!("other-{number}"));
    }
    panic!("the event id was still remembered after twice the horizon");
}

pub fn records_without_an_event_id_are_never_duplicates(store: &dyn Store) {
    let deletion = || Record::ItemDeleted(ItemId::parse("item").unwrap());
    let appended = append(store, vec![deletion(), deletion()]);
    assert_eq!(appended.outcomes, [Accepted(1), Accepted(2)]);
}

pub fn recorded_at_never_goes_back(backend: &dyn Backend) {
    let name = default_namespace();
    let at = |millis| NOW.plus_millis(millis);
    append_to(&*backend.open(), &name, interactions("a", 0..1), at(1_000));
    let store = backend.open();
    append_to(&*store, &name, interactions("b", 0..1), at(0));
    append_to(&*store, &name, interactions("c", 0..1), at(2_000));
    let times: Vec<_> =
        read_all(&*store, &name, 100).into_iter().map(|record| record.recorded_at).collect();
    assert_eq!(times, [at(1_000), at(1_000), at(2_000)]);
}

pub fn concurrent_appenders_lose_nothing_and_keep_their_order(store: &dyn Store) {
    const APPENDERS: u64 = 4;
    const CALLS: u64 = 50;
    std::thread::scope(|scope| {
        for appender in 0..APPENDERS {
            scope.spawn(move || {
                for call in 0..CALLS {
                    let prefix = format!("appender{appender}");
                    let records = interactions(&prefix, call * 3..call * 3 + 3);
                    let appended = append(store, records);
                    assert!(appended.outcomes.iter().all(|outcome| *outcome != Duplicate));
                }
            });
        }
    });
    let log = read_all(store, &default_namespace(), 100);
    assert_eq!(log.len() as u64, APPENDERS * CALLS * 3);
    assert_gapless(&log);
    let records = records_of(log);
    for appender in 0..APPENDERS {
        let prefix = format!("appender{appender}-");
        let own: Vec<_> = records
            .iter()
            .filter(|record| record.event_id().is_some_and(|id| id.starts_with(&prefix)))
            .cloned()
            .collect();
        assert_eq!(own, interactions(&format!("appender{appender}"), 0..CALLS * 3));
    }
}

/// Every call appends one record to each of two namespaces. Whichever is looked at
/// first, the other must be seen to be at least as far.
pub fn a_call_becomes_visible_as_a_whole(store: &dyn Store) {
    const CALLS: u64 = 200;
    let names = [create(store, "one"), create(store, "two")];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for call in 0..CALLS {
                let groups = names.clone().map(|namespace| LogAppend {
                    namespace,
                    records: vec![interaction(&format!("event{call}"))],
                    fence: None,
                });
                store.append(&groups, NOW).unwrap();
            }
        });
        for [first, second] in [[0, 1], [1, 0]] {
            let names = &names;
            scope.spawn(move || {
                loop {
                    let seen = store.log_end(&names[first]).unwrap();
                    let log = read_all(store, &names[second], 1_000);
                    assert!(log.len() as u64 >= seen);
                    assert_gapless(&log);
                    if seen == CALLS {
                        break;
                    }
                }
            });
        }
    });
}

pub fn a_missing_namespace_does_not_fail_its_neighbours(store: &dyn Store) {
    let missing = NamespaceName::parse("missing").unwrap();
    let groups = [
        LogAppend { namespace: missing.clone(), records: interactions("a", 0..2), fence: None },
        LogAppend { namespace: default_namespace(), records: interactions("a", 0..2), fence: None },
    ];
    let appended = store.append(&groups, NOW).unwrap();
    assert!(matches!(&appended[0], Err(Error::NoNamespace { namespace }) if *namespace == missing));
    assert_eq!(appended[1].as_ref().unwrap().log_end, 2);
    assert!(matches!(store.read_after(&missing, 0, 1), Err(Error::NoNamespace { .. })));
    assert!(matches!(store.log_end(&missing), Err(Error::NoNamespace { .. })));
    assert!(matches!(store.get(&missing), Err(Error::NoNamespace { .. })));
    assert!(matches!(store.delete(&missing), Err(Error::NoNamespace { .. })));
    assert!(matches!(store.put(&missing, &snapshot(1, 1)), Err(Error::NoNamespace { .. })));
    assert_eq!(store.newest(&missing, 1).unwrap(), None);
    store.prune(&missing, 1).unwrap();
}

pub fn namespaces_are_listed_in_the_order_of_their_names(store: &dyn Store) {
    let settings = Some(Settings { epsilon: 0.25, seed: u64::MAX, ..Settings::default() });
    let entry = |name: &str, settings| NamespaceEntry {
        name: NamespaceName::parse(name).unwrap(),
        created_at: NOW,
        settings,
    };
    let entries = [entry("a", None), entry("b", settings), entry("e", None)];
    for entry in entries.iter().rev() {
        store.create(entry).unwrap();
    }
    assert!(matches!(store.create(&entries[1]), Err(Error::NamespaceExists { .. })));
    assert_eq!(store.get(&entries[1].name).unwrap(), entries[1]);
    let names = |listed: Vec<NamespaceEntry>| -> Vec<String> {
        listed.into_iter().map(|entry| entry.name.to_string()).collect()
    };
    assert_eq!(names(store.list(None, 10).unwrap()), ["a", "b", "default", "e"]);
    assert_eq!(names(store.list(Some(&entries[0].name), 2).unwrap()), ["b", "default"]);
    assert_eq!(store.list(Some(&entries[2].name), 2).unwrap(), []);
}

pub fn namespaces_do_not_see_each_other(store: &dyn Store) {
    let other = create(store, "other");
    append(store, interactions("a", 0..5));
    let appended = append_to(store, &other, interactions("a", 0..2), NOW);
    assert_eq!(appended.outcomes, [Accepted(1), Accepted(2)]);
    assert_eq!(read_all(store, &default_namespace(), 10).len(), 5);
    assert_eq!(read_all(store, &other, 10).len(), 2);
}

pub fn a_deleted_namespace_is_gone_and_made_again_it_is_empty(store: &dyn Store) {
    let name = create(store, "short-lived");
    append(store, interactions("a", 0..5));
    for call in 0..30 {
        append_to(store, &name, interactions(&format!("a{call}"), 0..5), NOW);
    }
    store.put(&name, &snapshot(5, 1)).unwrap();
    store.delete(&name).unwrap();
    assert!(matches!(store.read_after(&name, 0, 1), Err(Error::NoNamespace { .. })));
    assert!(matches!(store.delete(&name), Err(Error::NoNamespace { .. })));
    assert_eq!(store.newest(&name, 1).unwrap(), None);

    create(store, "short-lived");
    assert_eq!(store.log_end(&name).unwrap(), 0);
    assert_eq!(store.newest(&name, 1).unwrap(), None);
    let appended = append_to(store, &name, interactions("a0", 0..1), NOW.plus_millis(-5));
    assert_eq!(appended.outcomes, [Accepted(1)]);
    assert_eq!(read_all(store, &name, 10)[0].recorded_at, NOW.plus_millis(-5));
    assert_eq!(read_all(store, &default_namespace(), 10).len(), 5);
}

pub fn a_reopen_keeps_everything(backend: &dyn Backend) {
    let name = {
        let store = backend.open();
        append(&*store, interactions("a", 0..100));
        store.put(&default_namespace(), &snapshot(50, 1)).unwrap();
        create(&*store, "other")
    };
    let store = backend.open();
    let log = read_all(&*store, &default_namespace(), 1_000);
    assert_gapless(&log);
    assert_eq!(records_of(log), interactions("a", 0..100));
    // Compared without being shown: it is large.
    assert!(store.newest(&default_namespace(), 1).unwrap() == Some(snapshot(50, 1)));
    assert_eq!(store.get(&name).unwrap().name, name);
    assert_eq!(append(&*store, interactions("b", 0..1)).outcomes, [Accepted(101)]);
}

pub fn the_newest_snapshot_of_the_engine_revision_is_read_whole(store: &dyn Store) {
    assert_eq!(newest_watermark(store, 1), None);
    for (watermark, engine_revision) in [(10, 1), (20, 2), (30, 1), (40, 2)] {
        store.put(&default_namespace(), &snapshot(watermark, engine_revision)).unwrap();
    }
    assert!(store.newest(&default_namespace(), 1).unwrap() == Some(snapshot(30, 1)));
    assert_eq!(newest_watermark(store, 2), Some(40));
    assert_eq!(newest_watermark(store, 3), None);
    let without_sections = Snapshot { sections: Vec::new(), ..snapshot(50, 3) };
    store.put(&default_namespace(), &without_sections).unwrap();
    assert_eq!(store.newest(&default_namespace(), 3).unwrap(), Some(without_sections));
}

pub fn pruning_leaves_the_newest_snapshots_of_each_revision(store: &dyn Store) {
    let name = default_namespace();
    let other = create(store, "other");
    store.put(&other, &snapshot(1, 1)).unwrap();
    for (watermark, engine_revision) in [(10, 3), (20, 2), (30, 1), (40, 1), (50, 2)] {
        store.put(&name, &snapshot(watermark, engine_revision)).unwrap();
    }
    let newest = || [3, 2, 1].map(|engine_revision| newest_watermark(store, engine_revision));
    for keep in [9, 2, 1] {
        store.prune(&name, keep).unwrap();
        assert_eq!(newest(), [Some(10), Some(50), Some(40)]);
    }
    store.prune(&name, 0).unwrap();
    assert_eq!(newest(), [None, None, None]);
    assert!(store.newest(&other, 1).unwrap().is_some());
}

pub fn pruning_drops_a_revision_that_nobody_has_stored_for_a_month(store: &dyn Store) {
    let name = default_namespace();
    let aged = |watermark, engine_revision, days: i64| {
        let mut snapshot = snapshot(watermark, engine_revision);
        snapshot.header.taken_at = NOW.plus_millis(-days * Timestamp::DAY_MS);
        snapshot
    };
    for snapshot in [aged(10, 1, 31), aged(20, 2, 29), aged(30, 2, 60), aged(40, 3, 0)] {
        store.put(&name, &snapshot).unwrap();
    }
    store.prune(&name, 2).unwrap();
    let newest = [1, 2, 3].map(|engine_revision| newest_watermark(store, engine_revision));
    assert_eq!(newest, [None, Some(30), Some(40)]);
}

/// A namespace that is deleted and created again has another incarnation; everything
/// else leaves it as it was.
pub fn the_ends_of_many_logs_are_told_at_once(store: &dyn Store) {
    let [one, two] = [create(store, "one"), create(store, "two")];
    append_to(store, &two, interactions("a", 0..7), NOW);
    let missing = NamespaceName::parse("missing").unwrap();
    let names = [two.clone(), missing, default_namespace(), one.clone()];
    let told = || store.log_ends(&names).unwrap();
    let ends: Vec<_> = told().into_iter().map(|end| (end.partition.namespace, end.end)).collect();
    assert_eq!(ends, [(two.clone(), 7), (default_namespace(), 0), (one, 0)]);
    assert_eq!(store.log_ends(&[]).unwrap(), []);

    let before = told();
    append_to(store, &two, interactions("b", 0..1), NOW);
    let grown = told();
    assert_eq!(grown[0].partition, before[0].partition);
    assert_eq!(grown[0].end, 8);
    store.delete(&two).unwrap();
    assert_eq!(told(), before[1..]);
    create(store, "two");
    let again = told();
    assert_ne!(again[0].partition, before[0].partition);
    assert_eq!((&again[0].partition.namespace, again[0].end), (&two, 0));
    assert_eq!(again[1..], before[1..]);
}
