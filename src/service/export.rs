//! Everything held about a user, as the log has it.
//!
//! - Read from the first record on, up to the end that the log has at the beginning. What the
//!   state has evicted or forgotten is there all the same.
//! - A record is of the user if it names one of the ids that the user has in a view that has
//!   learnt up to that end, or in the newest one if none has in time.
//! - One at a time, on a thread of its own; it ends when nobody reads it any more, or for [`STALLED`]. Memory does
//!   not grow with what the user did: chunks wait until their caller reads.
//! - What the parts look like is up to the caller.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Service;
use super::blocking::run_blocking;
use super::decision_log::each_record;
use super::error::Error;
use super::namespace::Namespace;
use super::profile::ProfileReport;
use super::profile::profile;
use crate::storage::InteractionLog;
use engine::View;
use engine::domain::LogRecord;
use engine::domain::Sequence;
use engine::domain::UserId;

/// Bytes of a chunk, unless one part is longer.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that wait for a slow caller.
const CHUNKS: usize = 4;
/// Longest wait for a caller who reads nothing.
const STALLED: Duration = Duration::from_secs(20);
/// Longest wait for a view that has learnt what is exported.
const LEARNT_TIMEOUT: Duration = Duration::from_secs(2);

/// What an export is made of, in its order.
#[derive(Debug)]
pub enum ExportPart<'a> {
    Beginning {
        /// The id that the user answers as, then the ids that were merged into it, the latest first.
        user_ids: &'a [String],
        /// The last record that is looked at.
        watermark: Sequence,
    },
    /// In log order.
    Record(&'a LogRecord),
    /// Of a user who has a profile.
    Profile(&'a ProfileReport),
    /// The attributes and rules in force, of the same users.
    InForce(&'a ProfileReport),
    End {
        records: u64,
    },
}

/// Chunks of an export as they are ready. It ends at the first error.
pub type ExportChunks = mpsc::Receiver<Result<String, Error>>;

impl Service {
    /// Begins to export what is held about a user, by any of their ids. `write` appends a part to
    /// the text of a chunk; the view is the same each time.
    ///
    /// # Errors
    /// `Overloaded` while another export runs; errors of the store. Later, in the chunks:
    /// `ShuttingDown` when the service drains; errors of the store; `Internal`.
    pub async fn export_user(
        &self,
        namespace: &Arc<Namespace>,
        user_id: &UserId,
        timeout: Duration,
        write: impl FnMut(&View, ExportPart<'_>, &mut String) + Send + 'static,
    ) -> Result<ExportChunks, Error> {
        let permit = self.exports.clone().try_acquire_owned();
        let permit = permit.map_err(|_taken| Error::Overloaded("another export is running"))?;
        let log = self.namespaces.stores().log.clone();
        let (ends, partition) = (log.clone(), namespace.tail.partition.clone());
        let end = run_blocking(move || ends.log_end(&partition)).await??.sequence;
        let learnt = namespace.view_at(end, timeout.min(LEARNT_TIMEOUT)).await;
        let view = learnt.unwrap_or_else(|_behind| namespace.view());
        let (chunks, receiver) = mpsc::channel(CHUNKS);
        let export = Export {
            user_ids: ids_of(&view, user_id),
            // Its profile is of all of these records, if it has not fallen behind them.
            end: end.max(view.watermark()),
            view,
            chunks: chunks.clone(),
            stop: self.draining.clone(),
            text: String::new(),
            write,
        };
        let namespace = namespace.clone();
        tokio::spawn(async move {
            let work = move || {
                let _permit = permit;
                export.run(&namespace, &*log)
            };
            if let Err(error) = run_blocking(work).await.flatten() {
                let _gone = chunks.send(Err(error)).await;
            }
        });
        Ok(receiver)
    }
}

fn ids_of(view: &View, user_id: &UserId) -> Vec<String> {
    let aliases = view.aliases();
    let user = aliases.resolve(user_id.as_str());
    let merged = aliases.of(user).map(str::to_owned);
    std::iter::once(user.to_owned()).chain(merged).collect()
}

struct Export<W> {
    user_ids: Vec<String>,
    end: Sequence,
    view: Arc<View>,
    chunks: mpsc::Sender<Result<String, Error>>,
    stop: CancellationToken,
    /// The chunk that is being written.
    text: String,
    write: W,
}

impl<W: FnMut(&View, ExportPart<'_>, &mut String)> Export<W> {
    fn run(mut self, namespace: &Namespace, log: &dyn InteractionLog) -> Result<(), Error> {
        let user_ids = std::mem::take(&mut self.user_ids);
        let own: HashSet<&str> = user_ids.iter().map(String::as_str).collect();
        self.add(ExportPart::Beginning { user_ids: &user_ids, watermark: self.end })?;
        let mut records = 0;
        each_record(log, &namespace.tail.partition, 0, self.end, |record| {
            self.check()?;
            if record.record.user_ids().any(|id| own.contains(id.as_str())) {
                records += 1;
                self.add(ExportPart::Record(record))?;
            }
            Ok::<(), Error>(())
        })?;
        match profile(&self.view, &user_ids[0]) {
            Ok(report) => {
                self.add(ExportPart::Profile(&report))?;
                self.add(ExportPart::InForce(&report))?;
            }
            Err(Error::NoUser(_)) => {}
            Err(error) => return Err(error),
        }
        self.add(ExportPart::End { records })?;
        self.send()?;
        tracing::info!(namespace = %namespace.name(), records, "what is held of a user was exported");
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        if self.stop.is_cancelled() {
            return Err(Error::ShuttingDown);
        }
        if self.chunks.is_closed() { Err(Error::DeadlinePassed) } else { Ok(()) }
    }

    fn add(&mut self, part: ExportPart<'_>) -> Result<(), Error> {
        let before = self.text.len();
        (self.write)(&self.view, part, &mut self.text);
        if before > 0 && self.text.len() > CHUNK_BYTES {
            let part = self.text.split_off(before);
            self.send()?;
            self.text = part;
        }
        Ok(())
    }

    /// Waits until there is room for the chunk.
    fn send(&mut self) -> Result<(), Error> {
        let text = std::mem::take(&mut self.text);
        let sent = tokio::time::timeout(STALLED, self.chunks.send(Ok(text)));
        match Handle::current().block_on(sent) {
            Ok(Ok(())) => Ok(()),
            // The caller is gone, or reads no more.
            Ok(Err(_)) | Err(_) => Err(Error::DeadlinePassed),
        }
    }
}
