//! One call of Personalize: retrieve, rank, answer, leave the decision to be logged.
//!
//! It works on one view and takes no lock and no database.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Service;
use super::blocking::Deadline;
use super::blocking::Expiry;
use super::degradation::Degradation;
use super::degradation::DegradedReason;
use super::error::Error;
use super::known_decisions::Named;
use super::namespace::Namespace;
use super::predictions::PredictionKey;
use super::reasons::ReasonInWords;
use super::reasons::in_words;
use super::recording::RequestRecord;
use super::recording::decision;
use super::work_out::item_of;
use super::work_out::work_out;
use engine::Boost;
use engine::Cancelled;
use engine::Candidate;
use engine::Choice;
use engine::EarlierPages;
use engine::Filter;
use engine::GiveUp;
use engine::ItemIndex;
use engine::RankedBy;
use engine::RankedItem;
use engine::Retrieval;
use engine::Rival;
use engine::View;
use engine::domain::Assignment;
use engine::domain::Attributes;
use engine::domain::BaselineOrder;
use engine::domain::Decision;
use engine::domain::DecisionId;
use engine::domain::Exposure;
use engine::domain::Item;
use engine::domain::ItemId;
use engine::domain::LanguageTag;
use engine::domain::ListOrigin;
use engine::domain::Timestamp;
use engine::domain::UserId;

/// Catalogue size from which finding what suits a user takes longer than asking the cache.
const REMEMBERED_ITEMS_MIN: usize = 20_000;

/// What stands to choose from. No item is there twice, as far as the request says.
#[derive(Debug, Clone)]
pub struct Candidates {
    /// As the request describes them; the catalogue may describe them otherwise.
    pub items: Vec<Arc<Item>>,
    /// Of the catalogue.
    pub ids: Vec<ItemId>,
    /// Whether the catalogue is searched for more.
    pub retrieve: bool,
}

impl Candidates {
    /// Whether an item is not ruled out from the start.
    pub(super) fn may_be(&self, item_id: &ItemId) -> bool {
        self.retrieve || self.ids.contains(item_id) || self.described(item_id.as_str()).is_some()
    }

    /// The item as the request describes it.
    pub(super) fn described(&self, item_id: &str) -> Option<&Arc<Item>> {
        self.items.iter().find(|item| item.item_id.as_str() == item_id)
    }
}

/// An item that the caller wants at a position of the list, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedItem {
    pub item_id: ItemId,
    pub position: usize,
}

/// One call, checked.
#[derive(Debug, Clone)]
pub struct PersonalizeCall {
    pub user_id: UserId,
    pub decision_id: DecisionId,
    /// The page before, where this is a later page of a list.
    pub continue_from: Option<DecisionId>,
    /// What the pages up to that one have shown.
    pub earlier: Arc<EarlierPages>,
    pub candidates: Candidates,
    pub filter: Filter,
    pub choice: Choice,
    pub pins: Vec<PinnedItem>,
    pub boosts: Vec<Boost>,
    pub now: Timestamp,
    pub utc_offset_minutes: i32,
    pub device_type: Option<Box<str>>,
    pub location: Option<Box<str>>,
    /// Of the context of the request.
    pub attributes: Attributes,
    /// Of the titles in the answer.
    pub language: Option<LanguageTag>,
    /// The order of the caller, if it has one; no item twice.
    pub baseline: Option<BaselineOrder>,
    pub explain: bool,
    /// The variants of experiments that act on it.
    pub assignments: Vec<Assignment>,
    /// What they change of the ranker.
    pub ranked_by: RankedBy,
    /// Where one of them divides lists.
    pub division: Option<Box<CallDivision>>,
    /// Of an experiment of the caller; recorded, and without any effect.
    pub variant: Option<Box<str>>,
    /// What the decision's record is to say of the request.
    pub record: RequestRecord,
}

/// How an experiment divides the list of a call.
#[derive(Debug, Clone)]
pub enum CallDivision {
    /// What the call says fills the list in turns with this.
    InTurns { experiment: u32, rival: Rival },
    /// The call is of a variant that was drawn with these chances.
    Drawn { experiment: u32, variant: u8, chances: Vec<f32> },
}

#[derive(Debug)]
pub struct Recommendation {
    pub item_id: ItemId,
    pub title: String,
    pub score: f64,
    pub propensity: f64,
    pub components: BTreeMap<&'static str, f64>,
    pub reasons: Vec<ReasonInWords>,
}

#[derive(Debug)]
pub struct Answer {
    pub recommendations: Vec<Recommendation>,
    pub origin: ListOrigin,
    pub model_version: u64,
    pub watermark: u64,
    pub degraded: Vec<Degradation>,
    pub unknown_candidate_ids: Vec<String>,
}

impl PersonalizeCall {
    /// The items of the caller's own order.
    pub(super) fn baseline_items(&self) -> &[ItemId] {
        match &self.baseline {
            Some(BaselineOrder::Items(items)) => items,
            Some(BaselineOrder::Popular) | None => &[],
        }
    }
}

impl Service {
    /// Ranks for a user on the given view of the namespace.
    ///
    /// # Errors
    /// Those of [`Reads::run`](super::Reads::run), and of a list that cannot be continued.
    pub async fn personalize(
        &self,
        namespace: &Arc<Namespace>,
        view: Arc<View>,
        call: PersonalizeCall,
        deadline: Deadline,
    ) -> Result<Answer, Error> {
        let started = std::time::Instant::now();
        let capped = call.filter.frequency_cap_per_day > 0;
        let is_bounded = view.settings().ranker.exploration_allowance.is_some();
        let is_recorded = call.record.is_requested();
        let (mut answer, decision) = self.work_out(namespace, view.clone(), call, deadline).await?;
        answer.degraded.extend(self.degraded(namespace));
        if decision.shown.is_empty() {
            // No decision says that the user was exposed; without it, a variant that shows less
            // would lose users.
            let (user_id, assignments) = (decision.user_id.as_str(), &decision.assignments);
            let unexposed = view.unexposed_without_list(user_id, assignments);
            if !unexposed.is_empty() {
                self.writer.offer_exposure(&namespace.tail, exposure(&decision, unexposed));
            }
        }
        if !decision.shown.is_empty() {
            namespace.unlearnt_pages.add(&decision);
            if is_bounded {
                namespace.unlearnt_costs.add(&decision);
            }
            if capped {
                namespace.unlearnt_impressions.add(&decision);
            }
            if is_recorded && decision.detail.is_none() {
                self.metrics.decision_details_left_out.inc();
            }
            let named = Named::decision(decision.decision_id.as_str());
            if self.writer.offer_decision(&namespace.tail, decision) {
                namespace.known_decisions.add(named);
            }
        }
        if !answer.degraded.is_empty() {
            self.metrics.degraded_answers.inc();
        }
        self.metrics.personalize_seconds.observe(started.elapsed().as_secs_f64());
        Ok(answer)
    }

    /// Why an answer of this moment may be worse than it should be.
    fn degraded(&self, namespace: &Namespace) -> Vec<Degradation> {
        let lag = namespace.lag();
        let late = (lag > self.ready_lag_records).then(|| {
            Degradation::new(DegradedReason::BehindLog, format!("{lag} records behind the log"))
        });
        let store = self.store.health().degraded();
        [namespace.impairment(), store, late].into_iter().flatten().collect()
    }

    /// On the threads of the reads, however small: many calls at once must not keep the
    /// threads that serve the other calls.
    async fn work_out(
        &self,
        namespace: &Arc<Namespace>,
        view: Arc<View>,
        call: PersonalizeCall,
        deadline: Deadline,
    ) -> Result<(Answer, Decision), Error> {
        let searches = call.candidates.retrieve && view.items_len() > REMEMBERED_ITEMS_MIN;
        let user = view.user_index(call.user_id.as_str());
        // Which items are allowed by time or by what was shown changes under the key. Of a user who is
        // not profiled nothing is found, and nothing is kept.
        let is_first_page = call.continue_from.is_none();
        let user = user.filter(|_| searches && is_first_page && call.filter.is_timeless());
        let user = user.filter(|&user| view.user(user).is_profiled());
        let key = user.map(|user| {
            let key = PredictionKey {
                partition: &namespace.tail.partition,
                user,
                user_changed_at: view.user(user).changed_at,
                model_version: view.model_version(),
                settings_at: view.settings_at(),
                filter: &call.filter,
            };
            key.text()
        });
        let known = match &key {
            Some(key) => self.predictions.get(key).await,
            None => None,
        };
        let key = key.filter(|_| known.is_none());
        let (worker, predictions) = (namespace.clone(), self.predictions.clone());
        let remembered = known.is_some();
        let personal = move |retrieval: &Retrieval<'_>| {
            if let Some(known) = known {
                return Ok(known);
            }
            let found = retrieval.personal()?;
            if let Some(key) = key {
                predictions.put(key, &found);
            }
            Ok(found)
        };
        let work = move |expiry: &Expiry| {
            expiry.bound(|give_up| answer(&worker, &view, call, remembered, give_up, personal))
        };
        self.reads.run(deadline, work).await?
    }
}

fn exposure(decision: &Decision, assignments: Vec<Assignment>) -> Exposure {
    Exposure {
        user_id: decision.user_id.clone(),
        exposed_at: decision.decided_at,
        segment: decision.segment,
        assignments,
    }
}

/// `personal`: finds, or remembers, what suits the user when the catalogue is searched;
/// `remembered` says which.
fn answer(
    namespace: &Namespace,
    view: &View,
    mut call: PersonalizeCall,
    remembered: bool,
    give_up: &GiveUp<'_>,
    personal: impl FnOnce(&Retrieval<'_>) -> Result<Vec<ItemIndex>, Cancelled>,
) -> Result<(Answer, Decision), Cancelled> {
    let request = std::mem::take(&mut call.record);
    work_out(namespace, view, &call, request.is_there(), give_up, personal, |list| {
        let decision = decision(view, &call, &list, request, remembered);
        let origin = list.ranked.origin.unwrap_or(ListOrigin::Ranker);
        let language = call.language.as_ref();
        let items = list.ranked.items.into_iter();
        let items = items.map(|item| recommendation(view, list.candidates, item, language));
        let answer = Answer {
            recommendations: items.collect(),
            origin,
            model_version: view.model_version(),
            watermark: view.watermark(),
            degraded: Vec::new(),
            unknown_candidate_ids: list.unknown,
        };
        (answer, decision)
    })
}

fn recommendation(
    view: &View,
    candidates: &[Candidate<'_>],
    ranked: RankedItem,
    language: Option<&LanguageTag>,
) -> Recommendation {
    let reasons = ranked.reasons.into_iter().map(|reason| in_words(view, reason, language));
    let item = item_of(&candidates[ranked.candidate]);
    Recommendation {
        item_id: item.item_id.clone(),
        title: item.title_in(language).to_owned(),
        score: ranked.score,
        propensity: ranked.propensity,
        components: ranked.components,
        reasons: reasons.collect(),
    }
}
