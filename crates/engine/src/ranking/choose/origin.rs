//! Lists of three origins: the ranker, the caller, or the most popular items.
//!
//! The origin of a list is drawn once. The propensity of an item at a position, given the
//! positions above, is still the probability over all three origins: with `s_o` the chance of
//! origin `o` given the positions so far and `p_o` its probability of the item here,
//!
//! `p = sum s_o p_o`, and then `s_o <- s_o p_o / p`.
//!
//! The two orders have a certain next item. The ranker's probability of an item that it did not
//! draw is computed along the shown list. So the log supports estimates of the ranker's policy
//! from lists of the caller, as far as the ranker could have shown them.

use rand_chacha::ChaCha8Rng;

use crate::domain::ListOrigin;
use crate::ranking::choose::Chosen;
use crate::ranking::choose::List;
use crate::ranking::choose::ranker::RankerList;

const RANKER: usize = ListOrigin::Ranker.index();

/// The orders that compete with the ranker's: indices of candidates, the best first, none twice.
#[derive(Debug)]
pub struct Orders<'a> {
    /// The origin of the shown list.
    pub drawn: ListOrigin,
    /// The chance of each origin, in the order of [`ListOrigin::ALL`].
    pub chances: [f64; 3],
    pub baseline: &'a [usize],
    pub popular: &'a [usize],
}

/// A list that is being filled.
#[derive(Debug)]
pub struct Origins<'s, 'a> {
    drawn: ListOrigin,
    /// The chance of each origin given the positions so far.
    chances: [f64; 3],
    ranker: RankerList<'s, 'a>,
    orders: [Order<'s>; 2],
}

#[derive(Debug)]
struct Order<'s> {
    origin: ListOrigin,
    left: std::slice::Iter<'s, usize>,
}

impl<'s, 'a> Origins<'s, 'a> {
    /// The orders contain no pinned candidates.
    pub fn new(orders: &Orders<'s>, ranker: RankerList<'s, 'a>) -> Self {
        let order = |origin, order: &'s [usize]| Order { origin, left: order.iter() };
        Self {
            drawn: orders.drawn,
            chances: orders.chances,
            ranker,
            orders: [
                order(ListOrigin::Baseline, orders.baseline),
                order(ListOrigin::Popular, orders.popular),
            ],
        }
    }

    /// Whether the list so far could be the ranker's.
    fn asks_ranker(&self) -> bool {
        self.chances[RANKER] > 0.0
    }

    /// The cost of exploring so far; 0 if the list is not the ranker's.
    pub fn cost(&self) -> f64 {
        if self.drawn == ListOrigin::Ranker { self.ranker.cost() } else { 0.0 }
    }
}

impl List for Origins<'_, '_> {
    fn take_pinned(&mut self, candidate: usize) {
        self.ranker.take_pinned(candidate);
    }

    fn draw(&mut self, rng: &mut ChaCha8Rng) -> Option<Chosen> {
        let mut probabilities = [0.0; 3];
        let mut next = [None; 2];
        for (next, order) in next.iter_mut().zip(&mut self.orders) {
            *next = order.left.next().copied();
        }
        let candidate = if self.drawn == ListOrigin::Ranker {
            let chosen = self.ranker.draw(rng)?;
            probabilities[RANKER] = chosen.propensity;
            chosen.candidate
        } else {
            let ours = self.orders.iter().position(|order| order.origin == self.drawn);
            let candidate = next[ours.expect("both orders are here")]?;
            if self.asks_ranker() {
                probabilities[RANKER] = self.ranker.follow(candidate);
            }
            candidate
        };
        for (next, order) in next.into_iter().zip(&self.orders) {
            probabilities[order.origin.index()] = f64::from(u8::from(next == Some(candidate)));
        }
        let joint: f64 = self.chances.iter().zip(&probabilities).map(|(s, p)| s * p).sum();
        for (chance, probability) in self.chances.iter_mut().zip(&probabilities) {
            *chance *= probability / joint;
        }
        Some(Chosen::drawn(candidate, joint.min(1.0)))
    }
}
