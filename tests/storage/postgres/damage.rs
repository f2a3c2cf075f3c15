//! What the store makes of damage, of newer data and of what was left half done.

use std::sync::Arc;

use personalization::storage::AppendOutcome::Accepted;
use personalization::storage::AppendOutcome::Duplicate;
use personalization::storage::Error;
use personalization::storage::Extent;
use personalization::storage::HashCheck;
use personalization::storage::InteractionLog;
use personalization::storage::PostgresStore;
use personalization::storage::SnapshotStore;
use personalization::storage::open_postgres;
use personalization::storage::open_postgres_reading;

use super::database::Database;
use crate::conformance::NOW;
use crate::conformance::append;
use crate::conformance::create;
use crate::conformance::default_of;
use crate::conformance::group;
use crate::conformance::interaction;
use crate::conformance::interactions;
use crate::conformance::log_end;
use crate::conformance::newest_watermark;
use crate::conformance::put;
use crate::conformance::read_all;
use crate::conformance::read_from;
use crate::conformance::snapshot;
use crate::conformance::upto;

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
        "chain = chain + 1",
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

/// Each damages the hashes of the second batch, or their checksum.
const DAMAGED_HASHES: [&str; 5] = [
    "event_hashes = '\\x00'",
    "event_hashes = ''",
    "event_hashes = overlay(event_hashes placing '\\x0000' from 20)",
    "event_hashes_crc32 = -1",
    "event_hashes_crc32 = event_hashes_crc32 + 1",
];

#[test]
fn damaged_event_hashes_are_rebuilt_by_the_append_that_meets_them() {
    let database = Database::new();
    damaged_log(&database, "CREATE TABLE kept AS SELECT * FROM log_batches");
    let raw = database.raw();
    for damage in DAMAGED_HASHES {
        raw.run(&format!(
            "TRUNCATE log_batches;
             INSERT INTO log_batches SELECT * FROM kept;
             UPDATE log_batches SET {damage} WHERE first_sequence = 11"
        ));
        let store = database.store();
        // Records are read meanwhile.
        let partition = default_of(&*store);
        assert_eq!(read_all(&*store, &partition, upto(1)).len(), 30, "{damage}");
        let mixed = append(&*store, [interactions("b", 3..4), interactions("d", 0..1)].concat());
        assert_eq!(mixed.outcomes, [Duplicate, Accepted(31)], "{damage}");
        assert_eq!(store.event_hashes_rebuilt(), 1);
        assert_eq!(raw.count("kept NATURAL JOIN log_batches"), 3, "{damage}");
        assert_eq!(read_all(&*store, &partition, upto(100)).len(), 31);
    }
}

/// More than are told under the lock, and every third of them damaged.
#[test]
fn a_long_log_with_much_damage_is_caught_up_with() {
    let database = Database::new();
    let store = database.store();
    for number in 0..2_500 {
        append(&*store, vec![interaction(&format!("a{number}"))]);
    }
    let damage = "UPDATE log_batches SET event_hashes = '' WHERE first_sequence % 300 = 1";
    database.raw().run(damage);
    let known = (0..2_500).step_by(100).map(|number| interaction(&format!("a{number}")));
    let appended = append(&*database.store(), known.collect());
    assert!(appended.outcomes.iter().all(|outcome| *outcome == Duplicate));
    let check = database.store().check_event_hashes(&default_of(&*store), Extent::Whole).unwrap();
    assert_eq!(check, HashCheck { batches: 2_500, damaged: 0, rebuilt: 0 });
}

#[test]
fn a_check_reports_damaged_event_hashes_and_repairs_them() {
    let database = Database::new();
    let store = damaged_log(&database, "");
    let partition = default_of(&*store);
    let reading = open_postgres_reading(&database.options()).unwrap();
    for extent in [Extent::Window, Extent::Whole] {
        for damage in DAMAGED_HASHES {
            let update = format!("UPDATE log_batches SET {damage} WHERE first_sequence = 11");
            database.raw().run(&update);
            let check = |store: &PostgresStore| store.check_event_hashes(&partition, extent);
            let told = |damaged, rebuilt| HashCheck { batches: 3, damaged, rebuilt };
            assert_eq!(check(&reading).unwrap(), told(1, 0), "{damage}");
            assert_eq!(check(&store).unwrap(), told(1, 1), "{damage}");
            assert_eq!(check(&reading).unwrap(), told(0, 0), "{damage}");
        }
    }
    assert_eq!(append(&*store, interactions("b", 0..10)).outcomes, [Duplicate; 10]);
}

#[test]
fn event_hashes_whose_batch_is_damaged_too_stop_appends_to_their_namespace_only() {
    let database = Database::new();
    let update = "UPDATE log_batches SET event_hashes = '', payload = substr(payload, 1, 40)
        WHERE first_sequence = 11";
    let store = damaged_log(&database, update);
    let (partition, other) = (default_of(&*store), create(&*store, "other"));
    let [one] = group(&partition, interactions("d", 0..1));
    let [two] = group(&other, interactions("d", 0..1));
    let mut appended = store.append(&[one, two], NOW).unwrap();
    assert_eq!(appended.pop().unwrap().unwrap().outcomes, [Accepted(1)]);
    assert!(is_corrupt(appended.pop().unwrap()));
    let check = store.check_event_hashes(&partition, Extent::Whole).unwrap();
    assert_eq!(check, HashCheck { batches: 3, damaged: 1, rebuilt: 0 });
}

/// As after a failover to a standby that was behind. One store has seen what is lost, the
/// other one goes on where the log ends.
#[test]
fn a_log_that_has_gone_back_is_gone_on_with_and_a_reader_that_was_further_learns_it() {
    let database = Database::new();
    let (store, other) = (database.store(), database.store());
    for prefix in ["a", "b", "c"] {
        append(&*store, interactions(prefix, 0..10));
    }
    let partition = default_of(&*store);
    let at = |sequence| store.position_at(&partition, sequence).unwrap();
    let [common, lost] = [20, 30].map(|sequence| at(sequence).unwrap());
    database.raw().run("DELETE FROM log_batches WHERE first_sequence = 21");
    let is_broken = || match store.read_after(&partition, lost, upto(10)) {
        Err(Error::ChainBroken { sequence: 30, .. }) => true,
        read => panic!("{read:?}"),
    };
    assert!(is_broken(), "its end is behind the reader");
    let ten = [interactions("d", 0..9), interactions("b", 0..1)].concat();
    assert_eq!(append(&*other, ten.clone()).log_end, 29);
    assert_eq!(append(&*other, vec![interaction("e")]).log_end, 30);
    assert!(is_broken(), "it is as long as what was read");
    // Who has appended what is lost learns what replaced it.
    let again = append(&*store, [ten, interactions("c", 0..1)].concat());
    assert_eq!(again.outcomes, [vec![Duplicate; 10], vec![Accepted(31)]].concat());
    assert!(is_broken(), "it is longer than what was read");
    assert_eq!(at(20), Some(common));
    assert_ne!(at(30), Some(lost));
    let read = store.read_after(&partition, common, upto(100)).unwrap();
    assert_eq!((read.records.len(), read.end.sequence), (11, 31));
    assert_eq!(read_all(&*other, &partition, upto(4)).len(), 31);
}

/// As a standby, or a server that refuses writes.
#[test]
fn a_database_that_takes_nothing_is_read() {
    let database = Database::new();
    let damage = "UPDATE namespaces SET name = NULL WHERE name = 'gone';
        DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on',
            current_database()); END $$;";
    create(&*database.store(), "gone");
    let store = damaged_log(&database, damage);
    let partition = default_of(&*store);
    assert_eq!(read_all(&*store, &partition, upto(100)).len(), 30);
    let refused = store.append(&group(&partition, interactions("d", 0..1)), NOW);
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
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
    ] {
        raw.run(&damage);
        let found = store.newest(&default_of(&*store), 1).unwrap().unwrap();
        assert_eq!((found.header.position.sequence, found.passed_over), (10, 1), "{damage}");
        raw.run(
            "DELETE FROM snapshot_parts;
             UPDATE snapshots SET parts = kept.parts FROM kept WHERE kept.id = snapshots.id;
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
