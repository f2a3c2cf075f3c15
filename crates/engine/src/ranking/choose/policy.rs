//! The choice of an admissible candidate for a position, and its probability.
//!
//! A strategy uses the gain of each candidate for the current list, on the scale of the score,
//! as the mean of a belief. It also uses the standard deviation of the expected reward, which
//! diversity does not change, since diversity is known exactly.
//!
//! - Greedy, and LinUCB, whose widths are part of the scores: the greatest gain.
//! - Epsilon-greedy: the same, or with probability epsilon any.
//! - SquareCB: inverse-gap weights, one draw from them.
//! - Thompson sampling: a draw of the largest of independent normal scores, and the
//!   probability of the drawn one ([`ThompsonSlate`]).
//!
//! All but greedy add an even share. Every probability is exactly that of the draw; none is
//! estimated.
//!
//! Cost: nothing is allocated from the second position on. All positions of Thompson sampling
//! use one table: chosen candidates leave it, and only changed gains are computed again.

use rand_chacha::ChaCha8Rng;

use crate::bandit::strategy::Beliefs;
use crate::bandit::strategy::Policy as _;
use crate::bandit::strategy::SquareCb;
use crate::bandit::strategy::ThompsonSlate;
use crate::bandit::strategy::draw;
use crate::domain::Strategy;
use crate::ranking::choose::Choice;
use crate::ranking::choose::pool::Pool;
use crate::seed;

/// The rule of one list, with buffers for all its positions.
#[derive(Debug)]
pub struct Policy {
    rule: Rule,
    /// Probability that is spread evenly over the admissible.
    share: f64,
    /// The look of the pool that the probabilities are of.
    weighed: u64,
}

#[derive(Debug)]
enum Rule {
    Best,
    SquareCb { gamma: f64, means: Vec<f64>, propensities: Vec<f64> },
    Thompson(Box<Thompson>),
}

/// The member that takes the position, and the probability of this choice.
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
            // Without uncertainty the best is certain.
            Strategy::Thompson if exploring.scale <= 0.0 => (Rule::Best, exploring.floor),
            Strategy::Thompson => {
                (Rule::Thompson(Box::new(Thompson::new(exploring.scale))), exploring.floor)
            }
        };
        Self { rule, share, weighed: 0 }
    }

    /// Chooses for the next position, from the pool's admissible members and their gains.
    /// `instead` takes the position in any case, with its propensity under the rule.
    pub fn choose(
        &mut self,
        pool: &Pool<'_>,
        instead: Option<usize>,
        rng: &mut ChaCha8Rng,
    ) -> Draw {
        let member = instead.unwrap_or_else(|| self.draw(pool, rng));
        Draw { member, propensity: self.propensity_of(pool, member) }
    }

    /// The probability that [`Self::choose`] without `instead` gives this position to an
    /// admissible member, with its part of the even share.
    pub fn propensity_of(&mut self, pool: &Pool<'_>, member: usize) -> f64 {
        self.weigh(pool);
        let propensity = match &self.rule {
            Rule::Best if member == pool.best() => 1.0,
            Rule::Best => 0.0,
            Rule::SquareCb { propensities, .. } => {
                // Admissible members are in rising order.
                let position = pool.admissible().binary_search(&member).expect("it is admissible");
                propensities[position]
            }
            Rule::Thompson(thompson) => thompson.propensity_of(member),
        };
        (1.0 - self.share) * propensity + self.share / pool.admissible().len() as f64
    }

    fn draw(&mut self, pool: &Pool<'_>, rng: &mut ChaCha8Rng) -> usize {
        let admissible = pool.admissible();
        if self.share > 0.0 && seed::unit(rng) < self.share {
            return admissible[seed::below(rng, admissible.len())];
        }
        self.weigh(pool);
        match &self.rule {
            Rule::Best => pool.best(),
            Rule::SquareCb { propensities, .. } => admissible[draw(propensities, seed::unit(rng))],
            Rule::Thompson(thompson) => thompson.draw(rng),
        }
    }

    /// Computes the probabilities of the rule at this position, once.
    fn weigh(&mut self, pool: &Pool<'_>) {
        if std::mem::replace(&mut self.weighed, pool.looks()) == pool.looks() {
            return;
        }
        match &mut self.rule {
            Rule::Best => {}
            Rule::SquareCb { gamma, means, propensities } => {
                let scale = pool.scale();
                means.clear();
                means.extend(pool.gains().iter().map(|gain| gain * scale));
                propensities.resize(means.len(), 0.0);
                let means: &[f64] = means;
                let beliefs = Beliefs { means, deviations: means };
                SquareCb { gamma: *gamma }.propensities(beliefs, propensities);
            }
            Rule::Thompson(thompson) => thompson.weigh(pool),
        }
    }
}

#[derive(Debug)]
struct Thompson {
    scale: f64,
    slate: ThompsonSlate,
    /// All members at the first position, in rising order: the arms of the slate.
    arms: Vec<usize>,
}

impl Thompson {
    fn new(scale: f64) -> Self {
        Self { scale, slate: ThompsonSlate::default(), arms: Vec::new() }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> usize {
        self.arms[self.slate.draw([seed::unit(rng), seed::unit(rng)])]
    }

    fn propensity_of(&self, member: usize) -> f64 {
        let arm = self.arms.binary_search(&member).expect("all members are arms");
        self.slate.propensity_of(arm)
    }

    fn weigh(&mut self, pool: &Pool<'_>) {
        if self.arms.is_empty() {
            self.begin(pool);
        }
        self.follow(pool);
        self.slate.prepare();
    }

    fn begin(&mut self, pool: &Pool<'_>) {
        self.arms.extend_from_slice(pool.open());
        let scale = pool.scale();
        // Members that may not take this position get their gain when they may take one.
        let mut means = vec![pool.gains()[0] * scale; self.arms.len()];
        for (member, gain) in pool.admissible().iter().zip(pool.gains()) {
            let arm = self.arms.binary_search(member).expect("all members are arms");
            means[arm] = gain * scale;
        }
        let deviations: Vec<f64> = self.arms.iter().map(|&arm| pool.deviation(arm)).collect();
        self.slate.begin(Beliefs { means: &means, deviations: &deviations }, self.scale);
    }

    /// Updates the admissible members and the gains that changed.
    fn follow(&mut self, pool: &Pool<'_>) {
        let (members, gains, scale) = (pool.admissible(), pool.gains(), pool.scale());
        let mut next = 0;
        for (arm, &member) in self.arms.iter().enumerate() {
            if members.get(next) != Some(&member) {
                self.slate.set_present(arm, false);
                continue;
            }
            let mean = gains[next] * scale;
            next += 1;
            if !self.slate.has(arm, mean) {
                self.slate.set_mean(arm, mean);
                self.slate.set_present(arm, true);
            }
        }
    }
}
