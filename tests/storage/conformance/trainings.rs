//! Reports of trainings.

use std::time::Duration;

use personalization::storage::Error;
use personalization::storage::Fence;
use personalization::storage::NamespaceStore;
use personalization::storage::Trainings;

/// The newest training is told of, its end can be asked for, and it goes with its namespace, which
/// is the one of the fence.
pub fn the_newest_training_is_told_of_and_goes_with_its_namespace(
    store: &(impl Trainings + NamespaceStore),
    fence: &Fence,
) {
    let partition = &fence.lease.partition;
    assert_eq!(store.reported(partition).unwrap(), None);
    assert!(!store.report(fence, "first", r#"{"epoch":1}"#).unwrap());
    store.request_end(partition, "another").unwrap();
    assert!(!store.report(fence, "first", r#"{"epoch":2}"#).unwrap(), "another was named");
    store.request_end(partition, "first").unwrap();
    assert!(store.report(fence, "first", r#"{"epoch":3}"#).unwrap());
    let told = store.reported(partition).unwrap().unwrap();
    assert_eq!((&*told.training_id, &*told.report), ("first", r#"{"epoch":3}"#));
    assert!(told.silent_for < Duration::from_secs(60), "{told:?}");
    assert!(!store.report(fence, "second", "{}").unwrap(), "the end of the first was requested");
    assert_eq!(store.reported(partition).unwrap().unwrap().training_id, "second");
    store.delete(partition).unwrap();
    assert_eq!(store.reported(partition).unwrap(), None);
    let gone = store.report(fence, "second", "{}");
    assert!(matches!(gone, Err(Error::Fenced { .. })), "{gone:?}");
    assert_eq!(store.reported(partition).unwrap(), None);
}
