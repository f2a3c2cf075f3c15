//! The search for a good configuration, one parameter after the other.
//!
//! From the configuration that serves, or that of the settings, each step changes one
//! parameter and is kept when the people held out are ranked better: L2 regularization and
//! unobserved weight by a factor of three, the half-life of confidences, negative
//! examples, the number of factors. A parameter that helped is pushed on once. The budget is
//! a number of trials, not a time: the same data give the same model.

use std::ops::ControlFlow;

use crate::training::TrainingProgress;
use crate::training::holdout::Holdout;
use crate::training::trial;
use crate::training::trial::Configuration;
use crate::training::trial::Trial;

/// Factors are only doubled up to this: their cost to serving grows with them.
const FACTORS_MAX: usize = 128;
const FACTORS_MIN: usize = 16;
/// What more factors must gain, since they cost.
const FACTORS_GAIN: f64 = 1.02;

/// One change of a configuration; `None` where it would change nothing.
type Step = fn(Configuration) -> Option<Configuration>;

/// In the order tried: directions of one parameter stand together.
const STEPS: &[&[Step]] = &[
    &[|c| regularized(c, 3.0), |c| regularized(c, 1.0 / 3.0)],
    &[|c| unobserved(c, 1.0 / 3.0), |c| unobserved(c, 3.0)],
    &[|c| aged(c, 24.0 * 90.0), |c| aged(c, 0.0)],
    &[without_negatives],
    &[|c| sized(c, 2, 1), |c| sized(c, 1, 2)],
];

fn regularized(mut c: Configuration, factor: f32) -> Option<Configuration> {
    c.hyperparameters.regularization *= factor;
    (1e-6..=100.0).contains(&c.hyperparameters.regularization).then_some(c)
}

fn unobserved(mut c: Configuration, factor: f32) -> Option<Configuration> {
    c.hyperparameters.unobserved_weight *= factor;
    (1e-6..=10.0).contains(&c.hyperparameters.unobserved_weight).then_some(c)
}

fn aged(mut c: Configuration, half_life_hours: f32) -> Option<Configuration> {
    let changes = c.weighing.half_life_hours != half_life_hours;
    c.weighing.half_life_hours = half_life_hours;
    changes.then_some(c)
}

fn without_negatives(mut c: Configuration) -> Option<Configuration> {
    c.weighing.negatives = !c.weighing.negatives;
    Some(c)
}

fn sized(mut c: Configuration, times: usize, over: usize) -> Option<Configuration> {
    let factors = c.hyperparameters.factors * times / over;
    c.hyperparameters.factors = factors;
    c.hyperparameters.init_standard_deviation = 0.1 / (factors as f32).sqrt();
    (FACTORS_MIN..=FACTORS_MAX).contains(&factors).then_some(c)
}

/// The best of at most `trials` trials, the first of which is `start`. `None` when
/// cancelled or when not even that came to an end.
pub fn search(
    holdout: &Holdout<'_>,
    n_items: usize,
    start: Configuration,
    trials: usize,
    report: &mut dyn FnMut(TrainingProgress) -> ControlFlow<()>,
) -> Option<Trial> {
    let mut run = Runs { holdout, n_items, trials, done: 0, cancelled: false, report };
    let mut best = run.run(start)?;
    for directions in STEPS {
        for step in *directions {
            let mut improved = false;
            while let Some(changed) = step(at_full_length(&best, start)) {
                let Some(trial) = run.run(changed) else {
                    break;
                };
                let larger =
                    changed.hyperparameters.factors > best.configuration.hyperparameters.factors;
                let gain = if larger { FACTORS_GAIN } else { 1.0 };
                if trial.ndcg() <= best.ndcg() * gain {
                    break;
                }
                best = trial;
                improved = true;
            }
            if improved {
                break;
            }
        }
    }
    (!run.cancelled).then_some(best)
}

/// The best so far, allowed all epochs again.
fn at_full_length(best: &Trial, start: Configuration) -> Configuration {
    let mut configuration = best.configuration;
    configuration.hyperparameters.epochs = start.hyperparameters.epochs;
    configuration
}

struct Runs<'a, 'v> {
    holdout: &'a Holdout<'v>,
    n_items: usize,
    trials: usize,
    done: usize,
    cancelled: bool,
    report: &'a mut dyn FnMut(TrainingProgress) -> ControlFlow<()>,
}

impl Runs<'_, '_> {
    /// `None` once the budget is spent or the training cancelled, or for a trial that
    /// diverged.
    fn run(&mut self, configuration: Configuration) -> Option<Trial> {
        if self.cancelled || self.done == self.trials {
            return None;
        }
        self.done += 1;
        let (trial, trials) = (self.done, self.trials);
        let (report, cancelled) = (&mut self.report, &mut self.cancelled);
        trial::run(self.holdout, self.n_items, configuration, &mut |progress| {
            let flow = report(TrainingProgress { trial, trials, ..progress });
            *cancelled |= flow.is_break();
            flow
        })
    }
}
