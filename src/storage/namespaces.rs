//! Which namespaces exist.

use super::error::Error;
use engine::domain::NamespaceName;
use engine::domain::Settings;
use engine::domain::Timestamp;

#[derive(Debug, Clone, PartialEq)]
pub struct NamespaceEntry {
    pub name: NamespaceName,
    pub created_at: Timestamp,
    /// The settings the namespace was created with, where it has its own; without,
    /// it follows the configuration of the server.
    pub settings: Option<Settings>,
}

/// Calls block; callers run them off the async threads.
pub trait NamespaceStore: Send + Sync {
    /// # Errors
    /// `NamespaceExists`, `Unavailable`.
    fn create(&self, entry: &NamespaceEntry) -> Result<(), Error>;

    /// # Errors
    /// `NoNamespace`, `Unavailable`.
    fn get(&self, name: &NamespaceName) -> Result<NamespaceEntry, Error>;

    /// Entries in the order of their names, after `after`, at most `count`.
    ///
    /// # Errors
    /// `Unavailable`.
    fn list(
        &self,
        after: Option<&NamespaceName>,
        count: usize,
    ) -> Result<Vec<NamespaceEntry>, Error>;

    /// Removes the namespace with its log and its snapshots.
    ///
    /// # Errors
    /// `NoNamespace`, `Unavailable`.
    fn delete(&self, name: &NamespaceName) -> Result<(), Error>;
}
