//! The parameters of a namespace that change what its engine learns or answers.
//!
//! They are a record of the log, not flags of a process: two replicas started
//! with different flags still learn the same. Stored as JSON with every field: what
//! lacks one, or has another, is not of this version and is not read.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::arms::ArmSettings;
use crate::domain::decision::DiversityMethod;
use crate::domain::decision::Strategy;
use crate::domain::interaction::InteractionType;
use crate::domain::limits;
use crate::domain::ranges::out_of_range;
use crate::domain::ranker::RankerSettings;
use crate::domain::violation::Violation;
use crate::domain::violation::Violations;

/// Confidence of each interaction type: how strongly one event of it says
/// that the user likes the item (positive) or not (negative). 0 is neutral.
/// In the order of [`InteractionType::ALL`].
///
/// Two types are scaled by their value: a dwell counts in full from 30 seconds
/// on and in proportion below; a rating counts in full from the namespace's
/// rating threshold on, as a dislike (scaled by one half) from two points below
/// it down, and is neutral in between.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ConfidenceTable([f32; InteractionType::ALL.len()]);

impl ConfidenceTable {
    /// Largest absolute confidence.
    pub const LARGEST: f32 = 100.0;

    pub fn of(&self, kind: InteractionType) -> f32 {
        self.0[kind.index()]
    }

    #[must_use]
    pub fn with(mut self, kind: InteractionType, confidence: f32) -> Self {
        self.0[kind.index()] = confidence;
        self
    }
}

impl Default for ConfidenceTable {
    fn default() -> Self {
        let confidence = |kind| match kind {
            InteractionType::Impression => 0.0,
            InteractionType::Click | InteractionType::Dwell | InteractionType::Rating => 1.0,
            InteractionType::Save | InteractionType::Share => 1.5,
            InteractionType::Like | InteractionType::Purchase => 2.0,
            InteractionType::Skip => -0.25,
            InteractionType::Dislike | InteractionType::Hide => -1.0,
        };
        Self(InteractionType::ALL.map(confidence))
    }
}

/// Half-lives of freshness that are set rather than learnt, in hours, by topic and by
/// source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreshnessTable {
    pub topics: BTreeMap<Box<str>, f32>,
    pub sources: BTreeMap<Box<str>, f32>,
}

impl FreshnessTable {
    pub fn len(&self) -> usize {
        self.topics.len() + self.sources.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The half-life set for an item: its source's, else the shortest of its topics'.
    pub fn of<'a>(
        &self,
        topics: impl Iterator<Item = &'a str>,
        source: Option<&str>,
    ) -> Option<f32> {
        let by_source = source.and_then(|source| self.sources.get(source)).copied();
        let by_topic = || topics.filter_map(|topic| self.topics.get(topic)).copied();
        by_source.or_else(|| by_topic().min_by(f32::total_cmp))
    }

    fn entries(&self) -> impl Iterator<Item = (String, f32)> {
        let topics = self.topics.iter().map(|(name, hours)| (format!("topic:{name}"), *hours));
        let sources = self.sources.iter().map(|(name, hours)| (format!("source:{name}"), *hours));
        topics.chain(sources)
    }
}

/// Parameters of one namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Length of user and item factors, k.
    pub collaborative_factors: u32,
    /// L2 regularization of implicit matrix factorization, lambda.
    pub collaborative_regularization: f32,
    /// Weight of unobserved pairs in implicit matrix factorization, alpha0.
    pub unobserved_weight: f32,
    /// Trainings that a search for better values of these three may take; 0 or 1: none.
    pub search_trials: u32,
    /// Most terms of the TF-IDF vocabulary.
    pub tfidf_max_features: u32,
    /// Length of the embeddings that items may carry.
    pub embedding_dimension: u32,
    /// Where popularity begins: it goes by the nearest of six hours, a day, two weeks, a
    /// quarter and a century until 100 consumptions show which of these, the trend's and
    /// 2,000 events predicts best. After this time an interaction counts half for what is
    /// consumed when, where and at which age.
    #[serde(rename = "popularity_half_life")]
    pub popularity_half_life_hours: f32,
    /// The same for the trend, which looks at the recent past only.
    #[serde(rename = "trend_half_life")]
    pub trend_half_life_hours: f32,
    /// The same for a user's topic, source, device and temporal preferences.
    #[serde(rename = "profile_half_life")]
    pub profile_half_life_hours: f32,
    /// The same for item co-occurrence.
    pub cooccurrence_half_life_hours: f32,
    /// Age at which an item is half as fresh, where neither its topic or source has
    /// one nor the ages at which users consume items give one.
    #[serde(rename = "freshness_half_life")]
    pub freshness_half_life_hours: f32,
    /// Half-lives of freshness that are not to be learnt.
    pub freshness_half_lives: FreshnessTable,
    /// Share of the positions given to new items by strategies that explore; 0 is none.
    pub new_item_share: f32,
    /// Impressions from which on an item is not new any more.
    pub new_item_impressions: u32,
    /// Age, from its publication or its first upsert, at which an item is not new
    /// any more.
    #[serde(rename = "new_item_age")]
    pub new_item_days: f32,
    /// How much the uncertainty about a new item adds to its score under strategies
    /// that explore, in standard deviations of its reward; 0 is nothing.
    pub exploration_bonus: f32,
    /// A rating of at least this value is positive.
    pub rating_threshold: f32,
    pub confidences: ConfidenceTable,
    /// How the ranker chooses when the request does not say.
    pub strategy: Strategy,
    /// Probability per position of an exploring choice under epsilon-greedy.
    pub epsilon: f32,
    /// How a list is varied when the request does not say.
    pub diversity_method: DiversityMethod,
    /// How strongly, 0 (not at all) to 1, when the request does not say.
    pub diversity_weight: f32,
    /// The largest topic takes at most 1 - this share of a list when the request
    /// does not say.
    pub topic_diversity_threshold: f32,
    /// How much of an item's relevance depends on being unlike what the user had,
    /// 0 to 1, when the request does not say.
    pub serendipity_weight: f32,
    /// Weight of being little known against relevance, 0 to 1, when the request does
    /// not say.
    pub novelty_weight: f32,
    /// Most items of one topic in a list when the request does not say; 0: any number.
    pub max_per_topic: u32,
    /// The same for sources.
    pub max_per_source: u32,
    /// How often an item may be shown to a user in 24 hours when the request does
    /// not say; 0: any number of times.
    pub frequency_cap_per_day: u32,
    /// Hours for which an item stays away after the user had it when the
    /// request does not say; 0: no such rule.
    #[serde(rename = "seen_cooldown")]
    pub seen_cooldown_hours: f32,
    /// Times (sessions) that a user has had an item from which on it stays away when the
    /// request does not say; 0: no such rule.
    pub seen_after_sessions: u32,
    /// Whether items a user already had may be recommended again; `None`: learnt from
    /// how often users come back to an item.
    pub recommend_seen: Option<bool>,
    /// How arms are chosen and learnt about.
    pub arms: ArmSettings,
    /// How the ranker explores and learns from decisions.
    pub ranker: RankerSettings,
    /// Users that are remembered: beyond it, those who did least are forgotten. About a kibibyte
    /// each.
    pub users_max: u32,
    /// Items that only events name and that are remembered: beyond it, those with the least
    /// evidence are forgotten.
    pub unknown_items_max: u32,
    /// Keys the random streams of the engine and the trainer.
    pub seed: u64,
    /// Names of those above that the namespace has set itself, such as `epsilon` and
    /// `arms.alpha`; the others follow the configuration of the server.
    pub own: BTreeSet<Box<str>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            collaborative_factors: 64,
            collaborative_regularization: 0.006,
            unobserved_weight: 0.2,
            search_trials: 10,
            tfidf_max_features: 10_000,
            embedding_dimension: 384,
            popularity_half_life_hours: 90.0 * 24.0,
            trend_half_life_hours: 3.0 * 24.0,
            profile_half_life_hours: 60.0 * 24.0,
            cooccurrence_half_life_hours: 5.0 * 365.0 * 24.0,
            freshness_half_life_hours: 7.0 * 24.0,
            freshness_half_lives: FreshnessTable::default(),
            new_item_share: 0.05,
            new_item_impressions: 100,
            new_item_days: 14.0,
            exploration_bonus: 0.5,
            rating_threshold: 4.0,
            confidences: ConfidenceTable::default(),
            strategy: Strategy::EpsilonGreedy,
            epsilon: 0.02,
            diversity_method: DiversityMethod::Dpp,
            diversity_weight: 0.1,
            topic_diversity_threshold: 0.0,
            serendipity_weight: 0.0,
            novelty_weight: 0.0,
            max_per_topic: 0,
            max_per_source: 0,
            frequency_cap_per_day: 0,
            seen_cooldown_hours: 0.0,
            seen_after_sessions: 0,
            recommend_seen: None,
            arms: ArmSettings::default(),
            ranker: RankerSettings::default(),
            users_max: 1_000_000,
            unknown_items_max: 100_000,
            seed: 1,
            own: BTreeSet::new(),
        }
    }
}

/// Allowed range of a numeric setting; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SettingsRange {
    pub name: &'static str,
    pub min: f64,
    pub max: f64,
}

impl SettingsRange {
    const fn new(name: &'static str, min: f64, max: f64) -> Self {
        Self { name, min, max }
    }

    /// # Errors
    /// A phrase that names the range.
    pub fn check(&self, value: f64) -> Result<f64, String> {
        // In f32, as settings are stored: the ends are within.
        let stored = value as f32;
        if stored >= self.min as f32 && stored <= self.max as f32 {
            Ok(value)
        } else {
            Err(out_of_range(value, self.min, self.max))
        }
    }

    pub const FACTORS: Self = Self::new("collaborative_factors", 8.0, 256.0);
    pub const SEARCH_TRIALS: Self = Self::new("search_trials", 0.0, 100.0);
    pub const REGULARIZATION: Self = Self::new("collaborative_regularization", 1e-6, 100.0);
    pub const UNOBSERVED_WEIGHT: Self = Self::new("unobserved_weight", 1e-6, 10.0);
    pub const TFIDF_MAX_FEATURES: Self = Self::new("tfidf_max_features", 16.0, 1_000_000.0);
    pub const EMBEDDING_DIMENSION: Self = Self::new("embedding_dimension", 1.0, 4_096.0);
    pub const POPULARITY_HALF_LIFE: Self = Self::new("popularity_half_life_hours", 0.1, 1e6);
    pub const TREND_HALF_LIFE: Self = Self::new("trend_half_life_hours", 0.1, 1e6);
    pub const PROFILE_HALF_LIFE: Self = Self::new("profile_half_life_hours", 0.1, 1e6);
    pub const COOCCURRENCE_HALF_LIFE: Self = Self::new("cooccurrence_half_life_hours", 0.1, 1e6);
    pub const FRESHNESS_HALF_LIFE: Self = Self::new("freshness_half_life_hours", 0.1, 1e6);
    pub const NEW_ITEM_SHARE: Self = Self::new("new_item_share", 0.0, 0.5);
    pub const NEW_ITEM_IMPRESSIONS: Self = Self::new("new_item_impressions", 1.0, 1e6);
    pub const NEW_ITEM_DAYS: Self = Self::new("new_item_days", 0.0, 36_500.0);
    pub const EXPLORATION_BONUS: Self = Self::new("exploration_bonus", 0.0, 10.0);
    pub const RATING_THRESHOLD: Self = Self::new("rating_threshold", 0.0, 1e6);
    pub const EPSILON: Self = Self::new("epsilon", 0.0, 1.0);
    pub const DIVERSITY_WEIGHT: Self = Self::new("diversity_weight", 0.0, 1.0);
    pub const TOPIC_DIVERSITY: Self = Self::new("topic_diversity_threshold", 0.0, 1.0);
    pub const SERENDIPITY_WEIGHT: Self = Self::new("serendipity_weight", 0.0, 1.0);
    pub const NOVELTY_WEIGHT: Self = Self::new("novelty_weight", 0.0, 1.0);
    pub const MAX_PER_TOPIC: Self = Self::new("max_per_topic", 0.0, 500.0);
    pub const MAX_PER_SOURCE: Self = Self::new("max_per_source", 0.0, 500.0);
    pub const FREQUENCY_CAP: Self = Self::new("frequency_cap_per_day", 0.0, 1_000.0);
    pub const SEEN_COOLDOWN: Self = Self::new("seen_cooldown_hours", 0.0, 1e6);
    pub const SEEN_AFTER: Self = Self::new("seen_after_sessions", 0.0, 65_535.0);
    pub const USERS_MAX: Self = Self::new("users_max", 100.0, 1e8);
    pub const UNKNOWN_ITEMS_MAX: Self = Self::new("unknown_items_max", 100.0, 1e7);
}

impl Settings {
    /// # Errors
    /// Every setting outside its range.
    pub fn check(self) -> Result<Self, Vec<Violation>> {
        let mut violations = Violations::default();
        for (range, value) in self.numbers() {
            violations.take(range.name, range.check(value));
        }
        let freshness = &self.freshness_half_lives;
        if freshness.len() > limits::FRESHNESS_HALF_LIVES {
            let most = limits::FRESHNESS_HALF_LIVES;
            violations.add("freshness_half_lives", format!("must hold at most {most} entries"));
        }
        for (name, hours) in freshness.entries().take(limits::FRESHNESS_HALF_LIVES) {
            let checked = SettingsRange::FRESHNESS_HALF_LIFE.check(f64::from(hours));
            violations.take(&format!("freshness_half_lives.{name}"), checked);
        }
        for kind in InteractionType::ALL {
            let confidence = self.confidences.of(kind);
            // Written so that NaN fails, too.
            if !(-ConfidenceTable::LARGEST..=ConfidenceTable::LARGEST).contains(&confidence) {
                violations.add(format!("confidences.{}", kind.name()), "must be -100 to 100");
            }
        }
        violations.absorb("arms", self.arms.check());
        violations.absorb("ranker", self.ranker.check());
        violations.finish(self)
    }

    fn numbers(&self) -> [(SettingsRange, f64); 28] {
        [
            (SettingsRange::FACTORS, f64::from(self.collaborative_factors)),
            (SettingsRange::REGULARIZATION, f64::from(self.collaborative_regularization)),
            (SettingsRange::UNOBSERVED_WEIGHT, f64::from(self.unobserved_weight)),
            (SettingsRange::SEARCH_TRIALS, f64::from(self.search_trials)),
            (SettingsRange::TFIDF_MAX_FEATURES, f64::from(self.tfidf_max_features)),
            (SettingsRange::EMBEDDING_DIMENSION, f64::from(self.embedding_dimension)),
            (SettingsRange::POPULARITY_HALF_LIFE, f64::from(self.popularity_half_life_hours)),
            (SettingsRange::TREND_HALF_LIFE, f64::from(self.trend_half_life_hours)),
            (SettingsRange::PROFILE_HALF_LIFE, f64::from(self.profile_half_life_hours)),
            (SettingsRange::COOCCURRENCE_HALF_LIFE, f64::from(self.cooccurrence_half_life_hours)),
            (SettingsRange::FRESHNESS_HALF_LIFE, f64::from(self.freshness_half_life_hours)),
            (SettingsRange::NEW_ITEM_SHARE, f64::from(self.new_item_share)),
            (SettingsRange::NEW_ITEM_IMPRESSIONS, f64::from(self.new_item_impressions)),
            (SettingsRange::NEW_ITEM_DAYS, f64::from(self.new_item_days)),
            (SettingsRange::EXPLORATION_BONUS, f64::from(self.exploration_bonus)),
            (SettingsRange::RATING_THRESHOLD, f64::from(self.rating_threshold)),
            (SettingsRange::EPSILON, f64::from(self.epsilon)),
            (SettingsRange::DIVERSITY_WEIGHT, f64::from(self.diversity_weight)),
            (SettingsRange::TOPIC_DIVERSITY, f64::from(self.topic_diversity_threshold)),
            (SettingsRange::SERENDIPITY_WEIGHT, f64::from(self.serendipity_weight)),
            (SettingsRange::NOVELTY_WEIGHT, f64::from(self.novelty_weight)),
            (SettingsRange::MAX_PER_TOPIC, f64::from(self.max_per_topic)),
            (SettingsRange::MAX_PER_SOURCE, f64::from(self.max_per_source)),
            (SettingsRange::FREQUENCY_CAP, f64::from(self.frequency_cap_per_day)),
            (SettingsRange::SEEN_COOLDOWN, f64::from(self.seen_cooldown_hours)),
            (SettingsRange::SEEN_AFTER, f64::from(self.seen_after_sessions)),
            (SettingsRange::USERS_MAX, f64::from(self.users_max)),
            (SettingsRange::UNKNOWN_ITEMS_MAX, f64::from(self.unknown_items_max)),
        ]
    }

    /// Signed confidence of one interaction: its type's, scaled by its value.
    pub fn confidence(&self, kind: InteractionType, value: Option<f32>) -> f32 {
        const FULL_DWELL_SECONDS: f32 = 30.0;
        const DISLIKE_POINTS_BELOW: f32 = 2.0;
        const DISLIKE_SCALE: f32 = -0.5;
        let confidence = self.confidences.of(kind);
        match (kind, value) {
            (InteractionType::Dwell, Some(seconds)) => {
                confidence * (seconds / FULL_DWELL_SECONDS).min(1.0)
            }
            (InteractionType::Rating, Some(rating)) if rating >= self.rating_threshold => {
                confidence
            }
            (InteractionType::Rating, Some(rating))
                if rating <= self.rating_threshold - DISLIKE_POINTS_BELOW =>
            {
                confidence * DISLIKE_SCALE
            }
            (InteractionType::Rating | InteractionType::Dwell, _) => 0.0,
            _ => confidence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_lie_in_their_ranges() {
        assert!(Settings::default().check().is_ok());
    }

    #[test]
    fn the_half_life_of_a_source_goes_before_the_shortest_of_the_topics() {
        let by_name = |entries: [(&str, f32); 2]| entries.map(|(name, h)| (name.into(), h)).into();
        let table = FreshnessTable {
            topics: by_name([("news", 6.0), ("music", 900.0)]),
            sources: by_name([("archive", 5_000.0), ("wire", 2.0)]),
        };
        let of = |topics: &[&str], source| table.of(topics.iter().copied(), source);
        assert_eq!(of(&["music", "news"], Some("unknown")), Some(6.0));
        assert_eq!(of(&["music", "news"], Some("archive")), Some(5_000.0));
        assert_eq!(of(&["cooking"], None), None);
    }

    #[test]
    fn a_setting_out_of_range_or_not_a_number_is_named() {
        let settings =
            Settings { epsilon: f32::NAN, collaborative_factors: 7, ..Settings::default() };
        let fields: Vec<_> =
            settings.check().unwrap_err().into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["collaborative_factors", "epsilon"]);
    }

    #[test]
    fn a_rating_is_positive_neutral_or_negative_by_its_distance_from_the_threshold() {
        let settings = Settings::default();
        let rating = |value| settings.confidence(InteractionType::Rating, Some(value));
        assert!(rating(4.0) > 0.0);
        assert_eq!(rating(3.0), 0.0);
        assert!(rating(2.0) < 0.0);
    }

    #[test]
    fn settings_that_lack_a_field_or_have_another_are_not_read() {
        let read = |value| serde_json::from_value::<Settings>(value);
        let whole = serde_json::to_value(Settings::default()).unwrap();
        assert_eq!(read(whole.clone()).unwrap(), Settings::default());
        let mut lacking = whole.clone();
        lacking.as_object_mut().unwrap().remove("epsilon");
        assert!(read(lacking).unwrap_err().to_string().contains("epsilon"));
        let mut more = whole;
        more["later_field"] = 1.into();
        assert!(read(more).unwrap_err().to_string().contains("later_field"));
    }
}
