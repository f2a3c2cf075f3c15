//! A server that keeps what it is sent, recognises duplicates by event id, and fails on demand.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::proto::BatchRecordInteractionsRequest;
use crate::proto::BatchRecordInteractionsResponse;
use crate::proto::BatchUpsertItemsRequest;
use crate::proto::BatchUpsertItemsResponse;
use crate::proto::DeleteItemsRequest;
use crate::proto::DeleteItemsResponse;
use crate::proto::ExplainAbsenceRequest;
use crate::proto::ExplainAbsenceResponse;
use crate::proto::FieldViolation;
use crate::proto::GetItemRequest;
use crate::proto::GetItemResponse;
use crate::proto::GetProfileRequest;
use crate::proto::GetProfileResponse;
use crate::proto::Interaction;
use crate::proto::Item;
use crate::proto::ListItemsRequest;
use crate::proto::ListItemsResponse;
use crate::proto::MergeUsersRequest;
use crate::proto::MergeUsersResponse;
use crate::proto::OnboardingItemsRequest;
use crate::proto::OnboardingItemsResponse;
use crate::proto::PersonalizeRequest;
use crate::proto::PersonalizeResponse;
use crate::proto::Recommendation;
use crate::proto::RecordInteractionsRequest;
use crate::proto::RecordInteractionsResponse;
use crate::proto::Rejection;
use crate::proto::SimilarItemsRequest;
use crate::proto::SimilarItemsResponse;
use crate::proto::StreamInteractionsRequest;
use crate::proto::StreamInteractionsResponse;
use crate::proto::UpdateUserRequest;
use crate::proto::UpdateUserResponse;
use crate::proto::UpsertItemsRequest;
use crate::proto::UpsertItemsResponse;
use crate::proto::catalog_service_server::CatalogService;
use crate::proto::catalog_service_server::CatalogServiceServer;
use crate::proto::personalization_service_server::PersonalizationService;
use crate::proto::personalization_service_server::PersonalizationServiceServer;

/// What goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// A stream ends with UNAVAILABLE after this many requests.
    pub cut_every: Option<u64>,
    /// How often.
    pub cuts: u64,
    /// A cut loses the acknowledgements of the last three requests before it.
    pub drop_acks: bool,
    /// Interactions of this user are rejected.
    pub reject_user: Option<String>,
    /// Every call is NOT_FOUND.
    pub refuse: bool,
}

/// What was sent.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    pub events: BTreeSet<String>,
    pub duplicates: u64,
    /// Seconds, of new interactions, as they came.
    pub times: Vec<i64>,
    pub items: BTreeSet<String>,
    pub item_calls: u64,
    pub users: BTreeSet<String>,
    pub openings: u64,
}

#[derive(Clone, Debug, Default)]
struct Service {
    faults: Arc<Mutex<Faults>>,
    kept: Arc<Mutex<Kept>>,
}

/// A running server; it ends with the runtime.
#[derive(Debug)]
pub struct FakeServer {
    service: Service,
    pub url: String,
}

impl FakeServer {
    /// Listens on any port.
    pub async fn start(faults: Faults) -> Self {
        Self::start_at("127.0.0.1:0", faults).await
    }

    /// Listens on an address.
    pub async fn start_at(address: &str, faults: Faults) -> Self {
        let service = Service { faults: Arc::new(Mutex::new(faults)), kept: Arc::default() };
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        tokio::spawn(
            Server::builder()
                .add_service(PersonalizationServiceServer::new(service.clone()))
                .add_service(CatalogServiceServer::new(service.clone()))
                .serve_with_incoming(incoming),
        );
        Self { service, url }
    }

    pub fn kept(&self) -> Kept {
        lock(&self.service.kept).clone()
    }

    pub fn set(&self, faults: Faults) {
        *lock(&self.service.faults) = faults;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl Service {
    fn check(&self) -> Result<(), Status> {
        if lock(&self.faults).refuse { Err(Status::not_found("no such namespace")) } else { Ok(()) }
    }

    /// Keeps the interactions of a request; the first of them has the index `first`.
    fn record(&self, interactions: Vec<Interaction>, first: u64) -> StreamInteractionsResponse {
        let reject = lock(&self.faults).reject_user.clone();
        let mut kept = lock(&self.kept);
        let mut ack = StreamInteractionsResponse::default();
        for (interaction, index) in interactions.into_iter().zip(first..) {
            if reject.as_ref() == Some(&interaction.user_id) {
                ack.rejected += 1;
                ack.rejections.push(Rejection {
                    index,
                    id: interaction.event_id,
                    violations: vec![FieldViolation {
                        field: "user_id".to_owned(),
                        reason: "is not accepted".to_owned(),
                    }],
                });
            } else if kept.events.insert(interaction.event_id) {
                ack.accepted += 1;
                kept.times.extend(interaction.occurred_at.map(|at| at.seconds));
            } else {
                ack.duplicates += 1;
                kept.duplicates += 1;
            }
        }
        ack
    }

    /// Answers one stream.
    async fn answer(
        self,
        mut requests: Streaming<StreamInteractionsRequest>,
        acks: mpsc::Sender<Result<StreamInteractionsResponse, Status>>,
    ) {
        let (mut count, mut index, mut last) = (0, 0, 0);
        while let Ok(Some(request)) = requests.message().await {
            assert!(request.client_sequence > last, "client sequences grow");
            last = request.client_sequence;
            count += 1;
            let rows = request.interactions.len() as u64;
            let mut ack = self.record(request.interactions, index);
            index += rows;
            ack.client_sequence = request.client_sequence;
            let (is_cut, is_lost) = self.fault(count);
            if !is_lost && acks.send(Ok(ack)).await.is_err() {
                return;
            }
            if is_cut {
                let _ = acks.send(Err(Status::unavailable("cut"))).await;
                return;
            }
        }
    }

    /// Whether to cut after request `count` of a stream, and whether to keep its acknowledgement.
    fn fault(&self, count: u64) -> (bool, bool) {
        let mut faults = lock(&self.faults);
        let Some(every) = faults.cut_every.filter(|_| faults.cuts > 0) else {
            return (false, false);
        };
        let is_cut = count == every;
        faults.cuts -= u64::from(is_cut);
        (is_cut, faults.drop_acks && count + 3 > every)
    }
}

#[tonic::async_trait]
impl PersonalizationService for Service {
    type StreamInteractionsStream = ReceiverStream<Result<StreamInteractionsResponse, Status>>;

    async fn personalize(
        &self,
        request: Request<PersonalizeRequest>,
    ) -> Result<Response<PersonalizeResponse>, Status> {
        let recommendations = request.into_inner().candidate_ids.into_iter().take(20);
        let recommendations = recommendations
            .map(|item_id| Recommendation { item_id, score: 1.0, ..Recommendation::default() })
            .collect();
        Ok(Response::new(PersonalizeResponse { recommendations, ..PersonalizeResponse::default() }))
    }

    async fn record_interactions(
        &self,
        _request: Request<Streaming<RecordInteractionsRequest>>,
    ) -> Result<Response<RecordInteractionsResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn batch_record_interactions(
        &self,
        _request: Request<BatchRecordInteractionsRequest>,
    ) -> Result<Response<BatchRecordInteractionsResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn stream_interactions(
        &self,
        request: Request<Streaming<StreamInteractionsRequest>>,
    ) -> Result<Response<Self::StreamInteractionsStream>, Status> {
        self.check()?;
        lock(&self.kept).openings += 1;
        let (sender, acks) = mpsc::channel(4);
        tokio::spawn(self.clone().answer(request.into_inner(), sender));
        Ok(Response::new(ReceiverStream::new(acks)))
    }

    async fn get_profile(
        &self,
        _request: Request<GetProfileRequest>,
    ) -> Result<Response<GetProfileResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn similar_items(
        &self,
        _request: Request<SimilarItemsRequest>,
    ) -> Result<Response<SimilarItemsResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn explain_absence(
        &self,
        _request: Request<ExplainAbsenceRequest>,
    ) -> Result<Response<ExplainAbsenceResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn merge_users(
        &self,
        _request: Request<MergeUsersRequest>,
    ) -> Result<Response<MergeUsersResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn onboarding_items(
        &self,
        _request: Request<OnboardingItemsRequest>,
    ) -> Result<Response<OnboardingItemsResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn update_user(
        &self,
        request: Request<UpdateUserRequest>,
    ) -> Result<Response<UpdateUserResponse>, Status> {
        self.check()?;
        let user = request.into_inner().user.unwrap_or_default();
        lock(&self.kept).users.insert(user.user_id);
        Ok(Response::new(UpdateUserResponse { user: None, sequence: 1 }))
    }
}

#[tonic::async_trait]
impl CatalogService for Service {
    async fn upsert_items(
        &self,
        request: Request<Streaming<UpsertItemsRequest>>,
    ) -> Result<Response<UpsertItemsResponse>, Status> {
        self.check()?;
        let mut requests = request.into_inner();
        let mut answer = UpsertItemsResponse::default();
        while let Some(request) = requests.message().await? {
            answer.accepted += request.items.len() as u64;
            lock(&self.kept).items.extend(request.items.into_iter().map(|item| item.item_id));
        }
        answer.received = answer.accepted;
        lock(&self.kept).item_calls += 1;
        Ok(Response::new(answer))
    }

    async fn batch_upsert_items(
        &self,
        _request: Request<BatchUpsertItemsRequest>,
    ) -> Result<Response<BatchUpsertItemsResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn get_item(
        &self,
        _request: Request<GetItemRequest>,
    ) -> Result<Response<GetItemResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn list_items(
        &self,
        request: Request<ListItemsRequest>,
    ) -> Result<Response<ListItemsResponse>, Status> {
        let request = request.into_inner();
        let kept = lock(&self.kept);
        let ids: Vec<&String> = kept.items.iter().collect();
        let start: usize = request.page_token.parse().unwrap_or(0);
        let end = ids.len().min(start + request.page_size as usize);
        let items = ids[start..end]
            .iter()
            .map(|id| Item { item_id: (*id).clone(), ..Item::default() })
            .collect();
        let next_page_token = if end < ids.len() { end.to_string() } else { String::new() };
        Ok(Response::new(ListItemsResponse {
            items,
            next_page_token,
            total_size: ids.len() as u64,
        }))
    }

    async fn delete_items(
        &self,
        _request: Request<DeleteItemsRequest>,
    ) -> Result<Response<DeleteItemsResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}
