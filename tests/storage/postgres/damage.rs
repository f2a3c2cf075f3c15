//! What the store makes of damage, of newer data and of what was left half done.

use std::sync::Arc;

use personalization::storage::AppendOutcome::Accepted;
use personalization::storage::AppendOutcome::Duplicate;
use personalization::storage::Error;
use personalization::storage::PostgresStore;
use personalization::storage::SnapshotStore;
use personalization::storage::open_postgres;

use super::database::Database;
use crate::conformance::append;
use crate::conformance::default_of;
use crate::conformance::interactions;
use crate::conformance::log_end;
use crate::conformance::newest_watermark;
use crate::conformance::put;
use crate::conformance::read_from;
use crate::conformance::snapshot;

/// A log of three batches of ten records, then `damage`.
fn damaged_log(database: &Database, damage: &str) -> Arc<PostgresStore> {
    let store = database.store();
    for prefix in ["a", "b", "c"] {
        append(&*store, interactions(prefix, 0..10));
    }
    database.raw().run(damage);
    database.store()
}

fn is_corrupt<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Corrupt { .. }))
}

#[test]
fn a_damaged_batch_is_corrupt_and_those_before_it_are_read() {
    let database = Database::new();
    let store = damaged_log(&database, "CREATE TABLE kept AS SELECT * FROM log_batches");
    for damage in [
        "payload = set_byte(payload, 40, get_byte(payload, 40) # 255)",
        "payload = substr(payload, 1, 40)",
        "payload = ''",
        "payload_crc32 = payload_crc32 + 1",
        "payload_crc32 = -1",
        "recorded_at_ms = recorded_at_ms + 1",
        "count = 9",
        "count = -1",
        "first_sequence = 12",
    ] {
        database.raw().run(&format!(
            "TRUNCATE log_batches;
             INSERT INTO log_batches SELECT * FROM kept;
             UPDATE log_batches SET {damage} WHERE first_sequence = 11"
        ));
        let before = read_from(&*store, 0, 5).unwrap();
        assert_eq!(before.len(), 10, "{damage}");
        assert!(is_corrupt(read_from(&*store, 0, 30)), "{damage}");
    }
}

#[test]
fn a_missing_batch_is_corrupt() {
    let database = Database::new();
    let store = damaged_log(&database, "DELETE FROM log_batches WHERE first_sequence = 11");
    for records_max in [1, 5, 30] {
        assert!(is_corrupt(read_from(&*store, 10, records_max)));
    }
    assert!(is_corrupt(read_from(&*store, 0, 30)));
    assert_eq!(read_from(&*store, 20, 30).unwrap().len(), 10);
    assert_eq!(read_from(&*store, 30, 30).unwrap(), []);
}

/// As after a failover to a standby that was behind.
#[test]
fn a_log_that_has_gone_back_is_gone_on_with_where_it_ends() {
    let database = Database::new();
    let store = database.store();
    for prefix in ["a", "b", "c"] {
        append(&*store, interactions(prefix, 0..10));
    }
    database.raw().run("DELETE FROM log_batches WHERE first_sequence = 21");
    let again = append(&*store, [interactions("b", 0..1), interactions("c", 0..1)].concat());
    assert_eq!(again.outcomes, [Duplicate, Accepted(21)]);
    assert_eq!(read_from(&*store, 0, 100).unwrap().len(), 21);
}

#[test]
fn a_damaged_snapshot_is_passed_over() {
    let database = Database::new();
    let store = database.store();
    for watermark in [10, 20] {
        put(&*store, &default_of(&*store), snapshot(watermark, 1)).unwrap();
    }
    let raw = database.raw();
    raw.run(
        "CREATE TABLE kept_parts AS SELECT * FROM snapshot_parts;
         CREATE TABLE kept AS SELECT * FROM snapshots",
    );
    let newest = "snapshot_id = (SELECT max(id) FROM snapshots)";
    for damage in [
        format!("UPDATE snapshot_parts SET bytes = '\\x00' WHERE position = 0 AND {newest}"),
        format!(
            "UPDATE snapshot_parts SET bytes = set_byte(bytes, 20, get_byte(bytes, 20) # 255)
             WHERE position = 2 AND {newest}"
        ),
        format!(
            "UPDATE snapshot_parts SET bytes = '\\xffffffff00' WHERE position = 5 AND {newest}"
        ),
        format!("UPDATE snapshot_parts SET crc32 = -1 WHERE position = 2 AND {newest}"),
        format!("UPDATE snapshot_parts SET name = 'other' WHERE position = 1 AND {newest}"),
        format!("UPDATE snapshot_parts SET section = 1 WHERE position = 2 AND {newest}"),
        format!("DELETE FROM snapshot_parts WHERE position = 0 AND {newest}"),
        format!("DELETE FROM snapshot_parts WHERE position = 4 AND {newest}"),
        "UPDATE snapshots SET parts = parts - 1 WHERE watermark = 20".to_owned(),
        "UPDATE snapshots SET parts = parts + 1 WHERE watermark = 20".to_owned(),
        "UPDATE snapshots SET engine_revision = -1 WHERE watermark = 20".to_owned(),
    ] {
        raw.run(&damage);
        assert_eq!(newest_watermark(&*store, 1), Some(10), "{damage}");
        raw.run(
            "DELETE FROM snapshot_parts;
             UPDATE snapshots SET parts = kept.parts, engine_revision = kept.engine_revision
             FROM kept WHERE kept.id = snapshots.id;
             INSERT INTO snapshot_parts SELECT * FROM kept_parts",
        );
        assert_eq!(newest_watermark(&*store, 1), Some(20), "{damage}");
    }
}

/// One being written by a live process is touched with every part.
#[test]
fn snapshots_without_an_end_are_removed_when_their_writer_has_been_silent_for_an_hour() {
    let database = Database::new();
    let store = database.store();
    for watermark in [10, 20, 30] {
        put(&*store, &default_of(&*store), snapshot(watermark, 1)).unwrap();
    }
    let raw = database.raw();
    raw.run(
        "UPDATE snapshots SET parts = NULL, touched_at = now() - interval '61 minutes'
         WHERE watermark = 10;
         UPDATE snapshots SET parts = NULL, touched_at = now() - interval '59 minutes'
         WHERE watermark = 20;",
    );
    store.prune(&default_of(&*store), 9).unwrap();
    assert_eq!(raw.count("snapshots WHERE watermark = 10"), 0);
    assert_eq!(raw.count("snapshots"), 2);
    assert_eq!(raw.count("snapshot_parts"), 2 * i64::from(parts(&raw)));
    assert_eq!(newest_watermark(&*store, 1), Some(30));
}

fn parts(raw: &super::database::Raw) -> i32 {
    raw.row("SELECT parts FROM snapshots WHERE watermark = 30").get(0)
}

#[test]
fn what_an_earlier_process_left_half_done_is_removed_at_the_start() {
    let database = Database::new();
    let damage = "UPDATE namespaces SET name = NULL WHERE name = 'default';";
    let store = damaged_log(&database, "");
    put(&*store, &default_of(&*store), snapshot(20, 1)).unwrap();
    let raw = database.raw();
    raw.run(damage);
    let store = database.store();
    assert_eq!(log_end(&*store).unwrap(), 0);
    for table in ["log_batches", "snapshots", "snapshot_parts"] {
        assert_eq!(raw.count(table), 0, "{table}");
    }
    assert_eq!(raw.count("namespaces"), 1);
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let database = Database::new();
    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
        VALUES (9000, 'later', '2030-01-01T00:00:00Z', '1')";
    drop(database.store());
    database.raw().run(newer);
    let refused = open_postgres(&database.options());
    assert!(matches!(refused, Err(Error::TooNew { found: 9000, .. })), "{refused:?}");
}
