//! A producer as the contract describes it: pipelined, with its own event ids, and a
//! ledger of what it sent and what was acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use personalization::proto::StreamInteractionsRequest;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::api::Api;
use super::make::events;

/// Requests sent but not acknowledged, at most.
const WINDOW: usize = 8;

/// What one producer did. Its events are numbered from 0 on under its name.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Ledger {
    /// Events handed to the connection at least once.
    pub sent: u64,
    /// Events of requests that were acknowledged.
    pub acked: u64,
}

/// Streams messages of `per_message` events until the connection breaks or the server
/// ends the stream, going on after the last acknowledged event of the ledger: what was
/// sent but not acknowledged before goes out again.
pub async fn produce(api: Api, name: String, ledger: Arc<Mutex<Ledger>>, per_message: u64) {
    stream(&api, &name, &ledger, per_message, Duration::ZERO).await;
}

/// The same, with this much time between two messages at least.
pub async fn stream(
    api: &Api,
    name: &str,
    ledger: &Mutex<Ledger>,
    per_message: u64,
    pace: Duration,
) {
    // Large enough for the whole window: sending never waits.
    let (requests, outgoing) = mpsc::channel(WINDOW);
    let mut client = api.personalization.clone();
    let Ok(answer) = client.stream_interactions(ReceiverStream::new(outgoing)).await else {
        return;
    };
    let mut acks = answer.into_inner();
    let mut next = ledger.lock().expect("no panic").acked;
    let mut unacked: VecDeque<(u64, u64)> = VecDeque::new();
    let mut client_sequence = 0;
    let mut due = Instant::now();
    loop {
        tokio::select! {
            biased;
            ack = acks.message() => {
                let Ok(Some(ack)) = ack else { return };
                while let Some((_, end)) =
                    unacked.pop_front_if(|(sequence, _)| *sequence <= ack.client_sequence)
                {
                    ledger.lock().expect("no panic").acked = end;
                }
            }
            () = tokio::time::sleep_until(due), if unacked.len() < WINDOW => {
                client_sequence += 1;
                let interactions = events(name, next..next + per_message);
                next += per_message;
                let request = StreamInteractionsRequest {
                    client_sequence,
                    interactions,
                    ..StreamInteractionsRequest::default()
                };
                {
                    let mut ledger = ledger.lock().expect("no panic");
                    ledger.sent = ledger.sent.max(next);
                }
                unacked.push_back((client_sequence, next));
                if requests.send(request).await.is_err() {
                    return;
                }
                due = Instant::now() + pace;
            }
        }
    }
}
