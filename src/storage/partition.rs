//! The identity of a log, and of what is to be done for it.

use engine::domain::NamespaceName;

/// The log of one namespace in one life: a namespace that is deleted and created
/// again has another incarnation. A name becomes a partition in one function, by
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

/// A duty of a partition, such as `lead/1` or `train`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseName {
    pub partition: Partition,
    pub duty: String,
}

impl std::fmt::Display for LeaseName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.duty, self.partition)
    }
}
