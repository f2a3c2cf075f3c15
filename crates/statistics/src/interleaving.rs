//! Two rankers in one list: team draft, credit for clicks, and the test of who wins.
//!
//! Each round both teams pick once; a coin says who picks first; a team picks its best item that is
//! not in the list yet and passes when it has none. So an item that both rank equally high is as
//! likely to be of either team, and a click without preference helps neither.
//! Invariants: no item twice; every coin has probability one half, whatever the lists; the
//! sequential test holds exactly at any number of votes.
//! Sources: Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval quality?"
//! (2008); Chapelle, Joachims, Radlinski and Yue, "Large-scale validation and analysis of interleaved
//! search evaluation" (2012) for the preference; Lindon and Malek (2022) for the sequential test.

use serde::{Deserialize, Serialize};

use crate::level::Level;
use crate::mixture;
use crate::outcome::Interval;
use crate::sequential::anytime_p;
use crate::special::beta;

/// The ranker an item is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Team {
    A,
    B,
}

/// Positions of the items in their team's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    pub team: Team,
    pub position: usize,
}

/// Drafts a list of at most `length` items; `a_first` is the coin of each round, in order.
pub fn draft<T: Eq>(
    a: &[T],
    b: &[T],
    length: usize,
    mut a_first: impl FnMut() -> bool,
) -> Vec<Pick> {
    let mut list: Vec<Pick> = Vec::new();
    let item = |pick: &Pick| match pick.team {
        Team::A => &a[pick.position],
        Team::B => &b[pick.position],
    };
    loop {
        let before = list.len();
        if before == length {
            return list;
        }
        let order = if a_first() { [Team::A, Team::B] } else { [Team::B, Team::A] };
        for team in order {
            let ranking = if team == Team::A { a } else { b };
            let is_free = |candidate: &T| list.iter().all(|pick| item(pick) != candidate);
            let best = ranking.iter().position(is_free).filter(|_| list.len() < length);
            list.extend(best.map(|position| Pick { team, position }));
        }
        if list.len() == before {
            return list;
        }
    }
}

/// Who is preferred in an impression or, with the clicks of all of them, by a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Winner {
    A,
    B,
    Tie,
}

/// The winner by clicks on the items of each team.
pub fn winner(clicked: impl IntoIterator<Item = Team>) -> Winner {
    let teams = clicked.into_iter();
    let lead = teams.fold(0_i64, |lead, team| lead + if team == Team::A { 1 } else { -1 });
    match lead {
        1.. => Winner::A,
        0 => Winner::Tie,
        _ => Winner::B,
    }
}

/// Votes that do not depend on each other: one per impression, or one per user where users vote
/// often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    pub a: u64,
    pub b: u64,
    pub ties: u64,
}

impl Votes {
    pub fn add(&mut self, winner: Winner) {
        let votes = match winner {
            Winner::A => &mut self.a,
            Winner::B => &mut self.b,
            Winner::Tie => &mut self.ties,
        };
        *votes += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        self.a = self.a.saturating_add(other.a);
        self.b = self.b.saturating_add(other.b);
        self.ties = self.ties.saturating_add(other.ties);
    }

    /// From -1/2, all for B, to 1/2, all for A; ties count for neither. 0 of no votes.
    #[must_use]
    pub fn preference(&self) -> f64 {
        let (a, b, ties) = (self.a as f64, self.b as f64, self.ties as f64);
        0.5 * (a - b) / (a + b + ties).max(1.0)
    }
}

/// The result of a test of votes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preference {
    /// [`Winner::Tie`] where none is shown.
    pub shown: Winner,
    pub p_value: f64,
    /// The share of A among votes that are no ties.
    pub share_of_a: Option<f64>,
    pub interval: Interval,
}

/// At one planned look: the exact binomial test and the interval of Clopper and Pearson.
#[must_use]
pub fn fixed(votes: &Votes, level: Level) -> Preference {
    let (a, b) = (votes.a as f64, votes.b as f64);
    let half = 0.5 * level.alpha();
    // The chance of so few votes for the loser or fewer, and of as many for the winner.
    let tail = beta::cdf(a.max(b), a.min(b) + 1.0, 0.5);
    let p_value = if a == b { 1.0 } else { (2.0 * tail).min(1.0) };
    let low = if a == 0.0 { 0.0 } else { beta::quantile(a, b + 1.0, half) };
    let high = if b == 0.0 { 1.0 } else { 1.0 - beta::quantile(b, a + 1.0, half) };
    preference(votes, p_value, Interval { low, high })
}

/// At any time and as often as one likes; narrowest after the planned number of votes.
#[must_use]
pub fn sequential(votes: &Votes, level: Level, planned_votes: u64) -> Preference {
    let evidence = level.evidence();
    let concentration = mixture::concentration_for(planned_votes as f64, evidence);
    let interval = mixture::share_interval(votes.a, votes.b, concentration, evidence);
    preference(votes, anytime_p(ln_e_value(votes, level, planned_votes)), interval)
}

/// The logarithm of the evidence for a preference alone, without an interval: a hundred times
/// faster.
#[must_use]
pub fn ln_e_value(votes: &Votes, level: Level, planned_votes: u64) -> f64 {
    let concentration = mixture::concentration_for(planned_votes as f64, level.evidence());
    mixture::ln_e_value(&[votes.a, votes.b], &[0.5, 0.5], concentration)
}

fn preference(votes: &Votes, p_value: f64, interval: Interval) -> Preference {
    let shown = if interval.low > 0.5 {
        Winner::A
    } else if interval.high < 0.5 {
        Winner::B
    } else {
        Winner::Tie
    };
    let all = votes.a as f64 + votes.b as f64;
    let share_of_a = (all > 0.0).then(|| votes.a as f64 / all);
    Preference { shown, p_value, share_of_a, interval }
}
