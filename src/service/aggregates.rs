//! How many users did something, and how often, with differential privacy: counts with noise, from a budget
//! that is kept.
//!
//! - The unit is the user: all ids that were merged, and all that these did. What one user adds is bounded
//!   before anything is summed.
//! - The cost is stored as spent before noise is drawn, the answer before it is given. A crash in between
//!   costs budget. What was released is given again, and costs nothing.
//! - Noise comes from entropy of the operating system, which never repeats and is kept nowhere.
//!
//! Sources: those of the crate `privacy`.

mod counting;
mod groups;
mod query;
mod settings;

use std::sync::Arc;

use rand::SeedableRng;
use rand::TryRng;
use rand::rngs::SysRng;
use rand_chacha::ChaCha20Rng;
use serde::Deserialize;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Service;
use super::Stores;
use super::blocking::run_blocking;
use super::error::Error;
use super::namespace::Namespace;
use crate::storage::Partition;
use crate::storage::Release;
use crate::storage::Spending;
use counting::Count;
use counting::Counter;
use engine::View;
use engine::domain::Sequence;
use engine::domain::Timestamp;
use groups::Groups;
use privacy::Budget;
use privacy::Rho;
use privacy::budget::Exhausted;
use privacy::noise::discrete_gaussian;
use query::Noise;

pub use query::{AggregateQuery, GroupBy};
pub use settings::PrivacySettings;

/// Spendings that a ledger tells of.
const SPENDINGS_TOLD: usize = 1_000;

/// A group as it is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoisyCount {
    pub key: String,
    pub users: i64,
    pub interactions: i64,
}

/// What is released. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aggregates {
    pub groups: Vec<NoisyCount>,
    /// Standard deviations of the noise.
    pub users_deviation: f64,
    pub interactions_deviation: f64,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Released {
    pub aggregates: Aggregates,
    pub released_at: Timestamp,
    /// The last record that was counted.
    pub log_end: Sequence,
    pub rho: Rho,
    /// Of the period.
    pub left: Rho,
    /// Whether it was released by an earlier call.
    pub is_earlier: bool,
}

/// What was spent in the present period.
#[derive(Debug, Clone)]
pub struct PrivacyLedger {
    pub settings: PrivacySettings,
    pub start: Timestamp,
    pub end: Timestamp,
    pub spent: Rho,
    pub left: Rho,
    /// The newest first.
    pub spendings: Vec<PrivacySpending>,
}

/// What was spent at a time.
#[derive(Debug, Clone)]
pub struct PrivacySpending {
    pub analyst: String,
    pub spent_at: Timestamp,
    pub rho: Rho,
    /// JSON.
    pub query: String,
}

impl Service {
    /// Answers from what was released in this period, or else releases.
    ///
    /// # Errors
    /// `Budget` when too little is left; `Overloaded` while another query is counted; `TooMuchToCount`;
    /// `Invalid`; errors of the store, after which the cost may be spent.
    pub async fn query_aggregates(
        &self,
        namespace: &Namespace,
        view: Arc<View>,
        query: AggregateQuery,
        analyst: String,
    ) -> Result<Released, Error> {
        let (now, settings) = (self.clock.now(), self.privacy);
        let asked = Arc::new(Asked {
            partition: namespace.tail.partition.clone(),
            text: query.as_json(),
            query,
            analyst,
            now,
            since: settings.period(now).0,
            limit: settings.limit,
        });
        let (stores, same) = (self.namespaces.stores().clone(), asked.clone());
        if let Some(earlier) = run_blocking(move || same.released(&stores)).await?? {
            return Ok(earlier);
        }
        let permit = self.aggregations.clone().try_acquire_owned();
        let permit = permit.map_err(|_taken| Error::Overloaded("another query is counted"))?;
        let stop = self.draining.child_token();
        let _ends_with_this_call = stop.clone().drop_guard();
        let stores = self.namespaces.stores().clone();
        let work = move || {
            let _permit = permit;
            asked.release(&view, &stores, &stop)
        };
        run_blocking(work).await?
    }

    /// The budget of the present period.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn privacy_ledger(&self, namespace: &Namespace) -> Result<PrivacyLedger, Error> {
        let settings = self.privacy;
        let (start, end) = settings.period(self.clock.now());
        let partition = namespace.tail.partition.clone();
        let read = move |stores: &Stores| stores.budgets.ledger(&partition, start, SPENDINGS_TOLD);
        let ledger = self.namespaces.with_stores(read).await?;
        let spent = rho(ledger.spent)?;
        let told = |spending: Spending| {
            let Spending { analyst, spent_at, query, nano_rho, .. } = spending;
            Ok(PrivacySpending { analyst, spent_at, rho: rho(nano_rho)?, query })
        };
        let spendings = ledger.spendings.into_iter().map(told).collect::<Result<_, Error>>()?;
        let left = settings.limit.less(spent);
        Ok(PrivacyLedger { settings, start, end, spent, left, spendings })
    }
}

/// A query at a time.
struct Asked {
    partition: Partition,
    query: AggregateQuery,
    /// The query as it is stored.
    text: String,
    analyst: String,
    now: Timestamp,
    /// The start of the period.
    since: Timestamp,
    limit: Rho,
}

impl Asked {
    /// What was released for the same query in this period.
    fn released(&self, stores: &Stores) -> Result<Option<Released>, Error> {
        let found = stores.budgets.released(&self.partition, &self.text, self.since)?;
        let Some(Release { spending, answer }) = found else { return Ok(None) };
        let unreadable = |error| Error::internal(&format!("a released answer: {error}"));
        let aggregates = serde_json::from_str(&answer).map_err(unreadable)?;
        let left = self.limit.less(self.spent(stores)?);
        Ok(Some(Released { is_earlier: true, ..released(aggregates, &spending, left)? }))
    }

    /// Counts, spends, draws noise, and stores what is released, in this order.
    fn release(
        &self,
        view: &View,
        stores: &Stores,
        stop: &CancellationToken,
    ) -> Result<Released, Error> {
        let groups = Groups::of(view, &self.query)?;
        let noise = self.query.noise(groups.keys.len())?;
        // Counting is for nothing where it is refused later.
        Budget::resume(self.limit, self.spent(stores)?).spend(noise.rho)?;
        let mut rng = generator()?;
        let log_end = stores.log.log_end(&self.partition)?;
        let counter = Counter { view, query: &self.query, groups: &groups, noise: &noise };
        let counts = counter.count(stores, &self.partition, log_end.sequence, &mut rng, stop)?;
        let spending = Spending {
            spending_id: uuid::Uuid::new_v4().to_string(),
            spent_at: self.now,
            analyst: self.analyst.clone(),
            query: self.text.clone(),
            nano_rho: noise.rho.nanos(),
            log_end,
        };
        let budgets = &*stores.budgets;
        let limit = self.limit.nanos();
        let outcome = budgets.spend(&self.partition, &spending, self.since, limit)?;
        let left = self.limit.less(rho(outcome.spent)?);
        if !outcome.is_spent {
            return Err(Exhausted { asked: noise.rho, left }.into());
        }
        let aggregates = with_noise(groups.keys, &counts, &noise, &mut rng);
        let answer = serde_json::to_string(&aggregates)
            .map_err(|error| Error::internal(&format!("an answer to release: {error}")))?;
        budgets.keep_answer(&self.partition, &spending.spending_id, &answer)?;
        released(aggregates, &spending, left)
    }

    fn spent(&self, stores: &Stores) -> Result<Rho, Error> {
        rho(stores.budgets.ledger(&self.partition, self.since, 0)?.spent)
    }
}

fn released(aggregates: Aggregates, spending: &Spending, left: Rho) -> Result<Released, Error> {
    Ok(Released {
        aggregates,
        released_at: spending.spent_at,
        log_end: spending.log_end.sequence,
        rho: rho(spending.nano_rho)?,
        left,
        is_earlier: false,
    })
}

fn with_noise(
    keys: Vec<String>,
    counts: &[Count],
    noise: &Noise,
    rng: &mut ChaCha20Rng,
) -> Aggregates {
    let groups = keys.into_iter().zip(counts).map(|(key, count)| NoisyCount {
        key,
        users: count.users.saturating_add(discrete_gaussian(noise.users, rng)),
        interactions: count.interactions.saturating_add(discrete_gaussian(noise.interactions, rng)),
    });
    Aggregates {
        groups: groups.collect(),
        users_deviation: noise.users.value().sqrt(),
        interactions_deviation: noise.interactions.value().sqrt(),
    }
}

/// A generator of one query. The operating system is asked once, before anything is counted, so that it
/// cannot fail while noise is drawn; from its 256 bits ChaCha20 makes as many as a draw needs, which
/// cannot be told from true ones.
fn generator() -> Result<ChaCha20Rng, Error> {
    let mut seed = [0; 32];
    SysRng
        .try_fill_bytes(&mut seed)
        .map_err(|error| Error::internal(&format!("no entropy of the system: {error}")))?;
    Ok(ChaCha20Rng::from_seed(seed))
}

fn rho(nanos: u64) -> Result<Rho, Error> {
    Rho::from_nanos(nanos).map_err(|error| Error::internal(&error.to_string()))
}
