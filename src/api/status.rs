//! The one table from errors to gRPC statuses.
//!
//! | code | what the caller does | what the operator does |
//! | --- | --- | --- |
//! | `INVALID_ARGUMENT` | corrects the fields of `BadRequest`; sending again is useless | nothing |
//! | `NOT_FOUND` | checks the namespace, user, item or arm set that `ErrorInfo` names; asks for the first page of the list | nothing |
//! | `ALREADY_EXISTS` | uses the namespace that exists, or another name; another `decision_id` for another selection | nothing |
//! | `FAILED_PRECONDITION` | changes the state first: records more to train on, names another namespace, merges other users | nothing |
//! | `ABORTED` | calls again: another training is just beginning or ending; reads the settings again and changes those | nothing |
//! | `DEADLINE_EXCEEDED` | calls again with a later deadline or without `min_watermark` | looks at the lag and the load when it is frequent |
//! | `RESOURCE_EXHAUSTED` | sends again after the delay of `RetryInfo`, then ever later | adds capacity or raises the limit |
//! | `UNAVAILABLE` | sends again after the delay of `RetryInfo`, with the same event ids | looks at the disk and the log when it lasts |
//! | `DATA_LOSS` | gives up | stops the server, runs `verify`, restores a backup |
//! | `OUT_OF_RANGE` | sends smaller messages | nothing |
//! | `UNIMPLEMENTED` | calls what the service has, uncompressed | nothing |
//! | `INTERNAL` | gives up | reads the error in the log, by its `id` if there is one; after a downgrade, starts the newer binary again |
//!
//! - Each status but `INVALID_ARGUMENT` has an `ErrorInfo` whose reason does not
//!   change when the wording does.
//! - Details of storage go to the log, never to the caller: they hold paths.
//! - A status fits into the 8 KiB of headers that all gRPC clients accept.

use std::time::Duration;

use tonic::Code;
use tonic::Status;
use tonic_types::ErrorDetails;
use tonic_types::StatusExt;

use crate::service::Error;
use crate::service::ExperimentError;
use crate::service::short_id;
use crate::storage;
use engine::TrainingError;
use engine::WindowNotHeld;
use engine::domain::NamespaceName;
use engine::domain::Violation;

/// Domain of all `ErrorInfo` details.
const DOMAIN: &str = "personalization";
/// Queues drain in well under a second unless more work keeps coming.
const OVERLOAD_DELAY: Duration = Duration::from_secs(1);
/// Replaying a log takes seconds; another replica may have it open.
const OPENING_DELAY: Duration = Duration::from_secs(1);
/// Another replica answers at once; a restart takes some seconds.
const SHUTDOWN_DELAY: Duration = Duration::from_secs(2);
/// A full disk or a locked file does not recover in milliseconds.
const STORAGE_DELAY: Duration = Duration::from_secs(5);
/// Bytes of all violations of one status. Java clients accept 8 KiB of headers, and
/// the details travel there in base64.
const VIOLATION_BYTES_MAX: usize = 3_000;
/// Bytes of one path, one reason or one message; ours are far shorter.
const PHRASE_BYTES_MAX: usize = 400;
/// Violations that the message of a status tells.
const VIOLATIONS_IN_WORDS: usize = 5;
/// Bytes of the message that are kept for the number of those it does not tell.
const MORE_BYTES: usize = 32;

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        status(error)
    }
}

/// The status a caller sees. Damage of the store is logged here, since this is where
/// its details end.
fn status(error: Error) -> Status {
    let message = error.to_string();
    match error {
        Error::Invalid(violations) => invalid(violations),
        Error::NoNamespace(name) => about(Code::NotFound, &message, "NAMESPACE_NOT_FOUND", &name),
        Error::NamespaceExists(name) => {
            about(Code::AlreadyExists, &message, "NAMESPACE_EXISTS", &name)
        }
        Error::NamespaceKept(name) => {
            about(Code::FailedPrecondition, &message, "NAMESPACE_KEPT", &name)
        }
        Error::NoUser(id) => not_found(&message, "USER_NOT_FOUND", ("user_id", id)),
        Error::MergeCircular { from, into } => {
            let metadata = [("from_user_id", from.to_string()), ("into_user_id", into.to_string())];
            explained(Code::FailedPrecondition, &message, "MERGE_CIRCULAR", metadata)
        }
        Error::MergedElsewhere { user, merged_into } => {
            let metadata = [("from_user_id", user.to_string()), ("merged_into", merged_into)];
            explained(Code::FailedPrecondition, &message, "MERGED_ELSEWHERE", metadata)
        }
        Error::UserErased => explained(Code::FailedPrecondition, &message, "USER_ERASED", []),
        Error::NoErasure(id) => not_found(&message, "ERASURE_NOT_FOUND", ("erasure_id", id)),
        Error::NoItem(id) => not_found(&message, "ITEM_NOT_FOUND", ("item_id", id)),
        Error::PageExpired(id) => not_found(&message, "PAGE_EXPIRED", ("decision_id", id)),
        Error::NoArmSet(name) => not_found(&message, "ARM_SET_NOT_FOUND", ("arm_set", name)),
        Error::SelectionDiffers { decision_id, arm_set } => {
            let metadata = [("decision_id", decision_id), ("arm_set", arm_set)];
            explained(Code::AlreadyExists, &message, "SELECTION_DIFFERS", metadata)
        }
        Error::Experiment(error) => of_experiment(error, &message),
        Error::SettingsChanged { namespace, etag } => {
            let metadata = [("namespace", namespace.to_string()), ("etag", etag)];
            explained(Code::Aborted, &message, "SETTINGS_CHANGED", metadata)
        }
        Error::WatermarkNotReached { requested, watermark } => {
            let metadata =
                [("requested", requested.to_string()), ("watermark", watermark.to_string())];
            explained(Code::DeadlineExceeded, &message, "WATERMARK_NOT_REACHED", metadata)
        }
        Error::TrainingRuns => explained(Code::Aborted, &message, "TRAINING_RUNS", []),
        Error::NoTraining { .. } => explained(Code::NotFound, &message, "TRAINING_NOT_FOUND", []),
        Error::Training(TrainingError::TooLittleData { found }) => {
            let metadata = [("positive_interactions", found.to_string())];
            explained(Code::FailedPrecondition, &message, "TOO_LITTLE_DATA", metadata)
        }
        Error::Budget(it) => budget_spent(it.asked.value(), it.left.value(), &message),
        Error::TooMuchToCount { .. } => {
            explained(Code::ResourceExhausted, &message, "TOO_MUCH_TO_COUNT", [])
        }
        // What ends a training later is in its report.
        Error::Training(_) => status(Error::internal(&message)),
        Error::NothingToEvaluate { decisions: n } => no_use(n, &message, "NOTHING_TO_EVALUATE"),
        Error::NothingToRehearse { decisions: n, .. } => no_use(n, &message, "NOTHING_TO_REHEARSE"),
        Error::WindowNotHeld(not_held) => window_not_held(&not_held, &message),
        Error::Overloaded(_) => overloaded(&message, "OVERLOADED"),
        Error::RateLimited { .. } => overloaded(&message, "RATE_LIMITED"),
        Error::Opening { .. } => {
            retried(Code::Unavailable, &message, "NAMESPACE_OPENING", OPENING_DELAY)
        }
        Error::ShuttingDown => {
            retried(Code::Unavailable, &message, "SHUTTING_DOWN", SHUTDOWN_DELAY)
        }
        Error::DeadlinePassed => {
            explained(Code::DeadlineExceeded, &message, "DEADLINE_EXCEEDED", [])
        }
        Error::Internal { id } => internal(id),
        Error::Storage(error) => stored(error, &message),
    }
}

/// So many decisions, of which none will do.
fn no_use(decisions: u64, message: &str, reason: &str) -> Status {
    let metadata = [("decisions", decisions.to_string())];
    explained(Code::FailedPrecondition, message, reason, metadata)
}

fn budget_spent(asked: f64, left: f64, message: &str) -> Status {
    let metadata = [("asked", asked.to_string()), ("left", left.to_string())];
    explained(Code::FailedPrecondition, message, "PRIVACY_BUDGET_SPENT", metadata)
}

fn overloaded(message: &str, reason: &str) -> Status {
    retried(Code::ResourceExhausted, message, reason, OVERLOAD_DELAY)
}

/// The status of what is wrong with an experiment as a whole.
fn of_experiment(error: ExperimentError, message: &str) -> Status {
    match error {
        ExperimentError::Unknown(key) => {
            not_found(message, "EXPERIMENT_NOT_FOUND", ("experiment", key))
        }
        ExperimentError::Exists(key) => {
            let metadata = [("experiment", key.to_string())];
            explained(Code::AlreadyExists, message, "EXPERIMENT_EXISTS", metadata)
        }
        ExperimentError::Changed { key, etag } => {
            let metadata = [("experiment", key.to_string()), ("etag", etag)];
            explained(Code::Aborted, message, "EXPERIMENT_CHANGED", metadata)
        }
        ExperimentError::TooMany => {
            explained(Code::ResourceExhausted, message, "TOO_MANY_EXPERIMENTS", [])
        }
    }
}

fn about(code: Code, message: &str, reason: &str, namespace: &NamespaceName) -> Status {
    explained(code, message, reason, [("namespace", namespace.to_string())])
}

fn not_found(message: &str, reason: &str, what: (&str, String)) -> Status {
    explained(Code::NotFound, message, reason, [what])
}

fn window_not_held(window: &WindowNotHeld, message: &str) -> Status {
    let metadata = [
        ("held_seconds", window.held_seconds.to_string()),
        ("window_seconds", window.window_seconds.to_string()),
    ];
    explained(Code::FailedPrecondition, message, "REWARD_WINDOW_NOT_HELD", metadata)
}

/// The status of a mistake of ours. Logged where it happened, under the same id.
fn internal(id: String) -> Status {
    let message = format!("internal error {id}: the log tells more under this id");
    explained(Code::Internal, &message, "INTERNAL", [("id", id)])
}

/// The status of an error of the store.
fn stored(error: storage::Error, message: &str) -> Status {
    match error {
        storage::Error::NoNamespace { namespace } => status(Error::NoNamespace(namespace)),
        storage::Error::NamespaceExists { namespace } => status(Error::NamespaceExists(namespace)),
        storage::Error::Unavailable { reason } => {
            // The log writer logs the outage once; this would log it at each call.
            tracing::debug!(reason, "the store is unavailable");
            let message = "the store is unavailable";
            retried(Code::Unavailable, message, "STORE_UNAVAILABLE", STORAGE_DELAY)
        }
        storage::Error::Fenced { lease } => {
            explained(Code::Aborted, message, "LEASE_LOST", [("lease", lease.to_string())])
        }
        storage::Error::ChainBroken { partition, sequence } => {
            tracing::error!(%partition, sequence, "the log is not the one that was learnt from");
            retried(Code::Unavailable, message, "LOG_REPLACED", STORAGE_DELAY)
        }
        storage::Error::Misconfigured { reason } => {
            let (id, message) = (short_id(), "the store is misconfigured");
            tracing::error!(id, reason, "{message}");
            explained(Code::Internal, message, "STORE_MISCONFIGURED", [("id", id)])
        }
        storage::Error::Corrupt { what, reason } => {
            let (id, message) = (short_id(), "stored data are corrupt");
            tracing::error!(id, what, reason, "{message}");
            explained(Code::DataLoss, message, "STORED_DATA_CORRUPT", [("id", id)])
        }
        storage::Error::TooNew { what, found, known } => {
            let (id, message) = (short_id(), "stored data are of a newer version");
            tracing::error!(id, what, found, known, "{message}");
            explained(Code::Internal, message, "STORED_DATA_TOO_NEW", [("id", id)])
        }
    }
}

/// The status of a request with wrong fields: the first ones, and how many in all.
pub fn invalid(violations: Vec<Violation>) -> Status {
    let mut details = ErrorDetails::new();
    let mut bytes = 0;
    for violation in &violations {
        let (field, reason) = (cut(&violation.field), cut(&violation.reason));
        bytes += field.len() + reason.len();
        if bytes > VIOLATION_BYTES_MAX {
            break;
        }
        details.add_bad_request_violation(field, reason);
    }
    Status::with_error_details(Code::InvalidArgument, in_words(&violations), details)
}

/// The first violations, as many as there is room for, and how many more there are: for
/// callers whose tools do not decode the details.
fn in_words(violations: &[Violation]) -> String {
    let Some((first, rest)) = violations.split_first() else {
        return "the request is invalid".to_owned();
    };
    let room = PHRASE_BYTES_MAX - if rest.is_empty() { 0 } else { MORE_BYTES };
    let mut message = first.to_string();
    message.truncate(message.floor_char_boundary(room));
    let mut told = 1;
    for violation in rest.iter().take(VIOLATIONS_IN_WORDS - 1) {
        let next = format!("; {violation}");
        if message.len() + next.len() > room {
            break;
        }
        message.push_str(&next);
        told += 1;
    }
    match violations.len() - told {
        0 => message,
        more => format!("{message} (and {more} more)"),
    }
}

/// Adds counts to the `ErrorInfo` of a status that ends a stream, so that its caller
/// knows how far it came.
#[must_use]
pub fn with_counts(status: Status, counts: &[(&str, u64)]) -> Status {
    let mut details = status.get_error_details();
    let info = details.error_info().cloned();
    let (reason, domain, mut metadata) = match info {
        Some(info) => (info.reason, info.domain, info.metadata),
        None => ("STREAM_ENDED".to_owned(), DOMAIN.to_owned(), Default::default()),
    };
    metadata.extend(counts.iter().map(|(name, count)| ((*name).to_owned(), count.to_string())));
    details.set_error_info(reason, domain, metadata);
    let (code, message) = (status.code(), status.message().to_owned());
    let headers = status.metadata().clone();
    Status::with_error_details_and_metadata(code, message, details, headers)
}

pub(super) fn explained<const N: usize>(
    code: Code,
    message: &str,
    reason: &str,
    metadata: [(&str, String); N],
) -> Status {
    Status::with_error_details(code, cut(message), info(reason, metadata))
}

pub(super) fn retried(code: Code, message: &str, reason: &str, delay: Duration) -> Status {
    let mut details = info(reason, []);
    details.set_retry_info(Some(delay));
    Status::with_error_details(code, cut(message), details)
}

fn info<const N: usize>(reason: &str, metadata: [(&str, String); N]) -> ErrorDetails {
    let metadata = metadata.map(|(name, value)| (name.to_owned(), cut(&value).to_owned()));
    ErrorDetails::with_error_info(reason, DOMAIN, metadata)
}

fn cut(phrase: &str) -> &str {
    &phrase[..phrase.floor_char_boundary(PHRASE_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Progress;
    use engine::domain::Key;

    fn shop() -> NamespaceName {
        NamespaceName::parse("shop").unwrap()
    }

    /// Those of experiments.
    fn of_experiments() -> Vec<(Error, Code, &'static str, bool)> {
        let (key, etag) = (|| Key::parse("e").unwrap(), "e".to_owned());
        vec![
            (
                ExperimentError::Unknown("e".into()).into(),
                Code::NotFound,
                "EXPERIMENT_NOT_FOUND",
                false,
            ),
            (
                ExperimentError::Exists(key()).into(),
                Code::AlreadyExists,
                "EXPERIMENT_EXISTS",
                false,
            ),
            (
                ExperimentError::Changed { key: key(), etag }.into(),
                Code::Aborted,
                "EXPERIMENT_CHANGED",
                false,
            ),
            (
                ExperimentError::TooMany.into(),
                Code::ResourceExhausted,
                "TOO_MANY_EXPERIMENTS",
                false,
            ),
        ]
    }

    /// Every error with its code, its reason, and whether a retry is advised.
    fn table() -> Vec<(Error, Code, &'static str, bool)> {
        let stored = Error::Storage;
        let (what, reason) = ("/data/x.db".to_owned(), "secret".to_owned());
        let unavailable = storage::Error::Unavailable { reason: reason.clone() };
        let corrupt = storage::Error::Corrupt { what, reason };
        let misconfigured = storage::Error::Misconfigured { reason: "secret".to_owned() };
        let too_new = storage::Error::TooNew { what: "secret", found: 2, known: 1 };
        let behind = Error::WatermarkNotReached { requested: 9, watermark: 4 };
        let changed = Error::SettingsChanged { namespace: shop(), etag: "e".to_owned() };
        let (decision_id, arm_set) = ("d".to_owned(), "a".to_owned());
        let differs = Error::SelectionDiffers { decision_id, arm_set };
        let few = TrainingError::TooLittleData { found: 3 };
        let opening = Error::Opening { name: shop(), progress: Progress::default() };
        let missing = storage::Error::NoNamespace { namespace: shop() };
        let exists = storage::Error::NamespaceExists { namespace: shop() };
        vec![
            (Error::NoNamespace(shop()), Code::NotFound, "NAMESPACE_NOT_FOUND", false),
            (stored(missing), Code::NotFound, "NAMESPACE_NOT_FOUND", false),
            (Error::NamespaceExists(shop()), Code::AlreadyExists, "NAMESPACE_EXISTS", false),
            (stored(exists), Code::AlreadyExists, "NAMESPACE_EXISTS", false),
            (Error::NamespaceKept(shop()), Code::FailedPrecondition, "NAMESPACE_KEPT", false),
            (Error::NoUser("u".to_owned()), Code::NotFound, "USER_NOT_FOUND", false),
            (Error::NoItem("i".to_owned()), Code::NotFound, "ITEM_NOT_FOUND", false),
            (Error::PageExpired("d".to_owned()), Code::NotFound, "PAGE_EXPIRED", false),
            (Error::NoArmSet("a".to_owned()), Code::NotFound, "ARM_SET_NOT_FOUND", false),
            (differs, Code::AlreadyExists, "SELECTION_DIFFERS", false),
            (changed, Code::Aborted, "SETTINGS_CHANGED", false),
            (behind, Code::DeadlineExceeded, "WATERMARK_NOT_REACHED", false),
            (Error::TrainingRuns, Code::Aborted, "TRAINING_RUNS", false),
            (Error::Training(few), Code::FailedPrecondition, "TOO_LITTLE_DATA", false),
            (Error::NoTraining { newest: None }, Code::NotFound, "TRAINING_NOT_FOUND", false),
            (
                Error::RateLimited { what: "events", limit: 5 },
                Code::ResourceExhausted,
                "RATE_LIMITED",
                true,
            ),
            (Error::Overloaded("the queue"), Code::ResourceExhausted, "OVERLOADED", true),
            (Error::DeadlinePassed, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", false),
            (Error::Internal { id: "1f".to_owned() }, Code::Internal, "INTERNAL", false),
            (opening, Code::Unavailable, "NAMESPACE_OPENING", true),
            (Error::ShuttingDown, Code::Unavailable, "SHUTTING_DOWN", true),
            (stored(unavailable), Code::Unavailable, "STORE_UNAVAILABLE", true),
            (stored(corrupt), Code::DataLoss, "STORED_DATA_CORRUPT", false),
            (stored(too_new), Code::Internal, "STORED_DATA_TOO_NEW", false),
            (stored(misconfigured), Code::Internal, "STORE_MISCONFIGURED", false),
        ]
    }

    #[test]
    fn every_error_has_its_code_its_reason_and_its_advice() {
        for (error, code, reason, retry) in table().into_iter().chain(of_experiments()) {
            let status = status(error);
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!((status.code(), info.reason.as_str()), (code, reason));
            assert_eq!(info.domain, DOMAIN);
            assert_eq!(details.retry_info().is_some(), retry, "{reason}");
            // What the caller cannot correct is found in the log by its id.
            let wants_id = matches!(code, Code::Internal | Code::DataLoss);
            assert_eq!(info.metadata.contains_key("id"), wants_id, "{reason}");
        }
    }

    #[test]
    fn details_of_the_store_stay_inside() {
        for (error, ..) in table().into_iter().chain(of_experiments()) {
            let shown = format!("{:?}", status(error).get_error_details());
            assert!(!shown.contains("secret") && !shown.contains("/data"), "{shown}");
        }
        for (error, ..) in table().into_iter().chain(of_experiments()) {
            let message = status(error).message().to_owned();
            assert!(!message.contains("secret") && !message.contains("/data"), "{message}");
        }
    }

    #[test]
    fn what_was_not_found_is_in_the_metadata() {
        let details = status(Error::NoUser("ünï".to_owned())).get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["user_id"], "ünï");
    }

    #[test]
    fn wrong_fields_are_a_bad_request() {
        let violations = vec![Violation::new("user_id", "must not be empty")];
        let status = status(Error::Invalid(violations));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "user_id must not be empty");
        let details = status.get_error_details();
        let wrong = &details.bad_request().unwrap().field_violations[0];
        assert_eq!((&*wrong.field, &*wrong.description), ("user_id", "must not be empty"));
    }

    #[test]
    fn the_message_tells_the_first_five_wrong_fields_and_counts_the_rest() {
        let wrong = |field: usize| Violation::new(format!("f{field}"), "must be set");
        let message = |count| invalid((0..count).map(wrong).collect()).message().to_owned();
        assert_eq!(message(2), "f0 must be set; f1 must be set");
        let five = "f0 must be set; f1 must be set; f2 must be set; f3 must be set; f4 must be set";
        assert_eq!(message(5), five);
        assert_eq!(message(9), format!("{five} (and 4 more)"));
        let long = Violation::new("long", "x".repeat(300));
        let cut = invalid(vec![long.clone(), long, wrong(2)]);
        assert!(cut.message().starts_with("long x"), "{}", cut.message());
        assert!(cut.message().ends_with("x (and 2 more)"), "{}", cut.message());
    }

    #[test]
    fn no_number_or_length_of_violations_breaks_the_bounds_of_headers() {
        let many = (0..100_000).map(|n| Violation::new(format!("topics[{n}]"), "must be set"));
        let long = Violation::new("é".repeat(100_000), "é".repeat(100_000));
        for violations in [Vec::new(), many.collect(), vec![long.clone()], vec![long; 9]] {
            let count = violations.len();
            let status = invalid(violations);
            let base64_bytes = status.details().len().div_ceil(3) * 4;
            let escaped_bytes = status.message().len() * 3;
            assert!(base64_bytes + escaped_bytes < 7_500, "{base64_bytes} {escaped_bytes}");
            let described = status.get_error_details();
            assert_eq!(described.bad_request().is_some(), count > 0);
        }
    }

    #[test]
    fn counts_join_the_details_a_status_has() {
        let counts = [("received", 5), ("accepted", 3)];
        let ended = with_counts(status(Error::ShuttingDown), &counts);
        let details = ended.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(ended.code(), Code::Unavailable);
        assert!(details.retry_info().is_some());
        assert_eq!(info.reason, "SHUTTING_DOWN");
        assert_eq!((&*info.metadata["received"], &*info.metadata["accepted"]), ("5", "3"));
    }

    #[test]
    fn counts_are_reported_for_any_status_that_ends_a_stream() {
        let wrong = invalid(vec![Violation::new("namespace", "must stay the same")]);
        for status in [wrong, Status::cancelled("gone")] {
            let code = status.code();
            let had_fields = status.get_error_details().bad_request().is_some();
            let ended = with_counts(status, &[("rejected", u64::MAX)]);
            let details = ended.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!((ended.code(), info.reason.as_str()), (code, "STREAM_ENDED"));
            assert_eq!(info.metadata["rejected"], u64::MAX.to_string());
            assert_eq!(details.bad_request().is_some(), had_fields);
        }
    }
}
