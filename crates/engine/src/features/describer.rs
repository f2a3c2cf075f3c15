//! What all candidates of a request share, computed once, and the features of each candidate.
//!
//! - Everything is computed from the view and the request, by `numeric`, so the engine can learn
//!   from it in replay.
//! - Raw values are of the order of one; 0 means "nothing known".
//! - Evidence enters as `ln(1 + score / unit)`. So several kinds of evidence multiply, and the
//!   first evidence counts more than later evidence.

use crate::columns::index::ItemIndex;
use crate::consumption::User;
use crate::domain::Timestamp;
use crate::features::candidate::Candidate;
use crate::features::context::Circumstances;
use crate::features::context::TopicLifts;
use crate::features::response_taste::ResponseTaste;
use crate::features::user_context::SHARE_PRIOR;
use crate::features::user_context::UserContext;
use crate::models::cold_start::CohortScorer;
use crate::models::cold_start::FORTNIGHT_HOURS;
use crate::models::cold_start::ItemStatistics;
use crate::models::cold_start::Scales;
use crate::models::collaborative::CooccurrenceScorer;
use crate::models::collaborative::ItemItemScores;
use crate::models::contexts::RequestContext;
use crate::models::decay::decay;
use crate::numeric;
use crate::numeric::math;
use crate::state::View;

/// Items whose co-occurrence scores together cost as much as one candidate alone.
const CHEAP_ITEMS_PER_CANDIDATE: usize = 100;
/// Scores above which evidence counts by the logarithm.
const COLLABORATIVE_UNIT: f32 = 0.02;
const COOCCURRENCE_UNIT: f32 = 0.01;
const ASSOCIATION_UNIT: f32 = 0.01;
/// Hours since the last consumption above which time counts by the logarithm.
const REPEAT_UNIT_HOURS: f64 = 1.0;

/// What a feature needs to know of a request to be other than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    /// Items that the user had.
    History,
    /// Positions of lists that the user looked at.
    Responses,
    /// A trained model, and items of the user that it knows.
    Model,
    /// Attributes of the user that form a cohort.
    Cohort,
    /// A current session.
    Session,
    Device,
    Location,
    /// Attributes of the request context that events had, too.
    Attributes,
}

impl Needs {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::History => "the user's history",
            Self::Responses => "lists that the user looked at",
            Self::Model => "a model, the user's history",
            Self::Cohort => "the user's attributes",
            Self::Session => "a session",
            Self::Device => "the device",
            Self::Location => "the location",
            Self::Attributes => "attributes of the context",
        }
    }
}

/// A candidate with what several of its features read.
pub struct Subject<'a> {
    candidate: &'a Candidate<'a>,
    statistics: Option<&'a ItemStatistics>,
    /// Share of the positives of all users.
    overall: f32,
    pub lifts: TopicLifts,
}

/// Everything about the user and the request that all candidates share.
pub struct Describer<'a> {
    view: &'a View,
    user: Option<&'a User>,
    context: &'a UserContext,
    circumstances: Circumstances<'a>,
    cohorts: Option<CohortScorer<'a>>,
    /// At the view's clock.
    scales: Scales,
    /// Weights of popularity, of trend and of a fortnight at the time of the request, 0 to 1.
    timeliness: [f32; 3],
    request_context: RequestContext,
    responses: ResponseTaste,
    together: PathScores<'a>,
    next: PathScores<'a>,
}

/// Scores by the recent path.
struct PathScores<'a> {
    scorer: CooccurrenceScorer<'a>,
    /// Scores of all items, when that is cheaper than one by one.
    dense: Option<Vec<f32>>,
}

impl<'a> PathScores<'a> {
    fn new(scorer: CooccurrenceScorer<'a>, candidates: usize, items: usize) -> Self {
        let many = candidates * CHEAP_ITEMS_PER_CANDIDATE > items && !scorer.is_empty();
        let dense = many.then(|| {
            let mut scores = vec![0.0; items];
            scorer.score_all(&mut scores);
            scores
        });
        Self { scorer, dense }
    }

    fn of(&self, index: Option<ItemIndex>) -> f32 {
        let score = match (index, &self.dense) {
            (None, _) => 0.0,
            (Some(index), Some(dense)) => dense[index.as_usize()],
            (Some(index), None) => self.scorer.score(index),
        };
        evidence(score, COOCCURRENCE_UNIT)
    }
}

/// `ln(1 + score / unit)`, 0 for a score of 0 or below.
fn evidence(score: f32, unit: f32) -> f32 {
    if score > 0.0 { math::log1p_f32(score / unit) } else { 0.0 }
}

/// The same of a score that may be evidence against an item.
fn signed_evidence(score: f32, unit: f32) -> f32 {
    evidence(score.abs(), unit).copysign(score)
}

impl<'a> Describer<'a> {
    pub fn new(
        view: &'a View,
        user: Option<&'a User>,
        context: &'a UserContext,
        request_context: &RequestContext,
        candidates: &[Candidate<'_>],
    ) -> Self {
        let session = user.map_or(&[][..], |user| user.session.items_at(request_context.now));
        let cooccurrence = view.cooccurrence_scorer(&context.recent).emphasising(session);
        let (count, items) = (candidates.len(), view.items.entries.len());
        let shares_now = view.decays.shares.at(view.clock);
        let cohorts = user
            .filter(|user| !user.cohorts.is_empty())
            .map(|user| view.cohorts.scorer(&user.cohorts, shares_now));
        Self {
            view,
            user,
            context,
            circumstances: Circumstances::new(view, user, request_context, candidates),
            cohorts,
            scales: view.popularity_scales(),
            timeliness: timeliness(view, request_context.now),
            request_context: *request_context,
            responses: ResponseTaste::new(view, user),
            together: PathScores::new(cooccurrence, count, items),
            next: PathScores::new(view.succession_scorer(&context.recent), count, items),
        }
    }

    /// Whether a feature with these needs may be other than 0.
    pub fn knows(&self, needs: Needs) -> bool {
        match needs {
            Needs::Nothing => true,
            Needs::History => self.user.is_some_and(|user| !user.history.is_empty()),
            Needs::Responses => !self.responses.is_empty(),
            Needs::Model => self.context.factors.is_some(),
            Needs::Cohort => self.cohorts.is_some(),
            Needs::Session => self.circumstances.has_session(),
            Needs::Device => self.request_context.device.is_some(),
            Needs::Location => self.request_context.values.location.is_some(),
            Needs::Attributes => self.request_context.values.attributes().next().is_some(),
        }
    }

    pub fn subject<'c>(&self, candidate: &'c Candidate<'c>) -> Subject<'c>
    where
        'a: 'c,
    {
        let popularity = &self.view.items.popularity;
        Subject {
            candidate,
            statistics: candidate.index.map(|index| &popularity.items[index]),
            overall: candidate.index.map_or(0.0, |index| popularity.share(index)),
            lifts: self.circumstances.topic_lifts(candidate.entry),
        }
    }

    pub fn collaborative(&self, subject: &Subject<'_>) -> f32 {
        let item = subject.candidate.index.and_then(|index| self.view.items.factors.row(index));
        match (&self.context.factors, item) {
            (Some(user), Some(item)) => evidence(numeric::dot(user, item), COLLABORATIVE_UNIT),
            _ => 0.0,
        }
    }

    /// By the weights of what is consumed together; `at`: of which recency.
    pub fn together(&self, subject: &Subject<'_>, at: usize) -> f32 {
        associated(&self.context.associated.together[at], subject)
    }

    pub fn sequence(&self, subject: &Subject<'_>) -> f32 {
        associated(&self.context.associated.sequence, subject)
    }

    pub fn overlap(&self, subject: &Subject<'_>) -> f32 {
        associated(&self.context.associated.overlap, subject)
    }

    pub fn cooccurrence(&self, subject: &Subject<'_>) -> f32 {
        self.together.of(subject.candidate.index)
    }

    pub fn succession(&self, subject: &Subject<'_>) -> f32 {
        self.next.of(subject.candidate.index)
    }

    pub fn content(&self, subject: &Subject<'_>) -> f32 {
        let taste = self.context.taste.as_ref();
        taste.map_or(0.0, |taste| taste.score_best(subject.candidate.terms))
    }

    pub fn embedding(&self, subject: &Subject<'_>) -> f32 {
        self.context.embedding_taste.score(self.view, subject.candidate)
    }

    pub fn session_content(&self, subject: &Subject<'_>) -> f32 {
        self.circumstances.session_content(subject.candidate.terms)
    }

    pub fn session_topics(&self, subject: &Subject<'_>) -> f32 {
        self.circumstances.session_topics(subject.candidate.entry)
    }

    pub fn topic_affinity(&self, subject: &Subject<'_>) -> f32 {
        let topics = &subject.candidate.entry.topics;
        if topics.is_empty() {
            return 0.0;
        }
        let shares = topics.iter().map(|&topic| self.context.topic_share(topic));
        shares.sum::<f32>() / (topics.len() as f32).sqrt()
    }

    /// As [`Self::topic_affinity`], by the latest positives alone.
    pub fn latest_topics(&self, subject: &Subject<'_>) -> f32 {
        let topics = &subject.candidate.entry.topics;
        let shares = topics.iter().map(|&topic| self.context.latest.topic_share(topic));
        shares.sum::<f32>() / (topics.len().max(1) as f32).sqrt()
    }

    /// As [`Self::content`], by the latest positives alone.
    pub fn latest_content(&self, subject: &Subject<'_>) -> f32 {
        let taste = self.context.latest.content.as_ref();
        taste.map_or(0.0, |taste| taste.score_best(subject.candidate.terms))
    }

    pub fn topic_response(&self, subject: &Subject<'_>) -> f32 {
        self.responses.of_topics(&subject.candidate.entry.topics)
    }

    pub fn content_response(&self, subject: &Subject<'_>) -> f32 {
        self.responses.of_content(subject.candidate.terms)
    }

    pub fn source_affinity(&self, subject: &Subject<'_>) -> f32 {
        let (Some(user), Some(source)) = (self.user, subject.candidate.entry.source) else {
            return 0.0;
        };
        user.sources.share(source, self.view.profile_time(user), SHARE_PRIOR)
    }

    pub fn popularity(&self, subject: &Subject<'_>) -> f32 {
        let mass = subject.statistics.map_or(0.0, |one| self.scales.popularity(one));
        self.timeliness[0] * math::log1p_f32(mass)
    }

    /// Popularity, less the more is known of the user.
    pub fn popularity_for_newcomers(&self, subject: &Subject<'_>) -> f32 {
        self.popularity(subject) / (1.0 + self.context.positives as f32)
    }

    pub fn popularity_all_time(&self, subject: &Subject<'_>) -> f32 {
        subject.statistics.map_or(0.0, |one| one.log_positives())
    }

    /// A count of positives that decays by their number.
    pub fn activity(&self, subject: &Subject<'_>, sum: fn(&Scales, &ItemStatistics) -> f32) -> f32 {
        let mass = subject.statistics.map_or(0.0, |one| sum(&self.scales, one));
        self.timeliness[0] * math::log1p_f32(mass)
    }

    pub fn popularity_fortnight(&self, subject: &Subject<'_>) -> f32 {
        let mass = subject.statistics.map_or(0.0, |one| self.scales.fortnight(one));
        self.timeliness[2] * math::log1p_f32(mass)
    }

    pub fn trend(&self, subject: &Subject<'_>) -> f32 {
        let mass = subject.statistics.map_or(0.0, |one| self.scales.trend(one));
        self.timeliness[1] * math::log1p_f32(mass)
    }

    pub fn cohort(&self, subject: &Subject<'_>) -> f32 {
        match (&self.cohorts, subject.candidate.index) {
            (Some(cohorts), Some(index)) => cohorts.preference(index, subject.overall),
            _ => 0.0,
        }
    }

    pub fn location_popularity(&self, subject: &Subject<'_>) -> f32 {
        self.circumstances.location_popularity(subject.candidate.index, subject.overall)
    }

    pub fn attribute_popularity(&self, subject: &Subject<'_>) -> f32 {
        self.circumstances.attribute_popularity(subject.candidate.index, subject.overall)
    }

    pub fn freshness(&self, subject: &Subject<'_>) -> f32 {
        self.circumstances.freshness(subject.candidate.entry)
    }

    pub fn repeat(&self, subject: &Subject<'_>) -> f32 {
        match subject.candidate.index.map_or(0, |index| self.context.times_seen(index)) {
            0 => 0.0,
            times => math::log1p_f32(f32::from(times)),
        }
    }

    /// How near the user is to the usual interval of the item: `-|ln(time since / usual interval)|`,
    /// 0 for a perfect match and where no interval is known.
    pub fn repeat_due(&self, subject: &Subject<'_>) -> f32 {
        let seen = subject.candidate.index.and_then(|index| self.context.seen(index));
        let due = seen.and_then(|had| {
            let since = (self.request_context.now.hours_since(had.last) * 3_600.0).max(1.0) as f32;
            Some(-math::ln_f32(since / had.interval?).abs())
        });
        due.unwrap_or(0.0)
    }

    /// Share of the item in all sessions of the user with any item.
    pub fn repeat_share(&self, subject: &Subject<'_>) -> f32 {
        let seen = subject.candidate.index.and_then(|index| self.context.seen(index));
        seen.map_or(0.0, |had| f32::from(had.times) / self.context.uses.max(1.0))
    }

    /// `-0.1 ln(1 + hours since)`; 0 for "just now" and for "never", which `repeat` tells apart.
    pub fn repeat_recency(&self, subject: &Subject<'_>) -> f32 {
        let seen = subject.candidate.index.and_then(|index| self.context.seen(index));
        seen.map_or(0.0, |had| {
            let hours = self.request_context.now.hours_since(had.last).max(0.0);
            -0.1 * math::log1p_f32((hours / REPEAT_UNIT_HOURS) as f32)
        })
    }
}

fn associated(scores: &ItemItemScores<ItemIndex>, subject: &Subject<'_>) -> f32 {
    let score = subject.candidate.index.map_or(0.0, |index| scores.of(index));
    signed_evidence(score, ASSOCIATION_UNIT)
}

/// Weights of popularity, of trend and of a fortnight, by their half-lives: the earlier the request is than the
/// view's clock, the lower they are. 1 at the clock and after it, where requests are served; the choices that a
/// hybrid is fitted to lie before it, and the older they are the less they tell of what popularity is worth.
fn timeliness(view: &View, now: Timestamp) -> [f32; 3] {
    [view.popularity_half_life_hours(), view.settings.trend_half_life_hours, FORTNIGHT_HOURS]
        .map(|half_life| decay(now.min(view.clock), view.clock, half_life))
}
