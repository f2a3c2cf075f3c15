//! `ExperimentService`.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::Response;
use tonic::Status;

use super::admission;
use super::admission::Admitted;
use super::admission::RequiredView;
use super::assigning;
use super::convert;
use super::convert::ExperimentEdit;
use super::convert::Listing;
use super::deadline::CallTime;
use super::status;
use super::store_calls::StoreCalls;
use crate::proto;
use crate::proto::experiment_service_server::ExperimentService;
use crate::service::ChangeAction;
use crate::service::Error;
use crate::service::ExperimentError;
use crate::service::ExperimentUpdate;
use crate::service::Namespace;
use crate::service::Service;
use crate::service::experiment_etag;
use engine::ExperimentEntry;
use engine::View;
use engine::domain::ExperimentState;
use engine::domain::Key;
use engine::domain::NamespaceName;
use engine::domain::Settings;
use engine::domain::Violation;
use engine::domain::limits;

mod rehearse;
mod watch;

/// Experiments of a page, when the caller names no number, and at most.
const PAGE_SIZE: (usize, usize) = (20, 100);
/// Streams of results at a time.
const WATCHERS: usize = 256;

/// Handlers of `ExperimentService`.
#[derive(Debug, Clone)]
pub struct ExperimentApi {
    service: Service,
    store_calls: StoreCalls,
    watchers: Arc<Semaphore>,
}

/// Something to write in the history.
struct Reason {
    by: Box<str>,
    reason: String,
}

impl ExperimentApi {
    pub fn new(service: Service) -> Self {
        let watchers = Arc::new(Semaphore::new(WATCHERS));
        Self { service, store_calls: StoreCalls::default(), watchers }
    }

    /// Makes a change durable. It is carried out to its end when its caller goes away.
    async fn change(
        &self,
        time: CallTime,
        name: NamespaceName,
        update: ExperimentUpdate,
        edit: ExperimentEdit,
    ) -> Result<(proto::Experiment, u64), Error> {
        let service = self.service.clone();
        let change = async move {
            let namespace = admission::open(&service, time, &name).await?;
            admission::count(&service, &namespace).await?;
            let settings = namespace.view().request_settings().clone();
            let edited = |before: Option<&_>| edit.of(before, &settings);
            let changed = service.change_experiment(&namespace, &update, time.timeout(), edited);
            let (sequence, experiment, view) = changed.await?;
            let entry = view.experiments().find(experiment.key.as_str());
            let message = match entry.filter(|_| sequence > 0) {
                Some(entry) => message(&namespace, entry, true),
                None => convert::experiment_fields(&experiment),
            };
            Ok((message, sequence))
        };
        self.store_calls.run(time, change).await
    }

    /// The variant that is to be shipped.
    async fn shipped(
        &self,
        time: CallTime,
        name: &NamespaceName,
        key: &Key,
        variant: &str,
    ) -> Result<u8, Status> {
        let namespace = admission::open(&self.service, time, name).await?;
        let view = self.service.namespaces.view_of_all(&namespace, time.timeout()).await?;
        let entry = view.experiments().find(key.as_str()).ok_or_else(|| unknown(key))?;
        let experiment = &entry.experiment;
        let wrong =
            |field: &str, reason: &str| status::invalid(vec![Violation::new(field, reason)]);
        if !experiment.state.is_live() && experiment.state != ExperimentState::Stopped {
            return Err(wrong(
                "action",
                "must not be SHIP before it has run, or once it is archived",
            ));
        }
        let at = experiment.variant(variant);
        let at = at.ok_or_else(|| wrong("variant", "must name a variant"))?;
        Ok(u8::try_from(at).expect("an experiment has ten variants at most"))
    }

    /// Makes what a variant overrides settings of the namespace, if the experiment may then be changed as
    /// asked. Doing it again changes nothing, so a caller who gives up calls again.
    async fn ship_settings(
        &self,
        time: CallTime,
        name: &NamespaceName,
        update: &ExperimentUpdate,
        edit: &ExperimentEdit,
        variant: u8,
    ) -> Result<(), Status> {
        let namespace = admission::open(&self.service, time, name).await?;
        let check = ExperimentUpdate { validate_only: true, ..update.clone() };
        let settings = namespace.view().request_settings().clone();
        let edited = |before: Option<&_>| edit.of(before, &settings);
        let checked = self.service.change_experiment(&namespace, &check, time.timeout(), edited);
        let (_, experiment, _) = checked.await.map_err(|error| error.within("experiment"))?;
        let overrides = convert::overrides(&experiment.variants[usize::from(variant)]);
        let settings = convert::settings_of(&overrides).map_err(status::invalid)?;
        let settings = convert::settings_update(Some(settings), None).map_err(status::invalid)?;
        if !update.validate_only {
            let change = |in_force: &Settings, server: &Settings| settings.of(in_force, server);
            self.service.change_settings(&namespace, None, time.timeout(), change).await?;
        }
        Ok(())
    }

    async fn entry(&self, admitted: &Admitted, key: &str) -> Result<Arc<ExperimentEntry>, Status> {
        let key = convert::experiment_key("key", key).map_err(status::invalid)?;
        let entry = admitted.view.experiments().find(key.as_str());
        Ok(entry.cloned().ok_or_else(|| unknown(&key))?)
    }
}

fn unknown(key: &Key) -> Error {
    ExperimentError::Unknown(key.to_string()).into()
}

fn message(namespace: &Namespace, entry: &ExperimentEntry, history: bool) -> proto::Experiment {
    let etag = experiment_etag(&namespace.tail.partition, entry);
    convert::experiment_message(entry, etag, history)
}

/// Who and why, bounded.
fn reason(by: &str, reason: &str) -> Result<Reason, Status> {
    let most = limits::CHANGE_TEXT_BYTES;
    let wrong: Vec<Violation> = [("changed_by", by), ("reason", reason)]
        .into_iter()
        .filter(|(_, text)| text.len() > most || text.chars().any(char::is_control))
        .map(|(field, _)| {
            let rule = format!("must be at most {most} bytes without control characters");
            Violation::new(field, rule)
        })
        .collect();
    if wrong.is_empty() {
        return Ok(Reason { by: by.into(), reason: reason.to_owned() });
    }
    Err(status::invalid(wrong))
}

/// What was changed, with the reason.
fn what(verb: &str, fields: &[&str], reason: &str) -> String {
    let mut what = verb.to_owned();
    if !fields.is_empty() {
        let joint = if what.is_empty() { "changed " } else { ", changed " };
        what.push_str(&format!("{joint}{}", fields.join(", ")));
    }
    if !reason.is_empty() {
        what.push_str(&format!(": {reason}"));
    }
    what
}

fn action(code: i32) -> Result<(ChangeAction, &'static str), Status> {
    let action = proto::ExperimentAction::try_from(code);
    Ok(match action {
        Ok(proto::ExperimentAction::Unspecified) => (ChangeAction::Edit, ""),
        Ok(proto::ExperimentAction::Start) => (ChangeAction::Start, "started"),
        Ok(proto::ExperimentAction::Pause) => (ChangeAction::Pause, "paused"),
        Ok(proto::ExperimentAction::Stop) => (ChangeAction::Stop, "stopped"),
        Ok(proto::ExperimentAction::Archive) => (ChangeAction::Archive, "archived"),
        Ok(proto::ExperimentAction::Ship) => (ChangeAction::Ship(0), "shipped"),
        Err(_) => {
            let reason = format!("is not known: {code}");
            return Err(status::invalid(vec![Violation::new("action", reason)]));
        }
    })
}

#[tonic::async_trait]
impl ExperimentService for ExperimentApi {
    async fn create_experiment(
        &self,
        request: Request<proto::CreateExperimentRequest>,
    ) -> Result<Response<proto::CreateExperimentResponse>, Status> {
        let time = CallTime::of_request(&request);
        let message = request.into_inner();
        let name = convert::namespace(&message.namespace).map_err(status::invalid)?;
        let experiment = message.experiment.unwrap_or_default();
        let key = convert::experiment_key("experiment.key", &experiment.key);
        let key = key.map_err(status::invalid)?;
        let Reason { by, reason } = reason(&message.changed_by, &message.reason)?;
        let update = ExperimentUpdate {
            key,
            action: ChangeAction::Create,
            etag: None,
            by,
            what: what("created", &[], &reason),
            validate_only: message.validate_only,
            overridden: convert::overridden,
        };
        let changed = self.change(time, name, update, ExperimentEdit::whole(experiment)).await;
        let (experiment, sequence) = changed.map_err(|error| error.within("experiment"))?;
        Ok(Response::new(proto::CreateExperimentResponse {
            experiment: Some(experiment),
            sequence,
        }))
    }

    async fn get_experiment(
        &self,
        request: Request<proto::GetExperimentRequest>,
    ) -> Result<Response<proto::GetExperimentResponse>, Status> {
        let time = CallTime::of_request(&request);
        let asked = request.into_inner();
        let required = RequiredView::Record(asked.min_watermark);
        let admitted = Admitted::new(&self.service, time, &asked.namespace, required).await?;
        let entry = self.entry(&admitted, &asked.key).await?;
        Ok(Response::new(proto::GetExperimentResponse {
            experiment: Some(message(&admitted.namespace, &entry, true)),
            watermark: admitted.view.watermark(),
        }))
    }

    async fn list_experiments(
        &self,
        request: Request<proto::ListExperimentsRequest>,
    ) -> Result<Response<proto::ListExperimentsResponse>, Status> {
        let time = CallTime::of_request(&request);
        let asked = request.into_inner();
        let size = match asked.page_size as usize {
            0 => PAGE_SIZE.0,
            size if size <= PAGE_SIZE.1 => size,
            size => {
                let reason = format!("must be at most {}, is {size}", PAGE_SIZE.1);
                return Err(status::invalid(vec![Violation::new("page_size", reason)]));
            }
        };
        for (number, code) in asked.states.iter().enumerate() {
            if proto::ExperimentState::try_from(*code).is_err() {
                let (field, reason) =
                    (format!("states[{number}]"), format!("is not known: {code}"));
                return Err(status::invalid(vec![Violation::new(field, reason)]));
            }
        }
        let after = convert::page_token(Listing::Experiments, &asked.page_token);
        let after = after.map_err(status::invalid)?;
        let after = after.map(|token| token.parse::<u32>()).transpose().map_err(|_no_number| {
            status::invalid(vec![Violation::new("page_token", "must come from ListExperiments")])
        })?;
        let (service, required) = (&self.service, RequiredView::Durable);
        let admitted = Admitted::new(service, time, &asked.namespace, required).await?;
        let is_listed = |entry: &&Arc<ExperimentEntry>| {
            let state = entry.experiment.state;
            let code = i32::from(convert::state_message(state));
            let in_states = match &asked.states[..] {
                [] => state != ExperimentState::Archived,
                states => states.contains(&code),
            };
            in_states && after.is_none_or(|after| entry.number < after)
        };
        let view = &admitted.view;
        let listed = view.experiments().entries().rev().filter(is_listed);
        let (mut page, mut bytes, mut last) = (Vec::new(), 0, None);
        for entry in listed.take(size) {
            let listed = message(&admitted.namespace, entry, false);
            bytes += prost::encoding::message::encoded_len(1, &listed);
            if bytes > limits::PAGE_BYTES && !page.is_empty() {
                break;
            }
            page.push(listed);
            last = Some(entry.number);
        }
        let is_after = |entry: &&Arc<ExperimentEntry>| last.is_some_and(|last| entry.number < last);
        let is_more = view.experiments().entries().rev().filter(is_listed).any(|it| is_after(&it));
        let token = last.filter(|_| is_more).map_or_else(String::new, |last| {
            convert::next_page_token(Listing::Experiments, &last.to_string())
        });
        Ok(Response::new(proto::ListExperimentsResponse {
            next_page_token: token,
            experiments: page,
            watermark: view.watermark(),
        }))
    }

    async fn update_experiment(
        &self,
        request: Request<proto::UpdateExperimentRequest>,
    ) -> Result<Response<proto::UpdateExperimentResponse>, Status> {
        let time = CallTime::of_request(&request);
        let mut message = request.into_inner();
        let name = convert::namespace(&message.namespace).map_err(status::invalid)?;
        let (mut action, verb) = action(message.action)?;
        let experiment = message.experiment.take().unwrap_or_default();
        let key = convert::experiment_key("experiment.key", &experiment.key);
        let key = key.map_err(status::invalid)?;
        let edit = ExperimentEdit::masked(experiment, message.update_mask.take());
        let edit = edit.map_err(status::invalid)?;
        let Reason { by, reason } = reason(&message.changed_by, &message.reason)?;
        let mut verb = verb.to_owned();
        if action == ChangeAction::Edit && edit.names().is_empty() {
            let reason = "must be set, or update_mask must name fields";
            return Err(status::invalid(vec![Violation::new("action", reason)]));
        }
        if let ChangeAction::Ship(shipped) = &mut action {
            let variant = &message.variant;
            (*shipped, verb) =
                (self.shipped(time, &name, &key, variant).await?, format!("shipped {variant}"));
        }
        let update = ExperimentUpdate {
            key,
            action,
            etag: Some(message.etag).filter(|etag| !etag.is_empty()),
            by,
            what: what(&verb, &edit.names(), &reason),
            validate_only: message.validate_only,
            overridden: convert::overridden,
        };
        if let ChangeAction::Ship(variant) = update.action {
            self.ship_settings(time, &name, &update, &edit, variant).await?;
        }
        let changed = self.change(time, name, update, edit).await;
        let (experiment, sequence) = changed.map_err(|error| error.within("experiment"))?;
        Ok(Response::new(proto::UpdateExperimentResponse {
            experiment: Some(experiment),
            sequence,
        }))
    }

    async fn get_experiment_results(
        &self,
        request: Request<proto::GetExperimentResultsRequest>,
    ) -> Result<Response<proto::GetExperimentResultsResponse>, Status> {
        let time = CallTime::of_request(&request);
        let asked = request.into_inner();
        let required = RequiredView::Record(asked.min_watermark);
        let admitted = Admitted::new(&self.service, time, &asked.namespace, required).await?;
        let entry = self.entry(&admitted, &asked.key).await?;
        let series = asked.series;
        let work = move |view: &View, _: &_| convert::results_message(view, &entry, series);
        let results = Some(admitted.read(&self.service, work).await?);
        Ok(Response::new(proto::GetExperimentResultsResponse { results }))
    }

    type WatchExperimentResultsStream = ReceiverStream<watch::Watched>;

    async fn watch_experiment_results(
        &self,
        request: Request<proto::WatchExperimentResultsRequest>,
    ) -> Result<Response<Self::WatchExperimentResultsStream>, Status> {
        let time = CallTime::of_request(&request);
        let asked = request.into_inner();
        let interval = convert::watch_interval(asked.interval).map_err(status::invalid)?;
        let permit = self.watchers.clone().try_acquire_owned();
        let permit = permit.map_err(|_full| Error::Overloaded("too many results are watched"))?;
        let (service, required) = (&self.service, RequiredView::Newest);
        let admitted = Admitted::new(service, time, &asked.namespace, required).await?;
        let key = self.entry(&admitted, &asked.key).await?.experiment.key.clone();
        let watched = watch::Watch { key, series: asked.series, interval };
        let (sender, receiver) = mpsc::channel(1);
        let (service, namespace) = (self.service.clone(), admitted.namespace);
        tokio::spawn(watch::send(service, namespace, watched, sender, permit));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn get_assignment(
        &self,
        request: Request<proto::GetAssignmentRequest>,
    ) -> Result<Response<proto::GetAssignmentResponse>, Status> {
        let time = CallTime::of_request(&request);
        let asked = request.into_inner();
        let user_id = convert::user_id(&asked.user_id).map_err(status::invalid)?;
        let key = convert::experiment_key("experiment", &asked.experiment);
        let key = key.map_err(status::invalid)?;
        let context = asked.context.as_ref();
        if let Some(context) = context {
            let checked = convert::attributes(context.attributes.clone());
            checked.map_err(|wrong| {
                let within = |it: Violation| it.within("context");
                status::invalid(wrong.into_iter().map(within).collect())
            })?;
        }
        let required = RequiredView::Record(asked.min_watermark);
        let admitted = Admitted::new(&self.service, time, &asked.namespace, required).await?;
        let Admitted { namespace, view, .. } = admitted;
        let entry = view.experiments().find(key.as_str()).ok_or_else(|| unknown(&key))?;
        let (now, user) = (self.service.clock.now(), (user_id.as_str(), context));
        let all = assigning::assigned(&view, user_id.as_str(), context, None, now);
        let assigned = all.iter().find(|it| it.entry.number == entry.number).cloned();
        let why_none = || assigning::why_none(&view, entry, user, &all, now);
        let reason = if assigned.is_some() { None } else { Some(why_none()) };
        if let Some(assigned) = assigned.as_ref().filter(|_| !asked.without_exposure) {
            let segment = assigning::segment(&view, user_id.as_str(), context);
            self.service.expose(&namespace, &view, (user_id, segment), assigned, now).await?;
        }
        Ok(Response::new(proto::GetAssignmentResponse {
            assignment: assigned.as_ref().map(convert::assignment_message),
            watermark: view.watermark(),
            no_assignment_reason: reason.map_or(0, |why| convert::no_variant_message(why).into()),
        }))
    }

    async fn rehearse_experiment(
        &self,
        request: Request<proto::RehearseExperimentRequest>,
    ) -> Result<Response<proto::RehearseExperimentResponse>, Status> {
        let time = CallTime::of_request(&request);
        let asked = request.into_inner();
        let required = RequiredView::Record(asked.min_watermark);
        let admitted = Admitted::new(&self.service, time, &asked.namespace, required).await?;
        Ok(Response::new(rehearse::rehearse(&self.service, admitted, asked).await?))
    }
}
