//! Lists of three origins, and the cost of exploring.

use crate::bandit::Belief;
use crate::bandit::Posterior;
use crate::bandit::RankerPrior;
use crate::domain::ListOrigin;
use crate::models::hybrid::FeatureMatrix;
use crate::ranking::choose::tests::propensities::assert_frequencies;
use crate::ranking::choose::tests::*;
use crate::ranking::prior::RANKER_DIMENSION;

const BASELINE: [usize; 4] = [3, 0, 5, 8];
const POPULAR: [usize; 10] = [3, 2, 1, 0, 4, 5, 6, 7, 8, 9];
const CHANCES: [f64; 3] = [0.5, 0.3, 0.2];

fn scores() -> Vec<f64> {
    (0..10).map(|n| if n % 2 == 0 { 1.0 } else { 0.5 } - f64::from(n) / 100.0).collect()
}

/// A list whose origin is drawn, too.
fn contested(choice: &Choice, key: u32, pins: &[Pin], excluded: &[usize]) -> ChosenList {
    let (entries, terms) = world(10);
    let candidates = candidates(&entries, &terms);
    let (scores, exploration) = (scores(), Exploration::default());
    let slate = Slate { pins, excluded, ..slate(&candidates, &scores, &exploration) };
    let mut rng = seed::stream(1, seed::Purpose::Takeover, &key.to_le_bytes());
    let drawn = seed::unit(&mut rng);
    let origin = ListOrigin::ALL[usize::from(drawn >= 0.5) + usize::from(drawn >= 0.8)];
    let orders = Orders { drawn: origin, chances: CHANCES, baseline: &BASELINE, popular: &POPULAR };
    choose(&slate, choice, Some(&orders), &mut rng)
}

#[test]
fn propensities_of_lists_of_all_origins_are_their_frequencies_under_every_strategy() {
    const DRAWS: u32 = 20_000;
    for strategy in Strategy::ALL {
        for diversity_weight in [0.0, 0.5] {
            let choice = Choice { strategy, positions: 2, diversity_weight, ..CHOICE };
            // They do not depend on the drawn origin.
            assert_frequencies(&format!("{strategy:?}"), DRAWS, |draw| {
                contested(&choice, draw, &[], &[]).chosen
            });
        }
    }
}

#[test]
fn pins_keep_their_positions_and_only_the_orders_show_excluded_candidates() {
    let choice = Choice { strategy: Strategy::EpsilonGreedy, epsilon: 1.0, positions: 3, ..CHOICE };
    let pins = [Pin { candidate: 9, position: 1 }];
    for draw in 0..500 {
        let list = contested(&choice, draw, &pins, &[0, 3]).chosen;
        assert_eq!((list[1].candidate, list[1].pinned), (9, true));
        let shown = order(&list);
        let ordered = shown[0] == 3;
        assert_eq!(ordered, shown.contains(&3), "{shown:?}");
        // After the first item of the two orders, the list cannot be the ranker's.
        let expected = if ordered { CHANCES[1] + CHANCES[2] } else { CHANCES[0] / 7.0 };
        assert!((list[0].propensity - expected).abs() < 1e-9, "{list:?}");
    }
}

fn costs<'a>(
    belief: &'a Belief,
    vectors: &'a FeatureMatrix,
    estimates: &'a [f64],
    left: Option<f64>,
) -> Costs<'a> {
    Costs { estimates, added: Vec::new(), belief, vectors, effects: &[], left, widest: 0.1 }
}

fn spending(choice: &Choice, key: u32, left: Option<f64>) -> ChosenList {
    let (entries, terms) = world(10);
    let candidates = candidates(&entries, &terms);
    let (scores, exploration) = (scores(), Exploration::default());
    let belief = Posterior::new(RANKER_DIMENSION).solve(&RankerPrior::even(RANKER_DIMENSION, 50.0));
    let features = FeatureMatrix::zeros(10, RANKER_DIMENSION);
    let costs = costs(&belief, &features, &scores, left);
    let slate = Slate { costs: Some(&costs), ..slate(&candidates, &scores, &exploration) };
    let key = key.to_le_bytes();
    choose(&slate, choice, None, &mut seed::stream(1, seed::Purpose::Choose, &key))
}

#[test]
fn exploring_costs_the_expected_reward_of_greedy_choices_minus_its_own() {
    let choice = Choice { strategy: Strategy::EpsilonGreedy, epsilon: 0.5, ..CHOICE };
    let scores = scores();
    let mut explored = 0;
    for key in 0..200 {
        let list = spending(&choice, key, None);
        let mut left: Vec<usize> = (0..10).collect();
        let mut cost = 0.0;
        for chosen in order(&list.chosen) {
            let best = left.iter().copied().max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            // The vectors are equal: the difference is certain.
            cost += scores[best.unwrap()] - scores[chosen];
            left.retain(|one| *one != chosen);
        }
        assert!((list.cost - cost).abs() < 1e-9, "{} {cost}", list.cost);
        explored += u32::from(cost > 0.0);
    }
    assert!(explored > 100, "{explored}");
    assert_eq!(spending(&CHOICE, 1, None).cost, 0.0);
}

#[test]
fn an_allowance_is_never_exceeded_and_without_a_rest_the_choice_is_greedy() {
    for strategy in Strategy::ALL {
        let choice = Choice { strategy, epsilon: 0.9, ..CHOICE };
        for key in 0..200 {
            let none = spending(&choice, key, Some(0.0));
            let greedy = spending(&CHOICE, key, None);
            assert_eq!(none.chosen, greedy.chosen, "{strategy:?}");
            // Enough for one position of the greatest cost.
            let some = spending(&choice, key, Some(1.0));
            assert!(some.cost <= 1.0, "{strategy:?}: {}", some.cost);
        }
    }
    let choice = Choice { strategy: Strategy::EpsilonGreedy, epsilon: 0.9, ..CHOICE };
    let spent = |left| (0..200).map(|key| spending(&choice, key, left).cost).sum::<f64>();
    assert!(spent(Some(1.0)) > 0.0 && spent(Some(1.0)) < spent(None));
}

#[test]
fn uncertainty_of_the_difference_counts_as_cost() {
    let belief = Posterior::new(RANKER_DIMENSION).solve(&RankerPrior::even(RANKER_DIMENSION, 50.0));
    let mut rows = [0.0; 2 * RANKER_DIMENSION];
    rows[RANKER_DIMENSION + 2] = 1.0;
    let features = FeatureMatrix::from_rows(rows.chunks_exact(RANKER_DIMENSION));
    let costs = costs(&belief, &features, &[0.5, 0.5], None);
    let mut gate = allowance::Gate::new(Some(&costs));
    gate.note(1, 0);
    let mut deviation = Vec::new();
    belief.deviations(std::iter::once(&rows[RANKER_DIMENSION..]), &mut deviation);
    assert!(deviation[0] > 0.0);
    assert!((gate.spent() / deviation[0] - 1.645).abs() < 1e-3, "{}", gate.spent());
}
