//! Experiments: changes of them, and exposures of callers that only want the variant.
//!
//! - A change says from which state of all experiments it was made; the engine passes over one
//!   that was made from another. So two replicas cannot give the same buckets of a layer twice: the
//!   second change is made again from what the first one left.
//! - What a variant overrides is read by the edge: it says which fields those are.

use std::sync::Arc;
use std::time::Duration;

use super::Service;
use super::error::Error;
use super::error::ExperimentError;
use super::error::Progress;
use super::namespace::Namespace;
use crate::storage::Partition;
use engine::Assigned;
use engine::ExperimentEntry;
use engine::View;
use engine::domain::BUCKETS;
use engine::domain::Experiment;
use engine::domain::ExperimentChange;
use engine::domain::ExperimentState;
use engine::domain::Exposure;
use engine::domain::Key;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Timestamp;
use engine::domain::UserId;
use engine::domain::Variant;
use engine::domain::Violation;
use engine::domain::limits;
use engine::grown_buckets;

/// How often a change is made from what others have left meanwhile.
const ATTEMPTS: usize = 8;
/// Names of fields that a variant overrides.
type Overridden = fn(&Variant) -> Vec<&'static str>;

/// What is done with an experiment in addition to its new fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeAction {
    Create,
    Edit,
    Start,
    Pause,
    Stop,
    Archive,
    /// This variant's overrides have become settings.
    Ship(u8),
}

/// One change, as a caller asks for it.
#[derive(Debug, Clone)]
pub struct ExperimentUpdate {
    pub key: Key,
    pub action: ChangeAction,
    /// That it was read with; none: whatever there is.
    pub etag: Option<String>,
    pub by: Box<str>,
    /// The changed fields and the reason, for the history.
    pub what: String,
    pub validate_only: bool,
    pub overridden: Overridden,
}

/// Names this state of an experiment of this life of its namespace.
pub fn experiment_etag(partition: &Partition, entry: &ExperimentEntry) -> String {
    let state = format!("{}/{}", entry.number, entry.changed_at);
    format!(
        "{:016x}",
        xxhash_rust::xxh3::xxh3_64_with_seed(state.as_bytes(), partition.incarnation)
    )
}

impl Service {
    /// Changes an experiment, or creates one: `edit` makes the new fields of the present ones.
    /// Returns the sequence of the record, or 0 if it was only checked, with the experiment.
    ///
    /// # Errors
    /// [`ExperimentError`]: no such experiment, one with its key, too many, or another one than
    /// `etag` names; `Invalid`; what keeps records from being written and learnt.
    pub async fn change_experiment(
        &self,
        namespace: &Arc<Namespace>,
        update: &ExperimentUpdate,
        timeout: Duration,
        edit: impl Fn(Option<&Experiment>) -> Result<Experiment, Vec<Violation>>,
    ) -> Result<(Sequence, Experiment, Arc<View>), Error> {
        let _one_at_a_time = namespace.experiment_changes.lock().await;
        for _attempt in 0..ATTEMPTS {
            let view = self.namespaces.view_of_all(namespace, timeout).await?;
            let experiment = changed(namespace, &view, update, &edit, self.clock.now())?;
            if update.validate_only {
                return Ok((0, experiment, view));
            }
            let change = ExperimentChange {
                experiment: experiment.clone(),
                replaces: view.experiments().changed_at(),
                by: update.by.clone(),
                what: update.what.as_str().into(),
            };
            let records = vec![Record::ExperimentChanged(Box::new(change))];
            let sequence = self.write(namespace, records).await?.last_sequence();
            let view = namespace.view_at(sequence, timeout).await?;
            let made = view.experiments().find(update.key.as_str());
            if made.is_some_and(|entry| entry.was_changed_by(sequence)) {
                let (key, what) = (&update.key, &update.what);
                tracing::info!(namespace = %namespace.name(), sequence, %key, what, "experiment changed");
                return Ok((sequence, experiment, view));
            }
        }
        Err(Error::Opening { name: namespace.name().clone(), progress: Progress::default() })
    }

    /// Records that a user was exposed to a variant, unless that is known.
    ///
    /// # Errors
    /// What keeps records from being written.
    pub async fn expose(
        &self,
        namespace: &Arc<Namespace>,
        view: &View,
        (user_id, segment): (UserId, u8),
        assigned: &Assigned,
        now: Timestamp,
    ) -> Result<(), Error> {
        let assignments = view.unexposed_without_list(user_id.as_str(), &[assigned.recorded(None)]);
        if assignments.is_empty() {
            return Ok(());
        }
        let exposure = Exposure { user_id, exposed_at: now, segment, assignments };
        self.write(namespace, vec![Record::UserExposed(exposure)]).await?;
        Ok(())
    }
}

/// The experiment after a change.
fn changed(
    namespace: &Namespace,
    view: &View,
    update: &ExperimentUpdate,
    edit: impl Fn(Option<&Experiment>) -> Result<Experiment, Vec<Violation>>,
    now: Timestamp,
) -> Result<Experiment, Error> {
    let entry = view.experiments().find(update.key.as_str());
    if update.action == ChangeAction::Create {
        if entry.is_some() {
            return Err(ExperimentError::Exists(update.key.clone()).into());
        }
        let mut all = view.experiments().entries();
        let is_archived =
            |it: &Arc<ExperimentEntry>| it.experiment.state == ExperimentState::Archived;
        if all.len() >= limits::EXPERIMENTS && !all.any(is_archived) {
            return Err(ExperimentError::TooMany.into());
        }
        let experiment = edit(None).map_err(Error::Invalid)?;
        experiment.check().map_err(Error::Invalid)?;
        check_testers(view, &experiment).map_err(|wrong| Error::Invalid(vec![wrong]))?;
        return Ok(experiment);
    }
    let entry = entry.ok_or_else(|| ExperimentError::Unknown(update.key.to_string()))?;
    let etag = experiment_etag(&namespace.tail.partition, entry);
    if update.etag.as_ref().is_some_and(|asked| *asked != etag) {
        return Err(ExperimentError::Changed { key: update.key.clone(), etag }.into());
    }
    let mut experiment = edit(Some(&entry.experiment)).map_err(Error::Invalid)?;
    act(&mut experiment, &update.action).map_err(|violation| Error::Invalid(vec![violation]))?;
    experiment.check().map_err(Error::Invalid)?;
    experiment.check_change(&entry.experiment).map_err(Error::Invalid)?;
    if experiment.state.is_live() {
        let is_starting = !entry.experiment.state.is_live();
        let checked = is_starting.then(|| check_start(view, &experiment, update.overridden, now));
        checked.unwrap_or(Ok(())).map_err(Error::Invalid)?;
        if !view.has_memory_for(&experiment) {
            let reason = "must not be more: there is no memory for those of users who were exposed";
            return Err(Error::Invalid(vec![Violation::new("metrics", reason)]));
        }
        take_buckets(view, &mut experiment).map_err(|violation| Error::Invalid(vec![violation]))?;
    } else {
        experiment.buckets.clear();
        check_testers(view, &experiment).map_err(|wrong| Error::Invalid(vec![wrong]))?;
    }
    Ok(experiment)
}

/// Requests look at each draft with testers, so there are as few of them as may be live.
fn check_testers(view: &View, experiment: &Experiment) -> Result<(), Violation> {
    let others = view.experiments().watched().filter(|other| {
        !other.experiment.state.is_live() && other.experiment.key != experiment.key
    });
    let most = limits::EXPERIMENTS_LIVE;
    if experiment.is_tested_draft() && others.count() >= most {
        return Err(Violation::new("testers", format!("must be empty: {most} drafts have some")));
    }
    Ok(())
}

fn act(experiment: &mut Experiment, action: &ChangeAction) -> Result<(), Violation> {
    let (is_live, before) = (experiment.state.is_live(), experiment.state);
    experiment.state = match action {
        ChangeAction::Create | ChangeAction::Edit => experiment.state,
        ChangeAction::Start => ExperimentState::Running,
        ChangeAction::Pause => ExperimentState::Paused,
        ChangeAction::Stop => ExperimentState::Stopped,
        ChangeAction::Archive => ExperimentState::Archived,
        ChangeAction::Ship(variant) => {
            experiment.shipped = Some(*variant);
            if is_live { ExperimentState::Stopped } else { experiment.state }
        }
    };
    let is_move = !matches!(action, ChangeAction::Edit | ChangeAction::Ship(_));
    if is_move && experiment.state == before {
        return Err(Violation::new("state", format!("must not be {} already", before.name())));
    }
    Ok(())
}

fn take_buckets(view: &View, experiment: &mut Experiment) -> Result<(), Violation> {
    let taken = view.experiments().taken(experiment);
    let share = |buckets: u32| f64::from(buckets) / f64::from(BUCKETS);
    let grown = grown_buckets(&experiment.buckets, experiment.allocation, taken);
    experiment.buckets = grown.map_err(|most| {
        let layer = &experiment.layer;
        let reason = format!(
            "must be at most {} in layer {layer}: live experiments have the rest",
            share(most)
        );
        Violation::new("allocation", reason)
    })?;
    Ok(())
}

/// Whether a draft may run next to what runs.
fn check_start(
    view: &View,
    experiment: &Experiment,
    overridden: Overridden,
    now: Timestamp,
) -> Result<(), Vec<Violation>> {
    let mut violations = Vec::new();
    let live: Vec<&Arc<ExperimentEntry>> = view.experiments().live().collect();
    if live.len() >= limits::EXPERIMENTS_LIVE {
        let reason = format!("must not become running: {} experiments are live", live.len());
        violations.push(Violation::new("state", reason));
    }
    if experiment.ends_at.is_some_and(|end| end <= now) {
        violations.push(Violation::new("ends_at", "must not be over"));
    }
    if experiment.holdback && live.iter().any(|other| other.experiment.holdback) {
        violations.push(Violation::new("holdback", "must be the only one that is live"));
    }
    if live.iter().any(|other| other.experiment.salt == experiment.salt) {
        let reason = "must differ from those of live experiments: users would be split alike";
        violations.push(Violation::new("salt", reason));
    }
    if let Some(other) = live.iter().find(|other| divides_with(&other.experiment, experiment)) {
        let (key, layer) = (&other.experiment.key, &other.experiment.layer);
        let reason =
            format!("must be {layer} as that of {key}: a list is divided by one experiment");
        violations.push(Violation::new("layer", reason));
    }
    let ours = all_overridden(experiment, overridden);
    for other in live.iter().filter(|other| other.experiment.layer != experiment.layer) {
        let theirs = all_overridden(&other.experiment, overridden);
        if let Some(field) = ours.iter().find(|field| theirs.contains(field)) {
            let (key, layer) = (&other.experiment.key, &other.experiment.layer);
            let reason = format!(
                "must not override {field} as {key} in layer {layer} does: a user may be in both, so \
                 put them into one layer"
            );
            violations.push(Violation::new("variants", reason));
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

/// Whether two experiments would divide the same lists.
fn divides_with(one: &Experiment, other: &Experiment) -> bool {
    one.layer != other.layer && one.split.divides_lists() && other.split.divides_lists()
}

fn all_overridden(experiment: &Experiment, overridden: Overridden) -> Vec<&'static str> {
    experiment.variants.iter().flat_map(overridden).collect()
}
