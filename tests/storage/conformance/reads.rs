//! Reading: anywhere and following, within limits.

use std::sync::Arc;

use engine::domain::PublishedModel;
use engine::domain::Record;

use super::*;

pub fn records_are_read_in_the_order_of_their_append(store: &dyn Store) {
    let partition = default_of(store);
    let mut written = Vec::new();
    for call in 0..20 {
        let mut records = interactions(&format!("call{call}"), 0..call);
        records.push(deletion(&format!("item{call}")));
        written.extend(records.iter().cloned());
        append(store, records);
    }
    for records_max in [1, 7, 1_000] {
        let log = read_all(store, &partition, upto(records_max));
        assert_gapless(&log);
        assert!(log.iter().all(|record| record.recorded_at == NOW));
        assert_eq!(records_of(log), written);
    }
    for after in 0..=written.len() {
        let rest = read_from(store, after as u64, usize::MAX).unwrap();
        assert_eq!(records_of(rest), written[after..]);
    }
    assert_eq!(read_from(store, u64::MAX, 10).unwrap(), []);
}

/// Three batches of which each is far larger than the limit, between small ones.
pub fn a_read_stops_at_its_limit_of_bytes_and_brings_one_batch_at_least(store: &dyn Store) {
    const LARGE: usize = 2_000_000;
    let partition = default_of(store);
    let model = |version| {
        let encoded = Arc::from(vec![version as u8; LARGE]);
        vec![Record::ModelPublished(PublishedModel { version, trained_at: 1, encoded })]
    };
    for version in 1..=3 {
        append(store, interactions(&format!("v{version}"), 0..10));
        append(store, model(version));
    }
    for bytes in [0, 1, 100_000, LARGE, LARGE + 100_000] {
        let limit = ReadLimit { records: usize::MAX, bytes };
        let mut position = Position::default();
        let mut sequences = Vec::new();
        while position.sequence < 33 {
            let read = store.read_after(&partition, position, limit).unwrap();
            assert_ne!(read.records, [], "{bytes}");
            let large = |record: &&LogRecord| matches!(record.record, Record::ModelPublished(_));
            let large = read.records.iter().filter(large).count();
            assert!(large <= 1 + bytes / LARGE, "{large} large batches of {bytes} bytes");
            let from = store.read_from(&partition, position.sequence, limit).unwrap();
            assert!(from == read.records, "{bytes}");
            sequences.extend(read.records.iter().map(|record| record.sequence));
            position = read.end;
        }
        assert!(sequences.iter().copied().eq(1..=33), "{bytes}");
    }
}

pub fn many_small_batches_are_read_by_few_reads(store: &dyn Store) {
    for number in 0..300 {
        append_one(store, &format!("a{number}"));
    }
    let read = store.read_after(&default_of(store), Position::default(), upto(300)).unwrap();
    assert_eq!((read.records.len(), read.end.sequence), (300, 300));
}

/// The most memory that this process has had, in bytes.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<usize>().unwrap() << 10
}

/// Far more bytes than a read may bring, in far fewer records.
pub fn a_log_of_large_records_is_read_in_the_memory_it_was_written_in(store: &dyn Store) {
    const LARGE: usize = 4 << 20;
    const RECORDS: u64 = 48;
    let partition = default_of(store);
    for version in 1..=RECORDS {
        let encoded = Arc::from(vec![version as u8; LARGE]);
        let model = PublishedModel { version, trained_at: 1, encoded };
        append(store, vec![Record::ModelPublished(model)]);
    }
    let written = peak_bytes();
    let mut position = Position::default();
    let limit = ReadLimit::records(4_096);
    while position.sequence < RECORDS {
        position = store.read_after(&partition, position, limit).unwrap().end;
        store.read_from(&partition, position.sequence - 1, limit).unwrap();
    }
    let grown = peak_bytes().saturating_sub(written);
    assert!(grown < 12 * LARGE, "{} MiB more than for writing", grown >> 20);
}
