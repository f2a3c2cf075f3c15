//! Why a retrieval did or did not find an item: source by source, with the lists that the
//! retrieval itself uses.

use crate::columns::index::ItemIndex;
use crate::features::Candidate;
use crate::give_up::Cancelled;
use crate::numeric;
use crate::retrieval::retrieve::Retrieval;
use crate::retrieval::retrieve::Supply;
use crate::retrieval::retrieve::source::Source;
use crate::retrieval::retrieve::sources::Search;

/// The result of one source for one item.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceTrace {
    pub source: Source,
    /// Items it gave.
    pub given: usize,
    /// Position of the item among them, from 0; `None` when it is not.
    pub position: Option<usize>,
    /// The item's score there and that of the last item given, if the source has scores.
    pub score: Option<f64>,
    pub cut: Option<f64>,
}

impl Retrieval<'_> {
    /// The result of each source for an item that the filter allows.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn trace(
        &self,
        item: ItemIndex,
        supply: &Supply<'_>,
    ) -> Result<Vec<SourceTrace>, Cancelled> {
        let mut search = Search::new(self)?;
        let trace = |source: Source| {
            let found = search.found_by(source, supply)?;
            Ok(SourceTrace {
                source,
                given: found.len(),
                position: found.iter().position(|&index| index == item),
                score: self.score(source, item),
                cut: found.last().and_then(|&last| self.score(source, last)),
            })
        };
        Source::PERSONAL.into_iter().chain(Source::SHARED).map(trace).collect()
    }

    /// The score by which a source orders items; `None` when the source has no scores or knows
    /// nothing of the user.
    fn score(&self, source: Source, item: ItemIndex) -> Option<f64> {
        let (view, context) = (self.view, self.context);
        match source {
            Source::Factors => {
                let (user, item) = (context.factors.as_ref()?, view.items.factors.row(item)?);
                Some(f64::from(numeric::dot(user, item)))
            }
            Source::Cooccurrence if !context.recent.is_empty() => {
                Some(f64::from(view.cooccurrence_scorer(&context.recent).score(item)))
            }
            Source::ItemItem | Source::Sequence | Source::Overlap => {
                let scores = source.associations(&context.associated).first()?.entries();
                let position = scores.binary_search_by_key(&item, |score| score.0).ok()?;
                Some(f64::from(scores[position].1))
            }
            Source::Content => {
                let taste = context.taste.as_ref()?;
                Some(f64::from(taste.score_best(&view.items.terms[item])))
            }
            Source::Embedding => {
                let candidate = Candidate::known(view, item);
                Some(f64::from(context.embedding_taste.score(view, &candidate)))
            }
            _ => None,
        }
    }
}
