//! Sampled requests, one after the other: both lists, and the weights of the logged one.
//!
//! Lists are made as Personalize makes them, on what is known now. The weights are of the logged list, so they
//! go by its record: its candidates, its time, and what the ranker believed of them then. What it has learnt
//! since, from the very rewards that are weighed, is not in them, and what the user did since excludes
//! nothing. Where a proposal changes beliefs (features, boosts, a ranker of its own), the change is that of
//! the present model.

use std::collections::HashMap;

use super::RehearsalFigures;
use super::RehearsedCall;
use super::RewardEstimate;
use super::recorded::RecordedCandidates;
use crate::service::decision_log::Rewards;
use crate::service::namespace::Namespace;
use crate::service::personalize::PersonalizeCall;
use crate::service::personalize::PinnedItem;
use crate::service::work_out::CallContext;
use crate::service::work_out::List;
use crate::service::work_out::work_out;
use engine::Cancelled;
use engine::Candidate;
use engine::Filter;
use engine::GiveUp;
use engine::Retrieval;
use engine::View;
use engine::domain::Decision;
use engine::domain::DecisionDetail;
use engine::domain::ShownItem;
use engine::domain::Timestamp;
use engine::evaluation::rehearsal::Facts;
use engine::evaluation::rehearsal::ListFacts;
use engine::evaluation::rehearsal::Lists;
use engine::evaluation::rehearsal::LoggedPosition;
use engine::evaluation::rehearsal::Rounds;
use engine::name_key;

/// Positions of a list that are weighed: below them hardly anything is earned, and each may cost a
/// ranking.
const WEIGHED: usize = 50;

/// What was worked out so far.
pub struct Rehearsing<'a> {
    namespace: &'a Namespace,
    view: &'a View,
    rewards: &'a Rewards,
    facts: Facts<'a>,
    lists: Lists,
    rounds: Rounds,
    users: HashMap<Box<str>, u32>,
    unweighed: u64,
}

/// What came of all of them.
pub struct Done {
    pub figures: RehearsalFigures,
    pub reward: Option<RewardEstimate>,
    pub unweighed: u64,
}

impl<'a> Rehearsing<'a> {
    pub fn new(
        namespace: &'a Namespace,
        view: &'a View,
        rewards: &'a Rewards,
        now: Timestamp,
    ) -> Self {
        Self {
            namespace,
            view,
            rewards,
            facts: Facts::new(view, now),
            lists: Lists::default(),
            rounds: Rounds::default(),
            users: HashMap::new(),
            unweighed: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    pub fn finish(self) -> Done {
        Done {
            figures: self.lists.figures(&self.facts),
            reward: self.rounds.estimate(),
            unweighed: self.unweighed,
        }
    }

    /// Works a request out.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn add(
        &mut self,
        decision: &Decision,
        detail: &DecisionDetail,
        calls: RehearsedCall,
        give_up: &GiveUp<'_>,
    ) -> Result<(), Cancelled> {
        let next = self.users.len() as u32;
        let user = self.rewards.user(decision.user_id.as_str());
        let user = *self.users.entry(user.into()).or_insert(next);
        let now = self.list(&calls.now, give_up)?;
        let proposed = self.list(&calls.proposed, give_up)?;
        self.lists.add(user, &now, &proposed);
        if !self.weigh(decision, detail, calls, user, give_up)? {
            self.unweighed += 1;
        }
        Ok(())
    }

    fn list(
        &mut self,
        call: &PersonalizeCall,
        give_up: &GiveUp<'_>,
    ) -> Result<ListFacts, Cancelled> {
        let Self { namespace, view, facts, .. } = self;
        let personal = |retrieval: &Retrieval<'_>| retrieval.personal();
        work_out(namespace, view, call, false, give_up, personal, |list: List<'_>| {
            let shown = list.ranked.items.iter().map(|item| list.candidates[item.candidate]);
            let shown: Vec<Candidate<'_>> = shown.collect();
            facts.of(list.request, &shown)
        })
    }

    /// Weighs the logged positions that were choices of the ranker; `false` when there are none, or
    /// they cannot be weighed.
    fn weigh(
        &mut self,
        decision: &Decision,
        detail: &DecisionDetail,
        calls: RehearsedCall,
        user: u32,
        give_up: &GiveUp<'_>,
    ) -> Result<bool, Cancelled> {
        let continued = decision.continues.as_ref();
        let is_of_takeover =
            decision.trial.is_some() || continued.is_some_and(|it| it.origin.is_some());
        let shown = &decision.shown[..decision.shown.len().min(WEIGHED)];
        let division = decision.division.as_deref();
        // What the ranking that chose first in a round would show next had no chance.
        let is_open =
            |position: u32| !division.is_some_and(|it| it.is_second_choice(position as usize));
        if is_of_takeover || shown.iter().all(is_pinned) {
            return Ok(false);
        }
        let among = RecordedCandidates::of(self.view, detail, &calls.logged.candidates);
        let RehearsedCall { now, proposed, logged } = calls;
        let as_then = |call: PersonalizeCall| as_then(decision, call, shown);
        let (now, proposed, logged) = (as_then(now), as_then(proposed), as_then(logged));
        let context = CallContext::now(self.namespace, self.view, &logged, false);
        let propensities = |call: PersonalizeCall| {
            let believes_alike = call.boosts == logged.boosts && call.ranked_by == logged.ranked_by;
            let mut among = among.clone();
            if !believes_alike {
                among = among.shifted(self.view, &context, (&logged, &call), give_up)?;
            }
            let shown = shown.iter().map(|one| (one.item_id.as_str(), is_pinned(one)));
            among.propensities(self.view, &context, &call, shown, give_up)
        };
        let (Some(now), Some(proposed)) = (propensities(now)?, propensities(proposed)?) else {
            return Ok(false);
        };
        let targets = now.into_iter().zip(proposed);
        for ((position, one), (now, proposed)) in (0..).zip(shown).zip(targets) {
            if is_pinned(one) || !is_open(position) {
                continue;
            }
            self.rounds.add(&LoggedPosition {
                item: name_key(one.item_id.as_str()),
                position,
                user,
                reward: f64::from(self.rewards.of(decision, one.item_id.as_str())),
                propensity: f64::from(one.propensity),
                targets: [now, proposed],
            });
        }
        Ok(true)
    }
}

/// A call as if it was made when the decision was, with the pins that it showed.
fn as_then(decision: &Decision, call: PersonalizeCall, shown: &[ShownItem]) -> PersonalizeCall {
    let pinned = shown.iter().enumerate().filter(|(_, one)| is_pinned(one));
    let pin = |(position, one): (usize, &ShownItem)| {
        let item_id = one.item_id.clone();
        PinnedItem { item_id, position }
    };
    let filter = Filter { frequency_cap_per_day: 0, ..call.filter };
    let (now, pins) = (decision.decided_at, pinned.map(pin).collect());
    PersonalizeCall { now, filter, pins, baseline: None, ..call }
}

/// A pinned item was no choice: nothing is learnt from it.
fn is_pinned(shown: &ShownItem) -> bool {
    shown.features.is_empty()
}
