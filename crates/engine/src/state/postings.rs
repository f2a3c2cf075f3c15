//! Sets of catalogue items by topic, source, language and attribute value, and all items in the
//! order of their numbers and of their age.
//!
//! - Derived from the entries alone: neither in snapshots nor in digests, built again on
//!   restore. Upserts and deletions keep them current.
//! - Labels are 64-bit hashes in a table of fixed size, so an unused label takes no memory. Two
//!   of a million labels have one hash with a chance of 3 in 100 million; then they share a set.
//!   Readers check each item of a set.
//! - Copy-on-write: cloning copies pointers, a change copies the sets that it changes.
//! - Bound: an item is in at most 32 + 1 + 1 + 64 + [`VALUES_MAX`] sets and has 64 numbers. It
//!   takes two bytes in a large set, about 120 in a set of its own and 24 for a number. An item
//!   with more values counts as having any value.

use std::sync::Arc;

use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::columns::column::Column;
use crate::columns::index::ItemIndex;
use crate::domain::AttributeValue;
use crate::domain::Item;
use crate::models::sorted_chunks::SortedChunks;
use crate::state::entry::Entry;
use crate::state::showing::Showing;
use crate::state::showing::WORD;

/// Buckets of the table of labels.
const BUCKETS: usize = 4_096;
/// Most texts and flags in attributes of an item that are listed, the first in the order of
/// their hashes.
pub const VALUES_MAX: usize = 256;
/// What a filter requires of an item.
#[derive(Debug, Clone, Copy)]
pub enum Label<'a> {
    Topic(&'a str),
    Source(&'a str),
    /// Its own, else the text of the attribute `language`.
    Language(&'a str),
    /// A member of the list of the attribute `language`, for items without a language.
    LanguageMember(&'a str),
    /// An attribute with any value.
    Has(&'a str),
    /// An attribute with this text.
    Text(&'a str, &'a str),
    /// An attribute with a list that has this text.
    Member(&'a str, &'a str),
    Flag(&'a str, bool),
}

/// The hash of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelKey {
    hash: u64,
    /// Whether an item may have more of these than are listed.
    is_value: bool,
}

impl Label<'_> {
    pub fn key(self) -> LabelKey {
        let (kind, name, value) = match self {
            Self::Topic(topic) => (1, "", topic),
            Self::Source(source) => (2, "", source),
            Self::Language(language) => (3, "", language),
            Self::Has(name) => (4, name, ""),
            Self::LanguageMember(language) => (5, "", language),
            Self::Text(name, value) => (6, name, value),
            Self::Member(name, value) => (7, name, value),
            Self::Flag(name, flag) => (8, name, if flag { "true" } else { "false" }),
        };
        let seed = xxh3_64_with_seed(name.as_bytes(), kind);
        LabelKey { hash: xxh3_64_with_seed(value.as_bytes(), seed), is_value: kind > 4 }
    }
}

/// An attribute of an item that is a number. Ordered by the name's hash, the number, the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Numbered {
    name: u64,
    order: u64,
    item: ItemIndex,
}

/// Numbers between two, both included, of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberRange {
    name: u64,
    least: u64,
    most: u64,
}

impl NumberRange {
    /// Every number of an attribute.
    pub fn of(name: &str) -> Self {
        Self { name: xxh3_64_with_seed(name.as_bytes(), 0), least: 0, most: u64::MAX }
    }

    /// With `number` as the least, or what follows it.
    #[must_use]
    pub fn from(self, number: f64, is_included: bool) -> Self {
        Self { least: order_of(number).saturating_add(u64::from(!is_included)), ..self }
    }

    /// With `number` as the most, or what comes before it.
    #[must_use]
    pub fn to(self, number: f64, is_included: bool) -> Self {
        Self { most: order_of(number).saturating_sub(u64::from(!is_included)), ..self }
    }
}

/// Rises as numbers do, and is the same for 0 and -0.
fn order_of(number: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    let bits = (number + 0.0).to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

/// When an item appeared. Ordered by time, then by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Born {
    millis: i64,
    pub item: ItemIndex,
    /// Whether the item has a publication time.
    pub is_dated: bool,
}

impl Born {
    fn of(item: ItemIndex, entry: &Entry) -> Self {
        let is_dated = entry.item.as_ref().is_some_and(|item| item.published_at.is_some());
        Self { millis: entry.born().as_millis(), item, is_dated }
    }

    fn first_at(millis: i64) -> Self {
        Self { millis, item: ItemIndex::new(0), is_dated: false }
    }
}

type Bucket = Vec<(u64, Arc<RoaringBitmap>)>;

/// See the header of the module.
#[derive(Debug, Clone, Default)]
pub struct Postings {
    /// One bit for each index, 1 for an item of the catalogue.
    catalogue: Arc<Vec<u64>>,
    /// By hash, sorted; no set is empty.
    labels: Column<Arc<Bucket>>,
    overflow: Arc<RoaringBitmap>,
    /// Behind a pointer of its own: only a change of the catalogue copies the list of chunks.
    numbers: Arc<SortedChunks<Numbered>>,
    births: Arc<SortedChunks<Born>>,
    pub showing: Showing,
}

impl Postings {
    /// Postings of all entries, which come in the order of their indices.
    pub fn new<'a>(entries: impl Iterator<Item = &'a Arc<Entry>>) -> Self {
        let mut postings = Self::default();
        let (mut births, mut numbers) = (Vec::new(), Vec::new());
        let mut items = Vec::new();
        for (index, entry) in (0..).map(ItemIndex::new).zip(entries) {
            if let Some(item) = &entry.item {
                postings.list(index, item);
                items.push((index, &**item));
                births.push(Born::of(index, entry));
                numbers.extend(numbers_of(index, item));
            }
        }
        births.sort_unstable();
        numbers.sort_unstable();
        postings.births = Arc::new(SortedChunks::from_sorted(&births));
        postings.numbers = Arc::new(SortedChunks::from_sorted(&numbers));
        postings.showing = Showing::new(items.into_iter());
        postings
    }

    /// Lists an item that is new in the catalogue.
    pub fn insert(&mut self, index: ItemIndex, entry: &Entry) {
        if let Some(item) = &entry.item {
            self.list(index, item);
            Arc::make_mut(&mut self.births).insert(Born::of(index, entry));
            for number in numbers_of(index, item) {
                Arc::make_mut(&mut self.numbers).insert(number);
            }
            self.showing.insert(index, item);
        }
    }

    /// Removes an item that leaves the catalogue. `entry` is as it was at the insertion.
    pub fn remove(&mut self, index: ItemIndex, entry: &Entry) {
        let Some(item) = &entry.item else {
            return;
        };
        let (word, bit) = (index.as_usize() / WORD, index.as_usize() % WORD);
        Arc::make_mut(&mut self.catalogue)[word] &= !(1 << bit);
        let (labels, overflows) = labels_of(item);
        for label in labels {
            let bucket = Arc::make_mut(self.labels.get_mut(bucket_of(label)));
            if let Ok(at) = bucket.binary_search_by_key(&label.hash, |one| one.0) {
                let set = Arc::make_mut(&mut bucket[at].1);
                set.remove(index.get());
                if set.is_empty() {
                    bucket.remove(at);
                }
            }
        }
        if overflows {
            Arc::make_mut(&mut self.overflow).remove(index.get());
        }
        Arc::make_mut(&mut self.births).remove(&Born::of(index, entry));
        for number in numbers_of(index, item) {
            Arc::make_mut(&mut self.numbers).remove(&number);
        }
        self.showing.remove(index, item);
    }

    fn list(&mut self, index: ItemIndex, item: &Item) {
        let (word, bit) = (index.as_usize() / WORD, index.as_usize() % WORD);
        let catalogue = Arc::make_mut(&mut self.catalogue);
        if catalogue.len() <= word {
            catalogue.resize(word + 1, 0);
        }
        catalogue[word] |= 1 << bit;
        self.labels.grow(BUCKETS, &Arc::default());
        let (labels, overflows) = labels_of(item);
        for label in labels {
            let bucket = Arc::make_mut(self.labels.get_mut(bucket_of(label)));
            match bucket.binary_search_by_key(&label.hash, |one| one.0) {
                Ok(at) => _ = Arc::make_mut(&mut bucket[at].1).insert(index.get()),
                Err(at) => {
                    let set = RoaringBitmap::from_iter([index.get()]);
                    bucket.insert(at, (label.hash, Arc::new(set)));
                }
            }
        }
        if overflows {
            Arc::make_mut(&mut self.overflow).insert(index.get());
        }
    }

    /// One bit for each index, 1 for an item of the catalogue. Indices beyond the end are 0.
    pub fn catalogue(&self) -> &[u64] {
        &self.catalogue
    }

    /// The items that are listed under a label.
    pub fn of_label(&self, label: LabelKey) -> impl Iterator<Item = ItemIndex> {
        let bucket = self.labels.get(bucket_of(label)).map_or(&[][..], |bucket| bucket.as_slice());
        let found = bucket.binary_search_by_key(&label.hash, |one| one.0).ok();
        found.map(|at| &*bucket[at].1).into_iter().flatten().map(ItemIndex::new)
    }

    /// Items that may have a label without being listed under it: they have more values than are
    /// listed.
    pub fn unlisted(&self, label: LabelKey) -> impl Iterator<Item = ItemIndex> {
        label.is_value.then_some(&*self.overflow).into_iter().flatten().map(ItemIndex::new)
    }

    /// The items with an attribute that is a number of the range.
    pub fn of_numbers(&self, range: NumberRange) -> impl Iterator<Item = ItemIndex> {
        let NumberRange { name, least, most } = range;
        let first = Numbered { name, order: least, item: ItemIndex::new(0) };
        let from = self.numbers.rising_from(first);
        let within = move |one: &&Numbered| one.name == name && one.order <= most;
        from.take_while(within).map(|one| one.item)
    }

    /// All items, the youngest first, of equals the higher index. Items that are not yet
    /// published come before.
    pub fn youngest(&self) -> impl Iterator<Item = &Born> {
        self.births.falling()
    }

    /// Items that were published between two moments in milliseconds, both included, the oldest
    /// first.
    pub fn published_within(&self, from: i64, to: i64) -> impl Iterator<Item = ItemIndex> {
        let later = self.births.rising_from(Born::first_at(from));
        let within = later.take_while(move |born| born.millis <= to);
        within.filter(|born| born.is_dated).map(|born| born.item)
    }
}

fn numbers_of(index: ItemIndex, item: &Item) -> impl Iterator<Item = Numbered> {
    item.attributes.iter().filter_map(move |(name, value)| match value {
        AttributeValue::Number(number) => {
            let NumberRange { name, .. } = NumberRange::of(name);
            Some(Numbered { name, order: order_of(*number), item: index })
        }
        _ => None,
    })
}

fn bucket_of(label: LabelKey) -> usize {
    label.hash as usize % BUCKETS
}

/// The labels of an item, each once, and whether it has more attribute values than are listed.
fn labels_of(item: &Item) -> (Vec<LabelKey>, bool) {
    let mut labels = Vec::new();
    let mut values = Vec::new();
    for (name, value) in item.attributes.iter() {
        labels.push(Label::Has(name).key());
        match value {
            AttributeValue::Text(text) => values.push(Label::Text(name, text).key()),
            AttributeValue::Flag(flag) => values.push(Label::Flag(name, *flag).key()),
            AttributeValue::List(list) => {
                values.extend(list.iter().map(|text| Label::Member(name, text).key()));
            }
            AttributeValue::Number(_) => {}
        }
    }
    match (&item.language, item.attributes.get("language")) {
        (Some(language), _) => labels.push(Label::Language(language).key()),
        (None, Some(AttributeValue::Text(text))) => labels.push(Label::Language(text).key()),
        (None, Some(AttributeValue::List(list))) => {
            values.extend(list.iter().map(|text| Label::LanguageMember(text).key()));
        }
        (None, _) => {}
    }
    values.sort_unstable();
    values.dedup();
    let overflows = values.len() > VALUES_MAX;
    values.truncate(VALUES_MAX);
    labels.extend(item.topics.iter().map(|topic| Label::Topic(topic).key()));
    labels.extend(item.source.iter().map(|source| Label::Source(source).key()));
    labels.append(&mut values);
    labels.sort_unstable();
    labels.dedup();
    (labels, overflows)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::Attributes;
    use crate::domain::ItemId;
    use crate::domain::Timestamp;

    fn entry(topics: &[u8], values: usize, published: Option<i64>) -> Arc<Entry> {
        let list = (0..values.min(64)).map(|n| format!("v{n}")).collect();
        let mut attributes = BTreeMap::from([
            ("list".to_owned(), AttributeValue::List(list)),
            ("values".to_owned(), AttributeValue::Number(values as f64)),
        ]);
        for more in 1..values.div_ceil(64) {
            let list = (0..64).map(|n| format!("w{n}")).collect();
            attributes.insert(format!("more-{more}"), AttributeValue::List(list));
        }
        let item = Item {
            topics: topics.iter().map(|topic| format!("t{topic}").into()).collect(),
            published_at: published.map(Timestamp::from_seconds),
            attributes: Attributes::new(attributes).unwrap(),
            ..Item::new(ItemId::parse("a").unwrap())
        };
        Arc::new(Entry { item: Some(Arc::new(item)), ..Entry::default() })
    }

    type Listing = (Vec<u32>, Vec<Bucket>, Vec<u32>, Vec<Numbered>, Vec<Born>);

    /// All content of the postings.
    fn listing(postings: &Postings) -> Listing {
        let bits = 0..postings.catalogue.len() * WORD;
        let has = |bit: &usize| postings.catalogue[bit / WORD] >> (bit % WORD) & 1 == 1;
        (
            bits.filter(has).map(|bit| bit as u32).collect(),
            postings.labels.iter().map(|bucket| bucket.to_vec()).collect(),
            postings.overflow.iter().collect(),
            postings.numbers.iter().copied().collect(),
            postings.births.iter().copied().collect(),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn they_are_a_function_of_the_entries_whatever_the_order_of_changes(
            changes in prop::collection::vec(
                (0..40_usize, any::<bool>(), prop::collection::vec(0..9_u8, 0..4),
                 prop_oneof![Just(0), 1..5_usize, Just(300)], prop::option::of(0..99_i64)),
                0..80,
            ),
        ) {
            let mut entries: Vec<Arc<Entry>> = vec![Arc::default(); 40];
            let mut postings = Postings::default();
            for (index, is_there, topics, values, published) in changes {
                let item = ItemIndex::new(index as u32);
                postings.remove(item, &entries[index]);
                entries[index] =
                    if is_there { entry(&topics, values, published) } else { Arc::default() };
                postings.insert(item, &entries[index]);
            }
            let made = Postings::new(entries.iter());
            let (mut kept, mut made) = (listing(&postings), listing(&made));
            // A table without any write has no buckets.
            kept.1.retain(|bucket| !bucket.is_empty());
            made.1.retain(|bucket| !bucket.is_empty());
            prop_assert_eq!(kept, made);
        }
    }

    #[test]
    fn an_item_with_too_many_values_counts_as_having_any() {
        let postings = Postings::new([entry(&[], 2, None), entry(&[], 300, None)].iter());
        let of = |name, value| -> Vec<u32> {
            let label = Label::Member(name, value).key();
            let items = postings.of_label(label).chain(postings.unlisted(label));
            items.map(ItemIndex::get).collect()
        };
        assert_eq!(of("list", "v1")[0], 0);
        assert_eq!(of("nothing", "at all"), [1]);
        assert!(postings.unlisted(Label::Has("list").key()).next().is_none());
    }

    #[test]
    fn numbers_are_found_by_size_whatever_their_sign() {
        let values = [-1e300, -2.5, -0.0, 0.0, 1e-300, 7.0];
        let entries = values.map(|value| {
            let attributes = BTreeMap::from([("n".to_owned(), AttributeValue::Number(value))]);
            let item = entry(&[], 0, None).item.as_deref().cloned().unwrap();
            let item = Item { attributes: Attributes::new(attributes).unwrap(), ..item };
            Arc::new(Entry { item: Some(Arc::new(item)), ..Entry::default() })
        });
        let postings = Postings::new(entries.iter());
        let all = NumberRange::of("n");
        let of = |range| postings.of_numbers(range).map(ItemIndex::get).collect::<Vec<_>>();
        assert_eq!(of(all), [0, 1, 2, 3, 4, 5]);
        assert_eq!(of(all.from(0.0, true)), [2, 3, 4, 5]);
        assert_eq!(of(all.from(-0.0, false)), [4, 5]);
        assert_eq!(of(all.from(-2.5, true).to(0.0, false)), [1]);
        assert!(of(all.from(7.0, false)).is_empty());
        assert!(of(NumberRange::of("other")).is_empty());
    }

    #[test]
    fn the_youngest_come_first_and_those_published_between_two_moments_are_found() {
        let hour = 3_600;
        let entries =
            [entry(&[], 0, Some(hour)), entry(&[], 0, Some(3 * hour)), entry(&[], 0, None)];
        let postings = Postings::new(entries.iter());
        let youngest = postings.youngest().map(|born| born.item.get());
        assert_eq!(youngest.collect::<Vec<_>>(), [1, 0, 2]);
        let within = |from: i64, to: i64| -> Vec<u32> {
            let within = postings.published_within(from * 1_000, to * 1_000);
            within.map(ItemIndex::get).collect()
        };
        assert_eq!(within(0, 3 * hour), [0, 1]);
        assert_eq!((within(hour + 1, 3 * hour), within(0, hour)), (vec![1], vec![0]));
    }
}
