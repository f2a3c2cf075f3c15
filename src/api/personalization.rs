//! `PersonalizationService`.

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use uuid::Uuid;

use super::admission;
use super::admission::Admitted;
use super::admission::RequiredView;
use super::admission::namespace;
use super::answers;
use super::assigning;
use super::convert;
use super::deadline::CallTime;
use super::explanations;
use super::intake::Counts;
use super::intake::Intake;
use super::producer::Producer;
use super::producer::check_same_namespace;
use super::profile_cache;
use super::status;
use crate::proto;
use crate::proto::personalization_service_server::PersonalizationService;
use crate::service;
use crate::service::Namespace;
use crate::service::PersonalizeCall;
use crate::service::Service;
use engine::domain::DecisionId;
use engine::domain::EventId;
use engine::domain::Record;
use engine::domain::Violation;
use engine::domain::limits;

mod stream;

/// Handlers of `PersonalizationService`.
#[derive(Debug, Clone)]
pub struct PersonalizationApi {
    service: Service,
}

/// A time-ordered id for an event or a decision that came without one.
pub(super) fn new_id(now: engine::domain::Timestamp) -> String {
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    let seconds = millis / 1_000;
    let nanos = (millis % 1_000) as u32 * 1_000_000;
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)).to_string()
}

impl PersonalizationApi {
    pub fn new(service: Service) -> Self {
        Self { service }
    }

    /// Checks the interactions of one message; the good ones become records. Those
    /// without an event id get that of their position, or a new one.
    fn check(
        &self,
        intake: &mut Intake,
        interactions: Vec<proto::Interaction>,
        id_of_position: impl Fn(usize) -> Option<EventId>,
        records: &mut Vec<Record>,
    ) -> Result<(), Status> {
        if interactions.len() > limits::STREAM_MESSAGE_ITEMS {
            return Err(status::invalid(vec![Violation::new(
                "interactions",
                format!("must hold at most {} entries", limits::STREAM_MESSAGE_ITEMS),
            )]));
        }
        let now = self.service.clock.now();
        for (position, interaction) in interactions.into_iter().enumerate() {
            let event_id = interaction.event_id.clone();
            let checked = convert::interaction(interaction, now, || {
                let random = || EventId::parse(new_id(now)).expect("a UUID is an id");
                id_of_position(position).unwrap_or_else(random)
            });
            records.extend(intake.take(|| event_id, checked.map(Record::Interaction)));
        }
        intake.check_rejections()
    }

    /// Records the interactions of a finite stream, of which the first message is there.
    async fn record<S>(
        &self,
        first: proto::RecordInteractionsRequest,
        rest: S,
        draining: &CancellationToken,
    ) -> Result<proto::RecordInteractionsResponse, Status>
    where
        S: Stream<Item = Result<proto::RecordInteractionsRequest, Status>> + Unpin,
    {
        let namespace = namespace(&self.service, &first.namespace).await?;
        let mut intake = Intake::default();
        let mut producer = Producer::new(self.service.clone(), namespace.clone());
        let check = |message: proto::RecordInteractionsRequest, records: &mut Vec<Record>| {
            check_same_namespace(&namespace, &message.namespace)?;
            self.check(&mut intake, message.interactions, |_place| None, records)
        };
        let read = producer.take_in(first, rest, draining, check).await;
        let (counts, ended) = producer.finish(read, &intake).await;
        self.count(&counts);
        ended?;
        Ok(proto::RecordInteractionsResponse {
            received: counts.received,
            accepted: counts.accepted,
            duplicates: counts.duplicates,
            rejected: counts.rejected,
            rejections: intake.drain_rejections(),
            last_sequence: counts.last_sequence,
            unknown_decisions: counts.unknown_decisions,
            suppressed: counts.suppressed,
        })
    }

    fn count(&self, counts: &Counts) {
        let metrics = &self.service.metrics;
        metrics.count_interactions("accepted", counts.accepted);
        metrics.count_interactions("duplicate", counts.duplicates);
        metrics.count_interactions("rejected", counts.rejected);
        metrics.count_interactions("suppressed", counts.suppressed);
    }
}

#[tonic::async_trait]
impl PersonalizationService for PersonalizationApi {
    async fn personalize(
        &self,
        request: Request<proto::PersonalizeRequest>,
    ) -> Result<Response<proto::PersonalizeResponse>, Status> {
        let time = CallTime::of_request(&request);
        let mut message = request.into_inner();
        let required = RequiredView::Record(message.min_watermark);
        let admitted = Admitted::new(&self.service, time, &message.namespace, required).await?;
        let Admitted { namespace, view, deadline } = admitted;
        let continue_from = &message.continue_from;
        let view = self.service.view_to_continue(&namespace, view, continue_from, deadline).await?;
        let now = self.service.clock.now();
        let context = message.context.clone().filter(|_| !view.experiments().is_idle());
        let record = convert::request_record(&mut message, self.service.decision_detail);
        let decision_id = DecisionId::parse(new_id(now)).expect("a UUID is an id");
        let call = convert::personalize(message, view.request_settings(), now, decision_id);
        let call = PersonalizeCall { record, ..call.map_err(status::invalid)? };
        let mut call = namespace.continued(&view, call)?;
        let acting = assigning::assign(&view, &mut call, context.as_ref(), now);
        let assignments = acting.iter().map(convert::assignment_message).collect();
        let (decision_id, strategy) = (call.decision_id.to_string(), call.choice.strategy);
        let answer = self.service.personalize(&namespace, view, call, deadline).await?;
        let answer = answers::personalize(answer, decision_id, strategy);
        Ok(Response::new(proto::PersonalizeResponse { assignments, ..answer }))
    }

    async fn record_interactions(
        &self,
        request: Request<Streaming<proto::RecordInteractionsRequest>>,
    ) -> Result<Response<proto::RecordInteractionsResponse>, Status> {
        let mut stream = request.into_inner();
        let Some(first) = stream.message().await? else {
            return Ok(Response::new(Default::default()));
        };
        let recorded = self.record(first, stream, &self.service.draining).await?;
        Ok(Response::new(recorded))
    }

    async fn batch_record_interactions(
        &self,
        request: Request<proto::BatchRecordInteractionsRequest>,
    ) -> Result<Response<proto::BatchRecordInteractionsResponse>, Status> {
        let proto::BatchRecordInteractionsRequest { namespace, interactions } =
            request.into_inner();
        convert::batch("interactions", interactions.len()).map_err(status::invalid)?;
        let only = proto::RecordInteractionsRequest { namespace, interactions };
        // A running call is carried out to its end while the service drains.
        let draining = CancellationToken::new();
        let recorded = self.record(only, tokio_stream::empty(), &draining).await?;
        Ok(Response::new(proto::BatchRecordInteractionsResponse {
            received: recorded.received,
            accepted: recorded.accepted,
            duplicates: recorded.duplicates,
            rejected: recorded.rejected,
            rejections: recorded.rejections,
            last_sequence: recorded.last_sequence,
            unknown_decisions: recorded.unknown_decisions,
            suppressed: recorded.suppressed,
        }))
    }

    type StreamInteractionsStream =
        Pin<Box<dyn Stream<Item = Result<proto::StreamInteractionsResponse, Status>> + Send>>;

    async fn stream_interactions(
        &self,
        request: Request<Streaming<proto::StreamInteractionsRequest>>,
    ) -> Result<Response<Self::StreamInteractionsStream>, Status> {
        let acks = stream::serve(self.clone(), request.into_inner());
        Ok(Response::new(Box::pin(ReceiverStream::new(acks))))
    }

    async fn get_profile(
        &self,
        request: Request<proto::GetProfileRequest>,
    ) -> Result<Response<proto::GetProfileResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let user_id = convert::user_id(&message.user_id).map_err(status::invalid)?;
        let name = convert::namespace(&message.namespace).map_err(status::invalid)?;
        let (service, min_watermark) = (&self.service, message.min_watermark);
        let namespace = admission::open(service, time, &name).await?;
        if namespace.view().watermark() < min_watermark
            && let Some(kept) =
                profile_cache::recall(service, &namespace, &user_id, min_watermark).await
        {
            admission::count(service, &namespace).await?;
            return Ok(Response::new(kept));
        }
        let required = RequiredView::Record(min_watermark);
        let admitted = Admitted::of(service, time, namespace, required).await?;
        let (id, now) = (user_id.clone(), service.clock.now());
        let profile = admitted.read(service, move |view, _| service::profile(view, id.as_str()));
        let answer = proto::GetProfileResponse {
            profile: Some(answers::profile(profile.await??, now)),
            watermark: admitted.view.watermark(),
        };
        profile_cache::keep(service, &admitted.namespace, &user_id, &answer);
        Ok(Response::new(answer))
    }

    async fn similar_items(
        &self,
        request: Request<proto::SimilarItemsRequest>,
    ) -> Result<Response<proto::SimilarItemsResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let item_id = convert::item_id(&message.item_id).map_err(status::invalid)?;
        let (results, language) =
            convert::similar(message.max_results, &message.language).map_err(status::invalid)?;
        let (service, required) = (&self.service, RequiredView::Newest);
        let admitted = Admitted::new(service, time, &message.namespace, required).await?;
        let index = admitted.view.item_index(item_id.as_str());
        let index = index.ok_or_else(|| service::Error::NoItem(item_id.to_string()))?;
        let now = service.clock.now();
        let similar = admitted.read(service, move |view, _| {
            let similar = engine::similar_items(view, index, now, results).into_iter();
            similar.map(|item| answers::similar_item(view, item, language.as_ref())).collect()
        });
        Ok(Response::new(proto::SimilarItemsResponse { items: similar.await? }))
    }

    async fn explain_absence(
        &self,
        request: Request<proto::ExplainAbsenceRequest>,
    ) -> Result<Response<proto::ExplainAbsenceResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let (name, min_watermark) = match &message.request {
            Some(request) => (request.namespace.as_str(), request.min_watermark),
            None => ("", 0),
        };
        let admitted =
            Admitted::new(&self.service, time, name, RequiredView::Record(min_watermark)).await?;
        let Admitted { namespace, view, deadline } = admitted;
        let continue_from = message.request.as_ref().map_or("", |request| &request.continue_from);
        let view = self.service.view_to_continue(&namespace, view, continue_from, deadline).await?;
        let now = self.service.clock.now();
        let context = message.request.as_ref().and_then(|request| request.context.clone());
        let checked = convert::absence(message, view.request_settings(), now);
        let (call, item_id) = checked.map_err(status::invalid)?;
        let call = namespace.continued(&view, call);
        let mut call = call.map_err(|error| error.within("request"))?;
        assigning::assign(&view, &mut call, context.as_ref(), now);
        let absence =
            self.service.explain_absence(&namespace, view, call, item_id, deadline).await?;
        Ok(Response::new(explanations::absence(absence)))
    }

    async fn onboarding_items(
        &self,
        request: Request<proto::OnboardingItemsRequest>,
    ) -> Result<Response<proto::OnboardingItemsResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let required = RequiredView::Record(message.min_watermark);
        let admitted = Admitted::new(&self.service, time, &message.namespace, required).await?;
        let Admitted { view, deadline, .. } = admitted;
        let checked = convert::onboarding(message, view.request_settings());
        let (filter, positions, language) = checked.map_err(status::invalid)?;
        let now = self.service.clock.now();
        let items =
            self.service.onboarding_items(view.clone(), filter, now, positions, deadline).await?;
        Ok(Response::new(explanations::onboarding(&view, items, language.as_ref())))
    }

    async fn update_user(
        &self,
        request: Request<proto::UpdateUserRequest>,
    ) -> Result<Response<proto::UpdateUserResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let name = convert::namespace(&message.namespace).map_err(status::invalid)?;
        let update = convert::user_update(message).map_err(status::invalid)?;
        let (service, user_id) = (&self.service, update.user_id.clone());
        let namespace = admission::open(service, time, &name).await?;
        let admitted = Admitted::of(service, time, namespace, RequiredView::Newest).await?;
        let changed = service.update_user(&admitted.namespace, update, time.timeout());
        let (sequence, view) = changed.await?;
        let user = view.and_then(|view| {
            let user = view.user(view.user_index(user_id.as_str())?);
            let (attributes, rules) = (&user.attributes, &user.rules);
            Some(convert::user_message(user_id.as_str(), attributes, rules, service.clock.now()))
        });
        Ok(Response::new(proto::UpdateUserResponse { user, sequence }))
    }

    async fn merge_users(
        &self,
        request: Request<proto::MergeUsersRequest>,
    ) -> Result<Response<proto::MergeUsersResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let users = convert::merged_users(&message).map_err(status::invalid)?;
        let (service, required) = (&self.service, RequiredView::Newest);
        let admitted = Admitted::new(service, time, &message.namespace, required).await?;
        let Admitted { namespace, view, .. } = admitted;
        let merged = service.merge_users(&namespace, &view, users, time.timeout()).await?;
        let service::Merged { sequence, user_id } = merged;
        Ok(Response::new(proto::MergeUsersResponse { sequence, user_id }))
    }
}

/// A namespace as an `Arc`, for the stream task.
type Shared = Arc<Namespace>;
