//! Records to project.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::domain::AttributeValue;
use engine::domain::Attributes;
use engine::domain::AttributesChange;
use engine::domain::Decision;
use engine::domain::DecisionId;
use engine::domain::EventId;
use engine::domain::FeatureLayout;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::InteractionType;
use engine::domain::Item;
use engine::domain::ItemField;
use engine::domain::ItemId;
use engine::domain::ItemMask;
use engine::domain::ItemPatch;
use engine::domain::LogRecord;
use engine::domain::PublishedModel;
use engine::domain::Record;
use engine::domain::RulesChange;
use engine::domain::SessionId;
use engine::domain::Settings;
use engine::domain::SettingsChange;
use engine::domain::ShownItem;
use engine::domain::Strategy;
use engine::domain::Timestamp;
use engine::domain::UserId;
use engine::domain::UserUpdate;

/// 2023-11-14 22:13:20 UTC.
pub const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// Records from sequence 1 on, recorded a second apart.
pub fn log(records: impl IntoIterator<Item = Record>) -> Vec<LogRecord> {
    (1..)
        .zip(records)
        .map(|(sequence, record)| LogRecord {
            sequence,
            recorded_at: NOW.plus_millis(sequence as i64 * 1_000),
            record,
        })
        .collect()
}

pub fn attributes<const N: usize>(values: [(&str, AttributeValue); N]) -> Attributes {
    let values = values.map(|(name, value)| (name.to_owned(), value));
    Attributes::new(BTreeMap::from(values)).unwrap()
}

pub fn text(value: &str) -> AttributeValue {
    AttributeValue::Text(value.to_owned())
}

/// An interaction with nothing that may be left out.
pub fn click(number: u64, user: &str, item: &str, occurred_at: Timestamp) -> Interaction {
    Interaction {
        event_id: EventId::parse(format!("event{number}")).unwrap(),
        user_id: UserId::parse(user).unwrap(),
        item_id: ItemId::parse(item).unwrap(),
        kind: InteractionType::Click,
        value: None,
        occurred_at,
        session_id: None,
        decision_id: None,
        position: None,
        context: InteractionContext::default(),
    }
}

/// An interaction with everything.
pub fn full_interaction(number: u64, user: &str, kind: InteractionType) -> Interaction {
    Interaction {
        kind,
        value: Some(4.5),
        session_id: Some(SessionId::parse("visit").unwrap()),
        decision_id: Some(DecisionId::parse(format!("decision{number}")).unwrap()),
        position: Some(3),
        context: InteractionContext {
            topics: vec!["news".into(), "a \"quoted\", {braced} one".into()],
            source: Some("wire".into()),
            device_type: Some("phone".into()),
            attributes: attributes([
                ("campaign", text("spring")),
                ("price", AttributeValue::Number(9.75)),
                ("paid", AttributeValue::Flag(true)),
                ("tags", AttributeValue::List(vec!["x".to_owned(), "y".to_owned()])),
            ]),
            location: Some("Vienna".into()),
            utc_offset_minutes: Some(-210),
        },
        ..click(number, user, "item1", NOW.plus_millis(-1))
    }
}

pub fn decision(number: u64, user: &str, items: &[&str]) -> Decision {
    let shown = items.iter().zip(0_u8..).map(|(item, position)| ShownItem {
        item_id: ItemId::parse(*item).unwrap(),
        score: 0.5 - f32::from(position) / 4.0,
        propensity: 0.75,
        features: vec![1.0, f32::from(position)],
    });
    Decision {
        decision_id: DecisionId::parse(format!("decision{number}")).unwrap(),
        user_id: UserId::parse(user).unwrap(),
        decided_at: NOW,
        strategy: Strategy::EpsilonGreedy,
        epsilon: 0.1,
        layout: FeatureLayout::default(),
        segment: 0,
        model_version: 7,
        watermark: 41,
        candidates: 100,
        exploration_cost: 0.0,
        trial: None,
        assignments: Vec::new(),
        division: None,
        continues: None,
        detail: None,
        shown: shown.collect(),
    }
}

pub fn item(id: &str, title: &str) -> Item {
    Item {
        title: title.to_owned(),
        content: "some content".to_owned(),
        topics: vec!["news".into(), "sport".into()],
        source: Some("wire".into()),
        published_at: Some(NOW),
        attributes: attributes([("lang", text("de")), ("pages", AttributeValue::Number(3.0))]),
        language: Some("en".into()),
        ..Item::new(ItemId::parse(id).unwrap())
    }
}

pub fn user_attributes(user: &str, attributes: Attributes) -> Record {
    let attributes = AttributesChange { replaces: true, set: attributes, remove: Vec::new() };
    user_update(user, attributes, RulesChange::default())
}

pub fn user_update(user: &str, attributes: AttributesChange, rules: RulesChange) -> Record {
    Record::UserUpdated(UserUpdate { user_id: UserId::parse(user).unwrap(), attributes, rules })
}

pub fn merged(from: &str, into: &str) -> Record {
    let [from, into] = [from, into].map(|id| UserId::parse(id).unwrap());
    Record::UsersMerged { from, into }
}

pub fn item_deleted(id: &str) -> Record {
    Record::ItemDeleted(ItemId::parse(id).unwrap())
}

pub fn model(version: u64, bytes: usize) -> Record {
    let encoded = Arc::from(vec![7; bytes]);
    Record::ModelPublished(PublishedModel { version, trained_at: 3, encoded })
}

/// Some of every kind, about a few users and items.
pub fn mixture(count: u64) -> Vec<LogRecord> {
    let kinds = InteractionType::ALL.iter().cycle();
    log((0..count).zip(kinds).map(|(number, kind)| {
        let user = format!("user{}", number % 7);
        let name = format!("item{}", number % 5);
        match number % 20 {
            0 => Record::ItemUpserted(item(&name, &format!("title {number}"))),
            1 => Record::Decision(decision(number, &user, &["item1", "item2"])),
            2 => {
                user_attributes(&user, attributes([("age", AttributeValue::Number(number as f64))]))
            }
            3 => item_deleted(&name),
            10 | 11 => {
                let mask = ItemMask {
                    fields: [ItemField::Hidden].into(),
                    attributes: ["pages".into()].into(),
                    ..ItemMask::default()
                };
                let pages = AttributeValue::Number(number as f64 / 3.0);
                let attributes = attributes([("pages", pages)]);
                let hidden = number.is_multiple_of(2);
                let values = Item { hidden, attributes, ..item("item0", "not read") };
                Record::ItemPatched(ItemPatch { mask, values })
            }
            4 => {
                let settings = Settings { seed: number, ..Settings::default() };
                let replaces = (number + 1).saturating_sub(20);
                Record::SettingsSet(SettingsChange { settings, replaces })
            }
            5 => model(number, 10),
            8 => {
                let guest = format!("guest{}", number / 40);
                Record::Interaction(click(number, &guest, &name, NOW))
            }
            9 => merged(&format!("guest{}", number / 40), &user),
            6 | 7 => Record::Interaction(full_interaction(number, &user, *kind)),
            _ => Record::Interaction(Interaction {
                kind: *kind,
                ..click(number, &user, &name, NOW.plus_millis(-(number as i64) * 1_000))
            }),
        }
    }))
}
