//! How likely a ranking would show a given list, position by position.
//!
//! It goes by beliefs that are given as well, such as those of a recorded ranking. So what the view has learnt
//! since, also from the list itself, is not in the probabilities, and they are exactly those of the recorded
//! ranking where the rules are the same.

use crate::bandit::strategy::Beliefs;
use crate::domain::Strategy;
use crate::features::Candidate;
use crate::give_up::Cancelled;
use crate::ranking::choose::Placed;
use crate::ranking::choose::Slate;
use crate::ranking::choose::follow;
use crate::ranking::exploration::Exploration;
use crate::ranking::rank::Scored;
use crate::ranking::rank::Weighed;
use crate::ranking::rank::in_force;
use crate::ranking::rank::slate;
use crate::ranking::request::RankRequest;
use crate::ranking::trial;
use crate::state::View;

/// The probability that the item of each position is shown there, given the positions above; 1 for a
/// pinned one. `beliefs`: expected rewards with boosts and bonuses, and their standard deviations.
/// `excluded`: candidates that the request does not allow, in rising order; the list may have them all the
/// same. Neither an order of the caller nor an allowance of exploring counts.
///
/// # Errors
/// [`Cancelled`].
pub fn propensities_of(
    view: &View,
    candidates: &[Candidate<'_>],
    request: &RankRequest<'_>,
    beliefs: Beliefs<'_>,
    shown: &[Placed],
    excluded: &[usize],
) -> Result<Vec<f64>, Cancelled> {
    let (strategy, now) = (request.choice.strategy, request.request_context.now);
    let width = if strategy == Strategy::LinUcb { request.choice.exploring.scale } else { 0.0 };
    let Beliefs { means, deviations } = beliefs;
    let pairs = means.iter().zip(deviations);
    let scores: Vec<f64> = pairs.map(|(mean, deviation)| mean + width * deviation).collect();
    let exploration = &Exploration::new(view, candidates, strategy, now);
    let weighed = Weighed { scores: &scores, deviations, exploration };
    let slate = Slate { excluded, ..slate(view, candidates, weighed, None, request) };
    if request.ranked_by.popular {
        return Ok(of_popular(&trial::popular(view, &slate), shown));
    }
    follow(&slate, &in_force(view, request), shown, || request.give_up.check())
}

/// Expected rewards of candidates with boosts, as the view believes them now.
///
/// # Errors
/// [`Cancelled`].
pub fn boosted_rewards(
    view: &View,
    candidates: &[Candidate<'_>],
    request: &RankRequest<'_>,
) -> Result<Vec<f64>, Cancelled> {
    Ok(Scored::new(view, candidates, request)?.boosted())
}

/// In an order, what comes next is certain: the first that is not above.
fn of_popular(order: &[usize], shown: &[Placed]) -> Vec<f64> {
    let propensity = |(at, placed): (usize, &Placed)| {
        let is_above = |candidate: usize| shown[..at].iter().any(|one| one.candidate == candidate);
        let next = order.iter().find(|&&candidate| !is_above(candidate));
        if placed.pinned || next == Some(&placed.candidate) { 1.0 } else { 0.0 }
    };
    shown.iter().enumerate().map(propensity).collect()
}
