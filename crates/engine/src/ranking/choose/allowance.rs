//! The cost of a choice relative to the greedy one, and the allowance for this cost.
//!
//! The greedy choice at a position is the candidate with the greatest gain for the list by its
//! expected reward alone, without bonuses and widths. Choosing `c` instead of the greedy `g`
//! costs at most `max(0, m_g - m_c + z s)` rewards, with `m` the posterior means, `s` the
//! standard deviation of their difference and `z` for one-sided 95 %. This is conservative:
//! uncertainty counts as a loss.
//!
//! With an allowance, a position explores only if the rest of the allowance covers the most
//! that the position can cost. Otherwise the greedy choice takes it with certainty. This is
//! known before the draw, so propensities stay exact.

use crate::bandit::Belief;
use crate::bandit::ItemEffect;
use crate::models::hybrid::FeatureMatrix;
use crate::ranking::choose::pool::Pool;

/// One-sided 95 % quantile of the standard normal distribution.
const QUANTILE: f64 = 1.644_853_626_951_472_7;

/// The costs of choosing among the candidates of a request.
#[derive(Debug)]
pub struct Costs<'a> {
    /// Posterior means of the rewards.
    pub estimates: &'a [f64],
    /// Parts of the scores for exploring; empty when there are none.
    pub added: Vec<f64>,
    pub belief: &'a Belief,
    /// The ranker's vectors.
    pub vectors: &'a FeatureMatrix,
    /// Parts of the estimates beyond the coefficients.
    pub effects: &'a [ItemEffect],
    /// The rest of the allowance; `None`: no bound.
    pub left: Option<f64>,
    /// Greatest standard deviation of an expected reward; used only with a bound.
    pub widest: f64,
}

/// A choice, and the greedy one at this position.
#[derive(Debug, Clone, Copy)]
struct Explored {
    chosen: usize,
    greedy: usize,
}

impl Costs<'_> {
    /// The sum over choices; their deviations are computed together.
    fn of(&self, explored: &[Explored]) -> f64 {
        if explored.is_empty() {
            return 0.0;
        }
        let width = self.vectors.width();
        let mut rows = Vec::with_capacity(explored.len() * width);
        for &Explored { chosen, greedy } in explored {
            let pairs = self.vectors.row(chosen).iter().zip(self.vectors.row(greedy));
            rows.extend(pairs.map(|(a, b)| a - b));
        }
        let mut deviations = Vec::with_capacity(explored.len());
        self.belief.deviations(rows.chunks_exact(width), &mut deviations);
        let of = |(explored, deviation): (&Explored, f64)| {
            let behind = self.estimates[explored.greedy] - self.estimates[explored.chosen];
            let own = [explored.greedy, explored.chosen].map(|one| self.effects.get(one));
            let own: f64 = own.into_iter().flatten().map(|effect| effect.variance).sum();
            let deviation = (deviation * deviation + own).sqrt();
            (behind + QUANTILE * deviation).max(0.0)
        };
        explored.iter().zip(deviations).map(of).sum()
    }

    /// The most that a position can cost.
    fn worst(&self) -> f64 {
        let of_estimates = self.estimates.iter();
        let (least, most) =
            of_estimates.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), m| (m.min(a), m.max(b)));
        most - least + QUANTILE * 2.0 * self.widest
    }
}

/// The account of one list.
#[derive(Debug)]
pub struct Gate<'a> {
    costs: Option<&'a Costs<'a>>,
    worst: f64,
    /// With a bound: the cost so far.
    spent: f64,
    /// Without a bound: choices whose cost is computed at the end.
    explored: Vec<Explored>,
}

impl<'a> Gate<'a> {
    /// Without costs nothing is counted and every position may explore.
    pub fn new(costs: Option<&'a Costs<'a>>) -> Self {
        let bounded = costs.filter(|costs| costs.left.is_some());
        Self { costs, worst: bounded.map_or(0.0, Costs::worst), spent: 0.0, explored: Vec::new() }
    }

    /// The cost of the list so far.
    pub fn spent(&self) -> f64 {
        self.spent + self.costs.map_or(0.0, |costs| costs.of(&self.explored))
    }

    /// Whether the next position must be filled greedily.
    pub fn is_closed(&self) -> bool {
        let left = self.costs.and_then(|costs| costs.left);
        left.is_some_and(|left| left - self.spent < self.worst)
    }

    /// The greedy choice among the admissible members.
    pub fn greedy(&self, pool: &Pool<'_>) -> usize {
        let Some(costs) = self.costs.filter(|costs| !costs.added.is_empty()) else {
            return pool.best();
        };
        let gains = pool.admissible().iter().zip(pool.gains());
        let mut best: Option<(usize, f64)> = None;
        for (&member, gain) in gains {
            let own = gain - costs.added[pool.candidate(member)] / pool.scale();
            if best.is_none_or(|(_, most)| own > most) {
                best = Some((member, own));
            }
        }
        best.map_or(pool.best(), |(member, _)| member)
    }

    /// Notes the chosen candidate and the greedy one of a position.
    pub fn note(&mut self, chosen: usize, greedy: usize) {
        let Some(costs) = self.costs.filter(|_| chosen != greedy) else {
            return;
        };
        let explored = Explored { chosen, greedy };
        match costs.left {
            Some(_) => self.spent += costs.of(&[explored]),
            None => self.explored.push(explored),
        }
    }
}
