//! Columns of state in copy-on-write pages.
//!
//! - Cloning a column copies one pointer per page; writing to a page that a view
//!   still holds copies that page only. So publishing a view costs what changed.
//! - A page remembers its digest until it is written to, so the state digest
//!   also costs what changed.
//! - The order is that of the pushes. Nothing depends on addresses or hashes.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::columns::index::Index;
use crate::columns::part::Digest;
use crate::columns::part::Part;
use crate::columns::part::Sections;

/// Values of a page. Small enough to copy in microseconds, large enough that a
/// million values are a few thousand pointers.
pub const PAGE: usize = 256;
/// Pages of one snapshot section: bounds the size of a section.
pub const PAGES_PER_SECTION: usize = 64;

#[derive(Debug)]
struct Page<T> {
    values: Vec<T>,
    digest: OnceLock<Digest>,
}

impl<T: Clone> Clone for Page<T> {
    fn clone(&self) -> Self {
        let mut values = Vec::with_capacity(PAGE);
        values.extend_from_slice(&self.values);
        Self { values, digest: OnceLock::new() }
    }
}

impl<T> Page<T> {
    fn new(values: Vec<T>) -> Arc<Self> {
        Arc::new(Self { values, digest: OnceLock::new() })
    }
}

/// A growing sequence of values, cheap to clone; `K` is what it is indexed by.
#[derive(Debug)]
pub struct Column<T, K = usize> {
    pages: Vec<Arc<Page<T>>>,
    len: usize,
    index: PhantomData<fn(K)>,
}

impl<T, K> Default for Column<T, K> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0, index: PhantomData }
    }
}

impl<T, K> Clone for Column<T, K> {
    fn clone(&self) -> Self {
        Self { pages: self.pages.clone(), len: self.len, index: PhantomData }
    }
}

impl<T, K: Index> Column<T, K> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn get(&self, index: K) -> Option<&T> {
        let index = index.slot();
        self.pages.get(index / PAGE)?.values.get(index % PAGE)
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| page.values.iter())
    }

    /// The indices of all values.
    pub fn indices(&self) -> impl DoubleEndedIterator<Item = K> + ExactSizeIterator + use<T, K> {
        (0..self.len).map(K::of_slot)
    }
}

impl<T, K: Index> std::ops::Index<K> for Column<T, K> {
    type Output = T;

    fn index(&self, index: K) -> &T {
        let index = index.slot();
        &self.pages[index / PAGE].values[index % PAGE]
    }
}

impl<T: Clone, K: Index> Column<T, K> {
    pub fn push(&mut self, value: T) {
        if self.len.is_multiple_of(PAGE) {
            self.pages.push(Page::new(Vec::with_capacity(PAGE)));
        }
        self.len += 1;
        let page = Arc::make_mut(self.pages.last_mut().expect("a page was added if needed"));
        page.values.push(value);
        page.digest.take();
    }

    /// The value for writing; copies its page when a view still holds it.
    ///
    /// # Panics
    /// When `index` is not below the length, as for a slice.
    pub fn get_mut(&mut self, index: K) -> &mut T {
        let index = index.slot();
        let page = Arc::make_mut(&mut self.pages[index / PAGE]);
        page.digest.take();
        &mut page.values[index % PAGE]
    }

    /// Grows to `len` with copies of `value`; never shrinks.
    pub fn grow(&mut self, len: usize, value: &T) {
        while self.len < len {
            self.push(value.clone());
        }
    }
}

impl<T, K> FromIterator<T> for Column<T, K> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut values = values.into_iter().peekable();
        let mut column = Self::default();
        while values.peek().is_some() {
            let page: Vec<T> = values.by_ref().take(PAGE).collect();
            column.len += page.len();
            column.pages.push(Page::new(page));
        }
        column
    }
}

impl<T: Serialize, K> Column<T, K> {
    /// Hash of the values in their order; remembers the hash of each page.
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(self.len as u64).to_le_bytes());
        for page in &self.pages {
            let digest =
                page.digest.get_or_init(|| *blake3::hash(&encode(&page.values)).as_bytes());
            hasher.update(digest);
        }
        *hasher.finalize().as_bytes()
    }

    /// The values of each section, encoded.
    pub fn encoded(&self) -> impl Iterator<Item = Vec<u8>> {
        self.pages.chunks(PAGES_PER_SECTION).map(|pages| {
            let values: Vec<&T> = pages.iter().flat_map(|page| page.values.iter()).collect();
            encode(&values)
        })
    }
}

impl<T: Clone + Serialize + DeserializeOwned, K: Index> Part for Column<T, K> {
    fn len(&self) -> usize {
        self.len
    }

    fn digest(&self) -> Digest {
        Self::digest(self)
    }

    fn sections(&self) -> Sections<'_> {
        Box::new(self.encoded())
    }

    fn read(&mut self, section: &[u8]) -> Result<(), postcard::Error> {
        let values: Vec<T> = postcard::from_bytes(section)?;
        values.into_iter().for_each(|value| self.push(value));
        Ok(())
    }
}

/// Canonical bytes of a value: what snapshots store and digests hash.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("postcard can encode every state type")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_clone_keeps_what_it_saw_when_the_original_is_written_to() {
        let mut column: Column<u32> = (0..1000).collect();
        let view = column.clone();
        *column.get_mut(700) = 1;
        column.push(5);
        assert_eq!(view[700], 700);
        assert_eq!((view.len(), column.len()), (1000, 1001));
        assert_eq!(column[700], 1);
    }

    #[test]
    fn writing_changes_the_digest_and_writing_back_restores_it() {
        let mut column: Column<u32> = (0..1000).collect();
        let before = column.digest();
        *column.get_mut(3) = 9;
        assert_ne!(column.digest(), before);
        *column.get_mut(3) = 3;
        assert_eq!(column.digest(), before);
    }

    proptest! {
        #[test]
        fn a_column_survives_its_sections(values in prop::collection::vec(any::<u16>(), 0..40_000)) {
            let column: Column<u16> = values.iter().copied().collect();
            let mut back: Column<u16> = Column::default();
            for section in column.sections() {
                back.read(&section).unwrap();
            }
            prop_assert_eq!(back.digest(), column.digest());
            prop_assert!(back.iter().copied().eq(values));
        }
    }
}
