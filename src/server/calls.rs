//! Every gRPC call on its way in and out.
//!
//! - Before the service is there, all but health and reflection answer that it starts.
//! - Calls are bounded in number, those that stream apart from those that do not.
//! - A deadline that passes ends the call with its own status, also in a stream.
//! - What a call holds is free when its answer is gone: its slot, its bytes.
//! - A panic is an answer with an id, and stays with its call.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::Request;
use axum::http::Response;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tonic::Status;
use tonic::codegen::Service as _;
use tonic::service::Routes;

use super::activity::Activity;
use super::activity::Call;
use super::budget::Budget;
use super::budget::Charge;
use super::methods::Method;
use super::methods::Methods;
use super::request::RequestBody;
use crate::api::CallRejection;
use crate::api::CallTime;
use crate::service::Error;
use crate::telemetry::EdgeMetrics;
use engine::domain::limits;

/// What all calls share.
#[derive(Debug)]
pub struct Calls {
    methods: Arc<Methods>,
    /// Health and reflection.
    own: Routes,
    /// The services, from the moment they can be asked.
    services: OnceLock<Routes>,
    single: Arc<Semaphore>,
    streaming: Arc<Semaphore>,
    budget: Arc<Budget>,
    metrics: EdgeMetrics,
    /// How long a request may take to come.
    timeout: Duration,
}

/// What a call holds until its answer is gone.
#[derive(Debug)]
struct Held {
    _call: Call,
    _slot: Option<OwnedSemaphorePermit>,
    /// Of a call with one request; a stream gives back as it goes.
    _charge: Option<Arc<Charge>>,
}

impl Calls {
    pub fn new(methods: Methods, own: Routes, metrics: EdgeMetrics, timeout: Duration) -> Self {
        Self {
            methods: Arc::new(methods),
            own: own.prepare(),
            services: OnceLock::new(),
            single: Arc::new(Semaphore::new(limits::CALLS)),
            streaming: Arc::new(Semaphore::new(limits::STREAMING_CALLS)),
            budget: Budget::new(limits::REQUEST_BYTES, metrics.request_bytes.clone()),
            metrics,
            timeout,
        }
    }

    /// From now on the services answer.
    pub fn open(&self, services: Routes) {
        self.services.get_or_init(|| services.prepare());
    }

    pub async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        activity: Arc<Activity>,
    ) -> Response<Answer> {
        let method = self.methods.of(request.uri().path());
        let mut call = activity.begin(!method.is_of_the_server);
        let time = CallTime::of(request.headers());
        request.extensions_mut().insert(time);
        let charge = Charge::new(self.budget.clone());
        let (response, slot) = match self.let_in(&method) {
            Err(rejection) => {
                self.metrics.count_refused_call(rejection.name());
                (Status::from(rejection).into_http(), None)
            }
            Ok((routes, slot)) => {
                let answered = self.ask(routes, request, &method, &charge, time).await;
                (answered.unwrap_or_else(|error| Status::from(error).into_http()), slot)
            }
        };
        if !method.server_streams {
            call.is_answered();
        }
        let charge = (!method.client_streams).then_some(charge);
        let held = Held { _call: call, _slot: slot, _charge: charge };
        let left = time.whole().left().filter(|_| method.server_streams);
        let timer = left.map(|left| Box::pin(tokio::time::sleep(left)));
        response.map(|body| Answer { body, timer, is_over: false, _held: held })
    }

    /// Who answers, and the slot of the call among those that run.
    fn let_in(
        &self,
        method: &Method,
    ) -> Result<(Routes, Option<OwnedSemaphorePermit>), CallRejection> {
        if method.is_of_the_server {
            return Ok((self.own.clone(), None));
        }
        let routes = self.services.get().ok_or(CallRejection::Starting)?;
        let streams = method.client_streams || method.server_streams;
        let slots = if streams { &self.streaming } else { &self.single };
        let slot = slots.clone().try_acquire_owned().map_err(|_full| CallRejection::Calls)?;
        Ok((routes.clone(), Some(slot)))
    }

    async fn ask(
        &self,
        mut routes: Routes,
        request: Request<Incoming>,
        method: &Arc<Method>,
        charge: &Arc<Charge>,
        time: CallTime,
    ) -> Result<Response<tonic::body::Body>, Error> {
        time.check()?;
        let request = request.map(|body| {
            let (methods, method) = (self.methods.clone(), method.clone());
            let (charge, metrics) = (charge.clone(), self.metrics.clone());
            RequestBody::new(body, methods, method, charge, metrics, self.timeout)
        });
        let Ok(response) = time.whole().bound(without_panic(routes.call(request))).await??;
        Ok(response)
    }
}

async fn without_panic<F: Future>(future: F) -> Result<F::Output, Error> {
    let mut future = pin!(future);
    poll_fn(|context| {
        // What the call shares is behind locks and published views, and a future that has
        // panicked is not polled again.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(Error::of_panic(&*panic))),
        }
    })
    .await
}

/// The body of an answer; what the call held goes with it.
#[derive(Debug)]
pub struct Answer {
    body: tonic::body::Body,
    /// Of a stream: when its deadline passes.
    timer: Option<Pin<Box<Sleep>>>,
    is_over: bool,
    _held: Held,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let passed =
            self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready());
        if !passed {
            return Poll::Pending;
        }
        self.is_over = true;
        Poll::Ready(Some(Ok(Frame::trailers(trailers(Error::DeadlinePassed.into())))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A status at the end of a stream.
fn trailers(status: Status) -> HeaderMap {
    let mut headers = status.into_http::<()>().into_parts().0.headers;
    headers.remove(CONTENT_TYPE);
    headers
}
