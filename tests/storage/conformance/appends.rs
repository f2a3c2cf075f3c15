//! Appending: order, duplicates, all or nothing.

use std::sync::Arc;

use engine::domain::PublishedModel;
use engine::domain::Record;
use personalization::storage::AppendOutcome::Accepted;
use personalization::storage::AppendOutcome::Duplicate;
use personalization::storage::Appended;
use personalization::storage::LogAppend;

use super::*;

pub fn an_empty_log_ends_at_zero(store: &dyn Store) {
    let partition = default_of(store);
    assert_eq!(store.log_end(&partition).unwrap(), Position::default());
    assert_eq!(read_from(store, 0, 10).unwrap(), []);
    assert_eq!(read_all(store, &partition, upto(10)), []);
    assert_eq!(append(store, Vec::new()), Appended { outcomes: Vec::new(), log_end: 0 });
}

pub fn sequences_have_no_gaps_where_duplicates_were_left_out(store: &dyn Store) {
    append(store, interactions("a", 0..10));
    let mixed = append(store, interactions("a", 5..15));
    let expected: Vec<_> =
        std::iter::repeat_n(Duplicate, 5).chain((11..=15).map(Accepted)).collect();
    assert_eq!(mixed, Appended { outcomes: expected, log_end: 15 });
    assert_eq!(log_end(store).unwrap(), 15);
    assert_gapless(&read_all(store, &default_of(store), upto(100)));
}

pub fn large_appends_are_split_and_lose_nothing(store: &dyn Store) {
    let model = |version| {
        let encoded = Arc::from(vec![version as u8; 3_000_000]);
        Record::ModelPublished(PublishedModel { version, trained_at: 1, encoded })
    };
    let mut records = interactions("a", 0..25_000);
    records.insert(12_345, model(1));
    records.push(model(2));
    let appended = append(store, records.clone());
    assert_eq!(appended.log_end, 25_002);
    let log = read_all(store, &default_of(store), upto(1));
    assert_gapless(&log);
    assert_eq!(records_of(log), records);
    // Reading stops within a bounded batch after the records asked for.
    assert!(read_from(store, 0, 1).unwrap().len() <= 10_000);
}

pub fn a_duplicate_within_one_call_is_found(store: &dyn Store) {
    let records = vec![interaction("a"), interaction("b"), interaction("a")];
    let [one] = group(&default_of(store), records);
    let [two] = group(&default_of(store), vec![interaction("b"), interaction("c")]);
    let appended: Vec<_> =
        store.append(&[one, two], NOW).unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(appended[0].outcomes, [Accepted(1), Accepted(2), Duplicate]);
    assert_eq!(appended[1].outcomes, [Duplicate, Accepted(3)]);
}

pub fn a_duplicate_of_an_earlier_call_is_found_and_nothing_is_written(store: &dyn Store) {
    append(store, interactions("a", 0..3));
    let before = store.log_end(&default_of(store)).unwrap();
    let again = append(store, interactions("a", 0..3));
    assert_eq!(again, Appended { outcomes: vec![Duplicate; 3], log_end: 3 });
    assert_eq!(store.log_end(&default_of(store)).unwrap(), before);
    assert_eq!(read_from(store, 0, 100).unwrap().len(), 3);
}

pub fn a_duplicate_is_found_after_a_reopen(backend: &dyn Backend) {
    append(&*backend.open(), interactions("a", 0..3));
    let reopened = backend.open();
    assert_eq!(append(&*reopened, interactions("a", 2..4)).outcomes, [Duplicate, Accepted(4)]);
}

pub fn a_duplicate_is_found_after_the_partition_was_released(store: &dyn Store) {
    let partition = default_of(store);
    for round in 0..3 {
        let known = interactions("a", 0..10 * round);
        let appended = append(store, known);
        assert!(appended.outcomes.iter().all(|outcome| *outcome == Duplicate));
        append(store, interactions("a", 10 * round..10 * round + 10));
        store.release(&partition);
    }
    assert_eq!(log_end(store).unwrap(), 30);
    assert_gapless(&read_all(store, &partition, upto(7)));
}

pub fn an_event_id_is_remembered_for_the_horizon_also_after_a_reopen(backend: &dyn Backend) {
    let horizon = 10;
    append_one(&*backend.open_with(horizon), "first");
    for number in 0..2 * horizon {
        let store = backend.open_with(horizon);
        let again = append_one(&*store, "first");
        // `number` records lie between the first and this one.
        if number < horizon {
            assert_eq!(again, Duplicate, "after {number} records");
        } else if again != Duplicate {
            return;
        }
        append_one(&*store, &format!("other-{number}"));
    }
    panic!("the event id was still remembered after twice the horizon");
}

pub fn records_without_an_event_id_are_never_duplicates(store: &dyn Store) {
    let appended = append(store, vec![deletion("item"), deletion("item")]);
    assert_eq!(appended.outcomes, [Accepted(1), Accepted(2)]);
}

pub fn recorded_at_never_goes_back(backend: &dyn Backend) {
    let at = |millis| NOW.plus_millis(millis);
    let store = backend.open();
    let partition = default_of(&*store);
    append_to(&*store, &partition, interactions("a", 0..1), at(1_000));
    drop(store);
    let store = backend.open();
    append_to(&*store, &partition, interactions("b", 0..1), at(0));
    append_to(&*store, &partition, interactions("c", 0..1), at(2_000));
    let log = read_all(&*store, &partition, upto(100));
    let times: Vec<_> = log.into_iter().map(|record| record.recorded_at).collect();
    assert_eq!(times, [at(1_000), at(1_000), at(2_000)]);
}

pub fn concurrent_appenders_lose_nothing_and_keep_their_order(store: &dyn Store) {
    const APPENDERS: u64 = 4;
    const CALLS: u64 = 50;
    std::thread::scope(|scope| {
        for appender in 0..APPENDERS {
            scope.spawn(move || {
                for call in 0..CALLS {
                    let prefix = format!("appender{appender}");
                    let records = interactions(&prefix, call * 3..call * 3 + 3);
                    let appended = append(store, records);
                    assert!(appended.outcomes.iter().all(|outcome| *outcome != Duplicate));
                }
            });
        }
    });
    let log = read_all(store, &default_of(store), upto(100));
    assert_eq!(log.len() as u64, APPENDERS * CALLS * 3);
    assert_gapless(&log);
    let records = records_of(log);
    for appender in 0..APPENDERS {
        let prefix = format!("appender{appender}-");
        let own: Vec<_> = records
            .iter()
            .filter(|record| record.event_id().is_some_and(|id| id.starts_with(&prefix)))
            .cloned()
            .collect();
        assert_eq!(own, interactions(&format!("appender{appender}"), 0..CALLS * 3));
    }
}

/// Every call appends one record to each of two namespaces. Whichever is looked at
/// first, the other must be seen to be at least as far.
pub fn a_call_becomes_visible_as_a_whole(store: &dyn Store) {
    const CALLS: u64 = 200;
    let partitions = [create(store, "one"), create(store, "two")];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for call in 0..CALLS {
                let groups = partitions.clone().map(|partition| LogAppend {
                    partition,
                    records: vec![interaction(&format!("event{call}"))],
                    fence: None,
                });
                store.append(&groups, NOW).unwrap();
            }
        });
        for [first, second] in [[0, 1], [1, 0]] {
            let partitions = &partitions;
            scope.spawn(move || {
                loop {
                    let seen = store.log_end(&partitions[first]).unwrap().sequence;
                    let log = read_all(store, &partitions[second], upto(1_000));
                    assert!(log.len() as u64 >= seen);
                    assert_gapless(&log);
                    if seen == CALLS {
                        break;
                    }
                }
            });
        }
    });
}
