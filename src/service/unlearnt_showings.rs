//! What this replica showed a moment ago, until it has learnt it from the log.
//!
//! A decision is in the log within about 25 ms and then in the view. Between an answer
//! and that, frequency caps would not count it: a page that asks twice at once would
//! get an item once too often. So answers under a cap are noted here when they are
//! made, and counted until the view has them.
//!
//! Bounded in people and in answers of each; what another replica shows counts once
//! it is learnt.

use std::sync::Arc;

use quick_cache::sync::Cache;

use engine::View;
use engine::decision_key;
use engine::domain::Decision;
use engine::domain::Timestamp;

/// People whose last answers are kept.
const CAPACITY: usize = 16_384;
/// Answers of each person: what is made within a minute is learnt by then, or lost.
const ANSWERS_MAX: usize = 64;
const KEPT_MS: i64 = 60_000;

#[derive(Debug, Clone)]
struct Shown {
    decision: u128,
    at: Timestamp,
    item_ids: Arc<[Box<str>]>,
}

/// By user id, since a new person has no index yet.
#[derive(Debug)]
pub struct UnlearntShowings(Cache<Box<str>, Arc<Vec<Shown>>>);

impl Default for UnlearntShowings {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl UnlearntShowings {
    /// Notes an answer that is about to go out.
    pub fn note(&self, decision: &Decision) {
        let item_ids = decision.shown.iter().map(|shown| shown.item_id.as_str().into()).collect();
        let shown = Shown {
            decision: decision_key(decision.decision_id.as_str()),
            at: decision.decided_at,
            item_ids,
        };
        let user = decision.user_id.as_str();
        let oldest = decision.decided_at.plus_millis(-KEPT_MS);
        let mut answers = self.0.get(user).unwrap_or_default().as_ref().clone();
        answers.retain(|answer| answer.at > oldest);
        let surplus = (answers.len() + 1).saturating_sub(ANSWERS_MAX);
        answers.drain(..surplus);
        answers.push(shown);
        self.0.insert(user.into(), Arc::new(answers));
    }

    /// Ids of items shown to a person that the view does not know of, once for each showing.
    pub fn of(&self, view: &View, user_id: &str, now: Timestamp) -> Vec<Box<str>> {
        let Some(answers) = self.0.get(user_id) else {
            return Vec::new();
        };
        let oldest = now.plus_millis(-KEPT_MS);
        answers
            .iter()
            .filter(|answer| answer.at > oldest && !view.knows_showings(user_id, answer.decision))
            .flat_map(|answer| answer.item_ids.iter().cloned())
            .collect()
    }
}
