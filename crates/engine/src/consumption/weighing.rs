//! The weight of each item of a history as an example of the matrix factorization.
//!
//! One rule serves training and fold-in, so users are folded in as they were trained. A weight
//! above 0 is a positive (target 1). A weight below 0 is a negative (target 0) of its absolute
//! value.
//!
//! - The weight is the net evidence of the consumption.
//! - With a half-life, an example counts less the older it is than the newest of the same user,
//!   down to a tenth.
//! - What is of the taste of before a change keeps a fiftieth.
//! - Where users return to items, the n-th session adds by the logarithm.

use crate::columns::index::ItemIndex;
use crate::consumption::Consumption;
use crate::consumption::History;
use crate::domain::Timestamp;
use crate::models::decay::decay;
use crate::models::weighing::Weighing;
use crate::numeric::math;

/// Newest examples of a user.
pub const EXAMPLES_MAX: usize = 500;
/// What the oldest example keeps of its weight.
const OLD_TASTE: f32 = 0.1;
/// What an example of before a change of taste keeps of its weight.
pub const OUTGROWN: f32 = 0.02;

impl Weighing {
    /// Items with signed weights, the newest first, at most [`EXAMPLES_MAX`].
    pub fn examples(&self, history: &History) -> Vec<(ItemIndex, f32)> {
        let entries = history.entries();
        let mut newest = None;
        let mut examples = Vec::with_capacity(entries.len().min(EXAMPLES_MAX));
        for entry in entries.iter().rev() {
            let net = entry.net();
            if net > 0.0 || self.negatives && net < 0.0 {
                let newest = *newest.get_or_insert(entry.at());
                let left = if history.is_outgrown(entry) { OUTGROWN } else { 1.0 };
                examples.push((entry.item, left * self.weight(entry, newest)));
                if examples.len() == EXAMPLES_MAX {
                    break;
                }
            }
        }
        examples
    }

    fn weight(&self, entry: &Consumption, newest: Timestamp) -> f32 {
        let mut weight = entry.net();
        if self.half_life_hours > 0.0 {
            let left = decay(entry.at(), newest, self.half_life_hours);
            weight *= OLD_TASTE + (1.0 - OLD_TASTE) * left;
        }
        if self.repeats && entry.sessions() > 1 {
            weight *= 1.0 + math::ln(f64::from(entry.sessions())) as f32;
        }
        weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumption::Evidence;
    use crate::domain::InteractionType;

    fn history() -> History {
        let mut history = History::default();
        for (item, kind, confidence, day) in [
            (1, InteractionType::Like, 2.0, 0),
            (2, InteractionType::Dislike, -1.0, 1),
            (3, InteractionType::Click, 1.0, 2),
            (1, InteractionType::Like, 2.0, 3),
        ] {
            let at = Timestamp::from_seconds((day + 1) * 86_400);
            let event = Evidence { kind, confidence, at };
            history.put(history.folded(ItemIndex::new(item), &event, 4 * 3_600).0);
        }
        history
    }

    fn examples(weighing: Weighing, withheld: usize) -> Vec<(u32, f32)> {
        let examples = weighing.examples(&history().without_newest(withheld)).into_iter();
        examples.map(|(item, weight)| (item.get(), weight)).collect()
    }

    #[test]
    fn dislikes_are_negative_examples_unless_they_are_left_out() {
        let with = examples(Weighing::default(), 0);
        assert_eq!(with, [(1, 2.0), (3, 1.0), (2, -1.0)]);
        let without = Weighing { negatives: false, ..Weighing::default() };
        assert_eq!(examples(without, 0), [(1, 2.0), (3, 1.0)]);
    }

    #[test]
    fn age_and_repetition_change_the_weight_as_documented() {
        let weighing = Weighing { half_life_hours: 24.0, negatives: false, repeats: true };
        let examples = examples(weighing, 0);
        let twice = 2.0 * (1.0 + 2.0_f32.ln());
        assert!((examples[0].1 - twice).abs() < 1e-6);
        assert!((examples[1].1 - 0.55).abs() < 1e-6);
    }

    #[test]
    fn withholding_a_positive_withholds_everything_after_it_but_earlier_uses() {
        // Item 1 was liked on the first day, too.
        assert_eq!(examples(Weighing::default(), 1), [(3, 1.0), (2, -1.0), (1, 2.0)]);
        assert_eq!(examples(Weighing::default(), 2), [(2, -1.0), (1, 2.0)]);
    }
}
