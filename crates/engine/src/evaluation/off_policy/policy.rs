//! Target policies: the probability that each candidate of a round would be shown.

use crate::evaluation::off_policy::log::Log;
use crate::evaluation::off_policy::log::RoundView;
use crate::numeric::math;
use crate::strategy;

/// A policy to evaluate.
pub trait TargetPolicy: Sync {
    /// Fills `out` with the probability of each candidate, summing to 1. `predictions`
    /// are the reward model's, by candidate.
    fn probabilities(&self, round: &RoundView<'_>, predictions: &[f64], out: &mut [f64]);
}

/// What is known of the policy to evaluate.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    /// Its probability of every candidate.
    Policy(&'a dyn TargetPolicy),
    /// Its probability of what was shown, by round: nothing that needs a reward model can
    /// be said.
    OfShown(&'a [f64]),
}

/// What greedy policies go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scores {
    /// The scores of the log.
    Logged,
    /// The reward model's predictions. It was fitted on other units, so the policy did
    /// not see the reward that it is judged by.
    Predicted,
}

/// The policies that need nothing but the log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Policy {
    /// All candidates alike.
    Uniform,
    /// The candidate with the best score; ties share.
    Greedy(Scores),
    /// `epsilon` spread over all candidates, the rest on the best.
    EpsilonGreedy { epsilon: f64, scores: Scores },
    /// In proportion to `exp(score / temperature)`.
    Softmax { temperature: f64, scores: Scores },
    /// Thompson sampling: `floor` spread over all candidates, the rest by how probably each
    /// is the best of normal draws around the logged scores with `scale` of the logged
    /// standard deviations.
    Thompson { scale: f64, floor: f64 },
    /// LinUCB: `floor` spread over all candidates, the rest on the best by logged score and
    /// `scale` of the logged standard deviations.
    LinUcb { scale: f64, floor: f64 },
    /// Always the same action; where it is no candidate, all candidates alike.
    Constant(u32),
    /// The probabilities that the log brings.
    FromLog,
}

/// The log lacks what a policy goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyUnknown {
    #[error("the log has no scores of candidates, which this policy goes by")]
    Scores,
    #[error("the log has no standard deviations of candidates' scores, which this policy goes by")]
    Deviations,
    #[error("the log has no probabilities of a target policy")]
    Probabilities,
}

impl Policy {
    /// What can be known of the policy on this log.
    ///
    /// # Errors
    /// When the log lacks what the policy goes by.
    pub fn on<'a>(&'a self, log: &'a Log) -> Result<Target<'a>, PolicyUnknown> {
        match self {
            Self::Greedy(Scores::Logged)
            | Self::EpsilonGreedy { scores: Scores::Logged, .. }
            | Self::Softmax { scores: Scores::Logged, .. }
            | Self::Thompson { .. }
            | Self::LinUcb { .. }
                if !log.has_scores() =>
            {
                Err(PolicyUnknown::Scores)
            }
            Self::Thompson { .. } | Self::LinUcb { .. } if !log.has_deviations() => {
                Err(PolicyUnknown::Deviations)
            }
            Self::FromLog if !log.has_targets() => {
                log.chosen_targets().map(Target::OfShown).ok_or(PolicyUnknown::Probabilities)
            }
            _ => Ok(Target::Policy(self)),
        }
    }
}

impl TargetPolicy for Policy {
    fn probabilities(&self, round: &RoundView<'_>, predictions: &[f64], out: &mut [f64]) {
        let known = |scores: Scores| match scores {
            Scores::Logged => round.scores.unwrap_or(predictions),
            Scores::Predicted => predictions,
        };
        let uniform = 1.0 / out.len() as f64;
        match *self {
            Self::Uniform => out.fill(uniform),
            Self::Greedy(scores) => best(known(scores), 0.0, out),
            Self::EpsilonGreedy { epsilon, scores } => best(known(scores), epsilon, out),
            Self::Softmax { temperature, scores } => softmax(known(scores), temperature, out),
            Self::Thompson { scale, floor } => {
                believed(round, &strategy::Thompson { scale }, floor, out);
            }
            Self::LinUcb { scale, floor } => {
                believed(round, &strategy::UpperConfidence { width: scale }, floor, out);
            }
            Self::Constant(action) => {
                out.fill(0.0);
                match (0..out.len()).find(|at| round.action_of(*at) == action) {
                    Some(at) => out[at] = 1.0,
                    None => out.fill(uniform),
                }
            }
            Self::FromLog => match round.targets {
                Some(targets) => out.copy_from_slice(targets),
                None => out.fill(f64::NAN),
            },
        }
    }
}

/// `epsilon` on all, the rest shared by those of the best score.
fn best(scores: &[f64], epsilon: f64, out: &mut [f64]) {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let ties = scores.iter().filter(|score| **score == top).count().max(1) as f64;
    let spread = epsilon / out.len() as f64;
    for (out, score) in out.iter_mut().zip(scores) {
        *out = spread + if *score == top { (1.0 - epsilon) / ties } else { 0.0 };
    }
}

/// `floor` on all, the rest by a rule over scores and their standard deviations.
fn believed(round: &RoundView<'_>, rule: &dyn strategy::Policy, floor: f64, out: &mut [f64]) {
    let (Some(means), Some(deviations)) = (round.scores, round.deviations) else {
        return out.fill(f64::NAN);
    };
    rule.propensities(strategy::Beliefs { means, deviations }, out);
    strategy::mix_evenly(out, floor);
}

fn softmax(scores: &[f64], temperature: f64, out: &mut [f64]) {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for (out, score) in out.iter_mut().zip(scores) {
        *out = math::exp((score - top) / temperature);
        sum += *out;
    }
    out.iter_mut().for_each(|out| *out /= sum);
}
