//! Reasons for a recommendation: the components of its score, in terms of the user.
//!
//! The table of features has the kind and the cause of each component. A component is a reason
//! when it raises the score above that of the average candidate and its feature, if any, is above
//! 0: a negative weight turns a dislike into a gain, which is no reason. If one item of the user's
//! history is the cause, it is named: for the factors by the exact split of the score
//! ([`Influence`]), for co-occurrence by the largest summand, for content by the greatest
//! similarity. No reason names a topic, a source or an item that the user has muted.
//!
//! The bonus of new items is a reason like the others, but the last one: it is the weakest, and
//! nothing next to a draw.

use std::collections::BTreeMap;

use crate::columns::index::ItemIndex;
use crate::consumption::User;
use crate::features::Candidate;
use crate::features::Cause;
use crate::features::OVERLAP_RECENCY;
use crate::features::ReasonKind;
use crate::features::TOGETHER_RECENCY;
use crate::features::UserContext;
use crate::features::feature;
use crate::models::collaborative::CooccurrenceScorer;
use crate::models::collaborative::Influence;
use crate::models::collaborative::sequence;
use crate::models::content::TermVectors;
use crate::models::contexts::RequestContext;
use crate::ranking::scale::BASE;
use crate::retrieval::Boost;
use crate::retrieval::Target;
use crate::state::View;

/// Components of a score that are no features. [`BASE`] is another.
pub const BOOST: &str = "boost";
pub const EXPLORATION_BONUS: &str = "exploration_bonus";
/// Most reasons for one item.
const REASONS_MAX: usize = 3;
/// Newest liked items that are searched for the cause of a similarity in content.
const LIKED_MAX: usize = 200;
/// An item with a lower propensity counts as explored, not as the best choice.
const EXPLORED_BELOW: f64 = 0.5;
/// The least contribution to an expected reward that is a reason.
const NOTABLE: f64 = 1e-6;
/// The least share of a component by which it exceeds the average candidate's.
const DISTINCT: f64 = 0.2;

/// Why an item is in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    pub kind: ReasonKind,
    /// Its component of the score.
    pub component: Option<&'static str>,
    /// The value of this component.
    pub contribution: f64,
    /// The causing item of the user's history.
    pub item: Option<ItemIndex>,
    /// The topic it is about.
    pub topic: Option<Box<str>>,
    /// The source, cohort, location, attribute or kind of device it is about.
    pub group: Option<Box<str>>,
}

impl Reason {
    pub fn new(kind: ReasonKind) -> Self {
        Self { kind, component: None, contribution: 0.0, item: None, topic: None, group: None }
    }
}

/// Explains the items of one list.
pub struct Explainer<'a> {
    view: &'a View,
    user: Option<&'a User>,
    context: &'a UserContext,
    request_context: RequestContext,
    cooccurrence: CooccurrenceScorer<'a>,
    influence: Option<Influence<'a>>,
    /// Components of the average candidate.
    average: BTreeMap<&'static str, f64>,
    /// Liked items, the newest first.
    liked: Vec<ItemIndex>,
    /// Liked items of the current session, the newest first.
    session: Vec<ItemIndex>,
    /// The boosts of the request.
    boosts: &'a [Boost],
    /// What the user wants less of.
    muted: Vec<&'a Target>,
}

impl<'a> Explainer<'a> {
    /// `boosts`: those of the request, and those that the user has set.
    pub fn new(
        view: &'a View,
        user: Option<&'a User>,
        context: &'a UserContext,
        request_context: &RequestContext,
        (boosts, own): (&'a [Boost], &'a [Boost]),
        average: BTreeMap<&'static str, f64>,
    ) -> Self {
        let session = user.map_or(&[][..], |user| user.session.items_at(request_context.now));
        let liked_in_session = session.iter().rev().filter(|entry| entry.1 > 0.0);
        let positives = user.into_iter().flat_map(|user| user.history.positives());
        Self {
            view,
            user,
            context,
            request_context: *request_context,
            cooccurrence: view.cooccurrence_scorer(&context.recent).emphasising(session),
            average,
            influence: user.and_then(|user| view.influence(user)),
            liked: positives.take(LIKED_MAX).map(|entry| entry.item).collect(),
            session: liked_in_session.map(|entry| entry.0).collect(),
            boosts,
            muted: own.iter().filter(|boost| boost.lowers()).map(|boost| &boost.target).collect(),
        }
    }

    /// The reasons for a candidate, the most distinctive first. `features` are the candidate's.
    pub fn reasons(
        &self,
        candidate: &Candidate<'_>,
        features: &[f32],
        components: &BTreeMap<&'static str, f64>,
        propensity: f64,
    ) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if propensity < EXPLORED_BELOW {
            reasons.push(Reason::new(ReasonKind::Exploration));
        }
        for (component, contribution) in self.outstanding(components) {
            let says_so = feature(component).is_none_or(|(at, _)| features[at] > 0.0);
            let Some(reason) = self.reason(candidate, component).filter(|_| says_so) else {
                continue;
            };
            let says_new =
                |known: &Reason| matches!(known.kind, ReasonKind::New | ReasonKind::Exploration);
            if component == EXPLORATION_BONUS && reasons.iter().any(says_new)
                || self.is_about_muted_item(&reason)
            {
                continue;
            }
            let reason = Reason { component: Some(component), contribution, ..reason };
            let repeats = |known: &Reason| {
                known.kind == reason.kind && known.topic == reason.topic
                    || known.item.is_some() && known.item == reason.item
            };
            if !reasons.iter().any(repeats) && reasons.len() < REASONS_MAX {
                reasons.push(reason);
            }
        }
        reasons
    }

    /// Positive components that are well above those of the average candidate, ordered by the
    /// difference. If there are none, all positive components, ordered by size. The bonus of new
    /// items is the last.
    fn outstanding(&self, components: &BTreeMap<&'static str, f64>) -> Vec<(&'static str, f64)> {
        let excess = |name: &str, part: f64| part - self.average.get(name).unwrap_or(&0.0);
        let mut positive: Vec<(&'static str, f64)> =
            components.iter().map(|(name, part)| (*name, *part)).collect();
        positive.retain(|&(name, part)| part > NOTABLE && name != BASE);
        positive.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut outstanding = positive.clone();
        outstanding.retain(|&(name, part)| excess(name, part) > DISTINCT * part);
        outstanding.sort_by(|a, b| excess(b.0, b.1).total_cmp(&excess(a.0, a.1)));
        let mut found = if outstanding.is_empty() { positive } else { outstanding };
        found.sort_by_key(|part| part.0 == EXPLORATION_BONUS);
        found
    }

    /// The reason of a component; `None` when it is no reason or its cause is not known.
    fn reason(&self, candidate: &Candidate<'_>, component: &str) -> Option<Reason> {
        let Some((_, feature)) = feature(component) else {
            return match component {
                BOOST => Some(Reason::new(self.boosted(candidate))),
                EXPLORATION_BONUS => Some(Reason::new(ReasonKind::New)),
                _ => None,
            };
        };
        let (kind, cause) = feature.reason;
        let about_item = |item| Some(Reason { item, ..Reason::new(kind) });
        let about_topic = |topic| Some(Reason { topic, ..Reason::new(kind) });
        let about_group = |group: &str| {
            let (group, topic) = (Some(group.into()), self.topic(candidate));
            Some(Reason { group, topic, ..Reason::new(kind) })
        };
        match cause {
            Cause::Together => about_item(Some(self.cooccurrence.cause(candidate.index?)?)),
            Cause::Before => {
                let recent = self.view.succession_scorer(&self.context.recent);
                about_item(Some(recent.cause(candidate.index?)?))
            }
            Cause::Neighbour | Cause::Next | Cause::Overlap => {
                let weights = &self.view.associations;
                let (rows, recency) = match cause {
                    Cause::Neighbour => (&weights.together, TOGETHER_RECENCY[0]),
                    Cause::Next => (&weights.sequence, sequence::RECENCY),
                    _ => (&weights.overlap, OVERLAP_RECENCY),
                };
                let path = self.user?.history.positives().map(|entry| entry.item);
                about_item(Some(rows.cause(path, recency, candidate.index?)?))
            }
            Cause::Factors => {
                let factors = self.view.items.factors.row(candidate.index?)?;
                let influence = self.influence.as_ref();
                about_item(influence.and_then(|influence| influence.cause(factors)))
            }
            Cause::SimilarLiked => about_item(self.most_similar(&self.liked, candidate.terms)),
            Cause::SimilarInSession => {
                about_item(self.most_similar(&self.session, candidate.terms))
            }
            Cause::SessionTopic => self.of_session(candidate, kind),
            Cause::Itself => about_item(candidate.index),
            Cause::Topic => about_topic(self.topic(candidate)),
            Cause::LikedTopic => about_topic(Some(self.liked_topic(candidate)?)),
            Cause::Source => {
                let name = self.view.source_name(candidate.entry.source?)?;
                let is_muted = self.has_muted(&Target::Source(name.into()));
                if is_muted { None } else { about_group(name) }
            }
            Cause::Cohort => about_group(self.view.cohort_names(self.user?).first()?),
            Cause::Location => {
                about_group(&self.view.context_value_name(self.request_context.values.location?)?)
            }
            Cause::Attributes => {
                about_group(&self.view.context_value_name(self.attribute(candidate)?)?)
            }
            Cause::Device => about_group(self.view.device_name(self.request_context.device?)?),
        }
    }

    /// The attribute of the request context under which the item, else its first topic, is most
    /// popular.
    fn attribute(&self, candidate: &Candidate<'_>) -> Option<u32> {
        let Self { view, request_context, .. } = self;
        let (now, clock) = (view.decays.shares.at(view.clock), view.clock);
        let lifts = view.contexts.at(request_context, clock, &view.decays.contexts);
        let popularity = |value: u32| match (candidate.index, candidate.entry.topics.first()) {
            (Some(item), _) if view.items.popularity.share(item) > 0.0 => {
                let overall = view.items.popularity.share(item);
                view.context_values.at(value, now).preference(item, overall)
            }
            (_, Some(&topic)) => lifts.value(topic, value),
            _ => 0.0,
        };
        let attributes = request_context.values.attributes();
        attributes.max_by(|&a, &b| popularity(a).total_cmp(&popularity(b)).then(b.cmp(&a)))
    }

    /// Whose boosts raise a candidate: only the user's, or the request's, too.
    fn boosted(&self, candidate: &Candidate<'_>) -> ReasonKind {
        let now = self.request_context.now;
        let item = candidate.entry.item.as_deref();
        let raises =
            |boost: &Boost| boost.raises() && item.is_some_and(|item| boost.is_about(item, now));
        let is_promoted = self.boosts.iter().any(raises);
        if is_promoted { ReasonKind::Boosted } else { ReasonKind::BoostedByUser }
    }

    fn has_muted(&self, target: &Target) -> bool {
        self.muted.contains(&target)
    }

    fn is_muted_topic(&self, topic: u32) -> bool {
        let name = self.view.topic_name(topic);
        name.is_some_and(|name| self.has_muted(&Target::Topic(name.into())))
    }

    fn is_about_muted_item(&self, reason: &Reason) -> bool {
        let id = reason.item.and_then(|item| self.view.item_id(item));
        id.is_some_and(|id| self.has_muted(&Target::Item(id.into())))
    }

    /// The item's topic that the user likes most, else its first, of those that are not muted.
    fn topic(&self, candidate: &Candidate<'_>) -> Option<Box<str>> {
        let first = || {
            let mut topics = candidate.entry.item.as_ref()?.topics.iter();
            topics.find(|topic| !self.has_muted(&Target::Topic((*topic).clone()))).cloned()
        };
        self.liked_topic(candidate).or_else(first)
    }

    fn liked_topic(&self, candidate: &Candidate<'_>) -> Option<Box<str>> {
        let user = self.user?;
        let liked = |topic: &u32| user.topics.stored(*topic);
        let may_be = |topic: &&u32| liked(topic) > 0.0 && !self.is_muted_topic(**topic);
        let topics = candidate.entry.topics.iter().filter(may_be);
        let best = topics.max_by(|a, b| liked(a).total_cmp(&liked(b)).then(b.cmp(a)))?;
        self.view.topic_name(*best).map(Into::into)
    }

    /// The newest item of the session with a topic of the candidate.
    fn of_session(&self, candidate: &Candidate<'_>, kind: ReasonKind) -> Option<Reason> {
        self.session.iter().find_map(|&item| {
            let topics = &self.view.items.entries[item].topics;
            let is_shared = |topic: &&u32| {
                candidate.entry.topics.contains(topic) && !self.is_muted_topic(**topic)
            };
            let shared = topics.iter().find(is_shared)?;
            Some(Reason {
                item: Some(item),
                topic: self.view.topic_name(*shared).map(Into::into),
                ..Reason::new(kind)
            })
        })
    }

    /// The item with the most similar terms, of equals the newest.
    fn most_similar(&self, items: &[ItemIndex], terms: &TermVectors) -> Option<ItemIndex> {
        let mut best: Option<(f32, ItemIndex)> = None;
        for &item in items {
            let similarity = self.view.items.terms[item].cosine(terms);
            if similarity > best.map_or(0.0, |best| best.0) {
                best = Some((similarity, item));
            }
        }
        best.map(|best| best.1)
    }
}
