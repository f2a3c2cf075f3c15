//! The embedding of each item.
//!
//! - Two spaces: that of the embeddings that items carry themselves, and the latent one
//!   fitted to their terms. An item is in one of them, its own where it carries an
//!   embedding. Embeddings of different spaces are never compared.
//! - Rows have length 1; a row of zeros means that the item has no embedding.
//! - Derived from items, terms and model, so not in a snapshot.

use crate::columns::index::ItemIndex;
use crate::models::content::latent::Latent;
use crate::models::content::latent::unit;
use crate::models::content::vector::SparseVector;
use crate::models::factors::ItemFactors;

/// The space of an embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddingSpace {
    /// The embeddings that items carry.
    Own,
    /// The projection of their terms.
    Latent,
}

/// The embedding of an item that carries `own` and has `terms`. An own embedding that is not
/// `dimension` long is from earlier settings and is ignored.
pub fn embed(
    own: &[f32],
    dimension: usize,
    terms: &SparseVector,
    latent: Option<&Latent>,
) -> Option<(EmbeddingSpace, Vec<f32>)> {
    let own = if own.len() == dimension { unit(own) } else { None };
    let projected = || latent.and_then(|latent| latent.project(terms));
    own.map(|row| (EmbeddingSpace::Own, row))
        .or_else(|| projected().map(|row| (EmbeddingSpace::Latent, row)))
}

/// The embeddings of all items; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Embeddings {
    own: ItemFactors,
    latent: ItemFactors,
}

impl Embeddings {
    /// No item has an embedding yet.
    pub fn new(dimension: usize, rank: usize) -> Self {
        Self {
            own: ItemFactors::new(dimension.max(1), &[]),
            latent: ItemFactors::new(rank.max(1), &[]),
        }
    }

    pub fn set(&mut self, item: ItemIndex, position: Option<(EmbeddingSpace, Vec<f32>)>) {
        for space in [EmbeddingSpace::Own, EmbeddingSpace::Latent] {
            let rows = match space {
                EmbeddingSpace::Own => &mut self.own,
                EmbeddingSpace::Latent => &mut self.latent,
            };
            match &position {
                Some((its, row)) if *its == space => rows.set_row(item, row),
                _ if rows.row(item).is_some() => rows.set_row(item, &vec![0.0; rows.k()]),
                _ => {}
            }
        }
    }

    pub fn row(&self, item: ItemIndex) -> Option<(EmbeddingSpace, &[f32])> {
        let own = self.own.row(item).map(|row| (EmbeddingSpace::Own, row));
        own.or_else(|| self.latent.row(item).map(|row| (EmbeddingSpace::Latent, row)))
    }

    /// All rows of a space; row `i` is item `i`.
    pub fn of(&self, space: EmbeddingSpace) -> &ItemFactors {
        match space {
            EmbeddingSpace::Own => &self.own,
            EmbeddingSpace::Latent => &self.latent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_in_one_space_at_a_time() {
        let mut embeddings = Embeddings::new(2, 3);
        let [four, nine] = [4, 9].map(ItemIndex::new);
        embeddings.set(four, Some((EmbeddingSpace::Latent, vec![1.0, 0.0, 0.0])));
        assert_eq!(embeddings.row(four), Some((EmbeddingSpace::Latent, &[1.0, 0.0, 0.0][..])));
        embeddings.set(four, Some((EmbeddingSpace::Own, vec![0.6, 0.8])));
        assert_eq!(embeddings.row(four), Some((EmbeddingSpace::Own, &[0.6, 0.8][..])));
        assert_eq!(embeddings.of(EmbeddingSpace::Latent).row(four), None);
        embeddings.set(four, None);
        assert_eq!((embeddings.row(four), embeddings.row(nine)), (None, None));
    }

    #[test]
    fn an_embedding_counts_when_it_has_a_direction_and_the_right_length() {
        let terms = SparseVector::default();
        let of = |own: &[f32]| embed(own, 2, &terms, None);
        assert_eq!(of(&[3.0, 4.0]), Some((EmbeddingSpace::Own, vec![0.6, 0.8])));
        assert_eq!((of(&[0.0, 0.0]), of(&[1.0]), of(&[])), (None, None, None));
    }
}
