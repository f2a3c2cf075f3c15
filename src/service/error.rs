//! The one error of the use cases. `api::status` maps it to gRPC codes.

use std::any::Any;
use std::hash::BuildHasher;
use std::hash::RandomState;

use crate::storage;
use engine::Cancelled;
use engine::TrainingError;
use engine::WindowNotHeld;
use engine::domain::Key;
use engine::domain::NamespaceName;
use engine::domain::Sequence;
use engine::domain::UserId;
use engine::domain::Violation;
use engine::domain::limits;
use privacy::budget::Exhausted;

/// How far an opening is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub learnt: Sequence,
    /// The end of the log; 0 while it is not known.
    pub end: Sequence,
}

/// Cloneable, so that all callers whose records shared a commit get the same error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("the request is invalid")]
    Invalid(Vec<Violation>),
    #[error("namespace {0} does not exist")]
    NoNamespace(NamespaceName),
    #[error("namespace {0} exists already")]
    NamespaceExists(NamespaceName),
    #[error("namespace {0} cannot be deleted")]
    NamespaceKept(NamespaceName),
    /// It will be open soon; the same call may be sent again.
    #[error(
        "namespace {name} is being opened: {} of {} records are learnt", progress.learnt, progress.end
    )]
    Opening { name: NamespaceName, progress: Progress },
    #[error("user {0:?} has not been seen")]
    NoUser(String),
    #[error(
        "user {:?} was merged into {:?} before, so {:?} cannot be merged into it",
        into.as_str(), from.as_str(), from.as_str()
    )]
    MergeCircular { from: UserId, into: UserId },
    /// What is merged goes to one user only.
    #[error("user {:?} was merged into {merged_into:?} before", user.as_str())]
    MergedElsewhere { user: UserId, merged_into: String },
    /// Records of the user are dropped.
    #[error("the user was erased: ReadmitUser accepts records of the user again")]
    UserErased,
    #[error("erasure {0:?} does not exist")]
    NoErasure(String),
    #[error("item {0:?} is not known")]
    NoItem(String),
    /// A page of it is not known, or not any more.
    #[error(
        "decision {0:?} cannot be continued: it is not known, or a page of its list is no longer \
         kept; ask for the first page, without continue_from"
    )]
    PageExpired(String),
    #[error("arm set {0:?} has no selections")]
    NoArmSet(String),
    /// Its id is that of another call.
    #[error("decision {decision_id:?} is a selection from other arms or of another arm set")]
    SelectionDiffers { decision_id: String, arm_set: String },
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// They were changed since they were read.
    #[error("the settings of namespace {namespace} have changed: read them again")]
    SettingsChanged { namespace: NamespaceName, etag: String },
    /// The model did not reach the requested watermark in time.
    #[error("the model has applied record {watermark}, not yet {requested}")]
    WatermarkNotReached { requested: Sequence, watermark: Sequence },
    #[error("another training of this namespace is about to begin or to end: call again")]
    TrainingRuns,
    /// There is another one, the newest, or none.
    #[error("{}", no_training(newest.as_deref()))]
    NoTraining { newest: Option<String> },
    /// No decision of the time records what it chose from.
    #[error("{}", nothing_to_evaluate(*decisions))]
    NothingToEvaluate { decisions: u64 },
    /// None of the decisions of the time can be rehearsed.
    #[error("{}", nothing_to_rehearse(*decisions, *without_request))]
    NothingToRehearse { decisions: u64, without_request: u64 },
    /// A takeover whose rewards would come too late to be counted.
    #[error(
        "rewards are to be waited for {} s, but at the rate of now decisions are held for {} s: raise \
         credit_megabytes or lower reward_window", .0.window_seconds, .0.held_seconds
    )]
    WindowNotHeld(WindowNotHeld),
    /// Too little of the privacy budget is left.
    #[error(transparent)]
    Budget(#[from] Exhausted),
    /// More than one count may take.
    #[error("there are {found} {what}; at most {most} are counted at once")]
    TooMuchToCount { what: &'static str, found: u64, most: u64 },
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// Work is refused for now; the same call may be sent again.
    #[error("the service is overloaded: {0}")]
    Overloaded(&'static str),
    /// The namespace has used up what it may do in a second.
    #[error("more than {limit} {what} a second")]
    RateLimited { what: &'static str, limit: u64 },
    /// The caller waits no longer; the work was not done, or not to its end.
    #[error("the deadline passed before the work was done")]
    DeadlinePassed,
    #[error("the service is shutting down")]
    ShuttingDown,
    /// A mistake of ours; the log has details under the same id.
    #[error("internal error {id}")]
    Internal { id: String },
    #[error(transparent)]
    Storage(storage::Error),
}

/// What is wrong with an experiment as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExperimentError {
    #[error("experiment {0} does not exist")]
    Unknown(String),
    #[error("experiment {0} exists already, or did and is archived: choose another key")]
    Exists(Key),
    /// It was changed since it was read.
    #[error("experiment {key} has changed: read it again")]
    Changed { key: Key, etag: String },
    #[error(
        "there are {} experiments and none is archived: archive one first",
        limits::EXPERIMENTS
    )]
    TooMany,
}

impl Error {
    /// The error of work that panicked, logged with its id.
    pub fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::internal(text.unwrap_or("a panic without a text"))
    }

    /// The error of a mistake of ours, logged with its id.
    pub fn internal(what: &str) -> Self {
        let id = short_id();
        tracing::error!(id, "internal error: {what}");
        Self::Internal { id }
    }

    /// The same error where the request at fault is part of another message.
    #[must_use]
    pub fn within(self, parent: &str) -> Self {
        match self {
            Self::Invalid(violations) => {
                let within = |violation: Violation| violation.within(parent);
                Self::Invalid(violations.into_iter().map(within).collect())
            }
            other => other,
        }
    }
}

fn no_training(newest: Option<&str>) -> String {
    match newest {
        Some(id) => {
            format!("the training is not known: only the newest of a namespace is kept, here {id}")
        }
        None => "the namespace has not had a training yet: Retrain starts one".to_owned(),
    }
}

fn nothing_to_evaluate(decisions: u64) -> String {
    match decisions {
        0 => "there are no such decisions in the time asked for".to_owned(),
        count => format!(
            "of the {count} decisions in the time asked for none records what it chose from, at a \
             position that was not pinned"
        ),
    }
}

fn nothing_to_rehearse(decisions: u64, without_request: u64) -> String {
    match (decisions, without_request) {
        (0, _) => "there are no decisions in the time asked for".to_owned(),
        (decisions, without) if decisions == without => format!(
            "none of the {decisions} decisions in the time asked for records its whole request: let the \
             server run with DECISION_DETAIL=candidates, or full where requests describe their \
             candidates, and ask again when there are such decisions"
        ),
        (decisions, _) => format!(
            "of the {decisions} decisions in the time asked for, the proposal would act on none that was \
             looked at: their users are held back or not eligible, or their requests are not accepted now"
        ),
    }
}

impl From<Cancelled> for Error {
    fn from(_: Cancelled) -> Self {
        Self::DeadlinePassed
    }
}

/// Names an error for the caller and in the log: random, eight digits.
pub fn short_id() -> String {
    // A hasher of std is keyed at random: enough to tell two lines of a log apart.
    format!("{:08x}", RandomState::new().hash_one(()) as u32)
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::NoNamespace { namespace } => Self::NoNamespace(namespace),
            storage::Error::NamespaceExists { namespace } => Self::NamespaceExists(namespace),
            error => Self::Storage(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_there_is_in_place_of_what_was_asked_for() {
        let none = Error::NoTraining { newest: None }.to_string();
        assert!(none.contains("not had a training yet"), "{none}");
        let other = Error::NoTraining { newest: Some("t2".to_owned()) }.to_string();
        assert!(other.ends_with("here t2"), "{other}");
        let empty = Error::NothingToEvaluate { decisions: 0 }.to_string();
        assert!(empty.starts_with("there are no such decisions"), "{empty}");
        let of = |decisions, without_request| {
            Error::NothingToRehearse { decisions, without_request }.to_string()
        };
        assert!(of(0, 0).starts_with("there are no decisions"));
        assert!(of(7, 7).contains("DECISION_DETAIL=candidates"));
        assert!(of(7, 3).contains("not eligible"));
        let [from, into] = ["ada", "visit-1"].map(|id| UserId::parse(id).unwrap());
        assert_eq!(
            Error::MergeCircular { from, into }.to_string(),
            "user \"visit-1\" was merged into \"ada\" before, so \"ada\" cannot be merged into it"
        );
    }
}
