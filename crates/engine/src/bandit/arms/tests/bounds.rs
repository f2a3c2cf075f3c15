//! Memory of arms and selections, and eviction.

use crate::bandit::arms::learn::MODEL_BYTES;
use crate::bandit::arms::learn::PENDING_BYTES;
use crate::bandit::arms::tests::*;
use crate::domain::limits;

#[test]
fn a_full_set_evicts_the_arm_that_was_offered_the_longest_ago() {
    let known = limits::ARMS_KNOWN;
    let mut world = World::new(known, 1, ArmSettings::default());
    let (first, chosen) = world.select(&ArmContext::default());
    let others: Vec<ArmName> = (0..known).filter(|&arm| arm != 7).map(name).collect();
    world.offered = others;
    world.select(&ArmContext::default());
    world.offered = vec![name(known), name(3)];
    world.select(&ArmContext::default());
    let set = world.set();
    assert_eq!(set.arms.len(), known);
    assert!(set.find("arm-3").is_some() && set.find("arm-500").is_some());
    assert!(set.find("arm-7").is_none());
    // A reward of an evicted arm does not count for the one in its slot.
    world.offered = (known..2 * known).map(name).collect();
    world.select(&ArmContext::default());
    let before = world.set().clone();
    assert!(before.find(&format!("arm-{chosen}")).is_none());
    world.reward(&first, 1.0, false);
    assert_eq!(world.set(), &before);
    assert_eq!(world.engine.state().counts().late_arm_rewards, 0);
    let restored = Engine::restore(world.engine.state().sections()).unwrap();
    assert_eq!(restored.state().digest(), world.engine.state().digest());
}

#[test]
fn models_beyond_the_budget_are_removed_by_set_and_arm_the_longest_unused_first() {
    let mut world = World::new(3, 1, ArmSettings::default());
    let context = numbers(vec![0.5; 10]);
    for set in ["old", "new"] {
        for arm in 0..3 {
            world.offered = vec![name(arm)];
            world.select_of(set, &context);
        }
    }
    let mut arms = world.engine.state().arms.clone();
    let bytes = arms.model_bytes;
    arms.keep_models_within(bytes, (1, 2));
    let has = |arms: &Arms, set: &str| {
        let set = arms.set(set).unwrap();
        set.arms.iter().map(|arm| arm.linear.is_some()).collect::<Vec<_>>()
    };
    assert_eq!((has(&arms, "old"), has(&arms, "new")), (vec![true; 3], vec![true; 3]));
    arms.keep_models_within(bytes / 6 * 5, (1, 2));
    assert_eq!(has(&arms, "old"), [false, true, true]);
    arms.keep_models_within(bytes / 6 * 2, (1, 0));
    assert_eq!((has(&arms, "old"), has(&arms, "new")), (vec![false; 3], vec![true, false, true]));
    assert_eq!(arms.model_bytes, bytes / 3);
    // Rates stay. The model in use stays whatever the budget.
    arms.keep_models_within(0, (1, 0));
    assert_eq!(has(&arms, "new"), [true, false, false]);
    assert!(arms.set("old").unwrap().arms.iter().all(|arm| arm.selections == 1));
}

#[test]
fn many_large_arms_and_selections_keep_to_their_budgets() {
    let mut world = World::new(1, 1, ArmSettings::default());
    let attributes = BTreeMap::from([("a".to_owned(), AttributeValue::Flag(true))]);
    let attributes = Attributes::new(attributes).unwrap();
    let context = ArmContext { numbers: vec![0.5; limits::CONTEXT_NUMBERS], attributes };
    // 153 KB each: 860 fit.
    for number in 0..1_000 {
        world.offered = vec![name(number % 200)];
        world.select_of(&format!("set-{}", number / 200), &context);
        world.log.clear();
    }
    let arms = &world.engine.state().arms;
    assert!(arms.model_bytes <= MODEL_BYTES, "{}", arms.model_bytes);
    assert!(arms.model_bytes > MODEL_BYTES - (1 << 20), "{}", arms.model_bytes);
    assert!(arms.pending.bytes() <= PENDING_BYTES);
    assert_eq!(arms.pending.held(), 1_000);
    let restored = Engine::restore(world.engine.state().sections()).unwrap();
    assert_eq!(restored.state().arms.model_bytes, arms.model_bytes);
}

#[test]
fn a_reward_after_its_selection_was_forgotten_is_counted_as_late() {
    let mut world = World::new(1, 1, ArmSettings::default());
    let (first, _) = world.select(&ArmContext::default());
    world.reward(&DecisionId::parse("never").unwrap(), 1.0, false);
    assert_eq!(world.engine.state().counts().late_arm_rewards, 1);
    world.clock += 86_400;
    world.select(&ArmContext::default());
    world.reward(&first, 1.0, false);
    assert_eq!(world.engine.state().counts().late_arm_rewards, 2);
    assert_eq!(world.set().arms[0].reward, 0.0);
}

#[test]
fn a_new_model_does_not_learn_from_selections_before_it() {
    let mut world = World::new(1, 1, ArmSettings::default());
    let context = numbers(vec![0.5]);
    let (first, _) = world.select(&context);
    let arms = &mut world.engine.view.arms;
    arms.keep_models_within(0, (0, 9));
    assert!(world.set().arms[0].linear.is_none());
    world.select(&context);
    let model = world.set().arms[0].linear.clone();
    world.reward(&first, 1.0, false);
    assert_eq!(world.set().arms[0].linear, model);
    assert_eq!(world.set().arms[0].reward, 1.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_number_of_a_context_or_reward_makes_one_that_is_not_finite(
        steps in prop::collection::vec((any::<f32>(), any::<f32>(), any::<bool>()), 1..30)
    ) {
        let settings = ArmSettings { half_life_selections: 16, ..ArmSettings::default() };
        let mut world = World::new(2, 3, settings);
        for (number, reward, corrects) in steps {
            let (decision, _) = world.select(&numbers(vec![number, 1.0]));
            world.reward(&decision, reward, corrects);
        }
        let set = world.set();
        prop_assert!(set.noise().is_finite());
        for arm in &set.arms {
            prop_assert!((0.0..=30.0).contains(&arm.reward) && arm.successes.is_finite());
        }
        let found = choose(Some(set), &ArmChoice {
            offered: &[name(0), name(1)],
            features: &[],
            context: &numbers(vec![0.5, 1.0]),
            strategy: ArmStrategy::Thompson,
            epsilon: 0.1,
            settings: &settings,
            seed: 4,
            decision_id: &DecisionId::parse("d").unwrap(),
        });
        let numbers = [found.means, found.deviations, found.propensities].concat();
        prop_assert!(numbers.iter().all(|number| number.is_finite()), "{:?}", numbers);
    }
}
