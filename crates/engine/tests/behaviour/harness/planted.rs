//! Worlds of users with hidden tastes: what a list is worth is known.

use super::Ask;
use super::Described;
use super::Kind;
use super::Served;
use super::Strategy;
use super::World;
use super::mean;
use super::share_in;

pub struct Planted {
    pub world: World,
    pub users: Vec<String>,
    pub items: Vec<String>,
    /// By user, by item: whether the user favours it.
    favours: Vec<Vec<bool>>,
    /// By user, by item: whether the user had it.
    had: Vec<Vec<bool>>,
}

impl Planted {
    /// Users and items without a word or a topic: a user favours the items of the same
    /// colour, as on a checkerboard. Only what others did tells them apart.
    pub fn checkerboard(world: World, users: usize, items: usize) -> Self {
        let favours = |user: usize, item: usize| (user + item).is_multiple_of(2);
        Self::new(world, users, items, favours, Described::new)
    }

    /// Each user favours two of the topics; each item has one.
    pub fn topics(world: World, users: usize, items: usize, topics: usize) -> Self {
        let favours = move |user: usize, item: usize| {
            let topic = item % topics;
            topic == user % topics || topic == (user * 3 + 1) % topics
        };
        let topic = |id: &str| format!("topic-{}", number_of(id) % topics);
        let describe = |id: &str| Described::new(id).topic(&topic(id));
        Self::new(world, users, items, favours, describe)
    }

    /// The same with topics that nobody tells: only what others did shows them.
    pub fn untold_topics(world: World, users: usize, items: usize, topics: usize) -> Self {
        let favours = move |user: usize, item: usize| {
            let topic = item % topics;
            topic == user % topics || topic == (user * 3 + 1) % topics
        };
        Self::new(world, users, items, favours, Described::new)
    }

    fn new(
        mut world: World,
        users: usize,
        items: usize,
        favours: impl Fn(usize, usize) -> bool,
        describe: impl Fn(&str) -> Described,
    ) -> Self {
        let items: Vec<String> = (0..items).map(|item| format!("item-{item}")).collect();
        items.iter().for_each(|item| world.add(describe(item)));
        let of_user = |user| (0..items.len()).map(|item| favours(user, item)).collect();
        let favours: Vec<Vec<bool>> = (0..users).map(of_user).collect();
        let had = vec![vec![false; items.len()]; users];
        let users = (0..users).map(|user| format!("user-{user}")).collect();
        Self { world, users, items, favours, had }
    }

    /// A second world that goes on from this one on its own.
    pub fn fork(&self) -> Self {
        let Self { world, users, items, favours, had } = self;
        let (users, items, favours) = (users.clone(), items.clone(), favours.clone());
        Self { world: world.fork(), users, items, favours, had: had.clone() }
    }

    pub fn favours(&self, user: usize, item: usize) -> bool {
        self.favours[user][item]
    }

    /// So many rounds, a day each, in which every user clicks on one item not had before: a
    /// favourite with a probability of `loyalty`, else any.
    pub fn browse(&mut self, rounds: usize, loyalty: f64) {
        self.browse_every(24.0, rounds, loyalty);
    }

    /// The same with a round in so many hours.
    pub fn browse_every(&mut self, hours: f64, rounds: usize, loyalty: f64) {
        for _ in 0..rounds {
            let mut order: Vec<usize> = (0..self.users.len()).collect();
            self.world.random.shuffle(&mut order);
            for user in order {
                if let Some(item) = self.choose(user, loyalty) {
                    let (name, id) = (self.users[user].clone(), self.items[item].clone());
                    self.world.click(&name, &id);
                }
                self.world.pass_seconds(5.0);
            }
            self.world.pass_hours(hours);
        }
    }

    /// An item that the user clicks on next.
    pub fn choose(&mut self, user: usize, loyalty: f64) -> Option<usize> {
        let random = &mut self.world.random;
        let loyal = random.chance(loyalty);
        let fits = |&item: &usize| !self.had[user][item] && (!loyal || self.favours[user][item]);
        let left: Vec<usize> = (0..self.items.len()).filter(fits).collect();
        if left.is_empty() {
            return None;
        }
        let item = left[random.below(left.len())];
        self.had[user][item] = true;
        Some(item)
    }

    /// So many rounds in which every user is answered and clicks on what is a favourite with
    /// a probability of `rate` and on others with a fifth of it. All is reported as seen. The
    /// share of what was shown that was clicked.
    pub fn serve(&mut self, rounds: usize, n: usize, strategy: Strategy, rate: f64) -> f64 {
        let served = self.served(rounds, n, strategy, rate);
        mean(served.iter().map(|one| f64::from(u8::from(one.clicked))))
    }

    /// The same, item by item.
    pub fn served(
        &mut self,
        rounds: usize,
        n: usize,
        strategy: Strategy,
        rate: f64,
    ) -> Vec<Served> {
        let mut served = Vec::new();
        for _ in 0..rounds {
            for user in 0..self.users.len() {
                let ask = Ask::of(&self.users[user], n).strategy(strategy);
                let answer = self.world.decide(ask);
                for shown in &answer.decision.shown {
                    let item = shown.item_id.as_str();
                    self.world.reacts(&answer, item, Kind::Impression);
                    let number = self.number(item);
                    let rate = if self.favours[user][number] { rate } else { rate / 5.0 };
                    let clicked = self.world.random.chance(rate);
                    if clicked {
                        self.had[user][number] = true;
                        self.world.reacts(&answer, item, Kind::Click);
                    }
                    let (score, propensity) = (shown.score.into(), shown.propensity.into());
                    served.push(Served { user, score, propensity, clicked });
                }
                self.world.pass_seconds(30.0);
            }
            self.world.pass_hours(12.0);
        }
        served
    }

    /// The number of an item in the catalogue.
    pub fn number(&self, item: &str) -> usize {
        number_of(item)
    }

    /// The best `n` for each user, by relevance alone.
    pub fn lists(&self, n: usize) -> Vec<Vec<String>> {
        self.users.iter().map(|user| self.world.best(user, n)).collect()
    }

    /// The share of favourites in the best `n`, as a mean over the users.
    pub fn share_of_favourites(&self, n: usize) -> f64 {
        let lists = self.lists(n);
        mean(lists.iter().enumerate().map(|(user, list)| share_in(list, &self.favourites(user))))
    }

    pub fn favourites(&self, user: usize) -> Vec<String> {
        let favoured = self.items.iter().zip(&self.favours[user]);
        favoured.filter(|(_, favours)| **favours).map(|(item, _)| item.clone()).collect()
    }

    /// NDCG of the lists that a strategy gives, by favourites, as a mean over users and draws.
    pub fn ndcg(&self, n: usize, strategy: Strategy, draws: usize) -> f64 {
        let of = |user: usize, draw: usize| {
            let key = format!("{user}-{draw}");
            let ask = Ask::of(&self.users[user], n).plain().strategy(strategy).keyed(&key);
            let list = self.world.answer(&ask).items();
            let gain = |position: usize| 1.0 / (position as f64 + 2.0).log2();
            let is_favourite = |item: &String| self.favours[user][self.number(item)];
            let gains = list.iter().enumerate().filter(|(_, item)| is_favourite(item));
            let ideal: f64 = (0..n).map(gain).sum();
            gains.map(|(position, _)| gain(position)).sum::<f64>() / ideal
        };
        let users = 0..self.users.len();
        mean(users.flat_map(|user| (0..draws).map(move |draw| (user, draw))).map(|(u, d)| of(u, d)))
    }
}

fn number_of(item: &str) -> usize {
    item.trim_start_matches("item-").parse().expect("the id of an item of the world")
}
