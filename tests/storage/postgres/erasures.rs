//! Erasures of users, on a log that several processes append to.

use engine::domain::UserId;
use personalization::storage::AppendOutcome;
use personalization::storage::Erasures;
use personalization::storage::StoredErasure;

use super::database::Database;
use crate::conformance;
use crate::conformance::NOW;
use crate::conformance::append;
use crate::conformance::default_of;
use crate::conformance::interaction;

#[test]
fn replaced_records_keep_their_sequence_and_lose_their_event_ids() {
    conformance::replaced_records_keep_their_sequence_and_lose_their_event_ids(
        &*Database::new().store(),
    );
}

#[test]
fn records_of_a_suppressed_user_are_dropped_until_then_or_until_readmitted() {
    conformance::records_of_a_suppressed_user_are_dropped_until_then_or_until_readmitted(
        &*Database::new().store(),
    );
}

#[test]
fn an_erasure_is_told_of_until_it_is_finished_and_goes_with_its_namespace() {
    conformance::an_erasure_is_told_of_until_it_is_finished_and_goes_with_its_namespace(
        &*Database::new().store(),
    );
}

#[test]
fn no_snapshot_of_a_log_in_which_records_were_replaced_since_is_kept() {
    conformance::no_snapshot_of_a_log_in_which_records_were_replaced_since_is_kept(
        &*Database::new().store(),
    );
}

#[test]
fn what_one_process_suppresses_another_drops_from_its_next_append_on() {
    let database = Database::new();
    let (here, there) = (database.store(), database.store());
    append(&*there, vec![interaction("before")]);
    let erasure = StoredErasure {
        erasure_id: "erasure".to_owned(),
        user_ids: vec![UserId::parse("ann").unwrap()],
        report: String::new(),
        is_finished: false,
    };
    here.begin(&default_of(&*here), &erasure, NOW, NOW.plus_millis(1)).unwrap();
    for store in [&there, &here] {
        let outcomes = append(&**store, vec![interaction("after")]).outcomes;
        assert_eq!(outcomes, [AppendOutcome::Suppressed]);
    }
}
