//! Candidates from the whole catalogue, by several sources.
//!
//! - Sources: factors, co-occurrence, item-item weights, content, embeddings, cohorts, the
//!   location, attributes of the context, popular, trending, fresh and new items, boosted ones, and a few drawn evenly.
//! - Every source searches the items that the request allows ([`super::mask`]) and checks each
//!   result with the filter. So the most popular of the allowed items are always found, however few
//!   there are. Only catalogue items are candidates.
//! - When the sources give fewer candidates than are needed, more follow by popularity, then by
//!   age, until there are enough or no more.
//! - Checkpoints ([`GiveUp`]) are between sources and every few hundred checks of the filter.

mod fill;
mod source;
mod sources;
mod trace;

use self::sources::Search;
use crate::columns::aliases::UserKey;
use crate::columns::index::ItemIndex;
use crate::consumption::User;
use crate::domain::Timestamp;
use crate::features::Candidate;
use crate::features::UserContext;
use crate::give_up::Cancelled;
use crate::give_up::GiveUp;
use crate::models::contexts::RequestValues;
use crate::retrieval::boost::Boost;
use crate::retrieval::eligibility::Eligibility;
use crate::state::View;

pub use self::source::Source as CandidateSource;
pub use self::trace::SourceTrace;

/// Most items of a list with one topic and with one source; 0: any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    pub per_topic: u32,
    pub per_source: u32,
}

impl Caps {
    pub const NONE: Self = Self { per_topic: 0, per_source: 0 };

    fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// The least that a list needs.
#[derive(Debug, Clone, Copy)]
pub struct Supply<'a> {
    /// Candidates needed where the catalogue has them.
    pub needed: usize,
    /// Positions of the list.
    pub positions: usize,
    /// Absolute caps, which must leave enough to fill the list.
    pub caps: Caps,
    /// The shares of topics and sources as caps: candidates that keep them fill the list if the
    /// catalogue has them.
    pub shares: Caps,
    /// Items on earlier pages of the list, which count against the caps.
    pub above: &'a [Candidate<'a>],
    /// Targets of boosts that raise scores become candidates.
    pub boosts: &'a [Boost],
}

impl Supply<'_> {
    /// For no list: only what the sources give.
    const NONE: Self = Self {
        needed: 0,
        positions: 0,
        caps: Caps::NONE,
        shares: Caps::NONE,
        above: &[],
        boosts: &[],
    };
}

/// The key under which the random candidates of a user are drawn. It changes with the hour, so
/// candidates depend on the state, the user and the time alone. A propensity takes them as given:
/// a key by decision would be a second draw, which it does not count.
pub fn draw_key(user: UserKey, now: Timestamp) -> Vec<u8> {
    let hour = now.as_millis().div_euclid(Timestamp::HOUR_MS);
    [user.get().to_le_bytes(), hour.to_le_bytes()].concat()
}

/// A search of the catalogue for one user.
#[derive(Debug)]
pub struct Retrieval<'a> {
    pub view: &'a View,
    pub user: Option<&'a User>,
    pub context: &'a UserContext,
    pub eligible: &'a Eligibility<'a>,
    /// What is known of the location and the attributes of the request.
    pub values: RequestValues,
    /// The time of the request.
    pub now: Timestamp,
    /// The key of the random draws: see [`draw_key`].
    pub seed_key: &'a [u8],
    pub give_up: &'a GiveUp<'a>,
}

impl Retrieval<'_> {
    /// Distinct indices of allowed catalogue items in rising order, as many as are needed if the
    /// catalogue has them, or more. The most popular of the allowed are among them.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn run(&self, supply: &Supply<'_>) -> Result<Vec<ItemIndex>, Cancelled> {
        let mut search = Search::new(self)?;
        let personal = search.personal()?;
        search.complete(personal, supply)
    }

    /// Allowed items of the personal sources: the costly part. Apart from the newest items, it
    /// depends only on the user, the model and the filter.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn personal(&self) -> Result<Vec<ItemIndex>, Cancelled> {
        Search::new(self)?.personal()
    }

    /// The result of `run`, given an earlier or current result of `personal`. Items that are no
    /// longer there or allowed are left out.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn complete(
        &self,
        personal: Vec<ItemIndex>,
        supply: &Supply<'_>,
    ) -> Result<Vec<ItemIndex>, Cancelled> {
        Search::new(self)?.complete(personal, supply)
    }
}

#[cfg(test)]
mod tests;
