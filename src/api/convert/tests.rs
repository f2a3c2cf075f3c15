//! Properties of the conversions over arbitrary messages: extreme numbers, times and
//! texts next to ordinary ones, so that some messages are accepted.

use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::num;
use proptest::option;
use proptest::prelude::*;
use prost_types::ListValue;
use prost_types::Struct;
use prost_types::Timestamp as Time;
use prost_types::Value;
use prost_types::value::Kind;

use super::*;
use crate::proto;
use engine::domain::AttributeValue;
use engine::domain::Attributes;
use engine::domain::DecisionId;
use engine::domain::EventId;
use engine::domain::Interaction;
use engine::domain::InteractionType;
use engine::domain::Item;
use engine::domain::Settings;
use engine::domain::Timestamp;
use engine::domain::Violation;
use engine::domain::limits;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const DIMENSION: usize = 3;

/// Mostly ordinary; else empty, with control characters, or long in bytes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => "[a-z]{1,8}",
        1 => Just(String::new()),
        1 => any::<String>(),
        1 => (250_usize..1_100).prop_map(|length| "é".repeat(length)),
        1 => Just("x".repeat(limits::CONTENT_BYTES + 1)),
    ]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.0..5.0, 1 => num::f64::ANY, 1 => Just(f64::MAX), 1 => Just(-0.0)]
}

fn single() -> impl Strategy<Value = f32> {
    prop_oneof![8 => 0.0_f32..1.0, 1 => num::f32::ANY]
}

fn time() -> impl Strategy<Value = Option<Time>> {
    let ordinary = (0_i64..1_700_000_000, 0..1_000_000_000);
    let wild = (any::<i64>(), any::<i32>());
    let time = prop_oneof![6 => ordinary, 1 => wild];
    option::of(time.prop_map(|(seconds, nanos)| Time { seconds, nanos }))
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        6 => text().prop_map(Kind::StringValue),
        3 => double().prop_map(Kind::NumberValue),
        3 => any::<bool>().prop_map(Kind::BoolValue),
        1 => any::<i32>().prop_map(Kind::NullValue),
    ];
    let leaf = option::weighted(0.97, leaf).prop_map(|kind| Value { kind });
    leaf.prop_recursive(3, 8, 3, |inner| {
        let list =
            vec(inner.clone(), 0..3).prop_map(|values| Kind::ListValue(ListValue { values }));
        let nested =
            btree_map(text(), inner, 0..2).prop_map(|fields| Kind::StructValue(Struct { fields }));
        prop_oneof![3 => list, 1 => nested].prop_map(|kind| Value { kind: Some(kind) })
    })
}

fn structure() -> impl Strategy<Value = Option<Struct>> {
    option::of(btree_map(text(), value(), 0..3).prop_map(|fields| Struct { fields }))
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop_oneof![9 => vec(text(), 0..3), 1 => vec("[a-z]", 0..limits::TOPICS + 3)]
}

prop_compose! {
    fn message_context()(
        topics in texts(),
        source in text(),
        device_type in text(),
        attributes in structure(),
        location in text(),
        utc_offset_minutes in option::of(prop_oneof![4 => -840..=840, 1 => any::<i32>()]),
    ) -> proto::InteractionContext {
        proto::InteractionContext {
            topics, source, device_type, attributes, location, utc_offset_minutes,
        }
    }
}

prop_compose! {
    fn message_interaction()(
        (event_id, user_id, item_id) in (text(), text(), text()),
        (session_id, decision_id) in (text(), text()),
        kind in prop_oneof![8 => 1..=11, 1 => any::<i32>()],
        value in option::of(double()),
        occurred_at in time(),
        position in option::of(prop_oneof![4 => 0..limits::POSITION, 1 => any::<u32>()]),
        context in option::of(message_context()),
    ) -> proto::Interaction {
        let r#type = kind;
        proto::Interaction {
            event_id, user_id, item_id, r#type, value, occurred_at, session_id, decision_id,
            position, context,
        }
    }
}

prop_compose! {
    fn message_item()(
        (item_id, title, content, source) in (text(), text(), text(), text()),
        topics in texts(),
        published_at in time(),
        embedding in prop_oneof![
            1 => Just(Vec::new()),
            4 => vec(single(), DIMENSION),
            1 => vec(single(), 0..9),
        ],
        attributes in structure(),
        language in prop_oneof![
            4 => Just(String::new()),
            4 => "[a-zA-Z]{2,3}(-[A-Z]{2})?",
            1 => text(),
        ],
        (hidden, expires_at) in (any::<bool>(), time()),
        localized in btree_map(
            prop_oneof![9 => "[a-zA-Z]{2,3}(-[A-Z]{2})?", 1 => text()],
            (text(), text()).prop_map(|(title, content)| proto::LocalizedText { title, content }),
            0..3,
        ),
    ) -> proto::Item {
        proto::Item {
            item_id, title, content, topics, source, published_at, embedding, attributes, language,
            hidden, expires_at, localized,
        }
    }
}

fn duration() -> impl Strategy<Value = Option<prost_types::Duration>> {
    let ordinary = (0_i64..1_000_000, 0..1_000_000_000);
    let wild = (any::<i64>(), any::<i32>());
    let duration = prop_oneof![6 => ordinary, 1 => wild];
    option::of(duration.prop_map(|(seconds, nanos)| prost_types::Duration { seconds, nanos }))
}

prop_compose! {
    fn message_request()(
        (user_id, device_type, location) in (text(), text(), text()),
        candidates in vec(message_item(), 0..2),
        candidate_ids in texts(),
        timestamp in time(),
        utc_offset_minutes in option::of(prop_oneof![4 => -840..=840, 1 => any::<i32>()]),
        shares in (option::of(double()), option::of(double()), option::of(double())),
        enable_diversity in any::<Option<bool>>(),
        max_results in prop_oneof![4 => 0_u32..=500, 1 => any::<u32>()],
        (topics, sources, exclude_item_ids) in (texts(), texts(), texts()),
        published_after in time(),
        expression in text(),
        rules in (any::<Option<u32>>(), option::of(double()), any::<i32>()),
        cooldown in duration(),
        (pinned, position) in (text(), 0_u32..30),
        strategy in prop_oneof![4 => 0..3, 1 => any::<i32>()],
        (min_watermark, language) in (any::<u64>(), text()),
    ) -> proto::PersonalizeRequest {
        let context = proto::RequestContext {
            device_type, timestamp, utc_offset_minutes, location, attributes: None, language,
        };
        let diversity = proto::DiversityParams {
            enable_diversity,
            topic_diversity_threshold: shares.0,
            source_diversity_threshold: shares.1,
            diversity_weight: shares.2,
            serendipity_weight: rules.1,
            max_per_topic: rules.0,
            method: rules.2,
            ..Default::default()
        };
        let filters = proto::Filters {
            topics, sources, exclude_item_ids, published_after, expression,
            seen_cooldown: cooldown, seen_after_sessions: rules.0, ..Default::default()
        };
        proto::PersonalizeRequest {
            user_id, candidates, candidate_ids, max_results, strategy, min_watermark,
            pins: vec![proto::Pin { item_id: pinned, position }],
            context: Some(context), diversity: Some(diversity), filters: Some(filters),
            ..Default::default()
        }
    }
}

fn check_violations(violations: &[Violation]) {
    assert!(!violations.is_empty());
    for violation in violations {
        assert!(!violation.field.is_empty());
        assert!(violation.field.len() + violation.reason.len() < 600, "{violation}");
    }
}

fn check_label(label: &str, bytes_max: usize) {
    assert!(!label.is_empty() && label.len() <= bytes_max);
    assert!(!label.chars().any(char::is_control));
}

fn check_topics(topics: &[Box<str>]) {
    assert!(topics.len() <= limits::TOPICS);
    topics.iter().for_each(|topic| check_label(topic, limits::LABEL_BYTES));
    assert!((1..topics.len()).all(|index| !topics[..index].contains(&topics[index])));
}

fn check_time(time: Timestamp, latest: Timestamp) {
    assert!((Timestamp::from_millis(0)..=latest).contains(&time));
}

fn check_attributes(attributes: &Attributes) {
    assert!(attributes.iter().count() <= limits::ATTRIBUTES);
    let short = |text: &String| assert!(text.len() <= limits::ATTRIBUTE_STRING_BYTES);
    for (name, value) in attributes.iter() {
        check_label(name, limits::ATTRIBUTE_NAME_BYTES);
        match value {
            AttributeValue::Text(text) => short(text),
            AttributeValue::Number(number) => assert!(number.is_finite()),
            AttributeValue::Flag(_) => {}
            AttributeValue::List(list) => {
                assert!(list.len() <= limits::ATTRIBUTE_LIST);
                list.iter().for_each(short);
            }
        }
    }
}

fn check_interaction(read: &Interaction) {
    check_label(read.event_id.as_str(), limits::ID_BYTES);
    check_label(read.user_id.as_str(), limits::ID_BYTES);
    check_label(read.item_id.as_str(), limits::ID_BYTES);
    read.session_id.iter().for_each(|id| check_label(id.as_str(), limits::ID_BYTES));
    read.decision_id.iter().for_each(|id| check_label(id.as_str(), limits::ID_BYTES));
    assert!(read.value.is_some() || !read.kind.needs_value());
    let most = if read.kind == InteractionType::Rating { 5.0 } else { 1e9 };
    assert!(read.value.is_none_or(|value| (0.0..=most).contains(&value)));
    check_time(read.occurred_at, NOW.plus_millis(limits::FUTURE_MS));
    assert!(read.position.is_none_or(|position| position <= limits::POSITION));
    check_topics(&read.context.topics);
    for label in [&read.context.source, &read.context.device_type].into_iter().flatten() {
        check_label(label, limits::LABEL_BYTES);
    }
    check_attributes(&read.context.attributes);
}

fn check_item(read: &Item) {
    check_label(read.item_id.as_str(), limits::ID_BYTES);
    assert!(read.title.len() <= limits::TITLE_BYTES && !read.title.contains('\0'));
    assert!(!read.content.contains('\0') && read.localized.len() <= limits::LOCALIZED);
    let contents = read.localized.values().map(|text| text.content.len()).sum::<usize>();
    assert!(read.content.len() + contents <= limits::CONTENT_BYTES);
    assert!(read.localized.values().all(|text| text.title.len() <= limits::TITLE_BYTES));
    let times = read.published_at.zip(read.expires_at);
    assert!(times.is_none_or(|(published, expires)| published < expires));
    check_topics(&read.topics);
    read.source.iter().for_each(|source| check_label(source, limits::LABEL_BYTES));
    assert!(read.embedding.is_empty() || read.embedding.len() == DIMENSION);
    assert!(read.embedding.iter().all(|number| number.is_finite()));
    check_attributes(&read.attributes);
}

proptest! {
    #[test]
    fn an_interaction_is_within_the_limits_or_its_violations_are_named(
        message in message_interaction(),
    ) {
        match interaction(message, NOW, || EventId::parse("made").unwrap()) {
            Ok(read) => check_interaction(&read),
            Err(violations) => check_violations(&violations),
        }
    }

    #[test]
    fn an_item_is_within_the_limits_and_comes_back_or_its_violations_are_named(
        message in message_item(),
    ) {
        match item(message, DIMENSION) {
            Ok(read) => {
                check_item(&read);
                prop_assert_eq!(item(item_message(&read), DIMENSION).unwrap(), read);
            }
            Err(violations) => check_violations(&violations),
        }
    }

    #[test]
    fn a_request_is_within_the_limits_or_its_violations_are_named(message in message_request()) {
        let settings = Settings { embedding_dimension: DIMENSION as u32, ..Settings::default() };
        match personalize(message, &settings, NOW, DecisionId::parse("d").unwrap()) {
            Ok(read) => {
                read.candidates.items.iter().for_each(|item| check_item(item));
                check_time(read.now, NOW.plus_millis(limits::FUTURE_MS));
                prop_assert!(read.utc_offset_minutes.abs() <= 840);
                let choice = read.choice;
                prop_assert!((1..=limits::RESULTS).contains(&choice.positions));
                for share in
                    [choice.diversity_weight, choice.topic_threshold, choice.source_threshold]
                {
                    prop_assert!((0.0..=1.0).contains(&share));
                }
                prop_assert!(read.filter.exclude.is_sorted());
            }
            Err(violations) => check_violations(&violations),
        }
    }

    #[test]
    fn settings_are_in_their_ranges_or_their_violations_are_named(
        factors in option::of(any::<u32>()),
        dimension in option::of(prop_oneof![1_u32..5_000, any::<u32>()]),
        numbers in vec(option::of(double()), 3),
        times in (duration(), duration(), duration()),
        epsilon in option::of(double()),
        strategy in option::of(0..4),
    ) {
        let message = proto::NamespaceSettings {
            collaborative_factors: factors,
            collaborative_regularization: numbers[0],
            unobserved_weight: numbers[1],
            popularity_half_life: times.0,
            trend_half_life: times.1,
            profile_half_life: times.2,
            rating_threshold: numbers[2],
            strategy,
            epsilon,
            embedding_dimension: dimension,
            ..proto::NamespaceSettings::default()
        };
        match settings(Some(message), &Settings::default()) {
            Ok(read) => prop_assert!(read.check().is_ok()),
            Err(violations) => check_violations(&violations),
        }
    }

    #[test]
    fn no_text_makes_a_key_or_a_page_token_panic(text in text()) {
        for listing in [Listing::Items, Listing::Namespaces] {
            if let Ok(Some(key)) = page_token(listing, &text) {
                prop_assert_eq!(next_page_token(listing, &key), text.clone());
            }
        }
        let _ = (user_id(&text), item_id(&text), namespace(&text), rejection(0, &text, Vec::new()));
    }
}
