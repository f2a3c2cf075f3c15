//! Exact retrieval: the n items of the highest score `q'h` out of all pages of item factors.
//!
//! Invariants: the result equals sorting all eligible scores (score descending, index ascending); a score that is not a
//! number ranks last. `numeric` only: the same bits on every CPU.
//! Cost: memory-bound. Scores are made in blocks that stay in the L1 cache. Once n items are held, sixteen scores are
//! rejected by one comparison of their maximum, and eligibility is checked only for scores that would enter.

use crate::numeric;
use crate::numeric::TopK;

/// Scores made before they are looked at.
const BLOCK: usize = 512;

/// Some consecutive items.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// n x k, row-major.
    pub factors: &'a [f32],
    /// Which items may be returned: bit `r % 64` of word `r / 64` for row r; rows beyond the end may not. `None`: all.
    pub eligible: Option<&'a [u64]>,
}

impl Page<'_> {
    #[inline]
    fn is_eligible(&self, row: usize) -> bool {
        self.eligible
            .is_none_or(|words| words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1))
    }
}

/// The best `n` eligible items as (index, score), best first; indices count rows across the pages in order.
///
/// Panics when the query is not k long, k is zero, or a page does not hold whole rows.
pub fn scan<'a>(
    pages: impl Iterator<Item = Page<'a>>,
    k: usize,
    query: &[f32],
    n: usize,
) -> Vec<(u32, f32)> {
    let mut top = TopK::new(n);
    let mut scores = [0.0_f32; BLOCK];
    let mut first = 0_u32;
    for page in pages {
        if page.eligible.is_some_and(|words| words.iter().all(|word| *word == 0)) {
            first += (page.factors.len() / k) as u32;
            continue;
        }
        for (block, factors) in page.factors.chunks(BLOCK * k).enumerate() {
            let scores = &mut scores[..factors.len() / k];
            numeric::dot_rows(factors, k, query, scores);
            select(&page, block * BLOCK, first, scores, &mut top);
        }
        first += (page.factors.len() / k) as u32;
    }
    top.into_sorted_vec()
}

/// Offers the scores of the rows that begin at `row` of `page`.
fn select(page: &Page<'_>, row: usize, first: u32, scores: &[f32], top: &mut TopK) {
    for (group, chunk) in scores.chunks(16).enumerate() {
        if let Some(threshold) = top.threshold() {
            // Indices only rise, so an equal score loses; NaN compares false and is rejected with the rest.
            if !chunk.iter().fold(false, |any, score| any | (*score > threshold)) {
                continue;
            }
        }
        for (r, score) in chunk.iter().enumerate() {
            let at = row + group * 16 + r;
            let worse = top.threshold().is_some_and(|threshold| *score <= threshold);
            if !worse && page.is_eligible(at) {
                top.push(*score, first + at as u32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(n: usize, k: usize) -> Vec<f32> {
        (0..n * k).map(|i| ((i * 7919 % 1009) as f32 - 500.0) / 300.0).collect()
    }

    fn full_sort(items: &[f32], k: usize, query: &[f32], n: usize) -> Vec<(u32, f32)> {
        let mut all: Vec<(u32, f32)> =
            items.chunks(k).enumerate().map(|(i, h)| (i as u32, numeric::dot(h, query))).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(n);
        all
    }

    #[test]
    fn the_scan_equals_a_full_sort_however_the_items_are_paged() {
        for k in [1, 5, 16, 64] {
            let items = factors(3000, k);
            let query = factors(1, k);
            for per_page in [1, 100, 777, 5000] {
                for n in [0, 1, 20, 4000] {
                    let pages =
                        items.chunks(per_page * k).map(|factors| Page { factors, eligible: None });
                    assert_eq!(scan(pages, k, &query, n), full_sort(&items, k, &query, n));
                }
            }
        }
    }

    #[test]
    fn ineligible_items_never_come_out() {
        let (k, items) = (4, factors(200, 4));
        let mask = [0xAAAA_AAAA_AAAA_AAAA_u64, 0, u64::MAX];
        let page = Page { factors: &items, eligible: Some(&mask) };
        let found = scan(std::iter::once(page), k, &[1.0, 0.5, -0.25, 0.1], 200);
        let allowed: Vec<u32> =
            (0..200).filter(|i| (i % 2 == 1 && *i < 64) || (128..192).contains(i)).collect();
        let mut indices: Vec<u32> = found.iter().map(|(i, _)| *i).collect();
        indices.sort_unstable();
        assert_eq!(indices, allowed);
    }

    #[test]
    fn scores_that_are_not_numbers_come_last() {
        let items = [1.0, f32::NAN, 3.0, f32::NAN, 2.0];
        let page = Page { factors: &items, eligible: None };
        let indices: Vec<u32> =
            scan(std::iter::once(page), 1, &[1.0], 4).iter().map(|(i, _)| *i).collect();
        assert_eq!(indices, [2, 4, 0, 1]);
    }

    #[test]
    fn no_pages_give_no_items() {
        assert!(scan(std::iter::empty(), 8, &[0.0; 8], 10).is_empty());
    }
}
