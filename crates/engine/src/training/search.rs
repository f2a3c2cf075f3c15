//! The search for a good configuration, one parameter after the other.
//!
//! - Three starts: what the settings ask for, the configuration that serves, and the best that
//!   any search found. So a search recovers from an earlier bad choice.
//! - From the best of them, each step changes one parameter: L2 regularization and unobserved
//!   weight by a factor of three, the half-life of confidences, negative examples, the number of
//!   factors. A parameter that helped is changed once more in the same direction.
//!   Regularization is first raised by nine: few data need that much more, and a step of three
//!   may gain less than noise hides.
//! - A configuration gives way to another one only where that ranks what is held out better by
//!   more than a standard error of the paired difference (the rule of one standard error, Breiman
//!   et al., "Classification and Regression Trees", 1984): the best figure of many trials is
//!   partly chance.
//! - A trial whose factors died or diverged is none.
//! - The budget is a number of trials, not a time: the same data give the same model.

use std::ops::ControlFlow;

use crate::models::published::Configuration;
use crate::training::holdout::Holdout;
use crate::training::holdout::difference;
use crate::training::progress::TrainingProgress;
use crate::training::report::Tried;
use crate::training::trial;
use crate::training::trial::End;
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
    &[|c| regularized(c, 9.0), |c| regularized(c, 3.0), |c| regularized(c, 1.0 / 3.0)],
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

/// What a search did.
#[derive(Debug, Default)]
pub struct Search {
    /// `None` when every trial died.
    pub best: Option<Trial>,
    pub tried: Vec<Tried>,
    pub cancelled: bool,
}

/// The best of the starts, and with more than these for `trials`, of steps from there.
pub fn search(
    holdout: &Holdout<'_>,
    starts: &[Configuration],
    trials: usize,
    report: &mut dyn FnMut(TrainingProgress) -> ControlFlow<()>,
) -> Search {
    let trials = trials.max(starts.len());
    let mut run = Runs { holdout, trials, search: Search::default(), report };
    let mut best: Option<Trial> = None;
    for &start in starts {
        let trial = run.run(start);
        best = match (best, trial) {
            (Some(best), Some(trial)) if !is_better(&trial, &best) => Some(best),
            (best, trial) => trial.or(best),
        };
    }
    if let Some(best) = best {
        run.search.best = Some(run.walk(best, starts[0].hyperparameters.epochs));
    }
    run.search
}

/// The first start that does not die, and nothing else.
pub fn first_alive(
    holdout: &Holdout<'_>,
    starts: &[Configuration],
    report: &mut dyn FnMut(TrainingProgress) -> ControlFlow<()>,
) -> Search {
    let mut run = Runs { holdout, trials: 1, search: Search::default(), report };
    run.search.best = starts.iter().find_map(|&start| run.run(start));
    run.search
}

/// Whether a trial ranks what is held out better than another one, beyond chance.
fn is_better(trial: &Trial, than: &Trial) -> bool {
    let factors = |trial: &Trial| trial.configuration.hyperparameters.factors;
    let (gain, error) = difference(&trial.figures, &than.figures);
    let is_worth_it = factors(trial) <= factors(than) || trial.ndcg() > than.ndcg() * FACTORS_GAIN;
    gain > error && is_worth_it
}

struct Runs<'a, 'v> {
    holdout: &'a Holdout<'v>,
    trials: usize,
    search: Search,
    report: &'a mut dyn FnMut(TrainingProgress) -> ControlFlow<()>,
}

impl Runs<'_, '_> {
    /// Steps from a trial, each allowed so many `epochs`.
    fn walk(&mut self, mut best: Trial, epochs: usize) -> Trial {
        for directions in STEPS {
            for step in *directions {
                let mut improved = false;
                let at_full_length = |best: &Trial| {
                    let mut configuration = best.configuration;
                    configuration.hyperparameters.epochs = epochs;
                    configuration
                };
                while let Some(changed) = step(at_full_length(&best)) {
                    if self.search.tried.len() >= self.trials {
                        return best;
                    }
                    let better = self.run(changed).filter(|trial| is_better(trial, &best));
                    let Some(trial) = better else {
                        break;
                    };
                    best = trial;
                    improved = true;
                }
                if improved {
                    break;
                }
            }
        }
        best
    }

    /// `None` once the training is cancelled, or for a trial that died.
    fn run(&mut self, configuration: Configuration) -> Option<Trial> {
        if self.search.cancelled {
            return None;
        }
        let trial = self.search.tried.len() + 1;
        let trials = self.trials.max(trial);
        let report = &mut self.report;
        let end = trial::run(self.holdout, configuration, &mut |progress| {
            report(TrainingProgress { trial, trials, ..progress })
        });
        let judged = match end {
            End::Judged(trial) => Some(trial),
            End::Dead => None,
            End::Cancelled => {
                self.search.cancelled = true;
                return None;
            }
        };
        let ndcg = judged.as_ref().map(Trial::ndcg);
        let configuration = judged.as_ref().map_or(configuration, |trial| trial.configuration);
        self.search.tried.push(Tried { configuration, ndcg });
        judged
    }
}
