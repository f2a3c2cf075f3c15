//! The tail feed as the store uses it: what it publishes, and what it takes.

use std::sync::Arc;
use std::sync::Mutex;

use engine::domain::PublishedModel;
use engine::domain::Record;
use personalization::storage::Chain;
use personalization::storage::Error;
use personalization::storage::InteractionLog;
use personalization::storage::Partition;
use personalization::storage::Position;
use personalization::storage::Seal;
use personalization::storage::TailBatch;
use personalization::storage::TailFeed;
use tokio::sync::watch;

use super::database::Database;
use crate::conformance::append;
use crate::conformance::default_of;
use crate::conformance::interactions;
use crate::conformance::read_all;
use crate::conformance::upto;

/// Hands back what was published, as far as a test lets it.
#[derive(Default)]
struct Memory(Mutex<Vec<Arc<TailBatch>>>);

impl Memory {
    fn change(&self, change: impl FnOnce(&mut Vec<Arc<TailBatch>>)) {
        change(&mut self.0.lock().unwrap());
    }

    fn batches(&self) -> Vec<Arc<TailBatch>> {
        self.0.lock().unwrap().clone()
    }
}

impl TailFeed for Memory {
    fn publish(&self, batches: Vec<TailBatch>) {
        self.change(|kept| kept.extend(batches.into_iter().map(Arc::new)));
    }

    /// Not careful at all: the store checks what it is told.
    fn recent(&self, partition: &Partition, after: Position) -> Vec<Arc<TailBatch>> {
        let mut batches = self.batches();
        batches.retain(|batch| {
            batch.partition == *partition && batch.seal.head.last() > after.sequence
        });
        batches
    }

    fn newest(&self, _partition: &Partition) -> Option<Position> {
        None
    }

    fn forget(&self, partition: &Partition) {
        self.change(|kept| kept.retain(|batch| batch.partition != *partition));
    }

    fn changes(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }

    fn is_connected(&self) -> bool {
        true
    }
}

#[test]
fn committed_batches_are_published_and_large_ones_without_their_payload() {
    let database = Database::new();
    let feed = Arc::new(Memory::default());
    let store = database.store();
    store.set_feed(feed.clone());
    append(&*store, interactions("a", 0..10));
    append(&*store, interactions("a", 0..10));
    let model = PublishedModel { version: 1, trained_at: 1, encoded: vec![7; 300_000].into() };
    append(&*store, vec![Record::ModelPublished(model)]);
    let batches = feed.batches();
    let numbers: Vec<_> = batches
        .iter()
        .map(|batch| (batch.seal.head.first, batch.seal.head.count, batch.payload.is_some()))
        .collect();
    assert_eq!(numbers, [(1, 10, true), (11, 1, false)]);
    let partition = default_of(&*store);
    assert!(batches.iter().all(|batch| batch.partition == partition));
    assert_eq!(batches[1].seal.end(0), store.log_end(&partition).unwrap());
}

#[test]
fn what_the_feed_has_is_read_without_the_table_and_what_is_wrong_with_it_is_not() {
    let database = Database::new();
    let feed = Arc::new(Memory::default());
    let store = database.store();
    store.set_feed(feed.clone());
    for prefix in ["a", "b", "c"] {
        append(&*store, interactions(prefix, 0..10));
    }
    let partition = default_of(&*store);
    let whole = read_all(&*database.store(), &partition, upto(100));
    let ends: Vec<_> = feed.batches().iter().map(|batch| batch.seal.end(0)).collect();
    let read = |after| store.read_after(&partition, after, upto(100));
    let raw = database.raw();
    // What is heard is believed for as long as it is heard.
    raw.run("CREATE TABLE kept AS SELECT * FROM log_batches; TRUNCATE log_batches");
    assert_eq!(read(ends[0]).unwrap().records, whole[10..]);
    let one = store.read_after(&partition, ends[0], upto(1)).unwrap();
    assert_eq!((one.records, one.end), (whole[10..20].to_vec(), ends[1]));
    raw.run("INSERT INTO log_batches SELECT * FROM kept");

    // The last one is damaged, then without its payload, then of another log.
    let last = TailBatch::clone(&feed.batches()[2]);
    let mut damaged = last.clone();
    damaged.payload.as_mut().unwrap()[30] ^= 1;
    let without = TailBatch { payload: None, ..last.clone() };
    let mut other = last;
    let Seal { head, payload_checksum, event_hashes_checksum, .. } = other.seal;
    other.seal = Seal::new(Chain::default(), head, payload_checksum, event_hashes_checksum);
    for wrong in [damaged, without, other] {
        feed.change(|kept| kept[2] = Arc::new(wrong));
        let heard = read(ends[0]).unwrap();
        assert_eq!((heard.records, heard.end), (whole[10..20].to_vec(), ends[1]));
        let rest = read(ends[1]).unwrap();
        assert_eq!((rest.records, rest.end), (whole[20..].to_vec(), ends[2]));
    }
    feed.change(|kept| {
        kept.remove(1);
    });
    assert_eq!(read(ends[0]).unwrap().records, whole[10..]);

    // A reader of another log is told so, whatever is heard.
    let lost = Position { chain: ends[1].chain, ..ends[0] };
    assert!(matches!(read(lost), Err(Error::ChainBroken { sequence: 10, .. })));
}
