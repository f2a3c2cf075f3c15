//! Order, index and bounds of a history.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::InteractionType;

const GAP: u32 = 4 * 3_600;

fn evidence(kind: InteractionType, confidence: f32, seconds: i64) -> Evidence {
    Evidence { kind, confidence, at: Timestamp::from_seconds(seconds) }
}

fn fold(history: &mut History, item: u32, event: &Evidence) -> Change {
    let (consumption, change) = history.folded(ItemIndex::new(item), event, GAP);
    history.put(consumption);
    change
}

fn click(history: &mut History, item: u32, seconds: i64) {
    fold(history, item, &evidence(InteractionType::Click, 1.0, seconds));
}

fn items(history: &History) -> Vec<u32> {
    history.entries().iter().map(|entry| entry.item.get()).collect()
}

fn find(history: &History, item: u32) -> Option<&Consumption> {
    history.find(ItemIndex::new(item))
}

/// What must hold after every change.
fn assert_is_whole(history: &History) {
    assert!(history.entries.is_sorted_by_key(Consumption::end_seconds));
    assert_eq!(history.entries.len(), history.by_item.len());
    for entry in history.entries() {
        assert_eq!(history.find(entry.item), Some(entry));
    }
    assert!(history.entries.capacity() <= HISTORY_MAX);
    assert!(history.by_item.capacity() <= HISTORY_MAX);
}

#[test]
fn an_item_that_is_consumed_again_moves_to_the_end() {
    let mut history = History::default();
    for (item, at) in [(1, 1_000), (2, 2_000), (3, 3_000), (1, 100_000)] {
        click(&mut history, item, at);
    }
    assert_eq!(items(&history), [2, 3, 1]);
    assert_eq!(find(&history, 1).map(Consumption::sessions), Some(2));
    assert_is_whole(&history);
}

#[test]
fn a_late_event_is_inserted_by_its_time() {
    let mut history = History::default();
    for (item, at) in [(1, 500_000), (2, 900_000), (3, 100_000), (4, 500_000), (1, 400_000)] {
        click(&mut history, item, at);
    }
    assert_eq!(items(&history), [3, 1, 4, 2]);
    let until = history.positives_until(Timestamp::from_seconds(500_000));
    assert_eq!(until.map(|entry| entry.item.get()).collect::<Vec<_>>(), [4, 1, 3]);
    assert_is_whole(&history);
}

#[test]
fn the_weakest_of_the_oldest_is_evicted() {
    let mut history = History::default();
    for item in 0..HISTORY_MAX as u32 {
        let confidence = if item == 5 { 0.5 } else { 1.0 };
        let at = 1_000 + i64::from(item);
        fold(&mut history, item, &evidence(InteractionType::Dwell, confidence, at));
    }
    click(&mut history, 100_000, 50_000);
    click(&mut history, 100_001, 50_001);
    assert_eq!(history.entries().len(), HISTORY_MAX);
    assert!(find(&history, 5).is_none() && find(&history, 0).is_none());
    assert!(find(&history, 1).is_some() && find(&history, 100_001).is_some());
    assert_is_whole(&history);
}

#[test]
fn hidden_items_outlast_newer_ones_but_leave_a_quarter() {
    let mut history = History::default();
    fold(&mut history, 7, &evidence(InteractionType::Hide, -1.0, 1_000));
    for item in 100..100 + 2 * HISTORY_MAX as u32 {
        click(&mut history, item, 2_000 + i64::from(item));
    }
    assert!(find(&history, 7).is_some_and(Consumption::is_hidden));
    for item in 100_000..100_000 + 2 * HISTORY_MAX as u32 {
        let at = 100_000 + i64::from(item);
        fold(&mut history, item, &evidence(InteractionType::Hide, -1.0, at));
    }
    let hidden = history.hidden().count();
    assert!((HISTORY_MAX / 2..=HISTORY_MAX * 3 / 4 + 1).contains(&hidden), "{hidden}");
    assert_is_whole(&history);
}

#[test]
fn a_dropped_item_is_gone_from_order_and_index() {
    let mut history = History::default();
    for item in 0..50 {
        click(&mut history, item * 7 % 50, 1_000 + i64::from(item));
    }
    history.retain(|item| !item.get().is_multiple_of(3));
    assert_is_whole(&history);
    assert!(history.entries().len() == 33 && find(&history, 3).is_none());
}

#[test]
fn a_history_takes_64_kib_at_most() {
    assert!(HISTORY_MAX * (size_of::<Consumption>() + size_of::<u16>()) <= HISTORY_BYTES);
    assert_eq!(HISTORY_MAX, 1_724);
}

#[test]
fn an_entry_is_written_in_24_bytes_or_less() {
    let mut history = History::default();
    for item in 0..1_000 {
        fold(&mut history, item, &evidence(InteractionType::Like, 2.0, 1_700_000_000));
    }
    let bytes = postcard::to_stdvec(&history).unwrap().len();
    assert!(bytes <= 24_000, "{bytes} bytes for 1,000 entries");
}

#[test]
fn bytes_of_a_history_out_of_order_are_rejected() {
    let one = |item, at| {
        let event = evidence(InteractionType::Like, 2.0, at);
        Consumption::begun(ItemIndex::new(item), &event, GAP).0
    };
    let read = |entries: &[Consumption]| {
        postcard::from_bytes::<History>(&postcard::to_stdvec(&(0_u32, entries)).unwrap())
    };
    assert!(read(&[one(1, 1_000), one(2, 2_000)]).is_ok());
    assert!(read(&[one(1, 2_000), one(2, 1_000)]).is_err());
    assert!(read(&[one(1, 1_000), one(1, 2_000)]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_events_in_any_order_keep_order_index_and_bounds(
        events in prop::collection::vec((0..40_u32, 1..11_usize, -4..9_i32, 0..3_000_000_i64), 1..300),
    ) {
        let mut history = History::default();
        let mut known: BTreeMap<u32, Consumption> = BTreeMap::new();
        for (item, kind, quarters, at) in events {
            let event = evidence(InteractionType::ALL[kind], quarters as f32 / 4.0, at - 500_000);
            fold(&mut history, item, &event);
            let next = match known.get(&item) {
                Some(before) => before.folded(&event, GAP).0,
                None => Consumption::begun(ItemIndex::new(item), &event, GAP).0,
            };
            known.insert(item, next);
            assert_is_whole(&history);
        }
        prop_assert_eq!(history.entries().len(), known.len());
        for entry in history.entries() {
            prop_assert_eq!(Some(entry), known.get(&entry.item.get()));
        }
        let bytes = postcard::to_stdvec(&history).unwrap();
        prop_assert_eq!(postcard::from_bytes::<History>(&bytes).unwrap(), history);
    }

    #[test]
    fn a_full_history_stays_full_and_whole_whatever_follows(
        events in prop::collection::vec((any::<u32>(), 1..11_usize, any::<u32>()), 1..40),
    ) {
        let mut history = History::default();
        for item in 0..HISTORY_MAX as u32 {
            click(&mut history, item, 1_000_000 + i64::from(item % 100));
        }
        for (item, kind, at) in events {
            let event = evidence(InteractionType::ALL[kind], 1.0, i64::from(at));
            fold(&mut history, item, &event);
            prop_assert_eq!(history.entries().len(), HISTORY_MAX);
        }
        assert_is_whole(&history);
    }
}

#[test]
fn the_history_of_two_ids_holds_the_items_of_both_in_the_order_of_time() {
    let (mut one, mut other) = (History::default(), History::default());
    for (item, at) in [(1, 500_000), (2, 900_000), (3, 100_000)] {
        click(&mut one, item, at);
    }
    for (item, at) in [(4, 700_000), (1, 950_000), (5, 500_000)] {
        click(&mut other, item, at);
    }
    let both = one.merged_with(&other, GAP);
    assert_eq!(items(&both), [3, 5, 4, 2, 1]);
    assert_eq!(find(&both, 1).map(Consumption::sessions), Some(2));
    assert_eq!(other.merged_with(&one, GAP), both);
    assert_eq!(one.merged_with(&History::default(), GAP), one);
    assert_is_whole(&both);
}

#[test]
fn two_full_histories_become_one_with_the_strongest_and_newest_of_both() {
    let (mut old, mut new) = (History::default(), History::default());
    for number in 0..HISTORY_MAX as u32 {
        let kind = if number < 100 { InteractionType::Hide } else { InteractionType::Click };
        let confidence = if number < 100 { -1.0 } else { 1.0 };
        fold(&mut old, number, &evidence(kind, confidence, 1_000 + i64::from(number)));
        click(&mut new, 10_000 + number, 50_000 + i64::from(number));
    }
    let both = new.merged_with(&old, GAP);
    assert_eq!(both.entries().len(), HISTORY_MAX);
    assert_eq!(both.hidden().count(), 100, "what was hidden stays so");
    assert!(both.entries().iter().filter(|entry| entry.item.get() >= 10_000).count() > 1_500);
    assert_is_whole(&both);
}
