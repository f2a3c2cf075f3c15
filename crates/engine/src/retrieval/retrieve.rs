//! Candidates from the whole catalogue, by several sources that each see another side of a user
//! and an item.
//!
//! - Sources: factors, co-occurrence, item-item weights, content, embeddings, cohorts, the
//!   location, popular, trending, fresh and new items, boosted ones, and a few drawn evenly.
//! - Every source looks among the items that the request allows ([`Mask`]) and asks the filter
//!   about each item it gives. So the most popular of the allowed items are always found,
//!   however few there are; and only the catalogue counts, never what only events know.
//! - When the sources give fewer candidates than are needed, more follow by popularity, then by
//!   age, until there are enough or no more.
//! - Whoever does not wait any more is asked about between sources and every few hundred items
//!   that the filter is asked about.

mod fill;
mod sources;
mod trace;

use self::sources::Search;
use crate::consumption::User;
use crate::domain::Timestamp;
use crate::features::UserContext;
use crate::give_up::Cancelled;
use crate::give_up::GiveUp;
use crate::retrieval::boost::Boost;
use crate::retrieval::eligibility::Eligibility;
use crate::state::View;

pub use self::trace::SourceTrace;

/// How much a list needs at least.
#[derive(Debug, Clone, Copy)]
pub struct Supply<'a> {
    /// Candidates needed where the catalogue has them.
    pub wanted: usize,
    /// Positions of the list.
    pub positions: usize,
    /// Absolute caps, which must leave enough to fill the list; 0: none.
    pub max_per_topic: u32,
    pub max_per_source: u32,
    /// Items that raising boosts are about come along.
    pub boosts: &'a [Boost],
}

impl Supply<'_> {
    /// Of no list: what the sources give by themselves.
    const NONE: Self =
        Self { wanted: 0, positions: 0, max_per_topic: 0, max_per_source: 0, boosts: &[] };
}

/// A search of the catalogue for one user.
#[derive(Debug)]
pub struct Retrieval<'a> {
    pub view: &'a View,
    pub user: Option<&'a User>,
    pub context: &'a UserContext,
    pub eligible: &'a Eligibility<'a>,
    /// Where the user is.
    pub location: Option<u32>,
    /// The moment of the request.
    pub now: Timestamp,
    /// Names the draw of the items to explore.
    pub seed_key: &'a [u8],
    pub give_up: &'a GiveUp<'a>,
}

impl Retrieval<'_> {
    /// Distinct indices of allowed catalogue items in rising order, at least as many as are
    /// needed where the catalogue has them; the most popular of the allowed are among them.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn run(&self, supply: &Supply<'_>) -> Result<Vec<u32>, Cancelled> {
        let mut search = Search::new(self)?;
        let personal = search.personal()?;
        search.complete(personal, supply)
    }

    /// Allowed items that suit the user: the costly part, and a function of the user, the model
    /// and the filter but for what is newest.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn personal(&self) -> Result<Vec<u32>, Cancelled> {
        Search::new(self)?.personal()
    }

    /// What `run` answers, given what `personal` found, now or a while ago: what is not there or
    /// not allowed any more is left out.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn complete(&self, personal: Vec<u32>, supply: &Supply<'_>) -> Result<Vec<u32>, Cancelled> {
        Search::new(self)?.complete(personal, supply)
    }
}

#[cfg(test)]
mod tests;
