//! What the service is compared with: policies that need no server.
//!
//! All but the oracle leave out what a person is done with, and decide by a draw between equals.

use super::audience::Audience;
use super::draws;
use super::tally::Tally;
use super::world::Response;
use super::world::Visit;
use super::world::World;
use crate::numeric::math;

/// A rule that makes lists, and learns from what people did with its own ones.
pub trait Policy {
    fn name(&self) -> &'static str;

    /// How good an item is for a visit; the best are shown.
    fn score(&self, audience: &Audience<'_>, visit: &Visit, item: usize) -> f64;

    /// Whether it knows by itself what people are done with.
    fn knows_history(&self) -> bool {
        false
    }

    /// Takes in what a person did with a list.
    fn learn(&mut self, _visit: &Visit, _list: &[usize], _responses: &[Response]) {}

    /// The items to show at a visit, the best first.
    fn list(&self, world: &World, audience: &Audience<'_>, visit: &Visit) -> Vec<usize> {
        let seed = world.settings.seed;
        let mut draw = draws::stream(seed, self.name(), &[visit.number]);
        let is_left = |item: &usize| self.knows_history() || !audience.is_done_with(visit, *item);
        let mut scored: Vec<(f64, f64, usize)> = world
            .available(visit.round)
            .filter(is_left)
            .map(|item| (self.score(audience, visit, item), crate::seed::unit(&mut draw), item))
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)));
        scored.truncate(world.settings.positions);
        scored.into_iter().map(|(_, _, item)| item).collect()
    }
}

/// What a policy earns in a world. So many visits at a time get their lists before any of them is learnt from.
pub fn run(world: &World, policy: &mut dyn Policy, together: usize) -> Tally {
    let mut audience = Audience::new(world);
    for round in 0..world.settings.rounds {
        for visits in world.visits(round).chunks(together) {
            let list = |visit| policy.list(world, &audience, visit);
            let lists: Vec<Vec<usize>> = visits.iter().map(list).collect();
            for (visit, list) in visits.iter().zip(&lists) {
                let responses = audience.show(visit, list);
                policy.learn(visit, list, &responses);
            }
        }
    }
    audience.tally
}

/// Any items.
#[derive(Debug)]
pub struct Random;

impl Policy for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn score(&self, _audience: &Audience<'_>, _visit: &Visit, _item: usize) -> f64 {
        0.0
    }
}

/// The items with the most clicks, of all time or with a half-life.
#[derive(Debug)]
pub struct Popular {
    /// Rounds in which a click loses half its weight.
    half_life: Option<f64>,
    /// The end of the world: a click counts 1 there, at most.
    rounds: f64,
    clicks: Vec<f64>,
}

impl Popular {
    pub fn new(world: &World, half_life: Option<f64>) -> Self {
        let rounds = f64::from(world.settings.rounds);
        Self { half_life, rounds, clicks: vec![0.0; world.items().len()] }
    }
}

impl Policy for Popular {
    fn name(&self) -> &'static str {
        if self.half_life.is_some() { "popular, decaying" } else { "popular" }
    }

    fn score(&self, _audience: &Audience<'_>, _visit: &Visit, item: usize) -> f64 {
        self.clicks[item]
    }

    fn learn(&mut self, visit: &Visit, list: &[usize], responses: &[Response]) {
        // A later click weighs more, instead of all earlier ones less.
        let left = self.rounds - f64::from(visit.round) - visit.moment;
        let weight = self.half_life.map_or(1.0, |half_life| math::exp2(-left / half_life));
        for (item, _) in list.iter().zip(responses).filter(|(_, it)| it.is_clicked) {
            self.clicks[*item] += weight;
        }
    }
}

/// The items that appeared last.
#[derive(Debug)]
pub struct Newest<'w>(pub &'w World);

impl Policy for Newest<'_> {
    fn name(&self) -> &'static str {
        "newest"
    }

    fn score(&self, _audience: &Audience<'_>, _visit: &Visit, item: usize) -> f64 {
        self.0.items()[item].published as f64
    }
}

/// The items with the greatest chance of a click, by the hidden tastes: the most that a list can earn.
#[derive(Debug)]
pub struct Oracle;

impl Policy for Oracle {
    fn name(&self) -> &'static str {
        "oracle"
    }

    fn score(&self, audience: &Audience<'_>, visit: &Visit, item: usize) -> f64 {
        audience.chance(visit, item)
    }

    fn knows_history(&self) -> bool {
        true
    }
}
