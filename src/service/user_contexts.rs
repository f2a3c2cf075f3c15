//! What is derived of each person (folded-in factors, content taste), kept while
//! neither the person nor the model changes.

use std::sync::Arc;

use quick_cache::sync::Cache;

use engine::UserContext;
use engine::View;
use engine::domain::Sequence;

/// People whose derived values are kept: about 100 MB at k = 64.
const CAPACITY: usize = 50_000;

/// Bounded; the least used make room.
#[derive(Debug)]
pub struct UserContexts(Cache<u32, Derived>);

/// A person's context and what it was derived from.
#[derive(Debug, Clone)]
pub struct Derived {
    user_changed_at: Sequence,
    model_version: u64,
    /// Of the view it was derived from. What the person had may have been described anew
    /// since, so whoever works out a decision again needs that view.
    pub watermark: Sequence,
    pub context: Arc<UserContext>,
}

impl Derived {
    /// Derived now.
    pub fn new(view: &View, user: Option<u32>) -> Self {
        let user = user.map(|index| view.user(index).as_ref());
        Self {
            user_changed_at: user.map_or(0, |user| user.changed_at),
            model_version: view.model_version(),
            watermark: view.watermark(),
            context: Arc::new(UserContext::new(view, user)),
        }
    }
}

impl Default for UserContexts {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl UserContexts {
    /// The person's context under this view, derived now unless it is known.
    pub fn get(&self, view: &View, user: Option<u32>) -> Derived {
        let Some(index) = user else {
            return Derived::new(view, None);
        };
        let user = view.user(index);
        let fits = |derived: &Derived| {
            derived.user_changed_at == user.changed_at
                && derived.model_version == view.model_version()
        };
        if let Some(derived) = self.0.get(&index).filter(fits) {
            return derived;
        }
        let derived = Derived::new(view, Some(index));
        self.0.insert(index, derived.clone());
        derived
    }
}
