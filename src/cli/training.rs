//! Training on a running server, and waiting for it.

use std::time::Duration;

use tonic::Code;
use tonic::Status;
use tonic::transport::Channel;

use crate::proto;
use crate::proto::model_service_client::ModelServiceClient;

/// Pause while another training is just beginning or ending.
const PAUSE: Duration = Duration::from_millis(100);

/// Trains on all that there is, and returns what came of it. One that runs already does not know the newest
/// events: it is waited for, and another one follows. `told` hears of the progress of each.
///
/// # Errors
/// What the server says.
pub async fn train(
    models: &mut ModelServiceClient<Channel>,
    namespace: &str,
    mut told: impl FnMut(&proto::Training),
) -> Result<proto::Training, Status> {
    loop {
        let request = proto::RetrainRequest { namespace: namespace.to_owned() };
        let begun = match models.retrain(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == Code::Aborted => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(status) => return Err(status),
        };
        let mut training = begun.training.unwrap_or_default();
        let request = proto::WatchTrainingRequest {
            namespace: namespace.to_owned(),
            training_id: training.training_id.clone(),
        };
        let mut take = |it| {
            told(&it);
            training = it;
        };
        match watch(models, request, &mut take).await {
            // The schedule of the server has begun another one, and only the newest is kept.
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(status),
            Ok(()) if begun.already_running => {}
            Ok(()) => return Ok(training),
        }
    }
}

async fn watch(
    models: &mut ModelServiceClient<Channel>,
    request: proto::WatchTrainingRequest,
    take: &mut impl FnMut(proto::Training),
) -> Result<(), Status> {
    let mut messages = models.watch_training(request).await?.into_inner();
    while let Some(message) = messages.message().await? {
        take(message.training.unwrap_or_default());
    }
    Ok(())
}
