//! Writing and reading experiments in a sentence.

use personalization::proto::CreateExperimentRequest;
use personalization::proto::EventMeasure;
use personalization::proto::Experiment;
use personalization::proto::ExperimentAction;
use personalization::proto::ExperimentMeasure;
use personalization::proto::ExperimentMetric;
use personalization::proto::ExperimentResults;
use personalization::proto::ExperimentVariant;
use personalization::proto::GetAssignmentRequest;
use personalization::proto::GetAssignmentResponse;
use personalization::proto::GetExperimentRequest;
use personalization::proto::GetExperimentResultsRequest;
use personalization::proto::InteractionType;
use personalization::proto::Interleaving;
use personalization::proto::MetricDirection;
use personalization::proto::MetricKind;
use personalization::proto::MetricRole;
use personalization::proto::MetricTest;
use personalization::proto::UpdateExperimentRequest;
use personalization::proto::UpdateExperimentResponse;
use personalization::proto::VariantOverrides;
use personalization::proto::experiment::Split;
use personalization::proto::experiment_measure::Measure;
use prost_types::Duration;
use prost_types::FieldMask;
use tonic::Status;

use crate::harness::Api;

pub fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

pub fn variant(name: &str, overrides: Option<VariantOverrides>) -> ExperimentVariant {
    ExperimentVariant { name: name.to_owned(), weight: 0.5, overrides }
}

/// The share of users with such an event in the two seconds after their exposure.
pub fn rate_of(name: &str, kind: InteractionType) -> ExperimentMetric {
    let types = vec![kind.into()];
    let events = EventMeasure { types, values: false, after_list: false };
    ExperimentMetric {
        name: name.to_owned(),
        measure: Some(ExperimentMeasure { measure: Some(Measure::Events(events)) }),
        window: seconds(2),
        // All conversions of few users are enough for it.
        test: MetricTest::Conversions.into(),
        ..ExperimentMetric::default()
    }
}

/// It stops the experiment when such events surely become more.
pub fn guard_against(name: &str, kind: InteractionType) -> ExperimentMetric {
    ExperimentMetric {
        role: MetricRole::Guardrail.into(),
        better: MetricDirection::Lower.into(),
        margin: 0.1,
        stops: true,
        ..rate_of(name, kind)
    }
}

/// Half and half, judged by clicks; what happens counts at once when the window is over.
pub fn experiment(key: &str, treatment: VariantOverrides) -> Experiment {
    Experiment {
        key: key.to_owned(),
        variants: vec![variant("control", None), variant("treatment", Some(treatment))],
        metrics: vec![rate_of("clicks", InteractionType::Click)],
        late_events: seconds(0),
        ..Experiment::default()
    }
}

/// Lists that both variants fill in turns; what users click on within six seconds is their vote.
pub fn turns(key: &str, treatment: VariantOverrides) -> Experiment {
    let mut written = experiment(key, treatment);
    written.split = Some(Split::Interleaving(Interleaving {}));
    written.metrics[0].kind = MetricKind::Preference.into();
    written.metrics[0].test = 0;
    written.metrics[0].window = seconds(6);
    written
}

pub async fn try_create(api: &Api, experiment: Experiment) -> Result<Experiment, Status> {
    let request = CreateExperimentRequest {
        namespace: api.namespace.clone(),
        experiment: Some(experiment),
        changed_by: "ada".to_owned(),
        reason: "a test".to_owned(),
        validate_only: false,
    };
    let answer = api.experiments.clone().create_experiment(request).await?.into_inner();
    Ok(answer.experiment.expect("an experiment"))
}

pub async fn create(api: &Api, experiment: Experiment) -> Experiment {
    try_create(api, experiment).await.expect("an experiment is created")
}

pub async fn try_update(
    api: &Api,
    request: UpdateExperimentRequest,
) -> Result<UpdateExperimentResponse, Status> {
    let request = UpdateExperimentRequest { namespace: api.namespace.clone(), ..request };
    Ok(api.experiments.clone().update_experiment(request).await?.into_inner())
}

/// An update that does something with an experiment and changes no field.
pub fn act(key: &str, action: ExperimentAction) -> UpdateExperimentRequest {
    UpdateExperimentRequest {
        experiment: Some(Experiment { key: key.to_owned(), ..Experiment::default() }),
        action: action.into(),
        ..UpdateExperimentRequest::default()
    }
}

/// An update of some fields.
pub fn edit(experiment: Experiment, paths: &[&str]) -> UpdateExperimentRequest {
    let paths = paths.iter().map(|&path| path.to_owned()).collect();
    UpdateExperimentRequest {
        experiment: Some(experiment),
        update_mask: Some(FieldMask { paths }),
        ..UpdateExperimentRequest::default()
    }
}

/// Starts it; returns the sequence from which on it runs.
pub async fn start(api: &Api, key: &str) -> u64 {
    let started = try_update(api, act(key, ExperimentAction::Start)).await;
    started.expect("it starts").sequence
}

pub async fn run(api: &Api, experiment: Experiment) -> u64 {
    let key = create(api, experiment).await.key;
    start(api, &key).await
}

pub async fn get(api: &Api, key: &str) -> Experiment {
    let (namespace, key) = (api.namespace.clone(), key.to_owned());
    let request = GetExperimentRequest { namespace, key, min_watermark: 0 };
    let answer = api.experiments.clone().get_experiment(request).await;
    answer.expect("an experiment").into_inner().experiment.expect("an experiment")
}

pub async fn results(api: &Api, key: &str, min_watermark: u64) -> ExperimentResults {
    let (namespace, key) = (api.namespace.clone(), key.to_owned());
    let request = GetExperimentResultsRequest { namespace, key, series: true, min_watermark };
    let answer = api.experiments.clone().get_experiment_results(request).await;
    answer.expect("results").into_inner().results.expect("results")
}

pub async fn try_assign(
    api: &Api,
    key: &str,
    user: &str,
    without_exposure: bool,
) -> Result<GetAssignmentResponse, Status> {
    let request = GetAssignmentRequest {
        namespace: api.namespace.clone(),
        experiment: key.to_owned(),
        user_id: user.to_owned(),
        without_exposure,
        ..GetAssignmentRequest::default()
    };
    Ok(api.experiments.clone().get_assignment(request).await?.into_inner())
}

/// The variant of a user, who is exposed to it.
pub async fn assign(api: &Api, key: &str, user: &str) -> Option<String> {
    let answer = try_assign(api, key, user, false).await.expect("an answer");
    answer.assignment.map(|assignment| assignment.variant)
}

/// Users who were exposed to any variant.
pub fn exposed(results: &ExperimentResults) -> u64 {
    results.exposures.iter().map(|variant| variant.exposed).sum()
}
