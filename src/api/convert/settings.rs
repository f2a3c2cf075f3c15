//! Settings of a namespace, and the names of strategies.

use prost_types::Duration;

use super::arms::arm_settings;
use super::arms::arm_settings_message;
use super::durations::days;
use super::durations::days_message;
use super::durations::hours;
use super::durations::hours_message;
use super::durations::whole_hours;
use super::durations::whole_hours_message;
use super::interaction::RATING_MAX;
use super::scalars::decimal;
use super::settings_fields::only;
use super::settings_fields::set_names;
use super::tables::confidences;
use super::tables::confidences_message;
use super::tables::freshness;
use super::tables::half_lives_message;
use crate::proto;
use engine::domain::DiversityMethod;
use engine::domain::ListOrigin;
use engine::domain::RankerSettings;
use engine::domain::Settings;
use engine::domain::SettingsRange;
use engine::domain::Strategy;
use engine::domain::Violation;
use engine::domain::Violations;

const FIELD: &str = "settings";

/// `base` with what the message sets, which is the namespace's own then. Fields have the
/// names of [`Settings`], so the violations of its check are those of the message.
///
/// # Errors
/// Every setting out of range, under `settings`.
pub fn settings(
    message: Option<proto::NamespaceSettings>,
    base: &Settings,
) -> Result<Settings, Vec<Violation>> {
    let message = message.unwrap_or_default();
    let set = set_names(&message).into_iter().map(String::into_boxed_str);
    let own = base.own.iter().cloned().chain(set).collect();
    let mut violations = Violations::default();
    let chosen = message.strategy.map(strategy).transpose();
    let chosen = violations.take("settings.strategy", chosen).flatten().flatten();
    let method = message.diversity_method.map(diversity_method).transpose();
    let method = violations.take("settings.diversity_method", method).flatten().flatten();
    let rating_threshold = message.rating_threshold.map(rating_threshold).transpose();
    let rating_threshold = violations.take("settings.rating_threshold", rating_threshold).flatten();
    let settings = overlaid(&message, base, &mut violations);
    let confidences = confidences(&message.confidences, base.confidences, &mut violations);
    let freshness = freshness(&message, &base.freshness_half_lives, &mut violations);
    let arms = message.arms.unwrap_or_default();
    let arms = arm_settings(&arms, base.arms, &mut violations);
    let ranker = message.ranker.as_ref();
    let ranker = ranker.map(|ranker| ranker_settings(ranker, base.ranker, &mut violations));
    let settings = Settings {
        arms,
        ranker: ranker.unwrap_or(base.ranker),
        confidences,
        freshness_half_lives: freshness,
        strategy: chosen.unwrap_or(base.strategy),
        diversity_method: method.unwrap_or(base.diversity_method),
        rating_threshold: rating_threshold.unwrap_or(base.rating_threshold),
        own,
        ..settings
    };
    let settings = violations.absorb(FIELD, settings.check());
    violations.finish(settings).map(|checked| checked.expect("nothing is violated"))
}

/// With what the message sets; checked with the other settings.
fn ranker_settings(
    message: &proto::RankerSettings,
    base: RankerSettings,
    violations: &mut Violations,
) -> RankerSettings {
    let credit = message.credit_window.map(whole_hours).transpose();
    let credit = violations.take("settings.ranker.credit_window", credit).flatten();
    let optional = |set: Option<f64>, base| set.map(|set| set as f32).or(base);
    RankerSettings {
        exploration_scale: number(message.exploration_scale, base.exploration_scale),
        square_cb_gamma: number(message.square_cb_gamma, base.square_cb_gamma),
        propensity_floor: number(message.propensity_floor, base.propensity_floor),
        half_life_decisions: message.half_life_decisions.unwrap_or(base.half_life_decisions),
        examination_decay: optional(message.examination_decay, base.examination_decay),
        exploration_allowance: optional(message.exploration_allowance, base.exploration_allowance),
        credit_hours: credit.unwrap_or(base.credit_hours),
        credit_megabytes: message.credit_megabytes.unwrap_or(base.credit_megabytes),
    }
}

fn ranker_settings_message(settings: &RankerSettings) -> proto::RankerSettings {
    proto::RankerSettings {
        exploration_scale: Some(decimal(settings.exploration_scale)),
        square_cb_gamma: Some(decimal(settings.square_cb_gamma)),
        propensity_floor: Some(decimal(settings.propensity_floor)),
        half_life_decisions: Some(settings.half_life_decisions),
        examination_decay: settings.examination_decay.map(decimal),
        exploration_allowance: settings.exploration_allowance.map(decimal),
        credit_window: Some(whole_hours_message(settings.credit_hours)),
        credit_megabytes: Some(settings.credit_megabytes),
    }
}

/// As it is stored; checked with the other settings.
fn number(set: Option<f64>, base: f32) -> f32 {
    set.map_or(base, |set| set as f32)
}

/// All but the tables, the strategy, the method and the rating threshold.
fn overlaid(
    message: &proto::NamespaceSettings,
    base: &Settings,
    violations: &mut Violations,
) -> Settings {
    let base = &with_times(message, &with_rules(message, base), violations);
    Settings {
        collaborative_factors: message.collaborative_factors.unwrap_or(base.collaborative_factors),
        collaborative_regularization: number(
            message.collaborative_regularization,
            base.collaborative_regularization,
        ),
        unobserved_weight: number(message.unobserved_weight, base.unobserved_weight),
        search_trials: message.search_trials.unwrap_or(base.search_trials),
        new_item_share: number(message.new_item_share, base.new_item_share),
        new_item_impressions: message.new_item_impressions.unwrap_or(base.new_item_impressions),
        exploration_bonus: number(message.exploration_bonus, base.exploration_bonus),
        epsilon: number(message.epsilon, base.epsilon),
        recommend_seen: message.recommend_seen.or(base.recommend_seen),
        tfidf_max_features: message.tfidf_max_features.unwrap_or(base.tfidf_max_features),
        embedding_dimension: message.embedding_dimension.unwrap_or(base.embedding_dimension),
        users_max: message.users_max.unwrap_or(base.users_max),
        unknown_items_max: message.unknown_items_max.unwrap_or(base.unknown_items_max),
        ..base.clone()
    }
}

/// A length of time in the unit in which it is stored, if it is within the range.
type Read = fn(Duration, SettingsRange) -> Result<f32, String>;

/// Half-lives and other lengths of time.
fn with_times(
    message: &proto::NamespaceSettings,
    base: &Settings,
    violations: &mut Violations,
) -> Settings {
    let mut time = |name: &str, set: Option<Duration>, base: f32, read: Read, range| {
        let set = set.map(|set| read(set, range)).transpose();
        violations.take(&format!("{FIELD}.{name}"), set).flatten().unwrap_or(base)
    };
    Settings {
        popularity_half_life_hours: time(
            "popularity_half_life",
            message.popularity_half_life,
            base.popularity_half_life_hours,
            hours,
            SettingsRange::POPULARITY_HALF_LIFE,
        ),
        trend_half_life_hours: time(
            "trend_half_life",
            message.trend_half_life,
            base.trend_half_life_hours,
            hours,
            SettingsRange::TREND_HALF_LIFE,
        ),
        profile_half_life_hours: time(
            "profile_half_life",
            message.profile_half_life,
            base.profile_half_life_hours,
            hours,
            SettingsRange::PROFILE_HALF_LIFE,
        ),
        freshness_half_life_hours: time(
            "freshness_half_life",
            message.freshness_half_life,
            base.freshness_half_life_hours,
            hours,
            SettingsRange::FRESHNESS_HALF_LIFE,
        ),
        seen_cooldown_hours: time(
            "seen_cooldown",
            message.seen_cooldown,
            base.seen_cooldown_hours,
            hours,
            SettingsRange::SEEN_COOLDOWN,
        ),
        new_item_days: time(
            "new_item_age",
            message.new_item_age,
            base.new_item_days,
            days,
            SettingsRange::NEW_ITEM_DAYS,
        ),
        ..base.clone()
    }
}

/// What concerns the variety of lists and the rules on repetition.
fn with_rules(message: &proto::NamespaceSettings, base: &Settings) -> Settings {
    Settings {
        diversity_weight: number(message.diversity_weight, base.diversity_weight),
        topic_diversity_threshold: number(
            message.topic_diversity_threshold,
            base.topic_diversity_threshold,
        ),
        serendipity_weight: number(message.serendipity_weight, base.serendipity_weight),
        novelty_weight: number(message.novelty_weight, base.novelty_weight),
        max_per_topic: message.max_per_topic.unwrap_or(base.max_per_topic),
        max_per_source: message.max_per_source.unwrap_or(base.max_per_source),
        frequency_cap_per_day: message.frequency_cap_per_day.unwrap_or(base.frequency_cap_per_day),
        seen_after_sessions: message.seen_after_sessions.unwrap_or(base.seen_after_sessions),
        ..base.clone()
    }
}

/// Narrower than [`SettingsRange::RATING_THRESHOLD`]: ratings of the contract end at 5.
fn rating_threshold(threshold: f64) -> Result<f32, String> {
    let range = SettingsRange { max: RATING_MAX, ..SettingsRange::RATING_THRESHOLD };
    range.check(threshold).map(|threshold| threshold as f32)
}

/// All that a namespace can set, with nothing left unset.
pub fn settings_message(settings: &Settings) -> proto::NamespaceSettings {
    let number = |value| Some(decimal(value));
    let time = |hours| Some(hours_message(hours));
    proto::NamespaceSettings {
        collaborative_factors: Some(settings.collaborative_factors),
        collaborative_regularization: number(settings.collaborative_regularization),
        unobserved_weight: number(settings.unobserved_weight),
        search_trials: Some(settings.search_trials),
        popularity_half_life: time(settings.popularity_half_life_hours),
        trend_half_life: time(settings.trend_half_life_hours),
        profile_half_life: time(settings.profile_half_life_hours),
        rating_threshold: number(settings.rating_threshold),
        strategy: Some(strategy_code(settings.strategy)),
        epsilon: number(settings.epsilon),
        recommend_seen: settings.recommend_seen,
        tfidf_max_features: Some(settings.tfidf_max_features),
        embedding_dimension: Some(settings.embedding_dimension),
        users_max: Some(settings.users_max),
        unknown_items_max: Some(settings.unknown_items_max),
        topic_freshness_half_lives: half_lives_message(&settings.freshness_half_lives.topics),
        source_freshness_half_lives: half_lives_message(&settings.freshness_half_lives.sources),
        freshness_half_life: time(settings.freshness_half_life_hours),
        new_item_share: number(settings.new_item_share),
        new_item_impressions: Some(settings.new_item_impressions),
        new_item_age: Some(days_message(settings.new_item_days)),
        exploration_bonus: number(settings.exploration_bonus),
        diversity_method: Some(diversity_method_code(settings.diversity_method)),
        diversity_weight: number(settings.diversity_weight),
        topic_diversity_threshold: number(settings.topic_diversity_threshold),
        serendipity_weight: number(settings.serendipity_weight),
        novelty_weight: number(settings.novelty_weight),
        max_per_topic: Some(settings.max_per_topic),
        max_per_source: Some(settings.max_per_source),
        frequency_cap_per_day: Some(settings.frequency_cap_per_day),
        seen_cooldown: time(settings.seen_cooldown_hours),
        seen_after_sessions: Some(settings.seen_after_sessions),
        confidences: confidences_message(&settings.confidences),
        arms: Some(arm_settings_message(&settings.arms)),
        ranker: Some(ranker_settings_message(&settings.ranker)),
    }
}

/// Those that are the namespace's own; of confidences those that are not the default.
pub fn own_settings_message(settings: &Settings) -> proto::NamespaceSettings {
    let mut message = only(&settings_message(settings), |name| settings.own.contains(name));
    let defaults = confidences_message(&Settings::default().confidences);
    message.confidences.retain(|entry| !defaults.contains(entry));
    message
}

/// `None` for UNSPECIFIED.
pub(super) fn strategy(code: i32) -> Result<Option<Strategy>, String> {
    match proto::Strategy::try_from(code) {
        Err(_) => Err(format!("must be a known strategy, is {code}")),
        Ok(proto::Strategy::Unspecified) => Ok(None),
        Ok(proto::Strategy::Greedy) => Ok(Some(Strategy::Greedy)),
        Ok(proto::Strategy::EpsilonGreedy) => Ok(Some(Strategy::EpsilonGreedy)),
        Ok(proto::Strategy::Thompson) => Ok(Some(Strategy::Thompson)),
        Ok(proto::Strategy::LinUcb) => Ok(Some(Strategy::LinUcb)),
        Ok(proto::Strategy::SquareCb) => Ok(Some(Strategy::SquareCb)),
    }
}

pub fn list_origin_message(origin: ListOrigin) -> proto::ListOrigin {
    match origin {
        ListOrigin::Ranker => proto::ListOrigin::Ranker,
        ListOrigin::Baseline => proto::ListOrigin::Baseline,
        ListOrigin::Popular => proto::ListOrigin::Popular,
    }
}

pub fn strategy_message(strategy: Strategy) -> proto::Strategy {
    match strategy {
        Strategy::Greedy => proto::Strategy::Greedy,
        Strategy::EpsilonGreedy => proto::Strategy::EpsilonGreedy,
        Strategy::Thompson => proto::Strategy::Thompson,
        Strategy::LinUcb => proto::Strategy::LinUcb,
        Strategy::SquareCb => proto::Strategy::SquareCb,
    }
}

fn strategy_code(strategy: Strategy) -> i32 {
    strategy_message(strategy).into()
}

/// `None` for UNSPECIFIED.
pub(super) fn diversity_method(code: i32) -> Result<Option<DiversityMethod>, String> {
    match proto::DiversityMethod::try_from(code) {
        Err(_) => Err(format!("must be a known method, is {code}")),
        Ok(proto::DiversityMethod::Unspecified) => Ok(None),
        Ok(proto::DiversityMethod::None) => Ok(Some(DiversityMethod::None)),
        Ok(proto::DiversityMethod::Dpp) => Ok(Some(DiversityMethod::Dpp)),
        Ok(proto::DiversityMethod::Calibrated) => Ok(Some(DiversityMethod::Calibrated)),
    }
}

fn diversity_method_code(method: DiversityMethod) -> i32 {
    let method = match method {
        DiversityMethod::None => proto::DiversityMethod::None,
        DiversityMethod::Dpp => proto::DiversityMethod::Dpp,
        DiversityMethod::Calibrated => proto::DiversityMethod::Calibrated,
    };
    method.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::domain::FreshnessTable;

    type Message = proto::NamespaceSettings;

    fn convert(message: Message) -> Result<Settings, Vec<Violation>> {
        settings(Some(message), &Settings::default())
    }

    #[test]
    fn of_confidences_a_namespace_has_set_itself_what_is_not_the_default() {
        let confidences = vec![proto::TypeConfidence { r#type: 2, confidence: 5.0 }];
        let message = Message { confidences, ..Message::default() };
        let set = convert(message.clone()).unwrap();
        assert_eq!(own_settings_message(&set), message);
        assert!(settings_message(&set).confidences.len() > 1);
    }

    #[test]
    fn a_message_that_sets_nothing_gives_no_settings_of_its_own() {
        assert_eq!(settings(None, &Settings::default()), Ok(Settings::default()));
        assert_eq!(convert(Message::default()), Ok(Settings::default()));
        let unspecified = Message { strategy: Some(0), ..Message::default() };
        assert_eq!(convert(unspecified), Ok(Settings::default()));
    }

    #[test]
    fn what_is_unset_stays_as_in_the_base() {
        let base = Settings { collaborative_factors: 32, seed: 9, ..Settings::default() };
        let message = Message { epsilon: Some(0.5), strategy: Some(1), ..Message::default() };
        let own = ["epsilon", "strategy"].map(Box::from).into();
        let expected = Settings { epsilon: 0.5, strategy: Strategy::Greedy, own, ..base.clone() };
        let converted = settings(Some(message.clone()), &base).unwrap();
        assert_eq!(own_settings_message(&converted), message);
        assert_eq!(converted, expected);
    }

    #[test]
    fn settings_come_back_as_they_were_in_the_decimal_numbers_they_were_written_in() {
        let written = Settings {
            collaborative_regularization: 0.01,
            freshness_half_lives: FreshnessTable {
                topics: [("news".into(), 5.5)].into(),
                sources: [("archive".into(), 8_000.0)].into(),
            },
            ..Settings::default()
        };
        let message = settings_message(&written);
        assert_eq!(message.collaborative_regularization, Some(0.01));
        let converted = convert(message).unwrap();
        assert_eq!(Settings { own: Default::default(), ..converted }, written);
    }

    const fn seconds(seconds: i64) -> Duration {
        Duration { seconds, nanos: 0 }
    }

    fn all_wrong() -> Message {
        Message {
            collaborative_factors: Some(7),
            collaborative_regularization: Some(0.0),
            unobserved_weight: Some(f64::NAN),
            search_trials: Some(101),
            popularity_half_life: Some(seconds(-1)),
            trend_half_life: Some(seconds(0)),
            profile_half_life: Some(seconds(i64::MAX)),
            rating_threshold: Some(5.1),
            strategy: Some(99),
            epsilon: Some(1.1),
            recommend_seen: None,
            tfidf_max_features: Some(0),
            embedding_dimension: Some(0),
            users_max: Some(99),
            unknown_items_max: Some(99),
            topic_freshness_half_lives: [("a".to_owned(), seconds(0))].into(),
            source_freshness_half_lives: [(String::new(), seconds(3_600))].into(),
            freshness_half_life: Some(seconds(0)),
            new_item_share: Some(0.6),
            new_item_impressions: Some(0),
            new_item_age: Some(seconds(-1)),
            exploration_bonus: Some(f64::INFINITY),
            diversity_method: Some(5),
            diversity_weight: Some(1.1),
            topic_diversity_threshold: Some(-0.1),
            serendipity_weight: Some(2.0),
            novelty_weight: Some(f64::NAN),
            max_per_topic: Some(501),
            max_per_source: Some(501),
            frequency_cap_per_day: Some(1_001),
            seen_cooldown: Some(seconds(-1)),
            seen_after_sessions: Some(65_536),
            confidences: [(2, f64::NAN), (3, 1.0), (3, 2.0), (0, 1.0), (99, 101.0)]
                .map(|(r#type, confidence)| proto::TypeConfidence { r#type, confidence })
                .into(),
            ranker: Some(proto::RankerSettings {
                propensity_floor: Some(0.0),
                half_life_decisions: Some(3),
                credit_window: Some(seconds(3_601)),
                ..Default::default()
            }),
            arms: Some(proto::ArmSettings {
                strategy: Some(9),
                alpha: Some(0.0),
                half_life_selections: Some(3),
                ..Default::default()
            }),
        }
    }

    #[test]
    fn every_setting_out_of_range_is_named() {
        let mut fields: Vec<_> = convert(all_wrong())
            .unwrap_err()
            .into_iter()
            .map(|violation| violation.field)
            .collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                "settings.arms.alpha",
                "settings.arms.half_life_selections",
                "settings.arms.strategy",
                "settings.collaborative_factors",
                "settings.collaborative_regularization",
                "settings.confidences[0].confidence",
                "settings.confidences[2].type",
                "settings.confidences[3].type",
                "settings.confidences[4].confidence",
                "settings.confidences[4].type",
                "settings.diversity_method",
                "settings.diversity_weight",
                "settings.embedding_dimension",
                "settings.epsilon",
                "settings.exploration_bonus",
                "settings.frequency_cap_per_day",
                "settings.freshness_half_life",
                "settings.max_per_source",
                "settings.max_per_topic",
                "settings.new_item_age",
                "settings.new_item_impressions",
                "settings.new_item_share",
                "settings.novelty_weight",
                "settings.popularity_half_life",
                "settings.profile_half_life",
                "settings.ranker.credit_window",
                "settings.ranker.half_life_decisions",
                "settings.ranker.propensity_floor",
                "settings.rating_threshold",
                "settings.search_trials",
                "settings.seen_after_sessions",
                "settings.seen_cooldown",
                "settings.serendipity_weight",
                "settings.source_freshness_half_lives",
                "settings.strategy",
                "settings.tfidf_max_features",
                "settings.topic_diversity_threshold",
                "settings.topic_freshness_half_lives",
                "settings.trend_half_life",
                "settings.unknown_items_max",
                "settings.unobserved_weight",
                "settings.users_max",
            ]
        );
    }
}
