//! What differs between a recorded decision and the same one worked out again.

use crate::domain::Decision;

/// A sentence for each difference; floats are compared by their bits.
pub fn differences(recorded: &Decision, redone: &Decision) -> Vec<String> {
    let mut found = Vec::new();
    let mut tell = |what: &str, recorded: String, redone: String| {
        if recorded != redone {
            found.push(format!("{what}: recorded {recorded}, now {redone}"));
        }
    };
    let (before, now) = (recorded, redone);
    tell("model version", before.model_version.to_string(), now.model_version.to_string());
    tell("number of candidates", before.candidates.to_string(), now.candidates.to_string());
    tell("places", before.shown.len().to_string(), now.shown.len().to_string());
    for (place, (before, now)) in before.shown.iter().zip(&now.shown).enumerate() {
        let at = |what: &str| format!("{what} at place {place}");
        tell(&at("item"), before.item_id.to_string(), now.item_id.to_string());
        tell(&at("score"), exact(before.score), exact(now.score));
        tell(&at("propensity"), exact(before.propensity), exact(now.propensity));
        let features = before.features.iter().zip(&now.features);
        let differing = features.filter(|(one, other)| one.to_bits() != other.to_bits()).count();
        let lengths = before.features.len().abs_diff(now.features.len());
        tell(&at("differing features"), "none".to_owned(), counted(differing + lengths));
    }
    tell("exploration cost", exact(before.exploration_cost), exact(now.exploration_cost));
    tell("the trial", format!("{:?}", before.trial), format!("{:?}", now.trial));
    if let (Some(before), Some(now)) = (&before.detail, &now.detail) {
        let pairs = before.candidates.iter().zip(now.candidates.iter());
        let differing = pairs.enumerate().find(|(_, ((id, score), (other_id, other)))| {
            id != other_id || score.to_bits() != other.to_bits()
        });
        if let Some((place, ((id, score), (other_id, other)))) = differing {
            let (before, now) = (format!("{id} {}", exact(score)), exact(other));
            tell(&format!("candidate {place}"), before, format!("{other_id} {now}"));
        }
        let (mut before, mut now) = ((**before).clone(), (**now).clone());
        (before.candidates, now.candidates) = Default::default();
        tell("the call", format!("{before:?}"), format!("{now:?}"));
    }
    found
}

fn counted(number: usize) -> String {
    if number == 0 { "none".to_owned() } else { number.to_string() }
}

/// A float such that different bits give different texts.
fn exact(value: f32) -> String {
    format!("{value:?} ({:08x})", value.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DecisionId;
    use crate::domain::ItemId;
    use crate::domain::ShownItem;
    use crate::domain::Strategy;
    use crate::domain::Timestamp;
    use crate::domain::UserId;

    fn decision() -> Decision {
        let shown = |item: &str| ShownItem {
            item_id: ItemId::parse(item).unwrap(),
            score: 0.25,
            propensity: 0.5,
            features: vec![1.0, 0.5],
        };
        Decision {
            decision_id: DecisionId::parse("d").unwrap(),
            user_id: UserId::parse("u").unwrap(),
            decided_at: Timestamp::from_seconds(1),
            strategy: Strategy::EpsilonGreedy,
            epsilon: 0.1,
            segment: 0,
            model_version: 3,
            watermark: 9,
            candidates: 2,
            shown: vec![shown("a"), shown("b")],
            exploration_cost: 0.0,
            trial: None,
            detail: None,
        }
    }

    #[test]
    fn the_same_bits_differ_in_nothing() {
        assert_eq!(differences(&decision(), &decision()), Vec::<String>::new());
    }

    #[test]
    fn each_bit_that_differs_is_told_with_its_place() {
        let mut redone = decision();
        redone.shown[1].score = f32::from_bits(redone.shown[1].score.to_bits() + 1);
        redone.shown[0].propensity = -0.5;
        redone.shown[0].features[1] = -0.0;
        redone.model_version = 4;
        let told = differences(&decision(), &redone);
        let starts: Vec<&str> = told.iter().map(|one| one.split(':').next().unwrap()).collect();
        let expected = [
            "model version",
            "propensity at place 0",
            "differing features at place 0",
            "score at place 1",
        ];
        assert_eq!(starts, expected);
    }

    #[test]
    fn a_zero_of_the_other_sign_is_a_difference() {
        let (mut before, mut now) = (decision(), decision());
        (before.shown[0].score, now.shown[0].score) = (0.0, -0.0);
        assert_eq!(differences(&before, &now).len(), 1);
    }
}
