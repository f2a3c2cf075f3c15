//! The body of a request on its way in.
//!
//! - A message is held back until all of it has come: a client that announces sixteen megabytes
//!   and sends five bytes holds five bytes.
//! - A message is checked before it is handed on; what cannot be decoded, or would take
//!   too much memory, ends the call.
//! - All that is held is charged to the budget of all calls. A stream gives it back when it
//!   asks for the next message, any other call when it has been answered.
//! - A request has to come in time, and so has each message of a stream once it has begun.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use tokio::time::Instant;
use tokio::time::Sleep;
use tonic::Status;

use super::budget::Charge;
use super::methods::Method;
use super::methods::Methods;
use super::wire;
use crate::api::CallRejection;
use crate::telemetry::EdgeMetrics;
use engine::domain::limits;

/// A flag and four bytes of length in front of each message.
const HEAD_BYTES: usize = 5;
/// What a slow client is given in time for a second.
const BYTES_PER_SECOND: usize = 256 * 1024;

/// A request body that hands on whole, checked messages.
pub struct RequestBody<B> {
    inner: B,
    methods: Arc<Methods>,
    method: Arc<Method>,
    charge: Arc<Charge>,
    metrics: EdgeMetrics,
    /// What has come of the message that comes.
    held: BytesMut,
    messages: usize,
    timeout: Duration,
    /// Since when something is expected, and how much of it has come.
    expected_since: Option<Instant>,
    came: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> RequestBody<B> {
    pub fn new(
        inner: B,
        methods: Arc<Methods>,
        method: Arc<Method>,
        charge: Arc<Charge>,
        metrics: EdgeMetrics,
        timeout: Duration,
    ) -> Self {
        let expected_since = (!method.client_streams).then(Instant::now);
        Self {
            inner,
            methods,
            method,
            charge,
            metrics,
            held: BytesMut::new(),
            messages: 0,
            timeout,
            expected_since,
            came: 0,
            timer: None,
        }
    }

    fn refused(&self, rejection: CallRejection) -> Status {
        self.metrics.count_refused_call(rejection.name());
        rejection.into()
    }

    /// Takes what came; returns the messages that are whole with it.
    fn take(&mut self, came: Bytes) -> Result<Option<Bytes>, Status> {
        if !self.charge.add(came.len()) {
            return Err(self.refused(CallRejection::RequestBytes));
        }
        let whole = if self.held.is_empty() {
            let whole = self.whole_messages(&came)?;
            self.held.extend_from_slice(&came[whole..]);
            came.slice(..whole)
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(&came);
            let whole = self.whole_messages(&held)?;
            let messages = held.split_to(whole).freeze();
            self.held = held;
            messages
        };
        self.came += came.len();
        if self.method.client_streams && !whole.is_empty() {
            (self.expected_since, self.came) = (None, self.held.len());
        }
        if !self.held.is_empty() {
            self.expected_since.get_or_insert_with(Instant::now);
        }
        Ok((!whole.is_empty()).then_some(whole))
    }

    /// Checks the messages that begin here and are whole; returns where the last one ends.
    fn whole_messages(&mut self, bytes: &[u8]) -> Result<usize, Status> {
        let mut end = 0;
        while let Some(length) = self.announced(&bytes[end..])? {
            let start = end + HEAD_BYTES;
            let Some(message) = bytes.get(start..start + length) else { break };
            self.check(message)?;
            end = start + length;
        }
        Ok(end)
    }

    /// The length of the message that begins here, once its head is there.
    fn announced(&self, bytes: &[u8]) -> Result<Option<usize>, Status> {
        let Some((head, _)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let [flag, length @ ..] = *head;
        let (length, most) = (u32::from_be_bytes(length) as usize, self.method.message_bytes);
        if flag != 0 {
            return Err(self.refused(CallRejection::Compressed));
        }
        if length > most {
            return Err(self.refused(CallRejection::MessageTooLarge { bytes: length, most }));
        }
        Ok(Some(length))
    }

    fn check(&mut self, message: &[u8]) -> Result<(), Status> {
        self.messages += 1;
        if self.messages > 1 && !self.method.client_streams {
            return Err(
                self.refused(CallRejection::Malformed("the call takes one message".to_owned()))
            );
        }
        let Some(kind) = self.method.message else { return Ok(()) };
        let checked = wire::check(&self.methods.schema, kind, message, limits::DECODED_BYTES);
        match checked {
            Ok(bytes) if self.charge.add(bytes) => Ok(()),
            Ok(_bytes) => Err(self.refused(CallRejection::RequestBytes)),
            Err(wire::Fault::TooMuch { field }) => {
                Err(self.refused(CallRejection::TooMuch { field }))
            }
            Err(wire::Fault::Malformed { field, what }) => {
                let field = if field.is_empty() { "the message" } else { &field };
                Err(self.refused(CallRejection::Malformed(format!("{field} {what}"))))
            }
        }
    }

    /// Wakes the call when what comes is late.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let Some(since) = self.expected_since else { return Poll::Pending };
        // What has come buys time for the rest; what was announced does not.
        let bought = Duration::from_secs((self.came / BYTES_PER_SECOND) as u64);
        let due = since + self.timeout + bought;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(context).map(|()| self.refused(CallRejection::RequestLate))
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.method.client_streams {
            // Who asks for more has done with what it got.
            this.charge.keep(this.held.len());
        }
        loop {
            let frame = match Pin::new(&mut this.inner).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(Status::from_error(error.into()))));
                }
                Poll::Ready(None) if this.held.is_empty() => return Poll::Ready(None),
                Poll::Ready(None) => {
                    this.held.clear();
                    let early = "the request ends within a message".to_owned();
                    return Poll::Ready(Some(Err(this.refused(CallRejection::Malformed(early)))));
                }
                Poll::Pending => return this.poll_late(context).map(|late| Some(Err(late))),
            };
            let data = match frame.into_data() {
                Ok(data) => data,
                // Trailers; the end comes next.
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            };
            match this.take(data) {
                Ok(None) => {}
                Ok(Some(messages)) => return Poll::Ready(Some(Ok(Frame::data(messages)))),
                Err(status) => return Poll::Ready(Some(Err(status))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
