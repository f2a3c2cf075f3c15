//! Selecting an arm, rewarding and withdrawing it: all answers wait for the commit.
//!
//! - A selection whose id the caller made may be sent again, to any replica. The first record with
//!   the id counts: the engine passes over later ones while that one may be rewarded. So a call
//!   waits until its record is learnt, asks the view which record is the first, and answers from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Service;
use super::blocking::Deadline;
use super::blocking::Expiry;
use super::error::Error;
use super::ingest::Recorded;
use super::known_decisions::Named;
use super::namespace::Namespace;
use crate::storage::AppendOutcome;
use engine::ArmChoice;
use engine::ArmSet;
use engine::ChosenArm;
use engine::Shape;
use engine::View;
use engine::choose_arm;
use engine::decision_key;
use engine::domain::ArmContext;
use engine::domain::ArmFeatures;
use engine::domain::ArmName;
use engine::domain::ArmReward;
use engine::domain::ArmSelection;
use engine::domain::ArmSetName;
use engine::domain::ArmStrategy;
use engine::domain::DecisionId;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Timestamp;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;

/// One call of SelectArm, checked.
#[derive(Debug, Clone)]
pub struct SelectArmCall {
    pub decision_id: DecisionId,
    /// Whether the caller made the id: then the call may be one that was sent before.
    pub may_repeat: bool,
    pub set: ArmSetName,
    pub offered: Vec<ArmName>,
    /// Of each offered arm; empty where none has any.
    pub features: Vec<ArmFeatures>,
    pub context: ArmContext,
    pub strategy: ArmStrategy,
    pub epsilon: f64,
    pub now: Timestamp,
}

/// A selection that is durable.
#[derive(Debug)]
pub struct SelectedArm {
    pub selection: ArmSelection,
    pub sequence: Sequence,
}

/// A reward that is durable.
#[derive(Debug)]
pub struct RewardedArm {
    /// `None` for one that was written before.
    pub sequence: Option<Sequence>,
    /// Whether it names a selection that was neither made here a moment ago nor among those
    /// that can still be rewarded.
    pub is_unknown: bool,
}

impl SelectArmCall {
    fn choice<'a>(&'a self, view: &'a View) -> ArmChoice<'a> {
        let settings = view.settings();
        ArmChoice {
            offered: &self.offered,
            features: &self.features,
            context: &self.context,
            strategy: self.strategy,
            epsilon: self.epsilon,
            settings: &settings.arms,
            seed: settings.seed,
            decision_id: &self.decision_id,
        }
    }

    fn choose(&self, view: &View) -> ChosenArm {
        choose_arm(view.arm_set(self.set.as_str()), &self.choice(view))
    }

    fn selection(&self, view: &View, found: &ChosenArm) -> ArmSelection {
        ArmSelection {
            decision_id: self.decision_id.clone(),
            set: self.set.clone(),
            offered: found.offered(&self.choice(view)),
            chosen: found.chosen as u32,
            context: self.context.clone(),
            strategy: self.strategy,
            epsilon: self.epsilon as f32,
            selected_at: self.now,
            watermark: view.watermark(),
            seed: view.settings().seed,
        }
    }

    /// Whether the selection is the answer to this call, when both have one id. A repeated call
    /// may describe another moment, so contexts are not compared.
    fn is_answered_by(&self, selection: &ArmSelection) -> bool {
        let offered = selection.offered.iter().map(|arm| &arm.name);
        self.decision_id == selection.decision_id
            && self.set == selection.set
            && self.offered.iter().eq(offered)
    }
}

impl Service {
    /// Chooses one of the arms on the given view and writes the selection; of a call that was
    /// sent before, finds what was chosen then. `timeout` bounds the wait for the record to be
    /// learnt where the call may be repeated.
    ///
    /// # Errors
    /// `Invalid` where the arm set cannot be what the call takes it for; `SelectionDiffers`;
    /// `WatermarkNotReached` when the record is written and not learnt in time; what kept the
    /// record from being written.
    pub async fn select_arm(
        &self,
        namespace: &Arc<Namespace>,
        view: Arc<View>,
        call: SelectArmCall,
        timeout: Duration,
        deadline: Deadline,
    ) -> Result<SelectedArm, Error> {
        if let Some(sequence) = first_sequence(&view, &call) {
            return deadline.bound(self.selected_before(namespace, &call, sequence)).await?;
        }
        check_capacity(&view, &call).map_err(Error::Invalid)?;
        // However small: many at once must not keep the threads that serve all calls.
        let seen = view.clone();
        let work = move |_: &Expiry| {
            let found = call.choose(&seen);
            (call, found)
        };
        let (call, found) = self.reads.run(deadline, work).await?;
        let selection = call.selection(&view, &found);
        let records = vec![Record::ArmSelected(selection.clone())];
        let appended = self.write(namespace, records).await?;
        let sequence = accepted(&appended).unwrap_or(appended.log_end);
        namespace.known_decisions.add(Named::selection(call.decision_id.as_str()));
        if call.may_repeat {
            let view = namespace.view_at(sequence, timeout).await?;
            // `None`: so much came since that it is forgotten, or the set is one too many.
            let first = first_sequence(&view, &call).unwrap_or(sequence);
            if first != sequence {
                return deadline.bound(self.selected_before(namespace, &call, first)).await?;
            }
        }
        self.metrics.count_arm_selection(call.strategy.name());
        Ok(SelectedArm { selection, sequence })
    }

    /// The selection that this call led to when it was sent before.
    async fn selected_before(
        &self,
        namespace: &Namespace,
        call: &SelectArmCall,
        sequence: Sequence,
    ) -> Result<SelectedArm, Error> {
        match self.namespaces.record_at(namespace, sequence).await? {
            Record::ArmSelected(selection) if call.is_answered_by(&selection) => {
                Ok(SelectedArm { selection, sequence })
            }
            Record::ArmSelected(other) => Err(Error::SelectionDiffers {
                decision_id: call.decision_id.to_string(),
                arm_set: other.set.to_string(),
            }),
            _ => Err(Error::internal("what was learnt as a selection is another record")),
        }
    }

    /// Writes a reward, or that a selection is withdrawn.
    ///
    /// # Errors
    /// What kept the record from being written.
    pub async fn reward_arm(
        &self,
        namespace: &Arc<Namespace>,
        reward: ArmReward,
    ) -> Result<RewardedArm, Error> {
        let recorded = self.write(namespace, vec![Record::ArmRewarded(reward)]).await?;
        let sequence = accepted(&recorded);
        let outcome = if sequence.is_some() { "accepted" } else { "duplicate" };
        self.metrics.count_arm_reward(outcome);
        Ok(RewardedArm { sequence, is_unknown: recorded.unknown_decisions > 0 })
    }

    /// Mean and standard deviation of each arm of a set, in a context and by features if there are any.
    ///
    /// # Errors
    /// `NoArmSet`; `Invalid` for a context or features that do not fit the set.
    pub async fn arm_set(
        &self,
        view: Arc<View>,
        name: &ArmSetName,
        context: ArmContext,
        mut features: BTreeMap<ArmName, ArmFeatures>,
        deadline: Deadline,
    ) -> Result<Vec<(f64, f64)>, Error> {
        let set = view.arm_set(name.as_str()).ok_or_else(|| Error::NoArmSet(name.to_string()))?;
        let offered: Vec<ArmName> = set
            .arms
            .iter()
            .map(|arm| ArmName::parse(&*arm.name).expect("it was checked before"))
            .collect();
        let features = offered.iter().map(|arm| features.remove(arm).unwrap_or_default()).collect();
        let call = SelectArmCall {
            decision_id: DecisionId::parse("report").expect("an id"),
            may_repeat: false,
            set: name.clone(),
            offered,
            features,
            context,
            // Beliefs are the same under each; this one is cheap.
            strategy: ArmStrategy::Greedy,
            epsilon: 0.0,
            now: Timestamp::default(),
        };
        check_inputs(set, &call).map_err(Error::Invalid)?;
        let found = self.reads.run(deadline, move |_| call.choose(&view)).await?;
        Ok(found.means.into_iter().zip(found.deviations).collect())
    }
}

/// Where the first selection of the call's id is, when the call may be one sent before.
fn first_sequence(view: &View, call: &SelectArmCall) -> Option<Sequence> {
    let key = call.may_repeat.then(|| decision_key(call.decision_id.as_str()));
    key.and_then(|key| view.selection_sequence(key))
}

fn accepted(appended: &Recorded) -> Option<Sequence> {
    match appended.outcomes.first() {
        Some(AppendOutcome::Accepted(sequence)) => Some(*sequence),
        Some(AppendOutcome::Duplicate | AppendOutcome::Suppressed) | None => None,
    }
}

/// Whether the limits of the namespace allow the set, and the set the context and the features.
fn check_capacity(view: &View, call: &SelectArmCall) -> Result<(), Vec<Violation>> {
    if let Some(set) = view.arm_set(call.set.as_str()) {
        return check_inputs(set, call);
    }
    let most = limits::ARM_SETS;
    if view.arm_sets_len() >= most {
        let reason = format!("must be one of the {most} that there are");
        return Err(vec![Violation::new("arm_set", reason)]);
    }
    Ok(())
}

fn check_inputs(set: &ArmSet, call: &SelectArmCall) -> Result<(), Vec<Violation>> {
    let mut violations = Violations::default();
    let has_features = call.features.iter().any(|features| !features.is_empty());
    if let Some(shape) = set.shape.filter(|_| has_features || !call.context.is_empty()) {
        check_shape("context", shape, &call.context, &mut violations);
    }
    if let Some(shape) = set.features {
        let described = call.offered.iter().zip(&call.features);
        for (arm, features) in described.filter(|(_, features)| !features.is_empty()) {
            check_shape(&format!("features[{arm}]"), shape, features, &mut violations);
        }
    }
    violations.finish(())
}

fn check_shape(field: &str, shape: Shape, inputs: &ArmContext, violations: &mut Violations) {
    let (found, expected) = (inputs.numbers.len(), shape.numbers as usize);
    if found != expected {
        let reason = format!("must hold {expected} as the set's first, holds {found}");
        violations.add(format!("{field}.numbers"), reason);
    }
    if !shape.attributes && !inputs.attributes.is_empty() {
        violations.add(format!("{field}.attributes"), "must be unset as in the set's first");
    }
}
