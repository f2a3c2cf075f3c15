//! The promises of the storage traits, kept by the shared store.

mod damage;
mod database;
mod erasures;
mod faults;
mod feed;
mod leases;
mod processes;
mod proxy;
mod server;
mod tls;

use std::sync::Arc;

use personalization::storage::PostgresOptions;
use personalization::storage::open_postgres;

use self::database::Database;
use crate::conformance;
use crate::conformance::Backend;
use crate::conformance::Store;

impl Backend for Database {
    fn open_with(&self, dedup_horizon: u64) -> Arc<dyn Store> {
        let options = PostgresOptions { dedup_horizon, ..self.options() };
        open_postgres(&options).unwrap()
    }
}

fn on_a_store(case: impl FnOnce(&dyn Store)) {
    let database = Database::new();
    case(&*database.open());
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
    conformance::a_duplicate_is_found_after_a_reopen(&Database::new());
}

#[test]
fn an_event_id_is_remembered_for_the_horizon_also_after_a_reopen() {
    conformance::an_event_id_is_remembered_for_the_horizon_also_after_a_reopen(&Database::new());
}

#[test]
fn records_without_an_event_id_are_never_duplicates() {
    on_a_store(conformance::records_without_an_event_id_are_never_duplicates);
}

#[test]
fn recorded_at_never_goes_back() {
    conformance::recorded_at_never_goes_back(&Database::new());
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
    conformance::a_reopen_keeps_everything(&Database::new());
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
    conformance::a_chain_goes_on_after_a_reopen_and_a_release(&Database::new());
}

#[test]
fn a_database_has_an_identity_of_its_own_that_stays() {
    let (one, two) = (Database::new(), Database::new());
    let stores = [one.store(), one.store()];
    assert_eq!(stores[0].identity(), stores[1].identity());
    assert_ne!(stores[0].identity(), two.store().identity());
    assert!(stores[0].identity().len() >= 32);
}

#[test]
fn what_is_spent_is_kept_and_never_above_the_limit() {
    let database = Database::new();
    conformance::what_is_spent_is_kept_and_never_above_the_limit(|| database.store());
}

#[test]
fn answers_are_given_again_within_their_period() {
    conformance::answers_are_given_again_within_their_period(&*Database::new().store());
}

#[test]
fn a_ledger_is_of_one_namespace_and_goes_with_it() {
    conformance::a_ledger_is_of_one_namespace_and_goes_with_it(&*Database::new().store());
}

#[test]
fn spendings_at_the_same_time_by_two_processes_never_pass_the_limit() {
    let database = Database::new();
    let stores = [database.store(), database.store()];
    conformance::spendings_at_the_same_time_never_pass_the_limit(&stores);
}
