//! Which of the admissible candidates takes a place, and how probable that was.
//!
//! What a strategy looks at: the gain of each candidate for the list as it stands, on the
//! scale of the score, as the mean of a belief; and the standard deviation of its expected
//! reward, which variety does not change (variety is known, the reward is not).
//!
//! - Greedy, and LinUCB, whose widths are part of the scores: the greatest gain.
//! - Epsilon-greedy: the same, or with probability epsilon any.
//! - SquareCB: inverse-gap weights, one draw from them.
//! - Thompson sampling: a draw of the largest of independent normal scores, and the
//!   probability of the one that was drawn ([`ThompsonSlate`]).
//!
//! All but greedy mix in an even share; every probability is that of the draw that is
//! made, none is estimated.
//!
//! Cost: nothing is allocated from the second place on. Where gains do not change from
//! place to place, one table serves all places of Thompson sampling; else each place makes
//! one of the candidates that can still win.

use rand_chacha::ChaCha8Rng;

use super::Choice;
use super::pool::Pool;
use crate::domain::Strategy;
use crate::engine::bandit::strategy::Beliefs;
use crate::engine::bandit::strategy::Policy as _;
use crate::engine::bandit::strategy::SquareCb;
use crate::engine::bandit::strategy::ThompsonSlate;
use crate::engine::bandit::strategy::draw;
use crate::engine::seed;

/// A candidate this many standard deviations behind has no chance: one in three million.
const RIVAL_REACH: f64 = 5.0;

/// The rule of one list, with room that all its places use.
#[derive(Debug)]
pub struct Policy {
    rule: Rule,
    /// Spread evenly over the admissible.
    share: f64,
}

#[derive(Debug)]
enum Rule {
    Best,
    SquareCb { gamma: f64, means: Vec<f64>, propensities: Vec<f64> },
    Thompson(Box<Thompson>),
}

/// Which member takes the place, and the probability of that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    pub member: usize,
    pub propensity: f64,
}

impl Policy {
    pub fn new(choice: &Choice) -> Self {
        let exploring = &choice.exploring;
        let (rule, share) = match choice.strategy {
            Strategy::Greedy => (Rule::Best, 0.0),
            Strategy::EpsilonGreedy => (Rule::Best, choice.epsilon),
            Strategy::LinUcb => (Rule::Best, exploring.floor),
            Strategy::SquareCb => {
                let (means, propensities) = (Vec::new(), Vec::new());
                (Rule::SquareCb { gamma: exploring.gamma, means, propensities }, exploring.floor)
            }
            Strategy::Thompson => {
                (Rule::Thompson(Box::new(Thompson::new(exploring.scale))), exploring.floor)
            }
        };
        Self { rule, share }
    }

    /// Chooses for the next place, of which the pool knows the admissible and their gains.
    /// `instead` takes the place whatever the rule says; its propensity under the rule is
    /// given all the same.
    pub fn choose(
        &mut self,
        pool: &Pool<'_>,
        instead: Option<usize>,
        rng: &mut ChaCha8Rng,
    ) -> Draw {
        let admissible = pool.admissible();
        let mut drawn = instead;
        if drawn.is_none() && self.share > 0.0 && seed::unit(rng) < self.share {
            drawn = Some(admissible[seed::below(rng, admissible.len())]);
        }
        let Draw { member, propensity } = match &mut self.rule {
            Rule::Best => {
                let member = drawn.unwrap_or(pool.best());
                Draw { member, propensity: if member == pool.best() { 1.0 } else { 0.0 } }
            }
            Rule::SquareCb { gamma, means, propensities } => {
                let scale = pool.scale();
                means.clear();
                means.extend(pool.gains().iter().map(|gain| gain * scale));
                propensities.resize(means.len(), 0.0);
                let means: &[f64] = means;
                let beliefs = Beliefs { means, deviations: means };
                SquareCb { gamma: *gamma }.propensities(beliefs, propensities);
                let place = match drawn {
                    Some(member) => place_of(pool, member),
                    None => draw(propensities, seed::unit(rng)),
                };
                Draw { member: admissible[place], propensity: propensities[place] }
            }
            Rule::Thompson(thompson) => thompson.choose(pool, drawn, rng),
        };
        let even = self.share / admissible.len() as f64;
        Draw { member, propensity: (1.0 - self.share) * propensity + even }
    }
}

/// Admissible members are in rising order.
fn place_of(pool: &Pool<'_>, member: usize) -> usize {
    pool.admissible().binary_search(&member).expect("who takes a place is admissible")
}

#[derive(Debug)]
struct Thompson {
    scale: f64,
    slate: ThompsonSlate,
    /// The members that the slate is about, in rising order.
    rivals: Vec<usize>,
    means: Vec<f64>,
    deviations: Vec<f64>,
    /// Whether the slate was begun with all members, whose gains stay.
    is_lasting: bool,
}

impl Thompson {
    fn new(scale: f64) -> Self {
        Self {
            scale,
            slate: ThompsonSlate::for_draws(),
            rivals: Vec::new(),
            means: Vec::new(),
            deviations: Vec::new(),
            is_lasting: false,
        }
    }

    fn choose(&mut self, pool: &Pool<'_>, drawn: Option<usize>, rng: &mut ChaCha8Rng) -> Draw {
        if pool.gains_stay() {
            self.compare_lasting(pool);
        } else {
            self.compare_rivals(pool);
        }
        if let [only] = self.rivals[..] {
            let member = drawn.unwrap_or(only);
            return Draw { member, propensity: if member == only { 1.0 } else { 0.0 } };
        }
        self.slate.prepare();
        let member = drawn
            .unwrap_or_else(|| self.rivals[self.slate.draw([seed::unit(rng), seed::unit(rng)])]);
        let rival = self.rivals.binary_search(&member);
        Draw { member, propensity: rival.map_or(0.0, |rival| self.slate.propensity_of(rival)) }
    }

    /// One table for all places: members leave it and come back as caps have it.
    fn compare_lasting(&mut self, pool: &Pool<'_>) {
        if !self.is_lasting {
            self.is_lasting = true;
            self.rivals.extend_from_slice(pool.open());
            let scale = pool.scale();
            self.means.extend(self.rivals.iter().map(|&member| pool.lasting_gain(member) * scale));
            self.deviations.extend(self.rivals.iter().map(|&member| pool.deviation(member)));
            self.slate
                .begin(Beliefs { means: &self.means, deviations: &self.deviations }, self.scale);
        }
        let mut admissible = pool.admissible().iter().peekable();
        for (rival, member) in self.rivals.iter().enumerate() {
            let present = admissible.next_if_eq(&member).is_some();
            self.slate.set_present(rival, present);
        }
    }

    /// A table of those that beat the best of the admissible with a probability that
    /// counts.
    fn compare_rivals(&mut self, pool: &Pool<'_>) {
        let (scale, gains) = (pool.scale(), pool.gains());
        let best = place_of(pool, pool.best());
        let square = |member: usize| {
            let deviation = self.scale * pool.deviation(member);
            deviation * deviation
        };
        let of_best = square(pool.best());
        self.rivals.clear();
        self.means.clear();
        self.deviations.clear();
        for (&member, gain) in pool.admissible().iter().zip(gains) {
            let behind = (gains[best] - gain) * scale;
            if behind * behind <= RIVAL_REACH * RIVAL_REACH * (of_best + square(member)) {
                self.rivals.push(member);
                self.means.push(-behind);
                self.deviations.push(pool.deviation(member));
            }
        }
        let beliefs = Beliefs { means: &self.means, deviations: &self.deviations };
        if self.rivals.len() > 1 {
            self.slate.begin(beliefs, self.scale);
        }
    }
}
