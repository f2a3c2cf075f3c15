//! Clients of all services over one connection, and the calls most tests make.

use std::net::SocketAddr;

use personalization::proto::GetModelStatusRequest;
use personalization::proto::GetModelStatusResponse;
use personalization::proto::GetProfileRequest;
use personalization::proto::GetProfileResponse;
use personalization::proto::Interaction;
use personalization::proto::Item;
use personalization::proto::MergeUsersRequest;
use personalization::proto::MergeUsersResponse;
use personalization::proto::PersonalizeRequest;
use personalization::proto::PersonalizeResponse;
use personalization::proto::RecordInteractionsRequest;
use personalization::proto::RecordInteractionsResponse;
use personalization::proto::RetrainRequest;
use personalization::proto::Training;
use personalization::proto::UpdateUserRequest;
use personalization::proto::UpdateUserResponse;
use personalization::proto::UpsertItemsRequest;
use personalization::proto::UpsertItemsResponse;
use personalization::proto::WatchTrainingRequest;
use personalization::proto::admin_service_client::AdminServiceClient;
use personalization::proto::bandit_service_client::BanditServiceClient;
use personalization::proto::catalog_service_client::CatalogServiceClient;
use personalization::proto::experiment_service_client::ExperimentServiceClient;
use personalization::proto::model_service_client::ModelServiceClient;
use personalization::proto::personalization_service_client::PersonalizationServiceClient;
use personalization::proto::takeover_service_client::TakeoverServiceClient;
use tonic::Status;
use tonic::transport::Channel;
use tonic::transport::Endpoint;

use super::wait::eventually;

/// Elements of one stream message; the contract allows 10,000.
const PER_MESSAGE: usize = 5_000;
/// A page of a thousand items passes the 4 MiB that tonic's clients accept.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Api {
    pub channel: Channel,
    pub personalization: PersonalizationServiceClient<Channel>,
    pub catalog: CatalogServiceClient<Channel>,
    pub model: ModelServiceClient<Channel>,
    pub admin: AdminServiceClient<Channel>,
    pub bandit: BanditServiceClient<Channel>,
    pub takeover: TakeoverServiceClient<Channel>,
    pub experiments: ExperimentServiceClient<Channel>,
    /// Named in the requests this type makes; empty is `default`.
    pub namespace: String,
}

impl Api {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).await.expect("the server accepts connections")
    }

    /// `None` when nobody listens there.
    pub async fn try_connect(address: SocketAddr) -> Option<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URL");
        let channel = endpoint.connect().await.ok()?;
        Some(Self {
            personalization: PersonalizationServiceClient::new(channel.clone()),
            catalog: CatalogServiceClient::new(channel.clone())
                .max_decoding_message_size(ANSWER_BYTES_MAX),
            model: ModelServiceClient::new(channel.clone()),
            admin: AdminServiceClient::new(channel.clone()),
            bandit: BanditServiceClient::new(channel.clone()),
            takeover: TakeoverServiceClient::new(channel.clone()),
            experiments: ExperimentServiceClient::new(channel.clone()),
            channel,
            namespace: String::new(),
        })
    }

    pub fn within(&self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self.clone() }
    }

    /// Begins a training.
    pub async fn try_retrain(&self) -> Result<Training, Status> {
        let request = RetrainRequest { namespace: self.namespace.clone() };
        let answer = self.model.clone().retrain(request).await?.into_inner();
        Ok(answer.training.expect("a training"))
    }

    /// What is told of a training until it has ended.
    pub async fn watch(&self, training_id: &str) -> Result<Vec<Training>, Status> {
        let request = WatchTrainingRequest {
            namespace: self.namespace.clone(),
            training_id: training_id.to_owned(),
        };
        let mut messages = self.model.clone().watch_training(request).await?.into_inner();
        let mut told = Vec::new();
        while let Some(message) = messages.message().await? {
            told.push(message.training.expect("a training"));
        }
        Ok(told)
    }

    /// Trains; returns what the training came to.
    pub async fn retrain(&self) -> Training {
        let begun = self.try_retrain().await.expect("a training begins");
        let told = self.watch(&begun.training_id).await.expect("the training is told of");
        told.last().expect("a last message").clone()
    }

    pub async fn record(&self, events: Vec<Interaction>) -> RecordInteractionsResponse {
        self.try_record(events).await.expect("interactions are recorded")
    }

    /// Records interactions in one stream of as few messages as are needed.
    pub async fn try_record(
        &self,
        events: Vec<Interaction>,
    ) -> Result<RecordInteractionsResponse, Status> {
        let namespace = self.namespace.clone();
        let mut messages: Vec<RecordInteractionsRequest> = Vec::new();
        for event in events {
            match messages.last_mut() {
                Some(message) if message.interactions.len() < PER_MESSAGE => {
                    message.interactions.push(event);
                }
                _ => messages.push(RecordInteractionsRequest {
                    namespace: namespace.clone(),
                    interactions: vec![event],
                }),
            }
        }
        let mut client = self.personalization.clone();
        Ok(client.record_interactions(tokio_stream::iter(messages)).await?.into_inner())
    }

    pub async fn upsert(&self, items: Vec<Item>) -> UpsertItemsResponse {
        let namespace = self.namespace.clone();
        let messages: Vec<UpsertItemsRequest> = items
            .chunks(PER_MESSAGE)
            .map(|items| UpsertItemsRequest {
                namespace: namespace.clone(),
                items: items.to_vec(),
                ..Default::default()
            })
            .collect();
        let upserted = self.catalog.clone().upsert_items(tokio_stream::iter(messages)).await;
        upserted.expect("items are upserted").into_inner()
    }

    pub async fn personalize(&self, request: PersonalizeRequest) -> PersonalizeResponse {
        self.try_personalize(request).await.expect("a ranking")
    }

    pub async fn try_personalize(
        &self,
        request: PersonalizeRequest,
    ) -> Result<PersonalizeResponse, Status> {
        let request = PersonalizeRequest { namespace: self.namespace.clone(), ..request };
        Ok(self.personalization.clone().personalize(request).await?.into_inner())
    }

    pub async fn profile(&self, user_id: &str, min_watermark: u64) -> GetProfileResponse {
        let (namespace, user_id) = (self.namespace.clone(), user_id.to_owned());
        let request = GetProfileRequest { namespace, user_id, min_watermark };
        self.personalization.clone().get_profile(request).await.expect("a profile").into_inner()
    }

    pub async fn update_user(&self, request: UpdateUserRequest) -> UpdateUserResponse {
        self.try_update_user(request).await.expect("the user is changed")
    }

    pub async fn try_update_user(
        &self,
        request: UpdateUserRequest,
    ) -> Result<UpdateUserResponse, Status> {
        let request = UpdateUserRequest { namespace: self.namespace.clone(), ..request };
        Ok(self.personalization.clone().update_user(request).await?.into_inner())
    }

    pub async fn try_merge(&self, from: &str, into: &str) -> Result<MergeUsersResponse, Status> {
        let request = MergeUsersRequest {
            namespace: self.namespace.clone(),
            from_user_id: from.to_owned(),
            into_user_id: into.to_owned(),
        };
        Ok(self.personalization.clone().merge_users(request).await?.into_inner())
    }

    pub async fn merge(&self, from: &str, into: &str) -> MergeUsersResponse {
        self.try_merge(from, into).await.expect("users are merged")
    }

    pub async fn status(&self) -> GetModelStatusResponse {
        let request = GetModelStatusRequest { namespace: self.namespace.clone() };
        self.model.clone().get_model_status(request).await.expect("a status").into_inner()
    }

    /// The status once everything durable is learnt and nothing more is written:
    /// decisions reach the log a moment after their answer.
    pub async fn settled_status(&self) -> GetModelStatusResponse {
        let mut before = self.status().await;
        eventually("a model without lag", async || {
            tokio::time::sleep(std::time::Duration::from_millis(60)).await;
            let now = self.status().await;
            let settled = now.lag == 0 && now == before;
            before = now;
            settled.then(|| before.clone())
        })
        .await
    }
}
