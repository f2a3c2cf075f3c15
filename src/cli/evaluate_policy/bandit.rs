//! Bandits over arms that learn from the log, as the command line names them.

use std::fmt;

use serde::Serialize;

use super::policy::exploring;
use crate::cli::Failure;
use engine::domain::ArmSettings;
use engine::domain::ArmStrategy;
use engine::evaluation::off_policy::ArmReplay;
use engine::evaluation::off_policy::Log;
use engine::evaluation::off_policy::Replayed;

const EPSILON: f64 = 0.1;

/// What `--bandit` asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BanditName {
    settings: ArmSettings,
    epsilon: f64,
}

/// A bandit and what it earned.
#[derive(Debug, Serialize)]
pub struct Learner {
    pub name: String,
    #[serde(flatten)]
    pub replayed: Replayed,
}

impl fmt::Display for BanditName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ArmSettings { strategy, exploration, floor, .. } = self.settings;
        let name = strategy.name().replace('_', "-");
        match strategy {
            ArmStrategy::Thompson | ArmStrategy::UpperConfidence => {
                write!(f, "bandit {name}:{exploration}:{floor}")
            }
            ArmStrategy::EpsilonGreedy => write!(f, "bandit {name}:{}", self.epsilon),
            ArmStrategy::Greedy | ArmStrategy::SquareCb => write!(f, "bandit {name}"),
        }
    }
}

/// # Errors
/// A phrase that says what is allowed.
pub fn parse(text: &str) -> Result<BanditName, String> {
    let (name, argument) = match text.split_once(':') {
        Some((name, argument)) => (name, Some(argument)),
        None => (text, None),
    };
    let of = |strategy| ArmSettings { strategy, ..ArmSettings::default() };
    let explores = |strategy| {
        let both = exploring(name, argument)?;
        let (exploration, floor) = (both.scale as f32, both.floor as f32);
        Ok::<_, String>(ArmSettings { exploration, floor, ..of(strategy) })
    };
    let mut epsilon = EPSILON;
    let settings = match (name, argument) {
        ("greedy", None) => of(ArmStrategy::Greedy),
        ("square-cb", None) => of(ArmStrategy::SquareCb),
        ("thompson", _) => explores(ArmStrategy::Thompson)?,
        ("upper-confidence", _) => explores(ArmStrategy::UpperConfidence)?,
        ("epsilon-greedy", _) => {
            if let Some(text) = argument {
                let share = text.parse().ok().filter(|share: &f64| (0.0..=1.0).contains(share));
                epsilon = share.ok_or("epsilon-greedy: must be a number from 0 to 1")?;
            }
            of(ArmStrategy::EpsilonGreedy)
        }
        _ => {
            return Err("must be thompson[:SCALE[:FLOOR]], upper-confidence[:SCALE[:FLOOR]], \
                        square-cb, epsilon-greedy[:EPSILON] or greedy"
                .to_owned());
        }
    };
    Ok(BanditName { settings, epsilon })
}

impl BanditName {
    /// # Errors
    /// When the range of rewards is not known, or rounds are larger than selections may be.
    pub fn over(
        &self,
        log: &Log,
        seed: u64,
        reward_range: Option<(f64, f64)>,
    ) -> Result<Learner, Failure> {
        let reward_range = reward_range
            .ok_or("a bandit needs --reward-range where rewards are not all from 0 to 1")?;
        let Self { settings, epsilon } = *self;
        let replayed = ArmReplay { settings, epsilon, seed, reward_range }.over(log)?;
        Ok(Learner { name: self.to_string(), replayed })
    }
}
