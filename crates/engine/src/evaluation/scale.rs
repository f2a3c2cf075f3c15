//! From which value on an interaction is a positive, by default: a rule that
//! looks at the values alone.
//!
//! 1. No values, or one value throughout: every row is a positive.
//! 2. Nothing above 1 (likes, weights): every row above 0.
//! 3. The lowest value is more frequent than every other: these are counts (plays, visits,
//!    quantities), which fall off from the lowest; ratings lie mostly in
//!    the upper half. Every row above 0 is a positive.
//! 4. Nothing above 5, 10 or 100: ratings on that scale, positive from 4, 8 or 80 on.
//!    On a scale of which nothing lies above 3, its top alone.
//! 5. All else are counts.
//!
//! Zeros next to ratings that are more frequent than the lowest rating are no ratings but
//! stand for "not rated"; like a row without a value, such a row is a positive.

use std::collections::BTreeMap;

/// What the values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Every row says the same.
    Implicit,
    /// More is more often.
    Counts,
    Ratings,
}

/// How to read the values of a data set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    pub kind: Kind,
    /// A row with at least this value is a positive.
    pub positive: f32,
    /// Whether 0 means "not rated".
    pub zero_is_unrated: bool,
    /// Lowest above 0 and highest value; 1 without values.
    pub lowest: f32,
    pub highest: f32,
}

impl Scale {
    /// Tops of the scales that users rate on, and where good begins.
    const RATINGS: [(f32, f32); 3] = [(5.0, 4.0), (10.0, 8.0), (100.0, 80.0)];
    /// A scale that ends here has no space for degrees of good.
    const SHORT: f32 = 3.0;

    /// Reads the scale off finite values that are not negative.
    pub fn of(values: impl Iterator<Item = f32>) -> Self {
        // The bits of floats that are not negative are in their order.
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        for value in values {
            *counts.entry((value + 0.0).to_bits()).or_default() += 1;
        }
        let zeros = counts.remove(&0).unwrap_or(0);
        let (Some((&lowest, &of_lowest)), Some((&highest, _))) =
            (counts.first_key_value(), counts.last_key_value())
        else {
            return Self::plain(Kind::Implicit, 1.0, 1.0);
        };
        let of_others = counts.values().skip(1).max().copied().unwrap_or(0);
        let (lowest, highest) = (f32::from_bits(lowest), f32::from_bits(highest));
        if lowest == highest {
            return Self::plain(Kind::Implicit, lowest, highest);
        }
        if highest <= 1.0 || of_lowest > of_others {
            return Self::plain(Kind::Counts, lowest, highest);
        }
        let scale = Self::RATINGS.into_iter().find(|(top, _)| highest <= *top);
        let Some((_, good)) = scale else {
            return Self::plain(Kind::Counts, lowest, highest);
        };
        let positive = if highest <= Self::SHORT { highest } else { good };
        let zero_is_unrated = zeros > of_lowest;
        Self { kind: Kind::Ratings, positive, zero_is_unrated, lowest, highest }
    }

    /// Every row above zero is a positive.
    fn plain(kind: Kind, lowest: f32, highest: f32) -> Self {
        Self { kind, positive: lowest, zero_is_unrated: false, lowest, highest }
    }

    /// What was assumed, for a reader.
    pub fn describe(&self) -> String {
        let Self { positive, lowest, highest, .. } = self;
        match self.kind {
            Kind::Implicit => "no ratings: every row is a positive".to_owned(),
            Kind::Counts => format!(
                "values from {lowest} to {highest} taken for counts: every row of at least \
                 {positive} is a positive"
            ),
            Kind::Ratings => {
                let zeros = if self.zero_is_unrated { ", and so are unrated rows (0)" } else { "" };
                format!(
                    "values from {lowest} to {highest} taken for ratings: positive from \
                     {positive} on{zeros}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kind and the bound of values given as (value, how often).
    fn scale(values: &[(f32, usize)]) -> (Kind, f32) {
        let all = values.iter().flat_map(|&(value, n)| std::iter::repeat_n(value, n));
        let scale = Scale::of(all);
        (scale.kind, scale.positive)
    }

    #[test]
    fn ratings_are_good_in_the_upper_part_of_their_scale() {
        let stars = [(0.5, 1), (1.0, 2), (3.0, 20), (4.0, 26), (5.0, 13)];
        assert_eq!(scale(&stars), (Kind::Ratings, 4.0));
        assert_eq!(scale(&[(1.0, 3), (6.0, 5), (8.0, 9), (10.0, 8)]), (Kind::Ratings, 8.0));
        assert_eq!(scale(&[(1.0, 3), (50.0, 5), (70.0, 9), (95.0, 2)]), (Kind::Ratings, 80.0));
        assert_eq!(scale(&[(1.0, 3), (2.0, 4), (3.0, 9)]), (Kind::Ratings, 3.0));
    }

    #[test]
    fn what_falls_off_from_its_lowest_value_or_has_no_top_is_counts() {
        assert_eq!(scale(&[(1.0, 50), (2.0, 20), (5.0, 3)]), (Kind::Counts, 1.0));
        assert_eq!(scale(&[(1.0, 5), (7.0, 9), (352_698.0, 1)]), (Kind::Counts, 1.0));
        assert_eq!(scale(&[(0.1, 5), (0.2, 9), (1.0, 1)]), (Kind::Counts, 0.1));
        assert_eq!(scale(&[(0.0, 90), (1.0, 9), (2.0, 1)]), (Kind::Counts, 1.0));
    }

    #[test]
    fn one_value_throughout_or_none_is_implicit() {
        assert_eq!(scale(&[]), (Kind::Implicit, 1.0));
        assert_eq!(scale(&[(1.0, 9)]), (Kind::Implicit, 1.0));
        assert_eq!(scale(&[(0.0, 4), (1.0, 9)]), (Kind::Implicit, 1.0));
    }

    #[test]
    fn frequent_zeros_among_ratings_are_unrated_and_rare_ones_are_ratings() {
        let books = [(0.0, 60), (1.0, 1), (7.0, 8), (8.0, 10), (10.0, 7)];
        let read = |values: &[(f32, usize)]| {
            let all = values.iter().flat_map(|&(value, n)| std::iter::repeat_n(value, n));
            Scale::of(all)
        };
        assert!(read(&books).zero_is_unrated);
        assert!(read(&books).describe().contains("unrated rows"));
        assert!(!read(&[(0.0, 1), (1.0, 2), (4.0, 9), (5.0, 3)]).zero_is_unrated);
    }
}
