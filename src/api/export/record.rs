//! The records of a user as lines.

use serde::Serialize;

use super::decision::AssignmentJson;
use super::decision::DecisionJson;
use super::push;
use super::rules::UpdateJson;
use super::values::AttributesJson;
use super::values::Instant;
use engine::View;
use engine::domain::Exposure;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::LogRecord;
use engine::domain::Record;
use engine::domain::UserId;

#[derive(Serialize)]
struct RecordLine<T: Serialize> {
    kind: &'static str,
    sequence: u64,
    recorded_at: Instant,
    #[serde(flatten)]
    fields: T,
}

/// Appends the line of a record that is of a user; the others have none. Which these are says
/// [`Record::user_ids`].
pub fn write(view: &View, record: &LogRecord, text: &mut String) {
    match &record.record {
        Record::Interaction(interaction) => {
            line(text, record, "interaction", InteractionJson::new(interaction));
        }
        Record::Decision(decision) => {
            line(text, record, "decision", DecisionJson::new(view, decision));
        }
        Record::UserUpdated(update) => line(text, record, "user_update", UpdateJson::new(update)),
        Record::UsersMerged { from, into } => {
            line(text, record, "users_merged", MergeJson::new(from, into));
        }
        Record::UserExposed(exposure) => {
            line(text, record, "exposure", ExposureJson::new(view, exposure));
        }
        Record::UserErased(user_id) => {
            line(text, record, "user_erased", ErasedJson { user_id: user_id.as_str() });
        }
        Record::ArmSelected(_)
        | Record::ArmRewarded(_)
        | Record::ItemUpserted(_)
        | Record::ItemPatched(_)
        | Record::ItemDeleted(_)
        | Record::SettingsSet(_)
        | Record::ModelPublished(_)
        | Record::TakeoverChanged(_)
        | Record::ExperimentChanged(_)
        | Record::Backfilled(_)
        | Record::Placeholder => {}
    }
}

fn line(text: &mut String, record: &LogRecord, kind: &'static str, fields: impl Serialize) {
    let (sequence, recorded_at) = (record.sequence, Instant(record.recorded_at));
    push(text, &RecordLine { kind, sequence, recorded_at, fields });
}

#[derive(Serialize)]
struct ErasedJson<'a> {
    user_id: &'a str,
}

#[derive(Serialize)]
struct InteractionJson<'a> {
    event_id: &'a str,
    user_id: &'a str,
    item_id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f32>,
    occurred_at: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<ContextJson<'a>>,
}

#[derive(Serialize)]
struct ContextJson<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    topics: &'a [Box<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_type: Option<&'a str>,
    #[serde(skip_serializing_if = "AttributesJson::is_empty")]
    attributes: AttributesJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    utc_offset_minutes: Option<i32>,
}

impl<'a> InteractionJson<'a> {
    fn new(interaction: &'a Interaction) -> Self {
        let context = &interaction.context;
        let has_context = *context != InteractionContext::default();
        Self {
            event_id: interaction.event_id.as_str(),
            user_id: interaction.user_id.as_str(),
            item_id: interaction.item_id.as_str(),
            kind: interaction.kind.name(),
            value: interaction.value,
            occurred_at: Instant(interaction.occurred_at),
            session_id: interaction.session_id.as_ref().map(|id| id.as_str()),
            decision_id: interaction.decision_id.as_ref().map(|id| id.as_str()),
            position: interaction.position,
            context: has_context.then(|| ContextJson {
                topics: &context.topics,
                source: context.source.as_deref(),
                device_type: context.device_type.as_deref(),
                attributes: AttributesJson(&context.attributes),
                location: context.location.as_deref(),
                utc_offset_minutes: context.utc_offset_minutes,
            }),
        }
    }
}

#[derive(Serialize)]
struct MergeJson<'a> {
    from_user_id: &'a str,
    into_user_id: &'a str,
}

impl<'a> MergeJson<'a> {
    fn new(from: &'a UserId, into: &'a UserId) -> Self {
        Self { from_user_id: from.as_str(), into_user_id: into.as_str() }
    }
}

#[derive(Serialize)]
struct ExposureJson<'a> {
    user_id: &'a str,
    exposed_at: Instant,
    segment: u8,
    assignments: Vec<AssignmentJson<'a>>,
}

impl<'a> ExposureJson<'a> {
    fn new(view: &'a View, exposure: &'a Exposure) -> Self {
        Self {
            user_id: exposure.user_id.as_str(),
            exposed_at: Instant(exposure.exposed_at),
            segment: exposure.segment,
            assignments: AssignmentJson::all(view, &exposure.assignments),
        }
    }
}
