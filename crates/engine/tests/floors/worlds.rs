//! Generated worlds in which it is known what tells items apart: order, communities, or habits.
//!
//! Users come one event each day, so that nothing but the world itself tells who is new.

use engine::domain::Timestamp;
use engine::evaluation::Dataset;
use engine::evaluation::DatasetBuilder;
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const DAY: i64 = 24 * 3_600;

struct Draws(ChaCha8Rng);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `n`, low numbers more often.
    fn skewed(&mut self, n: usize) -> usize {
        self.below(n).min(self.below(n))
    }
}

/// So many users with so many events each; `next` draws an item for a user who had those before.
fn world(
    users: usize,
    events: usize,
    mut next: impl FnMut(&mut Draws, usize, &[usize]) -> usize,
) -> Dataset {
    let mut draws = Draws(ChaCha8Rng::seed_from_u64(7));
    let mut builder = DatasetBuilder::default();
    let mut had: Vec<Vec<usize>> = vec![Vec::new(); users];
    for day in 0..events {
        for (user, had) in had.iter_mut().enumerate() {
            let item = next(&mut draws, user, had);
            had.push(item);
            let second = 1_700_000_000 + day as i64 * DAY + user as i64;
            let (user, item) = (format!("u{user}"), format!("i{item}"));
            builder.add_interaction(&user, &item, 1.0, Timestamp::from_seconds(second));
        }
    }
    builder.build()
}

/// The first drawn item that was not had.
fn fresh(had: &[usize], mut draw: impl FnMut() -> usize) -> usize {
    loop {
        let item = draw();
        if !had.contains(&item) {
            return item;
        }
    }
}

/// Three events in four are of the item that follows the one before; the others begin elsewhere.
pub fn paths() -> Dataset {
    const ITEMS: usize = 300;
    // The follower of an item: a step that meets all items once.
    let follower = |item: usize| (item * 7 + 11) % ITEMS;
    world(400, 16, |draws, _, had| {
        let follows = had.last().map(|&item| follower(item)).filter(|item| !had.contains(item));
        match follows {
            Some(item) if draws.chance(75) => item,
            _ => fresh(had, || draws.below(ITEMS)),
        }
    })
}

/// Nine events in ten are of the user's community, in any order; some items are more popular.
pub fn communities() -> Dataset {
    const COMMUNITIES: usize = 8;
    const EACH: usize = 50;
    world(400, 16, |draws, user, had| {
        let own = user % COMMUNITIES;
        fresh(had, || {
            let community = if draws.chance(90) { own } else { draws.below(COMMUNITIES) };
            community + COMMUNITIES * draws.skewed(EACH)
        })
    })
}

/// Seven events in ten are of the user's own six staples, some of them more often; the others are what is popular.
pub fn staples() -> Dataset {
    const ITEMS: usize = 300;
    world(400, 20, |draws, user, _| {
        if draws.chance(70) {
            (user * 31 + draws.skewed(6) * 47) % ITEMS
        } else {
            draws.skewed(ITEMS)
        }
    })
}
