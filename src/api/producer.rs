//! One client stream of records: messages that are ready travel together to the log
//! writer, a bounded number of submissions at a time.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio_stream::Stream;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::convert;
use super::intake::Counts;
use super::intake::Intake;
use super::status;
use crate::service;
use crate::service::Namespace;
use crate::service::Service;
use crate::service::Submitted;
use engine::domain::Record;

/// Records of one submission, unless a single message holds more.
pub const RECORDS_PER_SUBMISSION: usize = 1_024;
/// Submissions of one stream on their way to the disk.
const SUBMISSIONS_IN_FLIGHT: usize = 8;

/// The next message if it is there already.
pub async fn ready_message<S, T>(stream: &mut S) -> Option<Result<T, Status>>
where
    S: Stream<Item = Result<T, Status>> + Unpin,
{
    poll_fn(|context| {
        Poll::Ready(match Pin::new(&mut *stream).poll_next(context) {
            Poll::Ready(message) => message,
            Poll::Pending => None,
        })
    })
    .await
}

/// Submissions of a stream that answers once, at its end.
#[derive(Debug)]
pub struct Producer {
    service: Service,
    namespace: Arc<Namespace>,
    in_flight: VecDeque<Submitted>,
    counts: Counts,
}

impl Producer {
    pub fn new(service: Service, namespace: Arc<Namespace>) -> Self {
        Self { service, namespace, in_flight: VecDeque::new(), counts: Counts::default() }
    }

    /// Hands records over; waits for the oldest submission when there are many.
    ///
    /// # Errors
    /// What became of an earlier submission.
    pub async fn submit(&mut self, records: Vec<Record>) -> Result<(), Status> {
        if records.is_empty() {
            return Ok(());
        }
        while self.in_flight.len() >= SUBMISSIONS_IN_FLIGHT {
            self.settle_oldest().await?;
        }
        self.in_flight.push_back(self.service.submit(&self.namespace, records).await?);
        Ok(())
    }

    /// Reads a client stream to its end, submitting what `check` makes of its messages: of
    /// its first, and of the rest. What came before a mistake, a broken connection or a shutdown is submitted all
    /// the same.
    ///
    /// # Errors
    /// What `check` refused, what broke the stream, or `ShuttingDown`.
    pub async fn take_in<M, S>(
        &mut self,
        first: M,
        mut rest: S,
        draining: &CancellationToken,
        mut check: impl FnMut(M, &mut Vec<Record>) -> Result<(), Status>,
    ) -> Result<(), Status>
    where
        S: Stream<Item = Result<M, Status>> + Unpin,
    {
        let mut next = Some(first);
        while let Some(message) = next {
            let mut records = Vec::new();
            let mut read = check(message, &mut records);
            while read.is_ok() && records.len() < RECORDS_PER_SUBMISSION {
                read = match ready_message(&mut rest).await {
                    Some(message) => message.and_then(|message| check(message, &mut records)),
                    None => break,
                };
            }
            self.submit(records).await?;
            read?;
            next = tokio::select! {
                biased;
                () = draining.cancelled() => {
                    return Err(Status::from(service::Error::ShuttingDown));
                }
                message = rest.next() => message.transpose()?,
            };
        }
        Ok(())
    }

    /// Ends a stream that was read so far: makes durable what was submitted, whatever
    /// ended the reading, and counts. The status of a failure carries the counts.
    pub async fn finish(
        mut self,
        read: Result<(), Status>,
        intake: &Intake,
    ) -> (Counts, Result<(), Status>) {
        let settled = self.settle().await;
        let mut counts = self.counts;
        (counts.received, counts.rejected) = (intake.received, intake.rejected);
        (counts, read.and(settled).map_err(|status| counts.attach(status)))
    }

    /// Waits until all that was submitted is durable.
    ///
    /// # Errors
    /// The first failure; what came before it is counted.
    async fn settle(&mut self) -> Result<(), Status> {
        while !self.in_flight.is_empty() {
            self.settle_oldest().await?;
        }
        Ok(())
    }

    async fn settle_oldest(&mut self) -> Result<(), Status> {
        if let Some(oldest) = self.in_flight.pop_front() {
            self.counts.settle(&oldest.outcome().await?);
        }
        Ok(())
    }
}

/// The namespace of a client stream is that of its first message.
///
/// # Errors
/// When a later message names another.
pub fn check_same_namespace(namespace: &Namespace, named: &str) -> Result<(), Status> {
    convert::namespace_again(named, namespace.name()).map_err(status::invalid)
}
