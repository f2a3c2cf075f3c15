//! Namespaces and the lives of their names.

use engine::domain::Settings;
use personalization::storage::AppendOutcome::Accepted;
use personalization::storage::NamespaceEntry;

use super::*;

/// Every call about the partition says that there is no such namespace, and changes
/// nothing.
fn assert_gone(store: &dyn Store, partition: &Partition) {
    let refused = store.append(&group(partition, interactions("late", 0..2)), NOW).unwrap();
    assert!(matches!(&refused[..], [Err(Error::NoNamespace { namespace })]
        if *namespace == partition.namespace));
    assert!(is_no_namespace(store.read_after(partition, Position::default(), upto(1))));
    assert!(is_no_namespace(store.read_from(partition, 0, upto(1))));
    assert!(is_no_namespace(store.position_at(partition, 0)));
    assert!(is_no_namespace(store.log_end(partition)));
    assert_eq!(store.log_ends(std::slice::from_ref(partition)).unwrap(), []);
    assert!(is_no_namespace(put(store, partition, snapshot(1, 1))));
    assert!(is_no_namespace(store.newest(partition, 1).map(|found| found.is_some())));
    assert!(is_no_namespace(store.prune(partition, 1)));
    assert!(is_no_namespace(store.discard_after(partition, 0)));
    assert!(is_no_namespace(store.delete(partition)));
    store.release(partition);
}

pub fn a_missing_namespace_does_not_fail_its_neighbours(store: &dyn Store) {
    let missing = Partition { incarnation: 1_000, ..default_of(store) };
    let records = || interactions("a", 0..2);
    let [one] = group(&missing, records());
    let [two] = group(&default_of(store), records());
    let appended = store.append(&[one, two], NOW).unwrap();
    assert!(is_no_namespace(
        appended[0]
            .as_ref()
            .map_err(|_| Error::NoNamespace { namespace: missing.namespace.clone() })
    ));
    assert_eq!(appended[1].as_ref().unwrap().log_end, 2);
    assert_gone(store, &missing);
    // An incarnation is of its own name only.
    let renamed =
        Partition { namespace: NamespaceName::parse("missing").unwrap(), ..default_of(store) };
    assert_gone(store, &renamed);
    assert!(is_no_namespace(store.resolve(&renamed.namespace)));
    assert_eq!(log_end(store).unwrap(), 2);
}

pub fn namespaces_are_listed_in_the_order_of_their_names(store: &dyn Store) {
    let settings = Some(Settings { epsilon: 0.25, seed: u64::MAX, ..Settings::default() });
    let name = |name: &str| NamespaceName::parse(name).unwrap();
    let create = |text: &str, settings| store.create(&name(text), NOW, settings).unwrap();
    let e = create("e", None);
    let b = create("b", settings.clone());
    let a = create("a", None);
    assert_eq!((&b.created_at, &b.settings), (&NOW, &settings));
    let again = store.create(&name("b"), NOW, None);
    assert!(matches!(again, Err(Error::NamespaceExists { .. })));
    assert_eq!(store.resolve(&name("b")).unwrap(), b);
    let names = |listed: Vec<NamespaceEntry>| -> Vec<String> {
        listed.into_iter().map(|entry| entry.partition.namespace.to_string()).collect()
    };
    assert_eq!(names(store.list(None, 10).unwrap()), ["a", "b", "default", "e"]);
    assert_eq!(names(store.list(Some(a.name()), 2).unwrap()), ["b", "default"]);
    assert_eq!(store.list(Some(a.name()), 1).unwrap(), [b]);
    assert_eq!(store.list(Some(e.name()), 2).unwrap(), []);
}

pub fn namespaces_do_not_see_each_other(store: &dyn Store) {
    let other = create(store, "other");
    append(store, interactions("a", 0..5));
    let appended = append_to(store, &other, interactions("a", 0..2), NOW);
    assert_eq!(appended.outcomes, [Accepted(1), Accepted(2)]);
    assert_eq!(read_all(store, &default_of(store), upto(10)).len(), 5);
    assert_eq!(read_all(store, &other, upto(10)).len(), 2);
}

pub fn a_deleted_namespace_is_gone_and_made_again_it_is_empty(store: &dyn Store) {
    let first = create(store, "short-lived");
    append(store, interactions("a", 0..5));
    for call in 0..30 {
        append_to(store, &first, interactions(&format!("a{call}"), 0..5), NOW);
    }
    put(store, &first, snapshot(5, 1)).unwrap();
    store.delete(&first).unwrap();
    assert_gone(store, &first);
    assert!(is_no_namespace(store.resolve(&first.namespace)));

    let second = create(store, "short-lived");
    assert_ne!(first.incarnation, second.incarnation);
    assert_eq!(store.log_end(&second).unwrap(), Position::default());
    assert_eq!(store.newest(&second, 1).unwrap(), None);
    let appended = append_to(store, &second, interactions("a0", 0..1), NOW.plus_millis(-5));
    assert_eq!(appended.outcomes, [Accepted(1)]);
    // What is left of the first life reaches nothing of the second.
    assert_gone(store, &first);
    let log = read_all(store, &second, upto(10));
    assert_eq!((log.len(), log[0].recorded_at), (1, NOW.plus_millis(-5)));
    assert_eq!(store.newest(&second, 1).unwrap(), None);
    assert_eq!(log_end(store).unwrap(), 5);
}

/// A snapshot that was begun before its namespace was deleted.
pub fn a_snapshot_that_is_being_stored_when_its_namespace_goes_is_refused(store: &dyn Store) {
    let first = create(store, "short-lived");
    let sections = |number: usize| (format!("section{number}"), vec![number as u8; 10]);
    for goes_at in 0..3 {
        let partition = store.resolve(&first.namespace).unwrap().partition;
        let mut each = (0..3).map(|number| {
            if number == goes_at {
                store.delete(&partition).unwrap();
                create(store, "short-lived");
            }
            sections(number)
        });
        let stored = store.put(&partition, &snapshot(5, 1).header, &mut each);
        assert!(is_no_namespace(stored), "gone at section {goes_at}");
        let successor = store.resolve(&first.namespace).unwrap().partition;
        assert_eq!(store.newest(&successor, 1).unwrap(), None);
    }
}

pub fn a_reopen_keeps_everything(backend: &dyn Backend) {
    let other = {
        let store = backend.open();
        append(&*store, interactions("a", 0..100));
        put(&*store, &default_of(&*store), snapshot(50, 1)).unwrap();
        create(&*store, "other")
    };
    let store = backend.open();
    let log = read_all(&*store, &default_of(&*store), upto(1_000));
    assert_gapless(&log);
    assert_eq!(records_of(log), interactions("a", 0..100));
    assert!(store.newest(&default_of(&*store), 1).unwrap() == Some(snapshot(50, 1)));
    assert_eq!(store.resolve(&other.namespace).unwrap().partition, other);
    assert_eq!(append(&*store, interactions("b", 0..1)).outcomes, [Accepted(101)]);
}

/// A namespace that is deleted and created again has another incarnation; everything
/// else leaves it as it was.
pub fn the_ends_of_many_logs_are_found_at_once(store: &dyn Store) {
    let [one, two] = [create(store, "one"), create(store, "two")];
    append_to(store, &two, interactions("a", 0..7), NOW);
    let missing = Partition { incarnation: 1_000, ..one.clone() };
    let asked = [two.clone(), missing, default_of(store), one.clone()];
    let told = || store.log_ends(&asked).unwrap();
    let ends: Vec<_> = told().into_iter().map(|end| (end.partition, end.end.sequence)).collect();
    assert_eq!(ends, [(two.clone(), 7), (default_of(store), 0), (one, 0)]);
    assert_eq!(store.log_ends(&[]).unwrap(), []);

    let before = told();
    append_to(store, &two, interactions("b", 0..1), NOW);
    let grown = told();
    assert_eq!(grown[0].partition, before[0].partition);
    assert_eq!(grown[0].end.sequence, 8);
    assert_ne!(grown[0].end.chain, before[0].end.chain);
    store.delete(&two).unwrap();
    assert_eq!(told(), before[1..]);
    create(store, "two");
    assert_eq!(told(), before[1..]);
}
