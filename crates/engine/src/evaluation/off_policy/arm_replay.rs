//! The bandit over arms on a log: what it would have earned while it learnt.
//!
//! A target policy of [`crate::evaluation::off_policy`] is fixed; a bandit learns from what it
//! shows. So it goes over the log in the order of time and learns from a round only where the
//! log shows what it would: a round is kept with probability `m q / p`, `q` the bandit's probability of what was
//! shown, `p` the propensity, `m` the least propensity of the log. What is kept is a history as the bandit would
//! have had it, and the mean reward of it is unbiased for its progressive reward over as many
//! rounds (rejection sampling, Li et al. 2011; with uniform propensities the replay of that paper).
//!
//! - The actions of the log are the arms, its context the context, features of candidates those of arms.
//! - Each position of a list is a choice of its own.
//! - Rewards are brought to 0 to 1 by the range they are given, and reported as they are in the log.
//! - Where the log holds a least propensity that is tiny, little is kept.

use crate::bandit::arms::ArmChoice;
use crate::bandit::arms::Arms;
use crate::bandit::arms::choose;
use crate::domain::ArmContext;
use crate::domain::ArmFeatures;
use crate::domain::ArmName;
use crate::domain::ArmOutcome;
use crate::domain::ArmReward;
use crate::domain::ArmSelection;
use crate::domain::ArmSetName;
use crate::domain::ArmSettings;
use crate::domain::DecisionId;
use crate::domain::EventId;
use crate::domain::Timestamp;
use crate::domain::limits;
use crate::evaluation::off_policy::Log;
use crate::evaluation::off_policy::RoundView;
use crate::seed;
use crate::seed::Purpose;

/// Kept rounds at the first point of the curve; each later one is at twice as many.
const FIRST_POINT: usize = 100;

/// How the bandit chooses and learns.
#[derive(Debug, Clone, Copy)]
pub struct ArmReplay {
    pub settings: ArmSettings,
    pub epsilon: f64,
    pub seed: u64,
    /// Least and greatest reward.
    pub reward_range: (f64, f64),
}

/// What it earned.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Replayed {
    pub rounds: usize,
    /// Rounds that were kept, and learnt from.
    pub kept: usize,
    /// Mean reward of the kept rounds; `NaN` without any.
    pub reward: f64,
    pub standard_error: f64,
    pub curve: Vec<ReplayPoint>,
}

/// The progressive reward at a moment.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct ReplayPoint {
    pub kept: usize,
    /// Mean reward of all rounds kept so far.
    pub so_far: f64,
    /// Mean reward of those since the last point.
    pub since: f64,
}

/// Why a log cannot be replayed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unreplayable {
    #[error("a bandit chooses among at most {most} arms, a round has {found} candidates")]
    Candidates { found: usize, most: usize },
    #[error("a context has at most {most} numbers, those of the log have {found}")]
    Context { found: usize, most: usize },
    #[error("an arm has at most {most} numbers, candidates of the log have {found}")]
    Features { found: usize, most: usize },
}

impl ArmReplay {
    /// # Errors
    /// When rounds of the log are larger than selections of arms may be.
    pub fn over(&self, log: &Log) -> Result<Replayed, Unreplayable> {
        check(log)?;
        let least = log.rounds().iter().map(|round| round.propensity).fold(1.0, f64::min);
        let mut run = Run::new(*self, log.actions());
        let mut earned = Earned::default();
        for at in 0..log.rounds().len() {
            if let Some(reward) = run.round(&log.view(at), least) {
                earned.add(reward);
            }
        }
        Ok(earned.report(log.rounds().len()))
    }
}

fn check(log: &Log) -> Result<(), Unreplayable> {
    let (found, most) = (log.candidates_max(), limits::ARMS);
    if found > most {
        return Err(Unreplayable::Candidates { found, most });
    }
    let (found, most) = (log.context_width(), limits::CONTEXT_NUMBERS);
    if found > most {
        return Err(Unreplayable::Context { found, most });
    }
    let (found, most) = (log.features_width(), limits::ARM_NUMBERS);
    if found > most {
        return Err(Unreplayable::Features { found, most });
    }
    Ok(())
}

/// A bandit on its way through a log.
struct Run {
    replay: ArmReplay,
    arms: Arms,
    set: ArmSetName,
    names: Vec<ArmName>,
}

impl Run {
    fn new(replay: ArmReplay, actions: usize) -> Self {
        let name = |action: usize| ArmName::parse(action.to_string()).expect("digits are a name");
        let set = ArmSetName::parse("replay").expect("a name");
        Self { replay, arms: Arms::default(), set, names: (0..actions).map(name).collect() }
    }

    /// The reward of the round, where it is kept.
    fn round(&mut self, view: &RoundView<'_>, least: f64) -> Option<f64> {
        let (replay, round) = (self.replay, view.round);
        let id = format!("round-{}", view.at);
        let decision_id = DecisionId::parse(id.clone()).expect("an id");
        let actions = (0..view.candidates).map(|candidate| view.action_of(candidate) as usize);
        let offered: Vec<ArmName> = actions.map(|action| self.names[action].clone()).collect();
        let width = view.features.len() / view.candidates.max(1);
        let features: Vec<ArmFeatures> =
            view.features.chunks_exact(width.max(1)).map(inputs).collect();
        let context = inputs(view.context);
        let choice = ArmChoice {
            offered: &offered,
            features: &features,
            context: &context,
            strategy: replay.settings.strategy,
            epsilon: replay.epsilon,
            settings: &replay.settings,
            seed: replay.seed,
            decision_id: &decision_id,
        };
        let found = choose(self.arms.set(self.set.as_str()), &choice);
        let chance = least * found.propensities[round.chosen as usize] / round.propensity;
        let mut rng = seed::stream(replay.seed, Purpose::ArmReplay, id.as_bytes());
        if seed::unit(&mut rng) >= chance {
            return None;
        }
        let selection = ArmSelection {
            decision_id: decision_id.clone(),
            set: self.set.clone(),
            offered: found.offered(&choice),
            chosen: round.chosen,
            strategy: replay.settings.strategy,
            epsilon: replay.epsilon as f32,
            selected_at: Timestamp::default(),
            watermark: 0,
            seed: replay.seed,
            context,
        };
        let half_life = replay.settings.half_life_selections;
        let sequence = view.at as u64 + 1;
        self.arms.learn_selection(&selection, half_life, sequence, Timestamp::default());
        let (low, high) = replay.reward_range;
        self.arms.learn_reward(&ArmReward {
            event_id: EventId::parse(id).expect("an id"),
            decision_id,
            outcome: ArmOutcome::Reward(((round.reward - low) / (high - low)) as f32),
            occurred_at: Timestamp::default(),
        });
        Some(round.reward)
    }
}

fn inputs(numbers: &[f32]) -> ArmContext {
    ArmContext { numbers: numbers.to_vec(), ..ArmContext::default() }
}

/// Rewards of the kept rounds.
#[derive(Default)]
struct Earned {
    kept: usize,
    sum: f64,
    squares: f64,
    /// Of the last point.
    sum_then: f64,
    curve: Vec<ReplayPoint>,
}

impl Earned {
    fn add(&mut self, reward: f64) {
        self.kept += 1;
        self.sum += reward;
        self.squares += reward * reward;
        if self.kept == FIRST_POINT << self.curve.len() {
            self.point();
        }
    }

    fn point(&mut self) {
        let before = self.curve.last().map_or(0, |point| point.kept);
        if self.kept > before {
            let since = (self.sum - self.sum_then) / (self.kept - before) as f64;
            self.curve.push(ReplayPoint {
                kept: self.kept,
                so_far: self.sum / self.kept as f64,
                since,
            });
            self.sum_then = self.sum;
        }
    }

    fn report(mut self, rounds: usize) -> Replayed {
        self.point();
        let kept = self.kept as f64;
        let reward = self.sum / kept;
        let variance = (self.squares / kept - reward * reward).max(0.0);
        let standard_error = (variance / (kept - 1.0).max(0.0)).sqrt();
        Replayed { rounds, kept: self.kept, reward, standard_error, curve: self.curve }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ArmStrategy;
    use crate::evaluation::off_policy::Candidate;
    use crate::evaluation::off_policy::LogBuilder;
    use crate::evaluation::off_policy::NewRound;

    /// The best of three arms depends on the sign of the context; the logging policy prefers
    /// the first.
    fn log(rounds: usize, propensities: [f64; 3]) -> Log {
        let mut builder = LogBuilder::default();
        let mut rng = seed::stream(5, Purpose::Negatives, b"log");
        for at in 0..rounds {
            let high = seed::unit(&mut rng) < 0.5;
            let uniform = seed::unit(&mut rng);
            let action = if uniform < propensities[0] {
                0
            } else {
                1 + usize::from(uniform > propensities[0] + propensities[1])
            };
            let mean = if action == if high { 2 } else { 1 } { 0.9 } else { 0.2 };
            let candidates = [0, 1, 2].map(|action| Candidate {
                action,
                propensity: Some(propensities[action as usize]),
                ..Candidate::default()
            });
            let round = NewRound {
                action: action as u32,
                reward: if seed::unit(&mut rng) < mean { 4.0 } else { 0.0 },
                propensity: propensities[action],
                unit: at as u32,
                context: &[if high { 1_000.0 } else { -1_000.0 }],
                candidates: &candidates,
                ..NewRound::default()
            };
            builder.push(&round).unwrap();
        }
        builder.build()
    }

    fn replay(strategy: ArmStrategy, floor: f32) -> ArmReplay {
        let settings = ArmSettings { strategy, floor, ..ArmSettings::default() };
        ArmReplay { settings, epsilon: 0.1, seed: 3, reward_range: (0.0, 4.0) }
    }

    #[test]
    fn a_bandit_learns_from_a_log_whatever_its_propensities_are() {
        for propensities in [[1.0 / 3.0; 3], [0.5, 0.3, 0.2]] {
            let log = log(6_000, propensities);
            let found = replay(ArmStrategy::Thompson, 0.01).over(&log).unwrap();
            let expected = 6_000.0 * propensities[2];
            assert!((found.kept as f64 / expected - 1.0).abs() < 0.25, "{found:?}");
            assert!(found.reward > 3.1 && found.standard_error < 0.1, "{found:?}");
            let (first, last) = (found.curve[0], found.curve[found.curve.len() - 1]);
            assert!(last.since > first.so_far && last.so_far == found.reward, "{found:?}");
            assert_eq!(last.kept, found.kept);
        }
    }

    #[test]
    fn a_bandit_that_spreads_its_choices_evenly_earns_the_mean_of_all_arms() {
        let found = replay(ArmStrategy::Thompson, 1.0).over(&log(12_000, [0.5, 0.3, 0.2])).unwrap();
        let mean = 4.0 * (0.2 + 0.55 + 0.55) / 3.0;
        assert!((found.reward - mean).abs() < 4.0 * found.standard_error, "{mean} {found:?}");
    }

    #[test]
    fn what_is_larger_than_a_selection_may_be_is_refused() {
        let mut builder = LogBuilder::default();
        let context = vec![0.0; limits::CONTEXT_NUMBERS + 1];
        let round = NewRound { propensity: 1.0, context: &context, ..NewRound::default() };
        builder.push(&round).unwrap();
        let refused = replay(ArmStrategy::Greedy, 0.0).over(&builder.build()).unwrap_err();
        assert_eq!(refused, Unreplayable::Context { found: 129, most: 128 });
    }
}
