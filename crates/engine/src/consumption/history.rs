//! A user's consumptions in the order in which their latest sessions ended, the newest last.
//!
//! - One entry per item. Entries of equal time are in the order of the log.
//! - An index by item finds an entry in `O(log n)`; an event moves at most one entry.
//! - An entry marks the item as seen, is a training example of the matrix factorization and a
//!   step of the recent path.
//! - Bounded: [`HISTORY_BYTES`] a user, entries and index. Beyond that, of the 64 oldest entries
//!   the one with the least evidence is forgotten. Hidden items are kept as long as they are no
//!   more than three quarters of the history.

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error;

use crate::columns::index::ItemIndex;
use crate::consumption::folding::Change;
use crate::consumption::folding::Consumption;
use crate::consumption::folding::Evidence;
use crate::consumption::folding::seconds;
use crate::domain::Timestamp;

/// Bytes of a history at most.
const HISTORY_BYTES: usize = 64 << 10;
/// Entries of a history at most: 1,724, more distinct items than nearly every user consumes.
pub const HISTORY_MAX: usize = HISTORY_BYTES / (size_of::<Consumption>() + size_of::<u16>());
/// The oldest entries among which the weakest is forgotten.
const WEAKEST_OF: usize = 64;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// By the end of the latest session.
    entries: Vec<Consumption>,
    /// Positions in `entries`, by item. Derived.
    by_item: Vec<u16>,
    /// Until when what was consumed is of another taste, in seconds since 1970; 0 if the taste never changed.
    turned_at: u32,
}

impl History {
    /// The entry of an item after one more event, and the change. The history itself changes in
    /// [`Self::put`].
    pub fn folded(
        &self,
        item: ItemIndex,
        event: &Evidence,
        gap_seconds: u32,
    ) -> (Consumption, Change) {
        match self.find(item) {
            Some(known) => known.folded(event, gap_seconds),
            None => Consumption::begun(item, event, gap_seconds),
        }
    }

    /// Takes in what [`Self::folded`] gave.
    pub fn put(&mut self, consumption: Consumption) {
        match self.position(consumption.item) {
            Ok(found) => self.replace(found, consumption),
            Err(_) => self.insert(consumption),
        }
    }

    /// The history of both, of two users who turn out to be one. What is beyond the bounds is
    /// forgotten as with any new entry. Those of equal time are in the order of items.
    #[must_use]
    pub fn merged_with(&self, other: &Self, gap_seconds: u32) -> Self {
        let of_both = |entry: &Consumption| match self.find(entry.item) {
            Some(own) => own.merged_with(entry, gap_seconds),
            None => *entry,
        };
        let own = self.entries.iter().filter(|entry| other.find(entry.item).is_none());
        let mut entries: Vec<Consumption> = other.entries.iter().map(of_both).collect();
        entries.extend(own);
        entries.sort_by_key(|entry| (entry.end_seconds(), entry.item));
        let by_item = index(&entries);
        let turned_at = self.turned_at.max(other.turned_at);
        let mut merged = Self { entries, by_item, turned_at };
        while merged.entries.len() > HISTORY_MAX {
            merged.forget_one();
        }
        merged.entries.shrink_to_fit();
        merged.by_item.shrink_to_fit();
        merged
    }

    /// All entries, the latest last.
    pub fn entries(&self) -> &[Consumption] {
        &self.entries
    }

    pub fn find(&self, item: ItemIndex) -> Option<&Consumption> {
        let found = self.position(item).ok()?;
        Some(&self.entries[usize::from(self.by_item[found])])
    }

    /// As it was before the newest `positives` positives: neither they nor anything after the
    /// oldest of them has happened. Of items that were used before, the sessions until then stay.
    #[must_use]
    pub fn without_newest(&self, positives: usize) -> Self {
        if positives == 0 {
            return self.clone();
        }
        let found = self.entries.iter().enumerate().rev().filter(|(_, entry)| entry.net() > 0.0);
        let kept = found.map(|(position, _)| position).nth(positives - 1).unwrap_or(0);
        let (before, after) = self.entries.split_at(kept);
        let until = after.first().map_or(u32::MAX, Consumption::end_seconds);
        let earlier = after.iter().filter_map(Consumption::without_latest_session);
        let mut entries: Vec<Consumption> = before.to_vec();
        entries.extend(earlier.filter(|entry| entry.end_seconds() < until));
        entries.sort_by_key(Consumption::end_seconds);
        let by_item = index(&entries);
        Self { entries, by_item, turned_at: self.turned_at }
    }

    /// What ended before `at` is of another taste.
    pub fn turn(&mut self, at: Timestamp) {
        self.turned_at = self.turned_at.max(seconds(at));
    }

    /// When the taste changed last, if ever.
    pub fn turned_at(&self) -> Option<Timestamp> {
        (self.turned_at > 0).then(|| Timestamp::from_seconds(i64::from(self.turned_at)))
    }

    /// Whether an entry is of the taste of before the last change.
    pub fn is_outgrown(&self, entry: &Consumption) -> bool {
        entry.end_seconds() < self.turned_at
    }

    /// Items with positive evidence since the taste changed, the latest first.
    pub fn present_positives(&self) -> impl Iterator<Item = &Consumption> {
        self.positives().take_while(|entry| !self.is_outgrown(entry))
    }

    /// Items with positive evidence, the latest first.
    pub fn positives(&self) -> impl Iterator<Item = &Consumption> {
        self.entries.iter().rev().filter(|entry| entry.net() > 0.0)
    }

    /// Of these, those consumed no later than `at`.
    pub fn positives_until(&self, at: Timestamp) -> impl Iterator<Item = &Consumption> {
        let until = &self.entries[..self.before(seconds(at))];
        until.iter().rev().filter(|entry| entry.net() > 0.0)
    }

    /// Those that an event at `at` goes on with: their items cannot be begun again.
    pub fn open(&self, at: Timestamp, gap_seconds: u32) -> &[Consumption] {
        let earliest = seconds(at).saturating_sub(gap_seconds);
        &self.entries[self.entries.partition_point(|entry| entry.end_seconds() < earliest)..]
    }

    /// Hidden items, in no particular order.
    pub fn hidden(&self) -> impl Iterator<Item = ItemIndex> {
        self.entries.iter().filter(|entry| entry.is_hidden()).map(|entry| entry.item)
    }

    /// Drops the entries of items that are not to be kept.
    pub fn retain(&mut self, keep: impl Fn(ItemIndex) -> bool) {
        self.entries.retain(|entry| keep(entry.item));
        self.by_item = index(&self.entries);
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The position of an item in the index, or where to insert it.
    fn position(&self, item: ItemIndex) -> Result<usize, usize> {
        self.by_item.binary_search_by_key(&item, |&at| self.entries[usize::from(at)].item)
    }

    /// Entries that end no later than `end`.
    fn before(&self, end: u32) -> usize {
        self.entries.partition_point(|entry| entry.end_seconds() <= end)
    }

    fn replace(&mut self, found: usize, consumption: Consumption) {
        let old = usize::from(self.by_item[found]);
        if self.entries[old].end_seconds() == consumption.end_seconds() {
            self.entries[old] = consumption;
            return;
        }
        let new = self.before(consumption.end_seconds()).saturating_sub(1);
        debug_assert!(old <= new, "a fold never moves an end back");
        self.entries[old..=new].rotate_left(1);
        self.entries[new] = consumption;
        let passed = (old + 1) as u16..=new as u16;
        self.by_item.iter_mut().filter(|at| passed.contains(*at)).for_each(|at| *at -= 1);
        self.by_item[found] = new as u16;
    }

    fn insert(&mut self, consumption: Consumption) {
        if self.entries.len() >= HISTORY_MAX {
            self.forget_one();
        }
        if self.entries.len() == self.entries.capacity() {
            // A quarter more rather than twice as much: most histories are short.
            let more = (self.entries.len() / 4).max(4).min(HISTORY_MAX - self.entries.len());
            self.entries.reserve_exact(more);
            self.by_item.reserve_exact(more);
        }
        let new = self.before(consumption.end_seconds());
        let (Ok(index) | Err(index)) = self.position(consumption.item);
        self.entries.insert(new, consumption);
        self.by_item.iter_mut().filter(|at| usize::from(**at) >= new).for_each(|at| *at += 1);
        self.by_item.insert(index, new as u16);
    }

    /// Forgets the weakest of the oldest.
    fn forget_one(&mut self) {
        let hidden = self.entries.iter().filter(|entry| entry.is_hidden()).count();
        let takes_hidden = 4 * hidden > 3 * self.entries.len();
        let oldest = self.entries.iter().enumerate();
        let oldest = oldest.filter(|(_, entry)| entry.is_hidden() == takes_hidden).take(WEAKEST_OF);
        let evidence = |entry: &Consumption| entry.in_favour().max(entry.against());
        let weakest = oldest.min_by(|a, b| evidence(a.1).total_cmp(&evidence(b.1)));
        if let Some((at, _)) = weakest {
            self.entries.remove(at);
            self.by_item.retain(|&other| usize::from(other) != at);
            self.by_item.iter_mut().filter(|other| usize::from(**other) > at).for_each(|o| *o -= 1);
        }
    }
}

/// Positions by item.
fn index(entries: &[Consumption]) -> Vec<u16> {
    let mut by_item: Vec<u16> = (0..entries.len() as u16).collect();
    by_item.sort_unstable_by_key(|&at| entries[usize::from(at)].item);
    by_item
}

impl Serialize for History {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.turned_at, &self.entries).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for History {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (turned_at, entries) = <(u32, Vec<Consumption>)>::deserialize(deserializer)?;
        if entries.len() > HISTORY_MAX {
            return Err(D::Error::custom("a history is longer than any"));
        }
        let by_item = index(&entries);
        let item = |at: &u16| entries[usize::from(*at)].item;
        if !entries.is_sorted_by_key(Consumption::end_seconds)
            || by_item.windows(2).any(|pair| item(&pair[0]) == item(&pair[1]))
        {
            return Err(D::Error::custom("a history is not in its order"));
        }
        Ok(Self { entries, by_item, turned_at })
    }
}

#[cfg(test)]
mod tests;
