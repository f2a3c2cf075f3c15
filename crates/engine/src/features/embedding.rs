//! The taste of a user as one direction in each space of content embeddings.
//!
//! An item is compared only with the direction of its own space.

use std::borrow::Cow;

use crate::columns::index::ItemIndex;
use crate::features::candidate::Candidate;
use crate::models::content::EmbeddingSpace;
use crate::numeric;
use crate::state::View;

/// Weighted sums of the embeddings of a user's items, scaled to length 1; empty when there are
/// none. Newer items weigh more, disliked ones are negative.
#[derive(Debug, Clone, Default)]
pub struct EmbeddingTaste {
    own: Vec<f32>,
    latent: Vec<f32>,
}

impl EmbeddingTaste {
    /// From signed weights of items, in this order.
    pub fn new(view: &View, items: &[(f32, ItemIndex)]) -> Self {
        let mut taste = Self::default();
        for &(weight, item) in items {
            if let Some((space, row)) = view.items.embeddings.row(item) {
                let sum = taste.of_mut(space);
                sum.resize(row.len(), 0.0);
                numeric::axpy(weight, row, sum);
            }
        }
        for sum in [&mut taste.own, &mut taste.latent] {
            let norm = numeric::sum_squares(sum).sqrt();
            if norm.is_finite() && norm > 0.0 {
                sum.iter_mut().for_each(|value| *value /= norm);
            } else {
                sum.clear();
            }
        }
        taste
    }

    /// Cosine with the item, -1 to 1; 0 when either has no embedding in the item's space.
    pub fn score(&self, view: &View, candidate: &Candidate<'_>) -> f32 {
        if self.own.is_empty() && self.latent.is_empty() {
            return 0.0;
        }
        embedding(view, candidate).map_or(0.0, |(space, row)| {
            let taste = self.of(space);
            // The context may be of an earlier model, with another space.
            let alike = taste.len() == row.len();
            if alike { numeric::dot(taste, &row).clamp(-1.0, 1.0) } else { 0.0 }
        })
    }

    /// The `n` items nearest in each space with a positive cosine, of those whose bit is set in
    /// `eligible`: bit `i % 64` of word `i / 64` for item `i`.
    pub fn nearest(&self, view: &View, n: usize, eligible: &[u64]) -> Vec<ItemIndex> {
        let mut found = Vec::new();
        for space in [EmbeddingSpace::Own, EmbeddingSpace::Latent] {
            let (taste, rows) = (self.of(space), view.items.embeddings.of(space));
            if taste.is_empty() || taste.len() != rows.k() {
                continue;
            }
            let near = rows.best(taste, n, eligible);
            found.extend(near.iter().filter(|entry| entry.1 > 0.0).map(|entry| entry.0));
        }
        found
    }

    fn of(&self, space: EmbeddingSpace) -> &[f32] {
        match space {
            EmbeddingSpace::Own => &self.own,
            EmbeddingSpace::Latent => &self.latent,
        }
    }

    fn of_mut(&mut self, space: EmbeddingSpace) -> &mut Vec<f32> {
        match space {
            EmbeddingSpace::Own => &mut self.own,
            EmbeddingSpace::Latent => &mut self.latent,
        }
    }
}

/// Cosine of two items of one space, 0 to 1; 0 across spaces.
pub fn embedding_cosine(view: &View, a: ItemIndex, b: ItemIndex) -> f32 {
    match (view.items.embeddings.row(a), view.items.embeddings.row(b)) {
        (Some((space, a)), Some((other, b))) if space == other => {
            numeric::dot(a, b).clamp(0.0, 1.0)
        }
        _ => 0.0,
    }
}

/// The items nearest to `item` in its space, of those whose bit is set in `eligible`.
pub fn nearest_items(view: &View, item: ItemIndex, n: usize, eligible: &[u64]) -> Vec<ItemIndex> {
    let Some((space, row)) = view.items.embeddings.row(item) else {
        return Vec::new();
    };
    let near = view.items.embeddings.of(space).best(row, n, eligible);
    near.iter().map(|entry| entry.0).collect()
}

/// The embedding of a candidate: stored, or computed for one that only the request has.
fn embedding<'a>(
    view: &'a View,
    candidate: &Candidate<'_>,
) -> Option<(EmbeddingSpace, Cow<'a, [f32]>)> {
    let known = candidate.index.and_then(|index| view.items.embeddings.row(index));
    known.map(|(space, row)| (space, Cow::Borrowed(row))).or_else(|| {
        let (space, row) = view.embed(candidate.entry, candidate.terms)?;
        Some((space, Cow::Owned(row)))
    })
}
