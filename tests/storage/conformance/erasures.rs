//! Erasures of users: placeholders in the log, and records that are dropped.

use personalization::storage::Erasures;
use personalization::storage::StoredErasure;

use super::*;

const DAY_MS: i64 = 86_400_000;

/// What a store must be to erase.
pub trait Erasing: Store + Erasures {}

impl<T: Store + Erasures> Erasing for T {}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn erasure(id: &str, users: &[&str]) -> StoredErasure {
    StoredErasure {
        erasure_id: id.to_owned(),
        user_ids: users.iter().map(|id| user(id)).collect(),
        report: format!("{{\"of\":\"{id}\"}}"),
        is_finished: false,
    }
}

fn begin(store: &dyn Erasing, partition: &Partition, id: &str, users: &[&str]) -> StoredErasure {
    let until = NOW.plus_millis(DAY_MS);
    store.begin(partition, &erasure(id, users), NOW, until).unwrap()
}

fn of(user_id: &str, event_id: &str) -> Record {
    match interaction(event_id) {
        Record::Interaction(interaction) => {
            Record::Interaction(Interaction { user_id: user(user_id), ..interaction })
        }
        _ => unreachable!("it is an interaction"),
    }
}

fn replace_all(store: &dyn Erasing, partition: &Partition, erased: &str) -> u64 {
    let erased = user(erased);
    let is_erased = |record: &LogRecord| record.record.user_ids().any(|id| *id == erased);
    let instead = |record: &LogRecord| is_erased(record).then_some(Record::Placeholder);
    let (mut after, mut records) = (0, 0);
    loop {
        let step = store.replace(partition, after, &instead).unwrap();
        records += step.records;
        if step.to == after {
            return records;
        }
        after = step.to;
    }
}

pub fn replaced_records_keep_their_sequence_and_lose_their_event_ids(store: &dyn Erasing) {
    let partition = default_of(store);
    for round in 0..50 {
        let records = ["ann", "bob", "cleo"].map(|who| of(who, &format!("{who}-{round}")));
        append_to(store, &partition, records.to_vec(), NOW);
    }
    let before = read_all(store, &partition, upto(1_000));
    let end = store.log_end(&partition).unwrap();
    assert_eq!(replace_all(store, &partition, "bob"), 50);
    let after = read_all(store, &partition, upto(1_000));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.sequence, after.sequence);
        assert_eq!(before.recorded_at, after.recorded_at);
        let is_bobs = before.record.user_ids().any(|id| id.as_str() == "bob");
        let expected = if is_bobs { &Record::Placeholder } else { &before.record };
        assert_eq!(&after.record, expected);
    }
    // Until the revision rises a reader goes on as if nothing had been.
    assert_eq!(store.log_end(&partition).unwrap(), end);
    append_to(store, &partition, vec![of("ann", "later")], NOW);
    let read = store.read_after(&partition, end, upto(10)).unwrap();
    assert_eq!((read.records.len(), read.end.revision), (1, 0));
    assert!(store.is_rewritten(&partition).unwrap());
    assert!(store.raise_revision(&partition).unwrap() && !store.is_rewritten(&partition).unwrap());
    assert!(!store.raise_revision(&partition).unwrap(), "nothing was replaced since");
    let outdated = store.read_after(&partition, end, upto(10));
    assert!(matches!(outdated, Err(Error::ChainBroken { .. })), "{outdated:?}");
    assert_eq!(read_all(store, &partition, upto(7)).len(), 151);
    assert_eq!(store.log_end(&partition).unwrap().revision, 1);
    // The hashes of the others are there, his are not.
    let again = append_to(store, &partition, vec![of("ann", "bob-7"), of("ann", "ann-7")], NOW);
    assert_eq!(again.outcomes, [AppendOutcome::Accepted(152), AppendOutcome::Duplicate]);
    let check = store.check_event_hashes(&partition, personalization::storage::Extent::Whole);
    assert_eq!(check.unwrap().damaged, 0);
    assert_eq!(replace_all(store, &partition, "bob"), 0, "nothing of his is left");
}

pub fn records_of_a_suppressed_user_are_dropped_until_then_or_until_readmitted(
    store: &dyn Erasing,
) {
    let (partition, other) = (default_of(store), create(store, "other"));
    append_to(store, &partition, vec![of("bob", "1")], NOW);
    assert_eq!(begin(store, &partition, "first", &["bob", "visit"]).erasure_id, "first");
    let sent = |records: Vec<Record>, at| append_to(store, &partition, records, at).outcomes;
    let merge = Record::UsersMerged { from: user("visit"), into: user("ann") };
    let erased = Record::UserErased(user("bob"));
    let outcomes = sent(vec![of("bob", "2"), of("ann", "3"), of("visit", "4"), merge, erased], NOW);
    let (dropped, accepted) = (AppendOutcome::Suppressed, AppendOutcome::Accepted);
    assert_eq!(outcomes, [dropped, accepted(2), dropped, dropped, accepted(3)]);
    let elsewhere = append_to(store, &other, vec![of("bob", "2")], NOW).outcomes;
    assert_eq!(elsewhere, [accepted(1)], "another namespace is another world");
    // The same user again is the same erasure, by any id.
    assert_eq!(begin(store, &partition, "second", &["visit"]).erasure_id, "first");
    // Past its time it holds no more.
    let later = NOW.plus_millis(2 * DAY_MS);
    assert_eq!(sent(vec![of("bob", "5")], later), [accepted(4)]);
    assert!(store.readmit(&partition, &user("visit")).unwrap());
    assert!(!store.readmit(&partition, &user("bob")).unwrap(), "all ids of the erasure");
    assert_eq!(sent(vec![of("visit", "4"), of("bob", "2")], later), [accepted(5), accepted(6)]);
}

pub fn an_erasure_is_told_of_until_it_is_finished_and_goes_with_its_namespace(store: &dyn Erasing) {
    let partition = create(store, "shop");
    let first = begin(store, &partition, "first", &["bob", "visit"]);
    begin(store, &partition, "second", &["ann"]);
    let unfinished = |store: &dyn Erasing| {
        let mut found = store.in_log(&partition, 10).unwrap();
        found.extend(store.out_of_log(&partition, 10).unwrap());
        let mut ids: Vec<_> = found.into_iter().map(|one| one.erasure_id).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(unfinished(store), ["first", "second"]);
    assert_eq!(store.in_log(&partition, 1).unwrap().len(), 1);
    assert_eq!(store.out_of_log(&partition, 10).unwrap(), []);
    let waiting = store.namespaces_with_unfinished().unwrap();
    assert_eq!(waiting, [NamespaceName::parse("shop").unwrap()]);
    assert_eq!(store.erasure(&partition, "first").unwrap(), Some(first.clone()));
    assert_eq!(store.erasure(&partition, "none").unwrap(), None);
    let after = StoredErasure { report: "{}".to_owned(), user_ids: Vec::new(), ..first.clone() };
    assert!(store.report(&partition, &first, &after).unwrap());
    assert!(!store.report(&partition, &first, &first).unwrap(), "something else was stored since");
    assert_eq!(store.erasure(&partition, "first").unwrap(), Some(after.clone()));
    let finished =
        StoredErasure { report: "{\"done\":1}".to_owned(), is_finished: true, ..after.clone() };
    assert!(store.report(&partition, &after, &finished).unwrap());
    assert_eq!(unfinished(store), ["second"]);
    store.delete(&partition).unwrap();
    assert!(is_no_namespace(store.erasure(&partition, "second")));
    assert_eq!(store.namespaces_with_unfinished().unwrap(), []);
}

/// A state that knows who was erased must not be kept.
pub fn no_snapshot_of_a_log_in_which_records_were_replaced_since_is_kept(store: &dyn Erasing) {
    let partition = default_of(store);
    append_to(store, &partition, vec![of("ann", "1"), of("bob", "2")], NOW);
    let at = store.log_end(&partition).unwrap();
    let taken = |position: Position| {
        let mut taken = snapshot(position.sequence, 1);
        taken.header.position = position;
        taken
    };
    put(store, &partition, taken(at)).unwrap();
    replace_all(store, &partition, "bob");
    store.raise_revision(&partition).unwrap();
    let late = put(store, &partition, taken(at));
    assert!(matches!(late, Err(Error::ChainBroken { .. })), "{late:?}");
    store.discard_after(&partition, 0).unwrap();
    assert_eq!(store.newest(&partition, 1).unwrap(), None);
    let now = store.log_end(&partition).unwrap();
    put(store, &partition, taken(now)).unwrap();
    let found = store.newest(&partition, 1).unwrap().unwrap();
    assert_eq!(found.header.position, now);
}
