//! Features of the request context: time, device, location, attributes, freshness and session.
//!
//! - Lifts belong to topics. The lift of an item is the mean over its topics. Each topic of any
//!   candidate is computed once.
//! - `personal_time` is the user's own lift of a topic at this part of the week, by the same
//!   formula, against an expectation. This is the user's activity at that time, shrunk towards
//!   that of all users, times the lift of the topic for all users. So it is 0 when the user
//!   behaves like all users, or when too little is known.

use crate::columns::index::ItemIndex;
use crate::consumption::User;
use crate::features::candidate::Candidate;
use crate::models::aging;
use crate::models::cold_start::ValueScorer;
use crate::models::content::Centroid;
use crate::models::content::SparseVector;
use crate::models::content::TermVectors;
use crate::models::contexts::LiftsAt;
use crate::models::contexts::RequestContext;
use crate::models::contexts::SLOTS;
use crate::numeric::math;
use crate::state::Entry;
use crate::state::View;

/// The weight of the expectation, in observations of a topic.
const PERSONAL_PRIOR: f32 = 5.0;
/// The weight of each older item of a session.
const SESSION_DECAY: f32 = 0.8;
/// A dislike weighs at most half as much as a like.
const DISLIKE_MIN: f32 = -0.5;

/// Mean lifts of an item's topics.
#[derive(Debug, Clone, Copy, Default)]
pub struct TopicLifts {
    pub time: f32,
    pub device: f32,
    pub location: f32,
    pub attributes: f32,
    pub personal_time: f32,
}

impl TopicLifts {
    fn add(&mut self, other: &Self) {
        self.time += other.time;
        self.device += other.device;
        self.location += other.location;
        self.attributes += other.attributes;
        self.personal_time += other.personal_time;
    }

    fn over(self, topics: usize) -> Self {
        let share = 1.0 / topics as f32;
        Self {
            time: self.time * share,
            device: self.device * share,
            location: self.location * share,
            attributes: self.attributes * share,
            personal_time: self.personal_time * share,
        }
    }
}

/// The items of the current session, as a direction in content and in topics.
#[derive(Debug)]
struct SessionTaste {
    content: Centroid,
    /// Signed shares by topic, sorted by topic.
    topics: Vec<(u32, f32)>,
}

/// What all candidates share in one request context.
#[derive(Debug)]
pub struct Circumstances<'v> {
    view: &'v View,
    request_context: RequestContext,
    /// By topic, sorted.
    lifts: Vec<(u32, TopicLifts)>,
    location: Option<ValueScorer<'v>>,
    attributes: Vec<ValueScorer<'v>>,
    session: Option<SessionTaste>,
}

impl<'v> Circumstances<'v> {
    pub fn new(
        view: &'v View,
        user: Option<&User>,
        request_context: &RequestContext,
        candidates: &[Candidate<'_>],
    ) -> Self {
        let at = view.contexts.at(request_context, view.clock, &view.decays.contexts);
        let personal = user.and_then(|user| PersonalTimes::new(view, user, request_context, &at));
        let lifts = topics_of(view, candidates).into_iter().map(|topic| {
            let time = at.time(topic);
            let lifts = TopicLifts {
                time,
                device: at.device(topic),
                location: at.location(topic),
                attributes: at.attributes(topic),
                personal_time: personal.as_ref().map_or(0.0, |own| own.lift(topic, time)),
            };
            (topic, lifts)
        });
        let (now, values) = (view.decays.shares.at(view.clock), &request_context.values);
        Self {
            view,
            request_context: *request_context,
            lifts: lifts.collect(),
            location: values.location.map(|at| view.context_values.at(at, now)),
            attributes: values.attributes().map(|at| view.context_values.at(at, now)).collect(),
            session: user.and_then(|user| session_taste(view, user, request_context)),
        }
    }

    pub fn has_session(&self) -> bool {
        self.session.is_some()
    }

    pub fn topic_lifts(&self, entry: &Entry) -> TopicLifts {
        let mut sum = TopicLifts::default();
        if entry.topics.is_empty() {
            return sum;
        }
        for &topic in &entry.topics {
            if let Some(lifts) = self.lifts_of(topic) {
                sum.add(lifts);
            }
        }
        sum.over(entry.topics.len())
    }

    fn lifts_of(&self, topic: u32) -> Option<&TopicLifts> {
        // When all topics are in it, the position of a topic is its index.
        let guess = self.lifts.get(topic as usize).filter(|lift| lift.0 == topic);
        let search = || {
            let position = self.lifts.binary_search_by_key(&topic, |lift| lift.0);
            position.ok().map(|position| &self.lifts[position])
        };
        guess.or_else(search).map(|lift| &lift.1)
    }

    /// 1 at the publication, half after one half-life; 0 for items of unknown age and before
    /// their publication.
    pub fn freshness(&self, entry: &Entry) -> f32 {
        let Some(item) = &entry.item else {
            return 0.0;
        };
        let Some(published) = item.published_at else {
            return 0.0;
        };
        let settings = &self.view.settings;
        let table = &settings.freshness_half_lives;
        let topics = item.topics.iter().map(AsRef::as_ref);
        let configured =
            if table.is_empty() { None } else { table.of(topics, item.source.as_deref()) };
        let half_life = configured
            .map_or_else(|| self.view.aging.half_life_hours(&entry.topics, settings), f64::from);
        aging::freshness(published, self.request_context.now, half_life)
    }

    /// How much more popular the item is at this location than overall.
    pub fn location_popularity(&self, index: Option<ItemIndex>, overall_share: f32) -> f32 {
        match (&self.location, index) {
            (Some(location), Some(index)) => location.preference(index, overall_share),
            _ => 0.0,
        }
    }

    /// The same for the attributes of the request context: the mean over them.
    pub fn attribute_popularity(&self, index: Option<ItemIndex>, overall_share: f32) -> f32 {
        let Some(index) = index else {
            return 0.0;
        };
        let sum: f32 =
            self.attributes.iter().map(|value| value.preference(index, overall_share)).sum();
        sum / self.attributes.len().max(1) as f32
    }

    pub fn session_content(&self, terms: &TermVectors) -> f32 {
        let session = self.session.as_ref();
        session.map_or(0.0, |session| session.content.score_best(terms))
    }

    /// Like the long-term topic affinity, for the session alone.
    pub fn session_topics(&self, entry: &Entry) -> f32 {
        let Some(session) = self.session.as_ref().filter(|_| !entry.topics.is_empty()) else {
            return 0.0;
        };
        let share = |topic: &u32| {
            let found = session.topics.binary_search_by_key(topic, |entry| entry.0);
            found.map_or(0.0, |position| session.topics[position].1)
        };
        entry.topics.iter().map(share).sum::<f32>() / (entry.topics.len() as f32).sqrt()
    }
}

/// Distinct topics of the candidates in rising order; all topics when there are no more of them
/// than candidates.
fn topics_of(view: &View, candidates: &[Candidate<'_>]) -> Vec<u32> {
    if view.topics.len() <= candidates.len() {
        return (0..view.topics.len() as u32).collect();
    }
    let mut topics: Vec<u32> =
        candidates.iter().flat_map(|candidate| &candidate.entry.topics).copied().collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// A user's own habits at one part of the week.
struct PersonalTimes<'a> {
    user: &'a User,
    slot: u32,
    /// The factor that turns stored sums into those at the user's last activity.
    scale: f32,
    /// Share of this part of the week in the user's activity.
    activity: f32,
}

impl<'a> PersonalTimes<'a> {
    fn new(
        view: &View,
        user: &'a User,
        request_context: &RequestContext,
        at: &LiftsAt<'_>,
    ) -> Option<Self> {
        let row = &user.topic_slots;
        if row.entries().is_empty() || at.slot_share() <= 0.0 {
            return None;
        }
        let slot = request_context.slot();
        let scale = row.scale(view.profile_time(user));
        let now: f32 =
            row.entries().iter().filter(|entry| entry.0 % SLOTS == slot).map(|entry| entry.1).sum();
        let all: f32 = row.entries().iter().map(|entry| entry.1).sum();
        let joint = now * scale + PERSONAL_PRIOR * at.slot_share();
        Some(Self { user, slot, scale, activity: joint / (all * scale + PERSONAL_PRIOR) })
    }

    fn lift(&self, topic: u32, of_all_users: f32) -> f32 {
        let entries = self.user.topic_slots.entries();
        let from = entries.partition_point(|entry| entry.0 < topic * SLOTS);
        let own = entries[from..].iter().take_while(|entry| entry.0 < (topic + 1) * SLOTS);
        let (mut here, mut all) = (0.0, 0.0);
        for &(key, stored) in own {
            all += stored * self.scale;
            if key % SLOTS == self.slot {
                here += stored * self.scale;
            }
        }
        if all <= 0.0 {
            return 0.0;
        }
        let expected = (self.activity * math::exp(f64::from(of_all_users)) as f32).min(1.0);
        let share = (here + PERSONAL_PRIOR * expected) / (all + PERSONAL_PRIOR);
        math::ln_f32(share / expected)
    }
}

fn session_taste(
    view: &View,
    user: &User,
    request_context: &RequestContext,
) -> Option<SessionTaste> {
    let items = user.session.items_at(request_context.now);
    if items.is_empty() {
        return None;
    }
    let mut weight = 1.0;
    let mut parts: Vec<(f32, &SparseVector)> = Vec::with_capacity(items.len());
    let mut topics: Vec<(u32, f32)> = Vec::new();
    let mut total = 0.0;
    for &(item, confidence) in items.iter().rev() {
        let signed = weight * confidence.clamp(DISLIKE_MIN, 1.0);
        parts.push((signed, view.items.terms[item].whole()));
        let own = &view.items.entries[item].topics;
        topics.extend(own.iter().map(|&topic| (topic, signed)));
        total += signed.abs() * own.len() as f32;
        weight *= SESSION_DECAY;
    }
    topics.sort_by_key(|entry| entry.0);
    topics.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    topics.iter_mut().for_each(|entry| entry.1 /= total);
    Some(SessionTaste { content: Centroid::new(parts), topics })
}
