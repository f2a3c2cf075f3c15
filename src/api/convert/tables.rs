//! Settings that are tables: confidences by type of interaction, half-lives of freshness by topic
//! and source.

use std::collections::BTreeMap;

use super::durations::hours;
use super::durations::hours_message;
use super::interaction::interaction_type;
use super::interaction::interaction_type_message;
use super::scalars::decimal;
use super::scalars::label;
use crate::proto;
use engine::domain::ConfidenceTable;
use engine::domain::FreshnessTable;
use engine::domain::InteractionType;
use engine::domain::SettingsRange;
use engine::domain::Violations;
use engine::domain::limits;
use engine::domain::out_of_range;

/// The table with the named types replaced.
pub(super) fn confidences(
    message: &[proto::TypeConfidence],
    base: ConfidenceTable,
    violations: &mut Violations,
) -> ConfidenceTable {
    let (mut table, mut named) = (base, Vec::new());
    // More than there are types are wrong, and are not described one by one.
    for (index, entry) in message.iter().enumerate().take(InteractionType::ALL.len() + 1) {
        let field = format!("settings.confidences[{index}]");
        let kind = interaction_type(entry.r#type).and_then(|kind| {
            let is_new = !named.contains(&kind);
            is_new.then_some(kind).ok_or_else(|| "must be there once".to_owned())
        });
        let kind = violations.take(&format!("{field}.type"), kind);
        named.extend(kind);
        let (confidence, largest) = (entry.confidence, f64::from(ConfidenceTable::LARGEST));
        // Written so that NaN fails, too.
        if !(-largest..=largest).contains(&confidence) {
            let reason = out_of_range(confidence, -largest, largest);
            violations.add(format!("{field}.confidence"), reason);
        } else if let Some(kind) = kind {
            table = table.with(kind, confidence as f32);
        }
    }
    table
}

pub(super) fn confidences_message(table: &ConfidenceTable) -> Vec<proto::TypeConfidence> {
    let entry = |kind: InteractionType| proto::TypeConfidence {
        r#type: interaction_type_message(kind).into(),
        confidence: decimal(table.of(kind)),
    };
    InteractionType::ALL.into_iter().map(entry).collect()
}

/// The table with the named topics and sources put in.
pub(super) fn freshness(
    message: &proto::NamespaceSettings,
    base: &FreshnessTable,
    violations: &mut Violations,
) -> FreshnessTable {
    let (topics, sources) =
        (&message.topic_freshness_half_lives, &message.source_freshness_half_lives);
    let (found, most) = (topics.len() + sources.len(), limits::FRESHNESS_HALF_LIVES);
    if found > most {
        let reason = format!("must hold at most {most} together with those of sources, is {found}");
        violations.add("settings.topic_freshness_half_lives", reason);
        return base.clone();
    }
    let mut read = |field: &str, named: &HalfLives, table: &mut BTreeMap<Box<str>, f32>| {
        let field = format!("settings.{field}");
        for (name, half_life) in named {
            let name = violations.take(&field, label(name.clone()));
            let half_life = hours(*half_life, SettingsRange::FRESHNESS_HALF_LIFE);
            if let (Some(name), Some(half_life)) = (name, violations.take(&field, half_life)) {
                table.insert(name, half_life);
            }
        }
    };
    let mut table = base.clone();
    read("topic_freshness_half_lives", topics, &mut table.topics);
    read("source_freshness_half_lives", sources, &mut table.sources);
    table
}

type HalfLives = BTreeMap<String, prost_types::Duration>;

pub(super) fn half_lives_message(table: &BTreeMap<Box<str>, f32>) -> HalfLives {
    table.iter().map(|(name, hours)| (name.to_string(), hours_message(*hours))).collect()
}
