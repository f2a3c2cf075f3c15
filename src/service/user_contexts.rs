//! What is derived of each user (folded-in factors, content taste), kept while
//! neither the user nor the model nor the settings change.
//!
//! - One cache for the process, bounded in bytes; the least used are evicted, of whichever
//!   namespace. Each handle of a namespace has its own part, which dies with it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use engine::UserContext;
use engine::UserIndex;
use engine::View;
use engine::domain::Sequence;

/// Bytes of what is derived, over all namespaces.
const BYTES: u64 = 128 << 20;
/// Of a user with a short history at k = 64.
const USUAL_BYTES: u64 = 2_048;
/// What a context takes in addition to its vectors, with its entry in the cache.
const OWN_BYTES: usize = 512;
/// What an item of the history adds: that it was had, topics, scores of similar items.
const ITEM_BYTES: usize = 64;

/// A handle of a namespace, and a user's index in it.
type Key = (u64, UserIndex);

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<Key, Derived> for ByBytes {
    fn weight(&self, _key: &Key, derived: &Derived) -> u64 {
        derived.bytes
    }
}

/// What all namespaces of the process share.
#[derive(Debug)]
pub struct ContextCache {
    derived: Cache<Key, Derived, ByBytes>,
    handles: AtomicU64,
}

impl Default for ContextCache {
    fn default() -> Self {
        Self::of(BYTES)
    }
}

impl ContextCache {
    fn of(bytes: u64) -> Self {
        let usual = usize::try_from(bytes / USUAL_BYTES).unwrap_or(usize::MAX);
        let derived = Cache::with_weighter(usual, bytes, ByBytes);
        Self { derived, handles: AtomicU64::new(0) }
    }
}

/// The part of one handle.
#[derive(Debug)]
pub struct UserContexts {
    cache: Arc<ContextCache>,
    handle: u64,
}

impl Drop for UserContexts {
    fn drop(&mut self) {
        self.cache.derived.retain(|(handle, _), _| *handle != self.handle);
    }
}

/// A user's context and what it was derived from.
#[derive(Debug, Clone)]
pub struct Derived {
    user_changed_at: Sequence,
    model_version: u64,
    settings_at: Sequence,
    /// Of the view it was derived from. What the user had may have been described again
    /// since, so working out a decision again needs that view.
    pub watermark: Sequence,
    pub context: Arc<UserContext>,
    /// What it takes, about.
    bytes: u64,
}

impl Derived {
    /// Derived now.
    pub fn new(view: &View, user: Option<UserIndex>) -> Self {
        let user = user.map(|index| view.user(index).as_ref());
        let context = UserContext::new(view, user);
        let history = user.map_or(0, |user| user.history.entries().len());
        let factors = context.factors.as_ref().map_or(0, Vec::len);
        let bytes = OWN_BYTES + history * ITEM_BYTES + factors * size_of::<f32>();
        Self {
            user_changed_at: user.map_or(0, |user| user.changed_at),
            model_version: view.model_version(),
            settings_at: view.settings_at(),
            watermark: view.watermark(),
            context: Arc::new(context),
            bytes: bytes as u64,
        }
    }
}

impl UserContexts {
    /// An empty part of the cache.
    pub fn within(cache: &Arc<ContextCache>) -> Self {
        let handle = cache.handles.fetch_add(1, Ordering::Relaxed);
        Self { cache: cache.clone(), handle }
    }

    /// The user's context under this view, derived now unless it is known.
    pub fn get(&self, view: &View, user: Option<UserIndex>) -> Derived {
        let Some(index) = user else {
            return Derived::new(view, None);
        };
        let user = view.user(index);
        let fits = |derived: &Derived| {
            derived.user_changed_at == user.changed_at
                && derived.model_version == view.model_version()
                && derived.settings_at == view.settings_at()
        };
        let key = (self.handle, index);
        if let Some(derived) = self.cache.derived.get(&key).filter(fits) {
            return derived;
        }
        let derived = Derived::new(view, Some(index));
        self.cache.derived.insert(key, derived.clone());
        derived
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Engine;
    use engine::domain::Settings;

    fn derived(bytes: u64) -> Derived {
        let view = Engine::new(Settings::default()).view();
        Derived { bytes, ..Derived::new(&view, None) }
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_and_dies_with_its_handle() {
        let cache = Arc::new(ContextCache::of(1 << 20));
        let (one, other) = (UserContexts::within(&cache), UserContexts::within(&cache));
        for user in (0..10_000).map(UserIndex::new) {
            cache.derived.insert((one.handle, user), derived(1_000));
        }
        assert!(cache.derived.weight() <= 1 << 20, "{}", cache.derived.weight());
        assert!(cache.derived.len() > 500);
        cache.derived.insert((other.handle, UserIndex::new(0)), derived(1_000));
        drop(one);
        assert_eq!(cache.derived.len(), 1);
        drop(other);
        assert_eq!(cache.derived.weight(), 0);
    }
}
