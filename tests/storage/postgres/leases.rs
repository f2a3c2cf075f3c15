//! Leases, and what is written under them.

use std::time::Duration;
use std::time::Instant;

use engine::domain::NamespaceName;
use personalization::storage::AppendOutcome::Accepted;
use personalization::storage::Error;
use personalization::storage::Fence;
use personalization::storage::InteractionLog;
use personalization::storage::LEASE_TTL;
use personalization::storage::LeaseName;
use personalization::storage::Leases;
use personalization::storage::LogAppend;
use personalization::storage::NamespaceStore;
use personalization::storage::Partition;
use personalization::storage::PostgresStore;
use personalization::storage::Trainings;

use super::database::Database;
use crate::conformance;
use crate::conformance::NOW;
use crate::conformance::create;
use crate::conformance::default_of;
use crate::conformance::interactions;

fn lease(partition: &Partition, duty: &str) -> LeaseName {
    LeaseName { partition: partition.clone(), duty: duty.to_owned() }
}

fn epochs(fences: &[Fence]) -> Vec<(&str, u64)> {
    fences.iter().map(|fence| (&*fence.lease.duty, fence.epoch)).collect()
}

/// As if the process had said nothing for so long.
fn silence(database: &Database, store: &PostgresStore, seconds: f64) {
    let held = store.keep(&[lease(&default_of(store), "of this process")], false).unwrap();
    assert_eq!(held.len(), 1);
    database.raw().run(&format!(
        "UPDATE lease_holders SET seen_at = seen_at - make_interval(secs => {seconds})
         WHERE id = (SELECT holder FROM leases WHERE duty = 'of this process')"
    ));
    // What it holds was taken before that.
    database.raw().run(&format!(
        "UPDATE leases SET taken_at = taken_at - make_interval(secs => {seconds})
         WHERE holder = (SELECT holder FROM leases WHERE duty = 'of this process')"
    ));
    // Gone without a sign of life.
    database.raw().run("DELETE FROM leases WHERE duty = 'of this process'");
}

#[test]
fn a_lease_has_one_holder_at_a_time_and_each_holding_a_higher_epoch() {
    let database = Database::new();
    let stores = [database.store(), database.store()];
    let partition = default_of(&*stores[0]);
    let (lead, train) = (lease(&partition, "lead/1"), lease(&partition, "train"));
    let requested = [lead.clone(), train.clone()];
    let held = stores[0].keep(&[lead], false).unwrap();
    assert_eq!(epochs(&held), [("lead/1", 1)]);
    let elsewhere = stores[1].keep(&requested, false).unwrap();
    assert_eq!(epochs(&elsewhere), [("train", 1)]);
    for _ in 0..3 {
        assert_eq!(stores[0].keep(&requested, false).unwrap(), held);
        assert_eq!(stores[1].keep(&requested, false).unwrap(), elsewhere);
    }
    Leases::release(&*stores[0], &held).unwrap();
    assert_eq!(epochs(&stores[1].keep(&requested, false).unwrap()), [("lead/1", 2), ("train", 1)]);
    assert_eq!(stores[0].keep(&requested, false).unwrap(), []);
    // Of another holding by now: nothing is given up.
    Leases::release(&*stores[0], &held).unwrap();
    assert_eq!(stores[1].keep(&requested, false).unwrap().len(), 2);
}

#[test]
fn what_a_process_holds_and_does_not_want_any_more_is_given_up() {
    let database = Database::new();
    let stores = [database.store(), database.store()];
    let both = ["lead/1", "train"].map(|duty| lease(&default_of(&*stores[0]), duty));
    assert_eq!(stores[0].keep(&both, true).unwrap().len(), 2);
    assert_eq!(stores[0].keep(&both[..1], false).unwrap().len(), 1, "it may want more");
    assert_eq!(stores[1].keep(&both[1..], false).unwrap(), []);
    // An answer that told of the second one may have been lost.
    assert_eq!(stores[0].keep(&both[..1], true).unwrap().len(), 1);
    assert_eq!(epochs(&stores[1].keep(&both, true).unwrap()), [("train", 2)]);
}

#[test]
fn a_silent_holder_loses_what_others_want_and_nothing_else() {
    let database = Database::new();
    let stores = [database.store(), database.store()];
    let partition = default_of(&*stores[0]);
    let (lead, train) = (lease(&partition, "lead/1"), lease(&partition, "train"));
    let both = [lead.clone(), train];
    assert_eq!(stores[0].keep(&both, false).unwrap().len(), 2);
    silence(&database, &stores[0], LEASE_TTL.as_secs_f64() - 2.0);
    assert_eq!(stores[1].keep(&both, false).unwrap(), [], "a short pause loses nothing");
    silence(&database, &stores[0], LEASE_TTL.as_secs_f64() + 1.0);
    assert_eq!(epochs(&stores[1].keep(&[lead], false).unwrap()), [("lead/1", 2)]);
    assert_eq!(epochs(&stores[0].keep(&both, false).unwrap()), [("train", 1)]);
}

/// On the real clock: nobody is asked to give anything up.
#[test]
fn a_lease_passes_on_within_seconds_when_its_holder_falls_silent() {
    let database = Database::new();
    let stores = [database.store(), database.store()];
    let requested = [lease(&default_of(&*stores[0]), "lead/1")];
    assert_eq!(stores[0].keep(&requested, false).unwrap().len(), 1);
    let started = Instant::now();
    while stores[1].keep(&requested, false).unwrap().is_empty() {
        assert!(started.elapsed() < LEASE_TTL + Duration::from_secs(4));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(started.elapsed() > LEASE_TTL - Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn many_leases_take_one_statement_and_write_nothing_while_they_stay() {
    let database = Database::new();
    let stores = [database.store(), database.store()];
    let partitions: Vec<_> =
        (0..100).map(|number| create(&*stores[0], &format!("n{number}"))).collect();
    let requested: Vec<_> = partitions.iter().map(|partition| lease(partition, "lead/1")).collect();
    let (mine, others) = requested.split_at(50);
    assert_eq!(stores[0].keep(mine, false).unwrap().len(), 50);
    assert_eq!(stores[1].keep(&requested, false).unwrap().len(), 50);
    let raw = database.raw();
    let versions =
        "SELECT md5(string_agg(xmin::text || duty, '' ORDER BY namespace_id)) FROM leases";
    let before: String = raw.row(versions).get(0);
    assert_eq!(stores[0].keep(&requested, false).unwrap().len(), 50);
    assert_eq!(stores[1].keep(others, false).unwrap().len(), 50);
    let after: String = raw.row(versions).get(0);
    assert_eq!(before, after);
}

#[test]
fn a_partition_that_is_gone_has_no_leases() {
    let database = Database::new();
    let store = database.store();
    let first = create(&*store, "short-lived");
    let other = lease(&default_of(&*store), "lead/1");
    let requested = [lease(&first, "lead/1"), other];
    let held = store.keep(&requested, false).unwrap();
    assert_eq!(held.len(), 2);
    store.delete(&first).unwrap();
    create(&*store, "short-lived");
    assert_eq!(store.keep(&requested, false).unwrap(), held[1..]);
    assert_eq!(database.raw().count("leases"), 1);
}

#[test]
fn processes_at_the_same_leases_never_hold_one_together() {
    let database = Database::new();
    let stores = [database.store(), database.store(), database.store()];
    let partition = default_of(&*stores[0]);
    let requested: Vec<_> = (0..20).map(|duty| lease(&partition, &format!("duty{duty}"))).collect();
    let ends = Instant::now() + Duration::from_secs(3);
    let held: Vec<Vec<Fence>> = std::thread::scope(|scope| {
        let work = |store: &PostgresStore, skip: usize| {
            let mut all = Vec::new();
            while Instant::now() < ends {
                let fences = store.keep(&requested, false).unwrap();
                all.extend(fences.iter().cloned());
                let given_up: Vec<_> = fences.into_iter().skip(skip).step_by(3).collect();
                Leases::release(store, &given_up).unwrap();
            }
            all
        };
        let run = |(skip, store)| scope.spawn(move || work(store, skip));
        let threads: Vec<_> = stores.iter().map(|store| &**store).enumerate().map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    // A holding, that is a lease and its epoch, was reported to one process only.
    let mut owners = std::collections::BTreeMap::new();
    for (owner, fences) in held.iter().enumerate() {
        for fence in fences {
            let holding = (fence.lease.clone(), fence.epoch);
            assert_eq!(*owners.entry(holding).or_insert(owner), owner, "{fence:?}");
        }
    }
    assert!(owners.len() > 20, "leases changed hands");
}

#[test]
fn a_record_under_a_lease_that_has_passed_on_is_refused_without_its_neighbours() {
    let database = Database::new();
    let stores = [database.store(), database.store()];
    let partition = default_of(&*stores[0]);
    let write = |store: &PostgresStore, prefix: &str, fence: &Fence| {
        let group = |prefix: String, fence| LogAppend {
            partition: partition.clone(),
            records: interactions(&prefix, 0..2),
            fence,
        };
        let groups = [
            group(format!("{prefix}-free"), None),
            group(format!("{prefix}-fenced"), Some(fence.clone())),
            group(format!("{prefix}-other"), None),
        ];
        store.append(&groups, NOW).unwrap()
    };
    let requested = [lease(&partition, "train")];
    let old = stores[0].keep(&requested, false).unwrap().remove(0);
    let under = write(&stores[0], "a", &old);
    assert_eq!(under[1].as_ref().unwrap().outcomes, [Accepted(3), Accepted(4)]);
    Leases::release(&*stores[0], std::slice::from_ref(&old)).unwrap();
    let given_up = write(&stores[0], "b", &old).remove(1);
    assert!(matches!(given_up, Err(Error::Fenced { .. })), "{given_up:?}");
    let next = stores[1].keep(&requested, false).unwrap().remove(0);

    let mut late = write(&stores[0], "c", &old);
    assert_eq!(late.pop().unwrap().unwrap().outcomes, [Accepted(13), Accepted(14)]);
    match late.pop().unwrap() {
        Err(Error::Fenced { lease }) => assert_eq!(lease, requested[0]),
        other => panic!("{other:?}"),
    }
    assert_eq!(late.pop().unwrap().unwrap().log_end, 12);
    let again = write(&stores[0], "d", &next);
    assert!(again.iter().all(Result::is_ok));
    let namespace = NamespaceName::parse("unheard-of").unwrap();
    let elsewhere = lease(&Partition { namespace, incarnation: 99 }, "train");
    for unknown in [lease(&partition, "unheard of"), elsewhere] {
        let unknown = Fence { lease: unknown, epoch: 1 };
        assert!(matches!(write(&stores[0], "e", &unknown)[1], Err(Error::Fenced { .. })));
    }
}

#[test]
fn a_training_is_reported_by_who_holds_its_lease_and_told_to_every_process() {
    let database = Database::new();
    let stores = [database.store(), database.store()];
    let train = lease(&default_of(&*stores[0]), "train");
    let old = stores[0].keep(std::slice::from_ref(&train), false).unwrap().remove(0);
    stores[0].report(&old, "first", "{}").unwrap();
    let told = stores[1].reported(&train.partition).unwrap().unwrap();
    assert_eq!(told.training_id, "first");
    Leases::release(&*stores[0], std::slice::from_ref(&old)).unwrap();
    let new = stores[1].keep(std::slice::from_ref(&train), false).unwrap().remove(0);
    stores[1].report(&new, "second", "{}").unwrap();
    for late in [&old, &new] {
        let refused = stores[0].report(late, "first", "{}");
        assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    }
    assert_eq!(stores[0].reported(&train.partition).unwrap().unwrap().training_id, "second");
}

#[test]
fn the_newest_training_is_told_of_and_goes_with_its_namespace() {
    let database = Database::new();
    let store = database.store();
    let train = lease(&create(&*store, "shop"), "train");
    let fence = store.keep(&[train], false).unwrap().remove(0);
    conformance::the_newest_training_is_told_of_and_goes_with_its_namespace(&*store, &fence);
}
