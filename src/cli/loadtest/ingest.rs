//! Open-loop ingest: events over StreamInteractions, latency from schedule to durable acknowledgement.
//!
//! - The schedule is of messages of `batch` events each, dealt to the streams in turn.
//! - A stream that breaks fails what was pending on it and is opened again, a bounded number of times.
//! - Event ids are new in every run, so that a second run measures inserts, not duplicates.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::Status;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::cli::Failure;
use crate::cli::loadtest::drive::Plan;
use crate::cli::loadtest::drive::lock;
use crate::cli::loadtest::measured::Measured;
use crate::cli::loadtest::personalize::Population;
use crate::cli::loadtest::personalize::index;
use crate::cli::loadtest::schedule::pace;
use crate::proto::Interaction;
use crate::proto::InteractionType;
use crate::proto::StreamInteractionsRequest;
use crate::proto::StreamInteractionsResponse;
use crate::proto::personalization_service_client::PersonalizationServiceClient;

/// How often a stream is opened at most.
const OPENINGS: u32 = 50;
/// The wait before a stream is opened again.
const REOPEN_WAIT: Duration = Duration::from_millis(100);
/// How often the pacer tries again when a stream has too many messages.
const FULL_WAIT: Duration = Duration::from_micros(100);

/// What the load is like, apart from its plan.
#[derive(Clone, Debug)]
pub struct Options {
    /// Events of one message.
    pub batch: usize,
    pub streams: usize,
    /// The longest wait for an acknowledgement.
    pub timeout: Duration,
    pub seed: u64,
    /// In every event id of this run and of no other.
    pub run: u128,
}

/// A message that is due: its number and time.
type Due = (u64, Instant);

/// Puts the load of a plan (its schedule is of messages) on the streams and waits for the last
/// acknowledgement. The counts are of events, the latencies of messages.
///
/// # Errors
/// None that the server causes: those are counted.
pub async fn ingest(
    channels: &[Channel],
    population: &Population,
    plan: Plan,
    options: &Options,
) -> Result<Measured, Failure> {
    let measured = Arc::new(Mutex::new(Measured::new()));
    let window = (plan.in_flight / options.streams).max(1);
    let mut queues = Vec::new();
    let mut streams = tokio::task::JoinSet::new();
    for number in 0..options.streams {
        let (queue, due) = mpsc::channel(window);
        queues.push(queue);
        let producer = Producer {
            client: PersonalizationServiceClient::new(channels[number % channels.len()].clone()),
            population: population.clone(),
            options: options.clone(),
            window,
            measured: Arc::clone(&measured),
            pending: VecDeque::new(),
        };
        streams.spawn(producer.run(due));
    }

    let start = Instant::now();
    let length = plan.length;
    let pacer = {
        let measured = Arc::clone(&measured);
        let batch = options.batch as u64;
        tokio::task::spawn_blocking(move || deal(&queues, plan, start, batch, &measured))
    };
    pacer.await?;
    while let Some(stream) = streams.join_next().await {
        stream?;
    }
    let mut measured = lock(&measured).clone();
    measured.elapsed = start.elapsed().max(length);
    Ok(measured)
}

/// The pacer's thread: gives each message to its stream when it is due.
fn deal(
    queues: &[mpsc::Sender<Due>],
    plan: Plan,
    start: Instant,
    batch: u64,
    measured: &Mutex<Measured>,
) {
    let end = start + plan.length;
    pace(start, plan.schedule, |number, due| {
        lock(measured).offered += batch;
        loop {
            match queues[index(number, queues.len())].try_send((number, due)) {
                Ok(()) => return true,
                Err(TrySendError::Full(_)) if Instant::now() < end => {
                    std::thread::sleep(FULL_WAIT);
                }
                Err(_full_at_the_end_or_closed) => {
                    lock(measured).unsent += batch;
                    return true;
                }
            }
        }
    });
}

/// One stream and what is pending on it.
struct Producer {
    client: PersonalizationServiceClient<Channel>,
    population: Population,
    options: Options,
    /// Messages pending at most.
    window: usize,
    measured: Arc<Mutex<Measured>>,
    /// Sent and not acknowledged, by client sequence and scheduled time.
    pending: VecDeque<Due>,
}

impl Producer {
    /// Sends what is due until there is no more.
    async fn run(mut self, mut due: mpsc::Receiver<Due>) {
        for _ in 0..OPENINGS {
            let Some(first) = due.recv().await else {
                return;
            };
            let Err(status) = self.session(first, &mut due).await else {
                return;
            };
            let lost = self.pending.len() * self.options.batch;
            self.pending.clear();
            lock(&self.measured).failure(status.code(), lost as u64);
            tokio::time::sleep(REOPEN_WAIT).await;
        }
        // From here on the pacer finds the queue closed; what is in it was due, too.
        due.close();
        while due.recv().await.is_some() {
            lock(&self.measured).unsent += self.options.batch as u64;
        }
    }

    /// One opening of the stream, from a first message to the end of the queue.
    async fn session(&mut self, first: Due, due: &mut mpsc::Receiver<Due>) -> Result<(), Status> {
        let (messages, outgoing) = mpsc::channel(self.window + 1);
        let mut messages = Some(messages);
        // Sent before the call is answered: a server may want the first message before it answers.
        self.send(first, messages.as_ref());
        let timeout = self.options.timeout;
        let opening = self.client.stream_interactions(ReceiverStream::new(outgoing));
        let mut acks = tokio::time::timeout(timeout, opening)
            .await
            .map_err(|_elapsed| Status::deadline_exceeded("the stream was not opened"))??
            .into_inner();
        let mut ended = false;
        while !(ended && self.pending.is_empty()) {
            tokio::select! {
                ack = next(&mut acks, timeout), if !self.pending.is_empty() => self.acknowledge(&ack?),
                message = due.recv(), if !ended && self.pending.len() < self.window => match message {
                    Some(message) => self.send(message, messages.as_ref()),
                    None => {
                        ended = true;
                        messages = None;
                    }
                },
            }
        }
        Ok(())
    }

    fn send(&mut self, due: Due, messages: Option<&mpsc::Sender<StreamInteractionsRequest>>) {
        lock(&self.measured).started(due.1.elapsed());
        self.pending.push_back(due);
        let message = message(&self.population, &self.options, due.0);
        let sent = messages.map(|messages| messages.try_send(message));
        // Only a full channel would be a mistake of ours; a closed one shows as a broken stream.
        debug_assert!(
            !matches!(sent, Some(Err(TrySendError::Full(_)))),
            "no more is in the channel than is pending"
        );
    }

    fn acknowledge(&mut self, ack: &StreamInteractionsResponse) {
        let batch = self.options.batch as u64;
        let mut measured = lock(&self.measured);
        measured.failure_if(Code::InvalidArgument, ack.rejected);
        let mut rejected = ack.rejected;
        while let Some((number, scheduled)) = self.pending.front().copied() {
            if number + 1 > ack.client_sequence {
                break;
            }
            self.pending.pop_front();
            let here = rejected.min(batch);
            rejected -= here;
            measured.success(scheduled.elapsed(), batch - here);
        }
    }
}

/// The next acknowledgement; a stream that ends while something is pending is broken.
async fn next(
    acks: &mut Streaming<StreamInteractionsResponse>,
    timeout: Duration,
) -> Result<StreamInteractionsResponse, Status> {
    tokio::time::timeout(timeout, acks.message())
        .await
        .map_err(|_elapsed| Status::deadline_exceeded("no acknowledgement in time"))??
        .ok_or_else(|| Status::unavailable("the server ended the stream"))
}

/// Message `number` of this run.
fn message(population: &Population, options: &Options, number: u64) -> StreamInteractionsRequest {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed ^ number);
    let interactions = (0..options.batch)
        .map(|position| Interaction {
            event_id: format!("load-{:x}-{number}-{position}", options.run),
            user_id: population.user(&mut rng),
            item_id: population.item(&mut rng),
            r#type: InteractionType::Click.into(),
            ..Interaction::default()
        })
        .collect();
    StreamInteractionsRequest {
        namespace: population.namespace.clone(),
        client_sequence: number + 1,
        interactions,
        producer_id: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn population() -> Population {
        Population {
            namespace: "default".to_owned(),
            user_pattern: "u{}".to_owned(),
            users: 10,
            items: Arc::new(vec!["a".to_owned()]),
        }
    }

    fn options(run: u128) -> Options {
        Options { batch: 3, streams: 1, timeout: Duration::from_secs(1), seed: 1, run }
    }

    #[test]
    fn event_ids_differ_within_a_run_and_between_runs() {
        let mut ids = std::collections::BTreeSet::new();
        for run in 0..2 {
            for number in 0..5 {
                let message = message(&population(), &options(run), number);
                ids.extend(message.interactions.into_iter().map(|event| event.event_id));
            }
        }
        assert_eq!(ids.len(), 2 * 5 * 3);
    }

    #[tokio::test]
    async fn an_acknowledgement_covers_all_messages_up_to_its_sequence() {
        let channel = Channel::from_static("http://127.0.0.1:1").connect_lazy();
        let now = Instant::now();
        let mut producer = Producer {
            client: PersonalizationServiceClient::new(channel),
            population: population(),
            options: options(0),
            window: 4,
            measured: Arc::new(Mutex::new(Measured::new())),
            pending: VecDeque::from([(0, now), (4, now), (8, now)]),
        };
        producer.acknowledge(&StreamInteractionsResponse {
            client_sequence: 5,
            accepted: 5,
            rejected: 1,
            ..StreamInteractionsResponse::default()
        });
        assert_eq!(producer.pending, [(8, now)]);
        let measured = lock(&producer.measured);
        assert_eq!(measured.succeeded, 5);
        assert_eq!(measured.errors["InvalidArgument"], 1);
    }
}
