//! Bytes that nobody meant, from a seed.

use personalization::proto::Interaction;
use personalization::proto::InteractionContext;
use personalization::proto::Item;
use personalization::proto::LocalizedText;
use personalization::proto::PersonalizeRequest;
use prost::Message;
use prost_types::Timestamp;
use tonic::Code;

use crate::harness::Random;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::call_with_bytes;
use crate::harness::greedy;

const UNARY: [&str; 20] = [
    "PersonalizationService/Personalize",
    "PersonalizationService/GetProfile",
    "PersonalizationService/SimilarItems",
    "PersonalizationService/UpdateUser",
    "PersonalizationService/MergeUsers",
    "PersonalizationService/RecordInteractions",
    "PersonalizationService/BatchRecordInteractions",
    "CatalogService/UpsertItems",
    "CatalogService/BatchUpsertItems",
    "CatalogService/GetItem",
    "CatalogService/ListItems",
    "CatalogService/DeleteItems",
    "ModelService/GetModelStatus",
    "ModelService/GetModelMetrics",
    "AdminService/ListNamespaces",
    "AdminService/GetNamespace",
    "AdminService/UpdateNamespace",
    "BanditService/SelectArm",
    "BanditService/RewardArm",
    "BanditService/GetArmSet",
];

/// Not one of these means that the server, rather than the message, was at fault.
fn assert_the_messages_fault(code: Code, about: &str) {
    let allowed = [Code::InvalidArgument, Code::NotFound, Code::DeadlineExceeded];
    assert!(allowed.contains(&code), "{about}: {code:?}");
}

#[tokio::test]
async fn messages_of_random_bytes_never_harm_the_server() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let mut random = Random(20_260_823);
    let real = greedy("new-user", 5).encode_to_vec();
    for round in 0..600 {
        let path = UNARY[random.below(UNARY.len() as u64) as usize];
        let length = random.below(200) as usize;
        let mut message = random.bytes(length);
        if round % 3 == 0 {
            // A real message with one byte changed gets further than noise.
            message.clone_from(&real);
            let index = random.below(real.len() as u64) as usize;
            message[index] = random.next() as u8;
        }
        if let Err(status) = call_with_bytes(&api.channel, path, message.clone()).await {
            assert_the_messages_fault(status.code(), &format!("{path} {message:?} {status}"));
        }
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
    assert_eq!(api.personalize(greedy("new-user", 5)).await.recommendations.len(), 5);
}

/// Mostly a word of some script, now and then what no id may be.
fn string(random: &mut Random) -> String {
    if random.below(12) == 0 {
        let length = random.below(300) as usize;
        return String::from_utf8_lossy(&random.bytes(length)).into_owned();
    }
    let letters = (0..=random.below(3)).map(|_| 0xa1 + random.below(0x3000) as u32);
    letters.filter_map(char::from_u32).collect()
}

fn strings(random: &mut Random) -> Vec<String> {
    (0..random.below(4)).map(|_| string(random)).collect()
}

fn number(random: &mut Random) -> f64 {
    match random.below(4) {
        0 => f64::from_bits(random.next()),
        1 => -0.0,
        2 => f64::MIN_POSITIVE / 2.0,
        _ => random.below(6) as f64,
    }
}

fn time(random: &mut Random) -> Option<Timestamp> {
    let seconds = match random.below(3) {
        0 => random.next() as i64,
        1 => random.below(4_000_000_000) as i64,
        _ => return None,
    };
    Some(Timestamp { seconds, nanos: random.next() as i32 })
}

fn interaction(random: &mut Random) -> Interaction {
    Interaction {
        event_id: string(random),
        user_id: string(random),
        item_id: string(random),
        r#type: random.below(14) as i32,
        value: Some(number(random)),
        occurred_at: time(random).map(|time| Timestamp { nanos: time.nanos & 0xfffff, ..time }),
        session_id: string(random),
        decision_id: string(random),
        position: Some(random.below(20_000) as u32),
        context: Some(InteractionContext {
            topics: strings(random),
            source: string(random),
            device_type: string(random),
            attributes: None,
            location: string(random),
            utc_offset_minutes: Some(random.below(4_000) as i32 - 2_000),
        }),
    }
}

fn item(random: &mut Random) -> Item {
    let embedding = match random.below(3) {
        0 => (0..384).map(|_| f32::from_bits(random.next() as u32)).collect(),
        1 => vec![f32::MAX; 384],
        _ => Vec::new(),
    };
    Item {
        item_id: string(random),
        title: string(random),
        content: string(random),
        topics: strings(random),
        source: string(random),
        published_at: time(random),
        embedding,
        attributes: None,
        language: string(random),
        hidden: random.below(2) == 0,
        expires_at: time(random),
        localized: (0..random.below(3))
            .map(|n| (if n == 0 { "de".to_owned() } else { string(random) }, text(random)))
            .collect(),
    }
}

fn text(random: &mut Random) -> LocalizedText {
    LocalizedText { title: string(random), content: string(random) }
}

#[tokio::test]
async fn fields_of_random_content_are_taken_or_refused_and_answers_stay_finite() {
    let server = Server::start().await;
    let api = server.api().await;
    let mut random = Random(7);
    for _ in 0..20 {
        let items: Vec<Item> = (0..40).map(|_| item(&mut random)).collect();
        let upserted = api.upsert(items).await;
        assert_eq!(upserted.received, upserted.accepted + upserted.rejected);
        let events: Vec<Interaction> = (0..200).map(|_| interaction(&mut random)).collect();
        let user_id = events[0].user_id.clone();
        let recorded = api.record(events).await;
        let sum = recorded.accepted + recorded.duplicates + recorded.rejected;
        assert_eq!(recorded.received, sum);
        let request = PersonalizeRequest {
            min_watermark: recorded.last_sequence,
            candidates: (0..5).map(|_| item(&mut random)).collect(),
            ..greedy(&user_id, 50)
        };
        if let Err(status) = api.personalization.clone().personalize(request).await {
            assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        }
        let answer = api.personalize(greedy("new-user", 50)).await;
        assert!(answer.recommendations.iter().all(|item| item.score.is_finite()));
    }
    assert!(api.settled_status().await.interactions > 0);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
