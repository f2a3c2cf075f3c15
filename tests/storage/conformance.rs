//! The promises of the storage traits, as one function a promise. Each backend
//! calls them all from tests of its own.

mod appends;
mod budgets;
mod chains;
mod erasures;
mod lives;
mod reads;
mod snapshots;
mod trainings;

pub use appends::*;
pub use budgets::*;
pub use chains::*;
pub use erasures::*;
pub use lives::*;
pub use reads::*;
pub use snapshots::*;
pub use trainings::*;

use std::sync::Arc;

use engine::domain::EventId;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::InteractionType;
use engine::domain::ItemId;
use engine::domain::LogRecord;
use engine::domain::NamespaceName;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Timestamp;
use engine::domain::UserId;
use personalization::storage::AppendOutcome;
use personalization::storage::Appended;
use personalization::storage::Error;
use personalization::storage::InteractionLog;
use personalization::storage::LogAppend;
use personalization::storage::NamespaceStore;
use personalization::storage::Partition;
use personalization::storage::Position;
use personalization::storage::ReadLimit;
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

pub fn is_no_namespace<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::NoNamespace { .. }))
}

/// The partition of the namespace that always exists.
pub fn default_of(store: &(impl NamespaceStore + ?Sized)) -> Partition {
    store.resolve(&NamespaceName::default()).unwrap().partition
}

pub fn create(store: &(impl NamespaceStore + ?Sized), name: &str) -> Partition {
    store.create(&NamespaceName::parse(name).unwrap(), NOW, None).unwrap().partition
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

pub fn deletion(id: &str) -> Record {
    Record::ItemDeleted(ItemId::parse(id).unwrap())
}

/// One group without a fence.
pub fn group(partition: &Partition, records: Vec<Record>) -> [LogAppend; 1] {
    [LogAppend { partition: partition.clone(), records, fence: None }]
}

pub fn append<S: InteractionLog + NamespaceStore + ?Sized>(
    store: &S,
    records: Vec<Record>,
) -> Appended {
    append_to(store, &default_of(store), records, NOW)
}

pub fn append_to(
    store: &(impl InteractionLog + ?Sized),
    partition: &Partition,
    records: Vec<Record>,
    now: Timestamp,
) -> Appended {
    store.append(&group(partition, records), now).unwrap().remove(0).unwrap()
}

fn append_one(store: &dyn Store, event_id: &str) -> AppendOutcome {
    append(store, vec![interaction(event_id)]).outcomes[0]
}

/// So many records, whatever their size.
pub const fn upto(records: usize) -> ReadLimit {
    ReadLimit { records, bytes: usize::MAX }
}

/// Records of the default namespace after a position.
pub fn read_from<S: InteractionLog + NamespaceStore + ?Sized>(
    store: &S,
    after: Sequence,
    records_max: usize,
) -> Result<Vec<LogRecord>, Error> {
    store.read_from(&default_of(store), after, upto(records_max))
}

/// Where the log of the default namespace ends.
pub fn log_end<S: InteractionLog + NamespaceStore + ?Sized>(store: &S) -> Result<Sequence, Error> {
    Ok(store.log_end(&store.resolve(&NamespaceName::default())?.partition)?.sequence)
}

/// The whole log, followed from its beginning in steps of `limit`.
pub fn read_all(
    store: &(impl InteractionLog + ?Sized),
    partition: &Partition,
    limit: ReadLimit,
) -> Vec<LogRecord> {
    let mut log: Vec<LogRecord> = Vec::new();
    let mut position = Position::default();
    loop {
        let step = store.read_after(partition, position, limit).unwrap();
        if step.records.is_empty() {
            assert_eq!(step.end, position);
            return log;
        }
        assert_eq!(step.records.last().unwrap().sequence, step.end.sequence);
        position = step.end;
        log.extend(step.records);
    }
}

pub fn assert_gapless(log: &[LogRecord]) {
    for (record, sequence) in log.iter().zip(1..) {
        assert_eq!(record.sequence, sequence);
    }
}

fn records_of(log: Vec<LogRecord>) -> Vec<Record> {
    log.into_iter().map(|record| record.record).collect()
}
