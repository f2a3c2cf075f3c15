//! Which values a vector of features holds, and in which order.
//!
//! A feature has a number for ever: it is never given to another one. So vectors and sums of
//! an engine with other features can be read: common features are found by their numbers.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

/// The number of a feature.
pub type FeatureId = u16;

/// The features of a vector, by position. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureLayout(Arc<[FeatureId]>);

impl FeatureLayout {
    pub fn new(ids: impl IntoIterator<Item = FeatureId>) -> Self {
        Self(ids.into_iter().collect())
    }

    pub fn ids(&self) -> &[FeatureId] {
        &self.0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where each feature of this layout is in another one.
    pub fn positions_in(&self, other: &Self) -> Vec<Option<usize>> {
        let position = |id: &FeatureId| other.0.iter().position(|one| one == id);
        self.0.iter().map(position).collect()
    }

    /// A vector of another layout in this one: 0, "nothing known", for what it has not. Empty
    /// where it is no vector of that layout.
    pub fn aligned(&self, of: &Self, values: &[f32]) -> Vec<f32> {
        if values.len() != of.len() {
            return Vec::new();
        }
        if self == of {
            return values.to_vec();
        }
        let positions = self.positions_in(of).into_iter();
        positions.map(|position| position.map_or(0.0, |position| values[position])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_the_number_of_their_feature_and_not_by_position() {
        let (now, before) = (FeatureLayout::new([0, 7, 3]), FeatureLayout::new([0, 3, 5]));
        assert_eq!(now.aligned(&before, &[1.0, 2.0, 3.0]), [1.0, 0.0, 2.0]);
        assert_eq!(now.aligned(&now, &[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
        assert!(now.aligned(&before, &[1.0, 2.0]).is_empty());
        assert!(now.aligned(&before, &[]).is_empty());
    }
}
