//! Arms in simulated environments: regret, drift, late rewards, replay.
//!
//! Statistical tests have fixed seeds, so they do not fail by chance.

mod bounds;
mod features;
mod withdrawal;

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;

use crate::Engine;
use crate::bandit::arms::*;
use crate::domain::ArmContext;
use crate::domain::ArmFeatures;
use crate::domain::ArmName;
use crate::domain::ArmOutcome;
use crate::domain::ArmReward;
use crate::domain::ArmSelection;
use crate::domain::ArmSetName;
use crate::domain::ArmSettings;
use crate::domain::ArmStrategy;
use crate::domain::AttributeValue;
use crate::domain::Attributes;
use crate::domain::DecisionId;
use crate::domain::EventId;
use crate::domain::LogRecord;
use crate::domain::Record;
use crate::domain::Settings;
use crate::domain::Timestamp;
use crate::seed;

/// A namespace with one arm set, selected and rewarded through records as in service.
struct World {
    engine: Engine,
    settings: ArmSettings,
    offered: Vec<ArmName>,
    features: Vec<ArmFeatures>,
    round: u64,
    /// Seconds.
    clock: i64,
    seed: u64,
    log: Vec<LogRecord>,
}

fn name(number: usize) -> ArmName {
    ArmName::parse(format!("arm-{number}")).unwrap()
}

impl World {
    fn new(arms: usize, seed: u64, settings: ArmSettings) -> Self {
        let engine = Engine::new(Settings { arms: settings, ..Settings::default() });
        let offered = (0..arms).map(name).collect();
        let (features, log) = (Vec::new(), Vec::new());
        Self { engine, settings, offered, features, round: 0, clock: 1_700_000_000, seed, log }
    }

    fn learn(&mut self, record: Record) {
        let sequence = self.engine.state().watermark() + 1;
        let recorded_at = Timestamp::from_seconds(self.clock);
        self.log.push(LogRecord { sequence, recorded_at, record });
        self.engine.apply(&self.log[self.log.len() - 1..]).unwrap();
    }

    fn select(&mut self, context: &ArmContext) -> (DecisionId, usize) {
        self.select_of("set", context)
    }

    fn select_of(&mut self, set: &str, context: &ArmContext) -> (DecisionId, usize) {
        self.round += 1;
        let decision_id = DecisionId::parse(format!("d{}", self.round)).unwrap();
        let strategy = self.settings.strategy;
        let choice = ArmChoice {
            offered: &self.offered,
            features: &self.features,
            context,
            strategy,
            epsilon: 0.1,
            settings: &self.settings,
            seed: self.seed,
            decision_id: &decision_id,
        };
        let found = choose(self.engine.state().arm_set(set), &choice);
        self.learn(Record::ArmSelected(ArmSelection {
            decision_id: decision_id.clone(),
            set: ArmSetName::parse(set).unwrap(),
            offered: found.offered(&choice),
            chosen: found.chosen as u32,
            context: context.clone(),
            strategy,
            epsilon: 0.1,
            selected_at: Timestamp::from_seconds(1_700_000_000),
            watermark: 0,
            seed: self.seed,
        }));
        (decision_id, found.chosen)
    }

    fn reward(&mut self, decision_id: &DecisionId, reward: f32, corrects: bool) {
        let outcome =
            if corrects { ArmOutcome::Correction(reward) } else { ArmOutcome::Reward(reward) };
        self.report(decision_id, outcome);
    }

    fn report(&mut self, decision_id: &DecisionId, outcome: ArmOutcome) {
        let event_id = EventId::parse(format!("e{}", self.log.len())).unwrap();
        self.learn(Record::ArmRewarded(ArmReward {
            event_id,
            decision_id: decision_id.clone(),
            outcome,
            occurred_at: Timestamp::from_seconds(1_700_000_000),
        }));
    }

    fn set(&self) -> &ArmSet {
        self.engine.state().arm_set("set").unwrap()
    }
}

fn numbers(numbers: Vec<f32>) -> ArmContext {
    ArmContext { numbers, ..ArmContext::default() }
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v) = (1.0 - seed::unit(rng), seed::unit(rng));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Arms whose mean reward is linear in the context, in 0..1, with coin-flip rewards.
struct LinearArms {
    weights: Vec<Vec<f64>>,
    rng: ChaCha8Rng,
}

impl LinearArms {
    const NUMBERS: usize = 4;

    fn new(arms: usize, seed: u64) -> Self {
        let mut rng = seed::stream(seed, seed::Purpose::Negatives, b"world");
        let mut weights = |_| (0..Self::NUMBERS).map(|_| normal(&mut rng) * 0.5).collect();
        Self { weights: (0..arms).map(&mut weights).collect(), rng }
    }

    fn context(&mut self) -> ArmContext {
        let drawn: Vec<f64> = (0..Self::NUMBERS).map(|_| normal(&mut self.rng)).collect();
        let length = drawn.iter().map(|x| x * x).sum::<f64>().sqrt();
        numbers(drawn.iter().map(|x| (x / length) as f32).collect())
    }

    fn mean(&self, arm: usize, context: &ArmContext) -> f64 {
        let score: f64 =
            self.weights[arm].iter().zip(&context.numbers).map(|(w, x)| w * f64::from(*x)).sum();
        (0.5 + 0.4 * score).clamp(0.0, 1.0)
    }

    fn best(&self, context: &ArmContext) -> f64 {
        (0..self.weights.len()).map(|arm| self.mean(arm, context)).fold(0.0, f64::max)
    }

    fn flip(&mut self, mean: f64) -> f32 {
        if seed::unit(&mut self.rng) < mean { 1.0 } else { 0.0 }
    }
}

/// Cumulative regret at each of the checkpoints, averaged over seeds.
fn regret(settings: ArmSettings, seeds: std::ops::Range<u64>, checkpoints: &[usize]) -> Vec<f64> {
    let mut sums = vec![0.0; checkpoints.len()];
    let runs = (seeds.end - seeds.start) as f64;
    for seed in seeds {
        let (mut arms, mut world) = (LinearArms::new(5, seed), World::new(5, seed, settings));
        let mut total = 0.0;
        for round in 1..=*checkpoints.last().unwrap() {
            let context = arms.context();
            let (decision_id, arm) = world.select(&context);
            let mean = arms.mean(arm, &context);
            total += arms.best(&context) - mean;
            let reward = arms.flip(mean);
            if reward > 0.0 {
                world.reward(&decision_id, reward, false);
            }
            world.log.clear();
            for (sum, checkpoint) in sums.iter_mut().zip(checkpoints) {
                if *checkpoint == round {
                    *sum += total / runs;
                }
            }
        }
    }
    sums
}

/// Slope of the logarithm of regret over the logarithm of time, between the ends.
fn slope(checkpoints: &[usize], regret: &[f64]) -> f64 {
    let last = checkpoints.len() - 1;
    (regret[last] / regret[0]).ln() / (checkpoints[last] as f64 / checkpoints[0] as f64).ln()
}

#[test]
fn regret_grows_like_the_root_of_time_under_thompson_sampling_and_optimism() {
    let checkpoints = [1_000, 2_000, 4_000, 8_000];
    for (strategy, exploration) in
        [(ArmStrategy::Thompson, 0.5), (ArmStrategy::UpperConfidence, 1.0)]
    {
        let settings = ArmSettings { strategy, exploration, floor: 0.0, ..ArmSettings::default() };
        let regret = regret(settings, 0..8, &checkpoints);
        let slope = slope(&checkpoints, &regret);
        assert!(slope < 0.65, "{strategy:?}: {slope} {regret:?}");
    }
}

/// The better arm fails at its only try, and greedy never tries it again.
#[test]
fn regret_grows_linearly_under_greedy_after_bad_luck() {
    let settings =
        ArmSettings { strategy: ArmStrategy::Greedy, floor: 0.0, ..ArmSettings::default() };
    let mut world = World::new(2, 3, settings);
    let mut rng = seed::stream(11, seed::Purpose::Negatives, b"luck");
    let means = [0.45, 0.9];
    let mut regret = Vec::new();
    let (mut total, mut unlucky) = (0.0, 3);
    for _round in 0..4_000 {
        let (decision_id, arm) = world.select(&ArmContext::default());
        total += means[1] - means[arm];
        let lucky = arm != 1 || unlucky == 0;
        unlucky -= u32::from(!lucky);
        if lucky && seed::unit(&mut rng) < means[arm] {
            world.reward(&decision_id, 1.0, false);
        }
        regret.push(total);
    }
    let slope = (regret[3_999] / regret[999]).ln() / 4.0_f64.ln();
    assert!(slope > 0.95, "{slope}");
}

/// Share of selections of the best arm in the last quarter, when the best arm changes
/// half-way.
fn followed(settings: ArmSettings, context: &ArmContext) -> f64 {
    const ROUNDS: usize = 12_000;
    let mut share = 0.0;
    for seed in 0..4 {
        let mut world = World::new(3, seed, settings);
        let mut rng = seed::stream(seed, seed::Purpose::Negatives, b"drift");
        for round in 0..ROUNDS {
            let means = if round < ROUNDS / 2 { [0.7, 0.3, 0.2] } else { [0.2, 0.3, 0.4] };
            let (decision_id, arm) = world.select(context);
            if seed::unit(&mut rng) < means[arm] {
                world.reward(&decision_id, 1.0, false);
            }
            world.log.clear();
            if round >= ROUNDS * 3 / 4 && arm == 2 {
                share += 4.0 / ROUNDS as f64 / 4.0;
            }
        }
    }
    share
}

#[test]
fn a_drift_is_followed_with_fading_and_not_without() {
    for context in [ArmContext::default(), numbers(vec![0.5])] {
        let settings = ArmSettings { floor: 0.02, ..ArmSettings::default() };
        let fading = ArmSettings { half_life_selections: 500, ..settings };
        let (with, without) = (followed(fading, &context), followed(settings, &context));
        assert!(with > 0.6, "{with} {context:?}");
        assert!(without < 0.3, "{without} {context:?}");
    }
}

#[test]
fn the_best_reward_counts_in_any_order_and_a_correction_replaces_it() {
    let context = numbers(vec![0.3, -1.0]);
    let learnt = |rewards: &[(f32, bool)]| {
        let mut world = World::new(2, 1, ArmSettings::default());
        let (first, _) = world.select(&context);
        let (_second, _) = world.select(&context);
        for &(reward, corrects) in rewards {
            world.reward(&first, reward, corrects);
        }
        world.set().clone()
    };
    let once = learnt(&[(0.75, false)]);
    let total = |set: &ArmSet| set.arms.iter().map(|arm| arm.reward).sum::<f64>();
    assert_eq!(total(&once), 0.75);
    for rewards in [
        &[(0.75, false), (0.75, false)][..],
        &[(0.75, false), (0.25, false)],
        &[(0.75, false), (0.0, true), (0.75, true)],
    ] {
        let found = learnt(rewards);
        assert!((total(&found) - 0.75).abs() < 1e-12);
        assert_near(&found, &once);
    }
    assert_near(&learnt(&[(0.25, false), (0.75, false)]), &once);
    assert_near(&learnt(&[(1.0, false), (0.0, true)]), &learnt(&[]));
}

/// The same beliefs but for rounding.
fn assert_near(found: &ArmSet, expected: &ArmSet) {
    let context = numbers(vec![-0.5, 0.25]);
    let beliefs = |set| {
        let offered = [name(0), name(1)];
        let decision_id = DecisionId::parse("d").unwrap();
        choose(
            Some(set),
            &ArmChoice {
                offered: &offered,
                features: &[],
                context: &context,
                strategy: ArmStrategy::Thompson,
                epsilon: 0.0,
                settings: &ArmSettings::default(),
                seed: 1,
                decision_id: &decision_id,
            },
        )
    };
    let (found, expected) = (beliefs(found), beliefs(expected));
    for (found, expected) in found.means.iter().zip(&expected.means) {
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }
    for (found, expected) in found.deviations.iter().zip(&expected.deviations) {
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }
}

#[test]
fn a_late_reward_fades_like_its_selection() {
    let settings = ArmSettings { half_life_selections: 16, ..ArmSettings::default() };
    let mut world = World::new(1, 1, settings);
    let (first, _) = world.select(&ArmContext::default());
    for _ in 0..16 {
        world.select(&ArmContext::default());
    }
    world.reward(&first, 1.0, false);
    let arm = &world.set().arms[0];
    assert_eq!(arm.reward, 1.0);
    // The first selection is half-way to the next tick: 16 full ticks have passed.
    assert!((arm.successes - 0.5).abs() < 1e-9, "{}", arm.successes);
}

#[test]
fn attributes_alone_are_a_context_that_arms_learn_to_distinguish() {
    let device = |value: &str| {
        let value = AttributeValue::Text(value.to_owned());
        let attributes = Attributes::new(BTreeMap::from([("device".to_owned(), value)])).unwrap();
        ArmContext { attributes, ..ArmContext::default() }
    };
    let mut world = World::new(2, 5, ArmSettings::default());
    let mut right = 0;
    for round in 0..1_000 {
        let phone = round % 2 == 0;
        let (decision_id, arm) = world.select(&device(if phone { "phone" } else { "desktop" }));
        if (arm == 0) == phone {
            world.reward(&decision_id, 1.0, false);
            right += usize::from(round >= 500);
        }
    }
    assert!(right > 480, "{right}");
}

#[test]
fn a_context_that_does_not_fit_the_set_counts_as_none() {
    let mut world = World::new(2, 1, ArmSettings::default());
    world.select(&numbers(vec![1.0, 2.0]));
    let before = world.set().arms.iter().map(|arm| arm.linear.clone()).collect::<Vec<_>>();
    world.select(&numbers(vec![1.0]));
    let after = world.set().arms.iter().map(|arm| arm.linear.clone()).collect::<Vec<_>>();
    assert!(before == after && world.set().selections() == 2);
}

#[test]
fn a_selection_whose_id_is_that_of_a_pending_one_teaches_nothing() {
    let mut world = World::new(3, 1, ArmSettings::default());
    let (decision_id, _) = world.select(&numbers(vec![0.5]));
    let again = world.log[0].record.clone();
    let Record::ArmSelected(mut other) = again.clone() else { panic!() };
    other.set = ArmSetName::parse("other").unwrap();
    let before = world.set().clone();
    for record in [again, Record::ArmSelected(other)] {
        world.learn(record);
        assert_eq!(world.set(), &before);
    }
    let key = crate::decision_key(decision_id.as_str());
    let first_of = |engine: &Engine| engine.state().selection_sequence(key);
    assert_eq!(first_of(&world.engine), Some(1));
    assert_eq!(first_of(&Engine::restore(world.engine.state().sections()).unwrap()), Some(1));
    assert!(world.engine.state().arm_set("other").is_none());
    // Its id is free once it can no longer be rewarded.
    world.clock += 25 * 3_600;
    world.select(&numbers(vec![0.5]));
    world.learn(world.log[0].record.clone());
    assert_eq!(first_of(&world.engine), Some(5));
    assert_eq!(world.set().selections(), 3);
}

/// Selections and rewards of two sets, contexts or none, late and repeated rewards.
fn history(choices: &[(u8, bool)]) -> Vec<LogRecord> {
    let settings = ArmSettings { half_life_selections: 20, ..ArmSettings::default() };
    let mut world = World::new(4, 9, settings);
    let mut decisions: Vec<DecisionId> = Vec::new();
    for &(choice, flag) in choices {
        match (choice % 4, decisions.len()) {
            (0, 1..) => {
                let decision_id = decisions[choice as usize % decisions.len()].clone();
                world.reward(&decision_id, f32::from(choice) / 255.0, flag);
            }
            (1, _) => decisions.push(world.select(&ArmContext::default()).0),
            (2, 1..) if flag => {
                world.learn(world.log[choice as usize % world.log.len()].record.clone())
            }
            _ => decisions.push(world.select(&numbers(vec![f32::from(choice) / 100.0, 1.0])).0),
        }
    }
    world.log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_snapshot_and_the_log_after_it_lead_to_the_same_state_as_the_log(
        choices in prop::collection::vec((any::<u8>(), any::<bool>()), 1..120),
        cut in any::<prop::sample::Index>(),
    ) {
        let log = history(&choices);
        let settings = ArmSettings { half_life_selections: 20, ..ArmSettings::default() };
        let settings = Settings { arms: settings, ..Settings::default() };
        let mut whole = Engine::new(settings.clone());
        whole.apply(&log).unwrap();
        let cut = cut.index(log.len() + 1);
        let mut first = Engine::new(settings);
        first.apply(&log[..cut]).unwrap();
        let mut second = Engine::restore(first.state().sections()).unwrap();
        prop_assert_eq!(second.state().digest(), first.state().digest());
        second.apply(&log[cut..]).unwrap();
        prop_assert_eq!(second.state().digest(), whole.state().digest());
    }

    #[test]
    fn propensities_are_a_distribution_over_the_offered_arms_under_every_strategy(
        choices in prop::collection::vec((any::<u8>(), any::<bool>()), 0..60),
        contextual in any::<bool>(),
        floor in 0.0..0.5_f32,
    ) {
        let log = history(&choices);
        let mut engine = Engine::new(Settings::default());
        engine.apply(&log).unwrap();
        let context = if contextual { numbers(vec![0.5, 1.0]) } else { ArmContext::default() };
        let offered = [name(2), name(9), name(0)];
        let decision_id = DecisionId::parse("d").unwrap();
        let settings = ArmSettings { floor, ..ArmSettings::default() };
        for strategy in ArmStrategy::ALL {
            let found = choose(engine.state().arm_set("set"), &ArmChoice {
                offered: &offered,
                features: &[],
                context: &context,
                strategy,
                epsilon: 0.1,
                settings: &settings,
                seed: 4,
                decision_id: &decision_id,
            });
            let sum: f64 = found.propensities.iter().sum();
            prop_assert!((sum - 1.0).abs() < 1e-9, "{strategy:?} {found:?}");
            let least = f64::from(floor) / 3.0 - 1e-9;
            prop_assert!(found.propensities.iter().all(|p| *p >= least), "{strategy:?} {found:?}");
            prop_assert!(found.deviations.iter().all(|d| d.is_finite() && *d > 0.0));
        }
    }
}
