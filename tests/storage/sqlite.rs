//! The promises of the storage traits, kept by the embedded store.

use std::sync::Arc;

use personalization::storage::Error;
use personalization::storage::Fence;
use personalization::storage::InteractionLog;
use personalization::storage::LeaseName;
use personalization::storage::Position;
use personalization::storage::ReadLimit;
use personalization::storage::SqliteOptions;
use personalization::storage::SqliteStore;
use personalization::storage::open_sqlite;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::conformance;
use crate::conformance::Backend;
use crate::conformance::Store;

/// A data directory that goes with the test.
pub struct Sqlite(TempDir);

impl Sqlite {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn options(&self, dedup_horizon: u64) -> SqliteOptions {
        SqliteOptions { path: self.0.path().join("data"), dedup_horizon }
    }

    pub fn try_open(&self) -> Result<Arc<SqliteStore>, Error> {
        open_sqlite(&self.options(100_000))
    }
}

impl Backend for Sqlite {
    fn open_with(&self, dedup_horizon: u64) -> Arc<dyn Store> {
        open_sqlite(&self.options(dedup_horizon)).unwrap()
    }
}

fn on_a_store(case: impl FnOnce(&dyn Store)) {
    let sqlite = Sqlite::new();
    case(&*sqlite.open());
}

#[test]
fn an_empty_log_ends_at_zero() {
    on_a_store(conformance::an_empty_log_ends_at_zero);
}

#[test]
fn records_are_read_in_the_order_of_their_append() {
    on_a_store(conformance::records_are_read_in_the_order_of_their_append);
}

#[test]
fn sequences_have_no_gaps_where_duplicates_were_left_out() {
    on_a_store(conformance::sequences_have_no_gaps_where_duplicates_were_left_out);
}

#[test]
fn large_appends_are_split_and_lose_nothing() {
    on_a_store(conformance::large_appends_are_split_and_lose_nothing);
}

#[test]
fn a_duplicate_within_one_call_is_found() {
    on_a_store(conformance::a_duplicate_within_one_call_is_found);
}

#[test]
fn a_duplicate_of_an_earlier_call_is_found_and_nothing_is_written() {
    on_a_store(conformance::a_duplicate_of_an_earlier_call_is_found_and_nothing_is_written);
}

#[test]
fn a_duplicate_is_found_after_a_reopen() {
    conformance::a_duplicate_is_found_after_a_reopen(&Sqlite::new());
}

#[test]
fn an_event_id_is_remembered_for_the_horizon_also_after_a_reopen() {
    conformance::an_event_id_is_remembered_for_the_horizon_also_after_a_reopen(&Sqlite::new());
}

#[test]
fn records_without_an_event_id_are_never_duplicates() {
    on_a_store(conformance::records_without_an_event_id_are_never_duplicates);
}

#[test]
fn recorded_at_never_goes_back() {
    conformance::recorded_at_never_goes_back(&Sqlite::new());
}

#[test]
fn concurrent_appenders_lose_nothing_and_keep_their_order() {
    on_a_store(conformance::concurrent_appenders_lose_nothing_and_keep_their_order);
}

#[test]
fn a_call_becomes_visible_as_a_whole() {
    on_a_store(conformance::a_call_becomes_visible_as_a_whole);
}

#[test]
fn a_missing_namespace_does_not_fail_its_neighbours() {
    on_a_store(conformance::a_missing_namespace_does_not_fail_its_neighbours);
}

#[test]
fn namespaces_are_listed_in_the_order_of_their_names() {
    on_a_store(conformance::namespaces_are_listed_in_the_order_of_their_names);
}

#[test]
fn namespaces_do_not_see_each_other() {
    on_a_store(conformance::namespaces_do_not_see_each_other);
}

#[test]
fn a_deleted_namespace_is_gone_and_made_again_it_is_empty() {
    on_a_store(conformance::a_deleted_namespace_is_gone_and_made_again_it_is_empty);
}

#[test]
fn a_reopen_keeps_everything() {
    conformance::a_reopen_keeps_everything(&Sqlite::new());
}

#[test]
fn the_newest_snapshot_of_the_engine_revision_is_read_whole() {
    on_a_store(conformance::the_newest_snapshot_of_the_engine_revision_is_read_whole);
}

#[test]
fn pruning_leaves_the_newest_snapshots_of_each_revision() {
    on_a_store(conformance::pruning_leaves_the_newest_snapshots_of_each_revision);
}

#[test]
fn pruning_drops_a_revision_that_nobody_has_stored_for_a_month() {
    on_a_store(conformance::pruning_drops_a_revision_that_nobody_has_stored_for_a_month);
}

#[test]
fn the_ends_of_many_logs_are_found_at_once() {
    on_a_store(conformance::the_ends_of_many_logs_are_found_at_once);
}

#[test]
fn a_duplicate_is_found_after_the_partition_was_released() {
    on_a_store(conformance::a_duplicate_is_found_after_the_partition_was_released);
}

#[test]
fn a_read_stops_at_its_limit_of_bytes_and_brings_one_batch_at_least() {
    on_a_store(conformance::a_read_stops_at_its_limit_of_bytes_and_brings_one_batch_at_least);
}

#[test]
fn a_log_of_large_records_is_read_in_the_memory_it_was_written_in() {
    on_a_store(conformance::a_log_of_large_records_is_read_in_the_memory_it_was_written_in);
}

#[test]
fn many_small_batches_are_read_by_few_reads() {
    on_a_store(conformance::many_small_batches_are_read_by_few_reads);
}

#[test]
fn the_position_of_each_batch_is_found_and_of_nothing_else() {
    on_a_store(conformance::the_position_of_each_batch_is_found_and_of_nothing_else);
}

#[test]
fn a_reader_goes_on_from_a_position_of_this_log_only() {
    on_a_store(conformance::a_reader_goes_on_from_a_position_of_this_log_only);
}

#[test]
fn sections_are_stored_one_at_a_time() {
    on_a_store(conformance::sections_are_stored_one_at_a_time);
}

#[test]
fn snapshots_beyond_a_position_are_discarded_whatever_their_revision() {
    on_a_store(conformance::snapshots_beyond_a_position_are_discarded_whatever_their_revision);
}

#[test]
fn a_snapshot_that_is_being_stored_when_its_namespace_goes_is_refused() {
    on_a_store(conformance::a_snapshot_that_is_being_stored_when_its_namespace_goes_is_refused);
}

#[test]
fn a_chain_goes_on_after_a_reopen_and_a_release() {
    conformance::a_chain_goes_on_after_a_reopen_and_a_release(&Sqlite::new());
}

#[test]
fn a_database_has_an_identity_of_its_own_that_stays() {
    let (one, two) = (Sqlite::new(), Sqlite::new());
    let identity = |sqlite: &Sqlite| sqlite.try_open().unwrap().identity().to_owned();
    assert_eq!(identity(&one), identity(&one));
    assert_ne!(identity(&one), identity(&two));
    assert!(identity(&one).len() >= 32);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is appended, and however the reads are limited, a reader gets it whole and
    /// stands at ends of batches that every other reader finds, too.
    #[test]
    fn a_log_is_read_back_whatever_the_limits(
        calls in prop::collection::vec(prop::collection::vec(0_u64..60, 0..20), 1..12),
        limits in prop::collection::vec((0_usize..30, 0_usize..4_000), 1..5),
        reopened in any::<prop::sample::Index>(),
    ) {
        let sqlite = Sqlite::new();
        let mut store = sqlite.try_open().unwrap();
        let partition = conformance::default_of(&*store);
        let mut expected = Vec::new();
        let reopened = reopened.index(calls.len());
        for (call, numbers) in calls.iter().enumerate() {
            if call == reopened {
                drop(store);
                store = sqlite.try_open().unwrap();
            }
            let id = |number: &u64| conformance::interaction(&format!("event-{number}"));
            for record in numbers.iter().map(id) {
                if !expected.contains(&record) {
                    expected.push(record);
                }
            }
            conformance::append(&*store, numbers.iter().map(id).collect());
        }
        for (records, bytes) in limits {
            let limit = ReadLimit { records, bytes };
            let mut position = Position::default();
            let mut read = Vec::new();
            loop {
                let step = store.read_after(&partition, position, limit).unwrap();
                prop_assert_eq!(
                    store.position_at(&partition, step.end.sequence).unwrap(),
                    Some(step.end)
                );
                position = step.end;
                if step.records.is_empty() {
                    break;
                }
                read.extend(step.records.into_iter().map(|record| record.record));
            }
            prop_assert_eq!(&read, &expected);
            prop_assert_eq!(position, store.log_end(&partition).unwrap());
        }
    }
}

#[test]
fn the_newest_training_is_told_of_and_goes_with_its_namespace() {
    let store = Sqlite::new().try_open().unwrap();
    let lease =
        LeaseName { partition: conformance::create(&*store, "shop"), duty: "train".to_owned() };
    let fence = Fence { lease, epoch: 1 };
    conformance::the_newest_training_is_told_of_and_goes_with_its_namespace(&*store, &fence);
}

#[test]
fn replaced_records_keep_their_sequence_and_lose_their_event_ids() {
    conformance::replaced_records_keep_their_sequence_and_lose_their_event_ids(
        &*Sqlite::new().try_open().unwrap(),
    );
}

#[test]
fn records_of_a_suppressed_user_are_dropped_until_then_or_until_readmitted() {
    conformance::records_of_a_suppressed_user_are_dropped_until_then_or_until_readmitted(
        &*Sqlite::new().try_open().unwrap(),
    );
}

#[test]
fn an_erasure_is_told_of_until_it_is_finished_and_goes_with_its_namespace() {
    conformance::an_erasure_is_told_of_until_it_is_finished_and_goes_with_its_namespace(
        &*Sqlite::new().try_open().unwrap(),
    );
}

#[test]
fn no_snapshot_of_a_log_in_which_records_were_replaced_since_is_kept() {
    conformance::no_snapshot_of_a_log_in_which_records_were_replaced_since_is_kept(
        &*Sqlite::new().try_open().unwrap(),
    );
}

#[test]
fn what_is_spent_is_kept_and_never_above_the_limit() {
    let sqlite = Sqlite::new();
    conformance::what_is_spent_is_kept_and_never_above_the_limit(|| sqlite.try_open().unwrap());
}

#[test]
fn answers_are_given_again_within_their_period() {
    let sqlite = Sqlite::new();
    conformance::answers_are_given_again_within_their_period(&*sqlite.try_open().unwrap());
}

#[test]
fn a_ledger_is_of_one_namespace_and_goes_with_it() {
    let sqlite = Sqlite::new();
    conformance::a_ledger_is_of_one_namespace_and_goes_with_it(&*sqlite.try_open().unwrap());
}

#[test]
fn spendings_at_the_same_time_never_pass_the_limit() {
    let sqlite = Sqlite::new();
    let store = sqlite.try_open().unwrap();
    conformance::spendings_at_the_same_time_never_pass_the_limit(&[store]);
}
