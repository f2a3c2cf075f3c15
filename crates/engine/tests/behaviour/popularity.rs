//! Popularity: what is in demand now, where interest lasts for hours and where it lasts for years.

use crate::harness::Ask;
use crate::harness::Described;
use crate::harness::Event;
use crate::harness::Kind;
use crate::harness::Random;
use crate::harness::Timestamp;
use crate::harness::World;
use crate::harness::mean;

/// A catalogue without tastes: how much each item is in demand is known.
struct Market {
    world: World,
    /// By item: its demand when it is new, and when that was.
    appeal: Vec<(f64, Timestamp)>,
    /// Hours in which interest halves.
    half_life: f64,
}

impl Market {
    fn new(half_life: f64) -> Self {
        Self { world: World::new(), appeal: Vec::new(), half_life }
    }

    fn add(&mut self, appeal: f64, published: Timestamp) {
        let id = format!("item-{}", self.appeal.len());
        self.world.add(Described::new(&id).published(published));
        self.appeal.push((appeal, published));
    }

    /// The demand for each item now.
    fn demand(&self) -> Vec<f64> {
        let now = self.world.now();
        let left = |at: Timestamp| 0.5_f64.powf(now.hours_since(at).max(0.0) / self.half_life);
        self.appeal.iter().map(|(appeal, at)| appeal * left(*at)).collect()
    }

    /// So many clicks of as many of `users` users, spread over some hours.
    fn clicks(&mut self, count: usize, users: usize, hours: f64) {
        for _ in 0..count {
            let item = {
                let demand = self.demand();
                self.world.random.weighted(&demand)
            };
            let user = self.world.random.below(users);
            self.world.click(&format!("user-{user}"), &format!("item-{item}"));
            self.world.pass_hours(hours / count as f64);
        }
    }

    /// What a list is worth against the best list there is.
    fn worth(&self, list: &[String]) -> f64 {
        let demand = self.demand();
        let own = mean(list.iter().map(|item| demand[number(item)]));
        let mut best = demand;
        best.sort_by(|a, b| b.total_cmp(a));
        own / mean(best.into_iter().take(list.len()))
    }

    /// Checks that the popular baseline and what a new user gets are worth that much.
    fn assert_worth(&self, least: f64) {
        let ask = || Ask::of("stranger", 10);
        let popular = self.world.answer(&ask().popular_baseline()).items();
        let first = self.world.answer(&ask().plain()).items();
        let varied = self.world.answer(&ask()).items();
        let worths = [&popular, &first, &varied].map(|list| self.worth(list));
        assert!(
            worths.iter().all(|worth| *worth >= least),
            "the popular baseline, what a new user gets by relevance and varied are worth \
             {worths:.3?} of the best list: {popular:?} {first:?} {varied:?}"
        );
    }
}

fn number(item: &str) -> usize {
    item.trim_start_matches("item-").parse().expect("a number")
}

/// Twenty articles a day for thirty days; interest halves in twelve hours.
fn news() -> Market {
    let mut market = Market::new(12.0);
    let mut random = Random::new(5);
    for _day in 0..30 {
        for _ in 0..20 {
            let at = market.world.now();
            market.add(1.0 / (1.0 + 9.0 * random.unit()), at);
        }
        market.clicks(60, 80, 14.0);
        market.world.pass_hours(10.0);
    }
    for _ in 0..20 {
        let at = market.world.now();
        market.add(1.0 / (1.0 + 9.0 * random.unit()), at);
    }
    market.clicks(60, 80, 8.0);
    market
}

/// Films of which the demand stays as it is, some of far more than others; 15 clicks a day.
fn films() -> Market {
    let mut market = Market::new(1e9);
    let mut order: Vec<usize> = (0..150).collect();
    Random::new(9).shuffle(&mut order);
    for (film, rank) in order.into_iter().enumerate() {
        let at = market.world.in_hours(-24.0 * 50.0 * film as f64);
        market.add(1.0 / (rank as f64 + 5.0), at);
    }
    for _day in 0..200 {
        market.clicks(15, 400, 16.0);
        market.world.pass_hours(8.0);
    }
    market
}

#[test]
fn in_a_world_of_news_new_users_and_the_popular_baseline_get_the_news_of_today() {
    let market = news();
    market.assert_worth(0.5);
}

#[test]
fn in_a_world_of_films_new_users_and_the_popular_baseline_get_what_is_watched_for_years() {
    let market = films();
    market.assert_worth(0.8);
}

#[test]
fn in_a_world_of_news_the_articles_of_last_month_are_in_no_list_of_a_reader() {
    let market = news();
    let world = &market.world;
    let old = |item: &String| world.now().hours_since(market.appeal[number(item)].1) > 120.0;
    let lists: Vec<Vec<String>> =
        (0..40).map(|user| world.top(&format!("user-{user}"), 10)).collect();
    let share = mean(
        lists
            .iter()
            .map(|list| list.iter().filter(|item| old(item)).count() as f64 / list.len() as f64),
    );
    assert!(share <= 0.2, "{share:.3} of what readers get is older than five days: {lists:?}");
}

#[test]
fn a_viral_film_is_among_the_first_within_hours_and_not_for_ever() {
    let mut market = films();
    let viral = (0..150).min_by(|&a, &b| market.appeal[a].0.total_cmp(&market.appeal[b].0));
    let viral = format!("item-{}", viral.expect("there are films"));
    let index = |market: &Market| {
        let list = market.world.best("stranger", 50);
        list.iter().position(|item| *item == viral)
    };
    let before = index(&market);
    for user in 0..40 {
        market.world.click(&format!("fan-{user}"), &viral);
        market.world.pass_seconds(400.0);
    }
    let during = index(&market);
    assert!(during.is_some_and(|index| index < 5), "index before {before:?}, during {during:?}");
    for _day in 0..60 {
        market.clicks(15, 400, 16.0);
        market.world.pass_hours(8.0);
    }
    let after = index(&market);
    assert!(after.is_none_or(|index| index >= 3), "index during {during:?}, after {after:?}");
}

#[test]
fn a_dead_item_that_nobody_clicks_on_any_more_leaves_the_lists() {
    let mut world = World::new();
    for item in 0..80 {
        world.add(Described::new(&format!("item-{item}")));
    }
    // Every user likes item 0.
    for user in 0..60 {
        let name = format!("user-{user}");
        world.like(&name, "item-0");
        for _ in 0..4 {
            let item = 1 + world.random.below(79);
            world.click(&name, &format!("item-{item}"));
        }
        world.pass_hours(8.0);
    }
    let before = world.best("stranger", 5);
    assert!(before.contains(&"item-0".to_owned()), "at first: {before:?}");
    // Then it is shown to many and nobody clicks on it.
    for visit in 0..400 {
        let answer = world.decide(Ask::of(&format!("visitor-{visit}"), 6).plain());
        for item in answer.items() {
            world.happens(Event::of(&answer.user, &item, Kind::Impression).to(&answer));
            if item != "item-0" && world.random.chance(0.3) {
                world.happens(Event::of(&answer.user, &item, Kind::Click).to(&answer));
            }
        }
        world.pass_hours(2.0);
    }
    let after = world.best("stranger", 5);
    assert!(!after.contains(&"item-0".to_owned()), "after 400 visits: {after:?}");
}

#[test]
fn an_item_that_was_deleted_is_in_no_list_and_comes_back_when_it_is_described_again() {
    let mut world = World::new();
    for item in 0..30 {
        world.add(Described::new(&format!("item-{item}")));
    }
    for user in 0..20 {
        world.click(&format!("user-{user}"), "item-3");
    }
    world.delete("item-3");
    let is_first =
        |world: &World| world.best("stranger", 30).first().is_some_and(|one| one == "item-3");
    let list = world.best("stranger", 30);
    assert!(list.len() == 29 && !list.contains(&"item-3".to_owned()), "{list:?}");
    world.add(Described::new("item-3"));
    assert!(is_first(&world), "{:?}", world.best("stranger", 30));
}
