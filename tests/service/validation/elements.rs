//! Elements of streams that break the contract: each alone in a stream of its own.

use personalization::proto::Interaction;
use personalization::proto::InteractionContext;
use personalization::proto::InteractionType;
use personalization::proto::Item;
use personalization::proto::LocalizedText;
use personalization::proto::Rejection;
use prost_types::Timestamp;
use prost_types::Value;
use prost_types::value::Kind;

use crate::harness::Server;
use crate::harness::click;
use crate::harness::item;
use crate::harness::now_plus;
use crate::harness::structure;

/// A field, and what makes it wrong.
type Wrong<T> = (&'static str, fn(&mut T));

fn bad_interactions() -> Vec<Wrong<Interaction>> {
    vec![
        ("user_id", |e| e.user_id.clear()),
        ("user_id", |e| e.user_id = "u".repeat(257)),
        ("item_id", |e| e.item_id.clear()),
        ("item_id", |e| e.item_id = "a\u{85}b".to_owned()),
        ("event_id", |e| e.event_id = "e".repeat(257)),
        ("session_id", |e| e.session_id = "s\n".to_owned()),
        ("decision_id", |e| e.decision_id = "d".repeat(257)),
        ("type", |e| e.r#type = 0),
        ("type", |e| e.r#type = 12),
        ("type", |e| e.r#type = i32::MIN),
        ("value", |e| e.value = Some(f64::NAN)),
        ("value", |e| e.value = Some(f64::INFINITY)),
        ("value", |e| e.value = Some(-1.0)),
        ("value", |e| e.set_type(InteractionType::Dwell)),
        ("value", |e| {
            e.set_type(InteractionType::Rating);
            e.value = Some(5.1);
        }),
        ("occurred_at", |e| e.occurred_at = Some(now_plus(86_400 * 2))),
        ("occurred_at", |e| e.occurred_at = Some(Timestamp { seconds: -1, nanos: 0 })),
        ("occurred_at", |e| e.occurred_at = Some(Timestamp { seconds: i64::MAX, nanos: 0 })),
        ("occurred_at", |e| e.occurred_at = Some(Timestamp { seconds: 1, nanos: -1 })),
        ("position", |e| e.position = Some(u32::MAX)),
        ("context.topics[1]", |e| context(e).topics = vec!["a".to_owned(), String::new()]),
        ("context.topics", |e| context(e).topics = vec!["a".to_owned(); 33]),
        ("context.source", |e| context(e).source = "x".repeat(257)),
        ("context.device_type", |e| context(e).device_type = "\r".to_owned()),
        (r#"context.attributes["a"]"#, |e| {
            let value = Value { kind: Some(Kind::NumberValue(f64::NAN)) };
            context(e).attributes = structure([("a", value)]);
        }),
    ]
}

fn context(event: &mut Interaction) -> &mut InteractionContext {
    event.context.get_or_insert_default()
}

fn bad_items() -> Vec<Wrong<Item>> {
    vec![
        ("item_id", |i| i.item_id.clear()),
        ("item_id", |i| i.item_id = "i".repeat(257)),
        ("title", |i| i.title = "t".repeat(1_025)),
        ("content", |i| i.content = "c".repeat(65_537)),
        ("topics", |i| i.topics = vec!["t".to_owned(); 33]),
        ("topics[0]", |i| i.topics = vec![String::new()]),
        ("source", |i| i.source = "s\u{1b}".to_owned()),
        ("published_at", |i| i.published_at = Some(Timestamp { seconds: i64::MIN, nanos: 0 })),
        ("expires_at", |i| {
            (i.published_at, i.expires_at) = (Some(now_plus(5)), Some(now_plus(5)));
        }),
        (r#"localized["german"]"#, |i| {
            i.localized = [("german".to_owned(), Default::default())].into();
        }),
        ("localized", |i| {
            let text = LocalizedText { content: "x".repeat(32_769), ..Default::default() };
            i.localized = ["de", "fr"].map(|tag| (tag.to_owned(), text.clone())).into();
        }),
        ("embedding", |i| i.embedding = vec![0.5; 3]),
        ("embedding[383]", |i| {
            i.embedding = vec![0.5; 384];
            i.embedding[383] = f32::NEG_INFINITY;
        }),
        (r#"attributes["a"]"#, |i| {
            i.attributes = structure([("a", Value { kind: Some(Kind::NullValue(0)) })]);
        }),
    ]
}

fn assert_each_names_its_field<C>(table: &[(&'static str, C)], rejections: &[Rejection]) {
    for ((field, _), rejection) in table.iter().zip(rejections) {
        let fields: Vec<_> = rejection.violations.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields, [*field], "{rejection:?}");
    }
}

#[tokio::test]
async fn every_way_an_interaction_can_be_wrong_is_reported_by_field_and_nothing_is_written() {
    let server = Server::start().await;
    let api = server.api().await;
    let before = api.settled_status().await;
    let table = bad_interactions();
    let sent = table.iter().map(|(_, change)| {
        let mut event = click("anna", "x");
        change(&mut event);
        event
    });
    let answer = api.record(sent.collect()).await;
    assert_eq!((answer.accepted, answer.rejected), (0, table.len() as u64));
    assert_each_names_its_field(&table, &answer.rejections);
    assert_eq!(api.settled_status().await, before);
}

#[tokio::test]
async fn every_way_an_item_can_be_wrong_is_reported_by_field_and_nothing_is_written() {
    let server = Server::start().await;
    let api = server.api().await;
    let before = api.settled_status().await;
    let table = bad_items();
    let sent = table.iter().map(|(_, change)| {
        let mut bad = item("x");
        change(&mut bad);
        bad
    });
    let answer = api.upsert(sent.collect()).await;
    assert_eq!((answer.accepted, answer.rejected), (0, table.len() as u64));
    assert_each_names_its_field(&table, &answer.rejections);
    assert_eq!(api.settled_status().await, before);
}

#[tokio::test]
async fn what_lies_just_within_the_limits_is_taken() {
    let server = Server::start().await;
    let api = server.api().await;
    let mut largest = item(&"i".repeat(256));
    largest.title = "t".repeat(1_024);
    largest.content = "c ".repeat(32_768);
    largest.topics = (0..32).map(|n| format!("{n:0>256}")).collect();
    largest.source = "s".repeat(256);
    largest.embedding = vec![f32::MAX; 384];
    largest.published_at = Some(Timestamp { seconds: 253_402_300_798, nanos: 0 });
    largest.expires_at = Some(Timestamp { seconds: 253_402_300_799, nanos: 999_999_999 });
    let text = LocalizedText { title: "t".repeat(1_024), content: String::new() };
    largest.localized = (0..32).map(|n| (format!("de-{n:0>4}"), text.clone())).collect();
    assert_eq!(api.upsert(vec![largest]).await.accepted, 1);
    let event = Interaction {
        event_id: "e".repeat(256),
        session_id: "s".repeat(256),
        occurred_at: Some(now_plus(86_400 - 60)),
        position: Some(10_000),
        value: Some(1e9),
        ..click(&"u".repeat(256), &"i".repeat(256))
    };
    let first_second = Interaction {
        occurred_at: Some(Timestamp::default()),
        value: Some(0.0),
        ..click("\u{200b}", "🎷")
    };
    let mut rating = click("anna", "🎷");
    rating.set_type(InteractionType::Rating);
    rating.value = Some(5.0);
    let answer = api.record(vec![event, first_second, rating]).await;
    assert_eq!((answer.accepted, answer.rejections), (3, Vec::new()));
    assert_eq!(api.settled_status().await.interactions, 3);
}
