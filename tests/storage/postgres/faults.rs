//! Connections that break, hang or are refused, and what waits for locks.

use std::time::Duration;
use std::time::Instant;

use engine::domain::NamespaceName;
use engine::domain::Record;
use personalization::storage::AppendOutcome;
use personalization::storage::AppendOutcome::Accepted;
use personalization::storage::Error;
use personalization::storage::InteractionLog;
use personalization::storage::LogAppend;
use personalization::storage::NamespaceStore;
use personalization::storage::Partition;
use personalization::storage::Position;
use personalization::storage::PostgresOptions;
use personalization::storage::migrate_postgres;
use personalization::storage::open_postgres;
use personalization::storage::open_postgres_reading;

use super::database::Database;
use super::database::Raw;
use super::proxy::Commit;
use super::proxy::Proxy;
use super::server::Server;
use crate::conformance::NOW;
use crate::conformance::append;
use crate::conformance::create;
use crate::conformance::default_of;
use crate::conformance::deletion;
use crate::conformance::group as group_of;
use crate::conformance::interaction;
use crate::conformance::interactions;
use crate::conformance::is_no_namespace;
use crate::conformance::log_end;
use crate::conformance::put;
use crate::conformance::read_from;
use crate::conformance::snapshot;
use crate::conformance::upto;

const TIMEOUT: Duration = Duration::from_secs(1);
/// The second that this side waits longer than the server, and what a loaded machine
/// may add.
const SLACK: Duration = Duration::from_secs(3);

fn is_unavailable<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Unavailable { .. }))
}

/// Known without asking the store.
fn default_partition() -> Partition {
    Partition { namespace: NamespaceName::default(), incarnation: 1 }
}

fn group(records: Vec<Record>) -> [LogAppend; 1] {
    group_of(&default_partition(), records)
}

/// Records without an event id: nothing but the store keeps them from being doubled.
#[test]
fn an_append_whose_commit_is_lost_on_the_way_is_written_once() {
    for lost in [Commit::AnswerLost, Commit::Lost, Commit::LostInSilence] {
        let database = Database::new();
        let proxy = Proxy::to(database.port());
        let options = PostgresOptions {
            url: database.url_by(proxy.port),
            statement_timeout: Duration::from_secs(10),
            ..database.options()
        };
        let store = open_postgres(&options).unwrap();
        append(&*store, vec![deletion("a"), interaction("a")]);
        for round in 0..3 {
            let first = 3 + 2 * round;
            proxy.on_next_commit(lost);
            let records = vec![deletion("b"), interaction(&format!("b{round}"))];
            let appended = append(&*store, records);
            assert!(proxy.is_done(), "{lost:?}");
            assert_eq!(appended.outcomes, [Accepted(first), Accepted(first + 1)], "{lost:?}");
            assert_eq!(appended.log_end, first + 1, "{lost:?}");
        }
        assert_eq!(database.raw().count("log_batches"), 4, "{lost:?}");
        assert_eq!(append(&*store, vec![interaction("b1")]).outcomes, [AppendOutcome::Duplicate]);
    }
}

#[test]
fn an_append_waits_for_a_lock_no_longer_than_the_statement_timeout() {
    let database = Database::new();
    let options = PostgresOptions { statement_timeout: TIMEOUT, ..database.options() };
    let store = open_postgres(&options).unwrap();
    append(&*store, interactions("a", 0..1));
    let raw = database.raw();
    raw.run(
        "SELECT pg_advisory_lock(x'6c6f670000000000'::bigint + id) FROM namespaces
         WHERE name = 'default'",
    );
    let started = Instant::now();
    assert!(is_unavailable(store.append(&group(interactions("b", 0..1)), NOW)));
    assert!(started.elapsed() < TIMEOUT + SLACK, "{:?}", started.elapsed());
    // Readers do not wait for writers.
    assert_eq!(log_end(&*store).unwrap(), 1);
    raw.run("SELECT pg_advisory_unlock_all()");
    assert_eq!(append(&*store, interactions("b", 0..1)).outcomes, [Accepted(2)]);
}

#[test]
fn a_network_that_says_nothing_holds_no_call_and_recovers() {
    let database = Database::new();
    let proxy = Proxy::to(database.port());
    let url = database.url_by(proxy.port);
    let options = PostgresOptions { url, statement_timeout: TIMEOUT, ..database.options() };
    let store = open_postgres(&options).unwrap();
    append(&*store, interactions("a", 0..1));
    let partition = default_of(&*store);
    proxy.freeze(true);
    let bounded = |call: &dyn Fn() -> bool| {
        let started = Instant::now();
        assert!(call());
        assert!(started.elapsed() < TIMEOUT + SLACK, "{:?}", started.elapsed());
    };
    bounded(&|| is_unavailable(store.append(&group(interactions("b", 0..1)), NOW)));
    bounded(&|| is_unavailable(log_end(&*store)));
    bounded(&|| is_unavailable(store.read_from(&partition, 0, upto(10))));
    bounded(&|| is_unavailable(put(&*store, &default_partition(), snapshot(1, 1))));
    bounded(&|| is_unavailable(store.resolve(&NamespaceName::default())));
    proxy.freeze(false);
    // What was on its way when the network fell silent may stand in the way of the first.
    let recovers = |_| store.append(&group(interactions("b", 0..2)), NOW).ok();
    let appended = (0..3).find_map(recovers).unwrap().remove(0).unwrap();
    assert_eq!(appended.log_end, 3);
    assert_eq!(read_from(&*store, 0, 10).unwrap().len(), 3);
}

/// Also a caller that has come while another append was waiting for nothing.
#[test]
fn a_server_that_says_nothing_refuses_appends_within_the_statement_timeout() {
    let database = Database::new();
    let proxy = Proxy::to(database.port());
    let timeout = Duration::from_secs(3);
    let url = database.url_by(proxy.port);
    let options = PostgresOptions { url, statement_timeout: timeout, ..database.options() };
    let store = open_postgres(&options).unwrap();
    append(&*store, interactions("a", 0..1));
    proxy.freeze(true);
    let refused_within = |most: Duration| {
        let started = Instant::now();
        assert!(is_unavailable(store.append(&group(interactions("b", 0..1)), NOW)));
        assert!(started.elapsed() < most, "{:?}", started.elapsed());
    };
    refused_within(timeout + Duration::from_millis(500));
    for _ in 0..2 {
        refused_within(Duration::from_millis(1_500));
    }
    proxy.freeze(false);
    // The first one may come too late for its answer still.
    let recovers = |_| store.append(&group(interactions("b", 0..1)), NOW).is_ok();
    assert!((0..3).any(recovers));
    assert_eq!(log_end(&*store).unwrap(), 2);
}

#[test]
fn a_server_that_has_closed_all_connections_is_connected_to_again_at_once() {
    let database = Database::new();
    let store = database.store();
    for round in 1..=5 {
        database.raw().run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        assert_eq!(log_end(&*store).unwrap(), round - 1);
        assert_eq!(append(&*store, vec![deletion("a")]).log_end, round);
    }
}

#[test]
fn a_refused_write_leaves_the_store_as_it_was_and_usable() {
    let database = Database::new();
    let store = database.store();
    append(&*store, interactions("a", 0..10));
    let raw = database.raw();
    raw.run(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON log_batches FOR EACH ROW
         WHEN (new.first_sequence > 10000) EXECUTE FUNCTION refuse()",
    );
    let many = || group(interactions("d", 0..25_000));
    assert!(is_unavailable(store.append(&many(), NOW)));
    assert_eq!(log_end(&*store).unwrap(), 10);
    assert_eq!(append(&*store, interactions("a", 0..1)).outcomes, [AppendOutcome::Duplicate]);
    raw.run("DROP TRIGGER refuse ON log_batches");
    let appended = store.append(&many(), NOW).unwrap().remove(0).unwrap();
    assert!(appended.outcomes.iter().all(|outcome| *outcome != AppendOutcome::Duplicate));
    assert_eq!(appended.log_end, 25_010);
}

/// What the server, the database or the role are set to must not weaken the log.
#[test]
fn appends_are_durable_and_read_committed_whatever_the_database_is_set_to() {
    let database = Database::new();
    let store = database.store();
    let raw = database.raw();
    raw.run(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off',
             current_database()); END $$;
         DO $$ BEGIN EXECUTE format(
             'ALTER DATABASE %I SET default_transaction_isolation = ''repeatable read''',
             current_database()); END $$;
         CREATE FUNCTION check_settings() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF current_setting('synchronous_commit') <> 'on'
                 OR current_setting('transaction_isolation') <> 'read committed' THEN
                 RAISE EXCEPTION 'weak';
             END IF;
             RETURN new;
         END $$;
         CREATE TRIGGER check_settings BEFORE INSERT ON log_batches
         FOR EACH ROW EXECUTE FUNCTION check_settings()",
    );
    drop(store);
    assert_eq!(append(&*database.store(), interactions("a", 0..1)).outcomes, [Accepted(1)]);
}

/// It is in doubt for as long as the commit waits, and found to be written later.
#[test]
fn an_append_that_no_synchronous_standby_has_is_not_acknowledged() {
    let server = Server::start(|_| {}, |_| String::new());
    let url = format!("host=localhost port={} user=postgres", server.port);
    let options = PostgresOptions {
        url: url.clone(),
        read_url: None,
        pool_size: 4,
        statement_timeout: TIMEOUT,
        connect_timeout: Duration::from_secs(5),
        dedup_horizon: 1_000,
    };
    let store = open_postgres(&options).unwrap();
    append(&*store, interactions("a", 0..1));
    let raw = Raw::open(&url);
    let standbys = |names: &str| {
        raw.run(&format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"));
        raw.run("SELECT pg_reload_conf()");
        // The server tells nobody when it has read it.
        std::thread::sleep(Duration::from_millis(500));
    };
    standbys("none_of_this_name");
    let started = Instant::now();
    assert!(is_unavailable(store.append(&group(interactions("b", 0..1)), NOW)));
    assert!(started.elapsed() < TIMEOUT + SLACK, "{:?}", started.elapsed());
    standbys("");
    let again = append(&*store, interactions("b", 0..2));
    assert_eq!(again.outcomes, [AppendOutcome::Duplicate, Accepted(3)]);
}

#[test]
fn a_namespace_made_again_by_another_process_is_another_one() {
    let database = Database::new();
    let (here, there) = (database.store(), database.store());
    let first = create(&*here, "short-lived");
    let write = |partition: &Partition, prefix| {
        let records = || interactions(prefix, 0..3);
        let [one] = group_of(partition, records());
        let [two] = group(records());
        here.append(&[one, two], NOW).unwrap()
    };
    let read = |partition| here.read_after(partition, Position::default(), upto(10));
    assert_eq!(write(&first, "a")[0].as_ref().unwrap().log_end, 3);
    assert_eq!(read(&first).unwrap().records.len(), 3);

    there.delete(&first).unwrap();
    let mut appended = write(&first, "b");
    assert_eq!(appended.pop().unwrap().unwrap().log_end, 6);
    assert!(is_no_namespace(appended.pop().unwrap()));
    assert!(is_no_namespace(read(&first)));

    // A follower of the old one must neither read nor write the new one.
    let second = create(&*there, "short-lived");
    assert!(is_no_namespace(write(&first, "c").remove(0)));
    assert!(is_no_namespace(read(&first)));
    assert_eq!(write(&second, "a")[0].as_ref().unwrap().outcomes[0], Accepted(1));
    assert_eq!(read(&second).unwrap().records.len(), 3);
}

#[test]
fn a_server_that_cannot_be_used_is_distinguished_from_one_that_is_away() {
    let database = Database::new();
    let open = |url: String| {
        let options = PostgresOptions { url, statement_timeout: TIMEOUT, ..database.options() };
        open_postgres(&options).map(drop)
    };
    let port = database.port();
    assert!(is_unavailable(open("host=127.0.0.1 port=1 user=postgres".to_owned())));
    for wrong in [
        format!("host=127.0.0.1 port={port} user=postgres dbname=none_of_this_name"),
        format!("host=127.0.0.1 port={port} user=nobody_of_this_name dbname=postgres"),
        format!("{} sslmode=sometimes", database.url()),
        format!("{} sslmode=verify-ca sslrootcert=missing.pem", database.url()),
        "user=postgres".to_owned(),
    ] {
        match open(wrong.clone()) {
            Err(Error::Misconfigured { .. }) => {}
            other => panic!("{wrong}: {other:?}"),
        }
    }
}

#[test]
fn a_store_for_reading_reads_and_refuses_to_write() {
    let database = Database::new();
    let options = PostgresOptions { read_url: Some(database.url()), ..database.options() };
    let early = open_postgres_reading(&options);
    assert!(matches!(early, Err(Error::Misconfigured { .. })), "{early:?}");
    let migrated = migrate_postgres(&options).unwrap();
    assert_eq!(migrated.from, 0);
    assert!(migrated.to > 0);
    append(&*database.store(), interactions("a", 0..10));
    let reading = open_postgres_reading(&options).unwrap();
    assert_eq!(read_from(&*reading, 4, 10).unwrap().len(), 6);
    assert!(is_unavailable(reading.append(&group(interactions("b", 0..1)), NOW)));
    assert!(is_unavailable(put(&*reading, &default_partition(), snapshot(1, 1))));
    assert_eq!(log_end(&*reading).unwrap(), 10);
}
