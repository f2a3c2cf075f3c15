//! `PrivacyService`.

use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::admission::Admitted;
use super::admission::RequiredView;
use super::convert;
use super::deadline::CallTime;
use super::status;
use crate::proto;
use crate::proto::ErasureStage;
use crate::proto::privacy_service_server::PrivacyService;
use crate::service;
use crate::service::Service;
use engine::domain::Timestamp;

/// Handlers of `PrivacyService`.
#[derive(Debug, Clone)]
pub struct PrivacyApi {
    service: Service,
}

impl PrivacyApi {
    pub fn new(service: Service) -> Self {
        Self { service }
    }
}

#[tonic::async_trait]
impl PrivacyService for PrivacyApi {
    async fn erase_user(
        &self,
        request: Request<proto::EraseUserRequest>,
    ) -> Result<Response<proto::EraseUserResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let user_id = convert::user_id(&message.user_id).map_err(status::invalid)?;
        let (service, required) = (&self.service, RequiredView::Newest);
        let admitted = Admitted::new(service, time, &message.namespace, required).await?;
        let namespace = admitted.namespace;
        let erasure = service.erase_user(&namespace, &user_id, time.timeout()).await?;
        // Not the id of the user: logs outlive an erasure.
        tracing::info!(
            namespace = %namespace.name(), erasure = erasure.erasure_id, "a user is erased"
        );
        let erasure = Some(erasure_message(erasure));
        Ok(Response::new(proto::EraseUserResponse { erasure }))
    }

    async fn get_erasure(
        &self,
        request: Request<proto::GetErasureRequest>,
    ) -> Result<Response<proto::GetErasureResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let (service, required) = (&self.service, RequiredView::Newest);
        let admitted = Admitted::new(service, time, &message.namespace, required).await?;
        let erasure = service.erasure(&admitted.namespace, &message.erasure_id).await?;
        let erasure = Some(erasure_message(erasure));
        Ok(Response::new(proto::GetErasureResponse { erasure }))
    }

    async fn readmit_user(
        &self,
        request: Request<proto::ReadmitUserRequest>,
    ) -> Result<Response<proto::ReadmitUserResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let user_id = convert::user_id(&message.user_id).map_err(status::invalid)?;
        let (service, required) = (&self.service, RequiredView::Newest);
        let admitted = Admitted::new(service, time, &message.namespace, required).await?;
        let was_suppressed = service.readmit_user(&admitted.namespace, &user_id).await?;
        Ok(Response::new(proto::ReadmitUserResponse { was_suppressed }))
    }
}

fn erasure_message(service::Erasure { erasure_id, report }: service::Erasure) -> proto::Erasure {
    let at = |millis: i64| {
        (millis > 0).then(|| convert::timestamp_message(Timestamp::from_millis(millis)))
    };
    let stage = match &report {
        report if report.finished_at_ms > 0 => ErasureStage::Finished,
        report if report.state.is_some() => ErasureStage::OutOfState,
        report if report.replaced_at_ms > 0 => ErasureStage::OutOfLog,
        _ => ErasureStage::OutOfServing,
    };
    let state = report.state.unwrap_or_default();
    proto::Erasure {
        erasure_id,
        stage: stage.into(),
        requested_at: at(report.requested_at_ms),
        sequence: report.sequence,
        out_of_log_at: at(report.replaced_at_ms),
        replaced_records: report.replaced,
        watermark: state.watermark,
        state_digest: state.digest,
        log_revision: state.log_revision,
        finished_at: at(report.finished_at_ms),
        model_version: report.model_version,
    }
}
