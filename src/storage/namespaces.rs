//! Which namespaces exist, and which partition a name means.

use super::error::Error;
use super::partition::Partition;
use engine::domain::NamespaceName;
use engine::domain::Settings;
use engine::domain::Timestamp;

#[derive(Debug, Clone, PartialEq)]
pub struct NamespaceEntry {
    pub partition: Partition,
    pub created_at: Timestamp,
    /// The settings the namespace was created with, where it has its own; without,
    /// it follows the configuration of the server.
    pub settings: Option<Settings>,
}

impl NamespaceEntry {
    pub const fn name(&self) -> &NamespaceName {
        &self.partition.namespace
    }
}

/// Calls block; callers run them off the async threads.
pub trait NamespaceStore: Send + Sync {
    /// # Errors
    /// `NamespaceExists`, `Unavailable`.
    fn create(
        &self,
        name: &NamespaceName,
        created_at: Timestamp,
        settings: Option<Settings>,
    ) -> Result<NamespaceEntry, Error>;

    /// The one function where a name becomes a partition.
    ///
    /// # Errors
    /// `NoNamespace`, `Unavailable`.
    fn resolve(&self, name: &NamespaceName) -> Result<NamespaceEntry, Error>;

    /// Entries in the order of their names, after `after`, at most `count`.
    ///
    /// # Errors
    /// `Unavailable`.
    fn list(
        &self,
        after: Option<&NamespaceName>,
        count: usize,
    ) -> Result<Vec<NamespaceEntry>, Error>;

    /// Removes the namespace with its log and its snapshots; not one that was created
    /// since under the same name.
    ///
    /// # Errors
    /// `NoNamespace`, `Unavailable`.
    fn delete(&self, partition: &Partition) -> Result<(), Error>;
}
