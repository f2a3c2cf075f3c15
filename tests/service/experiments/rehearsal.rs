//! What a proposal would change, on recent requests and without serving it.

use personalization::proto::Boost;
use personalization::proto::DiversityParams;
use personalization::proto::Estimator;
use personalization::proto::EvaluationWarningReason;
use personalization::proto::ExplorationParams;
use personalization::proto::Filters;
use personalization::proto::PersonalizeRequest;
use personalization::proto::Pin;
use personalization::proto::RehearsalOmissionReason;
use personalization::proto::RehearseExperimentRequest;
use personalization::proto::RehearsedExposure;
use personalization::proto::RehearsedMean;
use personalization::proto::RehearsedVariant;
use personalization::proto::SetTakeoverRequest;
use personalization::proto::Strategy;
use personalization::proto::VariantOverrides;
use personalization::proto::boost::Change;
use personalization::proto::boost::Target;
use personalization::proto::rehearse_experiment_request::Proposal;
use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt;

use super::lab::create;
use super::lab::experiment;
use super::lab::exposed;
use super::lab::results;
use super::lab::run;
use super::lab::turns;
use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::clicks_at;
use crate::harness::eventually;
use crate::harness::greedy;
use crate::harness::reason_of;

type Rehearsal = personalization::proto::Rehearsal;

const ALL: u32 = 1_000;

fn overrides(overrides: VariantOverrides) -> Option<Proposal> {
    Some(Proposal::Overrides(Box::new(overrides)))
}

fn named(experiment: &str, variant: &str) -> Option<Proposal> {
    let (experiment, variant) = (experiment.to_owned(), variant.to_owned());
    Some(Proposal::Variant(RehearsedVariant { experiment, variant }))
}

fn without_metal() -> VariantOverrides {
    VariantOverrides {
        expression: "not (\"metal\" in topics)".to_owned(),
        ..VariantOverrides::default()
    }
}

fn boost(topic: &str) -> Boost {
    let (target, change) = (Target::Topic(topic.to_owned()), Change::Add(10.0));
    Boost { target: Some(target), change: Some(change) }
}

async fn ask(api: &Api, request: RehearseExperimentRequest) -> Result<Rehearsal, Status> {
    let request = RehearseExperimentRequest { namespace: api.namespace.clone(), ..request };
    let answer = api.experiments.clone().rehearse_experiment(request).await?.into_inner();
    Ok(answer.rehearsal.expect("a rehearsal"))
}

async fn try_rehearse(api: &Api, proposal: Option<Proposal>) -> Result<Rehearsal, Status> {
    ask(api, RehearseExperimentRequest { proposal, requests: ALL, ..Default::default() }).await
}

/// Once so many decisions are in the log: they are written behind the answers.
async fn rehearse(api: &Api, proposal: Option<Proposal>, decisions: u64) -> Rehearsal {
    eventually("all decisions in the log", async || {
        let found = try_rehearse(api, proposal.clone()).await.ok()?;
        (found.decisions == decisions).then_some(found)
    })
    .await
}

fn pair(mean: &Option<RehearsedMean>) -> (f64, f64) {
    let mean = mean.as_ref().expect("a mean");
    (mean.now.expect("now"), mean.proposed.expect("proposed"))
}

/// The share of a label, now and proposed.
fn share(exposure: &Option<RehearsedExposure>, name: &str) -> (f64, f64) {
    let labels = &exposure.as_ref().expect("shares").labels;
    let found = labels.iter().find(|label| label.name == name);
    found.map_or((0.0, 0.0), |label| (label.now, label.proposed))
}

/// Two lists of four for each fan; those of jazz ask for nothing else.
async fn fans_look(api: &Api, min_watermark: u64) -> u64 {
    let fans = (0..20).flat_map(|fan| ["jazz", "metal"].map(|taste| format!("{taste}-fan-{fan}")));
    let fans: Vec<String> = fans.collect();
    for fan in fans.iter().chain(&fans) {
        let topics = if fan.starts_with("jazz") { vec!["jazz".to_owned()] } else { Vec::new() };
        let filters = Some(Filters { topics, ..Filters::default() });
        let request = PersonalizeRequest { filters, min_watermark, ..greedy(fan, 4) };
        assert_eq!(api.personalize(request).await.recommendations.len(), 4);
    }
    2 * fans.len() as u64
}

/// Two of four old items by chance, for each of 150 visitors, who click at jazz.
async fn visitors_click_at_jazz(api: &Api, min_watermark: u64) -> u64 {
    const VISITORS: u64 = 150;
    for visitor in 0..VISITORS {
        let user = format!("visitor-{visitor}");
        let request = PersonalizeRequest {
            strategy: Strategy::EpsilonGreedy.into(),
            candidate_ids: ["jazz-18", "jazz-19", "metal-18", "metal-19"].map(str::to_owned).into(),
            min_watermark,
            ..greedy(&user, 2)
        };
        let answer = api.personalize(request).await;
        api.record(clicks_at(&answer, &user, "jazz")).await;
    }
    VISITORS
}

#[tokio::test]
async fn a_proposal_that_changes_nothing_changes_no_position_and_earns_what_was_earned() {
    let server = Server::start_with(&["--epsilon", "1"]).await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let lists = visitors_click_at_jazz(&api, known).await;
    let found = rehearse(&api, overrides(VariantOverrides::default()), lists).await;
    assert_eq!((found.rehearsed, found.users, found.left_out.len()), (lists, lists, 0));
    assert_eq!(found.changed_positions.unwrap().value, 0.0);
    assert_eq!(found.overlap.unwrap().value, 1.0);
    for mean in [found.expected_reward, found.topics_per_position, found.popular_items] {
        assert_eq!(mean.unwrap().difference.unwrap().value, 0.0);
    }
    assert!(found.verdict.starts_with("None of 150 lists would change."), "{}", found.verdict);
    let reward = found.reward.unwrap();
    assert_eq!((reward.positions, reward.decisions_left_out), (2 * lists, 0));
    let (logged, snips) = (reward.logged.unwrap(), &reward.proposed[0]);
    assert_eq!(snips.estimator(), Estimator::Snips);
    assert!((0.3..0.7).contains(&logged.value), "{logged:?}");
    // Chance is even whatever the model has learnt, so each position weighs 1.
    assert!((snips.reward.as_ref().unwrap().value - logged.value).abs() < 1e-6, "{snips:?}");
    assert!((snips.lift.abs() < 1e-6) && reward.difference.unwrap().value == 0.0);
    assert!(reward.effective_sample_size > 299.9 && reward.warnings.is_empty(), "{reward:?}");
}

#[tokio::test]
async fn a_proposal_earns_by_the_log_what_its_items_earned() {
    let server = Server::start_with(&["--epsilon", "1"]).await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let lists = visitors_click_at_jazz(&api, known).await;
    // Clicked items are no candidates of a list of now, and they still count.
    let found = rehearse(&api, overrides(without_metal()), lists).await;
    let reward = found.reward.unwrap();
    let difference = reward.difference.unwrap();
    assert!(difference.low > Some(0.3), "{difference:?}");
    let proposed = reward.proposed[0].reward.as_ref().unwrap();
    assert!((proposed.value - 1.0).abs() < 1e-6, "{proposed:?}");
    assert!(found.verdict.contains("By the log it would earn more"), "{}", found.verdict);
    // The other way round.
    let boosts = vec![boost("metal")];
    let greedy = VariantOverrides {
        strategy: Strategy::Greedy.into(),
        boosts,
        ..VariantOverrides::default()
    };
    let found = rehearse(&api, overrides(greedy), lists).await;
    let reward = found.reward.unwrap();
    assert!(reward.difference.unwrap().high < Some(-0.3), "{reward:?}");
    assert!(reward.proposed[0].reward.as_ref().unwrap().value < 0.01, "{reward:?}");
}

#[tokio::test]
async fn exposure_coverage_and_ranks_change_as_the_proposal_says() {
    let server = Server::start().await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let lists = fans_look(&api, known).await;
    let found = rehearse(&api, overrides(without_metal()), lists).await;
    assert_eq!((found.rehearsed, found.users), (lists, 40));
    assert_eq!(share(&found.by_topic, "metal"), (0.5, 0.0));
    assert_eq!(share(&found.by_topic, "jazz"), (0.5, 1.0));
    assert_eq!(share(&found.by_source, "iron"), (0.5, 0.0));
    // Fans of metal get other lists, those of jazz the same.
    let changed = found.changed_lists.unwrap();
    assert_eq!(changed.value, 0.5);
    assert!(changed.low < Some(0.4) && changed.high > Some(0.6), "{changed:?}");
    assert_eq!(found.changed_positions.unwrap().value, 0.5);
    let reward = found.expected_reward.unwrap().difference.unwrap();
    assert!(reward.high < Some(0.0), "{reward:?}");
    let coverage = found.coverage.unwrap();
    assert!(coverage.proposed < coverage.now && coverage.proposed <= 0.5, "{coverage:?}");
    let gains = "The topic \"jazz\" would have 100.0 % of the positions instead of 50.0 %.";
    assert!(found.verdict.contains(gains), "{}", found.verdict);
    let popular = VariantOverrides { popular: true, ..VariantOverrides::default() };
    let found = rehearse(&api, overrides(popular), lists).await;
    let (now, proposed) = pair(&found.popular_items);
    assert!(proposed > now + 0.2, "{now} {proposed}");
    let distinct = found.distinct_items.unwrap();
    assert!(distinct.proposed < distinct.now, "{distinct:?}");
    let diversity = DiversityParams { max_per_topic: Some(1), ..DiversityParams::default() };
    let capped = VariantOverrides { diversity: Some(diversity), ..VariantOverrides::default() };
    let found = rehearse(&api, overrides(capped), lists).await;
    // One of each topic: two for the fans of metal, one for those who ask for jazz.
    assert_eq!(pair(&found.length), (4.0, 1.5));
    assert_eq!(pair(&found.topics_per_position).1, 1.0);
    let (now, proposed) = pair(&found.similarity);
    assert!(proposed < now && found.rank_change.unwrap().value >= 0.0, "{now} {proposed}");
}

#[tokio::test]
async fn a_rehearsal_writes_nothing_and_exposes_nobody() {
    let server = Server::start().await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let lists = fans_look(&api, known).await;
    create(&api, experiment("draft", without_metal())).await;
    let running = run(&api, experiment("running", without_metal())).await;
    rehearse(&api, named("draft", "treatment"), lists).await;
    for proposal in [named("draft", "treatment"), named("running", "treatment")] {
        let found = rehearse(&api, proposal, lists).await;
        // Of the running one half of the fans have the treatment: neither list is made with that.
        assert_eq!(share(&found.by_topic, "metal").1, 0.0, "{found:?}");
        assert_eq!(found.watermark, running);
    }
    // The next record follows that of the start.
    let next = api.record(vec![click("nobody", "jazz-01")]).await.last_sequence;
    assert_eq!(next, running + 1);
    assert_eq!(exposed(&results(&api, "running", next).await), 0);
}

#[tokio::test]
async fn lists_of_a_running_experiment_are_rehearsed_as_those_of_its_control() {
    let server = Server::start().await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let lists = fans_look(&api, known).await;
    let found = rehearse(&api, overrides(without_metal()), lists).await;
    run(&api, experiment("running", without_metal())).await;
    let same = rehearse(&api, named("running", "treatment"), lists).await;
    assert_eq!(found.changed_positions.unwrap().value, same.changed_positions.unwrap().value);
    let control = rehearse(&api, named("running", "control"), lists).await;
    assert_eq!(control.changed_positions.unwrap().value, 0.0);
    // A ranker of its own begins as the shared one.
    let explores = VariantOverrides {
        strategy: Strategy::EpsilonGreedy.into(),
        exploration: Some(ExplorationParams { epsilon: Some(1.0), ..Default::default() }),
        ..VariantOverrides::default()
    };
    let mut own = experiment("own", explores.clone());
    own.layer = "other".to_owned();
    run(&api, own).await;
    let own = rehearse(&api, named("own", "treatment"), lists).await;
    assert!(own.changed_positions.unwrap().value > 0.8, "{own:?}");
    let given = rehearse(&api, overrides(explores), lists).await;
    assert_eq!(share(&own.by_topic, "metal").1, share(&given.by_topic, "metal").1);
    // For another proposal half of the fans already have lists without metal.
    let other = rehearse(&api, overrides(without_metal()), lists).await;
    assert!(share(&other.by_topic, "metal").0 < share(&found.by_topic, "metal").0);
}

#[tokio::test]
async fn lists_that_two_rankings_fill_in_turns_are_rehearsed_as_those_of_neither() {
    let server = Server::start_with(&["--epsilon", "1"]).await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let popular = VariantOverrides { popular: true, ..VariantOverrides::default() };
    let started = run(&api, turns("turns", popular)).await;
    let lists = visitors_click_at_jazz(&api, known.max(started)).await;
    eventually("all lists are known to be in turns", async || {
        (exposed(&results(&api, "turns", 0).await) == 2 * lists).then_some(())
    })
    .await;
    // Nobody's list of now has turns, so the control, which changes nothing, changes no position.
    for proposal in [overrides(VariantOverrides::default()), named("turns", "control")] {
        let found = rehearse(&api, proposal, lists).await;
        assert_eq!(found.changed_positions.unwrap().value, 0.0);
        let reward = found.reward.unwrap();
        // One choice of each round has both rankings open; the other one follows from it.
        assert_eq!((reward.positions, reward.decisions_left_out), (lists, 0));
        let reasons: Vec<_> = reward.warnings.iter().map(|warning| warning.reason()).collect();
        assert!(!reasons.contains(&EvaluationWarningReason::SeemsUnsupported), "{reasons:?}");
        assert_eq!(reward.difference.unwrap().value, 0.0);
        // Half of all items are of jazz, and those who see them click.
        let now = reward.now.unwrap();
        assert!((0.3..0.7).contains(&now.value), "{now:?}");
        assert!(found.verdict.starts_with("None of 150 lists would change."), "{}", found.verdict);
    }
    // The treatment in the lists of all, and another proposal on top of what they get now.
    let found = rehearse(&api, named("turns", "treatment"), lists).await;
    assert!(found.changed_positions.unwrap().value > 0.5, "{found:?}");
    let found = rehearse(&api, overrides(without_metal()), lists).await;
    let reward = found.reward.unwrap();
    assert_eq!(share(&found.by_topic, "metal").1, 0.0);
    assert!(reward.difference.unwrap().low > Some(0.2), "{reward:?}");
    assert!((reward.proposed[0].reward.as_ref().unwrap().value - 1.0).abs() < 1e-6, "{reward:?}");
    // Nobody was exposed and no vote was given by it.
    assert_eq!(exposed(&results(&api, "turns", 0).await), 2 * lists);
}

#[tokio::test]
async fn only_users_of_an_experiment_are_rehearsed_for_it() {
    let server = Server::start().await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let lists = fans_look(&api, known).await;
    let mut written = experiment("some", without_metal());
    written.eligibility = "id in [\"metal-fan-1\", \"metal-fan-2\"]".to_owned();
    create(&api, written).await;
    let found = rehearse(&api, named("some", "treatment"), lists).await;
    assert_eq!((found.rehearsed, found.users), (4, 2));
    let [omission] = &found.left_out[..] else { panic!("{:?}", found.left_out) };
    assert_eq!(omission.reason(), RehearsalOmissionReason::NotEligible);
    assert_eq!(omission.decisions, lists - 4);
    let mut nobody = experiment("nobody", without_metal());
    nobody.eligibility = "id == \"stranger\"".to_owned();
    create(&api, nobody).await;
    let refused = try_rehearse(&api, named("nobody", "treatment")).await.unwrap_err();
    assert_eq!(reason_of(&refused), (Code::FailedPrecondition, "NOTHING_TO_REHEARSE".to_owned()));
    assert!(refused.message().contains("not eligible"), "{refused}");
    // So many of the decisions, whichever.
    let few = RehearseExperimentRequest {
        proposal: overrides(without_metal()),
        requests: 7,
        ..Default::default()
    };
    let found = ask(&api, few).await.unwrap();
    assert_eq!((found.decisions, found.rehearsed), (lists, 7));
}

#[tokio::test]
async fn a_log_without_chance_is_said_to_have_no_answer_for_other_lists() {
    let server = Server::start().await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let lists = fans_look(&api, known).await;
    let found = rehearse(&api, overrides(without_metal()), lists).await;
    let reward = found.reward.unwrap();
    assert_eq!((reward.positions, reward.certain), (4 * lists, 1.0));
    let reasons: Vec<_> = reward.warnings.iter().map(|warning| warning.reason()).collect();
    assert!(reasons.contains(&EvaluationWarningReason::SeemsUnsupported), "{reasons:?}");
    assert!(found.verdict.contains("The log cannot say"), "{}", found.verdict);
    assert!(found.verdict.contains("shown with certainty"), "{}", found.verdict);
}

#[tokio::test]
async fn pins_pages_and_lists_of_a_takeover_are_rehearsed_as_what_they_are() {
    let server = Server::start().await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let pins = vec![Pin { item_id: "metal-07".to_owned(), position: 1 }];
    let pinned = PersonalizeRequest { min_watermark: known, pins, ..greedy("jazz-fan-1", 3) };
    let first = api.personalize(pinned.clone()).await;
    let second = PersonalizeRequest { continue_from: first.decision_id, ..greedy("jazz-fan-1", 3) };
    api.personalize(second).await;
    let nothing = SetTakeoverRequest { share: Some(0.0), ..SetTakeoverRequest::default() };
    let taken = api.takeover.clone().set_takeover(nothing).await.unwrap().into_inner().sequence;
    let baseline_item_ids = ["metal-01", "metal-02", "metal-03"].map(str::to_owned).into();
    let request = PersonalizeRequest { baseline_item_ids, ..greedy("jazz-fan-2", 3) };
    api.personalize(PersonalizeRequest { min_watermark: taken, ..request }).await;
    let found = rehearse(&api, overrides(VariantOverrides::default()), 3).await;
    assert_eq!((found.rehearsed, found.changed_positions.unwrap().value), (3, 0.0));
    let reward = found.reward.unwrap();
    // Two positions of the first page, three of the second, none of the caller's order.
    assert_eq!((reward.positions, reward.decisions_left_out), (5, 1));
    let now = reward.now.unwrap();
    assert_eq!((now.value, reward.effective_sample_size), (0.0, 5.0));
    // A pin and the caller's order stay, all else is jazz.
    let boosts = vec![boost("jazz")];
    let found =
        rehearse(&api, overrides(VariantOverrides { boosts, ..VariantOverrides::default() }), 3);
    let (now, proposed) = share(&found.await.by_topic, "metal");
    assert!(now > proposed && (proposed - 4.0 / 9.0).abs() < 1e-9, "{now} {proposed}");
}

#[tokio::test]
async fn one_rehearsal_runs_at_a_time_and_ends_with_its_caller() {
    let server = Server::start().await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let lists = fans_look(&api, known).await;
    rehearse(&api, overrides(without_metal()), lists).await;
    let calls = (0..8).map(|_| {
        let api = api.clone();
        tokio::spawn(async move { try_rehearse(&api, overrides(without_metal())).await })
    });
    let mut answered = 0;
    for call in calls.collect::<Vec<_>>() {
        match call.await.unwrap() {
            Ok(found) => answered += u64::from(found.rehearsed == lists),
            Err(refused) => {
                let expected = (Code::ResourceExhausted, "OVERLOADED".to_owned());
                assert_eq!(reason_of(&refused), expected, "{refused}");
            }
        }
    }
    assert!(answered > 0);
    for _ in 0..5 {
        let mut request = tonic::Request::new(RehearseExperimentRequest {
            proposal: overrides(without_metal()),
            ..Default::default()
        });
        request.set_timeout(std::time::Duration::from_millis(2));
        let late = api.experiments.clone().rehearse_experiment(request).await.unwrap_err();
        let expected = [Code::DeadlineExceeded, Code::Cancelled, Code::ResourceExhausted];
        assert!(expected.contains(&late.code()), "{late}");
    }
    rehearse(&api, overrides(without_metal()), lists).await;
}

#[tokio::test]
async fn without_recorded_requests_it_is_said_how_to_record_them() {
    let server = Server::start_with(&["--decision-detail", "shown"]).await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let proposal = || overrides(VariantOverrides::default());
    let refused = try_rehearse(&api, proposal()).await.unwrap_err();
    assert!(refused.message().starts_with("there are no decisions"), "{refused}");
    api.personalize(PersonalizeRequest { min_watermark: known, ..greedy("jazz-fan-1", 3) }).await;
    let refused = eventually("the decision in the log", async || {
        let refused = try_rehearse(&api, proposal()).await.unwrap_err();
        refused.message().starts_with("none of the 1 decisions").then_some(refused)
    })
    .await;
    assert_eq!(reason_of(&refused), (Code::FailedPrecondition, "NOTHING_TO_REHEARSE".to_owned()));
    assert!(refused.message().contains("DECISION_DETAIL=candidates"), "{refused}");
}

#[tokio::test]
async fn what_cannot_be_proposed_is_refused_with_its_field() {
    let server = Server::start().await;
    let api = server.api().await;
    create(&api, experiment("draft", without_metal())).await;
    let fields = async |request: RehearseExperimentRequest| {
        let refused = ask(&api, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        let details = refused.get_details_bad_request().expect("fields");
        details.field_violations.into_iter().map(|it| it.field).collect::<Vec<_>>()
    };
    let of = |proposal| RehearseExperimentRequest { proposal, ..Default::default() };
    assert_eq!(fields(of(None)).await, ["proposal"]);
    assert_eq!(fields(of(named("draft", "other"))).await, ["variant.variant"]);
    assert_eq!(fields(of(named("Draft", "treatment"))).await, ["variant.experiment"]);
    let wrong = VariantOverrides {
        expression: "price <".to_owned(),
        frequency_cap_per_day: Some(5_000),
        ..VariantOverrides::default()
    };
    let expected = ["overrides.expression", "overrides.frequency_cap_per_day", "requests"];
    let request = RehearseExperimentRequest { requests: 1_001, ..of(overrides(wrong)) };
    assert_eq!(fields(request).await, expected);
    let unknown = ask(&api, of(named("unknown", "treatment"))).await.unwrap_err();
    assert_eq!(reason_of(&unknown), (Code::NotFound, "EXPERIMENT_NOT_FOUND".to_owned()));
}
