//! The projection in PostgreSQL: what the tables hold after which records.

mod database;
mod embeddings;
mod records;
mod values;

use std::time::Duration;

use engine::domain::AttributeValue;
use engine::domain::Interaction;
use engine::domain::InteractionType;
use engine::domain::LogRecord;
use engine::domain::NamespaceName;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Timestamp;
use personalization::storage::Error;
use personalization::storage::NamespaceStore;
use personalization::storage::Partition;
use personalization::storage::PostgresStore;
use personalization::storage::Projection;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use self::database::Database;
use self::records::NOW;
use self::records::click;
use self::records::decision;
use self::records::log;
use self::records::mixture;

/// The partition of the default namespace.
fn partition() -> Partition {
    Partition { namespace: NamespaceName::default(), incarnation: 1 }
}

fn project(store: &PostgresStore, records: &[LogRecord]) -> Sequence {
    store.project(&partition(), records).unwrap()
}

fn create(store: &PostgresStore, name: &str) -> Partition {
    store.create(&NamespaceName::parse(name).unwrap(), NOW, None).unwrap().partition
}

#[test]
fn the_position_follows_the_records() {
    let database = Database::new();
    let store = database.store();
    let records = mixture(100);
    assert_eq!(store.projected_to(&partition()).unwrap(), 0);
    assert_eq!(project(&store, &[]), 0);
    assert_eq!(project(&store, &records[..60]), 60);
    assert_eq!(store.projected_to(&partition()).unwrap(), 60);
    assert_eq!(project(&store, &records[60..]), 100);
    assert_eq!(database.store().projected_to(&partition()).unwrap(), 100);
}

#[test]
fn decisions_past_their_retention_are_removed_and_everything_else_stays() {
    let database = Database::new();
    let store = database.store();
    let mut records = log((0..6).map(|n| Record::Decision(decision(n, "bob", &["item1"]))));
    records.extend(
        log([Record::Interaction(click(1, "bob", "item1", NOW))])
            .into_iter()
            .map(|record| LogRecord { sequence: 7, ..record }),
    );
    for (record, hours) in records.iter_mut().zip(0..) {
        record.recorded_at = NOW.plus_millis(hours * 3_600_000);
    }
    project(&store, &records);
    let before = NOW.plus_millis(4 * 3_600_000);
    assert_eq!(store.forget_decisions(&partition(), before).unwrap(), 4);
    assert_eq!(store.forget_decisions(&partition(), before).unwrap(), 0);
    let session = database.session();
    assert_eq!(session.one("SELECT string_agg(sequence::text, ' ') FROM decisions"), "5 6");
    assert_eq!(session.one("SELECT count(*) FROM interactions"), "1");
    assert_eq!(store.projected_to(&partition()).unwrap(), 7, "the tables go on where they were");
}

#[test]
fn records_projected_again_change_nothing() {
    let database = Database::new();
    let store = database.store();
    let records = mixture(300);
    project(&store, &records);
    let contents = database.contents();
    for again in [&records[..], &records[..10], &records[299..], &[]] {
        assert_eq!(project(&store, again), 300);
    }
    assert_eq!(database.contents(), contents);
}

#[test]
fn the_tables_do_not_depend_on_how_the_log_was_cut() {
    let (whole, cut) = (Database::new(), Database::new());
    let records = mixture(500);
    project(&whole.store(), &records);
    let store = cut.store();
    for end in [1, 2, 3, 50, 51, 400, 500] {
        // From the start each time: what is there already is passed over.
        project(&store, &records[..end]);
    }
    assert_eq!(cut.contents(), whole.contents());
}

#[test]
fn two_processes_at_once_project_each_record_once() {
    let (alone, shared) = (Database::new(), Database::new());
    let records = mixture(2_000);
    project(&alone.store(), &records);
    let stores = [shared.store(), shared.store()];
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(|| {
                let mut position = 0;
                while position < 2_000 {
                    let end = (position + 30).min(2_000);
                    position = project(store, &records[position as usize..end as usize]);
                }
            });
        }
    });
    assert_eq!(shared.contents(), alone.contents());
}

#[test]
fn a_gap_is_refused_and_nothing_of_the_call_is_written() {
    let database = Database::new();
    let store = database.store();
    let records = mixture(30);
    project(&store, &records[..10]);
    let contents = database.contents();
    let with_a_hole: Vec<_> = [&records[10..15], &records[16..]].concat();
    for gap in [&records[11..], &with_a_hole] {
        let refused = store.project(&partition(), gap);
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    }
    assert_eq!(database.contents(), contents);
    assert_eq!(project(&store, &records), 30);
}

#[test]
fn a_cleared_projection_filled_again_is_the_same() {
    let database = Database::new();
    let store = database.store();
    let other = create(&store, "other");
    let records = mixture(12_000);
    store.project(&other, &records[..100]).unwrap();
    let without = database.contents();
    store.clear(&partition()).unwrap();
    project(&store, &records);
    let contents = database.contents();

    store.clear(&partition()).unwrap();
    assert_eq!(store.projected_to(&partition()).unwrap(), 0);
    let emptied = database.contents();
    assert_eq!(
        emptied.lines().take(7).collect::<Vec<_>>(),
        without.lines().take(7).collect::<Vec<_>>()
    );
    store.clear(&partition()).unwrap();
    assert_eq!(project(&store, &records), 12_000);
    assert_eq!(database.contents(), contents);
}

#[test]
fn a_clear_that_was_cut_short_is_finished_before_anything_is_added() {
    let database = Database::new();
    let store = database.store();
    let records = mixture(500);
    project(&store, &records);
    let contents = database.contents();
    database.session().run(
        "UPDATE projections SET position = 0, clearing = true;
        DELETE FROM interactions WHERE sequence < 100",
    );
    assert_eq!(store.projected_to(&partition()).unwrap(), 0);
    assert_eq!(project(&store, &records), 500);
    assert_eq!(database.contents(), contents);
}

#[test]
fn a_namespace_that_does_not_exist_is_named() {
    let database = Database::new();
    let store = database.store();
    let namespace = NamespaceName::parse("missing").unwrap();
    let missing = Partition { namespace, ..partition() };
    let failures = [
        store.projected_to(&missing).err(),
        store.project(&missing, &mixture(1)).err(),
        store.clear(&missing).err(),
    ];
    for failure in failures {
        let Some(Error::NoNamespace { namespace }) = failure else { panic!("{failure:?}") };
        assert_eq!(namespace, missing.namespace);
    }
}

#[test]
fn a_deleted_namespace_leaves_no_row() {
    let database = Database::new();
    let store = database.store();
    let records = mixture(11_000);
    project(&store, &records[..50]);
    let before = database.contents();
    let short_lived = create(&store, "short-lived");
    store.project(&short_lived, &records).unwrap();
    store.delete(&short_lived).unwrap();
    assert_eq!(database.contents(), before);
    assert!(matches!(store.projected_to(&short_lived), Err(Error::NoNamespace { .. })));
    let again = create(&store, "short-lived");
    assert_eq!(store.projected_to(&again).unwrap(), 0);
    let late = store.project(&short_lived, &records[..50]);
    assert!(matches!(late, Err(Error::NoNamespace { .. })), "{late:?}");
}

fn clicks_at(times: impl IntoIterator<Item = Timestamp>) -> Vec<LogRecord> {
    let mut records = log((0..)
        .zip(times)
        .map(|(at, time)| Record::Interaction(click(at, "ann", "item1", time))));
    for record in &mut records {
        if let Record::Interaction(Interaction { occurred_at, .. }) = &record.record {
            record.recorded_at = *occurred_at;
        }
    }
    records
}

#[test]
fn each_month_of_recording_has_a_partition_which_others_are_not_read_for() {
    let database = Database::new();
    let store = database.store();
    let month = 30 * Timestamp::DAY_MS;
    project(&store, &clicks_at([NOW, NOW.plus_millis(1), NOW.plus_millis(month)]));
    let session = database.session();
    let partitions = "SELECT inhrelid::regclass FROM pg_inherits
        WHERE inhparent = 'interactions'::regclass ORDER BY 1::text";
    assert_eq!(session.rows(partitions), ["interactions_2023_11", "interactions_2023_12"]);
    assert_eq!(session.one("SELECT count(*) FROM interactions_2023_11"), "2");
    let of_december = "EXPLAIN SELECT count(*) FROM interactions
        WHERE recorded_at >= '2023-12-01 00:00:00+00'";
    let plan = session.rows(of_december).join("\n");
    assert!(plan.contains("interactions_2023_12") && !plan.contains("2023_11"), "{plan}");
}

#[test]
fn a_new_partition_does_not_wait_for_a_running_query() {
    let database = Database::new();
    let store = database.store();
    let records = clicks_at([NOW, NOW.plus_millis(40 * Timestamp::DAY_MS)]);
    project(&store, &records[..1]);
    let analyst = database.session();
    analyst.run("BEGIN; SELECT count(*) FROM interactions");
    let started = std::time::Instant::now();
    assert_eq!(project(&store, &records), 2);
    assert!(started.elapsed() < Duration::from_secs(5));
    analyst.run("COMMIT");
}

#[test]
fn queries_by_user_and_time_by_item_and_by_attribute_use_an_index() {
    let database = Database::new();
    project(&database.store(), &mixture(5_000));
    let session = database.session();
    session.run("ANALYZE");
    let plan = |condition: &str| {
        let query = format!("EXPLAIN SELECT * FROM interactions WHERE {condition}");
        session.rows(&query).join("\n")
    };
    let by_user = plan("namespace_id = 1 AND user_id = 'user3' AND occurred_at < '2023-11-14'");
    assert!(by_user.contains("namespace_id_user_id_occurred_at_idx"), "{by_user}");
    let by_item = plan("namespace_id = 1 AND item_id = 'item3' AND occurred_at < '2023-11-14'");
    assert!(by_item.contains("namespace_id_item_id_occurred_at_idx"), "{by_item}");
    session.run("SET enable_seqscan = off");
    let by_attribute = plan("attributes @> '{\"campaign\": \"spring\"}'");
    assert!(by_attribute.contains("attributes_idx"), "{by_attribute}");
}

/// Small numbers, from which records are made: (user, item, kind, seconds).
fn events() -> impl Strategy<Value = Vec<(u8, u8, usize, u32)>> {
    let event = (0..6_u8, 0..6_u8, 0..InteractionType::ALL.len() + 5, any::<u32>());
    prop::collection::vec(event, 0..120)
}

fn record_of((user, item, kind, seconds): (u8, u8, usize, u32), number: u64) -> Record {
    let (user, item) = (format!("user{user}"), format!("item{item}"));
    let at = Timestamp::from_seconds(i64::from(seconds));
    match InteractionType::ALL.get(kind) {
        Some(kind) => {
            Record::Interaction(Interaction { kind: *kind, ..click(number, &user, &item, at) })
        }
        None => match kind - InteractionType::ALL.len() {
            0 => Record::Decision(records::decision(number, &user, &[&item])),
            1 => records::item_deleted(&item),
            2 => Record::ItemUpserted(records::item(&item, "a title")),
            3 => records::merged(&user, &item.replace("item", "user")),
            _ => records::user_attributes(&user, Default::default()),
        },
    }
}

/// What `profiles` counts must be what the other tables hold row by row, of all ids of a user.
const DISAGREEMENTS: &str = "
    WITH counted AS (
        SELECT namespace_id, coalesce(merged_into, user_id) AS user_id,
            count(*) FILTER (WHERE type = 'click') AS clicks,
            count(*) FILTER (WHERE type = 'rating') AS ratings,
            count(*) AS all_types, min(occurred_at) AS first, max(occurred_at) AS last
        FROM interactions LEFT JOIN user_aliases USING (namespace_id, user_id)
        GROUP BY namespace_id, coalesce(merged_into, user_id)
    ), decided AS (
        SELECT namespace_id, coalesce(merged_into, user_id) AS user_id, count(*) AS decisions
        FROM decisions LEFT JOIN user_aliases USING (namespace_id, user_id)
        GROUP BY namespace_id, coalesce(merged_into, user_id)
    )
    SELECT profiles FROM profiles
    LEFT JOIN counted USING (namespace_id, user_id)
    LEFT JOIN decided USING (namespace_id, user_id)
    WHERE profiles.clicks <> coalesce(counted.clicks, 0)
        OR profiles.ratings <> coalesce(counted.ratings, 0)
        OR impressions + profiles.clicks + likes + dislikes + shares + saves + purchases
            + dwells + skips + hides + profiles.ratings <> coalesce(all_types, 0)
        OR first_seen IS DISTINCT FROM first OR last_seen IS DISTINCT FROM last
        OR profiles.decisions <> coalesce(decided.decisions, 0)";

/// No alias has a row of its own, and none is the user of another.
const MISPLACED: &str = "
    SELECT user_id FROM profiles JOIN user_aliases USING (namespace_id, user_id)
    UNION ALL
    SELECT one.user_id FROM user_aliases AS one JOIN user_aliases AS other
        ON other.namespace_id = one.namespace_id AND other.user_id = one.merged_into";

#[test]
fn the_profile_of_a_merged_user_is_in_that_of_the_other_and_events_stay_as_recorded() {
    let database = Database::new();
    let store = database.store();
    let age = |years| records::attributes([("age", AttributeValue::Number(years))]);
    let both = records::attributes([
        ("age", AttributeValue::Number(31.0)),
        ("plan", records::text("trial")),
    ]);
    let records = log([
        Record::Interaction(click(1, "visit", "item1", NOW.plus_millis(-9_000))),
        Record::Decision(decision(2, "visit", &["item1"])),
        records::user_attributes("visit", both),
        records::user_attributes("ann", age(40.0)),
        Record::Interaction(click(3, "ann", "item2", NOW)),
        records::merged("visit", "ann"),
        Record::Interaction(click(4, "visit", "item3", NOW.plus_millis(1_000))),
        records::merged("visit", "bob"),
        records::merged("ann", "visit"),
        records::merged("ann", "ann@home"),
        records::merged("new", "ann"),
    ]);
    project(&store, &records);
    let session = database.session();
    let profile = "SELECT user_id, clicks, decisions, attributes, updated_sequence,
        last_seen - first_seen FROM profiles";
    assert_eq!(session.rows(profile), [r#"ann@home|3|1|{"age": 40, "plan": "trial"}|11|00:00:10"#]);
    let aliases = "SELECT user_id, merged_into, sequence FROM user_aliases ORDER BY sequence";
    let expected = ["visit|ann@home|6", "ann|ann@home|10", "new|ann@home|11"];
    assert_eq!(session.rows(aliases), expected);
    let recorded = "SELECT string_agg(user_id, ' ' ORDER BY sequence) FROM interactions";
    assert_eq!(session.one(recorded), "visit ann visit");
}

#[test]
fn counts_agree_with_rows_whatever_the_records_and_the_calls() {
    let database = Database::new();
    let store = database.store();
    let session = database.session();
    let config =
        ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    let cases = (events(), prop::collection::vec(0..40_usize, 1..6));
    TestRunner::new(config)
        .run(&cases, |(events, cuts)| {
            let records = log((0..).zip(events).map(|(number, event)| record_of(event, number)));
            store.clear(&partition()).unwrap();
            let mut end = 0;
            for cut in cuts.into_iter().chain([records.len()]) {
                end = (end + cut).min(records.len());
                project(&store, &records[..end]);
            }
            prop_assert_eq!(session.rows(DISAGREEMENTS), Vec::<String>::new());
            prop_assert_eq!(session.rows(MISPLACED), Vec::<String>::new());
            let expected = |is_expected: fn(&Record) -> bool| {
                records.iter().filter(|record| is_expected(&record.record)).count().to_string()
            };
            let interactions = expected(|record| matches!(record, Record::Interaction(_)));
            prop_assert_eq!(session.one("SELECT count(*) FROM interactions"), interactions);
            let decisions = expected(|record| matches!(record, Record::Decision(_)));
            prop_assert_eq!(session.one("SELECT count(*) FROM decisions"), decisions);
            Ok(())
        })
        .unwrap();
}
