//! Effects of items in simulated environments.

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;

use crate::bandit::item_effects::*;
use crate::seed;
use crate::seed::Purpose;

fn random(number: u64) -> ChaCha8Rng {
    seed::stream(number, Purpose::Choose, b"effects")
}

/// Shows an item once. Its score is `base` plus its own effect; it is rewarded at this rate.
fn show(effects: &mut ItemEffects, rng: &mut ChaCha8Rng, key: u64, base: f64, rate: f64) {
    let base = effects.base(key, base + effects.of(key).mean);
    effects.add_impression(key, base, Weight::FULL);
    if seed::unit(rng) < rate {
        effects.change_reward(key, base, (0.0, 1.0), Weight::FULL);
    }
}

#[test]
fn an_unknown_item_is_the_least_certain_and_evidence_reduces_uncertainty() {
    let (mut effects, mut rng) = (ItemEffects::default(), random(1));
    (0..10_000).for_each(|_| show(&mut effects, &mut rng, 1, 0.05, 0.05));
    (0..100).for_each(|_| show(&mut effects, &mut rng, 2, 0.05, 0.05));
    let variance = |key| effects.of(key).variance;
    assert!(variance(1) < variance(2) && variance(2) < variance(3));
    assert!(variance(3) > 20.0 * variance(1), "{} against {}", variance(3), variance(1));
    assert_eq!(effects.of(3), effects.of_unknown());
}

#[test]
fn items_that_earn_more_or_less_than_predicted_are_told_apart() {
    let (mut effects, mut rng) = (ItemEffects::default(), random(2));
    let rate = |key: u64| 0.02 + 0.01 * (key % 7) as f64;
    for round in 0..70_000_u64 {
        show(&mut effects, &mut rng, round % 70, 0.05, rate(round % 70));
        effects.tick(0, round);
    }
    let found: Vec<f64> = (0..70).map(|key| effects.of(key).mean).collect();
    let group = |of: u64| found.iter().skip(of as usize).step_by(7).sum::<f64>() / 10.0;
    for of in 0..7 {
        // Relative to the mean of all: the ranker learns what is common.
        let expected = 0.01 * (of as f64 - 3.0);
        assert!((group(of) - expected).abs() < 0.008, "{of}: {} of {expected}", group(of));
    }
    assert!((0.01..0.03).contains(&effects.common.spread), "{}", effects.common.spread);
}

#[test]
fn a_prediction_that_is_wrong_for_all_items_changes_no_effect() {
    let (mut effects, mut rng) = (ItemEffects::default(), random(3));
    for round in 0..20_000_u64 {
        show(&mut effects, &mut rng, round % 20, 0.05, 0.005);
        effects.tick(0, round / 5);
    }
    let means: Vec<f64> = (0..20).map(|key| effects.of(key).mean).collect();
    // Without `c` it would be -.045 of each.
    assert!(means.iter().all(|mean| mean.abs() < 0.01), "{means:?}");
}

#[test]
fn evidence_fades_by_the_half_life_and_another_half_life_changes_nothing_at_once() {
    let (mut effects, mut rng) = (ItemEffects::default(), random(4));
    (0..1_000).for_each(|_| show(&mut effects, &mut rng, 1, 0.05, 0.5));
    let impressions = |effects: &ItemEffects| effects.rows[0].at(&effects.common).impressions;
    (1..=1_600).for_each(|decision| effects.tick(1_600, decision));
    assert!((impressions(&effects) - 500.0).abs() < 10.0, "{}", impressions(&effects));
    let before = impressions(&effects);
    effects.tick(16, 1_600);
    assert!((impressions(&effects) - before).abs() < 1e-9);
    (1_601..=1_616).for_each(|decision| effects.tick(16, decision));
    assert!((impressions(&effects) - before / 2.0).abs() < 10.0);
    effects.tick(0, 1_616);
    (1_617..=9_000).for_each(|decision| effects.tick(0, decision));
    assert!(impressions(&effects) > before / 2.0 - 10.0);
}

#[test]
fn a_presumed_impression_is_taken_back() {
    let mut effects = ItemEffects::default();
    let base = effects.base(1, 0.3);
    effects.add_impression(1, base, Weight::FULL);
    let before = (effects.of(1), effects.common);
    effects.add_impression(1, base, Weight::new(0.4));
    effects.remove_impression(1, base, Weight::new(0.4));
    let after = effects.of(1);
    assert!((after.mean - before.0.mean).abs() < 1e-12);
    assert!((after.variance - before.0.variance).abs() < 1e-12);
}

#[test]
fn the_table_is_bounded_and_items_with_much_evidence_stay() {
    const MOST: usize = 1_000;
    let mut effects = ItemEffects::default();
    let mut keys = random(6);
    let known: Vec<u64> = (0..200).map(|_| seed::below(&mut keys, usize::MAX) as u64).collect();
    for &key in &known {
        effects.make_row(key, MOST);
        (0..20).for_each(|_| effects.add_impression(key, 0.05, Weight::FULL));
    }
    for _ in 0..10_000 {
        let key = seed::below(&mut keys, usize::MAX) as u64;
        effects.make_row(key, MOST);
        effects.add_impression(key, 0.05, Weight::FULL);
    }
    assert_eq!(effects.rows.len(), MOST);
    assert!(known.iter().all(|key| effects.find(*key).is_some()));
    let found = effects.rows.iter().filter(|row| effects.find(row.key).is_some()).count();
    assert!(found == MOST && effects.is_whole());
}

#[test]
fn a_new_item_is_tried_after_a_hundred_thousand_impressions_of_others() {
    const ITEMS: u64 = 50;
    let (mut effects, mut rng) = (ItemEffects::default(), random(7));
    for round in 0..100_000 {
        show(&mut effects, &mut rng, round % ITEMS, 0.05, 0.05);
        effects.tick(0, round / 10);
    }
    let known = (0..ITEMS).map(|item| effects.of(item).variance).fold(0.0, f64::max);
    assert!(effects.of(ITEMS).variance > 2.0 * known, "{:?} {known}", effects.of(ITEMS));
    // Thompson sampling of lists of three.
    let mut normal = move || (0..12).map(|_| seed::unit(&mut rng)).sum::<f64>() - 6.0;
    let mut lists = 0;
    for _ in 0..1_000 {
        let mut draw = |item| {
            let ItemEffect { mean, variance } = effects.of(item);
            mean + variance.sqrt() * normal()
        };
        let own = draw(ITEMS);
        let better = (0..ITEMS).filter(|item| draw(*item) > own).count();
        lists += usize::from(better < 3);
    }
    // An even share would show it in 59 of them.
    assert!(lists > 59, "in {lists} of 1,000 lists");
}

/// 300 candidates whose relevance the scores predict in part; NDCG at 20 by rank.
fn ndcg(scores: &[f64], relevance: &[f64]) -> f64 {
    let discounted = |order: &[usize]| -> f64 {
        let gain = |(rank, &item): (usize, &usize)| {
            relevance[item] / crate::numeric::math::log2(rank as f64 + 2.0)
        };
        order.iter().take(20).enumerate().map(gain).sum()
    };
    let by = |values: &[f64]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        order
    };
    discounted(&by(scores)) / discounted(&by(relevance))
}

#[test]
fn drawing_effects_of_items_without_evidence_costs_little_ndcg() {
    let mut rng = random(5);
    let mut normal = move || (0..12).map(|_| seed::unit(&mut rng)).sum::<f64>() - 6.0;
    let effect = ItemEffects::default().of_unknown();
    // As by default: Thompson sampling draws with three tenths of a deviation.
    let width = 0.3 * effect.variance.sqrt();
    let (mut greedy, mut drawn) = (0.0, 0.0);
    for _ in 0..200 {
        let scores: Vec<f64> = (0..300).map(|_| 0.05 + 0.05 * normal()).collect();
        let relevance: Vec<f64> =
            scores.iter().map(|score| f64::from(u8::from(score + 0.1 * normal() > 0.25))).collect();
        if relevance.iter().sum::<f64>() > 0.0 {
            greedy += ndcg(&scores, &relevance);
            let draws: Vec<f64> = scores.iter().map(|score| score + width * normal()).collect();
            drawn += ndcg(&draws, &relevance);
        }
    }
    assert!(drawn > 0.97 * greedy, "{drawn} of {greedy}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_score_reward_or_weight_makes_a_number_that_is_not_finite(
        events in prop::collection::vec(
            (0..5_u64, any::<f64>(), any::<f32>(), any::<f32>(), any::<f64>(), 0..4_u8), 0..200),
        half_life in 0..100_u32,
    ) {
        let mut effects = ItemEffects::default();
        for (number, (key, score, from, to, weight, kind)) in events.into_iter().enumerate() {
            let base = effects.base(key, score);
            let weight = Weight::new(if weight.is_nan() { 0.5 } else { weight });
            match kind {
                0 => effects.add_impression(key, base, weight),
                1 => effects.remove_impression(key, base, weight),
                2 => effects.change_reward(key, base, (from, to), weight),
                _ => effects.tick(half_life, number as u64 * 4_096),
            }
            let ItemEffect { mean, variance } = effects.of(key);
            prop_assert!(mean.is_finite() && variance.is_finite() && variance > 0.0);
            prop_assert!(effects.is_whole());
        }
    }
}
