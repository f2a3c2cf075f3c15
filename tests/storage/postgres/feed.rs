//! The tail feed as the store uses it: what it publishes, and what it takes.

use std::sync::Arc;
use std::sync::Mutex;

use engine::domain::PublishedModel;
use engine::domain::Record;
use engine::domain::Sequence;
use personalization::storage::InteractionLog;
use personalization::storage::Partition;
use personalization::storage::PostgresOptions;
use personalization::storage::TailBatch;
use personalization::storage::TailFeed;
use personalization::storage::open_postgres;
use tokio::sync::watch;

use super::database::Database;
use crate::conformance::append;
use crate::conformance::default_namespace;
use crate::conformance::interactions;

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

    fn recent(&self, partition: &Partition, after: Sequence) -> Vec<Arc<TailBatch>> {
        let mut batches = self.batches();
        batches.retain(|batch| batch.partition == *partition && batch.head.last() > after);
        batches
    }

    fn newest(&self, _partition: &Partition) -> Option<Sequence> {
        None
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
    let options = PostgresOptions { feed: Some(feed.clone()), ..database.options() };
    let store = open_postgres(&options).unwrap();
    append(&*store, interactions("a", 0..10));
    append(&*store, interactions("a", 0..10));
    let model = PublishedModel { version: 1, trained_at: 1, encoded: vec![7; 300_000].into() };
    append(&*store, vec![Record::ModelPublished(model)]);
    let batches = feed.batches();
    let numbers: Vec<_> = batches
        .iter()
        .map(|batch| (batch.head.first, batch.head.count, batch.payload.is_some()))
        .collect();
    assert_eq!(numbers, [(1, 10, true), (11, 1, false)]);
    let end = store.log_ends(&[default_namespace()]).unwrap().remove(0);
    assert!(batches.iter().all(|batch| batch.partition == end.partition));
}

#[test]
fn what_the_feed_has_is_read_without_the_table_and_what_is_wrong_with_it_is_not() {
    let database = Database::new();
    let feed = Arc::new(Memory::default());
    let options = PostgresOptions { feed: Some(feed.clone()), ..database.options() };
    let store = open_postgres(&options).unwrap();
    for prefix in ["a", "b", "c"] {
        append(&*store, interactions(prefix, 0..10));
    }
    let name = default_namespace();
    let whole = database.store().read_after(&name, 0, 100).unwrap();
    assert_eq!(store.read_after(&name, 0, 100).unwrap(), whole);
    assert_eq!(store.read_after(&name, 15, 1).unwrap(), whole[15..20]);

    // The last one is damaged, then missing a payload, then behind a gap.
    let last = TailBatch::clone(&feed.batches()[2]);
    let mut damaged = last.clone();
    damaged.payload.as_mut().unwrap()[30] ^= 1;
    let without = TailBatch { payload: None, ..last };
    for wrong in [damaged, without] {
        feed.change(|kept| kept[2] = Arc::new(wrong));
        assert_eq!(store.read_after(&name, 0, 100).unwrap(), whole[..20]);
        assert_eq!(store.read_after(&name, 20, 100).unwrap(), whole[20..]);
    }
    feed.change(|kept| {
        kept.remove(0);
    });
    assert_eq!(store.read_after(&name, 0, 100).unwrap(), whole);

    // What is heard is believed for as long as it is heard, but nothing else is.
    database.raw().run("DELETE FROM log_batches WHERE first_sequence = 11");
    assert_eq!(store.read_after(&name, 10, 100).unwrap(), whole[10..20]);
    assert!(store.read_after(&name, 0, 100).is_err());
}
