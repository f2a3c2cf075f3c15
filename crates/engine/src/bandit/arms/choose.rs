//! Choosing an arm: beliefs of the arms that are offered, the policy of the strategy,
//! and one draw.

use crate::bandit::arms::context::Shape;
use crate::bandit::arms::linear::Linear;
use crate::bandit::arms::linear::Prediction;
use crate::bandit::arms::linear::predict_all;
use crate::bandit::arms::set::ArmSet;
use crate::bandit::arms::shared::Described;
use crate::bandit::strategy;
use crate::bandit::strategy::Beliefs;
use crate::bandit::strategy::BetaThompson;
use crate::bandit::strategy::EpsilonGreedy;
use crate::bandit::strategy::Greedy;
use crate::bandit::strategy::Policy;
use crate::bandit::strategy::SquareCb;
use crate::bandit::strategy::Thompson;
use crate::bandit::strategy::UpperConfidence;
use crate::domain::ArmContext;
use crate::domain::ArmFeatures;
use crate::domain::ArmName;
use crate::domain::ArmSettings;
use crate::domain::ArmStrategy;
use crate::domain::DecisionId;
use crate::domain::OfferedArm;
use crate::numeric::math;
use crate::seed;
use crate::seed::Purpose;

/// SquareCB explores less by this times the square root of the selections; VW's default.
const GAMMA: f64 = 10.0;

/// The input of a choice.
#[derive(Debug, Clone, Copy)]
pub struct ArmChoice<'a> {
    /// At least one, each once.
    pub offered: &'a [ArmName],
    /// What describes each of them, in their order; nothing for arms that are only names.
    pub features: &'a [ArmFeatures],
    pub context: &'a ArmContext,
    pub strategy: ArmStrategy,
    pub epsilon: f64,
    pub settings: &'a ArmSettings,
    pub seed: u64,
    pub decision_id: &'a DecisionId,
}

/// The chosen arm, with the beliefs about all offered arms, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenArm {
    /// Index among the offered.
    pub chosen: usize,
    pub propensities: Vec<f64>,
    /// Expected rewards.
    pub means: Vec<f64>,
    /// Standard deviations of the expected rewards.
    pub deviations: Vec<f64>,
}

impl ChosenArm {
    /// The arms as they are answered and recorded.
    pub fn offered(&self, choice: &ArmChoice<'_>) -> Vec<OfferedArm> {
        let arm = |(position, name): (usize, &ArmName)| OfferedArm {
            name: name.clone(),
            features: choice.features.get(position).cloned().unwrap_or_default(),
            propensity: self.propensities[position],
            mean: self.means[position],
            deviation: self.deviations[position],
        };
        choice.offered.iter().enumerate().map(arm).collect()
    }
}

/// Chooses among the offered arms of a set; `None` is an unknown set. A
/// context that does not fit the set counts as none, and so do features.
pub fn choose(set: Option<&ArmSet>, choice: &ArmChoice<'_>) -> ChosenArm {
    let known = set.and_then(|set| set.shape);
    let has_features = choice.features.iter().any(|features| !features.is_empty());
    let shape = Shape::of_selection(known, choice.context, has_features);
    let mut propensities = vec![0.0; choice.offered.len()];
    let (means, deviations) = match shape {
        Some(shape) => by_context(set, shape, choice, &mut propensities),
        None => by_rate(set, choice, &mut propensities),
    };
    strategy::mix_evenly(&mut propensities, f64::from(choice.settings.floor));
    let key = choice.decision_id.as_str().as_bytes();
    let uniform = seed::unit(&mut seed::stream(choice.seed, Purpose::SelectArm, key));
    let chosen = strategy::draw(&propensities, uniform);
    ChosenArm { chosen, propensities, means, deviations }
}

fn by_context(
    set: Option<&ArmSet>,
    shape: Shape,
    choice: &ArmChoice<'_>,
    propensities: &mut [f64],
) -> (Vec<f64>, Vec<f64>) {
    let fresh = ArmSet::default();
    let set = set.unwrap_or(&fresh);
    let x = set.inputs(shape, choice.context);
    let models: Vec<Option<&Linear>> = choice
        .offered
        .iter()
        .enumerate()
        .map(|(position, name)| {
            linear_of(set, name, position).filter(|linear| linear.dimension() == x.len())
        })
        .collect();
    let noise = set.noise();
    let (means, deviations): (Vec<f64>, Vec<f64>) = predicted(set, choice, &models, &x)
        .into_iter()
        .map(|predicted| (predicted.mean, noise * predicted.variance.sqrt()))
        .unzip();
    let exploration = f64::from(choice.settings.exploration);
    let policy: &dyn Policy = match choice.strategy {
        ArmStrategy::Greedy => &Greedy,
        ArmStrategy::EpsilonGreedy => &EpsilonGreedy { epsilon: choice.epsilon },
        ArmStrategy::Thompson => &Thompson { scale: exploration },
        ArmStrategy::UpperConfidence => &UpperConfidence { width: exploration },
        ArmStrategy::SquareCb => &square_cb(set),
    };
    policy.propensities(Beliefs { means: &means, deviations: &deviations }, propensities);
    (means, deviations)
}

/// The predictions of each arm's own model, and of the shared one where arms have features.
fn predicted(
    set: &ArmSet,
    choice: &ArmChoice<'_>,
    models: &[Option<&Linear>],
    x: &[f64],
) -> Vec<Prediction> {
    let (Some(shared), Some(shape)) = (&set.shared, set.features) else {
        return predict_all(models, x);
    };
    let nothing = ArmFeatures::default();
    let of = |(position, own): (usize, &Option<&Linear>)| {
        let given = choice.features.get(position).unwrap_or(&nothing);
        shared.predict(x, Described { own: *own, features: &shared.features(shape, given) })
    };
    models.iter().enumerate().map(of).collect()
}

fn linear_of<'a>(set: &'a ArmSet, name: &ArmName, hint: usize) -> Option<&'a Linear> {
    let hinted = set.arms.get(hint).filter(|arm| &*arm.name == name.as_str());
    let arm = hinted.or_else(|| set.find(name.as_str()).map(|arm| &set.arms[arm]));
    arm.and_then(|arm| arm.linear.as_deref())
}

fn square_cb(set: &ArmSet) -> SquareCb {
    SquareCb { gamma: GAMMA * (set.selections() as f64 + 1.0).sqrt() }
}

fn by_rate(
    set: Option<&ArmSet>,
    choice: &ArmChoice<'_>,
    propensities: &mut [f64],
) -> (Vec<f64>, Vec<f64>) {
    let fresh = ArmSet::default();
    let set = set.unwrap_or(&fresh);
    let prior = (f64::from(choice.settings.alpha), f64::from(choice.settings.beta));
    let known: Vec<_> = choice
        .offered
        .iter()
        .map(|name| set.find(name.as_str()).map(|arm| &set.arms[arm]))
        .collect();
    let (alphas, betas): (Vec<f64>, Vec<f64>) =
        known.iter().map(|arm| arm.map_or(prior, |arm| arm.beta_belief(prior))).unzip();
    let both = || alphas.iter().zip(&betas);
    let means: Vec<f64> = both().map(|(alpha, beta)| alpha / (alpha + beta)).collect();
    let deviations: Vec<f64> = both()
        .map(|(alpha, beta)| (alpha * beta / (alpha + beta + 1.0)).sqrt() / (alpha + beta))
        .collect();
    let beliefs = Beliefs { means: &means, deviations: &deviations };
    match choice.strategy {
        ArmStrategy::Greedy => Greedy.propensities(beliefs, propensities),
        ArmStrategy::EpsilonGreedy => {
            EpsilonGreedy { epsilon: choice.epsilon }.propensities(beliefs, propensities);
        }
        ArmStrategy::Thompson => {
            BetaThompson { alphas: &alphas, betas: &betas }.propensities(propensities);
        }
        ArmStrategy::UpperConfidence => {
            let evidence =
                known.iter().map(|arm| arm.map_or((0.0, 0.0), |arm| (arm.successes, arm.weight)));
            ucb1(&evidence.collect::<Vec<_>>(), propensities);
        }
        ArmStrategy::SquareCb => square_cb(set).propensities(beliefs, propensities),
    }
    (means, deviations)
}

/// UCB1 (Auer, Cesa-Bianchi, Fischer 2002) of the successes and selections of each arm:
/// arms without selections come first.
fn ucb1(evidence: &[(f64, f64)], propensities: &mut [f64]) {
    let total: f64 = evidence.iter().map(|(_, weight)| weight).sum();
    let tried = |weight: f64| weight > 1e-9;
    let means: Vec<f64> =
        evidence.iter().map(|&(s, n)| if tried(n) { s / n } else { 0.0 }).collect();
    let spread = 2.0 * math::ln(total.max(1.0));
    let deviations: Vec<f64> = evidence
        .iter()
        .map(|&(_, n)| if tried(n) { (spread / n).sqrt() } else { f64::INFINITY })
        .collect();
    let beliefs = Beliefs { means: &means, deviations: &deviations };
    UpperConfidence { width: 1.0 }.propensities(beliefs, propensities);
}
