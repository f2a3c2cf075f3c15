//! A store in memory whose log can lose its end, as a standby that lagged would, and whose
//! reads can take their time.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::service::Stores;
use crate::storage::AppendOutcome;
use crate::storage::Appended;
use crate::storage::Chain;
use crate::storage::Error;
use crate::storage::Extent;
use crate::storage::Fence;
use crate::storage::HashCheck;
use crate::storage::InteractionLog;
use crate::storage::LeaseName;
use crate::storage::Leases;
use crate::storage::LogAppend;
use crate::storage::LogEnd;
use crate::storage::LogRead;
use crate::storage::MemoryCache;
use crate::storage::MemoryRates;
use crate::storage::NamespaceEntry;
use crate::storage::NamespaceStore;
use crate::storage::Partition;
use crate::storage::Position;
use crate::storage::ReadLimit;
use crate::storage::ReportedTraining;
use crate::storage::Snapshot;
use crate::storage::SnapshotHeader;
use crate::storage::SnapshotStore;
use crate::storage::Trainings;
use engine::domain::LogRecord;
use engine::domain::NamespaceName;
use engine::domain::Sequence;
use engine::domain::Settings;
use engine::domain::Timestamp;

#[derive(Debug, Clone)]
struct Batch {
    records: Vec<LogRecord>,
    end: Position,
}

#[derive(Debug)]
struct Life {
    entry: NamespaceEntry,
    batches: Vec<Batch>,
    snapshots: Vec<Snapshot>,
}

impl Life {
    fn end(&self) -> Position {
        self.batches.last().map_or_else(Position::default, |batch| batch.end)
    }
}

#[derive(Debug, Default)]
struct Held {
    lives: BTreeMap<NamespaceName, Life>,
    incarnations: u64,
    leases: HashMap<LeaseName, (usize, u64)>,
    epochs: u64,
    /// Id, report, and whether its end is requested.
    trainings: HashMap<Partition, (String, String, bool)>,
}

/// Shared by all processes of a test.
#[derive(Debug, Default)]
pub struct World {
    /// Whether the log is that of one process.
    pub is_alone: AtomicBool,
    held: Mutex<Held>,
    /// What each read of one batch takes; 0: reads bring whatever their limit allows.
    read_millis: AtomicU64,
    /// Reads from before the first record: as many as there were replays.
    pub replays: AtomicUsize,
    chains: AtomicU64,
    pub released: Mutex<Vec<Partition>>,
}

/// What one process sees of the store.
#[derive(Debug, Clone)]
pub struct Process {
    world: Arc<World>,
    number: usize,
}

impl World {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    pub fn slow_reads(&self, millis: u64) {
        self.read_millis.store(millis, Ordering::Relaxed);
    }

    pub fn lose_last_batch(&self, name: &NamespaceName) {
        self.held().lives.get_mut(name).unwrap().batches.pop().unwrap();
    }

    pub fn records(&self, name: &NamespaceName) -> Vec<LogRecord> {
        let held = self.held();
        held.lives[name].batches.iter().flat_map(|batch| batch.records.clone()).collect()
    }

    pub fn ends(&self, name: &NamespaceName) -> Vec<Position> {
        self.held().lives[name].batches.iter().map(|batch| batch.end).collect()
    }

    pub fn snapshots(&self, name: &NamespaceName) -> Vec<Position> {
        let held = self.held();
        held.lives[name].snapshots.iter().map(|snapshot| snapshot.header.position).collect()
    }

    pub fn stores(self: &Arc<Self>, number: usize) -> Stores {
        let process = Arc::new(Process { world: self.clone(), number });
        Stores {
            identity: "test".to_owned(),
            log: process.clone(),
            snapshots: process.clone(),
            namespaces: process.clone(),
            leases: process.clone(),
            trainings: process.clone(),
            erasures: process.clone(),
            budgets: process,
            projection: None,
            feed: None,
            cache: Arc::new(MemoryCache::new(100, 1 << 20)),
            rates: Arc::new(MemoryRates::default()),
        }
    }
}

fn gone(partition: &Partition) -> Error {
    Error::NoNamespace { namespace: partition.namespace.clone() }
}

impl Held {
    fn life(&mut self, partition: &Partition) -> Result<&mut Life, Error> {
        let life = self.lives.get_mut(&partition.namespace);
        life.filter(|life| life.entry.partition == *partition).ok_or_else(|| gone(partition))
    }
}

impl Process {
    fn append_one(&self, append: &LogAppend, now: Timestamp) -> Result<Appended, Error> {
        let mut held = self.world.held();
        if let Some(fence) = &append.fence
            && held.leases.get(&fence.lease) != Some(&(self.number, fence.epoch))
        {
            return Err(Error::Fenced { lease: fence.lease.clone() });
        }
        let life = held.life(&append.partition)?;
        let before = life.end().sequence;
        let records: Vec<LogRecord> = append
            .records
            .iter()
            .zip(before + 1..)
            .map(|(record, sequence)| LogRecord {
                sequence,
                recorded_at: now,
                record: record.clone(),
            })
            .collect();
        let log_end = before + records.len() as u64;
        let chain = self.world.chains.fetch_add(1, Ordering::Relaxed) + 1;
        let end = Position {
            sequence: log_end,
            chain: Chain::from_bytes(chain.to_le_bytes()),
            revision: 0,
        };
        let outcomes =
            records.iter().map(|record| AppendOutcome::Accepted(record.sequence)).collect();
        life.batches.push(Batch { records, end });
        Ok(Appended { outcomes, log_end })
    }
}

impl InteractionLog for Process {
    fn append(
        &self,
        groups: &[LogAppend],
        now: Timestamp,
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        Ok(groups.iter().map(|append| self.append_one(append, now)).collect())
    }

    fn read_after(
        &self,
        partition: &Partition,
        after: Position,
        limit: ReadLimit,
    ) -> Result<LogRead, Error> {
        std::thread::sleep(Duration::from_millis(self.world.read_millis.load(Ordering::Relaxed)));
        if after == Position::default() {
            self.world.replays.fetch_add(1, Ordering::Relaxed);
        }
        let mut held = self.world.held();
        let life = held.life(partition)?;
        let ends = life.batches.iter().map(|batch| batch.end);
        let at = match ends.clone().position(|end| end == after) {
            Some(at) => at + 1,
            None if after == Position::default() => 0,
            None => {
                let sequence = after.sequence;
                return Err(Error::ChainBroken { partition: partition.clone(), sequence });
            }
        };
        let mut read = LogRead { records: Vec::new(), end: after };
        for batch in &life.batches[at..] {
            read.records.extend(batch.records.iter().cloned());
            read.end = batch.end;
            let is_slow = self.world.read_millis.load(Ordering::Relaxed) > 0;
            if is_slow || read.records.len() >= limit.records {
                break;
            }
        }
        Ok(read)
    }

    fn read_from(
        &self,
        partition: &Partition,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<LogRecord>, Error> {
        let slow = self.world.read_millis.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(slow));
        let mut held = self.world.held();
        let batches = held.life(partition)?.batches.iter();
        let batches = batches.filter(|batch| batch.end.sequence > after);
        let batches = batches.take(if slow > 0 { 1 } else { usize::MAX });
        let records = batches.flat_map(|batch| batch.records.iter());
        Ok(records.filter(|record| record.sequence > after).take(limit.records).cloned().collect())
    }

    fn position_at(
        &self,
        partition: &Partition,
        sequence: Sequence,
    ) -> Result<Option<Position>, Error> {
        let mut held = self.world.held();
        let life = held.life(partition)?;
        let mut ends = life.batches.iter().map(|batch| batch.end);
        Ok(ends.find(|end| end.sequence == sequence))
    }

    fn log_ends(&self, partitions: &[Partition]) -> Result<Vec<LogEnd>, Error> {
        let mut held = self.world.held();
        let ends = partitions.iter().filter_map(|partition| {
            let end = held.life(partition).ok()?.end();
            Some(LogEnd { partition: partition.clone(), end })
        });
        Ok(ends.collect())
    }

    fn release(&self, partition: &Partition) {
        self.world.released.lock().unwrap().push(partition.clone());
    }

    fn check_event_hashes(
        &self,
        _partition: &Partition,
        _extent: Extent,
    ) -> Result<HashCheck, Error> {
        Ok(HashCheck::default())
    }

    fn event_hashes_rebuilt(&self) -> u64 {
        0
    }

    fn is_shared(&self) -> bool {
        !self.world.is_alone.load(Ordering::Relaxed)
    }
}

impl SnapshotStore for Process {
    fn put(
        &self,
        partition: &Partition,
        header: &SnapshotHeader,
        sections: &mut dyn Iterator<Item = (String, Vec<u8>)>,
    ) -> Result<(), Error> {
        let snapshot =
            Snapshot { header: header.clone(), sections: sections.collect(), passed_over: 0 };
        self.world.held().life(partition)?.snapshots.push(snapshot);
        Ok(())
    }

    fn newest_up_to(
        &self,
        partition: &Partition,
        _engine_revision: u32,
        watermark: Sequence,
    ) -> Result<Option<Snapshot>, Error> {
        let mut held = self.world.held();
        let snapshots = held.life(partition)?.snapshots.iter();
        let fitting = snapshots.filter(|one| one.header.position.sequence <= watermark);
        Ok(fitting.max_by_key(|one| one.header.position.sequence).cloned())
    }

    fn prune(&self, _partition: &Partition, _keep: usize) -> Result<(), Error> {
        Ok(())
    }

    fn discard_after(&self, partition: &Partition, sequence: Sequence) -> Result<(), Error> {
        let mut held = self.world.held();
        let life = held.life(partition)?;
        life.snapshots.retain(|snapshot| snapshot.header.position.sequence <= sequence);
        Ok(())
    }
}

impl NamespaceStore for Process {
    fn create(
        &self,
        name: &NamespaceName,
        created_at: Timestamp,
        settings: Option<Settings>,
    ) -> Result<NamespaceEntry, Error> {
        let mut held = self.world.held();
        held.incarnations += 1;
        let partition = Partition { namespace: name.clone(), incarnation: held.incarnations };
        let entry = NamespaceEntry { partition, created_at, settings };
        let life = Life { entry: entry.clone(), batches: Vec::new(), snapshots: Vec::new() };
        held.lives.insert(name.clone(), life);
        Ok(entry)
    }

    fn resolve(&self, name: &NamespaceName) -> Result<NamespaceEntry, Error> {
        let held = self.world.held();
        let life = held.lives.get(name);
        let entry = life.map(|life| life.entry.clone());
        entry.ok_or_else(|| Error::NoNamespace { namespace: name.clone() })
    }

    fn list(
        &self,
        _after: Option<&NamespaceName>,
        _count: usize,
    ) -> Result<Vec<NamespaceEntry>, Error> {
        Ok(Vec::new())
    }

    fn delete(&self, partition: &Partition) -> Result<(), Error> {
        let mut held = self.world.held();
        held.life(partition)?;
        held.lives.remove(&partition.namespace);
        Ok(())
    }
}

impl Leases for Process {
    fn keep(&self, requested: &[LeaseName], all: bool) -> Result<Vec<Fence>, Error> {
        let mut held = self.world.held();
        let held = &mut *held;
        if all {
            let is_own = |holder: usize| holder == self.number;
            held.leases.retain(|lease, (holder, _)| !is_own(*holder) || requested.contains(lease));
        }
        let mut fences = Vec::new();
        for lease in requested {
            let (holder, epoch) = *held.leases.entry(lease.clone()).or_insert_with(|| {
                held.epochs += 1;
                (self.number, held.epochs)
            });
            if holder == self.number {
                fences.push(Fence { lease: lease.clone(), epoch });
            }
        }
        Ok(fences)
    }

    fn release(&self, fences: &[Fence]) -> Result<(), Error> {
        let mut held = self.world.held();
        for fence in fences {
            if held.leases.get(&fence.lease) == Some(&(self.number, fence.epoch)) {
                held.leases.remove(&fence.lease);
            }
        }
        Ok(())
    }
}

impl Trainings for Process {
    fn report(&self, fence: &Fence, training_id: &str, report: &str) -> Result<bool, Error> {
        let mut held = self.world.held();
        if held.leases.get(&fence.lease) != Some(&(self.number, fence.epoch)) {
            return Err(Error::Fenced { lease: fence.lease.clone() });
        }
        let before = held.trainings.remove(&fence.lease.partition);
        let end_requested = before.is_some_and(|(id, _, requested)| requested && id == training_id);
        let now = (training_id.to_owned(), report.to_owned(), end_requested);
        held.trainings.insert(fence.lease.partition.clone(), now);
        Ok(end_requested)
    }

    fn reported(&self, partition: &Partition) -> Result<Option<ReportedTraining>, Error> {
        let held = self.world.held();
        let reported = held.trainings.get(partition).cloned();
        Ok(reported.map(|(training_id, report, _)| ReportedTraining {
            training_id,
            report,
            silent_for: Duration::ZERO,
        }))
    }

    fn request_end(&self, partition: &Partition, training_id: &str) -> Result<(), Error> {
        let mut held = self.world.held();
        if let Some((id, _, requested)) = held.trainings.get_mut(partition) {
            *requested |= id == training_id;
        }
        Ok(())
    }
}
