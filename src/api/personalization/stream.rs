//! `StreamInteractions`: one task reads and submits, another acknowledges in order
//! after each commit, so that reading goes on while the disk works.

use tokio::sync::mpsc;
use tonic::Status;
use tonic::Streaming;

use super::PersonalizationApi;
use super::Shared;
use super::check_same_namespace;
use super::namespace;
use crate::api::convert;
use crate::api::intake::Counts;
use crate::api::intake::Intake;
use crate::api::producer::RECORDS_PER_SUBMISSION;
use crate::api::producer::ready_message;
use crate::api::status;
use crate::proto;
use crate::service;
use crate::service::Submitted;
use engine::domain::EventId;
use engine::domain::Record;
use engine::domain::Violation;

/// Acks a slow client may leave unread before its stream is no longer read.
const ACKS: usize = 64;
/// Submissions of one stream on their way to the disk.
const SUBMISSIONS_IN_FLIGHT: usize = 8;

type Ack = Result<proto::StreamInteractionsResponse, Status>;

/// Requests that became one submission, and what is known of them before the commit.
struct Taken {
    client_sequence: u64,
    rejected: u64,
    rejections: Vec<proto::Rejection>,
    /// `None` when nothing of them was left to write.
    pending: Option<Submitted>,
}

/// Starts serving a stream; the receiver yields its acks.
pub fn serve(
    api: PersonalizationApi,
    requests: Streaming<proto::StreamInteractionsRequest>,
) -> mpsc::Receiver<Ack> {
    let (acks, receiver) = mpsc::channel(ACKS);
    tokio::spawn(async move {
        let (submitted, to_ack) = mpsc::channel(SUBMISSIONS_IN_FLIGHT);
        let metrics_api = api.clone();
        let acker = tokio::spawn(acknowledge(metrics_api, to_ack, acks.clone()));
        let reader =
            Reader { api, requests, submitted, client_sequence: 0, producer_id: String::new() };
        let read = reader.run().await;
        // Everything read is acknowledged before the stream ends with its error.
        let acked = acker.await;
        if let (Err(status), Ok(counts)) = (read, acked) {
            let _gone = acks.send(Err(counts.attach(status))).await;
        }
    });
    receiver
}

struct Reader {
    api: PersonalizationApi,
    requests: Streaming<proto::StreamInteractionsRequest>,
    submitted: mpsc::Sender<Taken>,
    client_sequence: u64,
    /// Empty when the stream names none.
    producer_id: String,
}

impl Reader {
    async fn run(mut self) -> Result<(), Status> {
        let Some(first) = self.next().await? else {
            return Ok(());
        };
        let namespace = namespace(&self.api.service, &first.namespace).await?;
        self.producer_id = convert::producer_id(&first.producer_id).map_err(status::invalid)?;
        let mut intake = Intake::default();
        let mut next = Some(first);
        while let Some(message) = next {
            let rejected_before = intake.rejected;
            let mut records = Vec::new();
            let mut checked = self.check(&mut intake, message, &namespace, &mut records);
            while checked.is_ok() && records.len() < RECORDS_PER_SUBMISSION {
                checked = match ready_message(&mut self.requests).await {
                    Some(Ok(message)) => self.check(&mut intake, message, &namespace, &mut records),
                    Some(Err(broken)) => Err(broken),
                    None => break,
                };
            }
            let rejected = intake.rejected - rejected_before;
            let rejections = intake.drain_rejections();
            self.submit(&namespace, records, rejected, rejections).await?;
            checked?;
            next = self.next().await?;
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<proto::StreamInteractionsRequest>, Status> {
        tokio::select! {
            biased;
            () = self.api.service.draining.cancelled() => {
                Err(Status::from(service::Error::ShuttingDown))
            }
            message = self.requests.message() => message,
        }
    }

    fn check(
        &mut self,
        intake: &mut Intake,
        message: proto::StreamInteractionsRequest,
        namespace: &Shared,
        records: &mut Vec<Record>,
    ) -> Result<(), Status> {
        check_same_namespace(namespace, &message.namespace)?;
        if message.client_sequence <= self.client_sequence {
            return Err(status::invalid(vec![Violation::new(
                "client_sequence",
                format!("must be above {}, that of the request before", self.client_sequence),
            )]));
        }
        let sequence = message.client_sequence;
        let id_of_position = |position| self.event_id(sequence, position);
        self.api.check(intake, message.interactions, id_of_position, records)?;
        self.client_sequence = sequence;
        Ok(())
    }

    /// The same for the same position of the same request, however often it is sent.
    fn event_id(&self, client_sequence: u64, position: usize) -> Option<EventId> {
        let producer = Some(&self.producer_id).filter(|id| !id.is_empty())?;
        EventId::parse(format!("producer/{producer}/{client_sequence}/{position}")).ok()
    }

    async fn submit(
        &mut self,
        namespace: &Shared,
        records: Vec<Record>,
        rejected: u64,
        rejections: Vec<proto::Rejection>,
    ) -> Result<(), Status> {
        let pending = if records.is_empty() {
            None
        } else {
            Some(self.api.service.submit(namespace, records).await?)
        };
        let client_sequence = self.client_sequence;
        let submitted = Taken { client_sequence, rejected, rejections, pending };
        let sent = self.submitted.send(submitted).await;
        sent.map_err(|_ended| Status::cancelled("the stream has ended"))
    }
}

/// Sends an ack for each submission once it is durable. Ends at the first failure.
async fn acknowledge(
    api: PersonalizationApi,
    mut submitted: mpsc::Receiver<Taken>,
    acks: mpsc::Sender<Ack>,
) -> Counts {
    let mut total = Counts::default();
    while let Some(next) = submitted.recv().await {
        let mut counts = Counts { last_sequence: total.last_sequence, ..Counts::default() };
        if let Some(pending) = next.pending {
            match pending.outcome().await {
                Ok(recorded) => counts.settle(&recorded),
                Err(error) => {
                    let _gone = acks.send(Err(total.attach(error.into()))).await;
                    return total;
                }
            }
        }
        counts.rejected = next.rejected;
        api.count(&counts);
        total.accepted += counts.accepted;
        total.duplicates += counts.duplicates;
        total.rejected += counts.rejected;
        total.suppressed += counts.suppressed;
        total.unknown_decisions += counts.unknown_decisions;
        total.received += counts.accepted + counts.duplicates + counts.rejected + counts.suppressed;
        total.last_sequence = counts.last_sequence;
        let ack = proto::StreamInteractionsResponse {
            client_sequence: next.client_sequence,
            accepted: counts.accepted,
            duplicates: counts.duplicates,
            rejected: counts.rejected,
            rejections: next.rejections,
            last_sequence: counts.last_sequence,
            unknown_decisions: counts.unknown_decisions,
            suppressed: counts.suppressed,
        };
        // A client that no longer listens has still had its events written.
        let _gone = acks.send(Ok(ack)).await;
    }
    total
}
