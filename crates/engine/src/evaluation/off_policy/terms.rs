//! What every estimator is made of: per round, the target's probability of what was
//! shown, its weight, and what the reward model says.
//!
//! Rounds are worked on in chunks of fixed size, whose results are put together in order:
//! threads change no bit.

use std::ops::Range;

use rayon::prelude::*;

use crate::evaluation::off_policy::log::Log;
use crate::evaluation::off_policy::policy::Target;
use crate::evaluation::off_policy::policy::TargetPolicy;
use crate::evaluation::off_policy::reward_model::FittedModel;

/// Rounds of a chunk.
const CHUNK: usize = 4_096;

/// How far the probabilities of a round may be from adding up to 1: they are often written
/// with few digits.
const SUM_SLACK: f64 = 0.01;

/// Columns by round.
#[derive(Debug)]
pub struct Terms {
    /// The target's probability of what was shown.
    pub target: Vec<f64>,
    /// That over the propensity.
    pub weight: Vec<f64>,
    /// `None` where only the target's probability of what was shown is known.
    pub modelled: Option<Modelled>,
}

/// What needs the target's probability of every candidate.
#[derive(Debug)]
pub struct Modelled {
    /// The reward that the model expects of the target.
    pub direct: Vec<f64>,
    /// The reward that the model expects of what was shown.
    pub predicted: Vec<f64>,
    /// Share of what the target shows that the logging policy gave a propensity at most
    /// the floor. `None` where the log has propensities of what was shown only.
    pub unsupported: Option<f64>,
    /// Share of what the target shows that is an action the log never shows.
    pub unseen: f64,
    /// Share of rounds whose probabilities do not add up to 1.
    pub uneven: f64,
}

impl Terms {
    pub fn of(log: &Log, target: Target<'_>, model: &FittedModel, floor: f64) -> Self {
        let propensities = log.rounds().iter().map(|round| round.propensity);
        let divide = |target: &[f64]| -> Vec<f64> {
            target.iter().zip(propensities).map(|(target, p)| target / p).collect()
        };
        match target {
            Target::OfShown(shown) => {
                Self { target: shown.to_vec(), weight: divide(shown), modelled: None }
            }
            Target::Policy(policy) => {
                let (target, modelled) = asked(log, policy, model, floor);
                Self { weight: divide(&target), target, modelled: Some(modelled) }
            }
        }
    }
}

/// What one chunk of rounds gives.
#[derive(Default)]
struct Chunk {
    target: Vec<f64>,
    direct: Vec<f64>,
    predicted: Vec<f64>,
    unsupported: f64,
    unseen: f64,
    uneven: f64,
}

fn asked(
    log: &Log,
    policy: &dyn TargetPolicy,
    model: &FittedModel,
    floor: f64,
) -> (Vec<f64>, Modelled) {
    let count = log.rounds().len();
    let mut is_seen = vec![false; log.actions()];
    log.rounds().iter().for_each(|round| is_seen[round.action as usize] = true);
    let chunks: Vec<Chunk> = (0..count.div_ceil(CHUNK))
        .into_par_iter()
        .map(|at| {
            let range = at * CHUNK..count.min((at + 1) * CHUNK);
            chunk(log, policy, model, floor, &is_seen, range)
        })
        .collect();
    let knows_propensities = count > 0 && log.view(0).propensities.is_some();
    let mut all = Chunk::default();
    for mut chunk in chunks {
        all.target.append(&mut chunk.target);
        all.direct.append(&mut chunk.direct);
        all.predicted.append(&mut chunk.predicted);
        all.unsupported += chunk.unsupported;
        all.unseen += chunk.unseen;
        all.uneven += chunk.uneven;
    }
    let modelled = Modelled {
        direct: all.direct,
        predicted: all.predicted,
        unsupported: knows_propensities.then_some(all.unsupported / count as f64),
        unseen: all.unseen / count as f64,
        uneven: all.uneven / count as f64,
    };
    (all.target, modelled)
}

fn chunk(
    log: &Log,
    policy: &dyn TargetPolicy,
    model: &FittedModel,
    floor: f64,
    is_seen: &[bool],
    range: Range<usize>,
) -> Chunk {
    let width = log.candidates_max();
    let (mut predictions, mut probabilities) = (vec![0.0; width], vec![0.0; width]);
    let mut done = Chunk::default();
    for at in range {
        let view = log.view(at);
        let predictions = &mut predictions[..view.candidates];
        let probabilities = &mut probabilities[..view.candidates];
        model.predict(&view, predictions);
        policy.probabilities(&view, predictions, probabilities);
        let chosen = view.round.chosen as usize;
        done.target.push(probabilities[chosen]);
        done.predicted.push(predictions[chosen]);
        let mut direct = 0.0;
        for (candidate, (probability, prediction)) in
            probabilities.iter().zip(predictions.iter()).enumerate()
        {
            direct += probability * prediction;
            if !is_seen[view.action_of(candidate) as usize] {
                done.unseen += probability;
            }
        }
        done.direct.push(direct);
        let sum: f64 = probabilities.iter().sum();
        done.uneven += f64::from(u8::from((sum - 1.0).abs() > SUM_SLACK));
        for (probability, propensity) in probabilities.iter().zip(view.propensities.unwrap_or(&[]))
        {
            if *propensity <= floor {
                done.unsupported += probability;
            }
        }
    }
    done
}
