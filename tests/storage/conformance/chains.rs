//! Positions: where a batch ends, and whether the log is still the one that was read.

use std::collections::BTreeMap;

use super::*;

/// The ends of the batches of a log of five.
fn five_batches(store: &dyn Store) -> Vec<Position> {
    let partition = default_of(store);
    let append = |number: u64| {
        append(store, interactions(&format!("batch{number}"), 0..number + 1));
        store.log_end(&partition).unwrap()
    };
    (0..5).map(append).collect()
}

pub fn the_position_of_each_batch_is_found_and_of_nothing_else(store: &dyn Store) {
    let partition = default_of(store);
    let ends = five_batches(store);
    let by_sequence: BTreeMap<_, _> = ends.iter().map(|end| (end.sequence, *end)).collect();
    assert_eq!(by_sequence.keys().copied().collect::<Vec<_>>(), [1, 3, 6, 10, 15]);
    let at = |sequence| store.position_at(&partition, sequence).unwrap();
    assert_eq!(at(0), Some(Position::default()));
    for sequence in 1..20 {
        assert_eq!(at(sequence), by_sequence.get(&sequence).copied(), "{sequence}");
    }
    // However it is read, a reader stands at one of them.
    for records in [1, 3, 4, 100] {
        let mut position = Position::default();
        while position.sequence < 15 {
            position = store.read_after(&partition, position, upto(records)).unwrap().end;
            assert_eq!(by_sequence.get(&position.sequence), Some(&position));
        }
    }
}

pub fn a_reader_goes_on_from_a_position_of_this_log_only(store: &dyn Store) {
    let partition = default_of(store);
    let ends = five_batches(store);
    let other = create(store, "other");
    append_to(store, &other, interactions("a", 0..3), NOW);
    let elsewhere = store.log_end(&other).unwrap();
    let here = ends[1];
    assert_eq!(here.sequence, elsewhere.sequence);
    assert_ne!(here.chain, elsewhere.chain);
    let beyond = Position { sequence: 16, ..ends[4] };
    let within = Position { sequence: 2, ..here };
    for wrong in [elsewhere, beyond, within, Position { sequence: 0, ..here }] {
        match store.read_after(&partition, wrong, upto(10)) {
            Err(Error::ChainBroken { partition: of, sequence }) => {
                assert_eq!((of, sequence), (partition.clone(), wrong.sequence));
            }
            other => panic!("{wrong:?}: {other:?}"),
        }
    }
    let read = store.read_after(&partition, here, upto(10)).unwrap();
    assert_eq!((read.records[0].sequence, read.end), (4, ends[4]));
    let end = store.read_after(&partition, ends[4], upto(10)).unwrap();
    assert_eq!((end.records.len(), end.end), (0, ends[4]));
}

pub fn a_chain_goes_on_after_a_reopen_and_a_release(backend: &dyn Backend) {
    let mut ends = vec![Position::default()];
    for round in 0..4 {
        let store = backend.open();
        let partition = default_of(&*store);
        for step in 0..2 {
            append(&*store, interactions(&format!("{round}-{step}"), 0..5));
            ends.push(store.log_end(&partition).unwrap());
            store.release(&partition);
        }
    }
    let store = backend.open();
    let partition = default_of(&*store);
    for (end, next) in ends.iter().zip(&ends[1..]) {
        assert_eq!(store.read_after(&partition, *end, upto(1)).unwrap().end, *next);
    }
    assert_gapless(&read_all(&*store, &partition, upto(100)));
}
