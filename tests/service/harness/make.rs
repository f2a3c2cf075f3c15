//! Messages with what a test does not care about filled in.

use personalization::proto::Interaction;
use personalization::proto::InteractionType;
use personalization::proto::Item;
use personalization::proto::PersonalizeResponse;
use personalization::service::Clock;
use personalization::service::SystemClock;
use prost_types::Struct;
use prost_types::Timestamp;
use prost_types::Value;
use prost_types::value::Kind;
use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt;

pub fn event(event_id: &str, user: &str, item: &str, kind: InteractionType) -> Interaction {
    Interaction {
        event_id: event_id.to_owned(),
        user_id: user.to_owned(),
        item_id: item.to_owned(),
        r#type: kind.into(),
        ..Interaction::default()
    }
}

/// Its id is made of the two others.
pub fn click(user: &str, item: &str) -> Interaction {
    event(&format!("click/{user}/{item}"), user, item, InteractionType::Click)
}

/// Clicks of a user at those items of an answer whose ids begin so.
pub fn clicks_at(answer: &PersonalizeResponse, user: &str, begin: &str) -> Vec<Interaction> {
    let items = answer.recommendations.iter().filter(|one| one.item_id.starts_with(begin));
    let decision_id = &answer.decision_id;
    items
        .map(|one| Interaction { decision_id: decision_id.clone(), ..click(user, &one.item_id) })
        .collect()
}

/// Clicks with ids `{prefix}-{n}` of a hundred users on a hundred items.
pub fn events(prefix: &str, numbers: std::ops::Range<u64>) -> Vec<Interaction> {
    numbers
        .map(|n| {
            let (user, item) = (format!("user-{}", n % 97), format!("item-{}", n * 7 % 101));
            event(&format!("{prefix}-{n}"), &user, &item, InteractionType::Click)
        })
        .collect()
}

pub fn item(item_id: &str) -> Item {
    Item { item_id: item_id.to_owned(), title: format!("Title of {item_id}"), ..Item::default() }
}

/// Seconds from this machine's clock.
pub fn now_plus(seconds: i64) -> Timestamp {
    Timestamp { seconds: SystemClock.now().as_millis() / 1_000 + seconds, nanos: 0 }
}

pub fn text(text: &str) -> Value {
    Value { kind: Some(Kind::StringValue(text.to_owned())) }
}

pub fn structure(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Option<Struct> {
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
    Some(Struct { fields: fields.collect() })
}

pub fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

/// The code of a status, with the reason of its `ErrorInfo`; empty without one.
pub fn reason_of(status: &Status) -> (Code, String) {
    let details = status.get_error_details();
    (status.code(), details.error_info().map(|info| info.reason.clone()).unwrap_or_default())
}
