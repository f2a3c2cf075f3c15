//! Snapshots: whole, the newest, no more than requested.

use personalization::storage::Snapshot;
use personalization::storage::SnapshotHeader;

use super::*;

pub fn snapshot(watermark: Sequence, engine_revision: u32) -> Snapshot {
    let chain = personalization::storage::Chain::from_bytes((watermark + 7).to_le_bytes());
    let position = Position { sequence: watermark, chain, revision: 3 };
    Snapshot {
        header: SnapshotHeader { position, engine_revision, taken_at: NOW },
        sections: vec![
            ("users".to_owned(), vec![watermark as u8; 100]),
            ("nothing".to_owned(), Vec::new()),
            ("items".to_owned(), (0..9_000_000_u32).map(|at| (at * 7) as u8).collect()),
        ],
        passed_over: 0,
    }
}

pub fn put(
    store: &(impl SnapshotStore + ?Sized),
    partition: &Partition,
    snapshot: Snapshot,
) -> Result<(), Error> {
    store.put(partition, &snapshot.header, &mut snapshot.sections.into_iter())
}

/// Of the default namespace.
pub fn newest_watermark<S: SnapshotStore + NamespaceStore + ?Sized>(
    store: &S,
    engine_revision: u32,
) -> Option<Sequence> {
    let newest = store.newest(&default_of(store), engine_revision).unwrap();
    newest.map(|snapshot| snapshot.header.position.sequence)
}

pub fn the_newest_snapshot_of_the_engine_revision_is_read_whole(store: &dyn Store) {
    let partition = default_of(store);
    assert_eq!(newest_watermark(store, 1), None);
    for (watermark, engine_revision) in [(10, 1), (20, 2), (30, 1), (40, 2)] {
        put(store, &partition, snapshot(watermark, engine_revision)).unwrap();
    }
    // Compared without being shown: it is large.
    assert!(store.newest(&partition, 1).unwrap() == Some(snapshot(30, 1)));
    assert!(store.newest_up_to(&partition, 1, 29).unwrap() == Some(snapshot(10, 1)));
    assert_eq!(newest_watermark(store, 2), Some(40));
    assert_eq!(newest_watermark(store, 3), None);
    let without_sections = Snapshot { sections: Vec::new(), ..snapshot(50, 3) };
    put(store, &partition, without_sections.clone()).unwrap();
    assert_eq!(store.newest(&partition, 3).unwrap(), Some(without_sections));
}

/// The sections are taken one after another, each when it is needed.
pub fn sections_are_stored_one_at_a_time(store: &dyn Store) {
    let Snapshot { header, sections, .. } = snapshot(10, 1);
    let mut taken = 0;
    let mut each = sections.clone().into_iter().inspect(|_| taken += 1);
    store.put(&default_of(store), &header, &mut each).unwrap();
    drop(each);
    assert_eq!(taken, sections.len());
    assert!(store.newest(&default_of(store), 1).unwrap().unwrap().sections == sections);
}

pub fn pruning_leaves_the_newest_snapshots_of_each_revision(store: &dyn Store) {
    let partition = default_of(store);
    let other = create(store, "other");
    put(store, &other, snapshot(1, 1)).unwrap();
    for (watermark, engine_revision) in [(10, 3), (20, 2), (30, 1), (40, 1), (50, 2)] {
        put(store, &partition, snapshot(watermark, engine_revision)).unwrap();
    }
    let newest = || [3, 2, 1].map(|engine_revision| newest_watermark(store, engine_revision));
    for keep in [9, 2, 1] {
        store.prune(&partition, keep).unwrap();
        assert_eq!(newest(), [Some(10), Some(50), Some(40)]);
    }
    store.prune(&partition, 0).unwrap();
    assert_eq!(newest(), [None, None, None]);
    assert!(store.newest(&other, 1).unwrap().is_some());
}

pub fn pruning_drops_a_revision_that_nobody_has_stored_for_a_month(store: &dyn Store) {
    let partition = default_of(store);
    let aged = |watermark, engine_revision, days: i64| {
        let mut snapshot = snapshot(watermark, engine_revision);
        snapshot.header.taken_at = NOW.plus_millis(-days * Timestamp::DAY_MS);
        snapshot
    };
    for snapshot in [aged(10, 1, 31), aged(20, 2, 29), aged(30, 2, 60), aged(40, 3, 0)] {
        put(store, &partition, snapshot).unwrap();
    }
    store.prune(&partition, 2).unwrap();
    let newest = [1, 2, 3].map(|engine_revision| newest_watermark(store, engine_revision));
    assert_eq!(newest, [None, Some(30), Some(40)]);
}

pub fn snapshots_beyond_a_position_are_discarded_whatever_their_revision(store: &dyn Store) {
    let partition = default_of(store);
    let other = create(store, "other");
    for (watermark, engine_revision) in [(10, 1), (20, 1), (30, 1), (25, 2), (20, 3)] {
        put(store, &partition, snapshot(watermark, engine_revision)).unwrap();
        put(store, &other, snapshot(watermark, engine_revision)).unwrap();
    }
    store.discard_after(&partition, 20).unwrap();
    let newest = [1, 2, 3].map(|engine_revision| newest_watermark(store, engine_revision));
    assert_eq!(newest, [Some(20), None, Some(20)]);
    let elsewhere = store.newest(&other, 2).unwrap().unwrap();
    assert_eq!(elsewhere.header.position.sequence, 25);
}
