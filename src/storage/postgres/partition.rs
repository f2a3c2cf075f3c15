//! What this process knows of a partition: its end and its dedup window.
//!
//! - A function of the committed log, caught up by reading the hashes of the batches
//!   that others have appended since.
//! - The newest batch known must still be there as it was: a log that has gone back,
//!   on a server restored from a backup or failed over to a standby that was behind,
//!   is noticed, and the partition is to be loaded again.

use deadpool_postgres::Client;
use tokio_postgres::Row;

use super::column::Parameter;
use super::column::SEAL_COLUMNS;
use super::column::seal;
use super::suppressed;
use crate::storage::chain::Position;
use crate::storage::chain::Seal;
use crate::storage::dedup::DedupWindow;
use crate::storage::error::Error;
use crate::storage::number::integer;
use crate::storage::suppression::Suppressed;
use engine::domain::Sequence;
use engine::domain::Timestamp;

/// Batches read at a time: a replica far away is behind by hundreds of small ones when
/// its question arrives.
pub const BATCHES_PER_STEP: usize = 2_048;
/// Records of these batches: at most 12 MB of hashes.
pub const RECORDS_PER_STEP: i64 = 640_000;

/// Where a new window begins to matter.
const NEWEST: &str = "SELECT first_sequence, count FROM log_batches
    WHERE namespace_id = $1 ORDER BY first_sequence DESC LIMIT 1";
/// The batch that holds a sequence, or the one before it, is where loading begins.
const HOLDING: &str = "SELECT coalesce(max(first_sequence), 0) FROM log_batches
    WHERE namespace_id = $1 AND first_sequence <= $2";
const BATCHES_FROM: &str = "SELECT first_sequence, count, recorded_at_ms, payload_crc32,
        event_hashes_crc32, stamp, chain,
        CASE WHEN first_sequence > $3 THEN event_hashes END
    FROM log_batches
    WHERE namespace_id = $1 AND first_sequence >= $2 AND first_sequence < $2 + $5
    ORDER BY first_sequence LIMIT $4";

#[derive(Debug)]
pub struct KnownPartition {
    pub id: i64,
    pub end: Position,
    /// Of the newest batch; appends are never dated before it.
    pub recorded_at: Timestamp,
    pub window: DedupWindow,
    pub suppressed: Suppressed,
    /// How often records of the log were replaced.
    pub revision: u64,
    /// The newest batch known, if any.
    pub newest: Option<Seal>,
    /// Where the window begins: hashes before are passed over.
    window_start: Sequence,
    /// Where the next batch is to be looked for while none is known.
    from: Sequence,
}

/// Why a partition could not be caught up.
#[derive(Debug)]
pub enum Behind {
    /// The partition was deleted.
    Deleted,
    /// The log is not the one that is known: it must be loaded again.
    GoneBack,
    /// The event hashes of this batch are not what was written.
    DamagedHashes(Box<Seal>),
    /// What is stored cannot be used.
    Unusable(Error),
    /// The server did not answer.
    Unanswered(tokio_postgres::Error),
}

impl From<Error> for Behind {
    fn from(error: Error) -> Self {
        Self::Unusable(error)
    }
}

impl From<tokio_postgres::Error> for Behind {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Unanswered(error)
    }
}

impl KnownPartition {
    /// Knows nothing yet but where to begin.
    pub async fn begin(
        client: &Client,
        id: i64,
        dedup_horizon: u64,
    ) -> Result<Self, tokio_postgres::Error> {
        let window = DedupWindow::new(dedup_horizon);
        let mut from = 0;
        let mut window_start = 0;
        let newest = client.prepare_cached(NEWEST).await?;
        if let Some(row) = client.query_opt(&newest, &[&id]).await? {
            let (first, count): (i64, i32) = (row.try_get(0)?, row.try_get(1)?);
            let end = first.unsigned_abs() + u64::from(count.unsigned_abs()) - 1;
            window_start = window.starts_at(end);
            let holding = client.prepare_cached(HOLDING).await?;
            let row = client.query_one(&holding, &[&id, &integer(window_start)]).await?;
            from = row.try_get::<_, i64>(0)?.unsigned_abs();
        }
        let recorded_at = Timestamp::from_millis(i64::MIN);
        Ok(Self {
            id,
            end: Position::default(),
            recorded_at,
            window,
            suppressed: Suppressed::default(),
            revision: 0,
            newest: None,
            window_start,
            from,
        })
    }

    /// The first batch to ask for: the newest one known, to see whether it is there.
    pub fn known_first(&self) -> i64 {
        integer(self.newest.map_or(self.from, |seal| seal.head.first))
    }

    /// The hashes of batches up to this one are known and need not be sent.
    pub fn skipped(&self) -> i64 {
        self.newest.map_or(-1, |seal| integer(seal.head.first))
    }

    /// Reads what others have appended; many steps for a partition that was just
    /// begun. What was read stays known when a later step fails.
    pub async fn catch_up(&mut self, client: &Client) -> Result<(), Behind> {
        self.suppressed = suppressed::of(client, self.id).await?;
        let batches = client.prepare_cached(BATCHES_FROM).await?;
        loop {
            let (first, skipped) = (self.known_first(), self.skipped());
            let limit = BATCHES_PER_STEP as i64;
            let parameters: [Parameter<'_>; 5] =
                [&self.id, &first, &skipped, &limit, &RECORDS_PER_STEP];
            let rows = client.query(&batches, &parameters).await?;
            self.update(&rows, 0)?;
            if !self.may_go_on(first, rows.len()) {
                return Ok(());
            }
        }
    }

    /// Whether a step from `first` on, which brought so many batches, may have been cut
    /// short: sequences have no gaps.
    pub fn may_go_on(&self, first: i64, batches: usize) -> bool {
        batches >= BATCHES_PER_STEP || integer(self.end.sequence) + 1 >= first + RECORDS_PER_STEP
    }

    /// Takes over batches from [`Self::known_first`] on, whose columns begin at `position`.
    /// The hashes of the newest batch known are not looked at.
    pub fn update(&mut self, rows: &[Row], position: usize) -> Result<(), Behind> {
        let mut rows = rows.iter();
        if let Some(newest) = self.newest {
            let found = rows.next().map(|row| seal(row, position)).transpose()?;
            if found != Some(newest) {
                return Err(Behind::GoneBack);
            }
        }
        for row in rows {
            let seal = seal(row, position)?;
            let head = &seal.head;
            if self.newest.is_some() && head.first != self.end.sequence + 1 {
                let reason =
                    format!("it should begin at {}: records are missing", self.end.sequence + 1);
                return Err(Behind::Unusable(head.corrupt(reason)));
            }
            let stored = row.try_get(position + SEAL_COLUMNS)?;
            let hashes = head
                .event_hashes(stored, seal.event_hashes_checksum)
                .map_err(|_damaged| Behind::DamagedHashes(Box::new(seal)))?;
            for (hash, sequence) in hashes {
                if sequence >= self.window_start {
                    self.window.insert(hash, sequence);
                }
            }
            // By now its checksums hold. Behind a wrong chain nothing may be acknowledged.
            if self.newest.is_some() && !seal.follows(self.end) {
                let reason = "it does not continue the batch before it";
                return Err(Behind::Unusable(head.corrupt(reason)));
            }
            self.end = seal.end(0);
            self.recorded_at = head.recorded_at;
            self.newest = Some(seal);
        }
        Ok(())
    }
}
