//! `ModelService`.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::admission::Admitted;
use super::admission::RequiredView;
use super::convert;
use super::deadline::CallTime;
use super::evaluation;
use super::status;
use super::store_calls::StoreCalls;
use super::trainings;
use crate::proto;
use crate::proto::model_service_server::ModelService;
use crate::service::Error;
use crate::service::Service;
use crate::service::Training;
use engine::ENGINE_REVISION;
use engine::FEATURES;
use engine::View;
use engine::domain::Violation;

/// Calls of WatchTraining at a time: each asks the store twice a second.
const WATCHERS: usize = 64;

/// Handlers of `ModelService`.
#[derive(Debug, Clone)]
pub struct ModelApi {
    service: Service,
    store_calls: StoreCalls,
    watchers: Arc<Semaphore>,
}

impl ModelApi {
    pub fn new(service: Service) -> Self {
        let (store_calls, watchers) = (StoreCalls::default(), Semaphore::new(WATCHERS));
        Self { service, store_calls, watchers: Arc::new(watchers) }
    }

    /// The training of this id; the newest one, for an empty id.
    async fn training(
        &self,
        time: CallTime,
        admitted: &Admitted,
        training_id: String,
    ) -> Result<Training, Error> {
        let (service, namespace) = (self.service.clone(), admitted.namespace.clone());
        let look = async move {
            let id = Some(training_id.as_str()).filter(|id| !id.is_empty());
            service.training(&namespace, id).await
        };
        self.store_calls.run(time, look).await
    }

    /// Lets a call in to the newest view; returns its message, too.
    async fn admit<T>(
        &self,
        request: Request<T>,
        namespace: impl FnOnce(&T) -> &String,
    ) -> Result<(Admitted, T), Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let (service, required) = (&self.service, RequiredView::Newest);
        let admitted = Admitted::new(service, time, namespace(&message), required).await?;
        Ok((admitted, message))
    }
}

#[tonic::async_trait]
impl ModelService for ModelApi {
    async fn get_model_status(
        &self,
        request: Request<proto::GetModelStatusRequest>,
    ) -> Result<Response<proto::GetModelStatusResponse>, Status> {
        let admitted = self.admit(request, |message| &message.namespace).await?.0;
        let log_end = admitted.namespace.tail.end();
        let digest = admitted.read(&self.service, |view, _| view.digest()).await?;
        let Admitted { namespace, view, .. } = admitted;
        let counts = view.counts();
        Ok(Response::new(proto::GetModelStatusResponse {
            namespace: namespace.name().to_string(),
            model_version: view.model_version(),
            watermark: view.watermark(),
            log_end: log_end.max(view.watermark()),
            lag: log_end.saturating_sub(view.watermark()),
            state_digest: hex(&digest),
            engine_revision: ENGINE_REVISION,
            users: view.users_len() as u64,
            items: counts.catalogue,
            interactions: counts.interactions,
            decisions: counts.decisions,
            trained_at_watermark: view.model().map_or(0, |model| model.trained_at),
            trained_at: view.model().map(|model| convert::timestamp_message(model.published_at)),
            training: namespace.is_training(),
        }))
    }

    async fn retrain(
        &self,
        request: Request<proto::RetrainRequest>,
    ) -> Result<Response<proto::RetrainResponse>, Status> {
        let Admitted { namespace, deadline, .. } =
            self.admit(request, |message| &message.namespace).await?.0;
        let (training, begun) = deadline.bound(self.service.retrain(&namespace)).await??;
        let training = Some(trainings::message(&training));
        Ok(Response::new(proto::RetrainResponse { training, already_running: !begun }))
    }

    async fn get_training(
        &self,
        request: Request<proto::GetTrainingRequest>,
    ) -> Result<Response<proto::GetTrainingResponse>, Status> {
        let time = CallTime::of_request(&request);
        let (admitted, message) = self.admit(request, |message| &message.namespace).await?;
        let training = self.training(time, &admitted, message.training_id).await?;
        let training = Some(trainings::message(&training));
        Ok(Response::new(proto::GetTrainingResponse { training }))
    }

    type WatchTrainingStream = ReceiverStream<Result<proto::WatchTrainingResponse, Status>>;

    async fn watch_training(
        &self,
        request: Request<proto::WatchTrainingRequest>,
    ) -> Result<Response<Self::WatchTrainingStream>, Status> {
        let time = CallTime::of_request(&request);
        let permit = self.watchers.clone().try_acquire_owned();
        let permit = permit.map_err(|_full| Error::Overloaded("too many trainings are watched"))?;
        let (admitted, message) = self.admit(request, |message| &message.namespace).await?;
        let training = self.training(time, &admitted, message.training_id).await?;
        let (service, namespace) = (self.service.clone(), admitted.namespace);
        let messages = trainings::watch(service, namespace, training, permit);
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    async fn cancel_training(
        &self,
        request: Request<proto::CancelTrainingRequest>,
    ) -> Result<Response<proto::CancelTrainingResponse>, Status> {
        let time = CallTime::of_request(&request);
        let (admitted, message) = self.admit(request, |message| &message.namespace).await?;
        let id = message.training_id;
        if id.is_empty() {
            let missing = Violation::new("training_id", "must not be empty");
            return Err(status::invalid(vec![missing]));
        }
        let (service, namespace) = (self.service.clone(), admitted.namespace);
        let cancel = async move { service.cancel_training(&namespace, &id).await };
        let training = Some(trainings::message(&self.store_calls.run(time, cancel).await?));
        Ok(Response::new(proto::CancelTrainingResponse { training }))
    }

    async fn get_model_metrics(
        &self,
        request: Request<proto::GetModelMetricsRequest>,
    ) -> Result<Response<proto::GetModelMetricsResponse>, Status> {
        let admitted = self.admit(request, |message| &message.namespace).await?.0;
        let answer = admitted.read(&self.service, |view, _| metrics_message(view)).await?;
        Ok(Response::new(answer))
    }

    async fn get_evaluation_metrics(
        &self,
        request: Request<proto::GetEvaluationMetricsRequest>,
    ) -> Result<Response<proto::GetEvaluationMetricsResponse>, Status> {
        let (admitted, message) = self.admit(request, |message| &message.namespace).await?;
        let Admitted { namespace, view, .. } = admitted;
        let call = convert::evaluation(message, view.settings(), self.service.clock.now());
        let call = call.map_err(status::invalid)?;
        let evaluation = self.service.evaluate_policies(&namespace, call).await?;
        Ok(Response::new(evaluation::message(&namespace, &evaluation)))
    }
}

fn metrics_message(view: &View) -> proto::GetModelMetricsResponse {
    let figures = view.prequential().figures();
    proto::GetModelMetricsResponse {
        prequential: (figures.tests > 0).then_some(proto::PrequentialMetrics {
            window: figures.tests,
            hit_rate_at_10: figures.hit_rate_at_10,
            mean_reciprocal_rank: figures.mean_reciprocal_rank,
            popularity_hit_rate_at_10: figures.popularity_hit_rate_at_10,
        }),
        training: training_figures(view),
        feature_weights: feature_weights(view),
        impressions: view.ranker().shared().impressions,
        rewards: view.ranker().shared().rewards,
        segments: segments(view),
        examination: examination(view),
        exploration: Some(exploration(view)),
    }
}

fn exploration(view: &View) -> proto::ExplorationAccount {
    let account = view.ranker().account;
    let allowance = view.settings().ranker.exploration_allowance.map(f64::from);
    proto::ExplorationAccount {
        earned: account.earned(),
        cost: account.cost(),
        allowance,
        left: allowance.map(|share| account.left(share)),
    }
}

fn segments(view: &View) -> Vec<proto::SegmentEvidence> {
    let evidence = |(segment, device, known): (u8, Option<&str>, bool)| {
        let own = view.ranker().segment(segment)?;
        (own.mass() > 0.0).then(|| proto::SegmentEvidence {
            device_type: device.unwrap_or_default().to_owned(),
            known,
            impressions: own.impressions,
            rewards: own.rewards,
            evidence: own.mass(),
        })
    };
    view.segments().filter_map(evidence).collect()
}

fn examination(view: &View) -> Vec<f64> {
    const POSITIONS: usize = 20;
    let decay = view.settings().ranker.examination_decay.map(f64::from);
    decay.map_or_else(Vec::new, |decay| view.ranker().examination.curve(POSITIONS, decay))
}

fn training_figures(view: &View) -> BTreeMap<String, f64> {
    view.model().map(|model| model.figures.clone()).unwrap_or_default()
}

/// The ranker's weights; those of the hybrid are there, too, with a prefix.
fn feature_weights(view: &View) -> Vec<proto::FeatureWeight> {
    let posterior = view.belief();
    let names = ["base", "hybrid"].into_iter().chain(FEATURES.iter().map(|feature| feature.name));
    let prior = &view.ranker().prior().mean;
    let ranker =
        names.zip(prior).enumerate().map(|(position, (name, prior_mean))| proto::FeatureWeight {
            name: name.to_owned(),
            prior_mean: *prior_mean,
            posterior_mean: posterior.mean[position],
            posterior_standard_deviation: posterior.standard_deviation[position],
        });
    let hybrid = view.hybrid();
    let hybrid = FEATURES.iter().enumerate().map(|(position, feature)| proto::FeatureWeight {
        name: format!("hybrid/{}", feature.name),
        prior_mean: feature.prior_weight,
        posterior_mean: hybrid.weights()[position],
        posterior_standard_deviation: hybrid.standard_deviations()[position],
    });
    ranker.chain(hybrid).collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}
