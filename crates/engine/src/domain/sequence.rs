//! Where a record stands in its log.

/// Position in a namespace's log. The first record has sequence 1; 0 means
/// "before the first".
pub type Sequence = u64;
