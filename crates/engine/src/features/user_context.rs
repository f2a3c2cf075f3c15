//! Values derived from a user once per change, for all requests until the next change.
//!
//! The taste has two horizons: all that the user had, and the latest positives alone. Where a change of taste was
//! found, what was before keeps little weight, and paths begin after it.

use std::collections::BTreeMap;

use crate::columns::index::ItemIndex;
use crate::consumption::Consumption;
use crate::consumption::OUTGROWN;
use crate::consumption::User;
use crate::domain::Timestamp;
use crate::features::embedding::EmbeddingTaste;
use crate::models::collaborative::Associations;
use crate::models::collaborative::ItemItemScores;
use crate::models::collaborative::RECENT;
use crate::models::collaborative::sequence;
use crate::models::content::Centroid;
use crate::state::View;

/// Newest items that make up the content centroid and the embedding taste.
const TASTE_ITEMS: usize = 200;
/// The weight of each older item, relative to the next newer one.
const TASTE_DECAY: f32 = 0.98;
/// Latest positives that make up the latest taste, the weight of each older one relative to the next newer one, and
/// the mass at which a share of theirs is shrunk to half.
const LATEST_ITEMS: usize = 12;
const LATEST_DECAY: f32 = 0.8;
const LATEST_PRIOR: f32 = 1.0;
/// What each older positive counts of the next newer one: all alike where the order of a history
/// means nothing, the newest above all where it does. What fits is for the hybrid to learn.
pub const TOGETHER_RECENCY: [f32; 3] = [0.9, 0.97, 1.0];
pub const OVERLAP_RECENCY: f32 = 1.0;
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
    /// Scores of items by the weights of the model, from the user's positives.
    pub associated: Associated,
    /// Sessions of all items together.
    pub uses: f32,
    /// Every item the user had, in the order of items.
    seen: Vec<Had>,
    /// Shares of topics in the user's preferences, sorted by topic.
    topic_shares: Vec<(u32, f32)>,
    /// What the latest positives say.
    pub latest: Latest,
}

/// The taste by the latest positives alone, whatever was before.
#[derive(Debug, Clone, Default)]
pub struct Latest {
    pub content: Option<Centroid>,
    /// Shares of topics, sorted by topic.
    topics: Vec<(u32, f32)>,
}

impl Latest {
    fn new(view: &View, user: &User) -> Self {
        let positives = user.history.present_positives().take(LATEST_ITEMS);
        let weights = std::iter::successors(Some(1.0_f32), |weight| Some(weight * LATEST_DECAY));
        let items: Vec<(f32, ItemIndex)> = weights.zip(positives.map(|entry| entry.item)).collect();
        let parts = items.iter().map(|&(weight, item)| (weight, view.items.terms[item].whole()));
        let content = Some(Centroid::new(parts)).filter(|centroid| !centroid.is_empty());
        let mut topics: BTreeMap<u32, f32> = BTreeMap::new();
        let mut total = LATEST_PRIOR;
        for &(weight, item) in &items {
            for &topic in &view.items.entries[item].topics {
                *topics.entry(topic).or_default() += weight;
                total += weight;
            }
        }
        let topics = topics.into_iter().map(|(topic, sum)| (topic, sum / total)).collect();
        Self { content, topics }
    }

    /// Share of a topic.
    pub fn topic_share(&self, topic: u32) -> f32 {
        let found = self.topics.binary_search_by_key(&topic, |entry| entry.0);
        found.map_or(0.0, |position| self.topics[position].1)
    }
}

/// An item that the user had.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Had {
    item: ItemIndex,
    pub times: u16,
    pub last: Timestamp,
    /// Seconds from one time to the next, as a mean; `None` before the second.
    pub interval: Option<f32>,
}

impl Had {
    fn of(entry: &Consumption) -> Self {
        let interval = entry.usual_interval();
        Self { item: entry.item, times: entry.sessions(), last: entry.at(), interval }
    }
}

/// What the weights of items of the model say of items, from all positives of a user.
#[derive(Debug, Clone, Default)]
pub struct Associated {
    /// By the weights of what is consumed together, for each [`TOGETHER_RECENCY`].
    pub together: [ItemItemScores<ItemIndex>; TOGETHER_RECENCY.len()],
    pub sequence: ItemItemScores<ItemIndex>,
    pub overlap: ItemItemScores<ItemIndex>,
}

impl Associated {
    fn new(view: &View, user: &User) -> Self {
        let path = || user.history.present_positives().map(|entry| entry.item);
        let Associations { together, sequence, overlap } = &view.associations;
        let [sequence] = sequence.scores(path(), [sequence::RECENCY]);
        let [overlap] = overlap.scores(path(), [OVERLAP_RECENCY]);
        Self { together: together.scores(path(), TOGETHER_RECENCY), sequence, overlap }
    }
}

impl UserContext {
    /// Derives everything from the user's history: about 200 us for a long one. Nothing of a user
    /// who is not profiled.
    pub fn new(view: &View, user: Option<&User>) -> Self {
        let uses = |user: &&User| user.is_profiled() && !user.history.is_empty();
        let Some(user) = user.filter(uses) else {
            return Self::default();
        };
        let recent =
            user.history.present_positives().take(RECENT).map(|entry| entry.item).collect();
        let mut weight = 1.0;
        let mut had: Vec<(f32, ItemIndex)> = Vec::new();
        for entry in user.history.entries().iter().rev().take(TASTE_ITEMS) {
            let left = if user.history.is_outgrown(entry) { OUTGROWN } else { 1.0 };
            let sign = left * entry.net().clamp(-0.5, 1.0);
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
        let mut seen: Vec<Had> = had.map(Had::of).collect();
        seen.sort_unstable_by_key(|had| had.item);
        let uses = seen.iter().map(|had| f32::from(had.times)).sum();
        let latest = Latest::new(view, user);
        let topic_shares = user.topics.shares(view.profile_time(user), SHARE_PRIOR);
        let associated = Associated::new(view, user);
        let factors = view.fold_in(user);
        Self {
            factors,
            taste,
            embedding_taste,
            recent,
            positives,
            associated,
            uses,
            seen,
            topic_shares,
            latest,
        }
    }

    /// How often the user had an item; 0 when never.
    pub fn times_seen(&self, item: ItemIndex) -> u16 {
        self.seen(item).map_or(0, |had| had.times)
    }

    /// What the user had of an item; `None` when never.
    pub fn seen(&self, item: ItemIndex) -> Option<&Had> {
        let position = self.seen.binary_search_by_key(&item, |had| had.item).ok()?;
        Some(&self.seen[position])
    }

    /// Share of a topic in the user's preferences, signed.
    pub fn topic_share(&self, topic: u32) -> f32 {
        let found = self.topic_shares.binary_search_by_key(&topic, |entry| entry.0);
        found.map_or(0.0, |position| self.topic_shares[position].1)
    }
}
