//! Sends interactions over StreamInteractions and goes on after cuts.
//!
//! - A request's `client_sequence` is the number of its last row in the file. An acknowledgement is
//!   therefore a position in the file, in this process and in the next.
//! - What is sent and not acknowledged is held (a window of requests) and sent again after a cut, with
//!   the same event ids: at least once on the wire, once in the log.

use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::Streaming;

use crate::cli::import::Link;
use crate::cli::import::feed::Batch;
use crate::cli::import::feed::Feed;
use crate::cli::import::ledger::Ledger;
use crate::cli::import::tally::Tally;
use crate::cli::import::tally::reason;
use crate::cli::retry::Backoff;
use crate::cli::retry::Trouble;
use crate::cli::retry::in_time;
use crate::proto::Interaction;
use crate::proto::Rejection;
use crate::proto::StreamInteractionsRequest;
use crate::proto::StreamInteractionsResponse;
use crate::proto::personalization_service_client::PersonalizationServiceClient;

/// A request that is not acknowledged.
#[derive(Debug)]
struct Pending {
    request: StreamInteractionsRequest,
    /// Rows of the file up to its end. Greater than the client sequence when unreadable rows follow.
    rows_end: u64,
    unreadable: Tally,
}

/// Why one opening of the stream ended.
enum Cut {
    /// The server or the connection; may pass.
    Status(Status),
    /// Nothing that another attempt would change.
    Trouble(Trouble),
}

impl From<Status> for Cut {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<Trouble> for Cut {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// The sending of one file.
pub struct Sending<'a, 'b> {
    link: &'a Link,
    feed: Feed<Interaction>,
    ledger: &'a mut Ledger<'b>,
    backoff: Backoff,
    pending: VecDeque<Pending>,
    /// Whether the file has no more rows.
    exhausted: bool,
    /// Interactions of this opening of the stream that are acknowledged: what the server's indexes
    /// count from.
    acknowledged: u64,
}

impl<'a, 'b> Sending<'a, 'b> {
    /// Nothing is sent yet.
    pub fn new(link: &'a Link, feed: Feed<Interaction>, ledger: &'a mut Ledger<'b>) -> Self {
        Self {
            link,
            feed,
            ledger,
            backoff: Backoff::new(&link.retry_limit),
            pending: VecDeque::new(),
            exhausted: false,
            acknowledged: 0,
        }
    }

    /// Sends the file to its end, and reconnects as long as failures pass.
    pub async fn run(mut self) -> Result<(), Trouble> {
        loop {
            match self.session().await {
                Ok(()) => return Ok(()),
                Err(Cut::Trouble(trouble)) => return Err(trouble),
                Err(Cut::Status(status)) => self.backoff.wait(status).await?,
            }
        }
    }

    /// One opening of the stream: first what is pending, then the rest of the file.
    async fn session(&mut self) -> Result<(), Cut> {
        let stop = self.link.retry_limit.stop();
        self.acknowledged = 0;
        while self.pending.is_empty() && !self.exhausted {
            let batch = self.feed.next(stop).await?;
            self.take(batch)?;
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        // Large enough for all that can be pending, so sending never waits and never fails.
        // The first requests are in it before the call: a server may want one before it answers.
        let (sender, outgoing) = mpsc::channel(self.link.window);
        for pending in &self.pending {
            let _ = sender.try_send(pending.request.clone());
        }
        let mut client = PersonalizationServiceClient::new(self.link.channel.clone());
        let opening = client.stream_interactions(ReceiverStream::new(outgoing));
        let mut acks = tokio::select! {
            () = stop.cancelled() => return Err(Trouble::Interrupted.into()),
            opened = in_time(opening) => opened?.into_inner(),
        };
        let mut sender = Some(sender);
        loop {
            if self.exhausted {
                // Ends our half of the stream; the acknowledgements still come.
                sender = None;
                if self.pending.is_empty() {
                    return Ok(());
                }
            }
            let may_send = !self.exhausted && self.pending.len() < self.link.window;
            tokio::select! {
                () = stop.cancelled() => return Err(Trouble::Interrupted.into()),
                ack = next(&mut acks), if !self.pending.is_empty() => self.acknowledge(ack?)?,
                batch = self.feed.next(stop), if may_send => {
                    if self.take(batch?)? && let (Some(sender), Some(last)) = (&sender, self.pending.back()) {
                        // A closed channel is a broken stream: the acknowledgements will say so.
                        let _ = sender.try_send(last.request.clone());
                    }
                }
            }
        }
    }

    /// Takes a batch of the feed; whether it is a new request.
    fn take(&mut self, batch: Option<Batch<Interaction>>) -> Result<bool, Trouble> {
        let Some(batch) = batch else {
            self.exhausted = true;
            return Ok(false);
        };
        if batch.rows.is_empty() {
            // Unreadable rows at the end of the file: nothing to send, but they are rows.
            match self.pending.back_mut() {
                Some(last) => {
                    last.rows_end = batch.rows_end;
                    last.unreadable.add(batch.unreadable);
                }
                None => self.ledger.advance(batch.rows_end, batch.unreadable)?,
            }
            return Ok(false);
        }
        self.pending.push_back(Pending {
            request: StreamInteractionsRequest {
                namespace: self.link.namespace.clone(),
                client_sequence: batch.rows_end,
                interactions: batch.rows,
                producer_id: String::new(),
            },
            rows_end: batch.rows_end,
            unreadable: batch.unreadable,
        });
        Ok(true)
    }

    /// Books an acknowledgement, which may cover several requests or none.
    fn acknowledge(&mut self, ack: StreamInteractionsResponse) -> Result<(), Trouble> {
        let mut tally = Tally {
            accepted: ack.accepted,
            duplicates: ack.duplicates,
            rejected: ack.rejected,
            suppressed: ack.suppressed,
            unreadable: 0,
            reasons: self.reasons(&ack.rejections),
        };
        let mut rows_end = self.ledger.rows();
        while let Some(first) = self.pending.front() {
            if first.request.client_sequence > ack.client_sequence {
                break;
            }
            let done = self.pending.pop_front().expect("there is a first");
            rows_end = done.rows_end;
            self.acknowledged += done.request.interactions.len() as u64;
            tally.add(done.unreadable);
            self.backoff.succeeded();
        }
        Ok(self.ledger.advance(rows_end, tally)?)
    }

    /// The server's reasons, about rows the reader of the file will recognise.
    fn reasons(&self, rejections: &[Rejection]) -> Vec<String> {
        let sent: Vec<&Interaction> =
            self.pending.iter().flat_map(|pending| &pending.request.interactions).collect();
        rejections
            .iter()
            .map(|rejection| {
                let index = rejection.index.checked_sub(self.acknowledged);
                let position = index.and_then(|index| usize::try_from(index).ok());
                match position.and_then(|position| sent.get(position)) {
                    Some(interaction) => {
                        let Interaction { user_id, item_id, .. } = interaction;
                        reason(&format!("user {user_id}, item {item_id}"), rejection)
                    }
                    None => reason(&format!("event {}", rejection.id), rejection),
                }
            })
            .collect()
    }
}

/// The next acknowledgement, while some are due.
async fn next(
    acks: &mut Streaming<StreamInteractionsResponse>,
) -> Result<StreamInteractionsResponse, Status> {
    in_time(acks.message()).await?.ok_or_else(|| Status::unavailable("the server ended the stream"))
}
