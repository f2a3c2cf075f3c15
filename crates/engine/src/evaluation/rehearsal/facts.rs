//! What figures need of a list: its items, with topics, sources and expected rewards.

use std::collections::BTreeMap;

use crate::columns::index::ItemIndex;
use crate::columns::interner::name_key;
use crate::domain::Timestamp;
use crate::features::Candidate;
use crate::features::FeatureMask;
use crate::numeric::TopK;
use crate::ranking::RankRequest;
use crate::ranking::mean_similarity;
use crate::ranking::score_candidates;
use crate::state::View;

/// One in so many items of the catalogue is popular.
const POPULAR_ONE_IN: usize = 10;
/// Topics, and sources, that are told apart: a catalogue rarely has more.
const NAMES: usize = 20_000;

/// The number of what has no topic, or no source.
pub const NONE: u32 = 0;
/// The number of all names beyond [`NAMES`].
pub const OTHERS: u32 = 1;

/// Numbers of names, from 2 on.
#[derive(Debug, Default)]
pub struct Names {
    numbers: BTreeMap<Box<str>, u32>,
    names: Vec<Box<str>>,
}

impl Names {
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        if self.names.len() == NAMES {
            return OTHERS;
        }
        let number = OTHERS + 1 + self.names.len() as u32;
        self.numbers.insert(name.into(), number);
        self.names.push(name.into());
        number
    }

    /// `None`: it is of no single name.
    pub fn name(&self, number: u32) -> Option<&str> {
        let at = number.checked_sub(OTHERS + 1)?;
        self.names.get(at as usize).map(AsRef::as_ref)
    }
}

/// An item of a list.
#[derive(Debug, Clone)]
pub struct ItemFacts {
    pub key: u64,
    /// What the ranker expects of it.
    pub reward: f64,
    /// Each once; at least one.
    pub topics: Vec<u32>,
    pub source: u32,
    pub is_in_catalogue: bool,
    pub is_new: bool,
    pub is_popular: bool,
}

impl ItemFacts {
    /// Its topics, if it has any.
    pub fn named_topics(&self) -> impl Iterator<Item = u32> + use<'_> {
        self.topics.iter().copied().filter(|topic| *topic != NONE)
    }
}

/// A list that was worked out.
#[derive(Debug, Clone, Default)]
pub struct ListFacts {
    pub(super) items: Vec<ItemFacts>,
    /// The mean similarity of its pairs; `None` of fewer than two items.
    pub(super) similarity: Option<f64>,
}

/// What is known of the items of lists on one view.
#[derive(Debug)]
pub struct Facts<'v> {
    view: &'v View,
    now: Timestamp,
    /// The most popular items of the catalogue, in rising order.
    popular: Vec<ItemIndex>,
    pub(super) topics: Names,
    pub(super) sources: Names,
}

impl<'v> Facts<'v> {
    pub fn new(view: &'v View, now: Timestamp) -> Self {
        let popular = popular(view);
        Self { view, now, popular, topics: Names::default(), sources: Names::default() }
    }

    /// Items in the catalogue.
    pub(super) fn catalogue(&self) -> u64 {
        self.view.counts().catalogue
    }

    /// Those of a list, in its order. Rewards are those that the shared ranker expects with all
    /// features, whatever ranked the list: so two lists compare.
    pub fn of(&mut self, request: &RankRequest<'_>, shown: &[Candidate<'_>]) -> ListFacts {
        let RankRequest { user, context, request_context, .. } = request;
        let mask = FeatureMask::ALL;
        let rewards = score_candidates(self.view, *user, context, request_context, shown, mask);
        let items =
            shown.iter().zip(rewards).map(|(candidate, reward)| self.item(candidate, reward));
        ListFacts { items: items.collect(), similarity: mean_similarity(shown) }
    }

    fn item(&mut self, candidate: &Candidate<'_>, reward: f64) -> ItemFacts {
        let item = candidate.entry.item.as_deref();
        let kept = candidate.index.map(|index| (index, self.view.entry(index)));
        let kept = kept.filter(|(_, entry)| entry.item.is_some());
        let labels = item.into_iter().flat_map(|item| &item.topics);
        let mut topics: Vec<u32> = labels.map(|topic| self.topics.number(topic)).collect();
        topics.sort_unstable();
        topics.dedup();
        if topics.is_empty() {
            topics.push(NONE);
        }
        let source = item.and_then(|item| item.source.as_ref());
        ItemFacts {
            key: item.map_or(0, |item| name_key(item.item_id.as_str())),
            reward,
            topics,
            source: source.map_or(NONE, |source| self.sources.number(source)),
            is_in_catalogue: kept.is_some(),
            is_new: kept.is_some_and(|(_, entry)| entry.is_new(self.now)),
            is_popular: kept.is_some_and(|(index, _)| self.popular.binary_search(&index).is_ok()),
        }
    }
}

/// The most popular tenth of the catalogue, as far as anyone had its items.
fn popular(view: &View) -> Vec<ItemIndex> {
    let scales = view.popularity_scales();
    let count = (view.counts().catalogue as usize).div_ceil(POPULAR_ONE_IN);
    let mut best = TopK::new(count);
    for index in view.item_indices().filter(|&index| view.entry(index).item.is_some()) {
        let popularity = scales.popularity(&view.items.popularity.items[index]);
        if popularity > 0.0 {
            best.push(popularity, index);
        }
    }
    let mut popular: Vec<ItemIndex> = best.into_sorted_vec().into_iter().map(|one| one.0).collect();
    popular.sort_unstable();
    popular
}
