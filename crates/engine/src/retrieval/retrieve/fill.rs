//! Enough candidates for a list when the sources give too few.

use std::collections::BTreeMap;

use crate::columns::index::ItemIndex;
use crate::give_up::Cancelled;
use crate::retrieval::mask::Mask;
use crate::retrieval::popular::in_order_of_popularity;
use crate::retrieval::popular::most_popular;
use crate::retrieval::retrieve::Supply;
use crate::retrieval::retrieve::source::Source;
use crate::retrieval::retrieve::sources::Search;
use crate::state::Entry;

/// Most popular items that are tried before all are.
const CAPPED_HEAD: usize = 2_048;

impl Search<'_> {
    /// The allowed results of the personal sources, with those of the other sources and as many
    /// more as a list needs.
    pub fn complete(
        &mut self,
        personal: Vec<ItemIndex>,
        supply: &Supply<'_>,
    ) -> Result<Vec<ItemIndex>, Cancelled> {
        let mut found = personal;
        found.retain(|&item| self.allows(item));
        for source in Source::SHARED {
            found.append(&mut self.found_by(source, supply)?);
        }
        found.sort_unstable();
        found.dedup();
        let mut rest = self.mask.clone();
        found.iter().for_each(|&item| rest.clear(item));
        if found.len() < supply.needed {
            self.fill_up(&mut found, &mut rest, supply.needed);
        }
        if supply.max_per_topic > 0 || supply.max_per_source > 0 {
            self.fill_up_within_caps(&mut found, &mut rest, supply);
        }
        found.sort_unstable();
        // After giving up the filter allows nothing, so items may be missing.
        self.check()?;
        Ok(found)
    }

    /// Adds the most popular of the rest, then the youngest.
    fn fill_up(&self, found: &mut Vec<ItemIndex>, rest: &mut Mask, at_least: usize) {
        let needed = at_least - found.len();
        for item in most_popular(self.view(), rest, needed, |item| self.allows(item)) {
            found.push(item);
            rest.clear(item);
        }
    }

    /// Adds items of other topics and sources, the most popular first, until they fill a list
    /// within the caps or the catalogue has no more.
    fn fill_up_within_caps(
        &self,
        found: &mut Vec<ItemIndex>,
        rest: &mut Mask,
        supply: &Supply<'_>,
    ) {
        let entry = |item: ItemIndex| &self.view().items.entries[item];
        let mut taken = Taken::new(supply);
        found.iter().for_each(|&item| _ = taken.take(entry(item)));
        let mut add = |taken: &mut Taken<'_>, items: Vec<ItemIndex>| {
            for item in items {
                let is_filled = taken.items >= supply.positions || self.is_given_up();
                if !is_filled && taken.fits(entry(item)) && self.allows(item) {
                    taken.take(entry(item));
                    found.push(item);
                }
            }
        };
        if taken.items < supply.positions {
            // Mostly these are enough, which saves the sort of all.
            let fits = |item: ItemIndex| taken.fits(entry(item)) && self.allows(item);
            let head = most_popular(self.view(), rest, CAPPED_HEAD, fits);
            head.iter().for_each(|&item| rest.clear(item));
            let is_all = head.len() < CAPPED_HEAD;
            add(&mut taken, head);
            if !is_all && taken.items < supply.positions {
                add(&mut taken, in_order_of_popularity(self.view(), rest));
            }
        }
    }
}

/// How many of each label a list within absolute caps has taken.
struct Taken<'a> {
    supply: &'a Supply<'a>,
    topics: BTreeMap<u32, u32>,
    sources: BTreeMap<u32, u32>,
    items: usize,
}

impl<'a> Taken<'a> {
    fn new(supply: &'a Supply<'a>) -> Self {
        let mut taken =
            Self { supply, topics: BTreeMap::new(), sources: BTreeMap::new(), items: 0 };
        supply.above.iter().for_each(|above| taken.count(above.entry));
        taken
    }

    /// Whether the caps leave space for an item.
    fn fits(&self, entry: &Entry) -> bool {
        let below = |taken: &BTreeMap<u32, u32>, label: &u32, most: u32| {
            most == 0 || taken.get(label).is_none_or(|&count| count < most)
        };
        let (per_topic, per_source) = (self.supply.max_per_topic, self.supply.max_per_source);
        entry.topics.iter().all(|topic| below(&self.topics, topic, per_topic))
            && entry.source.iter().all(|source| below(&self.sources, source, per_source))
    }

    /// Takes an item if the caps allow it.
    fn take(&mut self, entry: &Entry) -> bool {
        let fits = self.fits(entry);
        if fits {
            self.items += 1;
            self.count(entry);
        }
        fits
    }

    fn count(&mut self, entry: &Entry) {
        entry.topics.iter().for_each(|&topic| *self.topics.entry(topic).or_default() += 1);
        entry.source.iter().for_each(|&source| *self.sources.entry(source).or_default() += 1);
    }
}
