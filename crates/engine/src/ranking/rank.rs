//! One ranking: candidates to an ordered, scored, explained list.
//!
//! The score is the posterior mean of the reward. Boosts add to it; strategies that explore add
//! a bonus for new items; LinUCB adds standard deviations (`uncertainty`). The prior of the mean
//! is the hybrid ([`crate::ranking::prior`]): without rewards, the order is the hybrid's. From
//! rewards the Bayesian linear ranker learns corrections of the hybrid.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;

use crate::bandit::ItemEffect;
use crate::consumption::User;
use crate::domain::DiversityMethod;
use crate::domain::ListOrigin;
use crate::domain::Strategy;
use crate::features::Candidate;
use crate::features::FeatureMask;
use crate::features::ReasonKind;
use crate::features::UserContext;
use crate::features::describe;
use crate::give_up::Cancelled;
use crate::models::contexts::RequestContext;
use crate::models::hybrid::FeatureMatrix;
use crate::ranking::choose::Choice;
use crate::ranking::choose::Chosen;
use crate::ranking::choose::ChosenList;
use crate::ranking::choose::Costs;
use crate::ranking::choose::Exploring;
use crate::ranking::choose::Orders;
use crate::ranking::choose::Side;
use crate::ranking::choose::Slate;
use crate::ranking::choose::choose;
use crate::ranking::choose::choose_in_turns;
use crate::ranking::explain::BOOST;
use crate::ranking::explain::EXPLORATION_BONUS;
use crate::ranking::explain::Explainer;
use crate::ranking::explain::Reason;
use crate::ranking::exploration::Exploration;
use crate::ranking::item_effects::add_effects;
use crate::ranking::item_effects::item_effects;
use crate::ranking::request::RankRequest;
use crate::ranking::request::Ranked;
use crate::ranking::request::RankedItem;
use crate::ranking::scale::Scale;
use crate::ranking::trial;
use crate::ranking::trial::Baseline;
use crate::ranking::trial::Trial;
use crate::retrieval::boost;
use crate::seed;
use crate::state::View;

/// The component that LinUCB adds to a score.
/// The latest items of a user that serendipity keeps away from.
const FAMILIAR: usize = 10;
const UNCERTAINTY: &str = "uncertainty";
/// The component of the item's expected reward beyond its features.
const ITEM: &str = "item";

/// Scores of candidates by the view's ranker, in their order. Features that `mask`
/// leaves out count as "nothing known" for every candidate.
pub fn score_candidates(
    view: &View,
    user: Option<&User>,
    context: &UserContext,
    request_context: &RequestContext,
    candidates: &[Candidate<'_>],
    mask: FeatureMask,
) -> Vec<f64> {
    let features = describe(view, user, context, request_context, candidates);
    score_described(view, user, request_context, candidates, (features, mask))
}

/// The same of candidates that are described already, on the scale of the view.
pub fn score_described(
    view: &View,
    user: Option<&User>,
    request_context: &RequestContext,
    candidates: &[Candidate<'_>],
    (mut features, mask): (FeatureMatrix, FeatureMask),
) -> Vec<f64> {
    mask.apply(&mut features);
    let segment = View::segment(user, request_context.device);
    let mut scores = Scale::over(view, None, segment, &features).scores();
    add_effects(&item_effects(view, candidates), &mut scores, &mut []);
    scores
}

/// Ranks candidates by the view's ranker.
///
/// # Errors
/// [`Cancelled`].
pub fn rank(
    view: &View,
    candidates: &[Candidate<'_>],
    request: &RankRequest<'_>,
) -> Result<Ranked, Cancelled> {
    let scored = Scored::new(view, candidates, request)?;
    let key = request.decision_id.as_bytes();
    let mut rng = seed::stream(view.settings().seed, seed::Purpose::Choose, key);
    if let Some(rivals) = request.of_rival() {
        return in_turns(view, candidates, (request, scored), &rivals, &mut rng);
    }
    let costs = scored.costs(view, request);
    let slate = slate(view, candidates, scored.weighed(), costs.as_ref(), request);
    let choice = in_force(view, request);
    let (list, origin, trial) = match (request.baseline, request.earlier.origin) {
        _ if request.ranked_by.popular => {
            let origin = ListOrigin::Popular;
            let list = continued(view, &slate, &Baseline::Popular, origin, &choice, &mut rng);
            (list, Some(origin), None)
        }
        (None, _) => (choose(&slate, &choice, None, &mut rng), None, None),
        (Some(baseline), Some(origin)) => {
            let list = continued(view, &slate, baseline, origin, &choice, &mut rng);
            (list, Some(origin), None)
        }
        (Some(baseline), None) => {
            let (list, trial) =
                contest(view, slate, &scored, baseline, &choice, request, &mut rng)?;
            (list, Some(trial.origin), Some(trial))
        }
    };
    request.give_up.check()?;
    let items = items(view, candidates, list.chosen, &[(request, &scored)]);
    let exploration_cost = list.cost;
    let Scored { segment, scores, deviations, .. } = scored;
    Ok(Ranked { segment, items, scores, deviations, exploration_cost, origin, trial })
}

/// Fills the list in turns with another ranking.
fn in_turns(
    view: &View,
    candidates: &[Candidate<'_>],
    (request, scored): (&RankRequest<'_>, Scored<'_>),
    rivals: &RankRequest<'_>,
    rng: &mut ChaCha8Rng,
) -> Result<Ranked, Cancelled> {
    let other = Scored::new(view, candidates, rivals)?;
    let both = [(request, &scored), (rivals, &other)];
    // Together they stay within the allowance.
    let costs = both.map(|(request, scored)| {
        let costs = scored.costs(view, request)?;
        Some(Costs { left: costs.left.map(|left| 0.5 * left), ..costs })
    });
    let slates = [0, 1].map(|side| {
        let (request, scored) = both[side];
        slate(view, candidates, scored.weighed(), costs[side].as_ref(), request)
    });
    let choices = both.map(|(request, _)| in_force(view, request));
    let popular = both
        .map(|(request, _)| request.ranked_by.popular.then(|| trial::popular(view, &slates[0])));
    let [a, b] = slates;
    let side = |number: usize, slate| match &popular[number] {
        Some(order) => Side::Order(order),
        None => Side::Ranker { slate, choice: &choices[number] },
    };
    let list = choose_in_turns([side(0, a), side(1, b)], request.pins, choices[0].positions, rng);
    request.give_up.check()?;
    let items = items(view, candidates, list.chosen, &both);
    let exploration_cost = list.cost;
    let Scored { segment, scores, deviations, .. } = scored;
    let (origin, trial) = (None, None);
    Ok(Ranked { segment, items, scores, deviations, exploration_cost, origin, trial })
}

/// The items of a list, each as the ranking that chose it has it.
fn items(
    view: &View,
    candidates: &[Candidate<'_>],
    chosen: Vec<Chosen>,
    rankings: &[(&RankRequest<'_>, &Scored<'_>)],
) -> Vec<RankedItem> {
    let explainers = rankings.iter().map(|&(request, scored)| {
        let RankRequest { user, context, request_context, .. } = request;
        request.explain.then(|| {
            let (boosts, average) = (request.boosts_by_owner(), scored.average());
            Explainer::new(view, *user, context, request_context, boosts, average)
        })
    });
    let explainers: Vec<Option<Explainer<'_>>> = explainers.collect();
    let item = |chosen: Chosen| {
        let (at, scored) = (chosen.candidate, rankings[chosen.by].1);
        let components = scored.components(at);
        let reasons = match &explainers[chosen.by] {
            None => Vec::new(),
            Some(_) if chosen.pinned => vec![Reason::new(ReasonKind::Pinned)],
            Some(explainer) => {
                let features = scored.scale.features(at);
                explainer.reasons(&candidates[at], features, &components, chosen.propensity)
            }
        };
        RankedItem {
            candidate: at,
            score: scored.scores[at],
            estimate: scored.estimates[at],
            propensity: chosen.propensity,
            pinned: chosen.pinned,
            by: chosen.by,
            components,
            reasons,
            features: scored.scale.vectors.row(at).to_vec(),
        }
    };
    chosen.into_iter().map(item).collect()
}

/// A later page of a list of this origin.
fn continued(
    view: &View,
    slate: &Slate<'_>,
    baseline: &Baseline,
    origin: ListOrigin,
    choice: &Choice,
    rng: &mut ChaCha8Rng,
) -> ChosenList {
    let popular = trial::popular(view, slate);
    let orders = Orders {
        drawn: origin,
        chances: trial::certain(origin),
        baseline: baseline.order(&popular),
        popular: &popular,
    };
    choose(slate, choice, Some(&orders), rng)
}

/// Shows the ranker's list, the caller's or the most popular items. Compares the first two.
fn contest(
    view: &View,
    slate: Slate<'_>,
    scored: &Scored<'_>,
    baseline: &Baseline,
    choice: &Choice,
    request: &RankRequest<'_>,
    rng: &mut ChaCha8Rng,
) -> Result<(ChosenList, Trial), Cancelled> {
    let (drawn, chances) = trial::draw(view, request.decision_id);
    let popular = trial::popular(view, &slate);
    let callers = baseline.order(&popular);
    let orders = Orders { drawn, chances, baseline: callers, popular: &popular };
    let list = choose(&slate, choice, Some(&orders), rng);
    request.give_up.check()?;
    let scores = scored.boosted();
    let (exploration, costs) = (&Exploration::default(), None);
    let slate = Slate { scores: &scores, deviations: &[], exploration, costs, ..slate };
    let own = choose(&slate, &Choice { strategy: Strategy::Greedy, ..*choice }, None, rng);
    let vector = |candidate: usize| scored.scale.vectors.row(candidate);
    let trial = Trial::new(view, (drawn, chances), callers, &own, &scored.estimates, vector);
    Ok((list, trial))
}

/// The choice with gamma scaled by what was learnt: with more knowledge of rewards, less is
/// explored (Foster and Rakhlin 2020: by the square root of the rounds).
pub(super) fn in_force(view: &View, request: &RankRequest<'_>) -> Choice {
    let choice = &request.choice;
    // All lists that may be shown are equally long.
    let reach = request.baseline.and_then(Baseline::reach);
    let positions =
        reach.map_or(choice.positions, |reach| choice.positions.min(reach + request.pins.len()));
    let mass = view.ranker_for(request.ranked_by.own_ranker).shared().mass().max(1.0);
    let exploring = Exploring { gamma: choice.exploring.gamma * mass.sqrt(), ..choice.exploring };
    Choice { exploring, positions, ..*choice }
}

/// The rank of a candidate among all of a request, by score alone.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateRank {
    /// Candidates before it.
    pub rank: usize,
    pub score: f64,
    /// Parts of the score by name; they add up to it.
    pub components: BTreeMap<&'static str, f64>,
}

/// The rank of one candidate, shown or not, by the scores of [`rank`].
///
/// # Errors
/// [`Cancelled`].
pub fn candidate_rank(
    view: &View,
    candidates: &[Candidate<'_>],
    request: &RankRequest<'_>,
    candidate: usize,
) -> Result<CandidateRank, Cancelled> {
    let scored = Scored::new(view, candidates, request)?;
    let score = scored.scores[candidate];
    let is_before = |&(position, other): &(usize, &f64)| {
        other.total_cmp(&score).reverse().then(position.cmp(&candidate)).is_lt()
    };
    Ok(CandidateRank {
        rank: scored.scores.iter().enumerate().filter(is_before).count(),
        score,
        components: scored.components(candidate),
    })
}

/// The scores of all candidates with their parts.
pub(super) struct Scored<'v> {
    scale: Scale<'v>,
    segment: u8,
    estimates: Vec<f64>,
    /// Expected rewards of items beyond their features: parts of the estimates.
    effects: Vec<ItemEffect>,
    /// Standard deviations of the expected rewards; empty when they are not needed.
    deviations: Vec<f64>,
    /// How many standard deviations are added to a score.
    width: f64,
    boosts: Vec<f64>,
    exploration: Exploration,
    /// Estimates with boosts, bonuses and widths.
    scores: Vec<f64>,
}

impl<'v> Scored<'v> {
    pub(super) fn new(
        view: &'v View,
        candidates: &[Candidate<'_>],
        request: &RankRequest<'_>,
    ) -> Result<Self, Cancelled> {
        let RankRequest { user, context, request_context, give_up, .. } = request;
        give_up.check()?;
        let mut features = describe(view, *user, context, request_context, candidates);
        request.ranked_by.mask.apply(&mut features);
        give_up.check()?;
        let segment = View::segment(*user, request_context.device);
        let scale = Scale::over(view, request.ranked_by.own_ranker, segment, &features);
        let mut estimates = scale.scores();
        let effects = item_effects(view, candidates);
        let (needs_deviations, width) = match request.choice.strategy {
            Strategy::Thompson => (true, 0.0),
            Strategy::LinUcb => (true, request.choice.exploring.scale),
            Strategy::Greedy | Strategy::EpsilonGreedy | Strategy::SquareCb => (false, 0.0),
        };
        let explores = request.choice.strategy != Strategy::Greedy;
        let is_bounded = explores && view.settings().ranker.exploration_allowance.is_some();
        let needs_deviations = needs_deviations || is_bounded || request.deviations;
        let mut deviations = if needs_deviations { scale.deviations() } else { Vec::new() };
        add_effects(&effects, &mut estimates, &mut deviations);
        let boosts = boosts(candidates, &estimates, request)?;
        let exploration =
            Exploration::new(view, candidates, request.choice.strategy, request_context.now);
        let scores = Vec::new();
        let mut scored = Self {
            scale,
            segment,
            estimates,
            effects,
            deviations,
            width,
            boosts,
            exploration,
            scores,
        };
        let added = |position: usize| {
            scored.boosts[position]
                + scored.exploration.bonus(position)
                + scored.uncertainty(position)
        };
        let estimates = scored.estimates.iter().enumerate();
        scored.scores = estimates.map(|(position, estimate)| estimate + added(position)).collect();
        Ok(scored)
    }

    fn weighed(&self) -> Weighed<'_> {
        let Self { scores, deviations, exploration, .. } = self;
        Weighed { scores, deviations, exploration }
    }

    /// Estimates with boosts.
    pub(super) fn boosted(&self) -> Vec<f64> {
        let estimates = self.estimates.iter().zip(&self.boosts);
        estimates.map(|(estimate, boost)| estimate + boost).collect()
    }

    /// What a score holds for the uncertainty of the reward.
    fn uncertainty(&self, position: usize) -> f64 {
        self.deviations.get(position).map_or(0.0, |deviation| self.width * deviation)
    }

    /// The costs of choices relative to greedy ones; `None` when nothing explores.
    fn costs(&self, view: &View, request: &RankRequest<'_>) -> Option<Costs<'_>> {
        if request.choice.strategy == Strategy::Greedy {
            return None;
        }
        let allowance = view.settings().ranker.exploration_allowance;
        let left = allowance
            .map(|share| view.ranker().account.left(f64::from(share)) - request.unlearnt_cost);
        let added = |position: usize| self.exploration.bonus(position) + self.uncertainty(position);
        let adds = self.width > 0.0 || self.exploration.has_bonuses();
        let count = if adds { self.estimates.len() } else { 0 };
        Some(Costs {
            estimates: &self.estimates,
            added: (0..count).map(added).collect(),
            belief: self.scale.belief,
            vectors: &self.scale.vectors,
            effects: &self.effects,
            left,
            widest: self.deviations.iter().fold(0.0, |widest, deviation| deviation.max(widest)),
        })
    }

    /// The parts of the average candidate's score, but for boosts.
    fn average(&self) -> BTreeMap<&'static str, f64> {
        let mut average = self.scale.average();
        let bonuses = (0..self.scores.len()).map(|position| self.exploration.bonus(position));
        average.insert(EXPLORATION_BONUS, bonuses.sum::<f64>() / self.scores.len().max(1) as f64);
        average
    }

    /// The parts of a candidate's score.
    fn components(&self, position: usize) -> BTreeMap<&'static str, f64> {
        let mut components = self.scale.components(position);
        let (bonus, uncertain) = (self.exploration.bonus(position), self.uncertainty(position));
        let added = [
            (ITEM, self.effects[position].mean),
            (BOOST, self.boosts[position]),
            (EXPLORATION_BONUS, bonus),
            (UNCERTAINTY, uncertain),
        ];
        components.extend(added.into_iter().filter(|part| part.1 != 0.0));
        components
    }
}

/// What the boosts of the request add to each estimate.
fn boosts(
    candidates: &[Candidate<'_>],
    estimates: &[f64],
    request: &RankRequest<'_>,
) -> Result<Vec<f64>, Cancelled> {
    if request.boosts.is_empty() {
        return Ok(vec![0.0; candidates.len()]);
    }
    let now = request.request_context.now;
    let boost = |(candidate, estimate): (&Candidate<'_>, &f64)| {
        request.give_up.step()?;
        let item = candidate.entry.item.as_ref();
        Ok(item.map_or(0.0, |item| boost(request.boosts, item, now, *estimate)))
    };
    candidates.iter().zip(estimates).map(boost).collect()
}

/// What a choice goes by, of each candidate; see [`Slate`].
pub(super) struct Weighed<'a> {
    pub scores: &'a [f64],
    pub deviations: &'a [f64],
    pub exploration: &'a Exploration,
}

/// The candidates with all data for the choice.
pub(super) fn slate<'a>(
    view: &'a View,
    candidates: &'a [Candidate<'a>],
    weighed: Weighed<'a>,
    costs: Option<&'a Costs<'a>>,
    request: &'a RankRequest<'_>,
) -> Slate<'a> {
    let choice = &request.choice;
    let familiar = if choice.serendipity_weight > 0.0 { FAMILIAR } else { 0 };
    let recent = request.context.recent.iter().take(familiar);
    let novelty = if choice.novelty_weight > 0.0 {
        view.self_information(candidates.iter().map(|candidate| candidate.index))
    } else {
        Vec::new()
    };
    let topic_mix = match request.user {
        Some(user) if choice.method == DiversityMethod::Calibrated => topic_mix(view, user),
        _ => Vec::new(),
    };
    let recent = recent.map(|&item| Candidate::known(view, item)).collect();
    let Weighed { scores, deviations, exploration } = weighed;
    let pins = request.pins;
    let excluded = request.baseline.map_or(&[][..], Baseline::excluded);
    Slate {
        candidates,
        scores,
        deviations,
        recent,
        novelty,
        topic_mix,
        exploration,
        above: request.earlier.items,
        pins,
        excluded,
        also: &[],
        costs,
    }
}

/// Shares of topics in a user's preferences. Disliked topics have none.
fn topic_mix<'v>(view: &'v View, user: &User) -> Vec<(&'v str, f64)> {
    let liked = || user.topics.entries().iter().filter(|entry| entry.1 > 0.0);
    let total: f64 = liked().map(|entry| f64::from(entry.1)).sum();
    let share =
        |&(topic, mass): &(u32, f32)| Some((view.topic_name(topic)?, f64::from(mass) / total));
    liked().filter_map(share).collect()
}
