//! The site that the people visit: a namespace of the server, its catalogue, its lists and its events.

use std::time::Duration;

use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::Channel;

use engine::evaluation::simulation::Item;

use crate::cli::Failure;
use crate::cli::channel::told;
use crate::cli::messages::message;
use crate::cli::retry::RetryLimit;
use crate::cli::retry::interruption;
use crate::cli::retry::retried;
use crate::cli::simulate::Args;
use crate::cli::training::train;
use crate::proto;
use crate::proto::admin_service_client::AdminServiceClient;
use crate::proto::catalog_service_client::CatalogServiceClient;
use crate::proto::model_service_client::ModelServiceClient;
use crate::proto::personalization_service_client::PersonalizationServiceClient;
use crate::service::Clock as _;
use crate::service::SystemClock;

/// Items or events of one message.
const PER_MESSAGE: usize = 500;
/// How long to bridge a server that is overloaded or away.
const RETRY: Duration = Duration::from_secs(60);

/// A list of the server's.
#[derive(Debug)]
pub struct List {
    pub decision_id: String,
    /// Numbers of items.
    pub items: Vec<usize>,
}

#[derive(Debug)]
pub struct Site {
    channel: Channel,
    namespace: String,
    /// The sequence that lists wait for.
    watermark: u64,
    retry_limit: RetryLimit,
}

impl Site {
    /// Makes the namespace.
    ///
    /// # Errors
    /// Settings that cannot be; a namespace that exists.
    pub async fn create(channel: Channel, args: &Args) -> Result<Self, Failure> {
        let settings: proto::NamespaceSettings = message("NamespaceSettings", &args.settings)
            .map_err(|cause| format!("--settings: {cause}"))?;
        let name = || format!("simulation-{}", SystemClock.now().as_millis());
        let namespace = args.namespace.clone().unwrap_or_else(name);
        let request = proto::CreateNamespaceRequest {
            namespace: namespace.clone(),
            settings: Some(settings),
        };
        let mut admin = AdminServiceClient::new(channel.clone());
        admin.create_namespace(request).await.map_err(told)?;
        let retry_limit = RetryLimit::new(RETRY, interruption());
        Ok(Self { channel, namespace, watermark: 0, retry_limit })
    }

    /// # Errors
    /// What the server says.
    pub async fn delete(&self) -> Result<(), Failure> {
        let request = proto::DeleteNamespaceRequest { namespace: self.namespace.clone() };
        AdminServiceClient::new(self.channel.clone())
            .delete_namespace(request)
            .await
            .map_err(told)?;
        Ok(())
    }

    /// Puts items into the catalogue.
    ///
    /// # Errors
    /// What the server says.
    pub async fn publish(&mut self, items: Vec<proto::Item>) -> Result<(), Failure> {
        if items.is_empty() {
            return Ok(());
        }
        let namespace = &self.namespace;
        let request = |items: &[proto::Item]| proto::UpsertItemsRequest {
            namespace: namespace.clone(),
            items: items.to_vec(),
            ..Default::default()
        };
        let requests: Vec<_> = items.chunks(PER_MESSAGE).map(request).collect();
        let answer = retried(&self.retry_limit, || {
            let mut client = CatalogServiceClient::new(self.channel.clone());
            let requests = tokio_stream::iter(requests.clone());
            async move { client.upsert_items(requests).await }
        });
        let answer = answer.await?.into_inner();
        all_accepted(answer.rejected, answer.rejections)?;
        self.watermark = self.watermark.max(answer.last_sequence);
        Ok(())
    }

    /// The lists of some visits, asked for at the same time.
    ///
    /// # Errors
    /// What the server says.
    pub async fn lists(
        &self,
        requests: Vec<proto::PersonalizeRequest>,
    ) -> Result<Vec<List>, Failure> {
        let mut calls = JoinSet::new();
        let mut lists = Vec::new();
        for (at, request) in requests.into_iter().enumerate() {
            let request = proto::PersonalizeRequest {
                namespace: self.namespace.clone(),
                min_watermark: self.watermark,
                ..request
            };
            let client = PersonalizationServiceClient::new(self.channel.clone());
            let retry_limit = self.retry_limit.clone();
            calls.spawn(async move {
                let answer = retried(&retry_limit, || {
                    let (mut client, request) = (client.clone(), request.clone());
                    async move { client.personalize(request).await }
                });
                (at, answer.await)
            });
        }
        while let Some(call) = calls.join_next().await {
            let (at, answer) = call?;
            lists.push((at, list(answer?.into_inner())?));
        }
        lists.sort_unstable_by_key(|(at, _)| *at);
        Ok(lists.into_iter().map(|(_, list)| list).collect())
    }

    /// Records events; later lists know of them.
    ///
    /// # Errors
    /// What the server says.
    pub async fn record(&mut self, events: Vec<proto::Interaction>) -> Result<(), Failure> {
        if events.is_empty() {
            return Ok(());
        }
        let namespace = &self.namespace;
        let request = |events: &[proto::Interaction]| proto::RecordInteractionsRequest {
            namespace: namespace.clone(),
            interactions: events.to_vec(),
        };
        let requests: Vec<_> = events.chunks(PER_MESSAGE).map(request).collect();
        let answer = retried(&self.retry_limit, || {
            let mut client = PersonalizationServiceClient::new(self.channel.clone());
            let requests = tokio_stream::iter(requests.clone());
            async move { client.record_interactions(requests).await }
        });
        let answer = answer.await?.into_inner();
        all_accepted(answer.rejected, answer.rejections)?;
        self.watermark = self.watermark.max(answer.last_sequence);
        Ok(())
    }

    /// Trains, where there is enough to learn from; a model that is not better is not taken.
    ///
    /// # Errors
    /// What the server says.
    pub async fn train(&self) -> Result<(), Failure> {
        let mut models = ModelServiceClient::new(self.channel.clone());
        match train(&mut models, &self.namespace, |_| {}).await {
            Err(status) if status.code() != Code::FailedPrecondition => Err(told(status)),
            _ => Ok(()),
        }
    }
}

fn all_accepted(rejected: u64, rejections: Vec<proto::Rejection>) -> Result<(), Failure> {
    if rejected == 0 {
        return Ok(());
    }
    let first = rejections.into_iter().flat_map(|it| it.violations).next().unwrap_or_default();
    Err(format!("the server rejected {rejected}, first: {}: {}", first.field, first.reason).into())
}

fn list(answer: proto::PersonalizeResponse) -> Result<List, Failure> {
    let number = |shown: proto::Recommendation| {
        Item::number(&shown.item_id)
            .ok_or_else(|| Failure::from(format!("{} is no item of this world", shown.item_id)))
    };
    let items = answer.recommendations.into_iter().map(number).collect::<Result<_, _>>()?;
    Ok(List { decision_id: answer.decision_id, items })
}
