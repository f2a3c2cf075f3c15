//! Every field of a record is in its line, under its name.

use std::collections::BTreeMap;

use prost_types::Struct;
use prost_types::value::Kind;
use serde_json::Value;
use serde_json::json;

use super::*;
use engine::Engine;
use engine::domain::Assignment;
use engine::domain::AttributeValue;
use engine::domain::Attributes;
use engine::domain::AttributesChange;
use engine::domain::CandidateScores;
use engine::domain::Continues;
use engine::domain::Decision;
use engine::domain::DecisionDetail;
use engine::domain::DecisionId;
use engine::domain::Division;
use engine::domain::EventId;
use engine::domain::FeatureLayout;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::InteractionType;
use engine::domain::ItemId;
use engine::domain::ListChange;
use engine::domain::ListOrigin;
use engine::domain::LogRecord;
use engine::domain::Mute;
use engine::domain::Record;
use engine::domain::RuleTarget;
use engine::domain::RulesChange;
use engine::domain::ScoreChange;
use engine::domain::SessionId;
use engine::domain::Settings;
use engine::domain::ShownItem;
use engine::domain::Strategy;
use engine::domain::TakeoverTrial;
use engine::domain::UserBoost;
use engine::domain::UserId;
use engine::domain::UserUpdate;

const AT: Timestamp = Timestamp::from_millis(1_700_000_000_050);
const AT_TEXT: &str = "2023-11-14T22:13:20.050Z";

/// The line of a record, without what all of them have.
fn line_of(record: Record) -> Value {
    let view = Engine::new(Settings::default()).view();
    let mut text = String::new();
    let record = LogRecord { sequence: 7, recorded_at: AT, record };
    let namespace = NamespaceName::default();
    write(&view, ExportPart::Record(&record), (&namespace, AT), &mut text);
    let line = text.strip_suffix('\n').expect("a whole line");
    assert!(!line.contains('\n'));
    let mut value: Value = serde_json::from_str(line).unwrap();
    let fields = value.as_object_mut().unwrap();
    assert_eq!(fields.remove("sequence"), Some(json!(7)));
    assert_eq!(fields.remove("recorded_at"), Some(json!(AT_TEXT)));
    value
}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn attributes() -> Attributes {
    let values = BTreeMap::from([
        ("flag".to_owned(), AttributeValue::Flag(false)),
        ("list".to_owned(), AttributeValue::List(vec!["a".to_owned()])),
        ("number".to_owned(), AttributeValue::Number(0.1)),
        ("text".to_owned(), AttributeValue::Text("\"line\u{2028}\n".to_owned())),
    ]);
    Attributes::new(values).unwrap()
}

fn attributes_json() -> Value {
    json!({ "flag": false, "list": ["a"], "number": 0.1, "text": "\"line\u{2028}\n" })
}

#[test]
fn an_interaction_is_told_with_all_that_is_recorded_of_it_and_no_more() {
    let bare = Interaction {
        event_id: EventId::parse("e").unwrap(),
        user_id: user("ada"),
        item_id: ItemId::parse("i").unwrap(),
        kind: InteractionType::Like,
        value: None,
        occurred_at: AT,
        session_id: None,
        decision_id: None,
        position: None,
        context: InteractionContext::default(),
    };
    let expected = json!({
        "kind": "interaction", "event_id": "e", "user_id": "ada", "item_id": "i", "type": "like",
        "occurred_at": AT_TEXT,
    });
    assert_eq!(line_of(Record::Interaction(bare.clone())), expected);
    let whole = Interaction {
        kind: InteractionType::Rating,
        value: Some(4.1),
        session_id: Some(SessionId::parse("s").unwrap()),
        decision_id: Some(DecisionId::parse("d").unwrap()),
        position: Some(0),
        context: InteractionContext {
            topics: vec!["t".into()],
            source: Some("from".into()),
            device_type: Some("phone".into()),
            attributes: attributes(),
            location: Some("here".into()),
            utc_offset_minutes: Some(-60),
        },
        ..bare
    };
    let expected = json!({
        "kind": "interaction", "event_id": "e", "user_id": "ada", "item_id": "i", "type": "rating",
        "value": 4.1, "occurred_at": AT_TEXT, "session_id": "s", "decision_id": "d", "position": 0,
        "context": {
            "topics": ["t"], "source": "from", "device_type": "phone",
            "attributes": attributes_json(), "location": "here", "utc_offset_minutes": -60,
        },
    });
    assert_eq!(line_of(Record::Interaction(whole)), expected);
}

#[test]
fn a_change_of_a_user_tells_the_lists_that_change() {
    let target = RuleTarget::Topic("golf".into());
    let mute = Mute { target: RuleTarget::Item("i".into()), until: Some(AT) };
    let change = ScoreChange::Add(0.5);
    let boost = UserBoost { target: target.clone(), change, until: None };
    let update = UserUpdate {
        user_id: user("ada"),
        attributes: AttributesChange {
            replaces: true,
            set: attributes(),
            remove: vec!["old".into()],
        },
        rules: RulesChange {
            blocked_topics: ListChange {
                replaces: false,
                add: vec!["tennis".into()],
                remove: vec!["chess".into()],
            },
            mutes: ListChange { add: vec![mute], ..ListChange::default() },
            boosts: ListChange { replaces: true, add: vec![boost], remove: vec![target] },
            non_profiled: Some(true),
            ..RulesChange::default()
        },
    };
    let expected = json!({
        "kind": "user_update", "user_id": "ada",
        "attributes": { "replaces": true, "set": attributes_json(), "remove": ["old"] },
        "rules": {
            "blocked_topics": { "replaces": false, "add": ["tennis"], "remove": ["chess"] },
            "mutes": {
                "replaces": false, "add": [{ "item_id": "i", "until": AT_TEXT }], "remove": [],
            },
            "boosts": {
                "replaces": true, "add": [{ "topic": "golf", "add": 0.5 }],
                "remove": [{ "topic": "golf" }],
            },
        },
        "non_profiled": true,
    });
    assert_eq!(line_of(Record::UserUpdated(update)), expected);
    let nothing = UserUpdate {
        user_id: user("ada"),
        attributes: AttributesChange::default(),
        rules: RulesChange::default(),
    };
    let expected = json!({ "kind": "user_update", "user_id": "ada" });
    assert_eq!(line_of(Record::UserUpdated(nothing)), expected);
}

fn decision(detail: Option<Box<DecisionDetail>>) -> Decision {
    let id = |id: &str| DecisionId::parse(id).unwrap();
    let assignment = Assignment { experiment: 3, variant: 1, is_tester: false, own_ranker: true };
    let trial = TakeoverTrial {
        round: 1,
        origin: ListOrigin::Popular,
        chances: [0.5, 0.25, 0.25],
        positions: 4,
        same_position: 2,
        in_both: 3,
        same_first: true,
        expected_gain: 0.125,
        difference: vec![0.5, 0.0],
    };
    Decision {
        decision_id: id("d"),
        user_id: user("ada"),
        decided_at: AT,
        strategy: Strategy::LinUcb,
        epsilon: 0.1,
        model_version: 2,
        watermark: 6,
        candidates: 9,
        segment: 1,
        // 60,000 is of a feature that this version does not have.
        layout: FeatureLayout::new([0, 60_000]),
        shown: vec![ShownItem {
            item_id: ItemId::parse("i").unwrap(),
            score: 0.7,
            propensity: 0.9,
            features: vec![1.0, 0.3],
        }],
        exploration_cost: 0.01,
        trial: Some(Box::new(trial)),
        assignments: vec![assignment],
        division: Some(Box::new(Division::InTurns { experiment: 3, chosen_by: vec![Some(1)] })),
        continues: Some(Box::new(Continues {
            decision_id: id("before"),
            origin: Some(ListOrigin::Popular),
        })),
        detail,
    }
}

fn detail() -> DecisionDetail {
    let text = prost_types::Value { kind: Some(Kind::StringValue("home".to_owned())) };
    let attributes = Struct { fields: [("page".to_owned(), text)].into() };
    let context = proto::RequestContext {
        timestamp: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 50_000_000 }),
        attributes: Some(attributes),
        ..proto::RequestContext::default()
    };
    let request = proto::PersonalizeRequest {
        strategy: proto::Strategy::LinUcb.into(),
        max_results: 5,
        candidate_ids: vec!["i".to_owned()],
        context: Some(context),
        ..proto::PersonalizeRequest::default()
    };
    let mut candidates = CandidateScores::default();
    candidates.push("i", 0.7, 0.2);
    DecisionDetail {
        engine_revision: 4,
        seed: 77,
        request: prost::Message::encode_to_vec(&request),
        undescribed: 0,
        variant: Some("blue".into()),
        context_watermark: 5,
        remembered: false,
        shown_lately: vec!["j".into()],
        earlier: vec![u64::MAX],
        earlier_pinned: Vec::new(),
        unlearnt_cost: 0.5,
        width: 1.0,
        candidates,
    }
}

#[test]
fn a_decision_is_told_with_what_was_shown_and_chosen_from_and_with_its_request() {
    let line = line_of(Record::Decision(decision(Some(Box::new(detail())))));
    let experiment = |fields: Value| {
        let mut all = json!({ "experiment_number": 3 });
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        all
    };
    let expected = json!({
        "kind": "decision", "decision_id": "d", "user_id": "ada", "decided_at": AT_TEXT,
        "strategy": "lin_ucb", "epsilon": 0.1, "model_version": 2, "watermark": 6, "candidates": 9,
        "segment": 1, "exploration_cost": 0.01,
        "items": [{
            "item_id": "i", "position": 0, "score": 0.7, "propensity": 0.9, "pinned": false,
            "features": [1.0, 0.3],
        }],
        "feature_names": ["base", "feature_60000"],
        "assignments": [experiment(json!({
            "variant_number": 1, "tester": false, "interleaved": false, "own_ranker": true,
        }))],
        "division": experiment(json!({ "chosen_by": [1] })),
        "baseline": {
            "origin": "popular", "round": 1,
            "chances": { "ranker": 0.5, "baseline": 0.25, "popular": 0.25 },
            "positions": 4, "same_position": 2, "in_both": 3, "same_first": true,
            "expected_gain": 0.125, "difference": [0.5, 0.0],
        },
        "continue_from": "before", "origin": "popular",
        "detail": {
            "engine_revision": 4,
            "request": {
                "user_id": "ada", "variant": "blue", "strategy": "lin_ucb", "max_results": 5,
                "candidate_ids": ["i"],
                "context": { "timestamp": AT_TEXT, "attributes": { "page": "home" } },
            },
            "undescribed": 0, "context_watermark": 5, "remembered": false, "shown_lately": ["j"],
            "earlier": ["18446744073709551615"], "earlier_pinned": [], "unlearnt_cost": 0.5,
            "width": 1.0,
            "candidate_scores": [{ "item_id": "i", "score": 0.7, "deviation": 0.2 }],
        },
    });
    assert_eq!(line, expected);
    let line = line_of(Record::Decision(decision(None)));
    assert!(line.get("detail").is_none() && line["items"] == expected["items"]);
}

#[test]
fn a_merge_names_both_users_and_what_is_of_no_user_has_no_line() {
    let merge = Record::UsersMerged { from: user("visit"), into: user("ada") };
    let expected =
        json!({ "kind": "users_merged", "from_user_id": "visit", "into_user_id": "ada" });
    assert_eq!(line_of(merge), expected);
    let view = Engine::new(Settings::default()).view();
    let deletion = Record::ItemDeleted(ItemId::parse("ada").unwrap());
    let record = LogRecord { sequence: 7, recorded_at: AT, record: deletion };
    let mut text = String::new();
    let namespace = NamespaceName::default();
    write(&view, ExportPart::Record(&record), (&namespace, AT), &mut text);
    assert_eq!(text, "");
}

#[test]
fn the_first_line_begins_with_its_kind_and_version() {
    let view = Engine::new(Settings::default()).view();
    let user_ids = ["ada".to_owned(), "visit".to_owned()];
    let mut text = String::new();
    let part = ExportPart::Beginning { user_ids: &user_ids, watermark: 12 };
    write(&view, part, (&NamespaceName::default(), AT), &mut text);
    write(&view, ExportPart::End { records: 3 }, (&NamespaceName::default(), AT), &mut text);
    let first = "{\"kind\":\"export\",\"version\":1,\"namespace\":\"default\",\
        \"user_ids\":[\"ada\",\"visit\"],\"watermark\":12,\
        \"exported_at\":\"2023-11-14T22:13:20.050Z\"}\n";
    assert_eq!(text, format!("{first}{}\n", r#"{"kind":"end","records":3}"#));
}

#[test]
fn numbers_that_no_json_has_are_null_and_the_line_can_be_read() {
    let broken = Decision { epsilon: f32::NAN, ..decision(None) };
    assert_eq!(line_of(Record::Decision(broken))["epsilon"], Value::Null);
}
