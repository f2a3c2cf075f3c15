//! `experiments create`, and all that changes one.

use std::path::PathBuf;

use super::file;
use super::list::state;
use super::server::Server;
use crate::cli::Failure;
use crate::cli::channel::told;
use crate::proto;
use crate::proto::ExperimentAction;
use prost_types::FieldMask;

/// Who changes an experiment, and why; for its history.
#[derive(Debug, Clone, clap::Args)]
struct Reason {
    /// Who does this.
    #[arg(long, env = "USER", default_value = "", value_name = "NAME")]
    by: String,
    /// Why.
    #[arg(long, default_value = "", value_name = "TEXT")]
    reason: String,
    /// Only check it; nothing is changed.
    #[arg(long)]
    check: bool,
}

/// Options of `experiments create`.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// The experiment, in YAML by the names of the API; see docs/experiments.md.
    file: PathBuf,
    /// Start it at once.
    #[arg(long, conflicts_with = "check")]
    start: bool,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    server: Server,
}

/// Options of what is done with an experiment.
#[derive(Debug, clap::Args)]
pub struct ActArgs {
    /// Which experiment.
    key: String,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    server: Server,
}

/// Options of `experiments ramp`.
#[derive(Debug, clap::Args)]
pub struct RampArgs {
    /// Which experiment.
    key: String,
    /// The share of the layer's users, such as 0.5.
    share: f64,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    server: Server,
}

/// Options of `experiments ship`.
#[derive(Debug, clap::Args)]
pub struct ShipArgs {
    /// Which experiment.
    key: String,
    /// Which variant.
    variant: String,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    server: Server,
}

pub async fn create(args: CreateArgs) -> Result<String, Failure> {
    let experiment = file::read(&args.file)?;
    let mut client = args.server.client().await?;
    let request = proto::CreateExperimentRequest {
        namespace: args.server.namespace.clone(),
        experiment: Some(experiment),
        changed_by: args.reason.by.clone(),
        reason: args.reason.reason.clone(),
        validate_only: args.reason.check,
    };
    let made = client.create_experiment(request).await.map_err(told)?.into_inner();
    let experiment = made.experiment.unwrap_or_default();
    if args.start {
        let key = experiment.key;
        let said = format!("{key} is created as a draft and could not be started");
        let started = start(ActArgs { key, reason: args.reason, server: args.server }).await;
        return started.map_err(|cause| format!("{said}: {cause}").into());
    }
    Ok(said(&experiment, args.reason.check))
}

pub async fn start(args: ActArgs) -> Result<String, Failure> {
    act(args, ExperimentAction::Start).await
}

pub async fn pause(args: ActArgs) -> Result<String, Failure> {
    act(args, ExperimentAction::Pause).await
}

pub async fn stop(args: ActArgs) -> Result<String, Failure> {
    act(args, ExperimentAction::Stop).await
}

pub async fn archive(args: ActArgs) -> Result<String, Failure> {
    act(args, ExperimentAction::Archive).await
}

async fn act(args: ActArgs, action: ExperimentAction) -> Result<String, Failure> {
    let ActArgs { key, reason, server } = args;
    let request = proto::UpdateExperimentRequest { action: action.into(), ..Default::default() };
    update(proto::Experiment { key, ..Default::default() }, request, reason, server).await
}

pub async fn ramp(args: RampArgs) -> Result<String, Failure> {
    let RampArgs { key, share, reason, server } = args;
    let experiment = proto::Experiment { key, allocation: share, ..Default::default() };
    let mask = FieldMask { paths: vec!["allocation".to_owned()] };
    let request = proto::UpdateExperimentRequest { update_mask: Some(mask), ..Default::default() };
    update(experiment, request, reason, server).await
}

pub async fn ship(args: ShipArgs) -> Result<String, Failure> {
    let ShipArgs { key, variant, reason, server } = args;
    let action = ExperimentAction::Ship.into();
    let request = proto::UpdateExperimentRequest { action, variant, ..Default::default() };
    update(proto::Experiment { key, ..Default::default() }, request, reason, server).await
}

async fn update(
    experiment: proto::Experiment,
    request: proto::UpdateExperimentRequest,
    reason: Reason,
    server: Server,
) -> Result<String, Failure> {
    let request = proto::UpdateExperimentRequest {
        namespace: server.namespace.clone(),
        experiment: Some(experiment),
        changed_by: reason.by,
        reason: reason.reason,
        validate_only: reason.check,
        ..request
    };
    let mut client = server.client().await?;
    let changed = client.update_experiment(request).await.map_err(told)?.into_inner();
    Ok(said(&changed.experiment.unwrap_or_default(), reason.check))
}

fn said(experiment: &proto::Experiment, is_check: bool) -> String {
    let (key, state) = (&experiment.key, state(experiment.state()));
    match is_check {
        true => format!("{key} is valid and would be {state}. Nothing was changed.\n"),
        false => format!("{key} is {state}.\n"),
    }
}
