//! Pairs of lists, as sums by user.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::evaluation::bootstrap::Column;
use crate::evaluation::rehearsal::exposure::Positions;
use crate::evaluation::rehearsal::facts::ItemFacts;
use crate::evaluation::rehearsal::facts::ListFacts;

/// How two lists differ: one mean each.
#[derive(Debug, Clone, Copy)]
pub enum Differing {
    Positions,
    Lists,
    /// Items that both have.
    Overlap,
    /// Of the rank of items that both have.
    Rank,
}

/// What lists are: a mean now and one proposed.
#[derive(Debug, Clone, Copy)]
pub enum Property {
    Reward,
    Length,
    Topics,
    Similarity,
    NewItems,
    PopularItems,
}

impl Differing {
    pub const ALL: usize = 4;
}

impl Property {
    pub const ALL: usize = 6;
}

/// Now, and proposed.
pub const SIDES: [usize; 2] = [0, 1];

/// What was gathered of all lists.
#[derive(Debug, Default)]
pub struct Lists {
    pub(super) lists: u64,
    pub(super) users: usize,
    pub(super) differing: [Column; Differing::ALL],
    pub(super) properties: [[Column; 2]; Property::ALL],
    /// Keys of the items that were shown, and of those in the catalogue.
    pub(super) shown: [BTreeSet<u64>; 2],
    pub(super) of_catalogue: [BTreeSet<u64>; 2],
    pub(super) by_topic: Positions,
    pub(super) by_source: Positions,
}

impl Lists {
    /// How many pairs there are.
    pub fn len(&self) -> u64 {
        self.lists
    }

    pub fn is_empty(&self) -> bool {
        self.lists == 0
    }

    /// Adds a pair: the list of now and that of the proposal. Users are numbered from 0.
    pub fn add(&mut self, user: u32, now: &ListFacts, proposed: &ListFacts) {
        self.lists += 1;
        let user = user as usize;
        self.users = self.users.max(user + 1);
        self.add_differences(user, now, proposed);
        for (side, list) in SIDES.into_iter().zip([now, proposed]) {
            self.add_properties(user, side, list);
            for item in &list.items {
                self.shown[side].insert(item.key);
                if item.is_in_catalogue {
                    self.of_catalogue[side].insert(item.key);
                }
                self.by_topic.add(side, &item.topics);
                self.by_source.add(side, &[item.source]);
            }
        }
    }

    fn add_differences(&mut self, user: usize, now: &ListFacts, proposed: &ListFacts) {
        let longer = now.items.len().max(proposed.items.len());
        let pairs = now.items.iter().zip(&proposed.items);
        let changed = longer - pairs.filter(|(a, b)| a.key == b.key).count();
        let places: BTreeMap<u64, usize> =
            proposed.items.iter().zip(0..).map(|(item, place)| (item.key, place)).collect();
        let moved = now.items.iter().zip(0..);
        let moved = moved.filter_map(|(item, place)| Some(places.get(&item.key)?.abs_diff(place)));
        let moved: Vec<usize> = moved.collect();
        let changes_list = f64::from(u8::from(changed > 0));
        let mut add = |of: Differing, sum: f64, count: usize| {
            add(&mut self.differing[of as usize], user, sum, count as f64);
        };
        add(Differing::Positions, changed as f64, longer);
        add(Differing::Lists, changes_list, 1);
        add(Differing::Rank, moved.iter().sum::<usize>() as f64, moved.len());
        if longer > 0 {
            add(Differing::Overlap, moved.len() as f64 / longer as f64, 1);
        }
    }

    fn add_properties(&mut self, user: usize, side: usize, list: &ListFacts) {
        let positions = list.items.len();
        let topics: BTreeSet<u32> = list.items.iter().flat_map(ItemFacts::named_topics).collect();
        let share = |is: fn(&ItemFacts) -> bool| list.items.iter().filter(|item| is(item)).count();
        let mut add = |of: Property, sum: f64, count: usize| {
            add(&mut self.properties[of as usize][side], user, sum, count as f64);
        };
        add(Property::Reward, list.items.iter().map(|item| item.reward).sum(), positions);
        add(Property::Length, positions as f64, 1);
        add(Property::Topics, topics.len() as f64, positions);
        add(Property::NewItems, share(|item| item.is_new) as f64, positions);
        add(Property::PopularItems, share(|item| item.is_popular) as f64, positions);
        if let Some(similarity) = list.similarity {
            add(Property::Similarity, similarity, 1);
        }
    }
}

fn add(column: &mut Column, user: usize, sum: f64, count: f64) {
    if user >= column.sums.len() {
        column.sums.resize(user + 1, 0.0);
        column.counts.resize(user + 1, 0.0);
    }
    column.sums[user] += sum;
    column.counts[user] += count;
}
