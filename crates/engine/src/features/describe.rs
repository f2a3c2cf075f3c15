//! What the ranker knows of a person and a candidate: one vector of features.
//!
//! - Every feature is computed from the view alone, by `numeric` and `libm`, so the
//!   engine may learn from it in replay.
//! - Features are of the order of one; 0 means "nothing known".
//! - Evidence enters as `ln(1 + score / unit)`: evidence of several kinds then multiplies,
//!   and the difference between none and some matters more than between much and more.
//!
//! Cost for 100 candidates with k = 64: about 40 us, most of it co-occurrence.

use rayon::iter::IndexedParallelIterator;
use rayon::iter::ParallelIterator;
use rayon::slice::ParallelSlice;
use rayon::slice::ParallelSliceMut;

use crate::consumption::User;
use crate::domain::Timestamp;
use crate::features::context::Circumstances;
use crate::features::embedding::EmbeddingTaste;
use crate::features::mask::FeatureMask;
use crate::models::cold_start::CohortScorer;
use crate::models::cold_start::Scales;
use crate::models::collaborative::CooccurrenceScorer;
use crate::models::collaborative::ItemItemScores;
use crate::models::collaborative::RECENT;
use crate::models::content::Centroid;
use crate::models::content::SparseVector;
pub use crate::models::contexts::Occasion;
use crate::models::decay::decay;
use crate::numeric;
use crate::numeric::math;
use crate::state::Entry;
use crate::state::View;

/// Names of the features, which are also the names of score components.
pub const FEATURES: [&str; FEATURE_COUNT] = [
    "collaborative",
    "cooccurrence",
    "content",
    "topic_affinity",
    "source_affinity",
    "popularity",
    "popularity_all_time",
    "trend",
    "cohort",
    "time_of_day",
    "device",
    "freshness",
    "popularity_for_newcomers",
    "repeat",
    "personal_time",
    "location",
    "location_popularity",
    "session_content",
    "session_topics",
    "item_item",
    "succession",
    "activity",
    "repeat_recency",
    "embedding",
];
pub const FEATURE_COUNT: usize = 24;

/// Positive items that make up the content centroid and the fold-in.
const TASTE_ITEMS: usize = 200;
/// Mass at which half of a profile's share is believed.
const SHARE_PRIOR: f32 = 3.0;
/// Candidates from which on describing them is shared among threads.
const PARALLEL_CANDIDATES: usize = 2_048;
/// Items whose co-occurrence scores are made together for the price of one candidate's.
const CHEAP_ITEMS_PER_CANDIDATE: usize = 100;
/// Scores from which on more evidence adds by the logarithm.
const COLLABORATIVE_UNIT: f32 = 0.02;
const COOCCURRENCE_UNIT: f32 = 0.01;
/// Hours from which on the time since an item was had counts by the logarithm.
const REPEAT_UNIT_HOURS: f64 = 1.0;
/// The weight of each older item in the content centroid.
const TASTE_DECAY: f32 = 0.98;

/// Something that may be recommended: a catalogue item or one of the request's own.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'v> {
    /// Its index, when it was ever seen or is in the catalogue.
    pub index: Option<u32>,
    pub entry: &'v Entry,
    pub terms: &'v SparseVector,
}

impl<'v> Candidate<'v> {
    /// An item the view knows.
    pub fn known(view: &'v View, index: u32) -> Self {
        let entry = &view.items.entries[index as usize];
        Self { index: Some(index), entry, terms: &view.items.terms[index as usize] }
    }
}

/// What is derived of a person once per change: factors and content taste.
#[derive(Debug, Clone, Default)]
pub struct UserContext {
    /// Folded in against the current item factors.
    pub factors: Option<Vec<f32>>,
    pub taste: Option<Centroid>,
    pub embedding_taste: EmbeddingTaste,
    /// The items wanted last, the newest first.
    pub recent: Vec<u32>,
    pub positives: u32,
    /// What the items wanted so far say of others.
    pub item_item: ItemItemScores,
    /// Every item the person had, sorted, with how often and when last.
    seen: Vec<(u32, u16, Timestamp)>,
    /// Shares of topics in the person's preferences, sorted by topic.
    topic_shares: Vec<(u32, f32)>,
}

impl UserContext {
    /// Derives everything from the person's history: about 200 us for a long one.
    pub fn new(view: &View, user: Option<&User>) -> Self {
        let Some(user) = user.filter(|user| !user.history.is_empty()) else {
            return Self::default();
        };
        let recent = user.history.positives().take(RECENT).map(|entry| entry.item).collect();
        let mut weight = 1.0;
        let mut had: Vec<(f32, u32)> = Vec::new();
        for entry in user.history.entries().iter().rev().take(TASTE_ITEMS) {
            let sign = entry.net().clamp(-0.5, 1.0);
            if sign != 0.0 {
                had.push((weight * sign, entry.item));
                weight *= TASTE_DECAY;
            }
        }
        let embedding_taste = EmbeddingTaste::new(view, &had);
        let parts = had.iter().map(|&(weight, item)| (weight, &view.items.terms[item as usize]));
        let taste = Some(Centroid::new(parts)).filter(|centroid| !centroid.is_empty());
        let positives = user.history.positives().count() as u32;
        let had = user.history.entries().iter();
        let mut seen: Vec<_> =
            had.map(|entry| (entry.item, entry.sessions(), entry.at())).collect();
        seen.sort_unstable();
        let topic_shares = user.topics.shares(view.profile_time(user), SHARE_PRIOR);
        let path = user.history.positives().map(|entry| entry.item);
        let item_item = view.item_item.scores(path);
        let factors = view.fold_in(user);
        Self { factors, taste, embedding_taste, recent, positives, item_item, seen, topic_shares }
    }

    /// How often the person had an item; 0 when never.
    pub fn times_seen(&self, item: u32) -> u16 {
        self.seen(item).map_or(0, |(times, _)| times)
    }

    /// How often the person had an item, and when last; `None` when never.
    pub fn seen(&self, item: u32) -> Option<(u16, Timestamp)> {
        let place = self.seen.binary_search_by_key(&item, |entry| entry.0).ok()?;
        let (_, times, last) = self.seen[place];
        Some((times, last))
    }

    fn topic_share(&self, topic: u32) -> f32 {
        let found = self.topic_shares.binary_search_by_key(&topic, |entry| entry.0);
        found.map_or(0.0, |place| self.topic_shares[place].1)
    }
}

/// Features of many candidates, one row each.
#[derive(Debug, Clone, Default)]
pub struct FeatureMatrix(Vec<f32>);

impl FeatureMatrix {
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.0.chunks_exact(FEATURE_COUNT)
    }

    /// Of one candidate.
    pub fn row(&self, candidate: usize) -> &[f32] {
        &self.0[candidate * FEATURE_COUNT..][..FEATURE_COUNT]
    }

    /// The mean of all rows; zeros without any.
    pub fn mean(&self) -> Vec<f32> {
        let mut sums = vec![0.0_f64; FEATURE_COUNT];
        for row in self.rows() {
            sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        let n = self.rows().len().max(1) as f64;
        sums.into_iter().map(|sum| (sum / n) as f32).collect()
    }

    pub fn from_rows<'a>(rows: impl Iterator<Item = &'a [f32]>) -> Self {
        Self(rows.flatten().copied().collect())
    }

    /// Sets every feature to 0 that `mask` leaves out.
    pub fn keep(&mut self, mask: FeatureMask) {
        if mask == FeatureMask::ALL {
            return;
        }
        for row in self.0.chunks_exact_mut(FEATURE_COUNT) {
            for (place, value) in row.iter_mut().enumerate() {
                if !mask.keeps(place) {
                    *value = 0.0;
                }
            }
        }
    }

    /// Describes candidates for a person at an occasion.
    pub fn describe(
        view: &View,
        user: Option<&User>,
        context: &UserContext,
        occasion: &Occasion,
        candidates: &[Candidate<'_>],
    ) -> Self {
        let describer = Describer::new(view, user, context, occasion, candidates);
        let describe = |candidates: &[Candidate<'_>], values: &mut [f32]| {
            for (candidate, row) in candidates.iter().zip(values.chunks_exact_mut(FEATURE_COUNT)) {
                row.copy_from_slice(&describer.row(candidate));
            }
        };
        let mut values = vec![0.0; candidates.len() * FEATURE_COUNT];
        if candidates.len() > PARALLEL_CANDIDATES {
            // A row depends on its candidate alone, so threads change no bit.
            candidates
                .par_chunks(PARALLEL_CANDIDATES)
                .zip(values.par_chunks_mut(PARALLEL_CANDIDATES * FEATURE_COUNT))
                .for_each(|(candidates, values)| describe(candidates, values));
        } else {
            describe(candidates, &mut values);
        }
        Self(values)
    }
}

/// Everything about the person and the occasion that all candidates share.
struct Describer<'a> {
    view: &'a View,
    user: Option<&'a User>,
    context: &'a UserContext,
    circumstances: Circumstances<'a>,
    cohorts: Option<CohortScorer<'a>>,
    /// Of the view's clock.
    scales: Scales,
    /// How much what is popular at the view's clock says of the occasion, 0 to 1.
    timeliness: [f32; 2],
    now: Timestamp,
    together: PathScores<'a>,
    next: PathScores<'a>,
}

/// Scores by the recent path.
struct PathScores<'a> {
    scorer: CooccurrenceScorer<'a>,
    /// Scores of all items, when that is cheaper than asking one by one.
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

    fn of(&self, index: Option<u32>) -> f32 {
        let score = match (index, &self.dense) {
            (None, _) => 0.0,
            (Some(index), Some(dense)) => dense[index as usize],
            (Some(index), None) => self.scorer.score(index),
        };
        evidence(score, COOCCURRENCE_UNIT)
    }
}

/// `ln(1 + score / unit)`, 0 for a score of 0 or below.
fn evidence(score: f32, unit: f32) -> f32 {
    if score > 0.0 { math::log1p_f32(score / unit) } else { 0.0 }
}

impl<'a> Describer<'a> {
    fn new(
        view: &'a View,
        user: Option<&'a User>,
        context: &'a UserContext,
        occasion: &'a Occasion,
        candidates: &[Candidate<'_>],
    ) -> Self {
        let session = user.map_or(&[][..], |user| user.session.items_at(occasion.now));
        let cooccurrence = view.cooccurrence_scorer(&context.recent).emphasising(session);
        let (count, items) = (candidates.len(), view.items.entries.len());
        let together = PathScores::new(cooccurrence, count, items);
        let next = PathScores::new(view.succession_scorer(&context.recent), count, items);
        let circumstances = Circumstances::new(view, user, occasion, candidates);
        let shares_now = view.decays.shares.at(view.clock);
        let cohorts = user
            .filter(|user| !user.cohorts.is_empty())
            .map(|user| view.cohorts.scorer(&user.cohorts, shares_now));
        let scales = view.popularity_scales();
        let now = occasion.now;
        let timeliness = timeliness(view, now);
        Self {
            view,
            user,
            context,
            circumstances,
            cohorts,
            scales,
            timeliness,
            now,
            together,
            next,
        }
    }

    fn row(&self, candidate: &Candidate<'_>) -> [f32; FEATURE_COUNT] {
        let (view, entry, around) = (self.view, candidate.entry, &self.circumstances);
        let lifts = around.topic_lifts(entry);
        let overall = candidate.index.map_or(0.0, |index| view.items.popularity.share(index));
        let statistics = candidate.index.map(|index| &view.items.popularity.items[index as usize]);
        let [long, short] = self.timeliness;
        let popularity = statistics.map_or(0.0, |one| self.scales.popularity(one));
        let trend = statistics.map_or(0.0, |one| self.scales.trend(one));
        let activity = statistics.map_or(0.0, |one| self.scales.activity(one));
        let log_popularity = long * math::log1p_f32(popularity);
        let newcomer = 1.0 / (1.0 + self.context.positives as f32);
        let all_time = statistics.map_or(0.0, |one| one.log_positives());
        [
            self.collaborative(candidate.index),
            self.together.of(candidate.index),
            self.context.taste.as_ref().map_or(0.0, |taste| taste.score(candidate.terms)),
            self.topic_affinity(entry),
            self.source_affinity(entry),
            log_popularity,
            all_time,
            short * math::log1p_f32(trend),
            self.cohort(candidate.index, overall),
            lifts.time,
            lifts.device,
            around.freshness(entry),
            log_popularity * newcomer,
            self.repeat(candidate.index),
            lifts.personal_time,
            lifts.location,
            around.location_popularity(candidate.index, overall),
            around.session_content(candidate.terms),
            around.session_topics(entry),
            self.item_item(candidate.index),
            self.next.of(candidate.index),
            long * math::log1p_f32(activity),
            self.repeat_recency(candidate.index),
            self.context.embedding_taste.score(view, candidate),
        ]
    }

    fn collaborative(&self, index: Option<u32>) -> f32 {
        match (&self.context.factors, index.and_then(|index| self.view.items.factors.row(index))) {
            (Some(user), Some(item)) => evidence(numeric::dot(user, item), COLLABORATIVE_UNIT),
            _ => 0.0,
        }
    }

    fn item_item(&self, index: Option<u32>) -> f32 {
        index.map_or(0.0, |index| evidence(self.context.item_item.of(index), COOCCURRENCE_UNIT))
    }

    fn topic_affinity(&self, entry: &Entry) -> f32 {
        if entry.topics.is_empty() {
            return 0.0;
        }
        let shares = entry.topics.iter().map(|&topic| self.context.topic_share(topic));
        shares.sum::<f32>() / (entry.topics.len() as f32).sqrt()
    }

    fn source_affinity(&self, entry: &Entry) -> f32 {
        let (Some(user), Some(source)) = (self.user, entry.source) else {
            return 0.0;
        };
        user.sources.share(source, self.view.profile_time(user), SHARE_PRIOR)
    }

    fn cohort(&self, index: Option<u32>, overall_share: f32) -> f32 {
        match (&self.cohorts, index) {
            (Some(cohorts), Some(index)) => cohorts.preference(index, overall_share),
            _ => 0.0,
        }
    }

    fn repeat(&self, index: Option<u32>) -> f32 {
        match index.map_or(0, |index| self.context.times_seen(index)) {
            0 => 0.0,
            times => math::log1p_f32(f32::from(times)),
        }
    }

    /// `ln(1 + hours since)`, negative: 0 for just now and for never, which `repeat` tells
    /// apart.
    fn repeat_recency(&self, index: Option<u32>) -> f32 {
        let seen = index.and_then(|index| self.context.seen(index));
        seen.map_or(0.0, |(_, last)| {
            let hours = self.now.hours_since(last).max(0.0);
            -0.1 * math::log1p_f32((hours / REPEAT_UNIT_HOURS) as f32)
        })
    }
}

/// What is popular at the view's clock says the less of an occasion the longer that was
/// before: by the half-lives of popularity and of the trend. After the clock it says all
/// there is to say.
fn timeliness(view: &View, now: Timestamp) -> [f32; 2] {
    [view.popularity_half_life_hours(), view.settings.trend_half_life_hours]
        .map(|half_life| decay(now.min(view.clock), view.clock, half_life))
}
