//! Taking over from a caller's order: shadow mode, share, guard, allowance.

use std::collections::HashMap;

use personalization::proto::CreateNamespaceRequest;
use personalization::proto::ExplorationAccount;
use personalization::proto::ExplorationParams;
use personalization::proto::Filters;
use personalization::proto::GetModelMetricsRequest;
use personalization::proto::GetTakeoverRequest;
use personalization::proto::GetTakeoverResponse;
use personalization::proto::Interaction;
use personalization::proto::InteractionType;
use personalization::proto::ListOrigin;
use personalization::proto::NamespaceSettings;
use personalization::proto::PersonalizeRequest;
use personalization::proto::PersonalizeResponse;
use personalization::proto::Pin;
use personalization::proto::RankerSettings;
use personalization::proto::SetTakeoverRequest;
use personalization::proto::Strategy;
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::Api;
use crate::harness::PER_TASTE;
use crate::harness::Random;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::command;
use crate::harness::event;
use crate::harness::eventually;
use crate::harness::greedy;

const POSITIONS: u32 = 4;

/// What a caller that knows no taste would show: jazz and metal in turn.
fn even_handed() -> Vec<String> {
    (0..6).flat_map(|n| ["metal", "jazz"].map(|taste| format!("{taste}-{:02}", 19 - n))).collect()
}

fn with_baseline(user: &str, baseline: &[String]) -> PersonalizeRequest {
    PersonalizeRequest { baseline_item_ids: baseline.to_vec(), ..greedy(user, POSITIONS) }
}

fn shown(answer: &PersonalizeResponse) -> Vec<String> {
    answer.recommendations.iter().map(|item| item.item_id.clone()).collect()
}

async fn set(api: &Api, request: SetTakeoverRequest) -> u64 {
    let request = SetTakeoverRequest { namespace: api.namespace.clone(), ..request };
    let answer = api.takeover.clone().set_takeover(request).await;
    answer.expect("it is set").into_inner().sequence
}

async fn state(api: &Api, min_watermark: u64) -> GetTakeoverResponse {
    let request = GetTakeoverRequest { namespace: api.namespace.clone(), min_watermark };
    api.takeover.clone().get_takeover(request).await.expect("a state").into_inner()
}

/// Users who take what they are shown by a rule of the test.
struct Audience {
    api: Api,
    random: Random,
    events: u64,
    watermark: u64,
    baseline: Vec<String>,
    origins: HashMap<ListOrigin, u64>,
}

impl Audience {
    async fn of(api: Api) -> Self {
        let watermark = World::fill(&api).await;
        let (random, origins) = (Random(11), HashMap::new());
        Self { api, random, events: 0, watermark, baseline: even_handed(), origins }
    }

    /// So many lists, each shown to a fan; `clicks` says with how much of a hundred an item
    /// is clicked, by the fan's taste, the item and whose list it is.
    async fn visits(&mut self, lists: u64, clicks: impl Fn(&str, &str, ListOrigin) -> u64) {
        let mut events: Vec<Interaction> = Vec::new();
        for _ in 0..lists {
            let taste = ["jazz", "metal"][self.random.below(2) as usize];
            let user = format!("{taste}-fan-{}", self.random.below(PER_TASTE as u64));
            let request = PersonalizeRequest {
                min_watermark: self.watermark,
                ..with_baseline(&user, &self.baseline)
            };
            let answer = self.api.personalize(request).await;
            *self.origins.entry(answer.origin()).or_default() += 1;
            for item in shown(&answer) {
                let clicked = self.random.below(100) < clicks(taste, &item, answer.origin());
                let mut add = |kind: InteractionType| {
                    self.events += 1;
                    events.push(Interaction {
                        decision_id: answer.decision_id.clone(),
                        ..event(&format!("e{}", self.events), &user, &item, kind)
                    });
                };
                add(InteractionType::Impression);
                if clicked {
                    add(InteractionType::Click);
                }
            }
        }
        self.watermark = self.api.record(events).await.last_sequence;
    }
}

#[tokio::test]
async fn in_shadow_mode_the_ranker_shows_the_callers_order_learns_from_it_and_says_how_it_would_do()
{
    let server = Server::start().await;
    let mut audience = Audience::of(server.api().await).await;
    let before = state(&audience.api, audience.watermark).await;
    assert_eq!((before.share, before.share_in_force, before.decisions), (0.0, 0.0, 0));
    assert!(before.agreement.is_none() && before.estimated_lift.is_none());

    // A user is shown what they had, too, as long as the caller would.
    let baseline = vec!["jazz-00".to_owned(), "metal-05".to_owned(), "nothing".to_owned()];
    let request = PersonalizeRequest {
        min_watermark: audience.watermark,
        ..with_baseline("jazz-fan-0", &baseline)
    };
    let answer = audience.api.personalize(request).await;
    assert_eq!(answer.origin(), ListOrigin::Baseline);
    assert_eq!(shown(&answer), ["jazz-00", "metal-05"]);
    assert!(answer.recommendations.iter().all(|item| item.propensity == 1.0));
    assert_eq!(answer.unknown_candidate_ids, ["nothing"]);

    let fan = |taste: &str, item: &str, _| if item.starts_with(taste) { 60 } else { 2 };
    for _ in 0..6 {
        audience.visits(50, fan).await;
    }
    assert_eq!(audience.origins, HashMap::from([(ListOrigin::Baseline, 300)]));
    let state = state(&audience.api, audience.watermark).await;
    assert_eq!(state.decisions, 301);
    assert_eq!(state.outcomes[1].shown, 301);
    let agreement = state.agreement.expect("there were decisions");
    assert!(agreement.first_position < 0.9 && agreement.in_both < 0.9, "{agreement:?}");
    assert!(agreement.same_position <= agreement.in_both, "{agreement:?}");
    // Half of what the caller shows is of the other taste; the ranker knows better.
    let lift = state.estimated_lift.expect("there were decisions");
    assert!(lift.low > 0.1 && lift.low < lift.value && lift.value < lift.high, "{lift:?}");
    let metrics = GetModelMetricsRequest::default();
    let metrics = audience.api.model.clone().get_model_metrics(metrics).await;
    assert!(metrics.expect("figures").into_inner().impressions >= 1_200);
}

#[tokio::test]
async fn a_share_is_answered_by_the_ranker_and_what_it_earns_more_is_measured() {
    let mut server = Server::start().await;
    let mut audience = Audience::of(server.api().await).await;
    let request = SetTakeoverRequest {
        share: Some(0.6),
        popular_share: Some(0.3),
        reward_window: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..SetTakeoverRequest::default()
    };
    audience.watermark = set(&audience.api, request).await;
    let fan = |taste: &str, item: &str, _| if item.starts_with(taste) { 30 } else { 2 };
    for _ in 0..8 {
        audience.visits(50, fan).await;
    }
    // 400 lists: .42, .4 and .18 of them; bounds of five standard deviations.
    for (origin, least, most) in [
        (ListOrigin::Ranker, 118, 218),
        (ListOrigin::Baseline, 110, 210),
        (ListOrigin::Popular, 33, 111),
    ] {
        let count = audience.origins[&origin];
        assert!((least..=most).contains(&count), "{origin:?}: {count}");
    }
    // All rewards are waited for once something comes after the window.
    let settled = eventually("settled decisions", async || {
        let sequence = audience.api.record(vec![tick()]).await.last_sequence;
        let state = state(&audience.api, sequence).await;
        (state.outcomes.iter().map(|outcome| outcome.settled).sum::<u64>() == 400).then_some(state)
    })
    .await;
    let [baseline, popular] = &settled.measured_lifts[..] else {
        panic!("two lifts: {settled:?}");
    };
    assert_eq!(baseline.against(), ListOrigin::Baseline);
    assert_eq!(popular.against(), ListOrigin::Popular);
    let of = |origin: ListOrigin| audience.origins[&origin];
    assert_eq!(baseline.decisions, of(ListOrigin::Ranker) + of(ListOrigin::Baseline));
    assert_eq!(popular.decisions, of(ListOrigin::Ranker) + of(ListOrigin::Popular));
    assert!(baseline.value > 0.0, "{baseline:?}");
    assert!(baseline.low() < baseline.value && baseline.value < baseline.high(), "{baseline:?}");
    assert_eq!((settled.share_in_force, settled.fallback), (0.6, None));
    replays_of_every_origin(&mut server, &audience).await;
}

/// An event that is none of any decision; its id is made by the service.
fn tick() -> Interaction {
    event("", "new-user", "metal-01", InteractionType::Impression)
}

/// Lists of each origin are worked out again from their records, pins and all.
async fn replays_of_every_origin(server: &mut Server, audience: &Audience) {
    let mut decisions = HashMap::new();
    while decisions.len() < 3 {
        let request = PersonalizeRequest {
            strategy: Strategy::Thompson.into(),
            pins: vec![Pin { item_id: "jazz-03".to_owned(), position: 1 }],
            ..with_baseline("metal-fan-3", &audience.baseline)
        };
        let answer = audience.api.personalize(request).await;
        assert_eq!(shown(&answer)[1], "jazz-03");
        let sum: f64 = answer.recommendations.iter().map(|item| item.propensity).sum();
        assert!(sum > 1.0 && sum <= f64::from(POSITIONS), "{answer:?}");
        decisions.insert(answer.origin(), answer.decision_id);
    }
    audience.api.settled_status().await;
    server.stop_gracefully().await;
    decisions.values().for_each(|decision| reproduces(server, "default", decision));
}

/// Of a stopped server.
fn reproduces(server: &Server, namespace: &str, decision_id: &str) {
    let directory = server.data_dir().to_str().expect("UTF-8");
    let mut command = command("replay-decision");
    command.args([decision_id, "--data-dir", directory, "--namespace", namespace]);
    let output = command.output().expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("reproduced"), "{text}");
}

#[tokio::test]
async fn a_ranker_that_earns_less_than_what_is_popular_gives_its_share_back() {
    let server = Server::start().await;
    let mut audience = Audience::of(server.api().await).await;
    let request = SetTakeoverRequest {
        share: Some(1.0),
        popular_share: Some(0.5),
        reward_window: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..SetTakeoverRequest::default()
    };
    audience.watermark = set(&audience.api, request).await;
    // Whatever the ranker shows, nobody wants it.
    let bad = |_: &str, _: &str, origin: ListOrigin| u64::from(origin != ListOrigin::Ranker) * 50;
    for _ in 0..8 {
        audience.visits(50, bad).await;
    }
    let fallen = eventually("a fallback", async || {
        let sequence = audience.api.record(vec![tick()]).await.last_sequence;
        let state = state(&audience.api, sequence).await;
        state.fallback.is_some().then_some(state)
    })
    .await;
    let fallback = fallen.fallback.clone().expect("waited for");
    assert_eq!(fallback.against(), ListOrigin::Popular);
    let lift = fallback.lift.clone().expect("measured");
    assert!(lift.high() < 0.0 && lift.low() < lift.high(), "{lift:?}");
    assert_eq!((fallen.share, fallen.share_in_force), (1.0, 0.0));
    // The caller's order is shown again, until it is restarted.
    audience.watermark = fallen.watermark;
    audience.origins.clear();
    audience.visits(20, bad).await;
    assert_eq!(audience.origins, HashMap::from([(ListOrigin::Baseline, 20)]));
    let restart = SetTakeoverRequest { restart: true, ..SetTakeoverRequest::default() };
    audience.watermark = set(&audience.api, restart).await;
    let restarted = state(&audience.api, audience.watermark).await;
    assert_eq!((restarted.share_in_force, restarted.round, restarted.fallback), (1.0, 1, None));
    audience.origins.clear();
    audience.visits(20, bad).await;
    assert_eq!(audience.origins.get(&ListOrigin::Baseline), None);
    assert!(server.log().contains("the takeover is given back"));
}

/// A namespace in which half of the positions are left to chance.
async fn exploring(server: &Server, name: &str, allowance: Option<f64>) -> Audience {
    let api = server.api().await;
    let settings = NamespaceSettings {
        new_item_share: Some(0.0),
        recommend_seen: Some(true),
        ranker: Some(RankerSettings {
            exploration_allowance: allowance,
            ..RankerSettings::default()
        }),
        ..NamespaceSettings::default()
    };
    let request = CreateNamespaceRequest { namespace: name.to_owned(), settings: Some(settings) };
    api.admin.clone().create_namespace(request).await.expect("a namespace");
    Audience::of(api.within(name)).await
}

fn with_chance(user: &str, epsilon: f64) -> PersonalizeRequest {
    PersonalizeRequest {
        strategy: Strategy::EpsilonGreedy.into(),
        exploration: Some(ExplorationParams {
            epsilon: Some(epsilon),
            ..ExplorationParams::default()
        }),
        ..greedy(user, POSITIONS)
    }
}

/// So many lists in which two clicks of ten follow; returns how many positions explored
/// visibly, and the account.
async fn explore(audience: &mut Audience, lists: u64) -> (u64, ExplorationAccount) {
    let mut unlikely = 0;
    for _ in 0..lists / 20 {
        let mut events = Vec::new();
        for _ in 0..20 {
            let user = format!("jazz-fan-{}", audience.random.below(PER_TASTE as u64));
            let request =
                PersonalizeRequest { min_watermark: audience.watermark, ..with_chance(&user, 0.5) };
            let answer = audience.api.personalize(request).await;
            for item in &answer.recommendations {
                unlikely += u64::from(item.propensity < 0.1);
                if item.item_id.starts_with("jazz") && audience.random.below(10) < 2 {
                    audience.events += 1;
                    events.push(Interaction {
                        decision_id: answer.decision_id.clone(),
                        ..event(
                            &format!("x{}", audience.events),
                            &user,
                            &item.item_id,
                            InteractionType::Click,
                        )
                    });
                }
            }
        }
        audience.watermark =
            audience.api.record(events).await.last_sequence.max(audience.watermark);
    }
    let request = GetModelMetricsRequest { namespace: audience.api.namespace.clone() };
    let metrics = audience.api.model.clone().get_model_metrics(request).await;
    (unlikely, metrics.expect("figures").into_inner().exploration.expect("an account"))
}

#[tokio::test]
async fn an_allowance_bounds_what_exploring_may_cost_and_the_account_is_reported() {
    let mut server = Server::start().await;
    let mut free = exploring(&server, "free", None).await;
    let (explored, account) = explore(&mut free, 300).await;
    assert!(explored > 300, "{explored}");
    assert!(account.cost > 0.5 * account.earned && account.left.is_none(), "{account:?}");

    let mut careful = exploring(&server, "careful", Some(0.2)).await;
    let (none_yet, account) = explore(&mut careful, 20).await;
    assert_eq!(none_yet, 0, "nothing was earned yet: {account:?}");
    let (explored_later, account) = explore(&mut careful, 600).await;
    assert!(explored_later > 0 && explored_later < explored, "{explored_later} of {explored}");
    let allowance = f64::from(0.2_f32);
    assert_eq!(account.allowance, Some(allowance));
    // Also in decisions that were on their way to the log when the next one was asked for.
    assert!(account.cost <= allowance * account.earned + 0.01, "{account:?}");
    assert!(account.left() > -0.01, "{account:?}");
    replays_of_bounded_lists(&mut server, &careful).await;
}

/// Lists asked for at once, while what they spend is not learnt.
async fn replays_of_bounded_lists(server: &mut Server, audience: &Audience) {
    let mut decisions = Vec::new();
    for _ in 0..8 {
        let answer = audience.api.personalize(with_chance("jazz-fan-2", 0.9)).await;
        decisions.push(answer.decision_id);
    }
    audience.api.settled_status().await;
    server.stop_gracefully().await;
    decisions.iter().for_each(|decision| reproduces(server, &audience.api.namespace, decision));
}

#[tokio::test]
async fn a_share_out_of_range_is_refused_with_every_field_that_is_wrong() {
    let server = Server::start().await;
    let api = server.api().await;
    let request = SetTakeoverRequest {
        share: Some(1.5),
        popular_share: Some(f64::NAN),
        alpha: Some(0.0),
        reward_window: Some(prost_types::Duration { seconds: 604_801, nanos: 0 }),
        ..SetTakeoverRequest::default()
    };
    let status = api.takeover.clone().set_takeover(request).await.expect_err("it is refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    let violations = details.bad_request().expect("field violations").field_violations.clone();
    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["share", "popular_share", "alpha", "reward_window"]);
}

#[tokio::test]
async fn what_the_filters_forbid_is_left_out_of_the_callers_order_and_an_empty_one_is_none() {
    let server = Server::start().await;
    let api = server.api().await;
    let min_watermark = World::fill(&api).await;
    let ask = async |topic: &str| {
        let filters = Filters { topics: vec![topic.to_owned()], ..Filters::default() };
        let request = PersonalizeRequest {
            min_watermark,
            filters: Some(filters),
            ..with_baseline("jazz-fan-1", &["metal-03".to_owned(), "jazz-04".to_owned()])
        };
        api.personalize(request).await
    };
    let answer = ask("jazz").await;
    assert_eq!(
        (answer.origin(), shown(&answer)),
        (ListOrigin::Baseline, vec!["jazz-04".to_owned()])
    );
    // Popularity is a baseline, too, for callers without one.
    let request = PersonalizeRequest {
        min_watermark,
        baseline_popular: true,
        ..greedy("jazz-fan-1", POSITIONS)
    };
    let popular = api.personalize(request).await;
    assert_eq!(
        (popular.origin(), shown(&popular).len()),
        (ListOrigin::Baseline, POSITIONS as usize)
    );
    let answer = ask("polka").await;
    assert_eq!((answer.origin(), shown(&answer).len()), (ListOrigin::Ranker, 0));
}
