//! Interactions, and the names of their types.

use super::attributes::attributes;
use super::scalars::merge;
use super::scalars::optional_label;
use super::scalars::timestamp_near;
use super::scalars::topics;
use super::scalars::utc_offset;
use crate::proto;
use engine::domain::DecisionId;
use engine::domain::EventId;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::InteractionType;
use engine::domain::ItemId;
use engine::domain::SessionId;
use engine::domain::Timestamp;
use engine::domain::UserId;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::limits;
use engine::domain::out_of_range;

/// The best rating; a rating threshold is of the same scale.
pub(super) const RATING_MAX: f64 = 5.0;

/// `new_event_id` is asked only when the message is valid and names no event id.
///
/// # Errors
/// Every field that breaks the contract.
pub fn interaction(
    message: proto::Interaction,
    now: Timestamp,
    new_event_id: impl FnOnce() -> EventId,
) -> Result<Interaction, Vec<Violation>> {
    let mut violations = Violations::default();
    let kind = violations.take("type", interaction_type(message.r#type));
    let value = violations.take("value", value(message.value, kind)).flatten();
    let event_id = optional(message.event_id, EventId::parse);
    let event_id = violations.take("event_id", event_id).flatten();
    let user_id = violations.take("user_id", UserId::parse(message.user_id));
    let item_id = violations.take("item_id", ItemId::parse(message.item_id));
    let session_id = optional(message.session_id, SessionId::parse);
    let session_id = violations.take("session_id", session_id).flatten();
    let decision_id = optional(message.decision_id, DecisionId::parse);
    let decision_id = violations.take("decision_id", decision_id).flatten();
    let occurred_at = message.occurred_at.map_or(Ok(now), |time| timestamp_near(time, now));
    let occurred_at = violations.take("occurred_at", occurred_at);
    let position = message.position.map(position).transpose();
    let position = violations.take("position", position).flatten();
    let context = message.context.map(context).transpose();
    let context = violations.absorb("context", context).flatten().unwrap_or_default();
    let (Some(kind), Some(user_id), Some(item_id), Some(occurred_at)) =
        (kind, user_id, item_id, occurred_at)
    else {
        return Err(violations.into_vec());
    };
    // Checked before an id is drawn for a message that is then refused.
    violations.finish(())?;
    Ok(Interaction {
        event_id: event_id.unwrap_or_else(new_event_id),
        user_id,
        item_id,
        kind,
        value,
        occurred_at,
        session_id,
        decision_id,
        position,
        context,
    })
}

/// An id that may be left out.
fn optional<T>(
    text: String,
    parse: impl FnOnce(String) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

/// `kind` is `None` when the type is wrong itself; then only the general bounds hold.
fn value(value: Option<f64>, kind: Option<InteractionType>) -> Result<Option<f32>, String> {
    let Some(value) = value else {
        return match kind {
            Some(kind) if kind.needs_value() => Err(format!("is required for {}", kind.name())),
            _ => Ok(None),
        };
    };
    let most = match kind {
        Some(InteractionType::Rating) => RATING_MAX,
        _ => limits::INTERACTION_VALUE,
    };
    if (0.0..=most).contains(&value) {
        Ok(Some(value as f32))
    } else {
        Err(out_of_range(value, 0.0, most))
    }
}

fn position(position: u32) -> Result<u32, String> {
    if position <= limits::POSITION {
        Ok(position)
    } else {
        Err(format!("must be at most {}, is {position}", limits::POSITION))
    }
}

fn context(message: proto::InteractionContext) -> Result<InteractionContext, Vec<Violation>> {
    let mut violations = Violations::default();
    let topics = merge(&mut violations, topics(message.topics));
    let source = violations.take("source", optional_label(message.source));
    let device_type = violations.take("device_type", optional_label(message.device_type));
    let attributes = merge(&mut violations, attributes(message.attributes));
    let location = violations.take("location", optional_label(message.location));
    let offset = message.utc_offset_minutes.map(utc_offset).transpose();
    let offset = violations.take("utc_offset_minutes", offset);
    violations.finish(InteractionContext {
        topics: topics.unwrap_or_default(),
        source: source.flatten(),
        device_type: device_type.flatten(),
        attributes: attributes.unwrap_or_default(),
        location: location.flatten(),
        utc_offset_minutes: offset.flatten(),
    })
}

pub(super) fn interaction_type(code: i32) -> Result<InteractionType, String> {
    use proto::InteractionType as Message;
    Ok(match Message::try_from(code) {
        Err(_) => return Err(format!("must be a known interaction type, is {code}")),
        Ok(Message::Unspecified) => return Err("must be set".to_owned()),
        Ok(Message::Impression) => InteractionType::Impression,
        Ok(Message::Click) => InteractionType::Click,
        Ok(Message::Like) => InteractionType::Like,
        Ok(Message::Dislike) => InteractionType::Dislike,
        Ok(Message::Share) => InteractionType::Share,
        Ok(Message::Save) => InteractionType::Save,
        Ok(Message::Purchase) => InteractionType::Purchase,
        Ok(Message::Dwell) => InteractionType::Dwell,
        Ok(Message::Skip) => InteractionType::Skip,
        Ok(Message::Hide) => InteractionType::Hide,
        Ok(Message::Rating) => InteractionType::Rating,
    })
}

pub fn interaction_type_message(kind: InteractionType) -> proto::InteractionType {
    use proto::InteractionType as Message;
    match kind {
        InteractionType::Impression => Message::Impression,
        InteractionType::Click => Message::Click,
        InteractionType::Like => Message::Like,
        InteractionType::Dislike => Message::Dislike,
        InteractionType::Share => Message::Share,
        InteractionType::Save => Message::Save,
        InteractionType::Purchase => Message::Purchase,
        InteractionType::Dwell => Message::Dwell,
        InteractionType::Skip => Message::Skip,
        InteractionType::Hide => Message::Hide,
        InteractionType::Rating => Message::Rating,
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Struct;
    use prost_types::Value;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn click() -> proto::Interaction {
        proto::Interaction {
            event_id: "e".to_owned(),
            user_id: "u".to_owned(),
            item_id: "i".to_owned(),
            r#type: proto::InteractionType::Click.into(),
            ..proto::Interaction::default()
        }
    }

    fn convert(message: proto::Interaction) -> Result<Interaction, Vec<Violation>> {
        interaction(message, NOW, || EventId::parse("made").unwrap())
    }

    fn fields(message: proto::Interaction) -> Vec<String> {
        convert(message).unwrap_err().into_iter().map(|violation| violation.field).collect()
    }

    fn in_context(change: impl FnOnce(&mut proto::InteractionContext)) -> proto::Interaction {
        let mut context = proto::InteractionContext::default();
        change(&mut context);
        proto::Interaction { context: Some(context), ..click() }
    }

    fn valued(kind: proto::InteractionType, value: Option<f64>) -> proto::Interaction {
        proto::Interaction { r#type: kind.into(), value, ..click() }
    }

    #[test]
    fn what_is_left_out_takes_its_default() {
        let read = convert(proto::Interaction { event_id: String::new(), ..click() }).unwrap();
        assert_eq!(read.event_id.as_str(), "made");
        assert_eq!(read.occurred_at, NOW);
        assert_eq!((read.session_id, read.decision_id), (None, None));
        assert_eq!((read.value, read.position), (None, None));
        assert_eq!(read.context, InteractionContext::default());
    }

    #[test]
    fn a_full_interaction_keeps_every_field() {
        let context = proto::InteractionContext {
            topics: vec!["t".to_owned(), "s".to_owned(), "t".to_owned()],
            source: "shop".to_owned(),
            device_type: "phone".to_owned(),
            attributes: None,
            location: "DE".to_owned(),
            utc_offset_minutes: Some(-210),
        };
        let message = proto::Interaction {
            occurred_at: Some(prost_types::Timestamp { seconds: 5, nanos: 0 }),
            session_id: "s".to_owned(),
            decision_id: "d".to_owned(),
            position: Some(limits::POSITION),
            context: Some(context),
            ..valued(proto::InteractionType::Rating, Some(4.5))
        };
        let read = convert(message).unwrap();
        assert_eq!((read.kind, read.value), (InteractionType::Rating, Some(4.5)));
        assert_eq!(read.occurred_at, Timestamp::from_seconds(5));
        assert_eq!(read.session_id.unwrap().as_str(), "s");
        assert_eq!(read.decision_id.unwrap().as_str(), "d");
        assert_eq!(read.position, Some(limits::POSITION));
        assert_eq!(read.context.topics, ["t", "s"].map(Box::<str>::from));
        assert_eq!(read.context.source.as_deref(), Some("shop"));
        assert_eq!(read.context.device_type.as_deref(), Some("phone"));
        assert_eq!(read.context.location.as_deref(), Some("DE"));
        assert_eq!(read.context.utc_offset_minutes, Some(-210));
    }

    #[test]
    fn every_field_out_of_contract_is_named() {
        use proto::InteractionType as Type;
        let long = || "x".repeat(257);
        let time = |seconds, nanos| proto::Interaction {
            occurred_at: Some(prost_types::Timestamp { seconds, nanos }),
            ..click()
        };
        let null = Struct { fields: [("a".to_owned(), Value { kind: None })].into() };
        let table = [
            ("event_id", proto::Interaction { event_id: long(), ..click() }),
            ("event_id", proto::Interaction { event_id: "a\nb".to_owned(), ..click() }),
            ("user_id", proto::Interaction { user_id: String::new(), ..click() }),
            ("user_id", proto::Interaction { user_id: "\0".to_owned(), ..click() }),
            ("item_id", proto::Interaction { item_id: String::new(), ..click() }),
            ("item_id", proto::Interaction { item_id: long(), ..click() }),
            ("type", proto::Interaction { r#type: 0, ..click() }),
            ("type", proto::Interaction { r#type: 12, ..click() }),
            ("type", proto::Interaction { r#type: -1, ..click() }),
            ("value", valued(Type::Dwell, None)),
            ("value", valued(Type::Rating, None)),
            ("value", valued(Type::Rating, Some(5.000_000_001))),
            ("value", valued(Type::Dwell, Some(-1.0))),
            ("value", valued(Type::Dwell, Some(1e9 + 1.0))),
            ("value", valued(Type::Click, Some(f64::NAN))),
            ("value", valued(Type::Purchase, Some(f64::INFINITY))),
            ("occurred_at", time(-1, 0)),
            ("occurred_at", time(0, -1)),
            ("occurred_at", time(i64::MAX, 0)),
            ("occurred_at", time(1_700_000_000 + 86_401, 0)),
            ("session_id", proto::Interaction { session_id: long(), ..click() }),
            ("decision_id", proto::Interaction { decision_id: "\u{7f}".to_owned(), ..click() }),
            ("position", proto::Interaction { position: Some(10_001), ..click() }),
            ("context.topics", in_context(|c| c.topics = vec!["t".to_owned(); 33])),
            ("context.topics[1]", in_context(|c| c.topics = vec!["t".to_owned(), String::new()])),
            ("context.source", in_context(|c| c.source = long())),
            ("context.device_type", in_context(|c| c.device_type = "\t".to_owned())),
            (r#"context.attributes["a"]"#, in_context(|c| c.attributes = Some(null))),
        ];
        for (field, message) in table {
            assert_eq!(fields(message.clone()), [field], "{message:?}");
        }
    }

    #[test]
    fn all_violations_of_a_message_come_at_once_and_no_event_id_is_made() {
        let message = proto::Interaction {
            position: Some(u32::MAX),
            value: Some(-1.0),
            ..proto::Interaction::default()
        };
        let refused = interaction(message, NOW, || panic!("an event id was made"));
        let fields: Vec<_> = refused.unwrap_err().into_iter().map(|wrong| wrong.field).collect();
        assert_eq!(fields, ["type", "value", "user_id", "item_id", "position"]);
        let only_value = valued(proto::InteractionType::Click, Some(-1.0));
        assert!(interaction(only_value, NOW, || panic!("an event id was made")).is_err());
    }

    #[test]
    fn types_map_onto_each_other() {
        for kind in InteractionType::ALL {
            let message = interaction_type_message(kind);
            assert_eq!(interaction_type(message.into()), Ok(kind));
            assert_eq!(i32::from(message), i32::from(kind.code()));
        }
    }
}
