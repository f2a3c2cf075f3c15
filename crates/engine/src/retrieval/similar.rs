//! Items similar to an item: by co-occurrence, by factors, by terms and by embeddings.

use std::collections::BTreeMap;

use crate::columns::index::ItemIndex;
use crate::domain::Timestamp;
use crate::features::Candidate;
use crate::features::embedding_cosine;
use crate::features::nearest_items;
use crate::numeric;
use crate::numeric::TopK;
use crate::retrieval::mask::Mask;
use crate::state::View;

/// Candidates of each kind of similarity.
const CANDIDATES: usize = 200;

#[derive(Debug, Clone, PartialEq)]
pub struct SimilarItem {
    pub index: ItemIndex,
    pub score: f64,
    /// Parts of the score by name; they add up to it.
    pub components: BTreeMap<&'static str, f64>,
}

/// The items that may be shown at `now` most similar to `item`, best first, at most `n`. `item`
/// itself need not be one of those. The score is
/// the mean of four similarities, each 0 to 1, and 0 if not known: co-occurrence relative to the
/// strongest, and the cosines of factors, of terms and of embeddings.
pub fn similar_items(view: &View, item: ItemIndex, now: Timestamp, n: usize) -> Vec<SimilarItem> {
    let scorer = view.cooccurrence_scorer(&[item]);
    let mut found: Vec<ItemIndex> = Vec::new();
    let mut top = TopK::new(CANDIDATES);
    let mut strongest = 0.0_f32;
    for (index, score) in scorer.neighbours() {
        strongest = strongest.max(score);
        top.push(score, index);
    }
    found.extend(top.into_sorted_vec().iter().map(|entry| entry.0));
    let mut mask = Mask::new(view.postings.showing.at(now));
    mask.clear(item);
    if let Some(factors) = view.items.factors.row(item) {
        let near = view.items.factors.rows.best(factors, CANDIDATES, mask.words());
        found.extend(near.iter().map(|entry| entry.0));
    }
    let own = Candidate::known(view, item);
    for language in own.terms.languages() {
        let terms = language.terms().iter().copied();
        found.extend(view.inverted.candidates(terms, |other| mask.has(other)));
    }
    found.append(&mut nearest_items(view, item, CANDIDATES, mask.words()));
    found.sort_unstable();
    found.dedup();
    found.retain(|&index| mask.has(index));

    let mut best = TopK::new(n);
    let score = |index: ItemIndex| {
        let together = if strongest > 0.0 { scorer.score(index) / strongest } else { 0.0 };
        let content = own.terms.cosine(Candidate::known(view, index).terms).max(0.0);
        [
            ("cooccurrence", together),
            ("collaborative", factor_cosine(view, item, index)),
            ("content", content),
            ("embedding", embedding_cosine(view, item, index)),
        ]
        .map(|(name, part)| (name, f64::from(part) / 4.0))
    };
    for &index in &found {
        best.push(score(index).iter().map(|part| part.1).sum::<f64>() as f32, index);
    }
    best.into_sorted_vec()
        .into_iter()
        .map(|(index, _)| {
            let components = BTreeMap::from(score(index));
            SimilarItem { index, score: components.values().sum(), components }
        })
        .collect()
}

fn factor_cosine(view: &View, a: ItemIndex, b: ItemIndex) -> f32 {
    let (Some(a), Some(b)) = (view.items.factors.row(a), view.items.factors.row(b)) else {
        return 0.0;
    };
    let norm = (numeric::sum_squares(a) * numeric::sum_squares(b)).sqrt();
    if norm > 0.0 { (numeric::dot(a, b) / norm).max(0.0) } else { 0.0 }
}
