//! What lists do to experiments: which items they show, and how experiments divide them.
//!
//! - Interleaved: an event with an item of such a list is a credit for the variant that chose it.
//! - Drawn: a list is a unit by itself. It is settled when its time is over, or earlier when its decision
//!   is forgotten; only then the allocation learns.
//! - What is forgotten too early, since decisions fill their memory, is counted.

use std::sync::Arc;

use crate::Engine;
use crate::bandit::PendingDivision;
use crate::columns::interner::name_key;
use crate::domain::Decision;
use crate::domain::Division;
use crate::domain::Interaction;
use crate::domain::Timestamp;
use crate::learning::apply::decision_key;
use crate::state::View;

impl View {
    /// The experiment and the variant that an event is a credit for.
    pub(super) fn credited(&self, event: &Interaction) -> Option<(u32, u8)> {
        let decision = self.pending_decision(decision_key(event.decision_id.as_ref()?.as_str()))?;
        let division = decision.division.as_ref()?;
        let position = decision.position_of(name_key(event.item_id.as_str()))?;
        let is_users = decision.user == self.user_key(event.user_id.as_str());
        division.chosen_by(position).filter(|_| is_users)
    }
}

impl Engine {
    /// Counts the items of a list for the variants that acted on it.
    pub(super) fn cover_items(&mut self, decision: &Decision) {
        let experiments = &self.view.experiments;
        let mut covered: Vec<(u32, u8, u64)> = Vec::new();
        for assignment in decision.assignments.iter().filter(|it| !it.is_tester) {
            let number = assignment.experiment;
            let live = experiments.numbered(number);
            let Some(entry) = live.filter(|entry| entry.experiment.state.is_live()) else {
                continue;
            };
            let chosen_by = match decision.division.as_deref() {
                Some(Division::InTurns { experiment, chosen_by }) if *experiment == number => {
                    Some(chosen_by)
                }
                _ => None,
            };
            for (position, shown) in decision.shown.iter().enumerate() {
                let by = chosen_by.map(|by| by.get(position).copied().flatten());
                let Some(variant) = by.unwrap_or(Some(assignment.variant)) else {
                    continue;
                };
                let item = name_key(shown.item_id.as_str());
                if entry.is_covering(variant, item) {
                    covered.push((number, variant, item));
                }
            }
        }
        if covered.is_empty() {
            return;
        }
        let registry = Arc::make_mut(&mut self.view.experiments);
        for (number, variant, item) in covered {
            if let Some(entry) = registry.numbered_mut(number) {
                entry.cover(variant, item);
            }
        }
    }

    /// How a decision is divided, as long as its experiment is live; counts it.
    pub(super) fn begin_division(
        &mut self,
        decision: &Decision,
        recorded_at: Timestamp,
    ) -> Option<Box<PendingDivision>> {
        let division = decision.division.as_deref()?;
        let entry = self.view.experiments.numbered(division.experiment())?;
        let experiment = &entry.experiment;
        if !experiment.state.is_live() || !experiment.split.divides_lists() {
            return None;
        }
        let due = match division {
            Division::InTurns { .. } => None,
            Division::Drawn { variant, chances, .. } => {
                let variants = experiment.variants.len();
                if chances.len() != variants || usize::from(*variant) >= variants {
                    return None;
                }
                let (number, variant) = (entry.number, *variant);
                let due = recorded_at.plus_millis(1_000 * entry.longest_wait_seconds());
                let registry = Arc::make_mut(&mut self.view.experiments);
                if let Some(entry) = registry.numbered_mut(number) {
                    entry.count_exposure(variant, decision.segment);
                }
                Some(due)
            }
        };
        Some(Box::new(PendingDivision { division: division.clone(), due, fulfilled: 0 }))
    }

    /// Notes which metrics of a drawn list an event fulfils.
    pub(super) fn credit_list(&mut self, event: &Interaction, at: Timestamp) {
        let Some(decision_id) = &event.decision_id else {
            return;
        };
        let user = self.view.user_key(event.user_id.as_str());
        let Some(number) = self.view.decision_number(decision_key(decision_id.as_str())) else {
            return;
        };
        let View { decisions, experiments, .. } = &mut self.view;
        let Some(decision) = decisions.get(number).filter(|decision| decision.user == user) else {
            return;
        };
        let Some(pending) = decision.division.as_ref().filter(|it| it.due.is_some()) else {
            return;
        };
        let Some(entry) = experiments.numbered(pending.division.experiment()) else {
            return;
        };
        let seconds = at.whole_seconds_since(decision.decided_at);
        let counts = entry.experiment.metrics.iter().zip(0..).filter(|(metric, _)| {
            let (from, to) = metric.window;
            metric.measure.counts(event.kind) && (i64::from(from)..i64::from(to)).contains(&seconds)
        });
        let fulfilled = counts.fold(0_u16, |bits, (_, number)| bits | 1 << number);
        if fulfilled & !pending.fulfilled != 0
            && let Some(pending) = decisions.get_mut(number).and_then(|it| it.division.as_mut())
        {
            pending.fulfilled |= fulfilled;
        }
    }

    /// Takes in what came of drawn lists whose time is over. They wait for each other, and for nothing else:
    /// the takeover's trials are settled on their own.
    pub(super) fn settle_lists(&mut self, now: Timestamp) {
        while let Some(next) = self.view.decisions.get(self.view.counts.settled_lists) {
            let due = next.division.as_ref().and_then(|division| division.due);
            if due.is_some_and(|due| now < due) {
                break;
            }
            self.settle_next_list(now);
        }
    }

    pub(super) fn settle_next_list(&mut self, now: Timestamp) {
        let next = self.view.decisions.get(self.view.counts.settled_lists);
        let division = next.and_then(|decision| decision.division.clone());
        self.view.counts.settled_lists += 1;
        if let Some(division) = division {
            self.settle_list(&division, now);
        }
    }

    /// Counts the oldest decision for the experiment that divided its list, if what users do with it is not
    /// waited for any more: as long as the experiment would, or for the items of an interleaved list as long
    /// as decisions are held.
    pub(super) fn count_cut_short(&mut self, now: Timestamp) {
        let held = Timestamp::HOUR_MS * i64::from(self.view.settings.ranker.credit_hours);
        let View { decisions, experiments, .. } = &mut self.view;
        let Some(oldest) = decisions.oldest() else {
            return;
        };
        let Some(pending) = oldest.division.as_ref() else {
            return;
        };
        let Some(entry) = experiments.numbered(pending.division.experiment()) else {
            return;
        };
        let until = pending.due.unwrap_or_else(|| {
            let wait = 1_000 * entry.longest_wait_seconds();
            oldest.recorded_at.plus_millis(wait.min(held))
        });
        if entry.experiment.state.is_live() && now < until {
            let number = entry.number;
            if let Some(entry) = Arc::make_mut(experiments).numbered_mut(number) {
                entry.cut_short += 1;
            }
        }
    }

    /// Takes in what came of a drawn list.
    fn settle_list(&mut self, pending: &PendingDivision, now: Timestamp) {
        let Division::Drawn { experiment, variant, chances } = &pending.division else {
            return;
        };
        let live = self.view.experiments.numbered(*experiment);
        if live.is_none_or(|entry| !entry.experiment.state.is_live()) {
            return;
        }
        let registry = Arc::make_mut(&mut self.view.experiments);
        if let Some(entry) = registry.numbered_mut(*experiment) {
            entry.settle_list(*variant, chances, pending.fulfilled, now);
        }
    }
}
