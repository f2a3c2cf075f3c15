//! Follows the stream on a connection of its own.
//!
//! - Begins at the stream's end; after a lost connection it goes on where it was,
//!   or at the beginning of a stream that was created again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use fred::clients::Client;
use fred::clients::WithOptions;
use fred::error::Error;
use fred::error::ErrorKind;
use fred::interfaces::ClientLike;
use fred::interfaces::LuaInterface;
use fred::interfaces::StreamsInterface;
use fred::types::Value;
use fred::types::config::Options;

use super::connection::Connector;
use super::counters::Counters;
use super::entry;
use super::entry::Entry;
use super::entry::ProcessId;
use super::reply;
use super::reply::EntryId;
use super::tail::News;

/// How long Redis waits for an entry before it says that there is none: a Redis that
/// does not even say that within the deadline is gone.
const BLOCK: Duration = Duration::from_millis(500);
const DEADLINE: Duration = Duration::from_millis(1_500);
/// Entries of one answer: 8 MiB at most.
const ENTRIES: u64 = 32;
/// The id of the newest entry without its payload.
const NEWEST: &str = "local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1) \
    return newest[1] and newest[1][1]";
const LOG_EVERY: Duration = Duration::from_secs(60);

pub struct Reader {
    key: String,
    process: ProcessId,
    news: Arc<News>,
    counters: Arc<Counters>,
    /// The last entry seen.
    position: Option<EntryId>,
    logged_at: Option<Instant>,
}

impl Reader {
    pub const fn new(
        key: String,
        process: ProcessId,
        news: Arc<News>,
        counters: Arc<Counters>,
    ) -> Self {
        Self { key, process, news, counters, position: None, logged_at: None }
    }

    pub async fn run(mut self, mut connector: Connector) {
        let options = Options { timeout: Some(DEADLINE), ..Options::default() };
        loop {
            let connection = connector.connect().await;
            let client = connection.client.with_options(&options);
            let Err(reason) = self.follow(&client).await;
            self.news.set_connected(false);
            drop(connection);
            self.counters.errors.add(1);
            connector.lost(&reason);
        }
    }

    async fn follow(&mut self, client: &WithOptions<Client>) -> Result<Infallible, Error> {
        let mut position = self.position_to_read(client).await?;
        self.news.set_connected(true);
        loop {
            let block = u64::try_from(BLOCK.as_millis()).ok();
            let answer: Value =
                client.xread(Some(ENTRIES), block, &self.key, position.to_string()).await?;
            let entries = reply::entries(&answer)
                .ok_or_else(|| Error::new(ErrorKind::Parse, "not an answer to XREAD"))?;
            if let Some((last, _)) = entries.last() {
                position = *last;
                self.position = Some(position);
                self.take(&entries);
            } else {
                self.news.ring().expire(Instant::now());
                position = self.position_to_read(client).await?;
            }
        }
    }

    /// Where to read from. A stream that ends before the position of this reader
    /// was created again since.
    async fn position_to_read(&mut self, client: &WithOptions<Client>) -> Result<EntryId, Error> {
        let newest: Value = client.eval(NEWEST, &self.key, ()).await?;
        let newest = EntryId::parse(&newest).unwrap_or(EntryId::ZERO);
        let position = match self.position {
            None => newest,
            Some(position) if newest < position => EntryId::ZERO,
            Some(position) => position,
        };
        self.position = Some(position);
        Ok(position)
    }

    fn take(&mut self, entries: &[(EntryId, &[Value])]) {
        let now = Instant::now();
        let (mut received, mut rejected) = (0, 0);
        for (_, fields) in entries {
            let bytes = reply::only_field(fields, entry::FIELD);
            match bytes.and_then(|bytes| entry::decode(bytes, self.process)) {
                Some(Entry::Own) => {}
                Some(Entry::Foreign(batch)) => {
                    received += 1;
                    self.news.ring().insert(Arc::new(batch), now);
                }
                None => rejected += 1,
            }
        }
        self.counters.received.add(received);
        self.counters.rejected.add(rejected);
        if received > 0 {
            self.news.changed();
        }
        if rejected > 0 && self.logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            self.logged_at = Some(now);
            tracing::warn!(key = self.key, rejected, "ignored stream entries of another format");
        }
    }
}
