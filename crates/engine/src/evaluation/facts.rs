//! What the figures need to know about the data besides the cases: how popular items
//! were in the training part, which are head and which tail, how far apart two items
//! are.
//!
//! - Counts are of positives that were learnt before the first test; under the
//!   prequential protocol, which has no such part, of all positives.
//! - Head items: the smallest set of items that together have half of the counted
//!   positives; tail: all others.
//! - Distance of two items: 1 - cosine of their topics. Where fewer than half of the
//!   items that occur have topics, 1 - cosine of their audiences among a fixed sample
//!   of users.

use xxhash_rust::xxh3::xxh3_64;

use crate::evaluation::dataset::Dataset;

/// Users by whose choices items without topics are compared.
const AUDIENCE_USERS: usize = 2_048;
const WORDS: usize = AUDIENCE_USERS / 64;

/// See the header.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Positives of each item.
    pub counts: Vec<u32>,
    /// Sum of `counts`.
    pub total: u64,
    pub is_head: Vec<bool>,
    /// Topics of each item, numbered, ascending.
    pub topics: Vec<Vec<u32>>,
    /// Items of each user's positives in order of time, of the whole data set.
    pub positives: Vec<Vec<u32>>,
    /// Items with positives, most first; ties by index.
    popular: Vec<u32>,
    space: Space,
}

/// How distances between items are computed.
#[derive(Debug, Clone)]
enum Space {
    Topics,
    /// Which of the sampled users had the item, a bit each.
    Audience(Vec<[u64; WORDS]>),
}

impl Facts {
    /// Of the rows for which `is_learnt` holds, by their index in the data set.
    pub fn new(dataset: &Dataset, positive: f32, is_learnt: impl Fn(usize) -> bool) -> Self {
        let mut counts = vec![0_u32; dataset.items.len()];
        let mut positives = vec![Vec::new(); dataset.users.len()];
        let mut learnt: Vec<(u32, u32)> = Vec::new();
        for (position, row) in
            dataset.rows.iter().enumerate().filter(|(_, row)| row.value >= positive)
        {
            positives[row.user as usize].push(row.item);
            if is_learnt(position) {
                counts[row.item as usize] += 1;
                learnt.push((row.user, row.item));
            }
        }
        let total = counts.iter().map(|&count| u64::from(count)).sum();
        let mut popular: Vec<u32> =
            (0..counts.len() as u32).filter(|&item| counts[item as usize] > 0).collect();
        popular.sort_by_key(|&item| (std::cmp::Reverse(counts[item as usize]), item));
        let topics = numbered_topics(dataset);
        let described = popular.iter().filter(|&&item| !topics[item as usize].is_empty()).count();
        let space = if described * 2 >= popular.len() && described > 0 {
            Space::Topics
        } else {
            Space::Audience(audiences(dataset, &learnt))
        };
        let is_head = head(&counts, &popular, total);
        Self { counts, total, is_head, topics, positives, popular, space }
    }

    /// What distances between items rest on, for a reader.
    pub fn distance_name(&self) -> &'static str {
        match self.space {
            Space::Topics => "topics",
            Space::Audience(_) => "audiences",
        }
    }

    /// 0 (alike) to 1; `None` where an item has no topic.
    pub fn distance(&self, a: u32, b: u32) -> Option<f64> {
        let (common, of_a, of_b) = match &self.space {
            Space::Topics => {
                let (a, b) = (&self.topics[a as usize], &self.topics[b as usize]);
                let common = a.iter().filter(|topic| b.binary_search(topic).is_ok()).count();
                (common, a.len(), b.len())
            }
            Space::Audience(bits) => {
                let (a, b) = (&bits[a as usize], &bits[b as usize]);
                let ones =
                    |words: &[u64; WORDS]| words.iter().map(|word| word.count_ones()).sum::<u32>();
                let common: u32 = a.iter().zip(b).map(|(a, b)| (a & b).count_ones()).sum();
                if common == 0 {
                    return Some(1.0);
                }
                (common as usize, ones(a) as usize, ones(b) as usize)
            }
        };
        (of_a > 0 && of_b > 0).then(|| 1.0 - common as f64 / ((of_a * of_b) as f64).sqrt())
    }

    /// The `k` most popular items that are not in `excluded` (ascending): the expected
    /// list.
    pub fn expected(&self, k: usize, excluded: &[u32]) -> Vec<u32> {
        let is_open = |item: &&u32| excluded.binary_search(item).is_err();
        self.popular.iter().filter(is_open).take(k).copied().collect()
    }
}

fn numbered_topics(dataset: &Dataset) -> Vec<Vec<u32>> {
    let mut names: Vec<&str> =
        dataset.items.iter().flat_map(|item| &item.topics).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let number = |topic: &String| {
        names.binary_search(&topic.as_str()).expect("the names are those of all topics") as u32
    };
    let of_item = |item: &crate::evaluation::DatasetItem| {
        let mut topics: Vec<u32> = item.topics.iter().map(number).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    };
    dataset.items.iter().map(of_item).collect()
}

/// The bits of the users with the lowest hashes, so that the sample is the same
/// whatever the order of the file.
fn audiences(dataset: &Dataset, learnt: &[(u32, u32)]) -> Vec<[u64; WORDS]> {
    let mut users: Vec<u32> = learnt.iter().map(|(user, _)| *user).collect();
    users.sort_unstable();
    users.dedup();
    users.sort_by_key(|&user| xxh3_64(dataset.users[user as usize].as_bytes()));
    users.truncate(AUDIENCE_USERS);
    let mut position_of = vec![None; dataset.users.len()];
    for (position, user) in users.into_iter().enumerate() {
        position_of[user as usize] = Some(position);
    }
    let mut bits = vec![[0; WORDS]; dataset.items.len()];
    for (user, item) in learnt {
        if let Some(position) = position_of[*user as usize] {
            bits[*item as usize][position / 64] |= 1 << (position % 64);
        }
    }
    bits
}

fn head(counts: &[u32], popular: &[u32], total: u64) -> Vec<bool> {
    let mut is_head = vec![false; counts.len()];
    let mut held = 0;
    for &item in popular {
        if held * 2 >= total {
            break;
        }
        held += u64::from(counts[item as usize]);
        is_head[item as usize] = true;
    }
    is_head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::evaluation::DatasetBuilder;
    use crate::evaluation::DatasetItem;

    const NONE: &[&str] = &[];

    fn dataset(topics: &[&[&str]], rows: &[(&str, usize)]) -> Dataset {
        let mut builder = DatasetBuilder::default();
        for (item, topics) in topics.iter().enumerate() {
            let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
            builder
                .add_item(DatasetItem { id: item.to_string(), topics, ..Default::default() })
                .unwrap();
        }
        for (user, item) in rows {
            builder.add_interaction(user, &item.to_string(), 1.0, Timestamp::default());
        }
        builder.build()
    }

    #[test]
    fn the_head_is_the_smallest_set_of_items_with_half_of_the_positives() {
        let rows = [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1), ("a", 2), ("a", 3)];
        let facts = Facts::new(&dataset(&[NONE; 5], &rows), 1.0, |_| true);
        assert_eq!(facts.counts, [3, 2, 1, 1, 0]);
        assert_eq!(facts.is_head, [true, true, false, false, false]);
    }

    #[test]
    fn only_what_was_learnt_counts_and_is_expected() {
        let rows = [("a", 2), ("b", 2), ("a", 1), ("a", 0), ("b", 0), ("c", 0)];
        let facts = Facts::new(&dataset(&[NONE; 3], &rows), 1.0, |position| position < 3);
        assert_eq!((facts.counts.as_slice(), facts.total), (&[0, 1, 2][..], 3));
        assert_eq!(facts.expected(5, &[]), [2, 1]);
        assert_eq!(facts.expected(5, &[2]), [1]);
        assert_eq!(facts.positives, [vec![2, 1, 0], vec![2, 0], vec![0]]);
    }

    #[test]
    fn distances_are_of_topics_or_where_these_are_missing_of_audiences() {
        let topics: [&[&str]; 3] = [&["x", "y"], &["y"], &["z"]];
        let rows = [("a", 0), ("b", 0), ("a", 1), ("c", 2)];
        let facts = Facts::new(&dataset(&topics, &rows), 1.0, |_| true);
        assert_eq!(facts.distance_name(), "topics");
        assert!((facts.distance(0, 1).unwrap() - (1.0 - 0.5_f64.sqrt())).abs() < 1e-12);
        assert_eq!(facts.distance(0, 2), Some(1.0));

        let facts = Facts::new(&dataset(&[NONE; 3], &rows), 1.0, |_| true);
        assert_eq!(facts.distance_name(), "audiences");
        // Item 0 has users a and b, item 1 has a: 1 - 1 / sqrt(2 * 1).
        assert!((facts.distance(0, 1).unwrap() - (1.0 - 0.5_f64.sqrt())).abs() < 1e-12);
        assert_eq!(facts.distance(1, 2), Some(1.0));
    }
}
