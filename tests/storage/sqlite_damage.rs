//! What the embedded store makes of damage, of newer data and of a directory that
//! is taken.

use std::sync::Arc;

use personalization::storage::AppendOutcome::Accepted;
use personalization::storage::AppendOutcome::Duplicate;
use personalization::storage::Error;
use personalization::storage::Extent;
use personalization::storage::HashCheck;
use personalization::storage::InteractionLog;
use personalization::storage::Position;
use personalization::storage::SnapshotStore;
use personalization::storage::SqliteStore;
use rusqlite::Connection;

use crate::conformance::NOW;
use crate::conformance::append;
use crate::conformance::create;
use crate::conformance::default_of;
use crate::conformance::group as group_of;
use crate::conformance::interactions;
use crate::conformance::log_end;
use crate::conformance::newest_watermark;
use crate::conformance::put;
use crate::conformance::read_all;
use crate::conformance::read_from;
use crate::conformance::snapshot;
use crate::conformance::upto;
use crate::sqlite::Sqlite;

fn raw(sqlite: &Sqlite) -> Connection {
    Connection::open(sqlite.options(1).path.join("personalization.db")).unwrap()
}

/// A log of three batches of ten records, two snapshots, then `damage`.
fn damaged(sqlite: &Sqlite, damage: &str) -> Result<Arc<SqliteStore>, Error> {
    {
        let store = sqlite.try_open().unwrap();
        for prefix in ["a", "b", "c"] {
            append(&*store, interactions(prefix, 0..10));
        }
        for watermark in [10, 20] {
            put(&*store, &default_of(&*store), snapshot(watermark, 1)).unwrap();
        }
    }
    raw(sqlite).execute_batch(damage).unwrap();
    sqlite.try_open()
}

fn is_corrupt<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Corrupt { .. }))
}

#[test]
fn a_damaged_batch_is_corrupt_and_those_before_it_are_read() {
    for damage in [
        "payload = CAST(substr(payload, 1, 40) || x'ff' || substr(payload, 42) AS BLOB)",
        "payload = substr(payload, 1, 40)",
        "payload = x''",
        "payload_crc32 = payload_crc32 + 1",
        "payload_crc32 = -1",
        "recorded_at_ms = recorded_at_ms + 1",
        "count = 9",
        "count = -1",
        "first_sequence = 12",
        "chain = chain + 1",
    ] {
        let sqlite = Sqlite::new();
        let update = format!("UPDATE log_batches SET {damage} WHERE first_sequence = 11");
        let store = damaged(&sqlite, &update).unwrap();
        let before = read_from(&*store, 0, 5).unwrap();
        assert_eq!(before.len(), 10, "{damage}");
        assert!(is_corrupt(read_from(&*store, 0, 30)), "{damage}");
    }
}

#[test]
fn a_missing_batch_is_corrupt() {
    let sqlite = Sqlite::new();
    let store = damaged(&sqlite, "DELETE FROM log_batches WHERE first_sequence = 11").unwrap();
    assert!(is_corrupt(read_from(&*store, 0, 30)));
    assert!(is_corrupt(read_from(&*store, 10, 30)));
    assert_eq!(read_from(&*store, 20, 30).unwrap().len(), 10);
}

/// Each damages the hashes of the second batch, or their checksum.
const DAMAGED_HASHES: [&str; 5] = [
    "event_hashes = x'00'",
    "event_hashes = x''",
    "event_hashes = zeroblob(180)",
    "event_hashes_crc32 = -1",
    "event_hashes_crc32 = event_hashes_crc32 + 1",
];

fn hashes(sqlite: &Sqlite) -> Vec<(Vec<u8>, i64)> {
    let raw = raw(sqlite);
    let mut statement = raw
        .prepare("SELECT event_hashes, event_hashes_crc32 FROM log_batches ORDER BY id")
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn damaged_event_hashes_are_rebuilt_by_the_append_that_meets_them() {
    for damage in DAMAGED_HASHES {
        let sqlite = Sqlite::new();
        drop(damaged(&sqlite, "").unwrap());
        let whole = hashes(&sqlite);
        let update = format!("UPDATE log_batches SET {damage} WHERE first_sequence = 11");
        raw(&sqlite).execute_batch(&update).unwrap();
        let store = sqlite.try_open().unwrap();
        // Records are read meanwhile.
        let partition = default_of(&*store);
        assert_eq!(read_all(&*store, &partition, upto(1)).len(), 30, "{damage}");
        let mixed = append(&*store, [interactions("b", 3..4), interactions("d", 0..1)].concat());
        assert_eq!(mixed.outcomes, [Duplicate, Accepted(31)], "{damage}");
        assert_eq!(hashes(&sqlite)[..3], whole, "{damage}");
        assert_eq!(store.event_hashes_rebuilt(), 1);
        assert_eq!(read_all(&*store, &partition, upto(100)).len(), 31);
    }
}

#[test]
fn a_check_reports_damaged_event_hashes_and_repairs_them() {
    for extent in [Extent::Window, Extent::Whole] {
        for damage in DAMAGED_HASHES {
            let sqlite = Sqlite::new();
            let update = format!("UPDATE log_batches SET {damage} WHERE first_sequence = 11");
            let store = damaged(&sqlite, &update).unwrap();
            let partition = default_of(&*store);
            let check = || store.check_event_hashes(&partition, extent).unwrap();
            assert_eq!(check(), HashCheck { batches: 3, damaged: 1, rebuilt: 1 }, "{damage}");
            assert_eq!(check(), HashCheck { batches: 3, damaged: 0, rebuilt: 0 }, "{damage}");
            assert_eq!(append(&*store, interactions("b", 0..10)).outcomes, [Duplicate; 10]);
            assert_eq!(store.event_hashes_rebuilt(), 1);
        }
    }
}

#[test]
fn event_hashes_whose_batch_is_damaged_too_stop_appends_to_their_namespace_only() {
    let sqlite = Sqlite::new();
    let update = "UPDATE log_batches SET event_hashes = x'00', payload = substr(payload, 1, 40)
        WHERE first_sequence = 11";
    let store = damaged(&sqlite, update).unwrap();
    let (partition, other) = (default_of(&*store), create(&*store, "other"));
    let [one] = group_of(&partition, interactions("d", 0..1));
    let [two] = group_of(&other, interactions("d", 0..1));
    let mut appended = store.append(&[one, two], NOW).unwrap();
    assert_eq!(appended.pop().unwrap().unwrap().outcomes, [Accepted(1)]);
    assert!(is_corrupt(appended.pop().unwrap()));
    let check = store.check_event_hashes(&partition, Extent::Whole).unwrap();
    assert_eq!(check, HashCheck { batches: 3, damaged: 1, rebuilt: 0 });
    let check = store.check_event_hashes(&other, Extent::Whole).unwrap();
    assert_eq!(check, HashCheck { batches: 1, damaged: 0, rebuilt: 0 });
}

/// As after a restore from a backup: some records are gone, and others replaced them.
#[test]
fn a_reader_of_a_log_that_was_replaced_learns_it_and_finds_where_the_logs_part() {
    let sqlite = Sqlite::new();
    let store = damaged(&sqlite, "").unwrap();
    let partition = default_of(&*store);
    let at = |store: &SqliteStore, sequence| store.position_at(&partition, sequence).unwrap();
    let [common, lost] = [20, 30].map(|sequence| at(&store, sequence).unwrap());
    drop(store);
    raw(&sqlite).execute_batch("DELETE FROM log_batches WHERE first_sequence = 21").unwrap();
    let store = sqlite.try_open().unwrap();
    let is_broken = |after: Position| match store.read_after(&partition, after, upto(10)) {
        Err(Error::ChainBroken { sequence, .. }) => sequence == after.sequence,
        _ => false,
    };
    assert!(is_broken(lost), "its end is behind the reader");
    append(&*store, interactions("d", 0..10));
    assert!(is_broken(lost), "it is as long as what was read");
    append(&*store, interactions("e", 0..10));
    assert!(is_broken(lost), "it is longer than what was read");
    assert_eq!(at(&store, 20), Some(common));
    assert_ne!(at(&store, 30), Some(lost));
    let read = store.read_after(&partition, common, upto(100)).unwrap();
    assert_eq!((read.records.len(), read.end.sequence), (20, 40));
}

/// Every write is refused, as on a full disk.
#[test]
fn a_disk_that_takes_nothing_more_is_read() {
    let sqlite = Sqlite::new();
    // Something is left to be removed.
    let mut refuse = "INSERT INTO namespaces (name, created_at_ms) VALUES (NULL, 0);".to_owned();
    for table in ["namespaces", "log_batches", "snapshots", "snapshot_parts"] {
        for event in ["INSERT", "UPDATE", "DELETE"] {
            refuse.push_str(&format!(
                "CREATE TRIGGER {event}_{table} BEFORE {event} ON {table}
                 BEGIN SELECT raise(ABORT, 'disk full'); END;"
            ));
        }
    }
    let store = damaged(&sqlite, &refuse).unwrap();
    let partition = default_of(&*store);
    assert_eq!(read_all(&*store, &partition, upto(100)).len(), 30);
    assert_eq!(newest_watermark(&*store, 1), Some(20));
    let refused = store.append(&group_of(&partition, interactions("d", 0..1)), NOW);
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
}

#[test]
fn a_batch_of_a_newer_format_is_too_new() {
    // The format is the first byte of a payload; the checksum must match again.
    let sqlite = Sqlite::new();
    let store = damaged(&sqlite, "").unwrap();
    let raw = raw(&sqlite);
    let mut payload: Vec<u8> = raw
        .query_row("SELECT payload FROM log_batches WHERE first_sequence = 11", [], |row| {
            row.get(0)
        })
        .unwrap();
    payload[0] = 200;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&11_u64.to_le_bytes());
    hasher.update(&10_u32.to_le_bytes());
    hasher.update(&NOW.as_millis().to_le_bytes());
    hasher.update(&payload);
    raw.execute(
        "UPDATE log_batches SET payload = ?1, payload_crc32 = ?2 WHERE first_sequence = 11",
        (payload, hasher.finalize()),
    )
    .unwrap();
    let read = read_from(&*store, 10, 10);
    assert!(matches!(read, Err(Error::TooNew { found: 200, known: 1, .. })), "{read:?}");
}

#[test]
fn a_damaged_snapshot_is_passed_over() {
    let newest = "snapshot_id = (SELECT max(id) FROM snapshots)";
    for damage in [
        format!("UPDATE snapshot_parts SET bytes = x'00' WHERE position = 0 AND {newest}"),
        format!("UPDATE snapshot_parts SET crc32 = -1 WHERE position = 2 AND {newest}"),
        format!("UPDATE snapshot_parts SET name = 'other' WHERE position = 1 AND {newest}"),
        format!("UPDATE snapshot_parts SET section = 1 WHERE position = 2 AND {newest}"),
        format!("DELETE FROM snapshot_parts WHERE position = 0 AND {newest}"),
        format!("DELETE FROM snapshot_parts WHERE position = 4 AND {newest}"),
    ] {
        let sqlite = Sqlite::new();
        let store = damaged(&sqlite, &damage).unwrap();
        let found = store.newest(&default_of(&*store), 1).unwrap().unwrap();
        assert_eq!((found.header.position.sequence, found.passed_over), (10, 1), "{damage}");
    }
}

#[test]
fn what_an_earlier_process_left_half_done_is_removed_at_the_start() {
    let sqlite = Sqlite::new();
    let damage = "UPDATE snapshots SET parts = NULL WHERE watermark = 20;
        UPDATE namespaces SET name = NULL WHERE name = 'default';
        INSERT INTO namespaces (name, created_at_ms) VALUES ('default', 0);
        UPDATE snapshots SET namespace_id = 2 WHERE watermark = 20;";
    let store = damaged(&sqlite, damage).unwrap();
    assert_eq!(log_end(&*store).unwrap(), 0);
    for table in ["log_batches", "snapshots", "snapshot_parts"] {
        let rows: i64 = raw(&sqlite)
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let sqlite = Sqlite::new();
    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
        VALUES (9000, 'later', '2030-01-01T00:00:00Z', '1')";
    let refused = damaged(&sqlite, newer);
    assert!(matches!(refused, Err(Error::TooNew { found: 9000, .. })), "{refused:?}");
}

#[test]
fn a_file_that_is_no_database_is_corrupt() {
    let sqlite = Sqlite::new();
    let path = sqlite.options(1).path;
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("personalization.db"), [b'x'; 50_000]).unwrap();
    assert!(is_corrupt(sqlite.try_open()));
}

#[test]
fn a_directory_in_use_is_refused_until_its_store_is_dropped() {
    let sqlite = Sqlite::new();
    let first = sqlite.try_open().unwrap();
    match sqlite.try_open() {
        Err(Error::Unavailable { reason }) => assert!(reason.contains("in use"), "{reason}"),
        other => panic!("{other:?}"),
    }
    drop(first);
    sqlite.try_open().unwrap();
}

#[test]
fn a_refused_write_leaves_the_store_as_it_was_and_usable() {
    let sqlite = Sqlite::new();
    let store = damaged(
        &sqlite,
        "CREATE TRIGGER full BEFORE INSERT ON log_batches WHEN new.first_sequence > 10_000
         BEGIN SELECT raise(ABORT, 'disk full'); END",
    )
    .unwrap();
    // The first two batches of the call are written before the third is refused.
    let group = || group_of(&default_of(&*store), interactions("d", 0..25_000));
    let refused = store.append(&group(), NOW);
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    assert_eq!(log_end(&*store).unwrap(), 30);
    assert_eq!(append(&*store, interactions("a", 0..1)).outcomes, [Duplicate]);
    raw(&sqlite).execute_batch("DROP TRIGGER full").unwrap();
    let appended = store.append(&group(), NOW).unwrap().remove(0).unwrap();
    assert!(appended.outcomes.iter().all(|outcome| *outcome != Duplicate));
    assert_eq!(appended.log_end, 25_030);
}
