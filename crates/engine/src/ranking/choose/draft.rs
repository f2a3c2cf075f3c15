//! One list of two rankings, by team draft.
//!
//! In each round both rankings choose once, each the item that it would show next; a coin says which
//! one is first. One that has nothing left passes. So what both rank equally high is as likely to be
//! chosen by either, and interest in items without a preference helps neither.
//!
//! The propensity of an item at a position, given the positions above and who chose in the rounds
//! before, is over the coin of its own round: with `c_s` the chance that it is the turn of side `s`
//! and `p_s` that side's probability of the item, `p = c_0 p_0 + c_1 p_1`. After the first choice of
//! a round the turn is with the other side: `c_s <- 1 - c_s p_s / p`.
//!
//! Source: Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval quality?"
//! (2008).

use rand_chacha::ChaCha8Rng;

use crate::ranking::choose::Choice;
use crate::ranking::choose::Chosen;
use crate::ranking::choose::ChosenList;
use crate::ranking::choose::List;
use crate::ranking::choose::Pin;
use crate::ranking::choose::Slate;
use crate::ranking::choose::fill;
use crate::ranking::choose::gathering::choosable;
use crate::ranking::choose::ranker::Offer;
use crate::ranking::choose::ranker::RankerList;
use crate::seed;

/// One of the two rankings.
#[derive(Debug)]
pub enum Side<'s, 'a> {
    Ranker {
        slate: Slate<'a>,
        choice: &'s Choice,
    },
    /// Indices of candidates, the best first; none is pinned.
    Order(&'s [usize]),
}

/// Fills up to so many positions with the two rankings in turns.
pub fn choose_in_turns(
    sides: [Side<'_, '_>; 2],
    pins: &[Pin],
    positions: usize,
    rng: &mut ChaCha8Rng,
) -> ChosenList {
    let [a, b] = sides;
    let (of_a, of_b) = (a.choosable(positions), b.choosable(positions));
    let (a, b) = (a.looking_at(&of_b), b.looking_at(&of_a));
    let mut draft = Draft { rankings: [Ranking::new(&a), Ranking::new(&b)], second: None };
    let chosen = fill(&mut draft, pins, positions, rng);
    ChosenList { chosen, cost: draft.rankings.iter().map(Ranking::cost).sum() }
}

impl<'s, 'a: 's> Side<'s, 'a> {
    /// What it may put into the list, in rising order.
    fn choosable(&self, positions: usize) -> Vec<usize> {
        match self {
            Self::Ranker { slate, choice } => choosable(slate, choice),
            Self::Order(order) => {
                let mut first = order[..positions.min(order.len())].to_vec();
                first.sort_unstable();
                first
            }
        }
    }

    fn looking_at(self, also: &'s [usize]) -> Side<'s, 's> {
        match self {
            Self::Ranker { slate, choice } => {
                Side::Ranker { slate: Slate { also, ..slate }, choice }
            }
            Self::Order(order) => Side::Order(order),
        }
    }
}

/// A ranking that is being followed. Both of a list look at the same candidates.
#[derive(Debug)]
enum Ranking<'s, 'a> {
    Ranker { list: Box<RankerList<'s, 'a>>, picked: Option<Offer> },
    Order { left: &'s [usize], taken: Vec<usize> },
}

impl<'s, 'a> Ranking<'s, 'a> {
    fn new(side: &'s Side<'s, 'a>) -> Self {
        match side {
            Side::Ranker { slate, choice } => {
                Self::Ranker { list: Box::new(RankerList::new(slate, choice)), picked: None }
            }
            Side::Order(order) => Self::Order { left: order, taken: Vec::new() },
        }
    }

    /// Whether it has something for the next position.
    fn look(&mut self) -> bool {
        match self {
            Self::Ranker { list, .. } => list.look(),
            Self::Order { left, taken } => {
                while left.first().is_some_and(|first| taken.contains(first)) {
                    *left = &left[1..];
                }
                !left.is_empty()
            }
        }
    }

    /// Chooses; [`Self::look`] has found something.
    fn pick(&mut self, rng: &mut ChaCha8Rng) -> (usize, f64) {
        match self {
            Self::Ranker { list, picked } => {
                let offer = picked.insert(list.pick(rng));
                (offer.candidate, offer.propensity)
            }
            Self::Order { left, .. } => (left[0], 1.0),
        }
    }

    /// The probability that it chooses this candidate.
    fn chance(&mut self, candidate: usize) -> f64 {
        match self {
            Self::Ranker { list, .. } => list.offer(candidate).map_or(0.0, |it| it.propensity),
            Self::Order { left, .. } => f64::from(u8::from(left[0] == candidate)),
        }
    }

    /// The next position is taken, by its own choice or the other's.
    fn take(&mut self, candidate: usize) {
        match self {
            Self::Ranker { list, picked } => match picked.take() {
                Some(own) => list.take(&own),
                None => list.make_way(candidate),
            },
            Self::Order { taken, .. } => taken.push(candidate),
        }
    }

    fn take_pinned(&mut self, candidate: usize) {
        if let Self::Ranker { list, .. } = self {
            list.take_pinned(candidate);
        }
    }

    /// The cost of exploring in its own choices.
    fn cost(&self) -> f64 {
        match self {
            Self::Ranker { list, .. } => list.cost(),
            Self::Order { .. } => 0.0,
        }
    }
}

#[derive(Debug)]
struct Draft<'s, 'a> {
    rankings: [Ranking<'s, 'a>; 2],
    /// The second choice of a round.
    second: Option<Second>,
}

#[derive(Debug, Clone, Copy)]
struct Second {
    /// Whose turn it is.
    by: usize,
    /// The chance of each that it is its turn, given the list.
    chances: [f64; 2],
}

impl Draft<'_, '_> {
    /// Whose turn it is, and the chance of each; `None` at the end of the list.
    fn turn(&self, has: [bool; 2], rng: &mut ChaCha8Rng) -> Option<Second> {
        let alone = |side: usize| {
            let mut chances = [0.0; 2];
            chances[side] = 1.0;
            Some(Second { by: side, chances })
        };
        match (has, self.second) {
            ([false, false], _) => None,
            ([true, false], _) => alone(0),
            ([false, true], _) => alone(1),
            ([true, true], Some(second)) => Some(second),
            ([true, true], None) => {
                let by = usize::from(seed::unit(rng) < 0.5);
                Some(Second { by, chances: [0.5; 2] })
            }
        }
    }
}

impl List for Draft<'_, '_> {
    fn take_pinned(&mut self, candidate: usize) {
        self.rankings.iter_mut().for_each(|ranking| ranking.take_pinned(candidate));
    }

    fn draw(&mut self, rng: &mut ChaCha8Rng) -> Option<Chosen> {
        let has = self.rankings.each_mut().map(Ranking::look);
        let Second { by, chances } = self.turn(has, rng)?;
        let (candidate, own) = self.rankings[by].pick(rng);
        let mut probabilities = [0.0; 2];
        probabilities[by] = own;
        let other = 1 - by;
        if chances[other] > 0.0 {
            probabilities[other] = self.rankings[other].chance(candidate);
        }
        let joint = chances[0] * probabilities[0] + chances[1] * probabilities[1];
        self.rankings.iter_mut().for_each(|ranking| ranking.take(candidate));
        let is_first = self.second.is_none();
        let after = |side: usize| 1.0 - chances[side] * probabilities[side] / joint;
        let second = Second { by: other, chances: [after(0), after(1)] };
        self.second = Some(second).filter(|_| is_first);
        Some(Chosen { by, ..Chosen::drawn(candidate, joint.min(1.0)) })
    }
}
