//! The identity of a log.

use engine::domain::NamespaceName;

/// The log of one namespace in one life: a namespace that is deleted and created
/// again has another incarnation. A name becomes a partition in one place, by
/// `NamespaceStore::resolve`; everything else goes by the partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    pub namespace: NamespaceName,
    pub incarnation: u64,
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.incarnation)
    }
}
