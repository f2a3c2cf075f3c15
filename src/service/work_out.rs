//! A Personalize call worked out on a view: candidates, rules, ranking.
//!
//! What is not in the view or the call is a [`CallContext`], so that a recorded call can
//! be worked out again without the process that answered it.
//!
//! Everything that answers or explains a list comes through [`work_out`], so that what
//! is said about a list is about the list that is answered.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use super::earlier_pages;
use super::earlier_pages::AboveItems;
use super::namespace::Namespace;
use super::personalize::CallDivision;
use super::personalize::Candidates;
use super::personalize::PersonalizeCall;
use super::personalize::PinnedItem;
use super::user_contexts::Derived;
use engine::Baseline;
use engine::Boost;
use engine::Cancelled;
use engine::Candidate;
use engine::Choice;
use engine::Earlier;
use engine::Eligibility;
use engine::Entry;
use engine::GiveUp;
use engine::ItemIndex;
use engine::Pin;
use engine::RankRequest;
use engine::Ranked;
use engine::RequestContext;
use engine::RequestValues;
use engine::Retrieval;
use engine::Rival;
use engine::Supply;
use engine::TermVectors;
use engine::View;
use engine::domain::BaselineOrder;
use engine::domain::Item;
use engine::draw_key;
use engine::rank;
use engine::user_boosts;

/// A list with what it was chosen from.
pub struct List<'a> {
    pub candidates: &'a [Candidate<'a>],
    pub request: &'a RankRequest<'a>,
    pub eligible: &'a Eligibility<'a>,
    pub retrieval: &'a Retrieval<'a>,
    pub ranked: Ranked,
    pub call_context: &'a CallContext,
    /// Candidates of the request that the catalogue does not have.
    pub unknown: Vec<String>,
}

/// What a call is worked out with in addition to its view.
#[derive(Debug)]
pub struct CallContext {
    /// What is derived of the user.
    pub derived: Derived,
    /// Ids of items in impressions that the view does not know yet, once for each.
    pub shown: Vec<Box<str>>,
    /// What exploring cost in decisions that the view does not know yet; looked at with an
    /// allowance only.
    pub unlearnt_cost: f64,
    /// Whether standard deviations of all candidates are recorded.
    pub deviations: bool,
}

impl CallContext {
    pub(super) fn now(
        namespace: &Namespace,
        view: &View,
        call: &PersonalizeCall,
        deviations: bool,
    ) -> Self {
        let user = view.user_index(call.user_id.as_str());
        let shown = match call.filter.frequency_cap_per_day {
            0 => Vec::new(),
            _ => namespace.unlearnt_impressions.of(view, call.user_id.as_str(), call.now),
        };
        let unlearnt_cost = match view.settings().ranker.exploration_allowance {
            None => 0.0,
            Some(_) => namespace.unlearnt_costs.beyond(view, call.now),
        };
        let derived = namespace.user_contexts.get(view, user);
        Self { derived, shown, unlearnt_cost, deviations }
    }
}

/// Ranks, and hands the list to `look`. `deviations`: whether those of all candidates are
/// recorded; `personal` finds, or remembers, what suits the user when the catalogue is
/// searched.
///
/// # Errors
/// `Cancelled` when `give_up` says so.
pub fn work_out<T>(
    namespace: &Namespace,
    view: &View,
    call: &PersonalizeCall,
    deviations: bool,
    give_up: &GiveUp<'_>,
    personal: impl FnOnce(&Retrieval<'_>) -> Result<Vec<ItemIndex>, Cancelled>,
    look: impl FnOnce(List<'_>) -> T,
) -> Result<T, Cancelled> {
    let call_context = CallContext::now(namespace, view, call, deviations);
    work_out_with(view, call, &call_context, give_up, personal, look)
}

/// The same with the given context.
///
/// # Errors
/// As [`work_out`].
pub fn work_out_with<T>(
    view: &View,
    call: &PersonalizeCall,
    call_context: &CallContext,
    give_up: &GiveUp<'_>,
    personal: impl FnOnce(&Retrieval<'_>) -> Result<Vec<ItemIndex>, Cancelled>,
    look: impl FnOnce(List<'_>) -> T,
) -> Result<T, Cancelled> {
    let gather = |retrieval: &Retrieval<'_>, supply: &Supply<'_>| {
        let eligible = retrieval.eligible;
        let mut pool = given(view, eligible, &call.candidates);
        if call.candidates.retrieve {
            let found = retrieval.complete(personal(retrieval)?, supply)?;
            pool.add_retrieved(view, &call.candidates, found);
        }
        pool.add_requested(view, eligible, call);
        Ok(pool)
    };
    work_out_from(view, call, call_context, give_up, gather, look)
}

/// The same with candidates that were found before: of the catalogue, and as the request describes
/// them.
///
/// # Errors
/// As [`work_out`].
pub fn work_out_among<T>(
    view: &View,
    call: &PersonalizeCall,
    call_context: &CallContext,
    give_up: &GiveUp<'_>,
    (indices, described): (Vec<ItemIndex>, Vec<Arc<Item>>),
    look: impl FnOnce(List<'_>) -> T,
) -> Result<T, Cancelled> {
    let gather = |_: &Retrieval<'_>, _: &Supply<'_>| Ok(found(view, indices, described));
    work_out_from(view, call, call_context, give_up, gather, look)
}

/// Such a call as far as it is ready to be ranked: nothing is chosen.
///
/// # Errors
/// As [`work_out`].
pub fn ask_among<T>(
    view: &View,
    call: &PersonalizeCall,
    call_context: &CallContext,
    give_up: &GiveUp<'_>,
    (indices, described): (Vec<ItemIndex>, Vec<Arc<Item>>),
    then: impl FnOnce(&Asked<'_>) -> Result<T, Cancelled>,
) -> Result<T, Cancelled> {
    let gather = |_: &Retrieval<'_>, _: &Supply<'_>| Ok(found(view, indices, described));
    ask(view, call, call_context, give_up, gather, then)
}

fn work_out_from<T>(
    view: &View,
    call: &PersonalizeCall,
    call_context: &CallContext,
    give_up: &GiveUp<'_>,
    gather: impl FnOnce(&Retrieval<'_>, &Supply<'_>) -> Result<Pool, Cancelled>,
    look: impl FnOnce(List<'_>) -> T,
) -> Result<T, Cancelled> {
    ask(view, call, call_context, give_up, gather, |asked| {
        let Asked { candidates, request, eligible, retrieval, unknown } = *asked;
        let ranked = rank(view, candidates, request)?;
        let unknown = unknown.to_vec();
        Ok(look(List { candidates, request, eligible, retrieval, ranked, call_context, unknown }))
    })
}

/// A call that is ready to be ranked.
pub struct Asked<'a> {
    pub candidates: &'a [Candidate<'a>],
    pub request: &'a RankRequest<'a>,
    pub eligible: &'a Eligibility<'a>,
    retrieval: &'a Retrieval<'a>,
    unknown: &'a [String],
}

fn ask<T>(
    view: &View,
    call: &PersonalizeCall,
    call_context: &CallContext,
    give_up: &GiveUp<'_>,
    gather: impl FnOnce(&Retrieval<'_>, &Supply<'_>) -> Result<Pool, Cancelled>,
    then: impl FnOnce(&Asked<'_>) -> Result<T, Cancelled>,
) -> Result<T, Cancelled> {
    let user = view.profiled(call.user_id.as_str());
    let (boosts, own_boosts) = boosts(view, call);
    let rival = rival(view, call);
    let all_boosts = all_boosts(&boosts, call);
    let context = &*call_context.derived.context;
    let values = view.context_values(call.location.as_deref(), &call.attributes);
    let user_id = call.user_id.as_str();
    let eligible =
        Eligibility::new(view, &call.filter, user_id, context, call.now, &call_context.shown)
            .after(&call.earlier.items);
    let retrieval = Retrieval {
        view,
        user,
        context,
        eligible: &eligible,
        values,
        now: call.now,
        seed_key: &draw_key(view.user_key(user_id), call.now),
        give_up,
    };
    let above = AboveItems::new(view, &call.earlier, &call.candidates.items);
    let above = above.candidates(view);
    let pool = gather(&retrieval, &Supply::of(&call.choice, &above, &all_boosts))?;
    let candidates = pool.candidates(view);
    let pins = pins(&candidates, &call.pins, &eligible);
    let baseline = baseline(&candidates, call, &pins, &eligible);
    let request = RankRequest {
        user,
        context,
        request_context: request_context(view, call, values),
        choice: Choice {
            positions: earlier_pages::positions(call.choice.positions, &call.earlier),
            ..call.choice
        },
        boosts: &boosts,
        own_boosts,
        pins: &pins,
        earlier: Earlier { items: &above, origin: call.earlier.origin },
        baseline: baseline.as_ref(),
        ranked_by: call.ranked_by,
        rival: rival.as_ref(),
        unlearnt_cost: call_context.unlearnt_cost,
        explain: call.explain,
        deviations: call_context.deviations,
        decision_id: call.decision_id.as_str(),
        give_up,
    };
    then(&Asked {
        candidates: &candidates,
        request: &request,
        eligible: &eligible,
        retrieval: &retrieval,
        unknown: &pool.unknown,
    })
}

fn request_context(view: &View, call: &PersonalizeCall, values: RequestValues) -> RequestContext {
    let device = call.device_type.as_ref().and_then(|device| view.device_index(device));
    let PersonalizeCall { now, utc_offset_minutes, .. } = *call;
    RequestContext { now, utc_offset_minutes, device, values }
}

/// Those of the request, then the user's own, and how many these are.
fn boosts<'a>(view: &View, call: &'a PersonalizeCall) -> (Cow<'a, [Boost]>, usize) {
    let rules = view.user_rules(call.user_id.as_str());
    let own = rules.map_or_else(Vec::new, |rules| user_boosts(rules, call.now));
    let count = own.len();
    let mut boosts = Cow::Borrowed(&call.boosts[..]);
    if count > 0 {
        boosts.to_mut().extend(own);
    }
    (boosts, count)
}

/// The other ranking of a list that two fill in turns, with the boosts of the user.
fn rival(view: &View, call: &PersonalizeCall) -> Option<Rival> {
    let CallDivision::InTurns { rival, .. } = call.division.as_deref()? else {
        return None;
    };
    let rules = view.user_rules(call.user_id.as_str());
    let own = rules.map_or_else(Vec::new, |rules| user_boosts(rules, call.now));
    let boosts = rival.boosts.iter().cloned().chain(own).collect();
    Some(Rival { boosts, ..rival.clone() })
}

/// What is to be found is what either of two rankings boosts.
fn all_boosts<'a>(boosts: &'a [Boost], call: &PersonalizeCall) -> Cow<'a, [Boost]> {
    match call.division.as_deref() {
        Some(CallDivision::InTurns { rival, .. }) => {
            let of_rival = rival.boosts.iter().filter(|boost| !boosts.contains(boost));
            Cow::Owned(boosts.iter().chain(of_rival).cloned().collect())
        }
        _ => Cow::Borrowed(boosts),
    }
}

/// Candidates as the view or the request describes them, allowed by the filter.
#[derive(Default)]
struct Pool {
    indices: Vec<ItemIndex>,
    inline: Vec<(Option<ItemIndex>, Entry, TermVectors)>,
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

    /// Items that were retrieved, but for those that the request describes itself.
    fn add_retrieved(&mut self, view: &View, given: &Candidates, mut found: Vec<ItemIndex>) {
        let described =
            given.items.iter().filter_map(|item| view.item_index(item.item_id.as_str()));
        let described: BTreeSet<ItemIndex> = described.collect();
        found.retain(|index| !described.contains(index));
        self.indices.append(&mut found);
        self.indices.sort_unstable();
        self.indices.dedup();
    }

    /// Items that the caller wants at a position, or in its order, that are no candidates yet:
    /// of the request as it describes them, else of the catalogue. Personal rules are none
    /// against them.
    fn add_requested(&mut self, view: &View, eligible: &Eligibility<'_>, call: &PersonalizeCall) {
        for item_id in call.pins.iter().map(|pin| &pin.item_id).chain(call.baseline_items()) {
            let id = item_id.as_str();
            let index = view.item_index(id);
            let is_it =
                |entry: &Entry| entry.item.as_ref().is_some_and(|item| item.item_id == *item_id);
            let known = index.is_some_and(|index| self.indices.contains(&index))
                || self.inline.iter().any(|(_, entry, _)| is_it(entry));
            if known {
                continue;
            }
            if let Some(item) = call.candidates.described(id) {
                let (entry, terms) = view.describe_inline(item.clone());
                if eligible.allows_pinned(&entry, index) {
                    self.inline.push((index, entry, terms));
                }
            } else if let Some(index) = index.filter(|&index| view.entry(index).item.is_some()) {
                if eligible.allows_pinned(view.entry(index), Some(index)) {
                    self.indices.push(index);
                }
            } else if call.baseline_items().contains(item_id) {
                self.unknown.push(id.to_owned());
            }
        }
    }
}

/// The caller's order among the candidates, without what is pinned and what may not be
/// shown; `None` when nothing of it is left for a first page.
fn baseline(
    candidates: &[Candidate<'_>],
    call: &PersonalizeCall,
    pins: &[Pin],
    eligible: &Eligibility<'_>,
) -> Option<Baseline> {
    let is_later_page = call.continue_from.is_some();
    if is_later_page && call.earlier.origin.is_none() {
        // The first page did not compete with an order.
        return None;
    }
    let items = match call.baseline.as_ref()? {
        BaselineOrder::Popular => return Some(Baseline::Popular),
        BaselineOrder::Items(items) => items,
    };
    let position_of: HashMap<&str, usize> =
        candidates.iter().map(|one| item_of(one).item_id.as_str()).zip(0..).collect();
    let positions = items.iter().filter_map(|id| position_of.get(id.as_str()).copied());
    let is_free = |position: &usize| pins.iter().all(|pin| pin.candidate != *position);
    let may_be = |position: &usize| {
        eligible.allows_pinned(candidates[*position].entry, candidates[*position].index)
    };
    let order: Vec<usize> =
        positions.filter(|position| is_free(position) && may_be(position)).collect();
    let is_personal = |position: &usize| {
        eligible.allows(candidates[*position].entry, candidates[*position].index)
    };
    let mut excluded: Vec<usize> = order.iter().copied().filter(|one| !is_personal(one)).collect();
    excluded.sort_unstable();
    let reach = earlier_pages::reach(&call.earlier, items, order.len());
    (is_later_page || !order.is_empty()).then_some(Baseline::Order { order, excluded, reach })
}

/// Where the pinned items are among the candidates; those that are not there or may
/// not be shown have no position.
fn pins(
    candidates: &[Candidate<'_>],
    pinned: &[PinnedItem],
    eligible: &Eligibility<'_>,
) -> Vec<Pin> {
    let position_of = |pin: &PinnedItem| {
        let is_it = |candidate: &Candidate<'_>| {
            let item = candidate.entry.item.as_ref();
            item.is_some_and(|item| item.item_id == pin.item_id)
        };
        let candidate = candidates.iter().position(is_it)?;
        eligible
            .allows_pinned(candidates[candidate].entry, candidates[candidate].index)
            .then_some(Pin { candidate, position: pin.position })
    };
    pinned.iter().filter_map(position_of).collect()
}

/// Candidates that were found before.
fn found(view: &View, indices: Vec<ItemIndex>, described: Vec<Arc<Item>>) -> Pool {
    let mut pool = Pool { indices, ..Pool::default() };
    for item in described {
        let index = view.item_index(item.item_id.as_str());
        let (entry, terms) = view.describe_inline(item);
        pool.inline.push((index, entry, terms));
    }
    pool
}

/// Those that the request names or describes.
fn given(view: &View, eligible: &Eligibility<'_>, candidates: &Candidates) -> Pool {
    let mut pool = Pool::default();
    for id in &candidates.ids {
        match view.item_index(id.as_str()).filter(|&index| view.entry(index).item.is_some()) {
            Some(index) => pool.indices.push(index),
            None => pool.unknown.push(id.as_str().to_owned()),
        }
    }
    pool.indices.sort_unstable();
    pool.indices.dedup();
    pool.indices.retain(|&index| eligible.allows(view.entry(index), Some(index)));
    for item in &candidates.items {
        let index = view.item_index(item.item_id.as_str());
        let (entry, terms) = view.describe_inline(item.clone());
        if eligible.allows(&entry, index) {
            pool.inline.push((index, entry, terms));
        }
    }
    pool
}

pub fn item_of<'a>(candidate: &'a Candidate<'_>) -> &'a Item {
    candidate.entry.item.as_deref().expect("the filter lets only described items through")
}
