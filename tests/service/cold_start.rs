//! What is recommended before much is known of a user or an item, and what the
//! request context changes: cohorts, new items, time, location, session, freshness.

use personalization::proto::CreateNamespaceRequest;
use personalization::proto::Interaction;
use personalization::proto::InteractionContext;
use personalization::proto::InteractionType;
use personalization::proto::Item;
use personalization::proto::NamespaceSettings;
use personalization::proto::PersonalizeRequest;
use personalization::proto::PersonalizeResponse;
use personalization::proto::RequestContext;
use personalization::proto::Strategy;
use personalization::proto::UpdateUserRequest;
use personalization::proto::User;
use personalization::service::Clock;
use personalization::service::SystemClock;
use prost_types::Duration;
use prost_types::Timestamp;
use prost_types::Value;
use prost_types::value::Kind;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::event;
use crate::harness::greedy;
use crate::harness::now_plus;
use crate::harness::of_taste;
use crate::harness::structure;
use crate::harness::text;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn number(number: f64) -> Value {
    Value { kind: Some(Kind::NumberValue(number)) }
}

/// Items of two topics, without text, all of one age.
fn items(topics: [&str; 2], each: usize) -> Vec<Item> {
    let item = |topic: &str, n: usize| Item {
        item_id: format!("{topic}-{n:02}"),
        topics: vec![topic.to_owned()],
        ..Item::default()
    };
    topics.into_iter().flat_map(|topic| (0..each).map(move |n| item(topic, n))).collect()
}

async fn set_attributes(api: &Api, user: &str, age: f64, country: &str) -> u64 {
    let attributes = structure([("age", number(age)), ("country", text(country))]);
    let user = User { user_id: user.to_owned(), attributes, ..User::default() };
    let request = UpdateUserRequest { user: Some(user), ..Default::default() };
    api.update_user(request).await.sequence
}

async fn namespace(api: &Api, name: &str, settings: NamespaceSettings) -> Api {
    let (namespace, settings) = (name.to_owned(), Some(settings));
    let request = CreateNamespaceRequest { namespace, settings };
    api.admin.clone().create_namespace(request).await.expect("a namespace");
    api.within(name)
}

fn component(answer: &PersonalizeResponse, item: &str, name: &str) -> f64 {
    let found = answer.recommendations.iter().find(|one| one.item_id == item);
    found.expect("the item is in the answer").components.get(name).copied().unwrap_or(0.0)
}

#[tokio::test]
async fn a_new_user_gets_what_the_smallest_cohort_wants_and_the_profile_names_it() {
    let server = Server::start().await;
    let api = server.api().await;
    api.upsert(items(["tea", "coffee"], 10)).await;
    // Young Germans drink tea and old ones coffee; elsewhere it is the other way.
    let mut events = Vec::new();
    for n in 0..40 {
        for (country, age, drink) in [
            ("DE", 25.0, "tea"),
            ("DE", 67.0, "coffee"),
            ("FR", 25.0, "coffee"),
            ("FR", 67.0, "tea"),
        ] {
            let user = format!("{country}-{age}-{n}");
            set_attributes(&api, &user, age, country).await;
            let liked = (0..4).map(|k| format!("{drink}-{:02}", (n + k * 3) % 10));
            events.extend(
                liked.map(|item| {
                    event(&format!("{user}/{item}"), &user, &item, InteractionType::Like)
                }),
            );
        }
    }
    api.record(events).await;
    for (country, age, drink) in
        [("DE", 21.0, "tea"), ("DE", 60.0, "coffee"), ("FR", 29.0, "coffee")]
    {
        let user = format!("new-{country}-{age}");
        let min_watermark = set_attributes(&api, &user, age, country).await;
        let answer =
            api.personalize(PersonalizeRequest { min_watermark, ..greedy(&user, 5) }).await;
        assert!(of_taste(drink, &answer) >= 4, "{user}: {:?}", answer.recommendations);
        let profile = api.profile(&user, min_watermark).await.profile.unwrap();
        let low = (age / 10.0).floor() * 10.0;
        assert_eq!(profile.cohort, format!("age={low}..{} & country={country}", low + 10.0));
    }
}

/// The Saturday before the last one at an hour of UTC: in the past, whatever day it is.
fn saturday(hour: i64, weeks_before: i64) -> Timestamp {
    let now = SystemClock.now().as_millis() / 1_000;
    let today = now.div_euclid(DAY);
    // 1970-01-03 was a Saturday.
    let last = today - (today - 2).rem_euclid(7) - 7 * (weeks_before + 1);
    Timestamp { seconds: last * DAY + hour * HOUR, nanos: 0 }
}

fn plus_days(time: Timestamp, days: i64) -> Timestamp {
    Timestamp { seconds: time.seconds + days * DAY, ..time }
}

#[tokio::test]
async fn a_topic_consumed_at_weekends_in_one_country_is_lifted_then_and_there() {
    let server = Server::start().await;
    let api = server.api().await;
    api.upsert(items(["football", "politics"], 10)).await;
    // In BR users want football on Saturday evenings of their own clock, which is five
    // hours later by UTC, and politics on Tuesdays. In SE they always want politics.
    let mut events = Vec::new();
    for n in 0..120_i64 {
        let evening = saturday(20, n % 4);
        let in_brazil = Timestamp { seconds: evening.seconds + 5 * HOUR, nanos: 0 };
        let cases = [
            ("BR", "football", in_brazil, -300),
            ("BR", "politics", plus_days(in_brazil, 3), -300),
            ("SE", "politics", evening, 0),
            ("SE", "politics", plus_days(evening, 3), 0),
        ];
        for (location, topic, at, offset) in cases {
            let item = format!("{topic}-{:02}", n % 10);
            let user = format!("{location}-{n}");
            let id = format!("{user}/{topic}/{}", at.seconds);
            let context = InteractionContext {
                location: location.to_owned(),
                utc_offset_minutes: Some(offset),
                ..InteractionContext::default()
            };
            events.push(Interaction {
                occurred_at: Some(at),
                context: Some(context),
                ..event(&id, &user, &item, InteractionType::Like)
            });
        }
    }
    let min_watermark = api.record(events).await.last_sequence;
    let football_lift = async |location: &str, local: Timestamp, offset: i32, name: &str| {
        let utc = local.seconds - i64::from(offset) * 60;
        let context = RequestContext {
            timestamp: Some(Timestamp { seconds: utc, nanos: 0 }),
            utc_offset_minutes: Some(offset),
            location: location.to_owned(),
            ..RequestContext::default()
        };
        let context = Some(context);
        let request = PersonalizeRequest { min_watermark, context, ..greedy("new-user", 20) };
        let answer = api.personalize(request).await;
        component(&answer, "football-03", name) - component(&answer, "politics-03", name)
    };
    let (evening, tuesday) = (saturday(20, 0), plus_days(saturday(20, 0), 3));
    let at_weekend = football_lift("BR", evening, -300, "time_of_day").await;
    let in_the_week = football_lift("BR", tuesday, -300, "time_of_day").await;
    assert!(at_weekend > in_the_week, "{at_weekend} {in_the_week}");
    let there = football_lift("BR", evening, -300, "location").await;
    let elsewhere = football_lift("SE", evening, 0, "location").await;
    assert!(there > 0.0 && there > elsewhere, "{there} {elsewhere}");
    // How much each of the two counts is learnt; together they say the same.
    let popular_there = football_lift("BR", evening, -300, "location_popularity").await;
    assert!(popular_there != 0.0 && there + popular_there > 0.0, "{there} {popular_there}");
    assert_eq!(football_lift("", evening, -300, "location").await, 0.0);
    let times = api.profile("BR-1", 0).await.profile.unwrap().times;
    assert!(times.iter().all(|time| time.hour == 20), "hours are the user's own: {times:?}");
}

/// Users who want both topics, but one at a time: sessions of three, a day apart.
fn visits() -> Vec<Interaction> {
    let mut events = Vec::new();
    for (visit, user) in (0..6_i64).flat_map(|visit| (0..60_i64).map(move |user| (visit, user))) {
        let topic = ["jazz", "metal"][((visit * 7 + user * 5 + user / 7) % 2) as usize];
        for n in 0..3 {
            let item = format!("{topic}-{:02}", (user * 3 + visit * 4 + n * 5) % 20);
            let (id, user) = (format!("{user}/{visit}/{n}"), format!("visitor-{user}"));
            let at = now_plus((visit - 8) * DAY + n * 60);
            let like = event(&id, &user, &item, InteractionType::Like);
            events.push(Interaction { occurred_at: Some(at), ..like });
        }
    }
    events
}

#[tokio::test]
async fn a_session_turns_the_answer_while_it_lasts() {
    let server = Server::start().await;
    let api = server.api().await;
    api.upsert(items(["jazz", "metal"], 20)).await;
    let mut events = visits();
    let now = now_plus(-60);
    for (n, item) in (0_i64..).zip(["metal-01", "metal-04", "metal-07", "metal-10", "metal-13"]) {
        let like = event(&format!("long {n}"), "dual", item, InteractionType::Like);
        let at = now_plus(-2 * DAY + n * HOUR);
        events.push(Interaction { occurred_at: Some(at), ..like });
    }
    for item in ["jazz-02", "jazz-05"] {
        let like = event(&format!("now {item}"), "dual", item, InteractionType::Like);
        let session_id = "visit".to_owned();
        events.push(Interaction { occurred_at: Some(now), session_id, ..like });
    }
    let min_watermark = api.record(events).await.last_sequence;
    let at = async |seconds: i64| {
        let timestamp = Some(now_plus(seconds));
        let context = Some(RequestContext { timestamp, ..RequestContext::default() });
        let request = PersonalizeRequest { min_watermark, context, ..greedy("dual", 33) };
        api.personalize(request).await
    };
    let (during, after) = (at(0).await, at(2 * HOUR).await);
    for part in ["session_content", "session_topics"] {
        assert!(component(&during, "jazz-10", part) != 0.0, "{part}");
        assert_eq!(component(&after, "jazz-10", part), 0.0, "{part}");
    }
    let gain = |item: &str| {
        let names = ["session_content", "session_topics"];
        names.iter().map(|name| component(&during, item, name)).sum::<f64>()
    };
    assert!(gain("jazz-10") > gain("metal-02"), "{} {}", gain("jazz-10"), gain("metal-02"));
    let jazz = |answer: &PersonalizeResponse| {
        answer.recommendations[..10].iter().filter(|one| one.item_id.starts_with("jazz")).count()
    };
    assert!(jazz(&during) >= jazz(&after), "{} {}", jazz(&during), jazz(&after));
}

/// Every item is known and liked, but for three that came just now.
async fn with_newcomers(api: &Api) -> u64 {
    let appeared = |mut item: Item, days: i64| {
        item.published_at = Some(now_plus(-days * DAY));
        item
    };
    let old = items(["old", "older"], 30).into_iter().map(|item| appeared(item, 100));
    let new = (0..3).map(|n| Item { item_id: format!("new-{n}"), ..Item::default() });
    api.upsert(old.chain(new.map(|item| appeared(item, 1))).collect()).await;
    // A few items are consumed by nearly all users.
    let likes = (0..300).map(|n: usize| {
        let position = (n * 37 % 101).pow(2) / 350;
        let item = format!("{}-{position:02}", if n.is_multiple_of(2) { "old" } else { "older" });
        event(&format!("like {n}"), &format!("fan-{n}"), &item, InteractionType::Like)
    });
    api.record(likes.collect()).await.last_sequence
}

#[tokio::test]
async fn new_items_get_their_share_of_positions_and_a_bonus_that_adds_up() {
    let server = Server::start().await;
    let api = server.api().await;
    let settings = |share, epsilon, bonus| NamespaceSettings {
        strategy: Some(Strategy::EpsilonGreedy.into()),
        epsilon: Some(epsilon),
        new_item_share: Some(share),
        exploration_bonus: Some(bonus),
        ..NamespaceSettings::default()
    };
    let generous = namespace(&api, "generous", settings(0.5, 0.0, 0.5)).await;
    let closed = namespace(&api, "closed", settings(0.0, 0.0, 0.0)).await;
    let mut new = [0_usize; 2];
    for (api, new) in [&generous, &closed].into_iter().zip(&mut new) {
        let min_watermark = with_newcomers(api).await;
        for n in 0..30 {
            let request = PersonalizeRequest { strategy: 0, ..greedy(&format!("n-{n}"), 2) };
            let answer = api.personalize(PersonalizeRequest { min_watermark, ..request }).await;
            assert_eq!(answer.recommendations.len(), 2);
            for shown in &answer.recommendations {
                let sum: f64 = shown.components.values().sum();
                assert!((sum - shown.score).abs() < 1e-6, "{shown:?}");
                assert!(shown.propensity > 0.0 && shown.propensity <= 1.0);
                let is_new = shown.item_id.starts_with("new");
                assert!(is_new || !shown.components.contains_key("exploration_bonus"));
            }
            *new += of_taste("new", &answer);
        }
    }
    // Of 60 positions about 30 are expected, with a deviation below 4.
    assert!(new[0] >= 14, "{new:?}");
    assert_eq!(new[1], 0);
    let min_watermark = generous.settled_status().await.watermark;
    let best =
        generous.personalize(PersonalizeRequest { min_watermark, ..greedy("calm", 63) }).await;
    assert_eq!(component(&best, "new-1", "exploration_bonus"), 0.0, "greedy explores nothing");
    assert!(best.recommendations.iter().all(|shown| shown.propensity == 1.0));
}

#[tokio::test]
async fn freshness_fades_as_configured_by_topic_and_source() {
    let server = Server::start().await;
    let api = server.api().await;
    let hours = |hours: i64| Duration { seconds: 3_600 * hours, nanos: 0 };
    let settings = NamespaceSettings {
        topic_freshness_half_lives: [("news".to_owned(), hours(6))].into(),
        source_freshness_half_lives: [("archive".to_owned(), hours(10_000))].into(),
        freshness_half_life: Some(hours(240)),
        ..NamespaceSettings::default()
    };
    let api = namespace(&api, "paper", settings).await;
    let item = |item_id: &str, topic: &str, source: &str| Item {
        item_id: item_id.to_owned(),
        topics: vec![topic.to_owned()],
        source: source.to_owned(),
        published_at: Some(now_plus(-DAY)),
        ..Item::default()
    };
    let upserted = api
        .upsert(vec![
            item("story", "news", "wire"),
            item("find", "news", "archive"),
            item("song", "music", "label"),
        ])
        .await;
    let min_watermark = upserted.last_sequence;
    let answer = api.personalize(PersonalizeRequest { min_watermark, ..greedy("x", 3) }).await;
    let fresh = |item| component(&answer, item, "freshness");
    // One day is 4 half-lives of news, a tenth of that of music.
    let ratio = fresh("story") / fresh("song");
    assert!((ratio - 2.0_f64.powi(-4) / 2.0_f64.powf(-0.1)).abs() < 0.01, "{ratio}");
    assert!(fresh("find") > fresh("song"));
}
