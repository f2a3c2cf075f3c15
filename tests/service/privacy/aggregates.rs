//! Figures about users: true up to noise, within a budget that is kept.

use personalization::proto::AggregateGroup;
use personalization::proto::AggregateGrouping;
use personalization::proto::GetPrivacyBudgetRequest;
use personalization::proto::GetPrivacyBudgetResponse;
use personalization::proto::Interaction;
use personalization::proto::InteractionType;
use personalization::proto::Item;
use personalization::proto::QueryAggregatesRequest;
use personalization::proto::QueryAggregatesResponse;
use personalization::proto::UpdateUserRequest;
use personalization::proto::User;
use personalization::proto::aggregate_service_client::AggregateServiceClient;
use personalization::proto::query_aggregates_request::Cost;
use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::event;
use crate::harness::item;
use crate::harness::now_plus;
use crate::harness::reason_of;

const DAY: i64 = 86_400;
/// With this the noise of counts of users is nearly always 0.
const NO_NOISE: [&str; 2] = ["--privacy-epsilon", "1000"];
const QUIET: Cost = Cost::Epsilon(300.0);

/// A question about the last two days, by topic.
pub fn question(api: &Api, cost: Cost) -> QueryAggregatesRequest {
    QueryAggregatesRequest {
        namespace: api.namespace.clone(),
        analyst: "ada".to_owned(),
        from: Some(now_plus(-2 * DAY)),
        until: Some(now_plus(0)),
        group_by: AggregateGrouping::Topic.into(),
        cost: Some(cost),
        ..Default::default()
    }
}

pub async fn ask(
    api: &Api,
    question: QueryAggregatesRequest,
) -> Result<QueryAggregatesResponse, Status> {
    let mut client = AggregateServiceClient::new(api.channel.clone());
    Ok(client.query_aggregates(question).await?.into_inner())
}

pub async fn budget(api: &Api) -> GetPrivacyBudgetResponse {
    let request = GetPrivacyBudgetRequest { namespace: api.namespace.clone() };
    let mut client = AggregateServiceClient::new(api.channel.clone());
    client.get_privacy_budget(request).await.expect("an answer").into_inner()
}

fn group(key: &str, users: i64, interactions: i64) -> AggregateGroup {
    AggregateGroup { key: key.to_owned(), users, interactions }
}

/// As if they had occurred a minute ago: before the end of any question.
fn past(events: Vec<Interaction>) -> Vec<Interaction> {
    let at = |event| Interaction { occurred_at: Some(now_plus(-60)), ..event };
    events.into_iter().map(at).collect()
}

/// Likes and clicks of many users, with what is to be counted: a group with nobody in it, two ids of one
/// user, a user who is not to be profiled, an item that is not in the catalogue.
async fn planted(api: &Api) {
    let of_topic = |topic: &str| Item { topics: vec![topic.to_owned()], ..item(topic) };
    let both = Item { topics: vec!["folk".to_owned(), "rock".to_owned()], ..item("both") };
    api.upsert(vec![of_topic("folk"), of_topic("rock"), of_topic("opera"), both]).await;
    let mut events = Vec::new();
    let mut does = |user: &str, item: &str, kind, times: usize| {
        let numbers = events.len()..events.len() + times;
        let one = |n| event(&format!("planted-{n}"), user, item, kind);
        events.extend(numbers.map(one).collect::<Vec<Interaction>>());
    };
    for n in 0..30 {
        does(&format!("folk-{n}"), "folk", InteractionType::Like, 2);
    }
    for n in 0..20 {
        does(&format!("rock-{n}"), "rock", InteractionType::Click, 1);
    }
    does("visit", "both", InteractionType::Like, 1);
    does("account", "folk", InteractionType::Like, 1);
    does("hidden", "folk", InteractionType::Like, 5);
    does("other", "not-in-the-catalogue", InteractionType::Like, 5);
    let learnt = api.record(past(events)).await.last_sequence;
    api.profile("account", learnt).await;
    api.merge("visit", "account").await;
    let hidden = User { user_id: "hidden".to_owned(), non_profiled: Some(true), ..User::default() };
    api.update_user(UpdateUserRequest { user: Some(hidden), ..Default::default() }).await;
}

/// Within six standard deviations, which is exceeded once in 5e8.
fn near(found: &[AggregateGroup], truth: &[AggregateGroup], answer: &QueryAggregatesResponse) {
    let keys =
        |groups: &[AggregateGroup]| groups.iter().map(|one| one.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(found), keys(truth));
    for (found, truth) in found.iter().zip(truth) {
        let users = (found.users - truth.users) as f64;
        let interactions = (found.interactions - truth.interactions) as f64;
        assert!(users.abs() <= 6.0 * answer.users_standard_deviation, "{found:?}");
        let most = 6.0 * answer.interactions_standard_deviation;
        assert!(interactions.abs() <= most, "{found:?}");
    }
}

#[tokio::test]
async fn counts_are_true_up_to_noise_and_groups_without_users_are_answered() {
    let server = Server::start_with(&NO_NOISE).await;
    let api = server.api().await;
    planted(&api).await;
    let topics = [group("folk", 31, 62), group("opera", 0, 0), group("rock", 21, 21)];
    let answer = ask(&api, question(&api, QUIET)).await.unwrap();
    near(&answer.groups, &topics, &answer);
    assert!(answer.users_standard_deviation < 0.2, "{answer:?}");
    assert!(!answer.is_earlier_release && answer.sequence > 0);
    let likes = QueryAggregatesRequest {
        group_by: AggregateGrouping::InteractionType.into(),
        interaction_types: vec![InteractionType::Like.into(), InteractionType::Save.into()],
        max_per_group: 2,
        ..question(&api, Cost::Epsilon(200.0))
    };
    let answer = ask(&api, likes).await.unwrap();
    near(&answer.groups, &[group("like", 32, 64), group("save", 0, 0)], &answer);
    let all = QueryAggregatesRequest {
        group_by: AggregateGrouping::Unspecified.into(),
        max_per_group: 1,
        ..question(&api, Cost::Epsilon(100.0))
    };
    let answer = ask(&api, all).await.unwrap();
    near(&answer.groups, &[group("", 52, 52)], &answer);
    let spent = budget(&api).await;
    assert_eq!(spent.spendings.len(), 3);
    assert!(spent.spendings.iter().all(|one| one.analyst == "ada" && one.query.contains("types")));
}

#[tokio::test]
async fn who_does_something_ten_thousand_times_counts_up_to_the_bound_and_in_few_groups() {
    let mut answers = Vec::new();
    for is_there in [false, true] {
        let server = Server::start_with(&NO_NOISE).await;
        let api = server.api().await;
        api.upsert(World::items()).await;
        api.record(past(World::likes())).await;
        if is_there {
            let topics = (0..50).map(|n| Item {
                topics: vec![format!("topic-{n:02}")],
                ..item(&format!("item-{n:02}"))
            });
            api.upsert(topics.collect()).await;
            for part in 0..10 {
                let one = |n: usize| {
                    let item = format!("item-{:02}", n % 50);
                    let item = if n.is_multiple_of(2) { "jazz-00" } else { &*item };
                    event(&format!("busy-{part}-{n}"), "busy", item, InteractionType::Like)
                };
                api.record(past((0..1_000).map(one).collect())).await;
            }
        }
        let asked = QueryAggregatesRequest { max_groups_per_user: 2, ..question(&api, QUIET) };
        let answer = ask(&api, asked).await.unwrap();
        let sum = |count: fn(&AggregateGroup) -> i64| answer.groups.iter().map(count).sum::<i64>();
        answers.push((sum(|one| one.users), sum(|one| one.interactions), answer));
    }
    let [(users, interactions, _), (more_users, more_interactions, answer)] = &answers[..] else {
        panic!("two servers")
    };
    // Two groups and ten of each, up to the noise of all groups.
    let noise = 6.0 * (answer.groups.len() as f64).sqrt();
    let users = (more_users - users - 2) as f64;
    assert!(users.abs() <= noise * answer.users_standard_deviation, "{users}");
    let interactions = (more_interactions - interactions - 20) as f64;
    assert!(interactions.abs() <= noise * answer.interactions_standard_deviation);
}

#[tokio::test]
async fn the_same_query_has_the_same_answer_and_costs_nothing_also_after_a_kill() {
    let mut server = Server::start().await;
    let api = server.api().await;
    planted(&api).await;
    let asked = question(&api, Cost::Epsilon(0.6));
    let first = ask(&api, asked.clone()).await.unwrap();
    // What happens later changes nothing about what was released.
    api.record(vec![event("later", "later", "folk", InteractionType::Like)]).await;
    server.kill_9();
    server.restart().await;
    let api = server.api().await;
    let other = QueryAggregatesRequest { analyst: "bob".to_owned(), ..asked.clone() };
    let again = ask(&api, other).await.unwrap();
    assert!(again.is_earlier_release && !first.is_earlier_release);
    assert_eq!((&again.groups, again.sequence), (&first.groups, first.sequence));
    assert_eq!((again.rho, again.rho_left), (first.rho, first.rho_left));
    // No group has so many: the threshold is no other query.
    let many = QueryAggregatesRequest { min_count: Some(1_000_000), ..asked.clone() };
    assert_eq!(ask(&api, many).await.unwrap().groups, []);
    let spent = budget(&api).await;
    assert_eq!((spent.spendings.len(), spent.rho_spent), (1, first.rho));
    assert_eq!((spent.epsilon, spent.delta), (1.0, 1e-6));
    assert!((spent.rho_limit - spent.rho_spent - spent.rho_left).abs() < 1e-12);

    // Half of epsilon is a third of rho, or less: 0.9 more are too much, also after the next kill.
    let too_much = question(&api, Cost::Epsilon(0.9));
    for _ in 0..2 {
        let refused = ask(&api, too_much.clone()).await.unwrap_err();
        let expected = (Code::FailedPrecondition, "PRIVACY_BUDGET_SPENT".to_owned());
        assert_eq!(reason_of(&refused), expected);
        let details = refused.get_error_details();
        let metadata = &details.error_info().unwrap().metadata;
        assert_eq!(metadata["left"], spent.rho_left.to_string());
        assert!(metadata["asked"].parse::<f64>().unwrap() > spent.rho_left);
        server.kill_9();
        server.restart().await;
    }
    let api = server.api().await;
    assert_eq!(budget(&api).await.rho_spent, spent.rho_spent, "what is refused costs nothing");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_anything_is_spent() {
    let server = Server::start().await;
    let api = server.api().await;
    let refused = async |asked| reason_of(&ask(&api, asked).await.unwrap_err());
    let nothing = ask(&api, question(&api, Cost::Epsilon(0.5))).await.unwrap_err();
    assert_eq!(nothing.code(), Code::InvalidArgument, "the catalogue has no topics");
    let wrong = ask(&api, question(&api, Cost::Rho(1e-9))).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    let topics = |n: usize| (0..32).map(|m| format!("{n}-{m}")).collect();
    let items = (0..160).map(|n| Item { topics: topics(n), ..item(&format!("many-{n}")) });
    api.upsert(items.collect()).await;
    let expected = (Code::ResourceExhausted, "TOO_MUCH_TO_COUNT".to_owned());
    assert_eq!(refused(question(&api, Cost::Epsilon(0.5))).await, expected);
    assert_eq!(budget(&api).await.rho_spent, 0.0);
}
