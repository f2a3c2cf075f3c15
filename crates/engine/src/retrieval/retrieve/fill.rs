//! Enough candidates for a list when the sources give too few.

use std::collections::BTreeMap;

use crate::columns::index::ItemIndex;
use crate::features::Candidate;
use crate::give_up::Cancelled;
use crate::numeric::packing;
use crate::numeric::packing::Packing;
use crate::retrieval::mask::Mask;
use crate::retrieval::popular::most_popular;
use crate::retrieval::retrieve::Caps;
use crate::retrieval::retrieve::Supply;
use crate::retrieval::retrieve::source::Source;
use crate::retrieval::retrieve::sources::Search;
use crate::state::Entry;
use crate::state::postings::Label;

/// Most popular items that are tried at a time.
const HEAD: usize = 2_048;
/// Most popular items that are tried together where none fits alone.
const TOGETHER: usize = 8_192;

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
        for (caps, yields) in [(supply.shares, true), (supply.caps, false)] {
            if !caps.is_none()
                && !self.fill_up_within(caps, &mut found, &mut rest, supply)
                && !yields
            {
                self.fill_up_by_exchange(&mut found, &rest, supply);
            }
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
    /// within the caps or none of the catalogue fits. Returns whether the list is filled.
    fn fill_up_within(
        &self,
        caps: Caps,
        found: &mut Vec<ItemIndex>,
        rest: &mut Mask,
        supply: &Supply<'_>,
    ) -> bool {
        let entry = |item: ItemIndex| &self.view().items.entries[item];
        let mut taken = Taken::new(caps, supply.above);
        for &item in found.iter() {
            if taken.items == supply.positions {
                return true;
            }
            taken.take(entry(item));
        }
        while taken.items < supply.positions {
            let open = self.with_space(rest, &taken);
            let fits = |item: ItemIndex| taken.fits(entry(item)) && self.allows(item);
            let head = most_popular(self.view(), &open, HEAD, fits);
            if head.is_empty() {
                return false;
            }
            for item in head {
                if taken.items < supply.positions && taken.take(entry(item)) {
                    found.push(item);
                    rest.clear(item);
                }
            }
        }
        true
    }

    /// Items that fit may be blocked by others: finds a set that fills the list, if it can, and
    /// adds it.
    fn fill_up_by_exchange(&self, found: &mut Vec<ItemIndex>, rest: &Mask, supply: &Supply<'_>) {
        let view = self.view();
        let above = Taken::new(supply.caps, supply.above);
        let fits = |item: ItemIndex| above.fits(&view.items.entries[item]) && self.allows(item);
        let mut items: Vec<ItemIndex> = found.iter().copied().filter(|&item| fits(item)).collect();
        let mut alike = BTreeMap::<(&[u32], Option<u32>), usize>::new();
        let of_rest = most_popular(view, rest, TOGETHER, fits).into_iter().filter(|&item| {
            // More of the same labels than a list can have do not help.
            let entry = &view.items.entries[item];
            let alike = alike.entry((&entry.topics[..], entry.source)).or_default();
            *alike += 1;
            *alike <= supply.positions
        });
        items.extend(of_rest);
        let mut labels = Numbered::default();
        let labels_of: Vec<Vec<u32>> =
            items.iter().map(|&item| labels.of(&view.items.entries[item], supply.caps)).collect();
        let mut packing = Packing::default();
        for (&(is_source, label), &number) in &labels.0 {
            packing.set_space(number, above.space(is_source, label));
        }
        labels_of.iter().for_each(|labels| packing.push(labels));
        packing.fill(supply.positions);
        packing.exchange(supply.positions);
        let taken = (0..items.len()).filter(|&item| packing.is_taken(item));
        found.extend(taken.map(|item| items[item]).filter(|&item| rest.has(item)));
    }

    /// The items of a mask without those of a label that has no space left. It spares looks at them;
    /// of two labels with one hash both may be left out.
    fn with_space(&self, rest: &Mask, taken: &Taken) -> Mask {
        let view = self.view();
        let mut open = rest.clone();
        let topics = taken.full(false).filter_map(|topic| view.topic_name(topic));
        let sources = taken.full(true).filter_map(|source| view.source_name(source));
        for label in topics.map(Label::Topic).chain(sources.map(Label::Source)) {
            view.postings.of_label(label.key()).for_each(|item| open.clear(item));
        }
        open
    }
}

/// Topics and sources in one numbering, those with caps: `false` for a topic, `true` for a source.
#[derive(Default)]
struct Numbered(BTreeMap<(bool, u32), u32>);

impl Numbered {
    fn of(&mut self, entry: &Entry, caps: Caps) -> Vec<u32> {
        let mut number = |is_source: bool, label: u32| {
            let next = self.0.len() as u32;
            let next = if is_source { packing::of_source(next) } else { packing::of_topic(next) };
            *self.0.entry((is_source, label)).or_insert(next)
        };
        let topics = entry.topics.iter().filter(|_| caps.per_topic > 0);
        let mut labels: Vec<u32> = topics.map(|&topic| number(false, topic)).collect();
        let source = entry.source.filter(|_| caps.per_source > 0);
        labels.extend(source.map(|source| number(true, source)));
        labels.sort_unstable();
        labels.dedup();
        labels
    }
}

/// How many of each label a list within caps has taken.
struct Taken {
    caps: Caps,
    /// By label: `false` for a topic, `true` for a source.
    labels: BTreeMap<(bool, u32), u32>,
    items: usize,
}

impl Taken {
    /// `above`: what earlier pages of the list took.
    fn new(caps: Caps, above: &[Candidate<'_>]) -> Self {
        let mut taken = Self { caps, labels: BTreeMap::new(), items: 0 };
        above.iter().for_each(|above| taken.count(above.entry));
        taken
    }

    /// How many more of a label may be taken.
    fn space(&self, is_source: bool, label: u32) -> u32 {
        let most = if is_source { self.caps.per_source } else { self.caps.per_topic };
        let taken = self.labels.get(&(is_source, label)).copied().unwrap_or(0);
        if most == 0 { u32::MAX } else { most.saturating_sub(taken) }
    }

    /// Whether the caps leave space for an item.
    fn fits(&self, entry: &Entry) -> bool {
        labels_of(entry).all(|(is_source, label)| self.space(is_source, label) > 0)
    }

    /// The topics, or the sources, without space.
    fn full(&self, of_sources: bool) -> impl Iterator<Item = u32> {
        let labels = self.labels.keys().filter(move |label| label.0 == of_sources);
        labels.map(|label| label.1).filter(move |&label| self.space(of_sources, label) == 0)
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
        labels_of(entry).for_each(|label| *self.labels.entry(label).or_default() += 1);
    }
}

fn labels_of(entry: &Entry) -> impl Iterator<Item = (bool, u32)> {
    let topics = entry.topics.iter().map(|&topic| (false, topic));
    topics.chain(entry.source.map(|source| (true, source)))
}
