//! `PrivacyService`.

use std::pin::Pin;

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
use super::export;
use super::status;
use crate::proto;
use crate::proto::privacy_service_server::PrivacyService;
use crate::service::ExportPart;
use crate::service::Service;
use engine::View;

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
    type ExportUserStream =
        Pin<Box<dyn Stream<Item = Result<proto::ExportUserResponse, Status>> + Send>>;

    async fn export_user(
        &self,
        request: Request<proto::ExportUserRequest>,
    ) -> Result<Response<Self::ExportUserStream>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let user_id = convert::user_id(&message.user_id).map_err(status::invalid)?;
        let (service, required) = (&self.service, RequiredView::Newest);
        let Admitted { namespace, .. } =
            Admitted::new(service, time, &message.namespace, required).await?;
        let (name, now) = (namespace.name().clone(), service.clock.now());
        let write = move |view: &View, part: ExportPart<'_>, text: &mut String| {
            export::write(view, part, (&name, now), text);
        };
        let chunks = service.export_user(&namespace, &user_id, time.timeout(), write).await?;
        let message = |json_lines| proto::ExportUserResponse { json_lines };
        let messages =
            ReceiverStream::new(chunks).map(move |chunk| chunk.map(message).map_err(Status::from));
        Ok(Response::new(Box::pin(messages)))
    }
}
