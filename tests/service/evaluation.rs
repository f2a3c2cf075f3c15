//! What other policies would have earned, by the service's own decisions.

use personalization::proto::Boost;
use personalization::proto::Estimator;
use personalization::proto::EvaluatedPolicy;
use personalization::proto::ExplorationParams;
use personalization::proto::GetEvaluationMetricsRequest;
use personalization::proto::GetEvaluationMetricsResponse;
use personalization::proto::PersonalizeRequest;
use personalization::proto::Strategy;
use personalization::proto::boost;
use tonic::Code;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::clicks_at;
use crate::harness::eventually;
use crate::harness::greedy;
use crate::harness::strings;

async fn evaluated(api: &Api) -> Result<GetEvaluationMetricsResponse, tonic::Status> {
    let request = GetEvaluationMetricsRequest {
        epsilon: Some(0.2),
        exploration_scale: Some(0.5),
        propensity_floor: Some(0.02),
        ..Default::default()
    };
    Ok(api.model.clone().get_evaluation_metrics(request).await?.into_inner())
}

/// Two of four items by chance, for each of 300 visitors, who click at jazz.
async fn show_any_of_four(api: &Api, min_watermark: u64) {
    for n in 0..300 {
        let user = format!("visitor-{n}");
        let request = PersonalizeRequest {
            strategy: Strategy::EpsilonGreedy.into(),
            candidate_ids: strings(["jazz-01", "jazz-02", "metal-01", "metal-02"]),
            boosts: vec![Boost {
                target: Some(boost::Target::Topic("metal".to_owned())),
                change: Some(boost::Change::Add(10.0)),
            }],
            min_watermark,
            ..greedy(&user, 2)
        };
        let answer = api.personalize(request).await;
        api.record(clicks_at(&answer, &user, "jazz")).await;
    }
}

#[tokio::test]
async fn a_running_service_says_what_other_policies_would_have_earned() {
    // Any of four items by chance, and all users click at jazz, which the scores do not
    // know of: boosts hold them up for metal.
    let server = Server::start_with(&["--epsilon", "1"]).await;
    let api = server.api().await;
    let min_watermark = World::fill(&api).await;
    let refused = evaluated(&api).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    show_any_of_four(&api, min_watermark).await;
    // Decisions are written behind the answers.
    let found = eventually("all decisions in the log", async || {
        let found = evaluated(&api).await.unwrap();
        (found.decisions == 300).then_some(found)
    })
    .await;
    assert_eq!(found.decisions_evaluated, 300);
    assert_eq!((found.rounds, found.users, found.share_of_users), (600, 300, 1.0));
    let logged = found.logged.expect("what was earned");
    assert!((0.4..0.6).contains(&logged.value), "{logged:?}");
    assert!(logged.low < Some(logged.value) && logged.high > Some(logged.value), "{logged:?}");
    let names: Vec<_> = found.policies.iter().map(|one| one.policy()).collect();
    let all = [
        EvaluatedPolicy::Greedy,
        EvaluatedPolicy::EpsilonGreedy,
        EvaluatedPolicy::Thompson,
        EvaluatedPolicy::LinUcb,
        EvaluatedPolicy::Uniform,
    ];
    assert_eq!(names, all);
    let value = |policy: EvaluatedPolicy, estimator: Estimator| {
        let policy = found.policies.iter().find(|one| one.policy() == policy).expect("a policy");
        let one = policy.estimates.iter().find(|one| one.estimator() == estimator);
        let one = one.unwrap_or_else(|| panic!("{estimator:?} among {:?}", policy.estimates));
        one.reward.as_ref().expect("a reward").value
    };
    let estimators =
        [Estimator::Ips, Estimator::Snips, Estimator::DoublyRobust, Estimator::RewardInteraction];
    for estimator in estimators {
        // Metal is never clicked at, and it has the best scores.
        let greedy = value(EvaluatedPolicy::Greedy, estimator);
        let uniform = value(EvaluatedPolicy::Uniform, estimator);
        assert!(greedy.abs() < 0.1, "{estimator:?}: greedy {greedy}");
        assert!((uniform - logged.value).abs() < 0.05, "{estimator:?}: uniform {uniform}");
        let between = value(EvaluatedPolicy::EpsilonGreedy, estimator);
        assert!(greedy <= between && between < uniform, "{estimator:?}: {between}");
        // No score is so uncertain that the boosts count for nothing: the floor is what is left.
        for policy in [EvaluatedPolicy::Thompson, EvaluatedPolicy::LinUcb] {
            let uncertain = value(policy, estimator);
            assert!(uncertain.abs() < 0.1, "{estimator:?}: {policy:?} {uncertain}");
        }
    }
    let greedy = found.policies.iter().find(|one| one.policy() == EvaluatedPolicy::Greedy);
    let greedy = greedy.expect("a policy");
    // One in four at the first position and one in three at the second.
    let size = greedy.effective_sample_size;
    assert!((100.0..250.0).contains(&size), "{size}");
}

#[tokio::test]
async fn a_strategy_is_worth_what_it_earned_by_its_own_record() {
    // Weights are all 1 when the recorded beliefs are those that the strategy went by. No
    // candidate is new enough to get a position for that.
    let old = (15..20).flat_map(|n| [format!("jazz-{n}"), format!("metal-{n}")]);
    let candidate_ids: Vec<String> = old.collect();
    for (strategy, policy) in [
        (Strategy::Thompson, EvaluatedPolicy::Thompson),
        (Strategy::LinUcb, EvaluatedPolicy::LinUcb),
    ] {
        let server = Server::start().await;
        let api = server.api().await;
        let min_watermark = World::fill(&api).await;
        for n in 0..100 {
            let user = format!("jazz-fan-{}", n % 10);
            let request = PersonalizeRequest {
                strategy: strategy.into(),
                exploration: Some(ExplorationParams {
                    exploration_scale: Some(0.5),
                    propensity_floor: Some(0.02),
                    ..Default::default()
                }),
                candidate_ids: candidate_ids.clone(),
                min_watermark,
                ..greedy(&user, 4)
            };
            api.personalize(request).await;
        }
        let found = eventually("all decisions in the log", async || {
            let found = evaluated(&api).await.ok()?;
            (found.decisions == 100).then_some(found)
        })
        .await;
        let by = |policy: EvaluatedPolicy| {
            found.policies.iter().find(|one| one.policy() == policy).expect("the policy")
        };
        let own = by(policy);
        let rounds = found.rounds as f64;
        let size = own.effective_sample_size;
        assert!(size > 0.999 * rounds, "{policy:?}: {size} of {rounds}, {:?}", own.warnings);
        let other = by(EvaluatedPolicy::Uniform);
        assert!(other.effective_sample_size < 0.9 * rounds, "{policy:?}");
    }
}
