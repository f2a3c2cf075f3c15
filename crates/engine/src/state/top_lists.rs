//! The heads of the orders by popularity and trend, as values: what the last scan found, the items
//! touched since, and what the requests on a view share. [`super::leading`] keeps them.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::OnceLock;

use roaring::RoaringBitmap;

use crate::bandit::Belief;
use crate::bandit::SEGMENTS;
use crate::columns::index::ItemIndex;
use crate::domain::Settings;
use crate::models::cold_start::Memory;
use crate::models::decay::DecayTime;

/// Values that the requests on a view share, made on first use.
#[derive(Debug, Default)]
pub struct TopLists {
    pub(super) request_settings: OnceLock<Settings>,
    pub(super) popular: OnceLock<TopList>,
    pub(super) trending: OnceLock<TopList>,
    pub(crate) belief: OnceLock<Belief>,
    pub(crate) segment_beliefs: [OnceLock<Belief>; SEGMENTS],
}

/// The head of an order of items.
#[derive(Debug, Clone, Default)]
pub struct TopList {
    /// The best first.
    pub items: Vec<ItemIndex>,
    /// Whether all items with evidence are in it.
    pub is_complete: bool,
}

/// What items are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    Popularity,
    Trend,
}

/// The basis of an order. Only values of the same epoch compare.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Epoch {
    pub(super) memories: [Memory; 2],
    pub(super) landmarks: [DecayTime; 2],
}

/// The head of an order at the last scan.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    /// Value and item, the best first; values are above 0.
    pub(super) items: Arc<Vec<(f32, ItemIndex)>>,
    pub(super) is_complete: bool,
}

/// The leaders of the catalogue at the last scan, and the items touched since.
#[derive(Debug, Clone, Default)]
pub struct Leaders {
    pub(super) popular: Head,
    pub(super) trending: Head,
    pub(super) touched: Arc<RoaringBitmap>,
    pub(super) epoch: Epoch,
}

impl Leaders {
    /// Notes that an item's evidence changed, or that it entered or left the catalogue.
    pub fn touch(&mut self, item: ItemIndex) {
        Arc::make_mut(&mut self.touched).insert(item.get());
    }

    pub(super) fn head(&self, evidence: Evidence) -> &Head {
        match evidence {
            Evidence::Popularity => &self.popular,
            Evidence::Trend => &self.trending,
        }
    }
}

/// Keeps the `n` best of many, with few calls of the order. Values of 0 and below are left out.
#[derive(Debug)]
pub struct Best {
    n: usize,
    items: Vec<(f32, ItemIndex)>,
    /// The least value that may still enter.
    threshold: f32,
    overflowed: bool,
}

impl Best {
    pub fn new(n: usize) -> Self {
        Self { n, items: Vec::new(), threshold: 0.0, overflowed: n == 0 }
    }

    /// Whether an item of this value may enter.
    pub fn admits(&self, value: f32) -> bool {
        value > 0.0 && value >= self.threshold && self.n > 0
    }

    pub fn push(
        &mut self,
        value: f32,
        item: ItemIndex,
        order: impl Fn(&(f32, ItemIndex), &(f32, ItemIndex)) -> Ordering,
    ) {
        if !self.admits(value) {
            return;
        }
        self.items.push((value, item));
        if self.items.len() >= 2 * self.n {
            let (_, worst, _) = self.items.select_nth_unstable_by(self.n - 1, order);
            self.threshold = worst.0;
            self.items.truncate(self.n);
            self.overflowed = true;
        }
    }

    /// Whether no value above 0 is left out.
    pub fn has_all(&self) -> bool {
        !self.overflowed && self.items.len() <= self.n
    }

    /// The best first.
    pub fn sorted(
        mut self,
        order: impl Fn(&(f32, ItemIndex), &(f32, ItemIndex)) -> Ordering,
    ) -> Vec<(f32, ItemIndex)> {
        self.items.sort_unstable_by(order);
        self.items.truncate(self.n);
        self.items
    }
}
