//! The pages of lists that this replica made last, so that the next one may follow at once.
//!
//! - A page is in the log within about 25 ms and then in the view of every replica, which is asked
//!   first. A page stays here until newer ones push it out.
//! - A page has the id of its request. Which user that is, is what the view says: users may have
//!   been merged since.
//! - Bounded in bytes.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use engine::MadePage;
use engine::decision_key;
use engine::domain::Decision;

/// Bytes of the last pages of a namespace.
const BYTES: u64 = 16 * 1024 * 1024;
/// Of a page of 20 items.
const PAGE_BYTES: u64 = 256;

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<u128, Arc<MadePage>> for Bytes {
    fn weight(&self, _decision: &u128, page: &Arc<MadePage>) -> u64 {
        (size_of::<u128>() + size_of::<MadePage>() + page.heap_bytes()) as u64
    }
}

/// Of one open namespace, by the keys of decisions.
#[derive(Debug)]
pub struct UnlearntPages(Cache<u128, Arc<MadePage>, Bytes>);

impl Default for UnlearntPages {
    fn default() -> Self {
        Self(Cache::with_weighter((BYTES / PAGE_BYTES) as usize, BYTES, Bytes))
    }
}

impl UnlearntPages {
    /// Keeps a page that is about to go out.
    pub fn add(&self, decision: &Decision) {
        let key = decision_key(decision.decision_id.as_str());
        self.0.insert(key, Arc::new(MadePage::of(decision)));
    }

    /// The page of a decision, by its key.
    pub fn get(&self, key: u128) -> Option<Arc<MadePage>> {
        self.0.get(&key)
    }
}
