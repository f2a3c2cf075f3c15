//! The one way from what a request names to what its handler works with.
//!
//! - The namespace is found before its rate is counted: a name that nothing is behind
//!   leaves no trace.
//! - Each wait ends with the caller's time. What takes long runs on the pool of the reads,
//!   which drops work that nobody waits for.

use std::sync::Arc;
use std::time::Duration;

use tonic::Status;

use super::convert;
use super::deadline::CallTime;
use super::status;
use crate::service::Deadline;
use crate::service::Error;
use crate::service::Expiry;
use crate::service::Namespace;
use crate::service::Service;
use engine::View;
use engine::domain::NamespaceName;
use engine::domain::Sequence;

/// Longest wait for what is durable to be learnt.
const DURABLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Which state of its namespace a call requires.
#[derive(Debug, Clone, Copy)]
pub enum RequiredView {
    /// The newest there is.
    Newest,
    /// One that holds this record; any, for 0.
    Record(Sequence),
    /// One that holds all that is durable, or the newest after a moment: a caller that upserts
    /// finds the item.
    Durable,
}

/// A call that has been let in.
#[derive(Debug)]
pub struct Admitted {
    pub namespace: Arc<Namespace>,
    pub view: Arc<View>,
    /// Until when work for the call is of use.
    pub deadline: Deadline,
}

impl Admitted {
    /// Lets a call in: its namespace (empty is the default one), its rate, the state it
    /// requires.
    ///
    /// # Errors
    /// A name that is none, `NoNamespace`, `RateLimited`, `WatermarkNotReached`,
    /// `DeadlinePassed`, what keeps the namespace from being opened.
    pub async fn new(
        service: &Service,
        time: CallTime,
        name: &str,
        required: RequiredView,
    ) -> Result<Self, Status> {
        let name = convert::namespace(name).map_err(status::invalid)?;
        let namespace = open(service, time, &name).await?;
        Ok(Self::of(service, time, namespace, required).await?)
    }

    /// The same for a namespace that is open.
    ///
    /// # Errors
    /// As `new`.
    pub async fn of(
        service: &Service,
        time: CallTime,
        namespace: Arc<Namespace>,
        required: RequiredView,
    ) -> Result<Self, Error> {
        count(service, &namespace).await?;
        let view = match required {
            RequiredView::Newest | RequiredView::Record(0) => namespace.view(),
            RequiredView::Record(sequence) => namespace.view_at(sequence, time.timeout()).await?,
            RequiredView::Durable => durable_view(&namespace, time).await,
        };
        time.check()?;
        Ok(Self { namespace, view, deadline: time.work() })
    }

    /// Does work on the pool of the reads with the view.
    ///
    /// # Errors
    /// `Overloaded`, `DeadlinePassed`, `Internal`.
    pub async fn read<T: Send + 'static>(
        &self,
        service: &Service,
        work: impl FnOnce(&View, &Expiry) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let view = self.view.clone();
        service.reads.run(self.deadline, move |expiry| work(&view, expiry)).await
    }
}

/// The namespace of a name, opened when it has to be.
///
/// # Errors
/// `NoNamespace`, `DeadlinePassed`, what keeps it from being opened.
pub async fn open(
    service: &Service,
    time: CallTime,
    name: &NamespaceName,
) -> Result<Arc<Namespace>, Error> {
    time.check()?;
    time.work().bound(service.namespaces.get(name)).await?
}

/// The namespace that a stream of events or items names; empty is the default one. Its
/// rate is counted by what is in it.
///
/// # Errors
/// A name that is none, `NoNamespace`, what keeps it from being opened.
pub async fn namespace(service: &Service, name: &str) -> Result<Arc<Namespace>, Status> {
    let name = convert::namespace(name).map_err(status::invalid)?;
    Ok(service.namespaces.get(&name).await?)
}

/// The view with everything durable, or the newest after a moment.
pub async fn durable_view(namespace: &Namespace, time: CallTime) -> Arc<View> {
    let timeout = time.timeout().min(DURABLE_TIMEOUT);
    let reached = namespace.view_at(namespace.tail.end(), timeout).await;
    reached.unwrap_or_else(|_behind| namespace.view())
}

/// Counts a request against the rate limit of its namespace.
pub async fn count(service: &Service, namespace: &Namespace) -> Result<(), Error> {
    service.limiter.admit_request(&namespace.rates, service.clock.now()).await
}
