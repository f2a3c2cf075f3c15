//! The arguments of `simulate`, and the world that they describe.

use std::path::PathBuf;

use engine::evaluation::simulation;
use engine::evaluation::simulation::Drift;
use engine::evaluation::simulation::Kind;

use crate::cli::Failure;

/// Items at a time where the arguments do not say.
const NEWS_ITEMS: u32 = 600;
const SHOP_ITEMS: u32 = 1_000;

/// What the people come for.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// Articles that grow old within days; a round is six hours.
    News,
    /// Goods that last, of which some are bought again; a round is a day.
    Shop,
}

/// Which positions the site reports as impressions.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Impressions {
    /// None: clicks alone are sent.
    None,
    /// Those that a person looked at, as a page that watches its viewport would.
    Seen,
    /// The whole list, looked at or not.
    Shown,
}

/// Drive a running server with a simulated audience, in a namespace that is made for it, and compare
/// its click rates with those of simple policies and of an oracle.
#[derive(clap::Args, Debug, Clone)]
pub struct Args {
    /// What the people come for.
    #[arg(long, value_enum)]
    pub world: World,
    /// Address of the server.
    #[arg(long, default_value = "http://127.0.0.1:50051", value_name = "URL")]
    pub addr: String,
    /// The namespace, which must not exist. Default: a name of its own for each run.
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Keep the namespace at the end.
    #[arg(long)]
    pub keep: bool,
    /// Settings of the namespace in YAML, by the names of NamespaceSettings in admin.proto, such as
    /// '{epsilon: 0.05, diversity_weight: 0.1}'.
    #[arg(long, default_value = "{}", value_name = "YAML")]
    pub settings: String,
    /// Rounds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,
    /// People. Half of them come from the first round on, the others arrive later.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub people: u32,
    /// Items at a time. Default: 600 articles, a twelfth of which is new each round; 1,000 goods, to which a
    /// hundredth is added each round.
    #[arg(long, value_parser = clap::value_parser!(u32).range(12..=1_000_000))]
    pub items: Option<u32>,
    /// Length of a list.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub positions: u32,
    /// Visits that get their lists at the same time, before what people do with them is sent.
    #[arg(long, default_value_t = 16, value_parser = concurrency)]
    pub concurrency: usize,
    /// The share of the people whose taste changes, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub drift: f64,
    /// The round in which tastes change. Default: half of the rounds.
    #[arg(long, value_name = "ROUND")]
    pub drift_round: Option<u32>,
    /// How strongly tastes decide: the factor of topic and nearness in the logit of a click, 0 to 10.
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    pub taste: f64,
    /// Which positions are reported as impressions.
    #[arg(long, value_enum, default_value = "seen")]
    pub impressions: Impressions,
    /// Rounds after which a training is asked for and waited for. 0: the schedule of the server alone.
    #[arg(long, default_value_t = 5, value_name = "ROUNDS")]
    pub train_every: u32,
    /// Seed of people, items and clicks.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write a page with a plot to this file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write every figure to this file as JSON; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Args {
    /// # Errors
    /// A drift or a strength of tastes that cannot be.
    pub fn world(&self) -> Result<simulation::Settings, Failure> {
        let (kind, items) = match self.world {
            World::News => (Kind::News, NEWS_ITEMS),
            World::Shop => (Kind::Shop, SHOP_ITEMS),
        };
        if !(0.0..=1.0).contains(&self.drift) {
            return Err("--drift must be 0 to 1".into());
        }
        if !(0.0..=10.0).contains(&self.taste) {
            return Err("--taste must be 0 to 10".into());
        }
        let round = self.drift_round.unwrap_or(self.rounds / 2);
        let drift = (self.drift > 0.0).then_some(Drift { share: self.drift, round });
        if drift.is_some() && !(1..self.rounds).contains(&round) {
            return Err("--drift-round must be after the first round and before the end".into());
        }
        Ok(simulation::Settings {
            kind,
            people: self.people as usize,
            items: self.items.unwrap_or(items) as usize,
            rounds: self.rounds,
            positions: self.positions as usize,
            drift,
            taste: self.taste,
            seed: self.seed,
        })
    }
}

fn concurrency(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=256).contains(number));
    number.ok_or_else(|| "must be 1 to 256".to_owned())
}
