//! Any valid request, recorded and read again, is the same call.

use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost_types::ListValue;
use prost_types::Struct;
use prost_types::Timestamp as Time;
use prost_types::Value;
use prost_types::value::Kind;

use super::super::request::personalize;
use super::*;
use engine::Engine;
use engine::domain::CandidateScores;
use engine::domain::DecisionId;
use engine::domain::FeatureLayout;
use engine::domain::Settings;
use engine::domain::Timestamp;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const DIMENSION: usize = 3;

const EXPRESSIONS: [&str; 4] = [
    "",
    "price < 20 and (\"news\" in topics or source in [\"a\", \"b\"]) and not explicit",
    "has(price) or age_hours >= 0.1",
    "attr(\"any name\") = true and published_at > time(\"2024-05-01\")",
];

fn id() -> impl Strategy<Value = String> {
    "[a-zA-Zé0-9:-]{1,24}"
}

fn labels() -> impl Strategy<Value = Vec<String>> {
    vec(id(), 0..4)
}

fn text() -> impl Strategy<Value = String> {
    "[^\\x00]{0,40}"
}

fn share() -> impl Strategy<Value = Option<f64>> {
    option::of(0.0..=1.0)
}

fn time() -> impl Strategy<Value = Option<Time>> {
    let past_and_tomorrow = 0..1_700_086_400_i64;
    option::of(
        (past_and_tomorrow, 0..1_000_000_000).prop_map(|(seconds, nanos)| Time { seconds, nanos }),
    )
}

fn attributes() -> impl Strategy<Value = Option<Struct>> {
    let list = vec(text().prop_map(Kind::StringValue), 0..3).prop_map(|texts| {
        let values = texts.into_iter().map(|text| Value { kind: Some(text) }).collect();
        Kind::ListValue(ListValue { values })
    });
    let kind = prop_oneof![
        text().prop_map(Kind::StringValue),
        any::<i32>().prop_map(|number| Kind::NumberValue(f64::from(number) / 3.0)),
        any::<bool>().prop_map(Kind::BoolValue),
        list,
    ];
    let value = kind.prop_map(|kind| Value { kind: Some(kind) });
    option::of(btree_map(id(), value, 0..4).prop_map(|fields| Struct { fields }))
}

prop_compose! {
    fn item()(
        (item_id, title, content) in (id(), text(), text()),
        topics in labels(),
        source in prop_oneof![Just(String::new()), id()],
        published_at in time(),
        embedding in prop_oneof![Just(Vec::new()), vec(-1.0_f32..1.0, DIMENSION)],
        attributes in attributes(),
        language in prop_oneof![Just(String::new()), Just("de".to_owned())],
        hidden in any::<bool>(),
        localized in btree_map(
            "[a-z]{2}",
            (text(), text()).prop_map(|(title, content)| proto::LocalizedText { title, content }),
            0..3,
        ),
    ) -> proto::Item {
        let expires_at = published_at.filter(|_| hidden).map(|at| Time { seconds: at.seconds + 60, ..at });
        proto::Item {
            item_id, title, content, topics, source, published_at, embedding, attributes, language,
            hidden, expires_at, localized,
        }
    }
}

prop_compose! {
    fn context()(
        device_type in prop_oneof![Just(String::new()), id()],
        timestamp in time(),
        utc_offset_minutes in option::of(-840..=840),
        location in prop_oneof![Just(String::new()), id()],
        attributes in attributes(),
        language in prop_oneof![Just(String::new()), Just("pt-BR".to_owned())],
    ) -> proto::RequestContext {
        proto::RequestContext {
            device_type, timestamp, utc_offset_minutes, location, attributes, language,
        }
    }
}

prop_compose! {
    fn diversity()(
        enable_diversity in any::<Option<bool>>(),
        shares in proptest::array::uniform5(share()),
        method in 0..=3,
        caps in (option::of(0_u32..=500), option::of(0_u32..=500)),
    ) -> proto::DiversityParams {
        proto::DiversityParams {
            enable_diversity,
            topic_diversity_threshold: shares[0],
            source_diversity_threshold: shares[1],
            diversity_weight: shares[2],
            method,
            serendipity_weight: shares[3],
            novelty_weight: shares[4],
            max_per_topic: caps.0,
            max_per_source: caps.1,
        }
    }
}

prop_compose! {
    fn filters()(
        (topics, sources, exclude_item_ids) in (labels(), labels(), labels()),
        attributes in attributes(),
        include_seen in any::<Option<bool>>(),
        published_after in time(),
        expression in prop::sample::select(&EXPRESSIONS[..]),
        cooldown_seconds in option::of(0_i64..3_600_000_000),
        seen_after_sessions in option::of(0_u32..=65_535),
    ) -> proto::Filters {
        let expression = expression.to_owned();
        let seen_cooldown =
            cooldown_seconds.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
        proto::Filters {
            topics, sources, attributes, exclude_item_ids, include_seen, published_after,
            expression, seen_cooldown, seen_after_sessions,
        }
    }
}

fn exploration() -> impl Strategy<Value = proto::ExplorationParams> {
    let numbers = (option::of(0.0..=10.0), option::of(0.0..=1e5), option::of(0.001..=1.0));
    (share(), numbers).prop_map(
        |(epsilon, (exploration_scale, square_cb_gamma, propensity_floor))| {
            proto::ExplorationParams {
                epsilon,
                exploration_scale,
                square_cb_gamma,
                propensity_floor,
            }
        },
    )
}

fn boost() -> impl Strategy<Value = proto::Boost> {
    use proto::boost::Change;
    use proto::boost::Target;
    let target = prop_oneof![
        id().prop_map(Target::ItemId),
        id().prop_map(Target::Topic),
        id().prop_map(Target::Source),
        prop::sample::select(&EXPRESSIONS[1..])
            .prop_map(|text| Target::Expression(text.to_owned())),
    ];
    let change =
        prop_oneof![(-1e3..1e3).prop_map(Change::Add), (0.0..1e3).prop_map(Change::Multiply)];
    (target, change)
        .prop_map(|(target, change)| proto::Boost { target: Some(target), change: Some(change) })
}

prop_compose! {
    fn request()(
        (user_id, variant) in (id(), prop_oneof![Just(String::new()), id()]),
        (candidates, candidate_ids) in (vec(item(), 0..4), labels()),
        context in option::of(context()),
        (diversity, max_results) in (option::of(diversity()), 0_u32..=500),
        filters in option::of(filters()),
        strategy in 0..=5,
        (explain, retrieve, min_watermark) in (any::<bool>(), any::<bool>(), any::<u64>()),
        pinned in 0_u32..3,
        boosts in vec(boost(), 0..4),
        frequency_cap_per_day in option::of(0_u32..=1_000),
        exploration in option::of(exploration()),
        (own_order, popular) in (labels(), any::<bool>()),
        continue_from in prop_oneof![Just(String::new()), id()],
    ) -> proto::PersonalizeRequest {
        let positions = match max_results {
            0 => 20,
            positions => positions,
        };
        let pin = |position| proto::Pin { item_id: format!("pin-{position}"), position };
        proto::PersonalizeRequest {
            namespace: "of-the-record".to_owned(),
            user_id, candidates, candidate_ids, context, diversity, filters, strategy, explain,
            max_results, retrieve, min_watermark,
            pins: (0..pinned.min(positions)).map(pin).collect(),
            boosts, frequency_cap_per_day, exploration, variant,
            baseline_popular: popular && own_order.is_empty(),
            baseline_item_ids: own_order,
            continue_from,
        }
    }
}

/// Of a namespace without any record.
fn view() -> Arc<View> {
    let settings = Settings { embedding_dimension: DIMENSION as u32, ..Settings::default() };
    Engine::new(settings).view()
}

fn call(message: proto::PersonalizeRequest) -> PersonalizeCall {
    let decision_id = DecisionId::parse("made-by-the-server").unwrap();
    personalize(message, view().request_settings(), NOW, decision_id).expect("the request is valid")
}

/// As far as it is recorded of a decision by this call.
fn recorded(call: &PersonalizeCall, record: RequestRecord) -> (Decision, DecisionDetail) {
    let RequestRecord::Bytes { request, undescribed } = record else {
        panic!("it is short enough: {record:?}");
    };
    let detail = DecisionDetail {
        engine_revision: 1,
        seed: 0,
        request,
        undescribed,
        variant: call.variant.clone(),
        context_watermark: 0,
        remembered: false,
        shown_lately: Vec::new(),
        earlier: Vec::new(),
        earlier_pinned: Vec::new(),
        unlearnt_cost: 0.0,
        width: 0.0,
        candidates: CandidateScores::default(),
    };
    let decision = Decision {
        decision_id: call.decision_id.clone(),
        user_id: call.user_id.clone(),
        decided_at: call.now,
        strategy: call.choice.strategy,
        epsilon: 0.0,
        model_version: 0,
        watermark: 0,
        candidates: 0,
        segment: 0,
        layout: FeatureLayout::default(),
        shown: Vec::new(),
        exploration_cost: 0.0,
        trial: None,
        assignments: Vec::new(),
        division: None,
        continues: None,
        detail: None,
    };
    (decision, detail)
}

/// Every bit of a call but for its record.
fn exactly(call: PersonalizeCall) -> String {
    format!("{:?}", PersonalizeCall { record: RequestRecord::default(), ..call })
}

proptest! {
    #[test]
    fn a_recorded_request_is_the_same_call_again(message in request()) {
        let made = call(message.clone());
        let mut sent = message.clone();
        let record = request_record(&mut sent, Detail::Full);
        let (decision, detail) = recorded(&made, record.clone());
        let again = recorded_call(&decision, &detail, &view()).unwrap();
        prop_assert_eq!(&again.record, &record);
        prop_assert_eq!(exactly(again), exactly(made));
        let kept = proto::PersonalizeRequest {
            namespace: String::new(),
            min_watermark: 0,
            ..message
        };
        prop_assert_eq!(&sent, &kept, "the message is still whole");
        prop_assert_eq!(recorded_request(&decision, &detail).unwrap(), kept);
        // Canonical: what was read is written as the same bytes.
        prop_assert_eq!(request_record(&mut sent, Detail::Full), record);
    }

    #[test]
    fn without_descriptions_it_is_the_same_call_on_the_same_ids(message in request()) {
        let made = call(message.clone());
        let mut sent = message.clone();
        let record = request_record(&mut sent, Detail::Candidates);
        let (decision, detail) = recorded(&made, record);
        prop_assert_eq!(detail.undescribed as usize, message.candidates.len());
        prop_assert_eq!(&sent.candidates, &message.candidates, "the message is still whole");
        let named = message.candidates.iter().map(|item| proto::Item {
            item_id: item.item_id.clone(),
            ..proto::Item::default()
        });
        let named = call(proto::PersonalizeRequest { candidates: named.collect(), ..message });
        let again = recorded_call(&decision, &detail, &view()).unwrap();
        prop_assert_eq!(exactly(again), exactly(named));
    }

    #[test]
    fn bytes_that_are_no_request_of_this_version_are_said_to_be_none(
        bytes in vec(any::<u8>(), 0..200),
    ) {
        let made = call(proto::PersonalizeRequest { user_id: "u".to_owned(), ..Default::default() });
        let record = RequestRecord::Bytes { request: bytes, undescribed: 0 };
        let (decision, detail) = recorded(&made, record);
        // Some bytes are a request; none makes it panic.
        let _ = recorded_call(&decision, &detail, &view());
    }
}

#[test]
fn what_is_too_long_for_a_record_is_not_encoded() {
    let item = |n: usize| proto::Item {
        item_id: n.to_string(),
        content: "x".repeat(limits::CONTENT_BYTES),
        ..Default::default()
    };
    let mut message =
        proto::PersonalizeRequest { candidates: (0..4).map(item).collect(), ..Default::default() };
    assert_eq!(request_record(&mut message, Detail::Full), RequestRecord::TooLong);
    assert_eq!(request_record(&mut message, Detail::Shown), RequestRecord::NotRequested);
    let named = request_record(&mut message, Detail::Candidates);
    let RequestRecord::Bytes { request, undescribed } = named else { panic!("{named:?}") };
    assert_eq!((request.len(), undescribed), (4 * 5, 4));
}
