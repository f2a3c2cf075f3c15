//! What a selection, its reward and its withdrawal change in the evidence of a set.
//!
//! A selection is learnt with the vectors of its moment, which it keeps; a reward or a withdrawal
//! that comes later uses the same. What a withdrawal leaves is what there would be without
//! the selection, but for rounding, what fading and features that changed meanwhile make an approximation,
//! and the scale of inputs, which has seen the context.

use std::sync::Arc;

use crate::bandit::arms::context::Shape;
use crate::bandit::arms::linear::Linear;
use crate::bandit::arms::linear::RIDGE;
use crate::bandit::arms::pending::PendingSelection;
use crate::bandit::arms::set::ArmSet;
use crate::bandit::arms::shared::Described;
use crate::bandit::arms::shared::OWN_RIDGE;
use crate::domain::ArmSelection;
use crate::numeric::math;

/// What a selection was learnt with.
#[derive(Debug, Default)]
pub struct Learnt {
    /// Empty without a context that fits the set.
    pub vector: Box<[f32]>,
    /// Of the chosen arm; empty in a set without features.
    pub features: Box<[f32]>,
    pub predicted: f64,
}

/// Learns that an arm was selected, so far without reward; `number` is that of the selection.
pub fn select(set: &mut ArmSet, arm: usize, selection: &ArmSelection, number: u64) -> Learnt {
    set.arms[arm].selections += 1;
    set.arms[arm].weight += 1.0;
    let has_features = selection.offered.iter().any(|arm| !arm.features.is_empty());
    let Some(shape) = Shape::of_selection(set.shape, &selection.context, has_features) else {
        return Learnt::default();
    };
    set.shape = Some(shape);
    set.scale.learn(&shape.vector(&selection.context));
    let vector: Box<[f32]> = narrow(&set.inputs(shape, &selection.context));
    let features = learn_features(set, shape, selection);
    let mut x = wide(&vector);
    let ArmSet { arms, shared, errors, .. } = set;
    let arm = &mut arms[arm];
    if let Some(shared) = shared.as_mut().filter(|_| !features.is_empty()) {
        let described = Described { own: arm.linear.as_deref(), features: &wide(&features) };
        Arc::make_mut(shared).select(&x, described);
    }
    if arm.linear.is_none() {
        arm.model_since = number;
    }
    let ridge = if features.is_empty() { RIDGE } else { OWN_RIDGE };
    let make = || Arc::new(Linear::new(shape.dimension(), ridge));
    let linear = arm.linear.get_or_insert_with(make);
    Arc::make_mut(linear).select(&mut x);
    let mean = selection.offered[selection.chosen as usize].mean;
    let predicted = if mean.is_finite() { mean.clamp(-1.0, 1.0) } else { 0.0 };
    errors.0 += predicted * predicted;
    errors.1 += 1.0;
    Learnt { vector, features, predicted }
}

/// Learns the scale of the features of all offered arms; the scaled ones of the chosen arm.
fn learn_features(set: &mut ArmSet, shape: Shape, selection: &ArmSelection) -> Box<[f32]> {
    let described = selection.offered.iter().filter_map(|arm| Shape::of(&arm.features));
    let all = |first: Shape, arm: Shape| Shape {
        attributes: first.attributes || arm.attributes,
        ..first
    };
    set.features = set.features.or(described.reduce(all));
    let Some(features) = set.features else {
        return Box::default();
    };
    let shared = set.shared_for(shape, features);
    for arm in selection.offered.iter().filter(|arm| features.describes(&arm.features)) {
        shared.scale.learn(&features.vector(&arm.features));
    }
    let chosen = &selection.offered[selection.chosen as usize];
    narrow(&shared.features(features, &chosen.features))
}

/// Changes the reward of a selection from `before` to `after`.
pub fn change_reward(set: &mut ArmSet, pending: &PendingSelection, (before, after): (f64, f64)) {
    let weight = math::exp2(pending.faded - set.faded);
    let ArmSet { arms, shared, errors, .. } = set;
    let arm = &mut arms[pending.arm as usize];
    arm.reward += after - before;
    arm.successes += weight * (after - before);
    if pending.vector.is_empty() {
        return;
    }
    let error = |reward: f64| (reward - pending.predicted) * (reward - pending.predicted);
    errors.0 = (errors.0 + weight * (error(after) - error(before))).max(0.0);
    // A model made since then does not include the selection.
    let model = arm.linear.as_mut().filter(|_| pending.number >= arm.model_since);
    let Some(linear) = model else {
        return;
    };
    let mut x = wide(&pending.vector);
    if let Some(shared) = shared.as_mut().filter(|shared| shared.has_learnt(pending)) {
        let described = Described { own: Some(&**linear), features: &wide(&pending.features) };
        Arc::make_mut(shared).reward(&x, described, weight * (after - before));
    }
    Arc::make_mut(linear).reward(&mut x, weight * (after - before));
}

/// Takes a selection back whose reward is taken back already.
pub fn withdraw(set: &mut ArmSet, pending: &PendingSelection) {
    let weight = math::exp2(pending.faded - set.faded);
    set.withdrawn += 1;
    let ArmSet { arms, shared, errors, .. } = set;
    let arm = &mut arms[pending.arm as usize];
    arm.selections = arm.selections.saturating_sub(1);
    arm.weight = (arm.weight - weight).max(0.0);
    if pending.vector.is_empty() {
        return;
    }
    errors.0 = (errors.0 - weight * pending.predicted * pending.predicted).max(0.0);
    errors.1 = (errors.1 - weight).max(0.0);
    let Some(linear) = arm.linear.as_mut().filter(|_| pending.number >= arm.model_since) else {
        return;
    };
    let x = wide(&pending.vector);
    let mut root: Vec<f64> = x.iter().map(|x| x * weight.sqrt()).collect();
    Arc::make_mut(linear).withdraw(&mut root);
    if let Some(shared) = shared.as_mut().filter(|shared| shared.has_learnt(pending)) {
        let described = Described { own: Some(&**linear), features: &wide(&pending.features) };
        Arc::make_mut(shared).withdraw(&x, described, weight);
    }
}

fn narrow(x: &[f64]) -> Box<[f32]> {
    x.iter().map(|x| *x as f32).collect()
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}
