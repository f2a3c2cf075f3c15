//! What is derived of each person (folded-in factors, content taste), kept while
//! neither the person nor the model changes.

use std::sync::Arc;

use quick_cache::sync::Cache;

use crate::domain::Sequence;
use crate::engine::UserContext;
use crate::engine::View;

/// People whose derived values are kept: about 100 MB at k = 64.
const CAPACITY: usize = 50_000;

/// Bounded; the least used make room.
#[derive(Debug)]
pub struct UserContexts(Cache<u32, Derived>);

#[derive(Debug, Clone)]
struct Derived {
    user_changed_at: Sequence,
    model_version: u64,
    context: Arc<UserContext>,
}

impl Default for UserContexts {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl UserContexts {
    /// The person's context under this view, derived now unless it is known.
    pub fn get(&self, view: &View, user: Option<u32>) -> Arc<UserContext> {
        let Some(index) = user else {
            return Arc::default();
        };
        let user = view.user(index);
        let fits = |derived: &Derived| {
            derived.user_changed_at == user.changed_at
                && derived.model_version == view.model_version()
        };
        if let Some(derived) = self.0.get(&index).filter(fits) {
            return derived.context;
        }
        let context = Arc::new(UserContext::new(view, Some(user)));
        let derived = Derived {
            user_changed_at: user.changed_at,
            model_version: view.model_version(),
            context: context.clone(),
        };
        self.0.insert(index, derived);
        context
    }
}
