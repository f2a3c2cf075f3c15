//! Arms with features: what they share, new arms, and inputs on any scale.

use crate::bandit::arms::tests::*;

/// Many arms whose reward depends on context and features alone, or on the arm, too.
struct Catalogue {
    weights: Vec<f64>,
    own: Vec<f64>,
    features: Vec<Vec<f64>>,
    rng: ChaCha8Rng,
}

const NUMBERS: usize = 3;

impl Catalogue {
    fn new(arms: usize, seed: u64, own: f64) -> Self {
        let mut rng = seed::stream(seed, seed::Purpose::Negatives, b"catalogue");
        let mut draw = |count: usize, size: f64| -> Vec<f64> {
            (0..count).map(|_| normal(&mut rng) * size).collect()
        };
        let weights = draw(NUMBERS * NUMBERS, 1.0);
        let own = draw(arms, own);
        let features = (0..arms).map(|_| draw(NUMBERS, 1.0)).collect();
        Self { weights, own, features, rng }
    }

    fn described(&self, arm: usize) -> ArmFeatures {
        numbers(self.features[arm].iter().map(|x| *x as f32).collect())
    }

    fn context(&mut self) -> ArmContext {
        numbers((0..NUMBERS).map(|_| normal(&mut self.rng) as f32).collect())
    }

    fn mean(&self, arm: usize, context: &ArmContext) -> f64 {
        let pair = |(n, weight): (usize, &f64)| {
            weight * f64::from(context.numbers[n / NUMBERS]) * self.features[arm][n % NUMBERS]
        };
        let score = self.weights.iter().enumerate().map(pair).sum::<f64>();
        (0.5 + 0.12 * score + self.own[arm]).clamp(0.0, 1.0)
    }
}

/// Mean reward per selection, from `after` on, of ten arms a round out of all of a catalogue,
/// divided between that of chance, 0, and of the best, 1.
fn skill(mut world: World, mut catalogue: Catalogue, described: bool, rounds: usize) -> f64 {
    let arms = catalogue.features.len();
    let (mut found, mut chance, mut best) = (0.0, 0.0, 0.0);
    for round in 0..rounds {
        // Windows that move over the catalogue: arms come and go.
        let first = round / 20 % arms;
        let offered: Vec<usize> = (0..10).map(|n| (first + n) % arms).collect();
        world.offered = offered.iter().map(|arm| name(*arm)).collect();
        let features = |arm: &usize| catalogue.described(*arm);
        world.features =
            if described { offered.iter().map(features).collect() } else { Vec::new() };
        let context = catalogue.context();
        let (decision_id, chosen) = world.select(&context);
        let means: Vec<f64> = offered.iter().map(|arm| catalogue.mean(*arm, &context)).collect();
        if seed::unit(&mut catalogue.rng) < means[chosen] {
            world.reward(&decision_id, 1.0, false);
        }
        world.log.clear();
        if round >= rounds / 2 {
            found += means[chosen];
            chance += means.iter().sum::<f64>() / 10.0;
            best += means.iter().copied().fold(0.0, f64::max);
        }
    }
    (found - chance) / (best - chance)
}

#[test]
fn features_let_arms_that_come_and_go_learn_from_each_other() {
    let run = |own: f64, described: bool| {
        let skills = (0..3).map(|seed| {
            let world = World::new(1, seed, ArmSettings::default());
            skill(world, Catalogue::new(300, seed, own), described, 3_000)
        });
        skills.sum::<f64>() / 3.0
    };
    let (with, without) = (run(0.0, true), run(0.0, false));
    println!("with features {with:.3}, without {without:.3}");
    assert!(with > 0.65 && with > without + 0.15, "{with} {without}");
}

#[test]
fn what_is_an_arms_own_is_learnt_besides_its_features() {
    let run = |described: bool| {
        let skills = (0..3).map(|seed| {
            let world = World::new(1, seed, ArmSettings::default());
            skill(world, Catalogue::new(10, seed, 0.25), described, 3_000)
        });
        skills.sum::<f64>() / 3.0
    };
    let (with, without) = (run(true), run(false));
    println!("with features {with:.3}, without {without:.3}");
    assert!(with > 0.8 && with > without - 0.02, "{with} {without}");
}

#[test]
fn an_arm_that_was_never_offered_is_scored_by_its_features() {
    let mut catalogue = Catalogue::new(40, 4, 0.0);
    let mut world = World::new(1, 4, ArmSettings::default());
    for round in 0..2_000 {
        let offered: Vec<usize> = (0..10).map(|n| (round + n) % 30).collect();
        world.offered = offered.iter().map(|arm| name(*arm)).collect();
        world.features = offered.iter().map(|arm| catalogue.described(*arm)).collect();
        let context = catalogue.context();
        let (decision_id, chosen) = world.select(&context);
        if seed::unit(&mut catalogue.rng) < catalogue.mean(offered[chosen], &context) {
            world.reward(&decision_id, 1.0, false);
        }
        world.log.clear();
    }
    let new: Vec<usize> = (30..40).collect();
    let names: Vec<ArmName> = new.iter().map(|arm| name(*arm)).collect();
    let features: Vec<ArmFeatures> = new.iter().map(|arm| catalogue.described(*arm)).collect();
    let (mut errors, mut spread) = (0.0, 0.0);
    for round in 0..50 {
        let context = catalogue.context();
        let choice = ArmChoice {
            offered: &names,
            features: &features,
            context: &context,
            strategy: ArmStrategy::Greedy,
            epsilon: 0.0,
            settings: &ArmSettings::default(),
            seed: 4,
            decision_id: &DecisionId::parse(format!("d{round}")).unwrap(),
        };
        let found = choose(Some(world.set()), &choice);
        for (arm, mean) in new.iter().zip(found.means) {
            let expected = catalogue.mean(*arm, &context);
            errors += (mean - expected) * (mean - expected);
            spread += (expected - 0.5) * (expected - 0.5);
        }
    }
    assert!(errors < 0.6 * spread, "{errors} {spread}");
}

/// The selections of a world in which contexts, features, or both are measured in other units.
fn choices(unit: f32) -> Vec<usize> {
    let mut catalogue = Catalogue::new(12, 2, 0.1);
    let mut world = World::new(1, 2, ArmSettings::default());
    let measured = |inputs: ArmContext| {
        numbers(
            inputs
                .numbers
                .iter()
                .enumerate()
                .map(|(n, x)| if n > 0 { x * unit } else { *x })
                .collect(),
        )
    };
    world.offered = (0..12).map(name).collect();
    world.features = (0..12).map(|arm| measured(catalogue.described(arm))).collect();
    let mut chosen = Vec::new();
    for _ in 0..300 {
        let context = catalogue.context();
        let (decision_id, arm) = world.select(&measured(context.clone()));
        if seed::unit(&mut catalogue.rng) < catalogue.mean(arm, &context) {
            world.reward(&decision_id, 1.0, false);
        }
        chosen.push(arm);
    }
    chosen
}

#[test]
fn the_unit_in_which_inputs_are_measured_changes_no_choice() {
    let plain = choices(1.0);
    assert_eq!(choices(1_048_576.0), plain);
    assert_eq!(choices(1.0 / 65_536.0), plain);
}
