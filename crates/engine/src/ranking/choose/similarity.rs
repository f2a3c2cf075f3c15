//! The similarity of two items, for the diversity of a list.
//!
//! A weighted mean of the cosine of their contents (TF-IDF) and the cosine of their sets of
//! topics. Contents are those of all languages together. If no candidate has one of the two, the other is used alone. Factors are not used:
//! relevance depends on them, so diversity would work against it. Each part is a Gram matrix of
//! non-negative vectors, so their mean is positive semidefinite with values in 0..=1, as the
//! determinantal point process needs.
//!
//! Cost: one item against n others reads the terms of all of them, about 1 ns each.

use crate::features::Candidate;
use crate::models::content::SparseVector;
use crate::ranking::choose::caps::Labels;

/// Topics matter most for diversity; content tells items of the same topics apart. A greater
/// share gives less topic diversity for the same loss of accuracy.
const CONTENT_SHARE: f32 = 0.25;

/// Rows of the items to compare, and a buffer for one dense row.
#[derive(Debug)]
pub struct Similarity<'a> {
    rows: Vec<Row<'a>>,
    /// Labels of all rows, one after the other.
    topics: Vec<u32>,
    content_share: f32,
    /// The current item by term and by label; 0 between comparisons.
    spread: Vec<f32>,
    marked: Vec<bool>,
}

#[derive(Debug)]
struct Row<'a> {
    terms: &'a SparseVector,
    topics: std::ops::Range<usize>,
}

impl<'a> Similarity<'a> {
    /// From the terms and topics of items. Topics are numbered below `labels`.
    pub fn new<'l>(
        items: impl Iterator<Item = (&'a SparseVector, &'l [u32])>,
        labels: usize,
    ) -> Self {
        let mut topics = Vec::new();
        let rows: Vec<Row<'a>> = items
            .map(|(terms, labels)| {
                let start = topics.len();
                topics.extend_from_slice(labels);
                Row { terms, topics: start..topics.len() }
            })
            .collect();
        let has_content = rows.iter().any(|row| !row.terms.is_empty());
        let content_share = match (has_content, topics.is_empty()) {
            (true, true) => 1.0,
            (true, false) => CONTENT_SHARE,
            (false, _) => 0.0,
        };
        let last = |row: &Row<'_>| row.terms.terms().last().map_or(0, |term| term.0 as usize + 1);
        let terms = rows.iter().map(last).max().unwrap_or(0);
        Self { rows, topics, content_share, spread: vec![0.0; terms], marked: vec![false; labels] }
    }

    /// Writes the similarity of one of the items to each of them.
    pub fn compare_all(&mut self, item: usize, out: &mut [f64]) {
        let Self { rows, topics, content_share, spread, marked } = self;
        let own = &rows[item];
        for &(term, weight) in own.terms.terms() {
            spread[term as usize] = weight;
        }
        for &label in &topics[own.topics.clone()] {
            marked[label as usize] = true;
        }
        for (row, out) in rows.iter().zip(out.iter_mut()) {
            let content: f32 =
                row.terms.terms().iter().map(|&(term, x)| x * spread[term as usize]).sum();
            let labels = &topics[row.topics.clone()];
            let common = labels.iter().filter(|&&label| marked[label as usize]).count();
            let about = match common {
                0 => 0.0,
                _ => common as f32 / ((labels.len() * own.topics.len()) as f32).sqrt(),
            };
            let alike = *content_share * content + (1.0 - *content_share) * about;
            *out = f64::from(alike.clamp(0.0, 1.0));
        }
        for &(term, _) in own.terms.terms() {
            spread[term as usize] = 0.0;
        }
        for &label in &topics[own.topics.clone()] {
            marked[label as usize] = false;
        }
    }
}

/// The mean similarity of all pairs of items; `None` of fewer than two.
pub fn mean_similarity(items: &[Candidate<'_>]) -> Option<f64> {
    let pairs = items.len() * items.len().saturating_sub(1) / 2;
    if pairs == 0 {
        return None;
    }
    let mut numbers = Labels::default();
    let mut labels = vec![Vec::new(); items.len()];
    for (item, labels) in items.iter().zip(&mut labels) {
        numbers.number_topics(item, labels);
    }
    let rows = items.iter().map(|item| item.terms.whole()).zip(labels.iter().map(Vec::as_slice));
    let mut similarity = Similarity::new(rows, numbers.len());
    let mut row = vec![0.0; items.len()];
    let mut sum = 0.0;
    for item in 1..items.len() {
        similarity.compare_all(item, &mut row);
        sum += row[..item].iter().sum::<f64>();
    }
    Some(sum / pairs as f64)
}
