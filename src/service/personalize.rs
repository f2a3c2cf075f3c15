//! One call of Personalize: retrieve, rank, answer, leave the decision to be logged.
//!
//! It works on one view and takes no lock and no database.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Service;
use super::error::Error;
use super::namespace::Namespace;
use super::predictions::PredictionKey;
use crate::domain::Decision;
use crate::domain::DecisionId;
use crate::domain::Item;
use crate::domain::ItemId;
use crate::domain::ShownItem;
use crate::domain::Timestamp;
use crate::domain::UserId;
use crate::engine::Boost;
use crate::engine::Candidate;
use crate::engine::Choice;
use crate::engine::Eligibility;
use crate::engine::Entry;
use crate::engine::Filter;
use crate::engine::Occasion;
use crate::engine::Pin;
use crate::engine::RankRequest;
use crate::engine::Ranked;
use crate::engine::RankedItem;
use crate::engine::Reason;
use crate::engine::Retrieval;
use crate::engine::SparseVector;
use crate::engine::Supply;
use crate::engine::View;
use crate::engine::rank;

/// Catalogue size from which a retrieval is work for a blocking thread.
const RETRIEVE_INLINE_MAX: usize = 20_000;
/// Text of the request's own candidates from which the same holds: about 1 ms.
const TEXT_INLINE_BYTES_MAX: usize = 64 * 1024;

/// What stands to choose from.
#[derive(Debug)]
pub enum Candidates {
    Given { items: Vec<Arc<Item>>, ids: Vec<ItemId> },
    Catalogue,
}

/// An item that the caller wants at a place of the list, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedItem {
    pub item_id: ItemId,
    pub place: usize,
}

/// One call, checked.
#[derive(Debug)]
pub struct PersonalizeCall {
    pub user_id: UserId,
    pub decision_id: DecisionId,
    pub candidates: Candidates,
    pub filter: Filter,
    pub choice: Choice,
    pub pins: Vec<PinnedItem>,
    pub boosts: Vec<Boost>,
    pub now: Timestamp,
    pub utc_offset_minutes: i32,
    pub device_type: Option<Box<str>>,
    pub location: Option<Box<str>>,
    pub explain: bool,
}

#[derive(Debug)]
pub struct Recommendation {
    pub item_id: ItemId,
    pub title: String,
    pub score: f64,
    pub propensity: f64,
    pub components: BTreeMap<&'static str, f64>,
    pub reasons: Vec<String>,
}

#[derive(Debug)]
pub struct Answer {
    pub recommendations: Vec<Recommendation>,
    pub model_version: u64,
    pub watermark: u64,
    pub degraded: Vec<String>,
    pub unknown_candidate_ids: Vec<String>,
}

impl PersonalizeCall {
    /// Whether the work is too long for a thread that serves others.
    fn is_large(&self, view: &View) -> bool {
        match &self.candidates {
            Candidates::Catalogue => is_large_catalogue(view),
            Candidates::Given { items, .. } => {
                let text: usize = items.iter().map(|item| item.content.len()).sum();
                text > TEXT_INLINE_BYTES_MAX
            }
        }
    }
}

fn is_large_catalogue(view: &View) -> bool {
    view.items_len() > RETRIEVE_INLINE_MAX
}

impl Service {
    /// Ranks for a person on the given view of the namespace.
    ///
    /// # Errors
    /// `Overloaded`; `ShuttingDown` when the work was cut off.
    pub async fn personalize(
        &self,
        namespace: &Arc<Namespace>,
        view: Arc<View>,
        call: PersonalizeCall,
    ) -> Result<Answer, Error> {
        let started = std::time::Instant::now();
        let capped = call.filter.frequency_cap_per_day > 0;
        let (mut answer, decision) = if call.is_large(&view) {
            let _permit = self.heavy_calls.try_acquire().map_err(|_none_left| {
                Error::Overloaded("too many large requests are being answered")
            })?;
            self.answer_large(namespace, view, call).await?
        } else {
            answer(namespace, &view, &call, |retrieval| retrieval.personal())
        };
        answer.degraded.extend(self.degraded(namespace));
        if !decision.shown.is_empty() {
            if capped {
                namespace.unlearnt_showings.note(&decision);
            }
            self.writer.offer_decision(&namespace.tail, decision);
        }
        if !answer.degraded.is_empty() {
            self.metrics.degraded_answers.inc();
        }
        self.metrics.personalize_seconds.observe(started.elapsed().as_secs_f64());
        Ok(answer)
    }

    /// Why an answer of this moment may be worse than it should be.
    fn degraded(&self, namespace: &Namespace) -> Vec<String> {
        let stopped = namespace.stopped().map(|reason| format!("learning stopped: {reason}"));
        let store = self.store.health().degraded().map(str::to_owned);
        let lag = namespace.lag();
        let late = (lag > self.ready_lag_records).then(|| format!("{lag} records behind the log"));
        [stopped, store, late].into_iter().flatten().collect()
    }

    async fn answer_large(
        &self,
        namespace: &Arc<Namespace>,
        view: Arc<View>,
        call: PersonalizeCall,
    ) -> Result<(Answer, Decision), Error> {
        let searches = matches!(call.candidates, Candidates::Catalogue);
        let user = view.user_index(call.user_id.as_str());
        // Who may come along by time or by what was shown changes under the key.
        let user = user.filter(|_| searches && call.filter.is_timeless());
        let key = user.map(|user| {
            let key = PredictionKey {
                partition: &namespace.tail.partition,
                user,
                user_changed_at: view.user(user).changed_at,
                model_version: view.model_version(),
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
        let work = move || {
            answer(&worker, &view, &call, |retrieval| {
                known.unwrap_or_else(|| {
                    let found = retrieval.personal();
                    if let Some(key) = key {
                        predictions.put(key, &found);
                    }
                    found
                })
            })
        };
        tokio::task::spawn_blocking(work).await.map_err(|_panicked| Error::ShuttingDown)
    }
}

/// Candidates as the view or the request describes them, allowed by the filter.
struct Pool {
    indices: Vec<u32>,
    inline: Vec<(Option<u32>, Entry, SparseVector)>,
    unknown: Vec<String>,
}

impl Pool {
    fn candidates<'a>(&'a self, view: &'a View) -> Vec<Candidate<'a>> {
        let known = self.indices.iter().map(|&index| Candidate::known(view, index));
        let inline = self.inline.iter().map(|(index, entry, terms)| Candidate {
            index: *index,
            entry,
            terms,
        });
        known.chain(inline).collect()
    }

    /// Pinned items that are no candidates yet: of the request as it describes them,
    /// else of the catalogue. Personal rules are none against them.
    fn add_pinned(&mut self, view: &View, eligible: &Eligibility<'_>, call: &PersonalizeCall) {
        for pin in &call.pins {
            let id = pin.item_id.as_str();
            let index = view.item_index(id);
            let is_it =
                |entry: &Entry| entry.item.as_ref().is_some_and(|item| item.item_id == pin.item_id);
            let known = index.is_some_and(|index| self.indices.contains(&index))
                || self.inline.iter().any(|(_, entry, _)| is_it(entry));
            if known {
                continue;
            }
            let described = match &call.candidates {
                Candidates::Given { items, .. } => {
                    items.iter().find(|item| item.item_id == pin.item_id)
                }
                Candidates::Catalogue => None,
            };
            if let Some(item) = described {
                let (entry, terms) = view.describe_inline(item.clone());
                if eligible.allows_pinned(&entry) {
                    self.inline.push((index, entry, terms));
                }
            } else if let Some(index) = index
                && eligible.allows_pinned(view.entry(index))
            {
                self.indices.push(index);
            }
        }
    }
}

/// `personal`: finds, or remembers, what suits the person when the catalogue is searched.
fn answer(
    namespace: &Namespace,
    view: &View,
    call: &PersonalizeCall,
    personal: impl FnOnce(&Retrieval<'_>) -> Vec<u32>,
) -> (Answer, Decision) {
    let user_index = view.user_index(call.user_id.as_str());
    let user = user_index.map(|index| view.user(index).as_ref());
    let context = namespace.user_contexts.get(view, user_index);
    let location = call.location.as_ref().and_then(|location| view.location_index(location));
    let shown = match call.filter.frequency_cap_per_day {
        0 => Vec::new(),
        _ => namespace.unlearnt_showings.of(view, call.user_id.as_str(), user_index, call.now),
    };
    let eligible = Eligibility::new(view, &call.filter, user_index, &context, call.now, &shown);
    let mut pool = match &call.candidates {
        Candidates::Given { items, ids } => given(view, &eligible, items, ids),
        Candidates::Catalogue => {
            let (seed_key, now) = (call.decision_id.as_str().as_bytes(), call.now);
            let (context, eligible) = (&*context, &eligible);
            let retrieval = Retrieval { view, user, context, eligible, location, now, seed_key };
            let supply = Supply::of(&call.choice, &call.boosts);
            let indices = retrieval.complete(personal(&retrieval), &supply);
            Pool { indices, inline: Vec::new(), unknown: Vec::new() }
        }
    };
    pool.add_pinned(view, &eligible, call);
    let candidates = pool.candidates(view);
    let device = call.device_type.as_ref().and_then(|device| view.device_index(device));
    let pins = pins(&candidates, &call.pins, &eligible);
    let request = RankRequest {
        user,
        context: &context,
        occasion: Occasion {
            now: call.now,
            utc_offset_minutes: call.utc_offset_minutes,
            device,
            location,
        },
        choice: call.choice,
        boosts: &call.boosts,
        pins: &pins,
        explain: call.explain,
        decision_id: call.decision_id.as_str(),
    };
    let ranked = rank(view, &candidates, &request);
    let decision = decision(view, call, &candidates, &ranked);
    let recommendations =
        ranked.items.into_iter().map(|item| recommendation(view, &candidates, item)).collect();
    let answer = Answer {
        recommendations,
        model_version: view.model_version(),
        watermark: view.watermark(),
        degraded: Vec::new(),
        unknown_candidate_ids: pool.unknown,
    };
    (answer, decision)
}

/// Where the pinned items are among the candidates; those that are not there or may
/// not be shown have no place.
fn pins(
    candidates: &[Candidate<'_>],
    pinned: &[PinnedItem],
    eligible: &Eligibility<'_>,
) -> Vec<Pin> {
    let place_of = |pin: &PinnedItem| {
        let is_it = |candidate: &Candidate<'_>| {
            let item = candidate.entry.item.as_ref();
            item.is_some_and(|item| item.item_id == pin.item_id)
        };
        let candidate = candidates.iter().position(is_it)?;
        eligible
            .allows_pinned(candidates[candidate].entry)
            .then_some(Pin { candidate, place: pin.place })
    };
    pinned.iter().filter_map(place_of).collect()
}

fn given(view: &View, eligible: &Eligibility<'_>, items: &[Arc<Item>], ids: &[ItemId]) -> Pool {
    let mut pool = Pool { indices: Vec::new(), inline: Vec::new(), unknown: Vec::new() };
    for id in ids {
        match view.item_index(id.as_str()).filter(|&index| view.entry(index).item.is_some()) {
            Some(index) => pool.indices.push(index),
            None => pool.unknown.push(id.as_str().to_owned()),
        }
    }
    pool.indices.sort_unstable();
    pool.indices.dedup();
    pool.indices.retain(|&index| eligible.allows(view.entry(index), Some(index)));
    let mut described = std::collections::BTreeSet::new();
    for item in items {
        let index = view.item_index(item.item_id.as_str());
        let again = !described.insert(item.item_id.as_str())
            || index.is_some_and(|index| pool.indices.binary_search(&index).is_ok());
        if again {
            continue;
        }
        let (entry, terms) = view.describe_inline(item.clone());
        if eligible.allows(&entry, index) {
            pool.inline.push((index, entry, terms));
        }
    }
    pool
}

fn item_of<'a>(candidate: &'a Candidate<'_>) -> &'a Item {
    candidate.entry.item.as_deref().expect("the filter lets only described items through")
}

fn recommendation(view: &View, candidates: &[Candidate<'_>], ranked: RankedItem) -> Recommendation {
    let item = item_of(&candidates[ranked.candidate]);
    Recommendation {
        item_id: item.item_id.clone(),
        title: item.title.clone(),
        score: ranked.score,
        propensity: ranked.propensity,
        components: ranked.components,
        reasons: ranked.reasons.iter().map(|reason| in_words(view, reason)).collect(),
    }
}

fn decision(
    view: &View,
    call: &PersonalizeCall,
    candidates: &[Candidate<'_>],
    ranked: &Ranked,
) -> Decision {
    Decision {
        decision_id: call.decision_id.clone(),
        user_id: call.user_id.clone(),
        decided_at: call.now,
        strategy: call.choice.strategy,
        epsilon: call.choice.epsilon as f32,
        model_version: view.model_version(),
        watermark: view.watermark(),
        candidates: candidates.len() as u32,
        shown: ranked
            .items
            .iter()
            .map(|item| ShownItem {
                item_id: item_of(&candidates[item.candidate]).item_id.clone(),
                score: item.estimate as f32,
                propensity: item.propensity as f32,
                // Without features the ranker learns nothing from it.
                features: if item.pinned { Vec::new() } else { item.features.clone() },
            })
            .collect(),
    }
}

/// A reason as a sentence for the person who sees the recommendation.
fn in_words(view: &View, reason: &Reason) -> String {
    match reason {
        Reason::BecauseOf(index) => {
            let item = view.entry(*index).item.as_ref();
            let title = item.map(|item| item.title.as_str()).filter(|title| !title.is_empty());
            format!("because you liked {}", title.unwrap_or_else(|| view.item_id(*index)))
        }
        Reason::YourTaste => "people with your taste like it".to_owned(),
        Reason::LikeYourContent => "similar in content to what you like".to_owned(),
        Reason::Topic(topic) => format!("you like {}", view.topic_name(*topic)),
        Reason::Popular => "popular".to_owned(),
        Reason::Trending => "trending now".to_owned(),
        Reason::PopularInCohort => "popular with people like you".to_owned(),
        Reason::Fresh => "new".to_owned(),
        Reason::Exploration => "something different".to_owned(),
        Reason::Pinned => "selected for you".to_owned(),
    }
}
