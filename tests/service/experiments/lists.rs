//! Experiments that divide lists, over gRPC: two rankings in turns, and a variant drawn for each list.

use std::cell::Cell;

use personalization::proto::Experiment;
use personalization::proto::Interaction;
use personalization::proto::InteractionType;
use personalization::proto::LearningAllocation;
use personalization::proto::ListExperimentsRequest;
use personalization::proto::MetricKind;
use personalization::proto::NoAssignmentReason;
use personalization::proto::PersonalizeRequest;
use personalization::proto::PersonalizeResponse;
use personalization::proto::VariantOverrides;
use personalization::proto::experiment::Split;
use tonic::Code;

use super::lab::experiment;
use super::lab::exposed;
use super::lab::rate_of;
use super::lab::results;
use super::lab::run;
use super::lab::seconds;
use super::lab::try_assign;
use super::lab::try_create;
use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::command;
use crate::harness::events;
use crate::harness::eventually;
use crate::harness::greedy;

fn turns(key: &str) -> Experiment {
    super::lab::turns(key, VariantOverrides { popular: true, ..VariantOverrides::default() })
}

fn learning(key: &str) -> Experiment {
    let mut written = experiment(key, VariantOverrides::default());
    written.split = Some(Split::LearningAllocation(LearningAllocation { floor: 0.1 }));
    written.metrics[0].test = 0;
    written.metrics[0].window = seconds(6);
    written
}

fn click_on(answer: &PersonalizeResponse, user: &str, position: usize) -> Interaction {
    let mut event = click(user, &answer.recommendations[position].item_id);
    event.decision_id.clone_from(&answer.decision_id);
    event
}

async fn lists(api: &Api, after: u64, users: usize) -> Vec<(String, PersonalizeResponse)> {
    let mut lists = Vec::new();
    for number in 0..users {
        let user = format!("user-{number}");
        let request = PersonalizeRequest { min_watermark: after, ..greedy(&user, 4) };
        lists.push((user, api.personalize(request).await));
    }
    lists
}

/// Waits until all lists are learnt: what names a list that is not known counts for nothing.
async fn are_exposed(api: &Api, key: &str, exposures: u64) {
    eventually("all lists are learnt", async || {
        (exposed(&results(api, key, 0).await) == exposures).then_some(())
    })
    .await;
}

/// A record of now: time is that of the log.
async fn a_record(api: &Api, ticks: &Cell<u64>) -> u64 {
    let tick = ticks.replace(ticks.get() + 1);
    api.record(events("tick", tick..tick + 1)).await.last_sequence
}

/// Whether `replay-decision` comes to the same list again.
fn is_reproduced(server: &Server, decision_id: &str) {
    let mut command = command("replay-decision");
    let output = command.arg("--data-dir").arg(server.data_dir()).arg(decision_id).output();
    let output = output.unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn both_variants_fill_a_list_in_turns_and_users_vote_by_what_they_click() {
    let mut server = Server::start_with(&["--decision-detail", "candidates"]).await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let started = run(&api, turns("turns")).await;
    let lists = lists(&api, known.max(started), 12).await;
    for (_, list) in &lists {
        let assignment = &list.assignments[0];
        assert!(assignment.interleaved && assignment.variant.is_empty(), "{assignment:?}");
        assert!(list.recommendations.iter().all(|item| item.propensity > 0.0));
    }
    let asked = try_assign(&api, "turns", "ada", false).await.unwrap();
    assert!(asked.assignment.is_none());
    assert_eq!(asked.no_assignment_reason(), NoAssignmentReason::DividesLists);
    are_exposed(&api, "turns", 24).await;
    let clicks = lists.iter().map(|(user, list)| click_on(list, user, 0)).collect();
    api.record(clicks).await;
    let ticks = Cell::new(0);
    eventually("all users have voted", async || {
        let at = a_record(&api, &ticks).await;
        let results = results(&api, "turns", at).await;
        let variants = &results.metrics[0].variants;
        let votes: u64 = variants.iter().map(|it| it.nonzero).sum();
        let users: Vec<u64> = variants.iter().map(|it| it.users).collect();
        (users == [12, 12] && votes == 12 && results.sample_ratios.is_empty()).then_some(())
    })
    .await;
    server.stop_gracefully().await;
    is_reproduced(&server, &lists[0].1.decision_id);
    is_reproduced(&server, &lists[11].1.decision_id);
}

#[tokio::test]
async fn the_variant_of_a_list_is_drawn_and_its_chances_are_told() {
    let mut server = Server::start_with(&["--decision-detail", "candidates"]).await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let started = run(&api, learning("learning")).await;
    let lists = lists(&api, known.max(started), 30).await;
    let of = |name: &str| {
        lists.iter().filter(|(_, list)| list.assignments[0].variant == name).count() as u64
    };
    assert!(of("control") > 3 && of("treatment") > 3, "drawn for each list");
    assert!(try_assign(&api, "learning", "ada", false).await.unwrap().assignment.is_none());
    // A later page has the variant of the first.
    for (user, list) in &lists[..8] {
        let next =
            PersonalizeRequest { continue_from: list.decision_id.clone(), ..greedy(user, 2) };
        let page = api.personalize(next).await;
        assert_eq!(page.assignments[0].variant, list.assignments[0].variant);
    }
    are_exposed(&api, "learning", 30).await;
    let clicks = lists.iter().map(|(user, list)| click_on(list, user, 1)).collect();
    api.record(clicks).await;
    let ticks = Cell::new(0);
    eventually("all lists are settled", async || {
        let at = a_record(&api, &ticks).await;
        let results = results(&api, "learning", at).await;
        let variants = &results.metrics[0].variants;
        let lists: Vec<u64> = variants.iter().map(|it| it.users).collect();
        let clicked: u64 = variants.iter().map(|it| it.nonzero).sum();
        let chances: Vec<_> = results.exposures.iter().map(|it| it.chance).collect();
        assert_eq!(chances, [Some(0.5), Some(0.5)]);
        (lists == [of("control"), of("treatment")] && clicked == 30).then_some(())
    })
    .await;
    server.stop_gracefully().await;
    is_reproduced(&server, &lists[3].1.decision_id);
}

#[tokio::test]
async fn what_makes_no_sense_where_lists_are_divided_is_refused_with_its_field() {
    let server = Server::start().await;
    let api = server.api().await;
    type Change = fn(&mut Experiment);
    let wrong: [(Experiment, Change, &str); 8] = [
        (turns("a"), |it| it.metrics[0].kind = 0, "experiment.metrics[0].kind"),
        (turns("a"), |it| it.holdback = true, "experiment.holdback"),
        (turns("a"), |it| it.variants[0].weight = 0.4, "experiment.variants"),
        (
            turns("a"),
            |it| {
                let expression = "\"jazz\" in topics".to_owned();
                it.variants[1].overrides =
                    Some(VariantOverrides { expression, ..Default::default() });
            },
            "experiment.variants[1].overrides.expression",
        ),
        (
            experiment("a", VariantOverrides::default()),
            |it| {
                it.metrics[0].kind = MetricKind::Preference.into();
            },
            "experiment.metrics[0].kind",
        ),
        (
            learning("a"),
            |it| {
                it.split = Some(Split::LearningAllocation(LearningAllocation { floor: 0.0 }));
            },
            "experiment.learning_allocation.floor",
        ),
        (
            learning("a"),
            |it| {
                it.split = Some(Split::LearningAllocation(LearningAllocation { floor: 0.6 }));
            },
            "experiment.learning_allocation.floor",
        ),
        (learning("a"), |it| it.metrics[0].window = None, "experiment.metrics[0].window"),
    ];
    for (number, (mut written, change, field)) in wrong.into_iter().enumerate() {
        change(&mut written);
        let refused = try_create(&api, written).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{number}");
        assert!(refused.message().contains(field), "{number}: {refused}");
    }
    // Metrics are not added later, and one experiment divides a list.
    run(&api, turns("first")).await;
    let mut more = turns("first");
    let like = rate_of("likes", InteractionType::Like);
    more.metrics.push(personalization::proto::ExperimentMetric {
        kind: MetricKind::Preference.into(),
        test: 0,
        ..like
    });
    let refused = super::lab::try_update(&api, super::lab::edit(more, &["metrics"])).await;
    assert!(refused.unwrap_err().message().contains("metrics"));
    let mut second = learning("second");
    second.layer = "other".to_owned();
    try_create(&api, second).await.unwrap();
    let start = super::lab::act("second", personalization::proto::ExperimentAction::Start);
    let refused = super::lab::try_update(&api, start).await.unwrap_err();
    assert!(refused.message().contains("layer"), "{refused}");
    let all = ListExperimentsRequest { namespace: api.namespace.clone(), ..Default::default() };
    let all = api.experiments.clone().list_experiments(all).await.unwrap().into_inner();
    assert_eq!(all.experiments.len(), 2);
}
