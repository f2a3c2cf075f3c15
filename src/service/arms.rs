//! Selecting an arm and rewarding it: both answers wait for the commit.
//!
//! - A selection whose id the caller made may be sent again, to any replica. The first record with
//!   the id counts: the engine passes over later ones while that one may be rewarded. So a call
//!   waits until its record is learnt, asks the view which record is the first, and answers from it.

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
use engine::View;
use engine::choose_arm;
use engine::decision_key;
use engine::domain::ArmContext;
use engine::domain::ArmName;
use engine::domain::ArmReward;
use engine::domain::ArmSelection;
use engine::domain::ArmSetName;
use engine::domain::ArmStrategy;
use engine::domain::DecisionId;
use engine::domain::OfferedArm;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Timestamp;
use engine::domain::Violation;
use engine::domain::limits;

/// One call of SelectArm, checked.
#[derive(Debug, Clone)]
pub struct SelectArmCall {
    pub decision_id: DecisionId,
    /// Whether the caller made the id: then the call may be one that was sent before.
    pub may_repeat: bool,
    pub set: ArmSetName,
    pub offered: Vec<ArmName>,
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
    fn choose(&self, view: &View) -> ChosenArm {
        let settings = view.settings();
        let choice = ArmChoice {
            offered: &self.offered,
            context: &self.context,
            strategy: self.strategy,
            epsilon: self.epsilon,
            settings: &settings.arms,
            seed: settings.seed,
            decision_id: &self.decision_id,
        };
        choose_arm(view.arm_set(self.set.as_str()), &choice)
    }

    fn selection(&self, view: &View, found: &ChosenArm) -> ArmSelection {
        let offered = self.offered.iter().enumerate().map(|(position, name)| OfferedArm {
            name: name.clone(),
            propensity: found.propensities[position],
            mean: found.means[position],
            deviation: found.deviations[position],
        });
        ArmSelection {
            decision_id: self.decision_id.clone(),
            set: self.set.clone(),
            offered: offered.collect(),
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

    /// Writes a reward.
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

    /// Mean and standard deviation of each arm of a set, in a context if there is one.
    ///
    /// # Errors
    /// `NoArmSet`; `Invalid` for a context that does not fit the set.
    pub async fn arm_set(
        &self,
        view: Arc<View>,
        name: &ArmSetName,
        context: ArmContext,
        deadline: Deadline,
    ) -> Result<Vec<(f64, f64)>, Error> {
        let set = view.arm_set(name.as_str()).ok_or_else(|| Error::NoArmSet(name.to_string()))?;
        check_context(set, &context).map_err(Error::Invalid)?;
        let call = SelectArmCall {
            decision_id: DecisionId::parse("report").expect("an id"),
            may_repeat: false,
            set: name.clone(),
            offered: set
                .arms
                .iter()
                .map(|arm| ArmName::parse(&*arm.name).expect("it was checked before"))
                .collect(),
            context,
            // Beliefs are the same under each; this one is cheap.
            strategy: ArmStrategy::Greedy,
            epsilon: 0.0,
            now: Timestamp::default(),
        };
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
        Some(AppendOutcome::Duplicate) | None => None,
    }
}

/// Whether the limits of the namespace allow the set, and those of the set the arms and the context.
fn check_capacity(view: &View, call: &SelectArmCall) -> Result<(), Vec<Violation>> {
    let violation = |field: &str, reason: String| Err(vec![Violation::new(field, reason)]);
    let Some(set) = view.arm_set(call.set.as_str()) else {
        let most = limits::ARM_SETS;
        if view.arm_sets_len() >= most {
            return violation("arm_set", format!("must be one of the {most} that there are"));
        }
        return Ok(());
    };
    let new = call.offered.iter().filter(|arm| set.find(arm.as_str()).is_none()).count();
    let most = limits::ARMS_KNOWN;
    if set.arms.len() + new > most {
        let reason = format!("must be at most {most} different ones over all selections");
        return violation("arms", reason);
    }
    check_context(set, &call.context)
}

fn check_context(set: &ArmSet, context: &ArmContext) -> Result<(), Vec<Violation>> {
    let Some(shape) = set.shape.filter(|shape| !context.is_empty() && !shape.fits(context)) else {
        return Ok(());
    };
    let mut violations = Vec::new();
    let (found, expected) = (context.numbers.len(), shape.numbers as usize);
    if found != expected {
        let reason = format!("must hold {expected} as in the set's first selection, holds {found}");
        violations.push(Violation::new("context.numbers", reason));
    }
    if !shape.attributes && !context.attributes.is_empty() {
        let reason = "must be unset as in the set's first selection with a context";
        violations.push(Violation::new("context.attributes", reason));
    }
    Err(violations)
}
