//! `ModelService`.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::Stream;
use tokio_stream::StreamExt;
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
use crate::proto;
use crate::proto::model_service_server::ModelService;
use crate::service::Namespace;
use crate::service::RetrainProgress;
use crate::service::RetrainStage;
use crate::service::Service;
use engine::ENGINE_REVISION;
use engine::FEATURES;
use engine::View;

/// Share of a training's progress that is the search; it may end early.
const SEARCH_SHARE: f64 = 0.7;

/// Handlers of `ModelService`.
#[derive(Debug, Clone)]
pub struct ModelApi {
    service: Service,
}

impl ModelApi {
    pub fn new(service: Service) -> Self {
        Self { service }
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

    type RetrainStream = Pin<Box<dyn Stream<Item = Result<proto::RetrainResponse, Status>> + Send>>;

    async fn retrain(
        &self,
        request: Request<proto::RetrainRequest>,
    ) -> Result<Response<Self::RetrainStream>, Status> {
        let Admitted { namespace, .. } = self.admit(request, |message| &message.namespace).await?.0;
        let progress = self.service.retrain(&namespace).await?;
        let messages = ReceiverStream::new(progress).map(move |report| match report {
            Ok(report) => Ok(progress_message(&namespace, &report)),
            Err(error) => Err(Status::from(error)),
        });
        Ok(Response::new(Box::pin(messages)))
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

fn progress_message(
    namespace: &Arc<Namespace>,
    report: &RetrainProgress,
) -> proto::RetrainResponse {
    let stage = match report.stage {
        RetrainStage::Loading => proto::RetrainStage::Loading,
        RetrainStage::Training => proto::RetrainStage::Training,
        RetrainStage::Fitting => proto::RetrainStage::Fitting,
        RetrainStage::Publishing => proto::RetrainStage::Publishing,
        RetrainStage::Done => proto::RetrainStage::Done,
    };
    let done = report.stage == RetrainStage::Done;
    let epochs = report.epoch as f64 / report.epochs.max(1) as f64;
    let progress = match report.stage {
        RetrainStage::Loading => 0.0,
        RetrainStage::Training => {
            let before = report.trial.saturating_sub(1) as f64;
            SEARCH_SHARE * (before + epochs) / report.trials.max(1) as f64
        }
        RetrainStage::Fitting => SEARCH_SHARE + (0.95 - SEARCH_SHARE) * epochs,
        RetrainStage::Publishing => 0.95,
        RetrainStage::Done => 1.0,
    };
    proto::RetrainResponse {
        stage: stage.into(),
        epoch: report.epoch as u32,
        epochs: report.epochs as u32,
        loss: report.loss,
        trial: report.trial as u32,
        trials: report.trials as u32,
        validation_ndcg_at_20: report.validation_ndcg,
        progress,
        model_version: report.model_version,
        metrics: if done { training_figures(&namespace.view()) } else { BTreeMap::new() },
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}
