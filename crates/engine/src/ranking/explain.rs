//! Reasons for a recommendation: what its score is made of, in terms of the person.
//!
//! A component is a reason when it raises the score above that of the average candidate
//! and says what it seems to say: a learnt weight below 0 turns an aversion into a gain,
//! and nobody is told that they like what they do not. Where one item of the person's history is behind it, that
//! item is named: for the factors by the exact split of the score ([`Influence`]),
//! for co-occurrence by the largest summand, for content by the greatest similarity.

use std::collections::BTreeMap;

use crate::features::Candidate;
use crate::features::FEATURES;
use crate::models::collaborative::CooccurrenceScorer;
use crate::models::collaborative::Influence;
use crate::models::content::SparseVector;
use crate::ranking::rank::RankRequest;
use crate::state::View;

/// The part of a score that belongs to no feature.
const BASE: &str = "base";
/// Reasons given at most.
const REASONS_MAX: usize = 3;
/// Newest liked items among which the cause of a likeness in content is looked for.
const LIKED_MAX: usize = 200;
/// A place with less probability than this was a draw, not the best choice.
const EXPLORED_BELOW: f64 = 0.5;

/// What kind of thing speaks for an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasonKind {
    /// People who wanted the causing item want this one soon after.
    WantedTogether,
    /// People with the taste that the causing item shows most want it.
    SharedTaste,
    /// It is like the causing item.
    SimilarContent,
    /// The person likes its topic.
    LikedTopic,
    /// The person likes its source.
    LikedSource,
    Popular,
    Trending,
    /// It is popular among people of the person's cohort.
    PopularInCohort,
    /// It is popular where the person is.
    PopularInPlace,
    /// Its topics are wanted at this time of the week.
    TimeOfWeek,
    /// The person wants its topics at this time of the week.
    OwnTimeOfWeek,
    /// Its topics are wanted on this kind of device.
    Device,
    New,
    /// The person comes back to it.
    Repeat,
    /// It is like what the person is busy with.
    SessionContent,
    /// It is about what the person is busy with.
    SessionTopic,
    /// It is raised by the caller's rules.
    Boosted,
    /// Shown to learn about it.
    Exploration,
    /// The caller wants it there.
    Pinned,
}

/// Why an item is in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    pub kind: ReasonKind,
    /// The component of the score behind it.
    pub component: Option<&'static str>,
    /// What that adds to the score.
    pub contribution: f64,
    /// The causing item of the person's history.
    pub item: Option<u32>,
    /// The topic it is about.
    pub topic: Option<Box<str>>,
    /// The source, cohort, place or kind of device it is about.
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
    request: &'a RankRequest<'a>,
    cooccurrence: CooccurrenceScorer<'a>,
    influence: Option<Influence<'a>>,
    /// Components of the average candidate.
    average: BTreeMap<&'static str, f64>,
    /// Liked items, the newest first.
    liked: Vec<u32>,
    /// Liked items of the present session, the newest first.
    session: Vec<u32>,
}

impl<'a> Explainer<'a> {
    pub fn new(
        view: &'a View,
        request: &'a RankRequest<'a>,
        average: BTreeMap<&'static str, f64>,
    ) -> Self {
        let session =
            request.user.map_or(&[][..], |one| one.session.items_at(request.occasion.now));
        let recent = &request.context.recent;
        let wanted = session.iter().rev().filter(|entry| entry.1 > 0.0);
        let positives = request.user.into_iter().flat_map(|user| user.history.positives());
        Self {
            view,
            request,
            cooccurrence: view.cooccurrence_scorer(recent).emphasising(session),
            average,
            influence: request.user.and_then(|user| view.influence(user)),
            liked: positives.take(LIKED_MAX).map(|entry| entry.item).collect(),
            session: wanted.map(|entry| entry.0).collect(),
        }
    }

    /// What speaks for a candidate as reasons, what sets it apart most first. `row`: the
    /// features of the candidate.
    pub fn reasons(
        &self,
        candidate: &Candidate<'_>,
        row: &[f32],
        components: &BTreeMap<&'static str, f64>,
        propensity: f64,
    ) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if propensity < EXPLORED_BELOW {
            reasons.push(Reason::new(ReasonKind::Exploration));
        }
        for (component, contribution) in self.outstanding(components) {
            let feature = FEATURES.iter().position(|name| *name == component);
            let says_so = feature.is_none_or(|place| row[place] > 0.0);
            let Some(reason) = self.reason(candidate, component).filter(|_| says_so) else {
                continue;
            };
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

    /// Positive components that are greater than those of the average candidate, by how
    /// much; all positive ones, by their size, where none is.
    fn outstanding(&self, components: &BTreeMap<&'static str, f64>) -> Vec<(&'static str, f64)> {
        let excess = |name: &str, part: f64| part - self.average.get(name).unwrap_or(&0.0);
        let mut positive: Vec<(&'static str, f64)> =
            components.iter().map(|(name, part)| (*name, *part)).collect();
        positive.retain(|&(name, part)| part > 0.0 && name != BASE);
        positive.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut outstanding = positive.clone();
        outstanding.retain(|&(name, part)| excess(name, part) > 0.0);
        outstanding.sort_by(|a, b| excess(b.0, b.1).total_cmp(&excess(a.0, a.1)));
        if outstanding.is_empty() { positive } else { outstanding }
    }

    /// `None` for a component that is no cause or whose cause is not known.
    fn reason(&self, candidate: &Candidate<'_>, component: &str) -> Option<Reason> {
        use ReasonKind as Kind;
        let about_item = |kind, item| Reason { item, ..Reason::new(kind) };
        let about_topic = |kind| Reason { topic: self.topic(candidate), ..Reason::new(kind) };
        let about_group = |kind, group: Option<&str>| {
            Some(Reason { group: Some(group?.into()), ..about_topic(kind) })
        };
        let location = self.request.occasion.location;
        let location = location.and_then(|location| self.view.location_name(location));
        Some(match component {
            "cooccurrence" => {
                let cause = self.cooccurrence.cause(candidate.index?)?;
                about_item(Kind::WantedTogether, Some(cause))
            }
            "succession" => {
                let recent = self.view.succession_scorer(&self.request.context.recent);
                about_item(Kind::WantedTogether, Some(recent.cause(candidate.index?)?))
            }
            "item_item" => {
                let path = self.request.user?.history.positives().map(|entry| entry.item);
                let cause = self.view.item_item.cause(path, candidate.index?)?;
                about_item(Kind::WantedTogether, Some(cause))
            }
            "collaborative" => {
                let factors = self.view.items.factors.row(candidate.index?)?;
                let influence = self.influence.as_ref();
                let cause = influence.and_then(|influence| influence.cause(factors));
                about_item(Kind::SharedTaste, cause)
            }
            "content" | "embedding" => {
                about_item(Kind::SimilarContent, self.most_similar(&self.liked, candidate.terms))
            }
            "session_content" => {
                about_item(Kind::SessionContent, self.most_similar(&self.session, candidate.terms))
            }
            "session_topics" => self.of_session(candidate)?,
            "topic_affinity" => Reason {
                topic: Some(self.liked_topic(candidate)?),
                ..Reason::new(Kind::LikedTopic)
            },
            "source_affinity" => {
                let source = candidate.entry.source?;
                about_group(Kind::LikedSource, self.view.source_name(source))?
            }
            "popularity" | "popularity_all_time" | "popularity_for_newcomers" | "activity" => {
                about_topic(Kind::Popular)
            }
            "trend" => about_topic(Kind::Trending),
            "cohort" => {
                let cohorts = self.view.cohort_names(self.request.user?);
                about_group(Kind::PopularInCohort, cohorts.first().copied())?
            }
            "location" | "location_popularity" => about_group(Kind::PopularInPlace, location)?,
            "time_of_day" => about_topic(Kind::TimeOfWeek),
            "personal_time" => about_topic(Kind::OwnTimeOfWeek),
            "device" => {
                let device = self.request.occasion.device?;
                about_group(Kind::Device, self.view.device_name(device))?
            }
            "freshness" => about_topic(Kind::New),
            "repeat" | "repeat_recency" => about_item(Kind::Repeat, candidate.index),
            "boost" => Reason::new(Kind::Boosted),
            "exploration_bonus" => about_topic(Kind::Exploration),
            _ => return None,
        })
    }

    /// The item's topic that the person likes most, else its first one.
    fn topic(&self, candidate: &Candidate<'_>) -> Option<Box<str>> {
        let first = || candidate.entry.item.as_ref()?.topics.first().cloned();
        self.liked_topic(candidate).or_else(first)
    }

    fn liked_topic(&self, candidate: &Candidate<'_>) -> Option<Box<str>> {
        let user = self.request.user?;
        let liked = |topic: &u32| user.topics.stored(*topic);
        let topics = candidate.entry.topics.iter().filter(|topic| liked(topic) > 0.0);
        let best = topics.max_by(|a, b| liked(a).total_cmp(&liked(b)).then(b.cmp(a)))?;
        self.view.topic_name(*best).map(Into::into)
    }

    /// The newest item of the session with a topic of the candidate.
    fn of_session(&self, candidate: &Candidate<'_>) -> Option<Reason> {
        self.session.iter().find_map(|&item| {
            let topics = &self.view.items.entries[item as usize].topics;
            let shared = topics.iter().find(|topic| candidate.entry.topics.contains(topic))?;
            Some(Reason {
                item: Some(item),
                topic: self.view.topic_name(*shared).map(Into::into),
                ..Reason::new(ReasonKind::SessionTopic)
            })
        })
    }

    /// Of equals the newest.
    fn most_similar(&self, items: &[u32], terms: &SparseVector) -> Option<u32> {
        let mut best: Option<(f32, u32)> = None;
        for &item in items {
            let similarity = self.view.items.terms[item as usize].cosine(terms);
            if similarity > best.map_or(0.0, |best| best.0) {
                best = Some((similarity, item));
            }
        }
        best.map(|best| best.1)
    }
}
