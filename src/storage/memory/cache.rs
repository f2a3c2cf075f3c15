//! A cache within the process, bounded in values and bytes.

use std::time::Duration;
use std::time::Instant;

use quick_cache::Weighter;
use quick_cache::sync::Cache as Entries;

use crate::storage::cache::Cache;

/// About what a value takes in addition to its bytes.
const ENTRY_BYTES: usize = 128;

#[derive(Debug)]
pub struct MemoryCache {
    entries: Entries<String, Entry, Weight>,
}

#[derive(Debug, Clone)]
struct Entry {
    value: Vec<u8>,
    until: Instant,
}

#[derive(Debug, Clone)]
struct Weight {
    least: u64,
}

impl Weighter<String, Entry> for Weight {
    fn weight(&self, key: &String, entry: &Entry) -> u64 {
        self.least.max((ENTRY_BYTES + key.len() + entry.value.len()) as u64)
    }
}

impl MemoryCache {
    /// Keeps up to `values` values of together up to `bytes` bytes; those that are
    /// asked for least go first.
    pub fn new(values: usize, bytes: u64) -> Self {
        // No value weighs less than its share, so the weights bound the number too.
        let least = bytes.div_ceil(values.max(1) as u64);
        Self { entries: Entries::with_weighter(values, bytes, Weight { least }) }
    }
}

#[async_trait::async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let entry = self.entries.get(key)?;
        if entry.until > Instant::now() {
            return Some(entry.value);
        }
        self.entries.remove_if(key, |entry| entry.until <= Instant::now());
        None
    }

    async fn remove(&self, key: &str) {
        self.entries.remove(key);
    }

    fn put(&self, key: String, value: Vec<u8>, lifetime: Duration) {
        // A lifetime beyond the clock's end is a mistake of the caller.
        if let Some(until) = Instant::now().checked_add(lifetime) {
            self.entries.insert(key, Entry { value, until });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn a_value_is_there_until_its_lifetime_ends() {
        let cache = MemoryCache::new(10, 10_000);
        cache.put("long".to_owned(), vec![1], HOUR);
        cache.put("none".to_owned(), vec![2], Duration::ZERO);
        assert_eq!(cache.get("long").await, Some(vec![1]));
        assert_eq!(cache.get("none").await, None);
        assert_eq!(cache.get("never put").await, None);
        assert_eq!(cache.entries.len(), 1, "an expired value leaves when it is asked for");
        cache.put("long".to_owned(), vec![3], HOUR);
        assert_eq!(cache.get("long").await, Some(vec![3]));
    }

    #[tokio::test]
    async fn it_holds_no_more_values_or_bytes_than_it_may() {
        let cache = MemoryCache::new(100, 100_000);
        for i in 0..10_000 {
            cache.put(format!("small {i}"), vec![0; 8], HOUR);
        }
        assert!(cache.entries.len() <= 100);
        for i in 0..1_000 {
            cache.put(format!("large {i}"), vec![0; 9_000], HOUR);
        }
        assert!(cache.entries.weight() <= 100_000);
        cache.put("too large".to_owned(), vec![0; 200_000], HOUR);
        assert_eq!(cache.get("too large").await, None);
        assert!(cache.entries.weight() <= 100_000);
    }
}
