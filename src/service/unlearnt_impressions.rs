//! What this replica showed a moment ago, until it has learnt it from the log.
//!
//! A decision is in the log within about 25 ms and then in the view. Between an answer
//! and that, frequency caps would not count it: a page that asks twice at once would
//! get an item once too often. So answers under a cap are kept here when they are
//! made, and counted until the view has them.
//!
//! Bounded in bytes, over all and for each user, the newest answer apart; what another
//! replica shows, or what does not fit, counts once it is learnt.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use engine::View;
use engine::decision_key;
use engine::domain::Decision;
use engine::domain::Timestamp;

/// Bytes of the last answers of all users.
const BYTES: u64 = 16 * 1024 * 1024;
/// Of an answer of 20 items.
const USER_BYTES: u64 = 1_024;
/// Bytes of each user, without the newest answer: some 60 answers of 20 items.
const USER_BYTES_MAX: u64 = 64 * 1024;
/// What is made within a minute is learnt by then, or lost.
const KEPT_MS: i64 = 60_000;

#[derive(Debug, Clone)]
struct Shown {
    decision: u128,
    at: Timestamp,
    item_ids: Arc<[Box<str>]>,
    bytes: u64,
}

/// The last answers of a user, the oldest first.
#[derive(Debug, Default)]
struct Answers {
    answers: Vec<Shown>,
    bytes: u64,
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Box<str>, Arc<Answers>> for Bytes {
    fn weight(&self, user_id: &Box<str>, answers: &Arc<Answers>) -> u64 {
        user_id.len() as u64 + answers.bytes
    }
}

/// By the id that a request named, since a new user has no index yet. A user has all of the ids
/// that were merged into it.
#[derive(Debug)]
pub struct UnlearntImpressions(Cache<Box<str>, Arc<Answers>, Bytes>);

impl Default for UnlearntImpressions {
    fn default() -> Self {
        Self(Cache::with_weighter((BYTES / USER_BYTES) as usize, BYTES, Bytes))
    }
}

impl UnlearntImpressions {
    /// Keeps an answer that is about to go out.
    pub fn add(&self, decision: &Decision) {
        let item_ids: Arc<[Box<str>]> =
            decision.shown.iter().map(|shown| shown.item_id.as_str().into()).collect();
        let ids: usize = item_ids.iter().map(|id| size_of_val(id) + id.len()).sum();
        let shown = Shown {
            decision: decision_key(decision.decision_id.as_str()),
            at: decision.decided_at,
            item_ids,
            bytes: (size_of::<Shown>() + ids) as u64,
        };
        let user = decision.user_id.as_str();
        let oldest = decision.decided_at.plus_millis(-KEPT_MS);
        let known = self.0.get(user).unwrap_or_default();
        let mut earlier = 0;
        let fits = |answer: &&Shown| {
            earlier += answer.bytes;
            earlier <= USER_BYTES_MAX
        };
        let recent = known.answers.iter().rev().filter(|answer| answer.at > oldest);
        let mut answers: Vec<Shown> = recent.take_while(fits).cloned().collect();
        answers.reverse();
        answers.push(shown);
        let bytes = answers.iter().map(|answer| answer.bytes).sum();
        let answers = Answers { answers, bytes };
        self.0.insert(user.into(), Arc::new(answers));
    }

    /// Ids of items shown to a user that the view does not know of, once for each impression.
    pub fn of(&self, view: &View, user_id: &str, now: Timestamp) -> Vec<Box<str>> {
        let aliases = view.aliases();
        let ids = std::iter::once(aliases.resolve(user_id)).chain(aliases.of(user_id));
        let oldest = now.plus_millis(-KEPT_MS);
        let is_new = |answer: &Shown| {
            answer.at > oldest && !view.knows_impressions(user_id, answer.decision)
        };
        let mut shown = Vec::new();
        for known_here in ids.filter_map(|id| self.0.get(id)) {
            let answers = known_here.answers.iter().filter(|answer| is_new(answer));
            shown.extend(answers.flat_map(|answer| answer.item_ids.iter().cloned()));
        }
        shown
    }
}
