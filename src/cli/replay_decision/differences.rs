//! What differs between a recorded decision and the same one worked out again.

use engine::domain::CandidateScores;
use engine::domain::Decision;

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
    tell("positions", before.shown.len().to_string(), now.shown.len().to_string());
    for (position, (before, now)) in before.shown.iter().zip(&now.shown).enumerate() {
        let at = |what: &str| format!("{what} at position {position}");
        tell(&at("item"), before.item_id.to_string(), now.item_id.to_string());
        tell(&at("score"), exact(before.score), exact(now.score));
        tell(&at("propensity"), exact(before.propensity), exact(now.propensity));
        let features = before.features.iter().zip(&now.features);
        let differing = features.filter(|(one, other)| one.to_bits() != other.to_bits()).count();
        let lengths = before.features.len().abs_diff(now.features.len());
        tell(&at("differing features"), "none".to_owned(), counted(differing + lengths));
    }
    tell("exploration cost", exact(before.exploration_cost), exact(now.exploration_cost));
    tell("the page before", format!("{:?}", before.continues), format!("{:?}", now.continues));
    tell("the trial", format!("{:?}", before.trial), format!("{:?}", now.trial));
    if let (Some(before), Some(now)) = (&before.detail, &now.detail) {
        for (what, before, now) in of_candidates(&before.candidates, &now.candidates) {
            tell(&what, before, now);
        }
        let (mut before, mut now) = ((**before).clone(), (**now).clone());
        (before.candidates, now.candidates) = Default::default();
        tell("what was recorded with the request", format!("{before:?}"), format!("{now:?}"));
    }
    found
}

/// The first candidate that differs, and the first deviation: what, as recorded, as now.
fn of_candidates(
    before: &CandidateScores,
    now: &CandidateScores,
) -> impl Iterator<Item = (String, String, String)> {
    let scored = |candidates: &CandidateScores| {
        let pairs = candidates.ids().zip(candidates.scores());
        pairs.map(|(id, score)| format!("{id} {}", exact(*score))).collect::<Vec<_>>()
    };
    let deviations = |candidates: &CandidateScores| {
        candidates.deviations().iter().map(|one| exact(*one)).collect::<Vec<_>>()
    };
    let first = |what: &str, before: Vec<String>, now: Vec<String>| {
        let (recorded, redone) = (before.len(), now.len());
        if recorded != redone {
            return Some((format!("{what}s"), recorded.to_string(), redone.to_string()));
        }
        let mut pairs = before.into_iter().zip(now).enumerate();
        let differing = pairs.find(|(_, (before, now))| before != now);
        differing.map(|(position, (before, now))| (format!("{what} {position}"), before, now))
    };
    let candidate = first("candidate", scored(before), scored(now));
    let deviation = first("deviation", deviations(before), deviations(now));
    candidate.into_iter().chain(deviation)
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
    use engine::domain::DecisionId;
    use engine::domain::FeatureLayout;
    use engine::domain::ItemId;
    use engine::domain::ShownItem;
    use engine::domain::Strategy;
    use engine::domain::Timestamp;
    use engine::domain::UserId;

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
            layout: FeatureLayout::default(),
            model_version: 3,
            watermark: 9,
            candidates: 2,
            shown: vec![shown("a"), shown("b")],
            exploration_cost: 0.0,
            trial: None,
            assignments: Vec::new(),
            division: None,
            continues: None,
            detail: None,
        }
    }

    #[test]
    fn the_same_bits_differ_in_nothing() {
        assert_eq!(differences(&decision(), &decision()), Vec::<String>::new());
    }

    #[test]
    fn each_bit_that_differs_is_reported_with_its_position() {
        let mut redone = decision();
        redone.shown[1].score = f32::from_bits(redone.shown[1].score.to_bits() + 1);
        redone.shown[0].propensity = -0.5;
        redone.shown[0].features[1] = -0.0;
        redone.model_version = 4;
        let told = differences(&decision(), &redone);
        let starts: Vec<&str> = told.iter().map(|one| one.split(':').next().unwrap()).collect();
        let expected = [
            "model version",
            "propensity at position 0",
            "differing features at position 0",
            "score at position 1",
        ];
        assert_eq!(starts, expected);
    }

    #[test]
    fn a_zero_of_the_other_sign_is_a_difference() {
        let (mut before, mut now) = (decision(), decision());
        (before.shown[0].score, now.shown[0].score) = (0.0, -0.0);
        assert_eq!(differences(&before, &now).len(), 1);
    }

    fn scores(deviations: &[(&str, f32)]) -> CandidateScores {
        let mut candidates = CandidateScores::default();
        deviations.iter().for_each(|(id, deviation)| candidates.push(id, 0.5, *deviation));
        candidates
    }

    #[test]
    fn the_first_candidate_and_the_first_deviation_that_differ_are_reported() {
        let before = scores(&[("a", 0.1), ("b", 0.2)]);
        let told = |now: &[(&str, f32)]| {
            of_candidates(&before, &scores(now)).map(|one| one.0).collect::<Vec<_>>()
        };
        assert_eq!(told(&[("a", 0.1), ("b", 0.2)]), Vec::<String>::new());
        assert_eq!(told(&[("a", 0.1), ("b", 0.3)]), ["deviation 1"]);
        assert_eq!(told(&[("a", 0.1)]), ["candidates", "deviations"]);
        assert_eq!(told(&[("a", 0.0), ("c", 0.2)]), ["candidate 1", "deviation 0"]);
    }
}
