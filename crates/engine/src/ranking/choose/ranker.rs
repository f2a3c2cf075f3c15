//! The ranker's own list, position by position.

use rand_chacha::ChaCha8Rng;

use crate::ranking::choose::Choice;
use crate::ranking::choose::Chosen;
use crate::ranking::choose::List;
use crate::ranking::choose::Slate;
use crate::ranking::choose::allowance::Gate;
use crate::ranking::choose::policy::Draw;
use crate::ranking::choose::policy::Policy;
use crate::ranking::choose::pool::Pool;

/// A list that is being filled.
#[derive(Debug)]
pub struct RankerList<'s, 'a> {
    slate: &'s Slate<'a>,
    choice: &'s Choice,
    /// Made on the first use of the ranker.
    parts: Option<Parts<'s, 'a>>,
    /// Candidates that were pinned before.
    pinned: Vec<usize>,
}

/// A candidate for the next position, with the probability that it gets it.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    member: usize,
    /// The greedy choice at this position.
    greedy: usize,
    pub candidate: usize,
    pub propensity: f64,
}

#[derive(Debug)]
struct Parts<'s, 'a> {
    pool: Pool<'a>,
    policy: Policy,
    gate: Gate<'s>,
}

impl<'s, 'a> RankerList<'s, 'a> {
    pub fn new(slate: &'s Slate<'a>, choice: &'s Choice) -> Self {
        Self { slate, choice, parts: None, pinned: Vec::new() }
    }

    fn parts(&mut self) -> &mut Parts<'s, 'a> {
        let (slate, choice, pinned) = (self.slate, self.choice, &mut self.pinned);
        self.parts.get_or_insert_with(|| {
            let mut pool = Pool::new(slate, choice);
            pinned.drain(..).for_each(|candidate| pool.take_pinned(candidate));
            Parts { pool, policy: Policy::new(choice), gate: Gate::new(slate.costs) }
        })
    }

    /// The cost of exploring so far.
    pub fn cost(&self) -> f64 {
        self.parts.as_ref().map_or(0.0, |parts| parts.gate.spent())
    }

    /// Finds what may take the next position; `false` when nothing may.
    pub fn look(&mut self) -> bool {
        self.parts().pool.look()
    }

    /// Draws from what was found.
    pub fn pick(&mut self, rng: &mut ChaCha8Rng) -> Offer {
        let slate = self.slate;
        let Parts { pool, policy, gate } = self.parts();
        let greedy = gate.greedy(pool);
        let (member, propensity) = if gate.is_closed() {
            (greedy, 1.0)
        } else {
            let for_new = slate.exploration.at_position(candidates(pool));
            let new = for_new.draw(rng);
            let Draw { member, propensity } = policy.choose(pool, new, rng);
            (member, for_new.propensity(member, propensity))
        };
        // Sums of probabilities are rounded.
        Offer { member, greedy, candidate: pool.candidate(member), propensity: propensity.min(1.0) }
    }

    /// A candidate with the probability that [`Self::pick`] draws it; `None`: it never does.
    pub fn offer(&mut self, candidate: usize) -> Option<Offer> {
        let slate = self.slate;
        let Parts { pool, policy, gate } = self.parts();
        let is_it = |member: &&usize| pool.candidate(**member) == candidate;
        let member = *pool.admissible().iter().find(is_it)?;
        let greedy = gate.greedy(pool);
        let propensity = if gate.is_closed() {
            f64::from(u8::from(member == greedy))
        } else {
            let for_new = slate.exploration.at_position(candidates(pool));
            for_new.propensity(member, policy.propensity_of(pool, member))
        };
        Some(Offer { member, greedy, candidate, propensity })
    }

    /// Gives the next position to what was picked or offered.
    pub fn take(&mut self, offer: &Offer) {
        let Parts { pool, gate, .. } = self.parts();
        gate.note(offer.candidate, pool.candidate(offer.greedy));
        pool.take(offer.member);
    }

    /// Gives the next position to what another ranking chose.
    pub fn make_way(&mut self, candidate: usize) {
        self.parts().pool.take_of_other(candidate);
    }

    /// Gives the next position to a candidate that is not pinned; returns the probability that a
    /// draw gives it. After 0 the list cannot be the ranker's.
    pub fn follow(&mut self, candidate: usize) -> f64 {
        let offer = if self.look() { self.offer(candidate) } else { None };
        offer.map_or(0.0, |offer| {
            self.take(&offer);
            offer.propensity
        })
    }
}

impl List for RankerList<'_, '_> {
    fn take_pinned(&mut self, candidate: usize) {
        match &mut self.parts {
            Some(parts) => parts.pool.take_pinned(candidate),
            None => self.pinned.push(candidate),
        }
    }

    fn draw(&mut self, rng: &mut ChaCha8Rng) -> Option<Chosen> {
        if !self.look() {
            return None;
        }
        let offer = self.pick(rng);
        self.take(&offer);
        Some(Chosen::drawn(offer.candidate, offer.propensity))
    }
}

/// The admissible members with their candidates.
fn candidates<'p>(pool: &'p Pool<'_>) -> impl Iterator<Item = (usize, usize)> + 'p {
    pool.admissible().iter().map(|&member| (member, pool.candidate(member)))
}
