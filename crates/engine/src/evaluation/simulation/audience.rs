//! The people as one policy meets them: what they had by its lists, and what they do with the next one.

use std::collections::BTreeMap;

use super::draws;
use super::tally::Tally;
use super::world::Kind;
use super::world::Response;
use super::world::Visit;
use super::world::World;

/// What is left of the chance of a click on what was clicked and not bought.
const LOOKED_AT: f64 = 0.5;
/// How likely a click in a shop ends with a purchase.
const BOUGHT: f64 = 0.3;
/// Rounds until what is bought again and again is needed again.
const NEEDED_AFTER: u32 = 4;

/// What a person had of an item.
#[derive(Debug, Clone, Copy)]
struct Had {
    /// The round of the last click.
    round: u32,
    is_bought: bool,
}

/// The people of a world with the history that the lists of one policy gave them.
#[derive(Debug)]
pub struct Audience<'w> {
    world: &'w World,
    /// By person, then item.
    had: Vec<BTreeMap<usize, Had>>,
    pub tally: Tally,
}

impl<'w> Audience<'w> {
    pub fn new(world: &'w World) -> Self {
        let tally = Tally::new(&world.settings);
        Self { world, had: vec![BTreeMap::new(); world.settings.people], tally }
    }

    /// How likely a click is, of a person who looks at the item.
    pub fn chance(&self, visit: &Visit, item: usize) -> f64 {
        self.world.chance(visit, item) * self.left(visit, item)
    }

    /// Whether a list for the person should do without the item, as far as one can tell without knowing tastes:
    /// clicked before, and nothing that is needed again by now.
    pub fn is_done_with(&self, visit: &Visit, item: usize) -> bool {
        self.had[visit.person].contains_key(&item) && self.left(visit, item) < 1.0
    }

    /// What the history leaves of the chance.
    fn left(&self, visit: &Visit, item: usize) -> f64 {
        let is_repeated = self.world.items()[item].is_repeated;
        match self.had[visit.person].get(&item) {
            None => 1.0,
            Some(_) if self.world.settings.kind == Kind::News => 0.0,
            Some(had) if !had.is_bought => LOOKED_AT,
            Some(had) if is_repeated && visit.round >= had.round + NEEDED_AFTER => 1.0,
            Some(_) => 0.0,
        }
    }

    /// Shows a list, and counts and returns what the person does with each position.
    pub fn show(&mut self, visit: &Visit, list: &[usize]) -> Vec<Response> {
        let responses: Vec<Response> = list
            .iter()
            .enumerate()
            .map(|(position, item)| self.respond(visit, position, *item))
            .collect();
        for (item, response) in list.iter().zip(&responses).filter(|(_, it)| it.is_clicked) {
            let had = Had { round: visit.round, is_bought: response.is_bought };
            self.had[visit.person].insert(*item, had);
        }
        let age = |item: usize| i64::from(visit.round) - self.world.items()[item].published;
        let shown: Vec<_> = list.iter().map(|item| (*item, age(*item).max(0) as u32)).collect();
        self.tally.add(visit, &shown, &responses);
        responses
    }

    fn respond(&self, visit: &Visit, position: usize, item: usize) -> Response {
        let seed = self.world.settings.seed;
        let draw = |what, of: usize| draws::unit(seed, what, &[visit.number, of as u64]);
        let is_seen = draw("sees", position) < World::examination(position);
        let is_clicked = is_seen && draw("clicks", item) < self.chance(visit, item);
        let is_shop = self.world.settings.kind == Kind::Shop;
        let is_bought = is_clicked && is_shop && draw("buys", item) < BOUGHT;
        Response { is_seen, is_clicked, is_bought }
    }
}
