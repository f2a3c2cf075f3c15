//! Scores raised or lowered by the rules of the caller and of the user.
//!
//! A boost adds to the score of its target items, or multiplies it. Several factors multiply
//! and several addends add up: `score' = score + |score| (f_1 f_2 .. - 1) + a_1 + a_2 ..`. With
//! the absolute value, a factor above 1 also raises negative scores.

use crate::domain::Item;
use crate::domain::Rule;
use crate::domain::RuleTarget;
use crate::domain::ScoreChange;
use crate::domain::Timestamp;
use crate::domain::UserRules;
use crate::domain::limits;
use crate::expression::Expression;
use crate::expression::Subject;

/// What a mute does. The factor acts on scores of any size; the addend puts items near 0, where
/// little is known, behind others: two standard deviations of the scores of a new namespace.
const MUTE: [ScoreChange; 2] = [ScoreChange::Multiply(0.25), ScoreChange::Add(-0.1)];

/// The items of a boost.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    Item(Box<str>),
    Topic(Box<str>),
    Source(Box<str>),
    Matching(Expression),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Boost {
    pub target: Target,
    pub change: ScoreChange,
}

impl Boost {
    pub fn is_about(&self, item: &Item, now: Timestamp) -> bool {
        match &self.target {
            Target::Item(id) => **id == *item.item_id.as_str(),
            Target::Topic(topic) => item.topics.contains(topic),
            Target::Source(source) => item.source.as_ref() == Some(source),
            Target::Matching(expression) => expression.holds(Subject::item(item, now)),
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
            ScoreChange::Add(addend) => addend > 0.0,
            ScoreChange::Multiply(factor) => factor > 1.0,
        }
    }

    pub fn lowers(&self) -> bool {
        match self.change {
            ScoreChange::Add(addend) => addend < 0.0,
            ScoreChange::Multiply(factor) => factor < 1.0,
        }
    }
}

/// The mutes and boosts of a user that hold at a moment.
pub fn user_boosts(rules: &UserRules, now: Timestamp) -> Vec<Boost> {
    let mutes = rules.mutes.entries().iter().filter(|mute| mute.holds_at(now));
    let mutes = mutes.flat_map(|mute| MUTE.map(|change| (&mute.target, change)));
    let boosts = rules.boosts.entries().iter().filter(|boost| boost.holds_at(now));
    let boosts = boosts.map(|boost| (&boost.target, boost.change));
    let boost = |(target, change): (&RuleTarget, ScoreChange)| {
        let target = match target {
            RuleTarget::Item(id) => Target::Item(id.clone()),
            RuleTarget::Topic(topic) => Target::Topic(topic.clone()),
            RuleTarget::Source(source) => Target::Source(source.clone()),
        };
        Boost { target, change }
    };
    mutes.chain(boosts).map(boost).collect()
}

/// Factors and addends of all boosts of an item together go up to this: scores are recorded as
/// numbers of 32 bits, and stay finite.
const CHANGE_MAX: f64 = 1e6;

/// What the boosts add to the score of an item.
pub fn boost(boosts: &[Boost], item: &Item, now: Timestamp, score: f64) -> f64 {
    let (mut factor, mut addend) = (1.0, 0.0);
    for boost in boosts.iter().filter(|boost| boost.is_about(item, now)) {
        match boost.change {
            ScoreChange::Add(more) => addend += more,
            ScoreChange::Multiply(by) => factor *= by,
        }
    }
    let addend = addend.clamp(-CHANGE_MAX, CHANGE_MAX);
    score.abs() * (factor.min(CHANGE_MAX) - 1.0) + addend
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

    fn boosted(boosts: &[(Target, ScoreChange)], score: f64) -> f64 {
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
        let two = [(topic(), ScoreChange::Multiply(2.0)), (source(), ScoreChange::Multiply(3.0))];
        assert_eq!(boosted(&two, 0.5), 3.0);
        let mixed =
            [(Target::Item("a".into()), ScoreChange::Add(0.25)), (topic(), ScoreChange::Add(-1.0))];
        assert_eq!(boosted(&mixed, 0.5), -0.25);
        let many = vec![(topic(), ScoreChange::Multiply(1_000.0)); 64];
        assert!(boosted(&many, 1.0) < 2e6 && boosted(&many, 1.0).is_finite());
        let other = [(Target::Item("b".into()), ScoreChange::Add(9.0))];
        assert_eq!(boosted(&other, 0.5), 0.5);
    }

    #[test]
    fn a_factor_above_one_raises_a_negative_score_and_zero_takes_a_positive_one_away() {
        let times = |factor| [(Target::Topic("jazz".into()), ScoreChange::Multiply(factor))];
        assert_eq!(boosted(&times(2.0), -0.5), 0.0);
        assert_eq!(boosted(&times(0.0), 0.5), 0.0);
    }
}
