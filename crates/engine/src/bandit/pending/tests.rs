//! What is learnt from one decision, for events in any number and order.

use proptest::prelude::*;

use crate::bandit::pending::*;

struct World {
    ranker: Ranker,
    effects: ItemEffects,
    decision: PendingDecision,
}

fn world() -> World {
    let mut decision = PendingDecision::of_items(&[10, 11, 12]);
    decision.segment = 3;
    World { ranker: Ranker::new(1), effects: ItemEffects::default(), decision }
}

impl World {
    fn begin(&mut self, examination: &[f64]) {
        let Self { ranker, effects, decision } = self;
        decision.begin(examination, &mut Learners { ranker, effects });
    }

    fn credit(&mut self, item: u64, reward: f32, left: Weight) -> bool {
        let Self { ranker, effects, decision } = self;
        decision.credit(item, reward, left, &mut Learners { ranker, effects })
    }
}

#[test]
fn a_click_examines_the_positions_above_it_and_none_below() {
    let mut world = world();
    assert!(world.credit(11, 1.0, Weight::FULL));
    for posterior in [world.ranker.shared(), world.ranker.segment(3).unwrap()] {
        assert_eq!((posterior.impressions, posterior.rewards), (2, 1));
        assert_eq!(posterior.mass(), 2.0);
    }
    assert!(!world.decision.shown[2].has(SEEN));
    assert_eq!(world.ranker.segment(2).unwrap().impressions, 0);
    let variance = |item| world.effects.of(item).variance;
    assert_eq!(variance(10), variance(11));
    assert!(variance(12) > variance(11));
    assert!(world.effects.of(11).mean > 0.0 && world.effects.of(10).mean <= 0.0);
}

#[test]
fn repeated_evidence_counts_once_and_the_best_reward_stays() {
    let (mut often, mut once) = (world(), world());
    for reward in [0.0, 0.5, 1.0, 0.5, 0.0] {
        often.credit(10, reward, Weight::FULL);
    }
    for reward in [0.5, 1.0] {
        once.credit(10, reward, Weight::FULL);
    }
    assert_eq!(often.ranker.shared(), once.ranker.shared());
    assert_eq!(often.effects.of(10), once.effects.of(10));
    // A negative reward replaces earlier ones, once.
    for _ in 0..3 {
        often.credit(10, -1.0, Weight::FULL);
    }
    assert_eq!(often.decision.reward(), -1.0);
    assert_eq!(often.ranker.shared().rewards, 3);
}

#[test]
fn an_item_the_decision_did_not_show_earns_nothing() {
    let mut world = world();
    assert!(!world.credit(99, 1.0, Weight::FULL));
    assert_eq!(world.ranker, Ranker::new(1));
    assert_eq!(world.effects.rows.len(), 0);
}

#[test]
fn unseen_positions_count_by_examination_until_impressions_are_reported() {
    let mut world = world();
    world.begin(&[1.0, 0.5, 0.25]);
    assert_eq!(world.ranker.shared().mass(), 1.75);
    // Seen down to the second position; the third is presumed as before.
    world.credit(11, 1.0, Weight::FULL);
    assert_eq!(world.ranker.shared().mass(), 2.25);
    // Only reported impressions were seen.
    world.credit(10, 0.0, Weight::FULL);
    assert_eq!(world.ranker.shared().mass(), 2.0);
    assert_eq!(world.ranker.shared().impressions, 2);
    let unknown = world.effects.of_unknown();
    assert!((world.effects.of(12).variance - unknown.variance).abs() < 1e-12);
}

#[test]
fn late_evidence_has_the_weight_of_its_user_and_fades_from_the_decision() {
    let mut world = world();
    world.decision.weight = Weight::new(0.5);
    world.credit(10, 1.0, Weight::new(0.5));
    assert_eq!(world.ranker.shared().mass(), 0.25);
    let (rate, whole) = (world.ranker.solve().mean[0], 0.25);
    assert!(rate > 0.0 && rate < whole, "{rate}");
}

#[test]
fn a_vector_of_another_length_and_a_pinned_item_are_not_learnt() {
    let shown = |item, features| ShownPosition {
        item,
        counted: true,
        has_effect: true,
        features,
        propensity: 1.0,
        base: 0.1,
    };
    let rows = [shown(1, vec![]), shown(2, vec![1.0]), shown(3, vec![1.0, 0.5])];
    let mut world = world();
    world.ranker = Ranker::new(2);
    world.decision = PendingDecision::new(1, UserKey::of(0), &rows, 2);
    assert!(world.decision.is_whole());
    for item in [1, 2] {
        assert!(world.credit(item, 1.0, Weight::FULL));
    }
    assert_eq!(world.ranker.shared(), Ranker::new(2).shared());
    world.credit(3, 1.0, Weight::FULL);
    assert_eq!((world.ranker.shared().mass(), world.effects.rows.len()), (1.0, 1));
    assert_eq!(world.decision.reward(), 1.0);
}

#[test]
fn packed_features_are_near_and_average_out() {
    let (mut error, mut square) = (0.0, 0.0);
    for step in -8_000..=8_000 {
        let feature = step as f32 / 2_000.0;
        let off = f64::from(unpack(pack(feature)) - feature);
        assert!(off.abs() <= 0.002 + 0.045 * f64::from(feature.abs().sqrt()), "{feature}");
        (error, square) = (error + off, square + off * off);
    }
    assert!(error.abs() / 16_000.0 < 1e-4 && square / 16_000.0 < 1e-3, "{error} {square}");
    assert_eq!([0.0, 1.0, -1.0].map(|feature| unpack(pack(feature))), [0.0, 1.0, -1.0]);
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30].map(|x| unpack(pack(x)));
    assert!(odd[0] == 0.0 && odd[1..].iter().all(|x| x.abs() < 8.0 && x.abs() > 7.9));
}

proptest! {
    #[test]
    fn whatever_is_shown_and_credited_nothing_panics_and_numbers_stay_finite(
        rows in prop::collection::vec(
            (0..4_u64, prop::collection::vec(any::<f32>(), 0..4), any::<f32>(), any::<f64>()),
            0..6),
        examination in prop::collection::vec(any::<f64>(), 0..8),
        credits in prop::collection::vec((0..5_u64, any::<f32>(), 0.0..1.0_f64), 0..12),
    ) {
        let shown: Vec<ShownPosition> = rows
            .iter()
            .map(|(item, features, propensity, score)| ShownPosition {
                item: *item,
                counted: true,
                has_effect: *item < 3,
                features: features.clone(),
                propensity: *propensity,
                base: ItemEffects::default().base(*item, *score),
            })
            .collect();
        let mut world = world();
        world.ranker = Ranker::new(2);
        world.decision = PendingDecision::new(1, UserKey::of(0), &shown, 2);
        let bytes = world.decision.bytes() + 4 * rows.len() as u64;
        world.begin(&examination);
        for (item, reward, left) in credits {
            world.credit(item, reward, Weight::new(left));
        }
        prop_assert!(world.decision.bytes() <= bytes);
        prop_assert!(world.decision.is_whole() && world.effects.is_whole());
        prop_assert!(world.decision.reward().abs() <= 1.0);
        let belief = world.ranker.solve();
        prop_assert!(belief.mean.iter().all(|mean| mean.is_finite()));
        let curve = world.ranker.examination.curve(6, 1.0);
        prop_assert!(curve.iter().all(|seen| (0.0..=1.0).contains(seen)), "{:?}", curve);
    }
}
