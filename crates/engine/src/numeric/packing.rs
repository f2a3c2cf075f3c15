//! Items that together keep the caps of their labels, as many as possible.
//!
//! - Items are taken in their order while they fit. When that is not enough, those with the least
//!   demanded labels come first, and chains of exchanges make space: an item comes for one that leaves,
//!   what that one blocked comes for a third, until one comes for nothing. Where few items compete, this
//!   finds the most there can be. In general the problem is NP-hard (set packing).
//! - Deterministic, and bounded by [`LOOKS_MAX`] looks at an item.
//! - Labels are of two kinds in one numbering: topics and sources.

/// Looks at items in the search for chains of exchanges: a few milliseconds.
const LOOKS_MAX: usize = 300_000;
/// Longest chain of exchanges.
const CHAIN_MAX: usize = 64;

/// Labels are of so many kinds: a label's is its remainder.
const KINDS: u32 = 2;

/// The label of a topic.
pub fn of_topic(number: u32) -> u32 {
    KINDS * number
}

/// The label of a source.
pub fn of_source(number: u32) -> u32 {
    KINDS * number + 1
}

/// Items with labels, and those of them that are taken.
#[derive(Debug, Clone, Default)]
pub struct Packing {
    /// Space that each label has left.
    left: Vec<u32>,
    /// Items with each label.
    with: Vec<Vec<usize>>,
    /// The labels of all items, one after the other, and where those of each item end.
    labels: Vec<u32>,
    ends: Vec<usize>,
    is_taken: Vec<bool>,
    taken: usize,
    /// Items below this were tried in their order.
    tried: usize,
}

/// A search for chains of exchanges.
struct Search {
    /// Items with the present mark are not tried.
    visited: Vec<usize>,
    mark: usize,
    /// Whether an item is visited once, not only once in each chain.
    is_quick: bool,
    /// Looks at items so far, and the most of them.
    looks: usize,
    most: usize,
}

impl Search {
    /// Counts looks at so many items; returns whether they are within the bound.
    fn looks_at(&mut self, items: usize) -> bool {
        self.looks += items;
        !self.is_over()
    }

    fn is_over(&self) -> bool {
        self.looks > self.most
    }
}

impl Packing {
    /// Sets the space of a label; labels that are never set have none.
    pub fn set_space(&mut self, label: u32, space: u32) {
        let label = label as usize;
        if label >= self.left.len() {
            self.left.resize(label + 1, 0);
            self.with.resize(label + 1, Vec::new());
        }
        self.left[label] = space;
    }

    /// Adds an item. The labels have their space, and none is there twice.
    pub fn push(&mut self, labels: &[u32]) {
        let item = self.ends.len();
        self.labels.extend_from_slice(labels);
        self.ends.push(self.labels.len());
        self.is_taken.push(false);
        labels.iter().for_each(|&label| self.with[label as usize].push(item));
    }

    pub fn is_taken(&self, item: usize) -> bool {
        self.is_taken[item]
    }

    /// Whether labels have space left.
    fn fits(&self, labels: &[u32]) -> bool {
        labels.iter().all(|&label| self.left[label as usize] > 0)
    }

    /// Takes items in their order, until so many are taken or none fits.
    pub fn fill(&mut self, enough: usize) {
        while self.taken < enough && self.tried < self.ends.len() {
            let item = self.tried;
            self.tried += 1;
            if self.fits(self.labels_of(item)) {
                self.take(item);
            }
        }
    }

    /// Takes other items until so many are taken or no chain of exchanges is found.
    pub fn exchange(&mut self, enough: usize) {
        self.exchange_within(enough, LOOKS_MAX);
    }

    /// The same within so many looks; returns how many there were.
    fn exchange_within(&mut self, enough: usize, most: usize) -> usize {
        let enough = enough.min(self.bound());
        if self.taken < enough {
            self.take_least_demanded(enough);
        }
        let visited = vec![0; self.ends.len()];
        let mut search = Search { visited, mark: 0, is_quick: true, looks: 0, most };
        for is_quick in [true, false] {
            search.is_quick = is_quick;
            let mut item = 0;
            while self.taken < enough && item < self.ends.len() && search.looks_at(1) {
                search.mark += 1;
                let comes = !self.is_taken[item] && self.bring_in(item, 0, &mut search);
                // What failed before may work now.
                item = if comes { 0 } else { item + 1 };
            }
        }
        search.looks
    }

    /// Takes the items with the least demanded labels first, if that makes more.
    fn take_least_demanded(&mut self, enough: usize) {
        let demand = |label: u32| {
            let with = &self.with[label as usize];
            with.len() as f64 / self.space(label).max(1) as f64
        };
        let of_labels: Vec<f64> = (0..self.with.len() as u32).map(demand).collect();
        let of_item = |item: usize| -> f64 {
            self.labels_of(item).iter().map(|&label| of_labels[label as usize]).sum()
        };
        let demands: Vec<f64> = (0..self.ends.len()).map(of_item).collect();
        let mut other = self.clone();
        let taken: Vec<usize> = (0..self.ends.len()).filter(|&item| self.is_taken[item]).collect();
        taken.into_iter().for_each(|item| other.change(item, false));
        other.taken = 0;
        let mut order: Vec<usize> = (0..self.ends.len()).collect();
        order.sort_by(|&a, &b| demands[a].total_cmp(&demands[b]).then(a.cmp(&b)));
        for item in order {
            if other.taken < enough && other.fits(other.labels_of(item)) {
                other.take(item);
            }
        }
        if other.taken > self.taken {
            *self = other;
        }
    }

    /// Items that a label has space for, taken or not.
    fn space(&self, label: u32) -> usize {
        let with = self.with[label as usize].iter();
        self.left[label as usize] as usize + with.filter(|&&item| self.is_taken[item]).count()
    }

    /// No more can be taken: of each kind, as many as its labels have space for.
    fn bound(&self) -> usize {
        let mut bound = self.ends.len();
        for kind in 0..KINDS {
            let is_of = |label: u32| label % KINDS == kind;
            let without = (0..self.ends.len())
                .filter(|&item| !self.labels_of(item).iter().any(|&label| is_of(label)));
            let of_label = |label: u32| self.with[label as usize].len().min(self.space(label));
            let with = (0..self.with.len() as u32).filter(|&label| is_of(label)).map(of_label);
            bound = bound.min(without.count() + with.sum::<usize>());
        }
        bound
    }

    fn labels_of(&self, item: usize) -> &[u32] {
        let start = if item == 0 { 0 } else { self.ends[item - 1] };
        &self.labels[start..self.ends[item]]
    }

    fn change(&mut self, item: usize, takes: bool) {
        self.is_taken[item] = takes;
        let start = if item == 0 { 0 } else { self.ends[item - 1] };
        for at in start..self.ends[item] {
            let left = &mut self.left[self.labels[at] as usize];
            *left = if takes { *left - 1 } else { *left + 1 };
        }
    }

    fn take(&mut self, item: usize) {
        self.change(item, true);
        self.taken += 1;
    }

    /// Takes an item if it fits, or if one that leaves for it lets another one in, and so on. One
    /// more is taken then; else nothing has changed.
    fn bring_in(&mut self, item: usize, depth: usize, search: &mut Search) -> bool {
        if !search.looks_at(1) || search.visited[item] == search.mark || depth == CHAIN_MAX {
            return false;
        }
        if self.fits(self.labels_of(item)) {
            self.take(item);
            return true;
        }
        search.visited[item] = search.mark;
        for leaving in self.that_block_alone(item, search) {
            self.change(leaving, false);
            self.change(item, true);
            if self.bring_in_for(leaving, depth, search) {
                return true;
            }
            self.change(item, false);
            self.change(leaving, true);
            if search.is_over() {
                return false;
            }
        }
        if !search.is_quick {
            search.visited[item] = 0;
        }
        false
    }

    /// Takes an item that comes for one that has left, as [`Self::bring_in`].
    fn bring_in_for(&mut self, left: usize, depth: usize, search: &mut Search) -> bool {
        let freed: Vec<u32> = self.labels_of(left).to_vec();
        for label in freed {
            for at in 0..self.with[label as usize].len() {
                if !search.looks_at(1) {
                    return false;
                }
                let other = self.with[label as usize][at];
                let may_come = !self.is_taken[other] && other != left;
                if may_come && self.bring_in(other, depth + 1, search) {
                    return true;
                }
            }
        }
        false
    }

    /// The taken items each of which has all labels that an item has no space for; none beyond the
    /// bound of looks.
    fn that_block_alone(&self, item: usize, search: &mut Search) -> Vec<usize> {
        let full = |label: &&u32| self.left[**label as usize] == 0;
        let blocked: Vec<u32> = self.labels_of(item).iter().filter(full).copied().collect();
        let Some(&first) = blocked.first() else {
            return Vec::new();
        };
        if !search.looks_at(self.with[first as usize].len()) {
            return Vec::new();
        }
        let with = self.with[first as usize].iter().copied().filter(|&one| self.is_taken[one]);
        let blocks = |one: &usize| blocked.iter().all(|label| self.labels_of(*one).contains(label));
        with.filter(blocks).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packing(space: &[u32], items: &[Vec<u32>]) -> Packing {
        let mut packing = Packing::default();
        for (label, space) in (0..).zip(space) {
            packing.set_space(label, *space);
        }
        items.iter().for_each(|labels| packing.push(labels));
        packing
    }

    /// The most items, by trying all sets.
    fn most(space: &[u32], items: &[Vec<u32>]) -> usize {
        let keeps = |set: &u32| {
            (0..).zip(space).all(|(label, space)| {
                let with = (0..items.len()).filter(|&item| set >> item & 1 == 1);
                with.filter(|&item| items[item].contains(&label)).count() <= *space as usize
            })
        };
        let sets = (0..1_u32 << items.len()).filter(keeps);
        sets.map(|set| set.count_ones() as usize).max().unwrap_or(0)
    }

    #[test]
    fn chains_of_exchanges_make_space() {
        // The first blocks two others.
        let mut two = packing(&[1, 1], &[vec![0, 1], vec![0], vec![1]]);
        two.fill(2);
        assert_eq!(two.taken, 1);
        two.exchange(2);
        assert_eq!((two.taken, two.is_taken(0)), (2, false));
        // A chain of three: by topic, source, topic.
        let chain = [vec![0, 3], vec![1, 4], vec![0, 4], vec![1, 5], vec![2, 3]];
        let mut long = packing(&[1; 6], &chain);
        long.fill(3);
        long.exchange(3);
        assert_eq!(long.taken, 3);
    }

    proptest! {
        #[test]
        fn of_items_with_two_labels_as_many_are_taken_as_there_can_be(
            items in prop::collection::vec((0..4_u32, 4..7_u32), 1..11),
            space in prop::collection::vec(0..3_u32, 7),
        ) {
            let items: Vec<Vec<u32>> = items.iter().map(|one| vec![one.0, one.1]).collect();
            let mut packing = packing(&space, &items);
            packing.fill(usize::MAX);
            packing.exchange(usize::MAX);
            prop_assert_eq!(packing.taken, most(&space, &items));
        }

        #[test]
        fn caps_are_kept_where_items_have_several_labels_and_as_many_are_taken(
            items in prop::collection::vec(prop::collection::btree_set(0..6_u32, 0..4), 1..11),
            space in prop::collection::vec(0..3_u32, 6),
        ) {
            let items: Vec<Vec<u32>> =
                items.iter().map(|labels| labels.iter().copied().collect()).collect();
            let mut packing = packing(&space, &items);
            packing.fill(usize::MAX);
            packing.exchange(usize::MAX);
            for (label, space) in (0..).zip(&space) {
                let with = (0..items.len()).filter(|&item| packing.is_taken(item));
                let with = with.filter(|&item| items[item].contains(&label)).count();
                prop_assert!(with <= *space as usize);
            }
            prop_assert_eq!(packing.taken, most(&space, &items));
        }

        #[test]
        fn a_search_ends_at_its_bound_of_looks_and_keeps_the_caps(
            items in prop::collection::vec((0..6_u32, 6..12_u32, 12..18_u32), 40..200),
            bound in 0..3_000_usize,
        ) {
            let items: Vec<Vec<u32>> =
                items.iter().map(|one| vec![one.0, one.1, one.2]).collect();
            let mut packing = packing(&[2; 18], &items);
            packing.fill(usize::MAX);
            let before = packing.taken;
            let looks = packing.exchange_within(usize::MAX, bound);
            // The last look may be at all items with a label; each level of the chain and each of
            // the two passes ends with one.
            prop_assert!(looks <= bound + items.len() + CHAIN_MAX + 2, "{looks} of {bound}");
            let taken: Vec<usize> = (0..items.len()).filter(|&one| packing.is_taken(one)).collect();
            prop_assert_eq!(taken.len(), packing.taken);
            prop_assert!(taken.len() >= before);
            for label in 0..18_u32 {
                let with = taken.iter().filter(|&&one| items[one].contains(&label)).count();
                prop_assert_eq!(with + packing.left[label as usize] as usize, 2);
            }
        }
    }
}
