//! Several processes on one database. The others are this test binary again, told by
//! an environment variable what to do instead of the test.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use engine::domain::LogRecord;
use engine::domain::NamespaceName;
use engine::domain::Record;
use engine::domain::Sequence;
use personalization::storage::AppendOutcome;
use personalization::storage::Error;
use personalization::storage::InteractionLog;
use personalization::storage::Partition;
use personalization::storage::Position;
use personalization::storage::PostgresOptions;
use personalization::storage::PostgresStore;
use personalization::storage::open_postgres;

use super::database::Database;
use crate::conformance::NOW;
use crate::conformance::default_of;
use crate::conformance::group;
use crate::conformance::interaction;
use crate::conformance::log_end;
use crate::conformance::read_from;
use crate::conformance::upto;

const URL: &str = "STORAGE_TEST_URL";
const NUMBER: &str = "STORAGE_TEST_NUMBER";

const WRITERS: usize = 4;
const CALLS: usize = 60;
/// Event ids that two neighbouring writers send both.
const SHARED: usize = 2;

/// Set in the processes that a test starts.
fn role() -> Option<(PostgresOptions, usize)> {
    let url = std::env::var(URL).ok()?;
    let number = std::env::var(NUMBER).unwrap().parse().unwrap();
    let options = PostgresOptions {
        url,
        read_url: None,
        pool_size: 2,
        statement_timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(10),
        dedup_horizon: 100_000,
    };
    Some((options, number))
}

/// Starts processes that run the test of this name, numbered from 0.
fn start(test: &str, processes: usize, database: &Database) -> Vec<Child> {
    let start = |number: usize| {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]);
        command.env(URL, database.url()).env(NUMBER, number.to_string());
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    (0..processes).map(start).collect()
}

fn finish(children: Vec<Child>) {
    for child in children {
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
    }
}

/// A few records a call: some of this writer alone, some that the next one sends too,
/// and one without an event id. The clocks of the writers differ.
fn write(options: &PostgresOptions, writer: usize) {
    let store = open_postgres(options).unwrap();
    for call in 0..CALLS {
        let now = NOW.plus_millis(1_000 * (call as i64 - 20 * writer as i64));
        let mut records: Vec<_> =
            (0..call % 5).map(|at| interaction(&format!("own-{writer}-{call}-{at}"))).collect();
        for owner in [writer, (writer + 1) % WRITERS] {
            records
                .extend((0..SHARED).map(|at| interaction(&format!("shared-{owner}-{call}-{at}"))));
        }
        let deleted = format!("deleted-{writer}-{call}");
        records.push(Record::ItemDeleted(engine::domain::ItemId::parse(deleted).unwrap()));
        let count = records.len();
        let group = group(&default_of(&*store), records);
        let appended = store.append(&group, now).unwrap().remove(0).unwrap();
        assert_eq!(appended.outcomes.len(), count);
        assert!(matches!(appended.outcomes[count - 1], AppendOutcome::Accepted(_)));
    }
}

/// Reads on from what it has; all that it sees is in order and without a gap.
fn follow(store: &PostgresStore, position: &mut Position, log: &mut Vec<LogRecord>) {
    let after = log.len() as Sequence;
    let partition = default_of(store);
    let end = store.log_end(&partition).unwrap();
    let read = store.read_after(&partition, *position, upto(50)).unwrap();
    *position = read.end;
    for record in read.records {
        assert_eq!(record.sequence, log.len() as Sequence + 1);
        if let Some(last) = log.last() {
            assert!(last.recorded_at <= record.recorded_at);
        }
        log.push(record);
    }
    assert!(log.len() as Sequence > after || end.sequence <= after, "nothing after {after}");
}

#[test]
fn a_reader_behind_several_processes_misses_no_record_and_sees_none_twice() {
    if let Some((options, writer)) = role() {
        return write(&options, writer);
    }
    let database = Database::new();
    let store = database.store();
    let test = "postgres::processes::\
        a_reader_behind_several_processes_misses_no_record_and_sees_none_twice";
    let mut children = start(test, WRITERS, &database);
    let (mut position, mut log) = (Position::default(), Vec::new());
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        follow(&store, &mut position, &mut log);
    }
    finish(children);
    let end = log_end(&*store).unwrap();
    while (log.len() as Sequence) < end {
        follow(&store, &mut position, &mut log);
    }

    let own: usize = (0..CALLS).map(|call| call % 5).sum();
    assert_eq!(log.len(), WRITERS * (own + CALLS * (SHARED + 1)));
    let mut seen = BTreeSet::new();
    let mut last_call = HashMap::new();
    for record in &log {
        match record.record.event_id() {
            Some(id) => {
                assert!(seen.insert(id.to_owned()), "{id} twice");
                if let Some(rest) = id.strip_prefix("own-") {
                    let mut parts = rest.split('-').map(|part| part.parse::<usize>().unwrap());
                    let writer = parts.next().unwrap();
                    let position: Vec<_> = parts.collect();
                    let before = last_call.insert(writer, position.clone());
                    assert!(before < Some(position), "of writer {writer}, {id} is too late");
                }
            }
            None => {
                let text = format!("{:?}", record.record);
                assert!(seen.insert(text.clone()), "{text} twice");
            }
        }
    }
    assert!(read_from(&*store, 0, usize::MAX).unwrap() == log);
}

#[test]
fn several_processes_that_start_at_once_migrate_once() {
    if let Some((options, _)) = role() {
        open_postgres(&options).unwrap();
        return;
    }
    let database = Database::new();
    let test = "postgres::processes::several_processes_that_start_at_once_migrate_once";
    finish(start(test, 6, &database));
    let raw = database.raw();
    let applied: i64 = raw.row("SELECT count(*) FROM refinery_schema_history").get(0);
    let newest: i32 = raw.row("SELECT max(version) FROM refinery_schema_history").get(0);
    let migrated = personalization::storage::migrate_postgres(&database.options()).unwrap();
    assert_eq!((migrated.from, migrated.to), (newest as u64, newest as u64));
    assert!(applied > 0 && applied <= i64::from(newest));
    assert_eq!(raw.count("namespaces"), 1);
}

#[test]
fn stores_that_write_to_the_same_namespace_find_each_others_duplicates() {
    let database = Database::new();
    let stores = [database.store(), database.store()];
    let append = |store: &Arc<PostgresStore>, prefix: &str| {
        crate::conformance::append(&**store, crate::conformance::interactions(prefix, 0..10))
    };
    for round in 0..5 {
        let (first, second) = (&stores[round % 2], &stores[(round + 1) % 2]);
        let prefix = format!("round{round}");
        assert!(append(first, &prefix).outcomes.iter().all(|it| *it != AppendOutcome::Duplicate));
        assert!(append(second, &prefix).outcomes.iter().all(|it| *it == AppendOutcome::Duplicate));
    }
    // Far behind: more batches than are told under the lock.
    for number in 0..200 {
        crate::conformance::append(&*stores[0], vec![interaction(&format!("many-{number}"))]);
    }
    assert_eq!(append(&stores[1], "many").outcomes, [AppendOutcome::Duplicate; 10]);
}

/// Kills sessions of the store at random moments, wherever their appends are.
#[test]
fn sessions_that_are_killed_lose_and_double_nothing() {
    let database = Database::new();
    let store = database.store();
    let ends = Instant::now() + Duration::from_secs(6);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let raw = database.raw();
            let mut pause = 7;
            while Instant::now() < ends {
                pause = pause * 31 % 211;
                std::thread::sleep(Duration::from_millis(pause));
                raw.run(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()",
                );
            }
        });
        for writer in 0..2 {
            let store = &store;
            scope.spawn(move || {
                for call in 0.. {
                    if Instant::now() > ends {
                        break;
                    }
                    persist(store, &format!("{writer}-{call}"));
                }
            });
        }
    });
    let log = read_from(&*store, 0, usize::MAX).unwrap();
    let ids: BTreeSet<_> = log.iter().filter_map(|record| record.record.event_id()).collect();
    assert_eq!(ids.len(), log.len());
    assert!(log.len() > 20, "{}", log.len());
}

/// Sends until it is acknowledged, and checks what the acknowledgement says.
fn persist(store: &PostgresStore, id: &str) {
    let partition = Partition { namespace: NamespaceName::default(), incarnation: 1 };
    let group = || group(&partition, vec![interaction(id)]);
    let outcome = loop {
        match store.append(&group(), NOW) {
            Ok(mut appended) => break appended.remove(0).unwrap().outcomes[0],
            Err(Error::Unavailable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    let AppendOutcome::Accepted(sequence) = outcome else { return };
    loop {
        match store.read_from(&partition, sequence - 1, upto(1)) {
            Ok(read) => {
                assert_eq!(read[0].record.event_id(), Some(id));
                return;
            }
            Err(Error::Unavailable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
