//! Leases, and what is written under them.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use personalization::storage::AppendOutcome::Accepted;
use personalization::storage::Error;
use personalization::storage::Fence;
use personalization::storage::InteractionLog;
use personalization::storage::Lease;
use personalization::storage::Leases;
use personalization::storage::LogAppend;
use personalization::storage::PostgresStore;

use super::database::Database;
use crate::conformance::NOW;
use crate::conformance::default_namespace;
use crate::conformance::interactions;

/// Once the holder's connection has ended, which may take a moment.
fn acquire_soon(store: &Arc<PostgresStore>, name: &str) -> Box<dyn Lease> {
    let started = Instant::now();
    loop {
        if let Some(lease) = store.acquire(name).unwrap() {
            return lease;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "the lease does not pass on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_lease_has_one_holder_at_a_time() {
    let database = Database::new();
    let stores = [database.store(), database.store()];
    let held = stores[0].acquire("train").unwrap().unwrap();
    assert_eq!(*held.fence(), Fence { lease: "train".to_owned(), epoch: 1 });
    assert!(held.is_held().unwrap());
    for store in &stores {
        assert!(store.acquire("train").unwrap().is_none());
    }
    let other = stores[1].acquire("snapshot").unwrap().unwrap();
    assert_eq!(other.fence().epoch, 1);
    drop(held);
    let next = acquire_soon(&stores[1], "train");
    assert_eq!(next.fence().epoch, 2);
    assert!(next.is_held().unwrap() && other.is_held().unwrap());
}

#[test]
fn a_lease_goes_when_its_store_is_dropped() {
    let database = Database::new();
    let store = database.store();
    let held = store.acquire("train").unwrap().unwrap();
    drop(store);
    assert!(held.is_held().unwrap());
    drop(held);
    acquire_soon(&database.store(), "train");
}

#[test]
fn a_lease_passes_on_when_the_session_of_its_holder_is_killed() {
    let database = Database::new();
    let stores = [database.store(), database.store()];
    let held = stores[0].acquire("train").unwrap().unwrap();
    database.raw().run(
        "SELECT pg_terminate_backend(pid) FROM pg_locks
         WHERE locktype = 'advisory' AND database =
             (SELECT oid FROM pg_database WHERE datname = current_database())",
    );
    let next = acquire_soon(&stores[1], "train");
    assert!(!held.is_held().unwrap());
    assert!(next.is_held().unwrap());
}

#[test]
fn a_record_under_a_lease_that_has_passed_on_is_refused_without_its_neighbours() {
    let database = Database::new();
    let stores = [database.store(), database.store()];
    let write = |store: &PostgresStore, prefix: &str, fence: &Fence| {
        let group = |prefix: String, fence| LogAppend {
            namespace: default_namespace(),
            records: interactions(&prefix, 0..2),
            fence,
        };
        let groups = [
            group(format!("{prefix}-free"), None),
            group(format!("{prefix}-fenced"), Some(fence.clone())),
            group(format!("{prefix}-other"), None),
        ];
        store.append(&groups, NOW).unwrap()
    };
    let held = stores[0].acquire("train").unwrap().unwrap();
    let old = held.fence().clone();
    let under = write(&stores[0], "a", &old);
    assert_eq!(under[1].as_ref().unwrap().outcomes, [Accepted(3), Accepted(4)]);
    drop(held);
    let next = acquire_soon(&stores[1], "train");

    let mut late = write(&stores[0], "b", &old);
    assert_eq!(late.pop().unwrap().unwrap().outcomes, [Accepted(9), Accepted(10)]);
    match late.pop().unwrap() {
        Err(Error::Fenced { lease }) => assert_eq!(lease, "train"),
        other => panic!("{other:?}"),
    }
    assert_eq!(late.pop().unwrap().unwrap().log_end, 8);
    let again = write(&stores[0], "c", next.fence());
    assert!(again.iter().all(Result::is_ok));
    let unknown = Fence { lease: "unheard of".to_owned(), epoch: 1 };
    assert!(matches!(write(&stores[0], "d", &unknown)[1], Err(Error::Fenced { .. })));
}
