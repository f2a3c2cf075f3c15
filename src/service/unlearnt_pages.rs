//! The pages of lists that this replica made a moment ago, until it has learnt them from the log.
//!
//! - A page is in the log within about 25 ms and then in the view of every replica. It is kept here
//!   until then, so that the next one may follow at once.
//! - Bounded in bytes.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use engine::Page;
use engine::View;
use engine::decision_key;
use engine::domain::Decision;

/// Bytes of the last pages of a namespace.
const BYTES: u64 = 16 * 1024 * 1024;
/// Of a page of 20 items.
const PAGE_BYTES: u64 = 256;

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<u128, Arc<Page>> for Bytes {
    fn weight(&self, _decision: &u128, page: &Arc<Page>) -> u64 {
        (size_of::<u128>() + size_of::<Page>() + page.heap_bytes()) as u64
    }
}

/// Of one open namespace, by the keys of decisions.
#[derive(Debug)]
pub struct UnlearntPages(Cache<u128, Arc<Page>, Bytes>);

impl Default for UnlearntPages {
    fn default() -> Self {
        Self(Cache::with_weighter((BYTES / PAGE_BYTES) as usize, BYTES, Bytes))
    }
}

impl UnlearntPages {
    /// Keeps a page that is about to go out.
    pub fn add(&self, view: &View, decision: &Decision) {
        let user = view.user_key(decision.user_id.as_str());
        let key = decision_key(decision.decision_id.as_str());
        self.0.insert(key, Arc::new(Page::of(decision, user)));
    }

    /// The page of a decision, by its key.
    pub fn get(&self, key: u128) -> Option<Arc<Page>> {
        self.0.get(&key)
    }
}
