//! A world: its people, its items, who comes when, and how likely a click is.

use serde::Serialize;

use super::draws;
use super::items::Item;
use super::people::Person;
use super::people::Taste;
use crate::numeric::math;

/// What kind of items there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Articles: new ones each round, which grow old within some rounds.
    News,
    /// A catalogue that lasts and gets a few new items each round; some are bought again.
    Shop,
}

/// A change of taste.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Drift {
    /// The share of the people whose taste changes.
    pub share: f64,
    /// The round at whose start it does.
    pub round: u32,
}

/// What a world follows from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Settings {
    pub kind: Kind,
    pub people: usize,
    /// Items at a time; of news, those of the last rounds.
    pub items: usize,
    pub rounds: u32,
    /// Positions of a list.
    pub positions: usize,
    pub drift: Option<Drift>,
    /// How strongly tastes decide: the factor of topic and nearness in the logit. 1: as in the documentation.
    pub taste: f64,
    pub seed: u64,
}

/// What differs between kinds. A click is a logit, like a vote for or against.
struct Shape {
    /// The logit of an average item for an average person.
    base: f64,
    /// What a favourite topic, a standard deviation of nearness and of appeal add to it.
    topic: f64,
    nearness: f64,
    appeal: f64,
    /// Rounds in which the chance of a click halves.
    half_life: Option<f64>,
    /// Rounds for which an item is there.
    life: Option<u32>,
    /// New items of a round for each at a time.
    new_items: f64,
}

const NEWS: Shape = Shape {
    base: -2.7,
    topic: 2.0,
    nearness: 1.4,
    appeal: 0.8,
    half_life: Some(1.5),
    life: Some(12),
    new_items: 1.0 / 12.0,
};

const SHOP: Shape = Shape {
    base: -3.6,
    topic: 2.0,
    nearness: 1.4,
    appeal: 1.0,
    half_life: None,
    life: None,
    new_items: 0.01,
};

impl Kind {
    const fn shape(self) -> &'static Shape {
        match self {
            Self::News => &NEWS,
            Self::Shop => &SHOP,
        }
    }

    /// For how many rounds an item is there.
    pub const fn life(self) -> Option<u32> {
        self.shape().life
    }
}

/// A person comes and gets a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    /// Of all visits, in order of time.
    pub number: u64,
    pub round: u32,
    /// When in the round, 0 to 1.
    pub moment: f64,
    pub person: usize,
    /// Visits of the person before this one.
    pub earlier: u32,
    /// Of a person whose taste has changed: visits between the change and this one.
    pub since_drift: Option<u32>,
    /// Whether the person's taste changes at some time.
    pub drifts: bool,
}

/// What a person does with one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    pub is_seen: bool,
    pub is_clicked: bool,
    pub is_bought: bool,
}

/// People, items and visits.
#[derive(Debug)]
pub struct World {
    pub settings: Settings,
    people: Vec<Person>,
    /// In the order in which they appear.
    items: Vec<Item>,
    /// By round.
    visits: Vec<Vec<Visit>>,
}

impl World {
    pub fn new(settings: Settings) -> Self {
        let Settings { people, rounds, seed, .. } = settings;
        let drifting = settings.drift.map_or(0.0, |drift| drift.share);
        let people: Vec<Person> =
            (0..people).map(|number| Person::draw(seed, number, rounds, drifting)).collect();
        let visits = visits(&settings, &people);
        Self { settings, people, items: items(&settings), visits }
    }

    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The visits of a round, in order of time.
    pub fn visits(&self, round: u32) -> &[Visit] {
        &self.visits[round as usize]
    }

    /// The numbers of the items that are there in a round.
    pub fn available(&self, round: u32) -> std::ops::Range<usize> {
        let round = i64::from(round);
        let first = self.settings.kind.life().map_or(i64::MIN, |life| round - i64::from(life) + 1);
        let at = |until: i64| self.items.partition_point(|item| item.published < until);
        at(first)..at(round + 1)
    }

    /// The numbers of the items that appear at the start of a round; at that of the first, all before, too.
    pub fn appearing(&self, round: u32) -> std::ops::Range<usize> {
        let from = if round == 0 { 0 } else { self.available(round - 1).end };
        from..self.available(round).end
    }

    /// The id of a person.
    pub fn person_id(&self, person: usize) -> String {
        format!("person-{person}")
    }

    /// How likely a person who looks at a position of a list is to see it, from 0: fewer and fewer look
    /// further down.
    pub fn examination(position: usize) -> f64 {
        1.0 / (position as f64 + 1.0).sqrt()
    }

    /// How likely a click is, of a person who looks at the item for the first time.
    pub fn chance(&self, visit: &Visit, item: usize) -> f64 {
        let (taste, item) = (self.taste(visit), &self.items[item]);
        let shape = self.settings.kind.shape();
        let logit = shape.base
            + self.settings.taste * shape.topic * taste.of_topic(item)
            + self.settings.taste * shape.nearness * taste.of_position(item)
            + shape.appeal * item.appeal;
        let age = (i64::from(visit.round) - item.published) as f64 + visit.moment;
        let fresh = shape.half_life.map_or(1.0, |half_life| math::exp2(-age / half_life));
        fresh / (1.0 + math::exp(-logit))
    }

    fn taste(&self, visit: &Visit) -> &Taste {
        let person = &self.people[visit.person];
        let later = person.later.as_ref().filter(|_| visit.since_drift.is_some());
        later.unwrap_or(&person.taste)
    }
}

fn items(settings: &Settings) -> Vec<Item> {
    let shape = settings.kind.shape();
    let mut items: Vec<Item> = Vec::new();
    let mut add = |published: i64, until: usize| {
        while items.len() < until {
            items.push(Item::draw(settings.seed, items.len(), published));
        }
    };
    let all = |rounds: f64| (settings.items as f64 * shape.new_items * rounds).round() as usize;
    match shape.life {
        // Those of the rounds before the first one are there, too.
        Some(life) => {
            let before = i64::from(life) - 1;
            for published in -before..i64::from(settings.rounds) {
                add(published, all((published + before + 1) as f64));
            }
        }
        None => {
            for round in 0..settings.rounds {
                add(i64::from(round), settings.items + all(f64::from(round)));
            }
        }
    }
    items
}

fn visits(settings: &Settings, people: &[Person]) -> Vec<Vec<Visit>> {
    let mut earlier = vec![0_u32; people.len()];
    let mut since_drift = vec![0_u32; people.len()];
    let mut number = 0;
    let mut rounds = Vec::new();
    for round in 0..settings.rounds {
        let mut moments: Vec<(f64, usize)> = Vec::new();
        let present = people.iter().enumerate().filter(|(_, person)| person.arrives <= round);
        for (at, person) in present {
            let of = |what: u64| [u64::from(round), at as u64, what];
            let count = (person.activity + draws::unit(settings.seed, "comes", &of(0))) as u64;
            let moment = |visit| draws::unit(settings.seed, "moment", &of(visit));
            moments.extend((0..count).map(|visit| (moment(visit), at)));
        }
        moments.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let has_drifted = settings.drift.is_some_and(|drift| drift.round <= round);
        let visit = |(moment, person): (f64, usize)| {
            let drifts = people[person].later.is_some();
            let mut since = None;
            if drifts && has_drifted {
                since = Some(since_drift[person]);
                since_drift[person] += 1;
            }
            let visit = Visit {
                number,
                round,
                moment,
                person,
                earlier: earlier[person],
                since_drift: since,
                drifts,
            };
            (number, earlier[person]) = (number + 1, earlier[person] + 1);
            visit
        };
        rounds.push(moments.into_iter().map(visit).collect());
    }
    rounds
}
