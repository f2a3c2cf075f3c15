//! Producers that go on whatever happens to the servers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use tokio::task::JoinSet;

use super::api::Api;
use super::make::events;
use super::producer::Ledger;
use super::producer::stream;
use super::wait::eventually;

const PER_MESSAGE: u64 = 10;
const BETWEEN_STREAMS: Duration = Duration::from_millis(20);

/// When a stream of one of them ends it connects again, to the next address, and sends
/// again what was not acknowledged. Dropping this ends them.
pub struct Producers {
    name: &'static str,
    ledgers: Vec<Arc<Mutex<Ledger>>>,
    tasks: JoinSet<()>,
}

impl Producers {
    /// One producer begins at each address; a message goes out at most once in `pace`.
    pub fn start(name: &'static str, addresses: &[SocketAddr], pace: Duration) -> Self {
        let ledgers = addresses.iter().map(|_| Arc::default()).collect();
        let mut producers = Self { name, ledgers, tasks: JoinSet::new() };
        for (n, ledger) in producers.ledgers.iter().enumerate() {
            let (ledger, mut addresses) = (ledger.clone(), addresses.to_vec());
            addresses.rotate_left(n);
            let name = producers.name_of(n);
            producers.tasks.spawn(async move {
                for &address in addresses.iter().cycle() {
                    if let Some(api) = Api::try_connect(address).await {
                        stream(&api, &name, &ledger, PER_MESSAGE, pace).await;
                    }
                    tokio::time::sleep(BETWEEN_STREAMS).await;
                }
            });
        }
        producers
    }

    /// Events acknowledged so far, of all producers.
    pub fn acked(&self) -> u64 {
        self.ledgers().iter().map(|ledger| ledger.acked).sum()
    }

    /// Waits until every producer has heard of something new; returns how long it took.
    pub async fn progress(&self) -> Duration {
        let (started, before) = (Instant::now(), self.ledgers());
        eventually("new acks of every producer", async || {
            let now = self.ledgers();
            now.iter().zip(&before).all(|(now, before)| now.acked > before.acked).then_some(())
        })
        .await;
        started.elapsed()
    }

    /// Ends the producers wherever they are.
    pub async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Sends everything again: what was acknowledged must all be known already. Returns
    /// how many events there are.
    pub async fn resend_all(&self, api: &Api) -> u64 {
        let mut sent = 0;
        for (n, ledger) in self.ledgers().into_iter().enumerate() {
            let name = self.name_of(n);
            let known = api.record(events(&name, 0..ledger.acked)).await;
            assert_eq!(known.duplicates, ledger.acked, "{name} lost acknowledged events");
            let rest = api.record(events(&name, ledger.acked..ledger.sent)).await;
            assert_eq!(rest.accepted + rest.duplicates, ledger.sent - ledger.acked);
            sent += ledger.sent;
        }
        sent
    }

    fn ledgers(&self) -> Vec<Ledger> {
        self.ledgers.iter().map(|ledger| *ledger.lock().expect("no panic")).collect()
    }

    fn name_of(&self, n: usize) -> String {
        format!("{}-{n}", self.name)
    }
}
