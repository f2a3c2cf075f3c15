//! The stream of an experiment's results.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use tonic::Status;

use crate::api::convert;
use crate::proto;
use crate::service::Error;
use crate::service::ExperimentError;
use crate::service::Namespace;
use crate::service::Service;
use engine::domain::Key;

pub type Watched = Result<proto::WatchExperimentResultsResponse, Status>;

/// What is watched.
#[derive(Debug)]
pub struct Watch {
    pub key: Key,
    pub series: bool,
    pub interval: Duration,
}

/// Sends results whenever they have changed, until the caller leaves, the experiment is gone or the
/// service drains. Holds the permit meanwhile.
pub async fn send(
    service: Service,
    namespace: Arc<Namespace>,
    watch: Watch,
    messages: mpsc::Sender<Watched>,
    permit: OwnedSemaphorePermit,
) {
    let last = tokio::select! {
        last = send_changes(&service, namespace, &watch, &messages) => last,
        () = messages.closed() => Ok(()),
        () = service.draining.cancelled() => Err(Error::ShuttingDown),
    };
    drop(permit);
    if let Err(error) = last {
        let _gone = messages.send(Err(error.into())).await;
    }
}

async fn send_changes(
    service: &Service,
    mut namespace: Arc<Namespace>,
    watch: &Watch,
    messages: &mpsc::Sender<Watched>,
) -> Result<(), Error> {
    let mut sent: Option<proto::ExperimentResults> = None;
    loop {
        let view = namespace.view();
        let entry = view.experiments().find(watch.key.as_str()).cloned();
        let entry = entry.ok_or_else(|| ExperimentError::Unknown(watch.key.to_string()))?;
        let series = watch.series;
        let work = move || convert::results_message(&view, &entry, series);
        let done = tokio::task::spawn_blocking(work).await;
        let results = done.map_err(|_panicked| Error::internal("results cannot be computed"))?;
        let is_same = sent.as_ref().is_some_and(|sent| {
            let watermark = results.watermark;
            *sent == results || proto::ExperimentResults { watermark, ..sent.clone() } == results
        });
        if !is_same {
            let message = proto::WatchExperimentResultsResponse { results: Some(results.clone()) };
            if messages.send(Ok(message)).await.is_err() {
                return Ok(());
            }
            sent = Some(results);
        }
        tokio::time::sleep(watch.interval).await;
        // A namespace that was put to sleep has another handle when it is open again.
        let name = namespace.name().clone();
        namespace = service.namespaces.get(&name).await?;
    }
}
