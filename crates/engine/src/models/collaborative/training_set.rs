//! The observations to train on: users by items, sparse, with a confidence each.
//!
//! Invariants (checked on construction): every item is below `n_items`; a user has an item at most once; every
//! confidence is finite and not zero. A negative one is a negative example: target 0 instead of 1, with its
//! absolute value. So a training set always gives positive definite normal equations.

use std::fmt;

/// Observations in compressed rows (one row per user).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrainingSet {
    n_users: usize,
    n_items: usize,
    /// Row u is `offsets[u]..offsets[u + 1]` of the two arrays below.
    offsets: Vec<usize>,
    items: Vec<u32>,
    confidences: Vec<f32>,
}

/// Why observations were rejected.
#[derive(Debug, Clone, PartialEq)]
pub enum InvalidTrainingSet {
    /// More users or items than a u32 can number.
    TooLarge,
    /// The item is not below the number of items.
    ItemOutOfRange { user: usize, item: u32 },
    /// The user has the item twice.
    DuplicateItem { user: usize, item: u32 },
    /// The confidence is not finite or zero.
    Confidence { user: usize, item: u32, confidence: f32 },
}

impl fmt::Display for InvalidTrainingSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "more rows than can be numbered"),
            Self::ItemOutOfRange { user, item } => {
                write!(f, "user row {user}: item {item} is out of range")
            }
            Self::DuplicateItem { user, item } => {
                write!(f, "user row {user}: item {item} occurs twice")
            }
            Self::Confidence { user, item, confidence } => {
                write!(
                    f,
                    "user row {user}: item {item}: confidence {confidence} is zero or no number"
                )
            }
        }
    }
}

impl std::error::Error for InvalidTrainingSet {}

impl TrainingSet {
    /// Builds the set from one (item, confidence) list per user; the order inside a list does not matter to the result
    /// of training beyond rounding.
    pub fn from_rows(n_items: usize, rows: &[Vec<(u32, f32)>]) -> Result<Self, InvalidTrainingSet> {
        if u32::try_from(n_items).is_err() || u32::try_from(rows.len()).is_err() {
            return Err(InvalidTrainingSet::TooLarge);
        }
        let total = rows.iter().map(Vec::len).sum();
        let mut set = Self {
            n_users: rows.len(),
            n_items,
            offsets: Vec::with_capacity(rows.len() + 1),
            items: Vec::with_capacity(total),
            confidences: Vec::with_capacity(total),
        };
        set.offsets.push(0);
        // last_user[item] = the last row that had the item, plus one: finds duplicates without hashing or sorting.
        let mut last_user = vec![0_usize; n_items];
        for (user, row) in rows.iter().enumerate() {
            for &(item, confidence) in row {
                let Some(last) = last_user.get_mut(item as usize) else {
                    return Err(InvalidTrainingSet::ItemOutOfRange { user, item });
                };
                if std::mem::replace(last, user + 1) == user + 1 {
                    return Err(InvalidTrainingSet::DuplicateItem { user, item });
                }
                if !confidence.is_finite() || confidence == 0.0 {
                    return Err(InvalidTrainingSet::Confidence { user, item, confidence });
                }
                set.items.push(item);
                set.confidences.push(confidence);
            }
            set.offsets.push(set.items.len());
        }
        Ok(set)
    }

    #[must_use]
    pub fn n_users(&self) -> usize {
        self.n_users
    }

    #[must_use]
    pub fn n_items(&self) -> usize {
        self.n_items
    }

    /// The number of observations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items and confidences of one user.
    #[must_use]
    pub fn row(&self, user: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[user]..self.offsets[user + 1];
        (&self.items[range.clone()], &self.confidences[range])
    }

    /// The number of observations of one user.
    #[must_use]
    pub fn row_len(&self, user: usize) -> usize {
        self.offsets[user + 1] - self.offsets[user]
    }

    /// The same observations with the roles exchanged: one row per item, users ascending.
    #[must_use]
    pub(crate) fn transposed(&self) -> Self {
        let mut offsets = vec![0_usize; self.n_items + 1];
        for &item in &self.items {
            offsets[item as usize + 1] += 1;
        }
        for at in 1..offsets.len() {
            offsets[at] += offsets[at - 1];
        }
        let mut next = offsets.clone();
        let mut items = vec![0_u32; self.len()];
        let mut confidences = vec![0.0_f32; self.len()];
        for user in 0..self.n_users {
            let (row_items, row_confidences) = self.row(user);
            for (&item, &confidence) in row_items.iter().zip(row_confidences) {
                let at = &mut next[item as usize];
                items[*at] = user as u32;
                confidences[*at] = confidence;
                *at += 1;
            }
        }
        Self { n_users: self.n_items, n_items: self.n_users, offsets, items, confidences }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_twice_gives_the_set_back() {
        let rows = vec![vec![(0, 1.0), (2, 2.0)], vec![], vec![(1, 0.5), (2, 3.0)]];
        let set = TrainingSet::from_rows(4, &rows).unwrap();
        let turned = set.transposed();
        assert_eq!(turned.row(2), (&[0_u32, 2][..], &[2.0_f32, 3.0][..]));
        assert_eq!(turned.row_len(3), 0);
        assert_eq!(turned.transposed(), set);
    }

    #[test]
    fn bad_observations_are_rejected_with_their_position() {
        let error_of = |rows: &[Vec<(u32, f32)>]| TrainingSet::from_rows(2, rows).unwrap_err();
        let duplicate = InvalidTrainingSet::DuplicateItem { user: 1, item: 0 };
        assert_eq!(error_of(&[vec![(0, 1.0)], vec![(0, 1.0), (0, 1.0)]]), duplicate);
        let outside = InvalidTrainingSet::ItemOutOfRange { user: 0, item: 2 };
        assert_eq!(error_of(&[vec![(2, 1.0)]]), outside);
        for confidence in [0.0, f32::NAN, f32::INFINITY] {
            let error = error_of(&[vec![(1, confidence)]]);
            assert!(matches!(error, InvalidTrainingSet::Confidence { user: 0, item: 1, .. }));
        }
    }

    #[test]
    fn empty_sets_are_sets() {
        let set = TrainingSet::from_rows(0, &[]).unwrap();
        assert!(set.is_empty() && set.transposed().is_empty());
    }
}
