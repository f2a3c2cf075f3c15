//! Bandits: choosing and learning over a stream, and the cost of propensities.
//!
//! Stands for: the engine's part of SelectArm and RewardArm (features, beliefs, propensities, draw, both records learnt),
//! on one thread. Leaves out: gRPC, the log, publishing views.
//!
//!     cargo bench --bench bandit                              costs, as a table
//!     cargo bench --bench bandit -- stream FILE ARMS SEEDS    rows of `label,x1,x2,...`: reward 1 for the label's arm
//!     cargo bench --bench bandit -- replay FILE ARMS SEEDS    rows of `arm,reward,position` of a uniformly random log
//!
//! The latter two print a JSON object for each strategy; `crates/engine/benches/vw/compare.py` reads them.

use std::hint::black_box;
use std::time::Instant;

use engine::domain::{
    ArmContext, ArmName, ArmOutcome, ArmReward, ArmSelection, ArmSetName, ArmSettings, ArmStrategy,
    DecisionId, EventId, LogRecord, Record, Settings, Timestamp,
};
use engine::strategy::{Beliefs, Policy, Thompson, ThompsonSlate};
use engine::{ArmChoice, Engine, choose_arm};

/// A small portable generator, so that runs compare.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// One arm set, selected and rewarded through records.
struct World {
    engine: Engine,
    settings: ArmSettings,
    set: ArmSetName,
    offered: Vec<ArmName>,
    seed: u64,
}

impl World {
    fn new(arms: usize, settings: ArmSettings, seed: u64) -> Self {
        let engine = Engine::new(Settings { arms: settings, ..Settings::default() });
        let name = |arm| ArmName::parse(format!("arm-{arm}")).expect("a name");
        let set = ArmSetName::parse("set").expect("a name");
        Self { engine, settings, set, offered: (0..arms).map(name).collect(), seed }
    }

    fn choose(&self, context: &ArmContext) -> (ArmSelection, usize) {
        let (view, epsilon) = (self.engine.state(), 0.1);
        let decision_id = DecisionId::parse(view.watermark().to_string()).expect("an id");
        let choice = ArmChoice {
            offered: &self.offered,
            features: &[],
            context,
            strategy: self.settings.strategy,
            epsilon,
            settings: &self.settings,
            seed: self.seed,
            decision_id: &decision_id,
        };
        let found = choose_arm(view.arm_set(self.set.as_str()), &choice);
        let offered = found.offered(&choice);
        let selection = ArmSelection {
            decision_id,
            set: self.set.clone(),
            offered,
            chosen: found.chosen as u32,
            context: context.clone(),
            strategy: self.settings.strategy,
            epsilon: epsilon as f32,
            selected_at: Timestamp::default(),
            watermark: view.watermark(),
            seed: self.seed,
        };
        (selection, found.chosen)
    }

    fn learn(&mut self, record: Record) {
        let sequence = self.engine.state().watermark() + 1;
        let record = LogRecord { sequence, recorded_at: Timestamp::default(), record };
        self.engine.apply(&[record]).expect("records in order");
    }

    /// Learns a selection and its reward; no reward is what a selection has anyway.
    fn learn_outcome(&mut self, selection: ArmSelection, reward: f32) {
        let decision_id = selection.decision_id.clone();
        self.learn(Record::ArmSelected(selection));
        if reward > 0.0 {
            self.learn(Record::ArmRewarded(ArmReward {
                event_id: EventId::parse(decision_id.as_str()).expect("an id"),
                decision_id,
                outcome: ArmOutcome::Reward(reward),
                occurred_at: Timestamp::default(),
            }));
        }
    }
}

fn rows(path: &str) -> Vec<Vec<f32>> {
    let text = std::fs::read_to_string(path).expect("a stream to read");
    let number = |text: &str| text.parse().expect("a number");
    text.lines().map(|line| line.split(',').map(number).collect()).collect()
}

fn settings(strategy: ArmStrategy) -> ArmSettings {
    ArmSettings { strategy, ..ArmSettings::default() }
}

fn stream(path: &str, arms: usize, seeds: u64) {
    let events: Vec<(usize, ArmContext)> = rows(path)
        .into_iter()
        .map(|row| {
            let context = ArmContext { numbers: row[1..].to_vec(), ..ArmContext::default() };
            (row[0] as usize, context)
        })
        .collect();
    for strategy in ArmStrategy::ALL {
        let mut rewards = Vec::new();
        let mut fastest = f64::INFINITY;
        for seed in 1..=seeds {
            let mut world = World::new(arms, settings(strategy), seed);
            let mut won = 0_u32;
            let started = Instant::now();
            for (label, context) in &events {
                let (selection, chosen) = world.choose(context);
                let reward = chosen == *label;
                won += u32::from(reward);
                world.learn_outcome(selection, if reward { 1.0 } else { 0.0 });
            }
            fastest = fastest.min(started.elapsed().as_secs_f64());
            rewards.push(f64::from(won) / events.len() as f64);
        }
        let (name, rate) = (strategy.name(), events.len() as f64 / fastest);
        println!(r#"{{"strategy":"{name}","rewards":{rewards:?},"events_per_second":{rate:.0}}}"#);
    }
}

/// Rounds in which the policy chooses what the log has teach it; the others did not
/// happen (Li et al. 2011).
fn replay(path: &str, arms: usize, seeds: u64) {
    let rounds = rows(path);
    for strategy in ArmStrategy::ALL {
        let (mut matched, mut clicks) = (0_u32, 0.0);
        for seed in 1..=seeds {
            let mut world = World::new(arms, settings(strategy), seed);
            for (round, row) in rounds.iter().enumerate() {
                let mut numbers = vec![0.0; 3];
                numbers[row[2] as usize] = 1.0;
                let context = ArmContext { numbers, ..ArmContext::default() };
                let (mut selection, chosen) = world.choose(&context);
                if chosen == row[0] as usize {
                    matched += 1;
                    clicks += row[1];
                    selection.decision_id = DecisionId::parse(format!("{round}")).expect("an id");
                    world.learn_outcome(selection, row[1]);
                }
            }
        }
        let name = strategy.name();
        println!(r#"{{"strategy":"{name}","matched":{matched},"clicks":{clicks}}}"#);
    }
}

/// Median microseconds of a call over batches.
fn microseconds(mut call: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..21)
        .map(|_| {
            let started = Instant::now();
            (0..20).for_each(|_| call());
            started.elapsed().as_secs_f64() / 20.0 * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn costs() {
    println!("Thompson sampling, propensities of all arms, us");
    let mut noise = Noise(7);
    for arms in [10, 20, 100, 500] {
        let means: Vec<f64> = (0..arms).map(|_| 0.2 * noise.next()).collect();
        let deviations: Vec<f64> = (0..arms).map(|_| 0.02 + 0.1 * noise.next()).collect();
        let beliefs = Beliefs { means: &means, deviations: &deviations };
        let mut propensities = vec![0.0; arms];
        let one = microseconds(|| {
            Thompson { scale: 1.0 }.propensities(black_box(beliefs), &mut propensities);
        });
        let mut slate = ThompsonSlate::default();
        let positions = 20.min(arms);
        let list = microseconds(|| {
            slate.begin(black_box(beliefs), 1.0);
            for position in 0..positions {
                slate.prepare();
                let uniform = (position as f64 + 0.5) / positions as f64;
                let arm = slate.draw([uniform, 1.0 - uniform]);
                black_box(slate.propensity_of(arm));
                slate.set_present(arm, false);
            }
        });
        println!("{arms:>5} arms: one choice {one:>8.1}   a slate of {positions} {list:>8.1}");
    }
    println!("One selection and its reward through the engine, 10 arms, events/s");
    for numbers in [8, 20, 64, 128] {
        let contexts: Vec<ArmContext> = (0..4_000)
            .map(|_| ArmContext {
                numbers: (0..numbers).map(|_| noise.next() as f32 - 0.5).collect(),
                ..ArmContext::default()
            })
            .collect();
        for strategy in ArmStrategy::ALL {
            let mut world = World::new(10, settings(strategy), 1);
            let started = Instant::now();
            for context in &contexts {
                let (selection, chosen) = world.choose(context);
                let reward = noise.next() < chosen as f64 / 10.0;
                world.learn_outcome(selection, if reward { 1.0 } else { 0.0 });
            }
            let rate = contexts.len() as f64 / started.elapsed().as_secs_f64();
            println!("{numbers:>5} numbers, {:<17} {rate:>10.0}", strategy.name());
        }
    }
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |text: &str| text.parse().expect("a whole number");
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => costs(),
        ["stream", path, arms, seeds] => stream(path, number(arms), number(seeds) as u64),
        ["replay", path, arms, seeds] => replay(path, number(arms), number(seeds) as u64),
        _ => panic!("see the head of the file"),
    }
}
