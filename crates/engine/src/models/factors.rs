//! Item factors in contiguous copy-on-write pages, laid out for the scan.
//!
//! Row `i` belongs to item `i`; a row of zeros belongs to an unknown item.

use std::sync::Arc;
use std::sync::OnceLock;

use crate::columns::column::PAGE;
use crate::columns::column::PAGES_PER_SECTION;
use crate::columns::column::encode;
use crate::columns::index::ItemIndex;
use crate::columns::part::Digest;
use crate::columns::part::Part;
use crate::columns::part::Sections;
use crate::models::collaborative::Page;
use crate::models::collaborative::scan;
use crate::numeric;
use crate::numeric::TopK;

/// With less than one eligible row in this many, rows are looked up one by one; else all are scanned.
const FEW: usize = 8;

#[derive(Debug)]
struct FactorPage {
    /// Up to `PAGE` rows of k values.
    values: Vec<f32>,
    digest: OnceLock<Digest>,
}

impl Clone for FactorPage {
    fn clone(&self) -> Self {
        Self { values: self.values.clone(), digest: OnceLock::new() }
    }
}

/// An n x k matrix, cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ItemFactors {
    k: usize,
    rows: usize,
    pages: Vec<Arc<FactorPage>>,
}

impl ItemFactors {
    /// # Panics
    /// When `values` is not whole rows of `k`.
    pub fn new(k: usize, values: &[f32]) -> Self {
        assert!(k > 0 && values.len().is_multiple_of(k), "factors must be whole rows");
        let page = |values: &[f32]| {
            Arc::new(FactorPage { values: values.to_vec(), digest: OnceLock::new() })
        };
        Self { k, rows: values.len() / k, pages: values.chunks(PAGE * k).map(page).collect() }
    }

    /// Length of a row; 0 as long as there is no model.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The factors of an item; `None` beyond the last row or when all zero.
    pub fn row(&self, item: ItemIndex) -> Option<&[f32]> {
        let item = item.as_usize();
        let page = self.pages.get(item / PAGE)?;
        let start = item % PAGE * self.k;
        let row = page.values.get(start..start + self.k)?;
        row.iter().any(|&value| value != 0.0).then_some(row)
    }

    /// Replaces an item's factors; rows in between become zero.
    pub fn set_row(&mut self, item: ItemIndex, row: &[f32]) {
        assert!(row.len() == self.k, "a row has k values");
        let item = item.as_usize();
        while self.rows <= item {
            if self.rows.is_multiple_of(PAGE) {
                let values = Vec::with_capacity(PAGE * self.k);
                self.pages.push(Arc::new(FactorPage { values, digest: OnceLock::new() }));
            }
            let page = Arc::make_mut(self.pages.last_mut().expect("a page was added if needed"));
            page.digest.take();
            page.values.extend(std::iter::repeat_n(0.0, self.k));
            self.rows += 1;
        }
        let page = Arc::make_mut(&mut self.pages[item / PAGE]);
        page.digest.take();
        let start = item % PAGE * self.k;
        page.values[start..start + self.k].copy_from_slice(row);
    }

    /// Row-major pages of [`PAGE`] rows, the last one shorter.
    pub fn pages(&self) -> impl Iterator<Item = &[f32]> {
        self.pages.iter().map(|page| page.values.as_slice())
    }

    /// The `n` rows of the largest product with `query`, which is k long, as (index, product),
    /// best first; `eligible`: bit `i % 64` of word `i / 64` for row `i`, none beyond the end.
    pub fn best(&self, query: &[f32], n: usize, eligible: &[u64]) -> Vec<(ItemIndex, f32)> {
        const WORDS: usize = PAGE / 64;
        let count: usize = eligible.iter().map(|word| word.count_ones() as usize).sum();
        if count < self.rows / FEW {
            let mut top = TopK::new(n);
            for (word, bits) in (0_u32..).zip(eligible) {
                let mut left = *bits;
                while left != 0 {
                    let index = ItemIndex::new(word * 64 + left.trailing_zeros());
                    left &= left - 1;
                    if let Some(row) = self.row(index) {
                        top.push(numeric::dot(row, query), index);
                    }
                }
            }
            return top.into_sorted_vec();
        }
        let words = |page: usize| {
            let from = (page * WORDS).min(eligible.len());
            &eligible[from..(from + WORDS).min(eligible.len())]
        };
        let pages = (0..).zip(self.pages());
        let pages = pages.map(|(page, factors)| Page { factors, eligible: Some(words(page)) });
        let best = scan(pages, self.k, query, n);
        best.into_iter().map(|(row, score)| (ItemIndex::new(row), score)).collect()
    }

    /// All rows in one piece.
    pub fn to_vec(&self) -> Vec<f32> {
        self.pages().flatten().copied().collect()
    }
}

impl Part for ItemFactors {
    fn len(&self) -> usize {
        self.rows
    }

    fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(self.k as u64).to_le_bytes());
        for page in &self.pages {
            hasher.update(
                page.digest.get_or_init(|| *blake3::hash(&encode(&page.values)).as_bytes()),
            );
        }
        *hasher.finalize().as_bytes()
    }

    fn sections(&self) -> Sections<'_> {
        Box::new(self.pages.chunks(PAGES_PER_SECTION).map(|pages| {
            let values: Vec<f32> = pages.iter().flat_map(|page| &page.values).copied().collect();
            encode(&(self.k, values))
        }))
    }

    fn read(&mut self, section: &[u8]) -> Result<(), postcard::Error> {
        let (k, values): (usize, Vec<f32>) = postcard::from_bytes(section)?;
        // Another section follows full pages only.
        let fits = self.rows == 0 || self.k == k && self.rows.is_multiple_of(PAGE);
        if !fits || k == 0 || !values.len().is_multiple_of(k) {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        let mut more = Self::new(k, &values);
        self.k = k;
        self.rows += more.rows;
        self.pages.append(&mut more.pages);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_a_far_row_leaves_unknown_rows_between() {
        let mut factors = ItemFactors::new(2, &[1.0, 2.0]);
        factors.set_row(ItemIndex::new(700), &[3.0, 4.0]);
        assert_eq!(factors.rows, 701);
        let row = |item| factors.row(ItemIndex::new(item));
        assert_eq!((row(0), row(350)), (Some(&[1.0, 2.0][..]), None));
        assert_eq!((row(700), row(701)), (Some(&[3.0, 4.0][..]), None));
    }

    #[test]
    fn a_clone_keeps_its_rows_and_digest() {
        let mut factors = ItemFactors::new(1, &[1.0; 600]);
        let view = factors.clone();
        let digest = view.digest();
        factors.set_row(ItemIndex::new(3), &[9.0]);
        assert_eq!(view.row(ItemIndex::new(3)), Some(&[1.0][..]));
        assert_eq!(view.digest(), digest);
        assert_ne!(factors.digest(), digest);
        assert_eq!(ItemFactors::new(1, &factors.to_vec()).digest(), factors.digest());
    }
}
