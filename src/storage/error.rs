//! The one error of the storage layer.

use super::partition::LeaseName;
use super::partition::Partition;
use engine::domain::NamespaceName;
use engine::domain::Sequence;

/// Cloneable, so that all callers whose records shared a commit get the same error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The store cannot be reached or written now; the same call may work later.
    #[error("store unavailable: {reason}")]
    Unavailable { reason: String },
    #[error("namespace {namespace} does not exist")]
    NoNamespace { namespace: NamespaceName },
    #[error("namespace {namespace} exists already")]
    NamespaceExists { namespace: NamespaceName },
    /// The lease that a write belongs to is held by another process now.
    #[error("the lease {lease} has passed to another process")]
    Fenced { lease: LeaseName },
    /// The log is not the one that was read up to here: its server was restored from a
    /// backup, or a standby that was behind took over.
    #[error("the log of {partition} is another one than was read up to record {sequence}")]
    ChainBroken { partition: Partition, sequence: Sequence },
    /// The store cannot work as it is configured; trying again is useless.
    #[error("{reason}")]
    Misconfigured { reason: String },
    /// Stored bytes are not what was written.
    #[error("{what} is corrupt: {reason}")]
    Corrupt { what: String, reason: String },
    /// A newer binary wrote this.
    #[error("{what} has version {found}, this binary knows up to {known}")]
    TooNew { what: &'static str, found: u64, known: u64 },
}
