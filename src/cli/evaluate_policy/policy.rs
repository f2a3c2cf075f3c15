//! Target policies as the command line names them.

use std::fmt;

use super::load::Loaded;
use crate::cli::Failure;
use engine::domain::RankerSettings;
use engine::evaluation::off_policy::Policy;
use engine::evaluation::off_policy::Scores;

const EPSILON: f64 = 0.1;
const TEMPERATURE: f64 = 1.0;
const SCALE: f64 = 0.3;
const FLOOR: f64 = 0.01;

/// What `--policy` asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyName {
    Uniform,
    Greedy,
    EpsilonGreedy(f64),
    Softmax(f64),
    Thompson(Exploring),
    LinUcb(Exploring),
    Constant(String),
    File,
}

/// How a policy uses the uncertainty of the ranker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exploring {
    /// Factor of the standard deviations.
    pub scale: f64,
    /// Share of a position that is spread evenly over its candidates.
    pub floor: f64,
}

/// What `--scores` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ScoresFrom {
    Auto,
    Logged,
    Model,
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => write!(f, "uniform"),
            Self::Greedy => write!(f, "greedy"),
            Self::EpsilonGreedy(epsilon) => write!(f, "epsilon-greedy:{epsilon}"),
            Self::Softmax(temperature) => write!(f, "softmax:{temperature}"),
            Self::Thompson(Exploring { scale, floor }) => write!(f, "thompson:{scale}:{floor}"),
            Self::LinUcb(Exploring { scale, floor }) => write!(f, "lin-ucb:{scale}:{floor}"),
            Self::Constant(action) => write!(f, "constant:{action}"),
            Self::File => write!(f, "file"),
        }
    }
}

/// # Errors
/// A phrase that says what is allowed.
pub fn parse(text: &str) -> Result<PolicyName, String> {
    let (name, argument) = match text.split_once(':') {
        Some((name, argument)) => (name, Some(argument)),
        None => (text, None),
    };
    let number = |default: f64, is_allowed: fn(f64) -> bool, allowed: &str| match argument {
        None => Ok(default),
        Some(text) => {
            let number = text.parse().ok().filter(|number| is_allowed(*number));
            number.ok_or_else(|| format!("{name}: must be {allowed}, is {text:?}"))
        }
    };
    match (name, argument) {
        ("uniform", None) => Ok(PolicyName::Uniform),
        ("greedy", None) => Ok(PolicyName::Greedy),
        ("file", None) => Ok(PolicyName::File),
        ("epsilon-greedy", _) => {
            let is_share = |epsilon: f64| (0.0..=1.0).contains(&epsilon);
            number(EPSILON, is_share, "a number from 0 to 1").map(PolicyName::EpsilonGreedy)
        }
        ("softmax", _) => {
            let is_positive = |temperature: f64| temperature > 0.0 && temperature.is_finite();
            number(TEMPERATURE, is_positive, "a number above 0").map(PolicyName::Softmax)
        }
        ("thompson", _) => exploring(name, argument).map(PolicyName::Thompson),
        ("lin-ucb", _) => exploring(name, argument).map(PolicyName::LinUcb),
        ("constant", Some(action)) if !action.is_empty() => {
            Ok(PolicyName::Constant(action.to_owned()))
        }
        _ => Err("must be uniform, greedy, epsilon-greedy[:EPSILON], softmax[:TEMPERATURE], \
                  thompson[:SCALE[:FLOOR]], lin-ucb[:SCALE[:FLOOR]], constant:ACTION or file"
            .to_owned()),
    }
}

/// `SCALE` or `SCALE:FLOOR`; without them those of a new namespace.
pub fn exploring(name: &str, argument: Option<&str>) -> Result<Exploring, String> {
    let (scale, floor) = match argument.map(|text| text.split_once(':').unwrap_or((text, ""))) {
        None => ("", ""),
        Some(("", _)) => return Err(format!("{name}: must be {name}:SCALE or {name}:SCALE:FLOOR")),
        Some(both) => both,
    };
    let number = |text: &str, otherwise: f64, most: f64| {
        if text.is_empty() {
            return Ok(otherwise);
        }
        let number = text.parse().ok().filter(|number| (0.0..=most).contains(number));
        number.ok_or_else(|| format!("{name}: must be from 0 to {most}, is {text:?}"))
    };
    let (_, most) = RankerSettings::EXPLORATION_SCALE;
    Ok(Exploring { scale: number(scale, SCALE, most.into())?, floor: number(floor, FLOOR, 1.0)? })
}

impl PolicyName {
    /// The policy on a log, and its name with what it goes by.
    ///
    /// # Errors
    /// When the log has no such action.
    pub fn on(&self, loaded: &Loaded, from: ScoresFrom) -> Result<(Policy, String), Failure> {
        let scores = match from {
            ScoresFrom::Logged => Scores::Logged,
            ScoresFrom::Auto if loaded.log.has_scores() => Scores::Logged,
            ScoresFrom::Auto | ScoresFrom::Model => Scores::Predicted,
        };
        let by = match scores {
            Scores::Logged => "by the logged scores",
            Scores::Predicted => "by the reward model",
        };
        Ok(match self {
            Self::Uniform => (Policy::Uniform, self.to_string()),
            Self::Greedy => (Policy::Greedy(scores), format!("{self} {by}")),
            Self::EpsilonGreedy(epsilon) => {
                (Policy::EpsilonGreedy { epsilon: *epsilon, scores }, format!("{self} {by}"))
            }
            Self::Softmax(temperature) => {
                let policy = Policy::Softmax { temperature: *temperature, scores };
                (policy, format!("{self} {by}"))
            }
            Self::Thompson(Exploring { scale, floor }) => {
                let policy = Policy::Thompson { scale: *scale, floor: *floor };
                (policy, format!("{self} by the logged scores"))
            }
            Self::LinUcb(Exploring { scale, floor }) => {
                let policy = Policy::LinUcb { scale: *scale, floor: *floor };
                (policy, format!("{self} by the logged scores"))
            }
            Self::Constant(action) => {
                let number = loaded.action(action).ok_or_else(|| {
                    format!("{self}: the log has no such action among its {}", loaded.log.actions())
                })?;
                (Policy::Constant(number), self.to_string())
            }
            Self::File => (Policy::FromLog, self.to_string()),
        })
    }
}
