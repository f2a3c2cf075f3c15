//! Values derived from a user once per change, for all requests until the next change.

use crate::columns::index::ItemIndex;
use crate::consumption::User;
use crate::domain::Timestamp;
use crate::features::embedding::EmbeddingTaste;
use crate::models::collaborative::ItemItemScores;
use crate::models::collaborative::RECENT;
use crate::models::content::Centroid;
use crate::state::View;

/// Newest items that make up the content centroid and the embedding taste.
const TASTE_ITEMS: usize = 200;
/// The weight of each older item, relative to the next newer one.
const TASTE_DECAY: f32 = 0.98;
/// Mass at which a profile's share is shrunk to half.
pub(super) const SHARE_PRIOR: f32 = 3.0;

/// Factors, content taste, history and preferences of a user.
#[derive(Debug, Clone, Default)]
pub struct UserContext {
    /// Fold-in against the current item factors.
    pub factors: Option<Vec<f32>>,
    pub taste: Option<Centroid>,
    pub embedding_taste: EmbeddingTaste,
    /// The items of the latest positives, the newest first.
    pub recent: Vec<ItemIndex>,
    pub positives: u32,
    /// Scores of other items by the user's positives.
    pub item_item: ItemItemScores<ItemIndex>,
    /// Every item the user had, sorted, with the number of times and the last time.
    seen: Vec<(ItemIndex, u16, Timestamp)>,
    /// Shares of topics in the user's preferences, sorted by topic.
    topic_shares: Vec<(u32, f32)>,
}

impl UserContext {
    /// Derives everything from the user's history: about 200 us for a long one. Nothing of a user
    /// who is not profiled.
    pub fn new(view: &View, user: Option<&User>) -> Self {
        let uses = |user: &&User| user.is_profiled() && !user.history.is_empty();
        let Some(user) = user.filter(uses) else {
            return Self::default();
        };
        let recent = user.history.positives().take(RECENT).map(|entry| entry.item).collect();
        let mut weight = 1.0;
        let mut had: Vec<(f32, ItemIndex)> = Vec::new();
        for entry in user.history.entries().iter().rev().take(TASTE_ITEMS) {
            let sign = entry.net().clamp(-0.5, 1.0);
            if sign != 0.0 {
                had.push((weight * sign, entry.item));
                weight *= TASTE_DECAY;
            }
        }
        let embedding_taste = EmbeddingTaste::new(view, &had);
        let parts = had.iter().map(|&(weight, item)| (weight, view.items.terms[item].whole()));
        let taste = Some(Centroid::new(parts)).filter(|centroid| !centroid.is_empty());
        let positives = user.history.positives().count() as u32;
        let had = user.history.entries().iter();
        let mut seen: Vec<_> =
            had.map(|entry| (entry.item, entry.sessions(), entry.at())).collect();
        seen.sort_unstable();
        let topic_shares = user.topics.shares(view.profile_time(user), SHARE_PRIOR);
        let path = user.history.positives().map(|entry| entry.item);
        let item_item = view.item_item.scores(path);
        let factors = view.fold_in(user);
        Self { factors, taste, embedding_taste, recent, positives, item_item, seen, topic_shares }
    }

    /// How often the user had an item; 0 when never.
    pub fn times_seen(&self, item: ItemIndex) -> u16 {
        self.seen(item).map_or(0, |(times, _)| times)
    }

    /// How often the user had an item, and when last; `None` when never.
    pub fn seen(&self, item: ItemIndex) -> Option<(u16, Timestamp)> {
        let position = self.seen.binary_search_by_key(&item, |entry| entry.0).ok()?;
        let (_, times, last) = self.seen[position];
        Some((times, last))
    }

    /// Share of a topic in the user's preferences, signed.
    pub fn topic_share(&self, topic: u32) -> f32 {
        let found = self.topic_shares.binary_search_by_key(&topic, |entry| entry.0);
        found.map_or(0.0, |position| self.topic_shares[position].1)
    }
}
