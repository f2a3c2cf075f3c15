//! Settings of a namespace, and the names of strategies.

use std::collections::BTreeMap;

use super::arms::arm_settings;
use super::arms::arm_settings_message;
use super::interaction::RATING_MAX;
use super::scalars::decimal;
use super::scalars::label;
use crate::proto;
use engine::domain::ConfidenceTable;
use engine::domain::DiversityMethod;
use engine::domain::FreshnessTable;
use engine::domain::InteractionType;
use engine::domain::ListOrigin;
use engine::domain::RankerSettings;
use engine::domain::Settings;
use engine::domain::SettingsRange;
use engine::domain::Strategy;
use engine::domain::Violation;
use engine::domain::Violations;

const FIELD: &str = "settings";

/// `base` with what the message sets; `None` when it sets nothing. Fields have the
/// names of [`Settings`], so the violations of its check are those of the message.
///
/// # Errors
/// Every setting out of range, under `settings`.
pub fn settings(
    message: Option<proto::NamespaceSettings>,
    base: &Settings,
) -> Result<Option<Settings>, Vec<Violation>> {
    let message = message.unwrap_or_default();
    let mut violations = Violations::default();
    let chosen = message.strategy.map(strategy).transpose();
    let chosen = violations.take("settings.strategy", chosen).flatten().flatten();
    let method = message.diversity_method.map(diversity_method).transpose();
    let method = violations.take("settings.diversity_method", method).flatten().flatten();
    let rating_threshold = message.rating_threshold.map(rating_threshold).transpose();
    let rating_threshold = violations.take("settings.rating_threshold", rating_threshold).flatten();
    let settings = overlaid(&message, base);
    let confidences = confidences(&message, base, &mut violations);
    let freshness = freshness(&message.freshness_half_lives, base, &mut violations);
    let arms = message.arms.unwrap_or_default();
    let arms = arm_settings(&arms, base.arms, &mut violations);
    let ranker = ranker_settings(message.ranker.unwrap_or_default(), base.ranker);
    let settings = Settings {
        arms,
        ranker,
        confidences,
        freshness_half_lives: freshness,
        strategy: chosen.unwrap_or(base.strategy),
        diversity_method: method.unwrap_or(base.diversity_method),
        rating_threshold: rating_threshold.unwrap_or(base.rating_threshold),
        ..settings
    };
    let settings = violations.absorb(FIELD, settings.check());
    // UNSPECIFIED is as unset; any other strategy or method is something.
    let message = proto::NamespaceSettings {
        strategy: chosen.map(strategy_code),
        diversity_method: method.map(diversity_method_code),
        ..message
    };
    let set = message != proto::NamespaceSettings::default();
    violations.finish(settings.filter(|_| set))
}

/// With what the message sets; checked with the other settings.
fn ranker_settings(message: proto::RankerSettings, base: RankerSettings) -> RankerSettings {
    RankerSettings {
        exploration_scale: message.exploration_scale.unwrap_or(base.exploration_scale),
        square_cb_gamma: message.square_cb_gamma.unwrap_or(base.square_cb_gamma),
        propensity_floor: message.propensity_floor.unwrap_or(base.propensity_floor),
        half_life_decisions: message.half_life_decisions.unwrap_or(base.half_life_decisions),
        examination_decay: message.examination_decay.or(base.examination_decay),
        exploration_allowance: message.exploration_allowance.or(base.exploration_allowance),
        credit_hours: message.credit_hours.unwrap_or(base.credit_hours),
        credit_megabytes: message.credit_megabytes.unwrap_or(base.credit_megabytes),
    }
}

fn ranker_settings_message(settings: &RankerSettings) -> proto::RankerSettings {
    proto::RankerSettings {
        exploration_scale: Some(settings.exploration_scale),
        square_cb_gamma: Some(settings.square_cb_gamma),
        propensity_floor: Some(settings.propensity_floor),
        half_life_decisions: Some(settings.half_life_decisions),
        examination_decay: settings.examination_decay,
        exploration_allowance: settings.exploration_allowance,
        credit_hours: Some(settings.credit_hours),
        credit_megabytes: Some(settings.credit_megabytes),
    }
}

/// All but the strategy, the method and the rating threshold, which are checked on the
/// way.
fn overlaid(message: &proto::NamespaceSettings, base: &Settings) -> Settings {
    let base = &with_rules(message, base);
    let number = |set: Option<f64>, base| set.map_or(base, |set| set as f32);
    Settings {
        collaborative_factors: message.collaborative_factors.unwrap_or(base.collaborative_factors),
        collaborative_regularization: number(
            message.collaborative_regularization,
            base.collaborative_regularization,
        ),
        unobserved_weight: number(message.unobserved_weight, base.unobserved_weight),
        search_trials: message.search_trials.unwrap_or(base.search_trials),
        popularity_half_life_hours: number(
            message.popularity_half_life_hours,
            base.popularity_half_life_hours,
        ),
        trend_half_life_hours: number(message.trend_half_life_hours, base.trend_half_life_hours),
        profile_half_life_hours: number(
            message.profile_half_life_hours,
            base.profile_half_life_hours,
        ),
        freshness_half_life_hours: number(
            message.freshness_half_life_hours,
            base.freshness_half_life_hours,
        ),
        new_item_share: number(message.new_item_share, base.new_item_share),
        new_item_impressions: message.new_item_impressions.unwrap_or(base.new_item_impressions),
        new_item_days: number(message.new_item_days, base.new_item_days),
        exploration_bonus: number(message.exploration_bonus, base.exploration_bonus),
        epsilon: message.epsilon.unwrap_or(base.epsilon),
        recommend_seen: message.recommend_seen.or(base.recommend_seen),
        tfidf_max_features: message.tfidf_max_features.unwrap_or(base.tfidf_max_features),
        embedding_dimension: message.embedding_dimension.unwrap_or(base.embedding_dimension),
        users_max: message.users_max.unwrap_or(base.users_max),
        unknown_items_max: message.unknown_items_max.unwrap_or(base.unknown_items_max),
        ..base.clone()
    }
}

/// What concerns the variety of lists and the rules on repetition.
fn with_rules(message: &proto::NamespaceSettings, base: &Settings) -> Settings {
    Settings {
        diversity_weight: message.diversity_weight.unwrap_or(base.diversity_weight),
        topic_diversity_threshold: message
            .topic_diversity_threshold
            .unwrap_or(base.topic_diversity_threshold),
        serendipity_weight: message.serendipity_weight.unwrap_or(base.serendipity_weight),
        novelty_weight: message.novelty_weight.unwrap_or(base.novelty_weight),
        max_per_topic: message.max_per_topic.unwrap_or(base.max_per_topic),
        max_per_source: message.max_per_source.unwrap_or(base.max_per_source),
        frequency_cap_per_day: message.frequency_cap_per_day.unwrap_or(base.frequency_cap_per_day),
        seen_cooldown_hours: message.seen_cooldown_hours.unwrap_or(base.seen_cooldown_hours),
        seen_after_sessions: message.seen_after_sessions.unwrap_or(base.seen_after_sessions),
        ..base.clone()
    }
}

/// The table with the named types replaced; its values are checked with the others.
fn confidences(
    message: &proto::NamespaceSettings,
    base: &Settings,
    violations: &mut Violations,
) -> ConfidenceTable {
    let mut table = base.confidences;
    for (name, confidence) in &message.confidences {
        match InteractionType::ALL.into_iter().find(|kind| kind.name() == name) {
            Some(kind) => table = table.with(kind, *confidence as f32),
            None => violations.add("settings.confidences", "must be keyed by interaction types"),
        }
    }
    table
}

/// The table with the named topics and sources put in; hours are checked with the others.
fn freshness(
    named: &BTreeMap<String, f64>,
    base: &Settings,
    violations: &mut Violations,
) -> FreshnessTable {
    let mut table = base.freshness_half_lives.clone();
    for (key, hours) in named {
        let (half_lives, name) = if let Some(name) = key.strip_prefix("topic:") {
            (&mut table.topics, name)
        } else if let Some(name) = key.strip_prefix("source:") {
            (&mut table.sources, name)
        } else {
            let reason = "must be keyed by topic:NAME or source:NAME";
            violations.add("settings.freshness_half_lives", reason);
            continue;
        };
        if let Some(name) = violations.take("settings.freshness_half_lives", label(name.to_owned()))
        {
            half_lives.insert(name, *hours as f32);
        }
    }
    table
}

fn freshness_message(table: &FreshnessTable) -> BTreeMap<String, f64> {
    let topics = table.topics.iter().map(|(name, hours)| (format!("topic:{name}"), *hours));
    let sources = table.sources.iter().map(|(name, hours)| (format!("source:{name}"), *hours));
    topics.chain(sources).map(|(key, hours)| (key, decimal(hours))).collect()
}

/// Narrower than [`SettingsRange::RATING_THRESHOLD`]: ratings of the contract end at 5.
fn rating_threshold(threshold: f64) -> Result<f32, String> {
    let range = SettingsRange { max: RATING_MAX, ..SettingsRange::RATING_THRESHOLD };
    range.check(threshold).map(|threshold| threshold as f32)
}

/// All that a namespace can set, with nothing left unset.
pub fn settings_message(settings: &Settings) -> proto::NamespaceSettings {
    let number = |value| Some(decimal(value));
    proto::NamespaceSettings {
        collaborative_factors: Some(settings.collaborative_factors),
        collaborative_regularization: number(settings.collaborative_regularization),
        unobserved_weight: number(settings.unobserved_weight),
        search_trials: Some(settings.search_trials),
        popularity_half_life_hours: number(settings.popularity_half_life_hours),
        trend_half_life_hours: number(settings.trend_half_life_hours),
        profile_half_life_hours: number(settings.profile_half_life_hours),
        rating_threshold: number(settings.rating_threshold),
        strategy: Some(strategy_code(settings.strategy)),
        epsilon: Some(settings.epsilon),
        recommend_seen: settings.recommend_seen,
        tfidf_max_features: Some(settings.tfidf_max_features),
        embedding_dimension: Some(settings.embedding_dimension),
        users_max: Some(settings.users_max),
        unknown_items_max: Some(settings.unknown_items_max),
        freshness_half_lives: freshness_message(&settings.freshness_half_lives),
        freshness_half_life_hours: number(settings.freshness_half_life_hours),
        new_item_share: number(settings.new_item_share),
        new_item_impressions: Some(settings.new_item_impressions),
        new_item_days: number(settings.new_item_days),
        exploration_bonus: number(settings.exploration_bonus),
        diversity_method: Some(diversity_method_code(settings.diversity_method)),
        diversity_weight: Some(settings.diversity_weight),
        topic_diversity_threshold: Some(settings.topic_diversity_threshold),
        serendipity_weight: Some(settings.serendipity_weight),
        novelty_weight: Some(settings.novelty_weight),
        max_per_topic: Some(settings.max_per_topic),
        max_per_source: Some(settings.max_per_source),
        frequency_cap_per_day: Some(settings.frequency_cap_per_day),
        seen_cooldown_hours: Some(settings.seen_cooldown_hours),
        seen_after_sessions: Some(settings.seen_after_sessions),
        confidences: InteractionType::ALL
            .into_iter()
            .map(|kind| (kind.name().to_owned(), decimal(settings.confidences.of(kind))))
            .collect(),
        arms: Some(arm_settings_message(&settings.arms)),
        ranker: Some(ranker_settings_message(&settings.ranker)),
    }
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

    type Message = proto::NamespaceSettings;

    fn convert(message: Message) -> Result<Option<Settings>, Vec<Violation>> {
        settings(Some(message), &Settings::default())
    }

    #[test]
    fn a_message_that_sets_nothing_gives_no_settings() {
        assert_eq!(settings(None, &Settings::default()), Ok(None));
        assert_eq!(convert(Message::default()), Ok(None));
        assert_eq!(convert(Message { strategy: Some(0), ..Message::default() }), Ok(None));
    }

    #[test]
    fn what_is_unset_stays_as_in_the_base() {
        let base = Settings { collaborative_factors: 32, seed: 9, ..Settings::default() };
        let message = Message { epsilon: Some(0.5), strategy: Some(1), ..Message::default() };
        let expected = Settings { epsilon: 0.5, strategy: Strategy::Greedy, ..base.clone() };
        assert_eq!(settings(Some(message), &base), Ok(Some(expected)));
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
        assert_eq!(convert(message), Ok(Some(written)));
    }

    fn all_wrong() -> Message {
        Message {
            collaborative_factors: Some(7),
            collaborative_regularization: Some(0.0),
            unobserved_weight: Some(f64::NAN),
            search_trials: Some(101),
            popularity_half_life_hours: Some(-1.0),
            trend_half_life_hours: Some(f64::INFINITY),
            profile_half_life_hours: Some(1e300),
            rating_threshold: Some(5.1),
            strategy: Some(99),
            epsilon: Some(1.1),
            recommend_seen: None,
            tfidf_max_features: Some(0),
            embedding_dimension: Some(0),
            users_max: Some(99),
            unknown_items_max: Some(99),
            freshness_half_lives: [("topic:a", 0.0), ("b", 1.0), ("source:", 1.0)]
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            freshness_half_life_hours: Some(0.0),
            new_item_share: Some(0.6),
            new_item_impressions: Some(0),
            new_item_days: Some(-1.0),
            exploration_bonus: Some(f64::INFINITY),
            diversity_method: Some(5),
            diversity_weight: Some(1.1),
            topic_diversity_threshold: Some(-0.1),
            serendipity_weight: Some(2.0),
            novelty_weight: Some(f32::NAN),
            max_per_topic: Some(501),
            max_per_source: Some(501),
            frequency_cap_per_day: Some(1_001),
            seen_cooldown_hours: Some(-1.0),
            seen_after_sessions: Some(65_536),
            confidences: [("click", f64::NAN), ("CLICK", 1.0)]
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            ranker: Some(proto::RankerSettings {
                propensity_floor: Some(0.0),
                half_life_decisions: Some(3),
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
                "settings.confidences",
                "settings.confidences.click",
                "settings.diversity_method",
                "settings.diversity_weight",
                "settings.embedding_dimension",
                "settings.epsilon",
                "settings.exploration_bonus",
                "settings.frequency_cap_per_day",
                "settings.freshness_half_life_hours",
                "settings.freshness_half_lives",
                "settings.freshness_half_lives",
                "settings.freshness_half_lives.topic:a",
                "settings.max_per_source",
                "settings.max_per_topic",
                "settings.new_item_days",
                "settings.new_item_impressions",
                "settings.new_item_share",
                "settings.novelty_weight",
                "settings.popularity_half_life_hours",
                "settings.profile_half_life_hours",
                "settings.ranker.half_life_decisions",
                "settings.ranker.propensity_floor",
                "settings.rating_threshold",
                "settings.search_trials",
                "settings.seen_after_sessions",
                "settings.seen_cooldown_hours",
                "settings.serendipity_weight",
                "settings.strategy",
                "settings.tfidf_max_features",
                "settings.topic_diversity_threshold",
                "settings.trend_half_life_hours",
                "settings.unknown_items_max",
                "settings.unobserved_weight",
                "settings.users_max",
            ]
        );
    }
}
