//! Selections that were never shown.

use std::sync::Arc;

use crate::bandit::arms::tests::*;

/// One call of a world whose arms have features, or none.
fn call(world: &mut World, round: usize, with_features: bool) -> DecisionId {
    let at = |n: usize| ((round * n) % 7) as f32 - 3.0;
    let features = |arm: usize| numbers(vec![arm as f32, 1.0 - (arm * arm) as f32]);
    world.features = if with_features { (0..3).map(features).collect() } else { Vec::new() };
    world.select(&numbers(vec![at(2), at(5)])).0
}

fn beliefs(world: &World, features: &[ArmFeatures]) -> Vec<f64> {
    let offered = [name(0), name(1), name(2)];
    let found = choose(
        Some(world.set()),
        &ArmChoice {
            offered: &offered,
            features,
            context: &numbers(vec![-0.5, 2.0]),
            strategy: ArmStrategy::Thompson,
            epsilon: 0.0,
            settings: &ArmSettings::default(),
            seed: 1,
            decision_id: &DecisionId::parse("d").unwrap(),
        },
    );
    [found.means, found.deviations].concat()
}

#[test]
fn a_withdrawn_selection_leaves_the_beliefs_as_if_it_had_not_been_made() {
    for with_features in [false, true] {
        let fixed = [0, 1, 2].map(|arm| numbers(vec![arm as f32, 1.0 - (arm * arm) as f32]));
        let mut world = World::new(3, 1, ArmSettings::default());
        for round in 0..60 {
            let decision_id = call(&mut world, round, with_features);
            world.reward(&decision_id, (round % 3) as f32 / 2.0, false);
        }
        let features = if with_features { &fixed[..] } else { &[] };
        let before = beliefs(&world, features);
        let counts = world.set().arms.iter().map(|arm| arm.selections).collect::<Vec<_>>();
        let scale = world.set().scale.clone();
        let mut withdrawn = Vec::new();
        for round in 60..75 {
            let decision_id = call(&mut world, round, with_features);
            if round % 2 == 0 {
                world.reward(&decision_id, 1.0, false);
            }
            withdrawn.push(decision_id);
        }
        // In another order than they were made.
        for decision_id in
            withdrawn.iter().rev().step_by(2).chain(withdrawn.iter().rev().skip(1).step_by(2))
        {
            world.report(decision_id, ArmOutcome::Withdrawal);
        }
        let digest = world.set().clone();
        for decision_id in &withdrawn {
            world.report(decision_id, ArmOutcome::Withdrawal);
            world.reward(decision_id, 1.0, true);
        }
        assert_eq!(world.set(), &digest, "what comes after a withdrawal changes nothing");
        assert_eq!(world.set().selections(), 60);
        let after = world.set().arms.iter().map(|arm| arm.selections).collect::<Vec<_>>();
        assert_eq!(after, counts);
        // Beliefs on the scale of before.
        let set = Arc::make_mut(world.engine.view.arms.sets.get_mut(0));
        set.scale = scale;
        let after = beliefs(&world, features);
        let tolerance = if with_features { 0.05 } else { 1e-9 };
        for (found, expected) in after.iter().zip(&before) {
            assert!((found - expected).abs() < tolerance, "{after:?} {before:?}");
        }
    }
}

#[test]
fn a_withdrawal_takes_a_rate_back_with_its_reward_whichever_comes_first() {
    let mut world =
        World::new(1, 1, ArmSettings { half_life_selections: 16, ..Default::default() });
    let (shown, _) = world.select(&ArmContext::default());
    let (before, _) = world.select(&ArmContext::default());
    let (after, _) = world.select(&ArmContext::default());
    world.reward(&before, 1.0, false);
    world.report(&before, ArmOutcome::Withdrawal);
    world.report(&after, ArmOutcome::Withdrawal);
    world.reward(&after, 1.0, false);
    let arm = &world.set().arms[0];
    assert_eq!((arm.selections, arm.reward), (1, 0.0));
    assert!(arm.successes.abs() < 1e-12 && arm.weight < 1.0 && arm.weight > 0.8, "{arm:?}");
    world.reward(&shown, 1.0, false);
    assert_eq!(world.set().arms[0].reward, 1.0);
    assert_eq!(world.engine.state().counts().late_arm_rewards, 0);
    world.report(&DecisionId::parse("never").unwrap(), ArmOutcome::Withdrawal);
    assert_eq!(world.engine.state().counts().late_arm_rewards, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Fading makes withdrawals approximate; they still leave the prior.
    #[test]
    fn withdrawals_leave_every_number_finite_and_every_deviation_positive(
        steps in prop::collection::vec((0..4_u8, any::<u8>(), any::<bool>()), 1..120),
    ) {
        let settings = ArmSettings { half_life_selections: 16, ..ArmSettings::default() };
        let mut world = World::new(3, 7, settings);
        let mut decisions = Vec::new();
        for (round, (step, which, flag)) in steps.into_iter().enumerate() {
            if step < 2 || decisions.is_empty() {
                decisions.push(call(&mut world, usize::from(which) * 31 + round, flag));
                continue;
            }
            let decision_id: DecisionId = decisions[usize::from(which) % decisions.len()].clone();
            if step == 2 {
                world.report(&decision_id, ArmOutcome::Withdrawal);
            } else {
                world.reward(&decision_id, f32::from(which) / 255.0, flag);
            }
        }
        let found = beliefs(&world, &[numbers(vec![1.0, 2.0]), ArmFeatures::default()]);
        prop_assert!(found.iter().all(|number| number.is_finite()), "{:?}", found);
        prop_assert!(found[3..].iter().all(|deviation| *deviation > 0.0), "{:?}", found);
        let restored = Engine::restore(world.engine.state().sections()).unwrap();
        prop_assert_eq!(restored.state().digest(), world.engine.state().digest());
    }
}
