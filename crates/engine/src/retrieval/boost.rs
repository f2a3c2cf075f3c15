//! Scores raised or lowered by the caller's rules.
//!
//! A boost adds to the score of its target items, or multiplies it. Several factors multiply
//! and several addends add up: `score' = score + |score| (f_1 f_2 .. - 1) + a_1 + a_2 ..`. With
//! the absolute value, a factor above 1 also raises negative scores.

use crate::domain::Item;
use crate::domain::Timestamp;
use crate::domain::limits;
use crate::expression::Expression;
use crate::expression::Subject;

/// The items of a boost.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    Item(Box<str>),
    Topic(Box<str>),
    Source(Box<str>),
    Matching(Expression),
}

/// The change of their scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    Add(f64),
    /// At least 0.
    Multiply(f64),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Boost {
    pub target: Target,
    pub change: Change,
}

impl Boost {
    pub fn is_about(&self, item: &Item, now: Timestamp) -> bool {
        match &self.target {
            Target::Item(id) => **id == *item.item_id.as_str(),
            Target::Topic(topic) => item.topics.contains(topic),
            Target::Source(source) => item.source.as_ref() == Some(source),
            Target::Matching(expression) => expression.holds(Subject { item, now }),
        }
    }

    /// Most steps for one item, as expressions count them.
    pub fn cost(&self) -> usize {
        match &self.target {
            Target::Item(_) | Target::Source(_) => 1,
            Target::Topic(_) => limits::TOPICS,
            Target::Matching(expression) => expression.cost(),
        }
    }

    pub fn raises(&self) -> bool {
        match self.change {
            Change::Add(addend) => addend > 0.0,
            Change::Multiply(factor) => factor > 1.0,
        }
    }
}

/// What the boosts add to the score of an item.
pub fn boost(boosts: &[Boost], item: &Item, now: Timestamp, score: f64) -> f64 {
    let (mut factor, mut addend) = (1.0, 0.0);
    for boost in boosts.iter().filter(|boost| boost.is_about(item, now)) {
        match boost.change {
            Change::Add(more) => addend += more,
            Change::Multiply(by) => factor *= by,
        }
    }
    // 64 factors of 1,000 are finite, and so is their product with a score.
    score.abs() * (factor - 1.0) + addend
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ItemId;

    fn item() -> Item {
        Item {
            topics: vec!["jazz".into()],
            source: Some("blue".into()),
            ..Item::new(ItemId::parse("a").unwrap())
        }
    }

    fn boosted(boosts: &[(Target, Change)], score: f64) -> f64 {
        let boosts: Vec<Boost> = boosts
            .iter()
            .map(|(target, change)| Boost { target: target.clone(), change: *change })
            .collect();
        score + boost(&boosts, &item(), Timestamp::default(), score)
    }

    #[test]
    fn factors_multiply_and_addends_add_up_for_the_items_they_are_about() {
        let topic = || Target::Topic("jazz".into());
        let source = || Target::Source("blue".into());
        let two = [(topic(), Change::Multiply(2.0)), (source(), Change::Multiply(3.0))];
        assert_eq!(boosted(&two, 0.5), 3.0);
        let mixed = [(Target::Item("a".into()), Change::Add(0.25)), (topic(), Change::Add(-1.0))];
        assert_eq!(boosted(&mixed, 0.5), -0.25);
        let other = [(Target::Item("b".into()), Change::Add(9.0))];
        assert_eq!(boosted(&other, 0.5), 0.5);
    }

    #[test]
    fn a_factor_above_one_raises_a_negative_score_and_zero_takes_a_positive_one_away() {
        let times = |factor| [(Target::Topic("jazz".into()), Change::Multiply(factor))];
        assert_eq!(boosted(&times(2.0), -0.5), 0.0);
        assert_eq!(boosted(&times(0.0), 0.5), 0.0);
    }
}
