//! Which ranker learns from a decision: the shared one, or that of the variant that made the list.

use std::sync::Arc;

use crate::bandit::OwnRankerId;
use crate::bandit::Ranker;
use crate::domain::Assignment;
use crate::experiments::Registry;

/// The ranker that made a list, if it is not the shared one.
pub fn own_ranker_of(assignments: &[Assignment]) -> Option<OwnRankerId> {
    let own = assignments.iter().find(|assignment| assignment.own_ranker)?;
    Some(OwnRankerId { experiment: own.experiment, variant: own.variant })
}

/// Lets the ranker of a decision learn. That of a variant whose experiment is over learns nothing,
/// and no other does in its place: it has not seen the impressions.
pub fn teach<T>(
    shared: &mut Arc<Ranker>,
    experiments: &mut Arc<Registry>,
    id: Option<OwnRankerId>,
    teach: impl FnOnce(&mut Ranker) -> T,
) -> T {
    let Some(OwnRankerId { experiment, variant }) = id else {
        return teach(Arc::make_mut(shared));
    };
    let entry = Arc::make_mut(experiments).numbered_mut(experiment);
    match entry.and_then(|entry| entry.own_ranker_mut(variant)) {
        Some(own) => teach(own.ranker_mut()),
        None => teach(&mut shared.forked()),
    }
}

/// Fades what rankers of variants have learnt, as the shared one does.
pub fn tick(experiments: &mut Arc<Registry>, half_life: u32, decisions: u64) {
    let has_own = experiments.live().any(|entry| entry.has_own_rankers());
    if half_life == 0 || !has_own || !Ranker::is_tick(decisions) {
        return;
    }
    let registry = Arc::make_mut(experiments);
    let numbers: Vec<u32> = registry.live().map(|entry| entry.number).collect();
    for number in numbers {
        let rankers = registry.numbered_mut(number).into_iter().flat_map(|it| it.own_rankers_mut());
        rankers.for_each(|own| Arc::make_mut(own).ranker_mut().tick(half_life, decisions));
    }
}
