//! The tables that rows are only ever added to: one row for each record.

use deadpool_postgres::Transaction;

use super::changes::RecordPosition;
use super::copy::Target;
use super::copy::copy;
use super::row::Row;
use super::text::attributes_json;
use crate::storage::error::Error;
use engine::domain::Decision;
use engine::domain::Interaction;
use engine::domain::PublishedModel;
use engine::domain::Settings;

const INTERACTIONS: Target = Target {
    table: "interactions",
    columns: &[
        "namespace_id",
        "sequence",
        "recorded_at",
        "event_id",
        "user_id",
        "item_id",
        "type",
        "value",
        "occurred_at",
        "session_id",
        "decision_id",
        "position",
        "topics",
        "source",
        "device_type",
        "attributes",
        "location",
        "utc_offset_minutes",
    ],
};

const DECISIONS: Target = Target {
    table: "decisions",
    columns: &[
        "namespace_id",
        "sequence",
        "recorded_at",
        "decision_id",
        "user_id",
        "decided_at",
        "strategy",
        "epsilon",
        "model_version",
        "watermark",
        "candidates",
        "item_ids",
        "scores",
        "propensities",
        "features",
    ],
};

const MODELS: Target = Target {
    table: "models",
    columns: &["namespace_id", "sequence", "recorded_at", "version", "trained_at", "bytes"],
};

const SETTINGS: Target =
    Target { table: "settings", columns: &["namespace_id", "sequence", "recorded_at", "settings"] };

pub async fn add_interactions(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    interactions: &[(RecordPosition, &Interaction)],
) -> Result<(), Error> {
    copy(transaction, &INTERACTIONS, interactions, |row, (position, interaction)| {
        put_position(row, namespace_id, position);
        put_interaction(row, interaction);
    })
    .await
}

pub async fn add_decisions(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    decisions: &[(RecordPosition, &Decision)],
) -> Result<(), Error> {
    copy(transaction, &DECISIONS, decisions, |row, (position, decision)| {
        put_position(row, namespace_id, position);
        put_decision(row, decision);
    })
    .await
}

pub async fn add_models(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    models: &[(RecordPosition, &PublishedModel)],
) -> Result<(), Error> {
    copy(transaction, &MODELS, models, |row, (position, model)| {
        put_position(row, namespace_id, position);
        row.natural(model.version);
        row.natural(model.trained_at);
        row.natural(model.encoded.len() as u64);
    })
    .await
}

pub async fn add_settings(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    settings: &[(RecordPosition, &Settings)],
) -> Result<(), Error> {
    copy(transaction, &SETTINGS, settings, |row, (position, settings)| {
        put_position(row, namespace_id, position);
        row.json(serde_json::to_string(settings).expect("settings have text keys only"));
    })
    .await
}

fn put_position(row: &mut Row, namespace_id: i64, position: &RecordPosition) {
    row.bigint(namespace_id);
    row.natural(position.sequence);
    row.timestamp(position.recorded_at);
}

fn put_interaction(row: &mut Row, interaction: &Interaction) {
    let context = &interaction.context;
    row.text(interaction.event_id.as_str());
    row.text(interaction.user_id.as_str());
    row.text(interaction.item_id.as_str());
    row.text(interaction.kind.name());
    row.optional(interaction.value, Row::real);
    row.timestamp(interaction.occurred_at);
    row.optional(interaction.session_id.as_ref().map(|id| id.as_str()), Row::text);
    row.optional(interaction.decision_id.as_ref().map(|id| id.as_str()), Row::text);
    row.optional(interaction.position, Row::small);
    row.texts(context.topics.iter().map(|topic| &**topic));
    row.optional(context.source.as_deref(), Row::text);
    row.optional(context.device_type.as_deref(), Row::text);
    row.optional(attributes_json(&context.attributes), Row::json);
    row.optional(context.location.as_deref(), Row::text);
    row.optional(context.utc_offset_minutes, Row::integer);
}

fn put_decision(row: &mut Row, decision: &Decision) {
    let shown = decision.shown.iter();
    row.text(decision.decision_id.as_str());
    row.text(decision.user_id.as_str());
    row.timestamp(decision.decided_at);
    row.text(decision.strategy.name());
    row.real(decision.epsilon);
    row.natural(decision.model_version);
    row.natural(decision.watermark);
    row.small(decision.candidates);
    row.texts(shown.clone().map(|item| item.item_id.as_str()));
    row.reals(shown.clone().map(|item| item.score));
    row.reals(shown.clone().map(|item| item.propensity));
    row.vectors(shown.map(|item| item.features.as_slice()));
}
