//! Everything that is known by user, in columns of equal length.

use std::sync::Arc;

use crate::consumption::Impressions;
use crate::consumption::User;
use crate::state::column::Column;
use crate::state::interner::Interner;

/// The users of a namespace.
#[derive(Debug, Clone, Default)]
pub struct UserStore {
    pub ids: Interner,
    pub states: Column<Arc<User>>,
    /// What each was shown of late; as long as `states`, or shorter.
    pub impressions: Column<Arc<Impressions>>,
}

impl UserStore {
    /// Users known.
    pub fn len(&self) -> usize {
        self.states.len()
    }
}
