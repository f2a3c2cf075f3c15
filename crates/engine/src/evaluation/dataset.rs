//! Recorded interactions with ids turned into indices, as the protocols read them.
//!
//! - An item's index is its row in the items file; items that occur only in
//!   interactions follow in order of appearance. Ties in rankings go to the lower
//!   index, so this order is part of every protocol.
//! - Rows are sorted by time; rows of one instant keep their order in the file.
//! - A (user, item) pair may occur any number of times.

use std::collections::BTreeMap;

use crate::domain::Attributes;
use crate::domain::Timestamp;

/// A catalogue entry, as far as evaluation needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatasetItem {
    pub id: String,
    pub title: String,
    pub topics: Vec<String>,
    pub source: Option<String>,
}

/// One interaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Index into [`Dataset::users`].
    pub user: u32,
    /// Index into [`Dataset::items`].
    pub item: u32,
    /// Rating, or the strength of an implicit signal. Finite.
    pub value: f32,
    pub at: Timestamp,
}

/// Interactions of many users with one catalogue, in order of time.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    pub users: Vec<String>,
    pub items: Vec<DatasetItem>,
    /// As long as `users`; empty attributes where none were given.
    pub user_attributes: Vec<Attributes>,
    pub rows: Vec<Row>,
}

impl Dataset {
    /// Number of rows whose value is at least `positive`.
    pub fn positives(&self, positive: f32) -> usize {
        self.rows.iter().filter(|row| row.value >= positive).count()
    }
}

/// An id was described twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is described more than once")]
pub struct Repeated;

/// Collects items, users and interactions, in this order, into a [`Dataset`].
#[derive(Debug, Default)]
pub struct DatasetBuilder {
    dataset: Dataset,
    user_index: BTreeMap<String, u32>,
    item_index: BTreeMap<String, u32>,
}

impl DatasetBuilder {
    /// Adds a catalogue entry.
    ///
    /// # Errors
    /// When its id is known already.
    pub fn add_item(&mut self, item: DatasetItem) -> Result<(), Repeated> {
        if self.item_index.contains_key(&item.id) {
            return Err(Repeated);
        }
        self.append_item(item);
        Ok(())
    }

    /// Adds a user with attributes.
    ///
    /// # Errors
    /// When the id is known already.
    pub fn add_user(&mut self, id: &str, attributes: Attributes) -> Result<(), Repeated> {
        if self.user_index.contains_key(id) {
            return Err(Repeated);
        }
        self.append_user(id, attributes);
        Ok(())
    }

    /// Adds an interaction; ids not described before are added without details.
    pub fn add_interaction(&mut self, user_id: &str, item_id: &str, value: f32, at: Timestamp) {
        let user = match self.user_index.get(user_id) {
            Some(known) => *known,
            None => self.append_user(user_id, Attributes::default()),
        };
        let item = match self.item_index.get(item_id) {
            Some(known) => *known,
            None => self.append_item(DatasetItem { id: item_id.to_owned(), ..Default::default() }),
        };
        self.dataset.rows.push(Row { user, item, value, at });
    }

    /// Whether every user's rows stand together: their order then says nothing about
    /// which of two users came first.
    pub fn is_grouped_by_user(&self) -> bool {
        let mut is_done = vec![false; self.dataset.users.len()];
        let mut before = None;
        self.dataset.rows.iter().all(|row| {
            let is_new = before.replace(row.user) != Some(row.user);
            !is_new || !std::mem::replace(&mut is_done[row.user as usize], true)
        })
    }

    /// Gives every row a time as if all users had come and gone together: those of a user
    /// keep their order and are spread evenly over a second for each row there is.
    pub fn spread_users_over_time(&mut self) {
        let span = self.dataset.rows.len() as f64 * 1e3;
        let mut of_user = vec![0_u32; self.dataset.users.len()];
        self.dataset.rows.iter().for_each(|row| of_user[row.user as usize] += 1);
        let mut position_of = vec![0_u32; self.dataset.users.len()];
        for row in &mut self.dataset.rows {
            let (position, of) = (&mut position_of[row.user as usize], of_user[row.user as usize]);
            let share = (f64::from(*position) + 0.5) / f64::from(of);
            row.at = Timestamp::from_millis((share * span) as i64);
            *position += 1;
        }
    }

    /// The data set, its rows sorted by time.
    pub fn build(self) -> Dataset {
        self.build_with(|_, value| value)
    }

    /// As [`Self::build`], with the values that `value` gives for the index of an
    /// interaction in the order of adding and the value added with it.
    pub fn build_with(self, value: impl Fn(usize, f32) -> f32) -> Dataset {
        let mut dataset = self.dataset;
        for (position, row) in dataset.rows.iter_mut().enumerate() {
            row.value = value(position, row.value);
        }
        dataset.rows.sort_by_key(|row| row.at);
        dataset
    }

    fn append_item(&mut self, item: DatasetItem) -> u32 {
        let index = index_of_next(self.dataset.items.len());
        self.item_index.insert(item.id.clone(), index);
        self.dataset.items.push(item);
        index
    }

    fn append_user(&mut self, id: &str, attributes: Attributes) -> u32 {
        let index = index_of_next(self.dataset.users.len());
        self.user_index.insert(id.to_owned(), index);
        self.dataset.users.push(id.to_owned());
        self.dataset.user_attributes.push(attributes);
        index
    }
}

fn index_of_next(len: usize) -> u32 {
    u32::try_from(len).expect("a file in memory names fewer than 2^32 users and items")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str) -> DatasetItem {
        DatasetItem { id: id.to_owned(), ..Default::default() }
    }

    #[test]
    fn items_keep_the_order_of_their_file_and_unknown_ones_follow_as_they_appear() {
        let mut builder = DatasetBuilder::default();
        builder.add_item(item("b")).unwrap();
        builder.add_item(item("a")).unwrap();
        for (id, second) in [("z", 5), ("a", 1), ("c", 2)] {
            builder.add_interaction("u", id, 1.0, Timestamp::from_seconds(second));
        }
        let dataset = builder.build();
        let ids: Vec<&str> = dataset.items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids, ["b", "a", "z", "c"]);
        let in_time_order: Vec<u32> = dataset.rows.iter().map(|row| row.item).collect();
        assert_eq!(in_time_order, [1, 3, 2]);
    }

    #[test]
    fn rows_of_one_instant_keep_their_order_and_repeats_are_kept() {
        let mut builder = DatasetBuilder::default();
        for (user, value) in [("u", 3.0), ("v", 1.0), ("u", 2.0)] {
            builder.add_interaction(user, "i", value, Timestamp::from_seconds(7));
        }
        let values: Vec<f32> = builder.build().rows.iter().map(|row| row.value).collect();
        assert_eq!(values, [3.0, 1.0, 2.0]);
    }

    #[test]
    fn users_that_follow_each_other_are_spread_over_the_same_time() {
        let built = |rows: &[(&str, &str)]| {
            let mut builder = DatasetBuilder::default();
            for (user, item) in rows {
                builder.add_interaction(user, item, 1.0, Timestamp::default());
            }
            builder
        };
        assert!(!built(&[("u", "a"), ("v", "a"), ("u", "b")]).is_grouped_by_user());
        let mut grouped =
            built(&[("u", "a"), ("u", "b"), ("u", "c"), ("u", "d"), ("v", "a"), ("v", "b")]);
        assert!(grouped.is_grouped_by_user());
        grouped.spread_users_over_time();
        let dataset = grouped.build();
        let users: Vec<u32> = dataset.rows.iter().map(|row| row.user).collect();
        let items: Vec<u32> = dataset.rows.iter().map(|row| row.item).collect();
        assert_eq!(users, [0, 1, 0, 0, 1, 0]);
        assert_eq!(items, [0, 0, 1, 2, 1, 3]);
    }

    #[test]
    fn an_id_described_twice_is_refused() {
        let mut builder = DatasetBuilder::default();
        builder.add_item(item("a")).unwrap();
        builder.add_user("u", Attributes::default()).unwrap();
        assert_eq!(builder.add_item(item("a")), Err(Repeated));
        assert_eq!(builder.add_user("u", Attributes::default()), Err(Repeated));
    }

    #[test]
    fn every_user_has_attributes_even_if_empty() {
        let mut builder = DatasetBuilder::default();
        builder.add_interaction("u", "i", 1.0, Timestamp::from_seconds(0));
        let dataset = builder.build();
        assert_eq!((dataset.users.len(), dataset.user_attributes.len()), (1, 1));
    }
}
