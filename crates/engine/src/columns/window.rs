//! A window over a growing sequence: values are added at its end and removed at its front.
//!
//! - Each value has a number, from 0 on; numbers are never used again.
//! - Copy-on-write pages, as those of a [`Column`](crate::columns::column::Column): a clone
//!   copies a pointer for each page, a write copies the page and the value that a view
//!   still holds.
//! - Bytes are counted as values are added and removed, so the owner can keep to a budget.
//! - The newest value is never removed. So a window that is read back knows its numbers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::columns::column::encode;
use crate::columns::part::Digest;
use crate::columns::part::Part;
use crate::columns::part::Sections;

/// Values of a page.
const PAGE: u64 = 64;
const PAGES_PER_SECTION: usize = 64;
/// Lookup tables store this many of the lower bits of a value's number.
const SLOT_BITS: u64 = (1 << 30) - 1;

/// A value that knows its size in memory. The size must not change while it is held.
pub trait Weighed {
    fn bytes(&self) -> u64;
}

#[derive(Debug)]
struct Page<T> {
    /// `None` where a value was removed, in the first page only.
    values: Vec<Option<Arc<T>>>,
    digest: OnceLock<Digest>,
}

impl<T> Clone for Page<T> {
    fn clone(&self) -> Self {
        Self { values: self.values.clone(), digest: OnceLock::new() }
    }
}

/// Numbered values, the oldest first.
#[derive(Debug)]
pub struct Window<T> {
    pages: VecDeque<Arc<Page<T>>>,
    /// The number of the first value that is held, and the number after the last.
    first: u64,
    end: u64,
    bytes: u64,
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self { pages: VecDeque::new(), first: 0, end: 0, bytes: 0 }
    }
}

impl<T> Clone for Window<T> {
    fn clone(&self) -> Self {
        let Self { pages, first, end, bytes } = self;
        Self { pages: pages.clone(), first: *first, end: *end, bytes: *bytes }
    }
}

impl<T> Window<T> {
    /// The number of the oldest value.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of the next value: how many were added so far.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Values held.
    pub fn held(&self) -> u64 {
        self.end - self.first
    }

    /// Sum of the sizes that the values state.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn get(&self, number: u64) -> Option<&T> {
        self.shared(number).map(AsRef::as_ref)
    }

    /// The same, to keep.
    pub fn shared(&self, number: u64) -> Option<&Arc<T>> {
        let at = self.page_of(number)?;
        self.pages.get(at)?.values.get((number % PAGE) as usize)?.as_ref()
    }

    pub fn oldest(&self) -> Option<&T> {
        self.get(self.first)
    }

    pub fn newest(&self) -> Option<&T> {
        self.get(self.end.checked_sub(1)?)
    }

    /// What names a value of this number in a lookup table.
    pub fn slot(number: u64) -> usize {
        (number & SLOT_BITS) as usize
    }

    /// The value that a lookup table names. A window is far shorter than the slots there are.
    pub fn number_at(&self, slot: usize) -> u64 {
        self.first + ((slot as u64).wrapping_sub(self.first) & SLOT_BITS)
    }

    fn page_of(&self, number: u64) -> Option<usize> {
        let is_held = (self.first..self.end).contains(&number);
        is_held.then(|| (number / PAGE - self.first / PAGE) as usize)
    }
}

impl<T: Weighed> Window<T> {
    /// Appends a value; returns its number.
    pub fn push(&mut self, value: T) -> u64 {
        self.push_shared(Arc::new(value))
    }

    fn push_shared(&mut self, value: Arc<T>) -> u64 {
        let number = self.end;
        let within = (number % PAGE) as usize;
        if self.pages.is_empty() || within == 0 {
            // A window that is read back may begin within a page.
            let mut values = Vec::with_capacity(PAGE as usize);
            values.resize_with(within, || None);
            self.pages.push_back(Arc::new(Page { values, digest: OnceLock::new() }));
        }
        self.bytes += value.bytes();
        self.end += 1;
        let page = Arc::make_mut(self.pages.back_mut().expect("a page was added if needed"));
        page.digest.take();
        page.values.push(Some(value));
        number
    }

    /// Takes out the oldest value; `None` when it is the newest, too.
    pub fn pop(&mut self) -> Option<Arc<T>> {
        if self.held() < 2 {
            return None;
        }
        let within = (self.first % PAGE) as usize;
        let page = Arc::make_mut(self.pages.front_mut()?);
        page.digest.take();
        let value = page.values[within].take()?;
        self.first += 1;
        self.bytes = self.bytes.saturating_sub(value.bytes());
        if self.first.is_multiple_of(PAGE) {
            self.pages.pop_front();
        }
        Some(value)
    }
}

impl<T: Clone> Window<T> {
    /// The value for writing; copies it when a view still holds it.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let at = self.page_of(number)?;
        let page = Arc::make_mut(self.pages.get_mut(at)?);
        page.digest.take();
        page.values.get_mut((number % PAGE) as usize)?.as_mut().map(Arc::make_mut)
    }
}

impl<T: Weighed + Serialize + DeserializeOwned> Part for Window<T> {
    fn len(&self) -> usize {
        self.held() as usize
    }

    fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.first.to_le_bytes());
        hasher.update(&self.end.to_le_bytes());
        for page in &self.pages {
            let of_values = || {
                let values: Vec<&Arc<T>> = page.values.iter().flatten().collect();
                *blake3::hash(&encode(&values)).as_bytes()
            };
            hasher.update(page.digest.get_or_init(of_values));
        }
        *hasher.finalize().as_bytes()
    }

    fn sections(&self) -> Sections<'_> {
        let sections = self.pages.len().div_ceil(PAGES_PER_SECTION);
        Box::new((0..sections).map(|section| {
            let pages = self.pages.iter().skip(section * PAGES_PER_SECTION);
            let pages = pages.take(PAGES_PER_SECTION);
            let values: Vec<&Arc<T>> =
                pages.flat_map(|page| page.values.iter().flatten()).collect();
            let page = self.first / PAGE + (section * PAGES_PER_SECTION) as u64;
            encode(&((page * PAGE).max(self.first), values))
        }))
    }

    fn read(&mut self, section: &[u8]) -> Result<(), postcard::Error> {
        let (number, values): (u64, Vec<T>) = postcard::from_bytes(section)?;
        let follows = self.held() == 0 || number == self.end;
        if !follows || values.is_empty() || number.checked_add(values.len() as u64).is_none() {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        if self.held() == 0 {
            (self.first, self.end) = (number, number);
        }
        values.into_iter().for_each(|value| {
            self.push(value);
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Weighed for u32 {
        fn bytes(&self) -> u64 {
            u64::from(*self)
        }
    }

    #[test]
    fn a_view_keeps_what_it_saw_while_values_come_change_and_go() {
        let mut window = Window::default();
        (0..200_u32).for_each(|value| {
            window.push(value);
        });
        let view = window.clone();
        while window.first() < 150 {
            window.pop();
        }
        *window.get_mut(170).unwrap() = 9;
        assert_eq!((view.get(3), view.get(170)), (Some(&3), Some(&170)));
        assert_eq!((window.get(149), window.get(170)), (None, Some(&9)));
        assert_eq!((window.oldest(), window.newest()), (Some(&150), Some(&199)));
    }

    #[test]
    fn the_newest_value_stays() {
        let mut window = Window::default();
        assert_eq!(window.pop(), None);
        window.push(1_u32);
        assert_eq!(window.pop(), None);
        window.push(2);
        assert_eq!(window.pop().as_deref(), Some(&1));
        assert_eq!((window.bytes(), window.held(), window.end()), (2, 1, 2));
    }

    proptest! {
        #[test]
        fn a_window_survives_its_sections_and_counts_its_bytes(
            steps in prop::collection::vec((any::<bool>(), 0..90_u32), 1..400)
        ) {
            let mut window = Window::default();
            for (grows, many) in steps {
                for value in 0..many {
                    if grows {
                        window.push(value);
                    } else {
                        window.pop();
                    }
                }
            }
            let mut back = Window::<u32>::default();
            for section in window.sections() {
                back.read(&section).unwrap();
            }
            if window.held() > 0 {
                prop_assert_eq!(back.digest(), window.digest());
                prop_assert_eq!((back.first(), back.end()), (window.first(), window.end()));
            }
            let values = (window.first()..window.end()).map(|number| window.get(number).unwrap());
            let sum: u64 = values.map(|value| u64::from(*value)).sum();
            prop_assert_eq!((window.bytes(), back.bytes()), (sum, sum));
            for number in window.first()..window.end() {
                prop_assert_eq!(window.number_at(Window::<u32>::slot(number)), number);
            }
        }
    }
}
