//! Lists of several pages over gRPC: `continue_from`.

use std::collections::BTreeSet;

use personalization::proto::AbsenceCause;
use personalization::proto::DiversityParams;
use personalization::proto::ExplainAbsenceRequest;
use personalization::proto::FilterRule;
use personalization::proto::InteractionType;
use personalization::proto::Item;
use personalization::proto::ListOrigin;
use personalization::proto::PersonalizeRequest;
use personalization::proto::PersonalizeResponse;
use personalization::proto::Pin;
use personalization::proto::Strategy;
use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::command;
use crate::harness::event;
use crate::harness::greedy;
use crate::harness::item;

pub fn ids(answer: &PersonalizeResponse) -> Vec<&str> {
    answer.recommendations.iter().map(|item| item.item_id.as_str()).collect()
}

/// The same request for the page after another one.
pub fn after(page: &PersonalizeResponse, request: &PersonalizeRequest) -> PersonalizeRequest {
    PersonalizeRequest { continue_from: page.decision_id.clone(), ..request.clone() }
}

/// All pages to the end of the list, asked for without a pause.
async fn pages(api: &Api, request: &PersonalizeRequest) -> Vec<PersonalizeResponse> {
    let mut pages = Vec::new();
    let mut page = api.personalize(request.clone()).await;
    // The end is an empty answer without an id.
    while !page.decision_id.is_empty() {
        assert!(!page.recommendations.is_empty(), "{page:?}");
        let next = after(&page, request);
        pages.push(page);
        page = api.personalize(next).await;
    }
    assert!(page.recommendations.is_empty(), "{page:?}");
    pages
}

fn joined(pages: &[PersonalizeResponse]) -> Vec<&str> {
    pages.iter().flat_map(|page| ids(page)).collect()
}

pub fn assert_expired(refused: &Status) {
    assert_eq!(refused.code(), Code::NotFound, "{refused:?}");
    let details = refused.get_error_details();
    assert_eq!(details.error_info().expect("a reason").reason, "PAGE_EXPIRED");
    assert!(refused.message().contains("without continue_from"), "{refused:?}");
}

async fn world() -> (Server, Api, u64) {
    let server = Server::start().await;
    let api = server.api().await;
    let watermark = World::fill(&api).await;
    (server, api, watermark)
}

#[tokio::test]
async fn pages_show_every_item_once_in_the_order_of_one_long_list_and_end_with_an_empty_one() {
    let (_server, api, min_watermark) = world().await;
    let request = PersonalizeRequest { min_watermark, ..greedy("jazz-fan-1", 6) };
    let long = api.personalize(PersonalizeRequest { max_results: 100, ..request.clone() }).await;
    let pages = pages(&api, &request).await;
    assert_eq!(joined(&pages), ids(&long));
    // 40 items, of which the fan had 7.
    assert_eq!(pages.iter().map(|page| ids(page).len()).collect::<Vec<_>>(), [6, 6, 6, 6, 6, 3]);
    assert!(pages.iter().all(|page| page.recommendations[0].position == 0));
    // An empty page is no page to go on from; the one before it is.
    let last = &pages[5];
    api.upsert(vec![item("new")]).await;
    api.settled_status().await;
    assert_eq!(ids(&api.personalize(after(last, &request)).await), ["new"]);
}

#[tokio::test]
async fn a_list_ends_after_two_thousand_positions() {
    let server = Server::start().await;
    let api = server.api().await;
    let upserted = api.upsert((0..2_100).map(|n| item(&format!("item-{n}"))).collect()).await;
    let min_watermark = upserted.last_sequence;
    let request = PersonalizeRequest { min_watermark, ..greedy("anna", 450) };
    let found = pages(&api, &request).await;
    assert_eq!(
        found.iter().map(|page| ids(page).len()).collect::<Vec<_>>(),
        [450, 450, 450, 450, 200]
    );
    assert_eq!(joined(&found).into_iter().collect::<BTreeSet<_>>().len(), 2_000);
}

#[tokio::test]
async fn rules_of_a_list_count_over_all_its_pages() {
    let (_server, api, min_watermark) = world().await;
    let diversity = DiversityParams {
        enable_diversity: Some(false),
        max_per_topic: Some(7),
        ..DiversityParams::default()
    };
    let request =
        PersonalizeRequest { diversity: Some(diversity), min_watermark, ..greedy("nobody-yet", 4) };
    let found = pages(&api, &request).await;
    let list = joined(&found);
    let jazz = list.iter().filter(|item| item.starts_with("jazz")).count();
    assert_eq!((list.len(), jazz), (14, 7), "{list:?}");
    // Pins are at positions of each page; a pinned item is shown once, too.
    let pins = vec![Pin { item_id: "metal-07".to_owned(), position: 1 }];
    let request = PersonalizeRequest { pins, ..request };
    let found = pages(&api, &request).await;
    let list = joined(&found);
    assert_eq!(ids(&found[0])[1], "metal-07");
    assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len(), "{list:?}");
}

#[tokio::test]
async fn candidates_of_the_request_come_once_over_all_pages() {
    let (_server, api, min_watermark) = world().await;
    let own = |n: usize| Item { topics: vec!["own".to_owned()], ..item(&format!("own-{n}")) };
    let request = PersonalizeRequest {
        candidates: (0..5).map(own).collect(),
        candidate_ids: (0..4).map(|n| format!("jazz-0{n}")).collect(),
        diversity: Some(DiversityParams {
            enable_diversity: Some(false),
            max_per_topic: Some(3),
            ..DiversityParams::default()
        }),
        min_watermark,
        ..greedy("nobody-yet", 2)
    };
    let found = pages(&api, &request).await;
    let list = joined(&found);
    let once: BTreeSet<&&str> = list.iter().collect();
    let own = list.iter().filter(|item| item.starts_with("own")).count();
    assert_eq!((list.len(), once.len(), own), (6, 6, 3), "{list:?}");
}

#[tokio::test]
async fn what_the_user_does_between_two_pages_counts_for_the_second() {
    let (_server, api, min_watermark) = world().await;
    let request = PersonalizeRequest { min_watermark, ..greedy("visitor", 10) };
    let first = api.personalize(request.clone()).await;
    let second = api.personalize(after(&first, &request)).await;
    let hidden = ids(&second)[0];
    let jazz = |answer: &PersonalizeResponse| {
        ids(answer).iter().filter(|item| item.starts_with("jazz")).count()
    };
    let mut events = vec![event("hide", "visitor", hidden, InteractionType::Hide)];
    for item in ids(&first).into_iter().filter(|item| item.starts_with("jazz")).take(3) {
        events.push(event(&format!("like/{item}"), "visitor", item, InteractionType::Like));
    }
    assert!(events.len() > 1, "{first:?}");
    let min_watermark = api.record(events).await.last_sequence;
    let request = PersonalizeRequest { min_watermark, ..request };
    let now = api.personalize(after(&first, &request)).await;
    assert!(!ids(&now).contains(&hidden) && jazz(&now) > jazz(&second), "{second:?} {now:?}");
    assert!(ids(&now).iter().all(|item| !ids(&first).contains(item)));
}

#[tokio::test]
async fn a_list_is_continued_for_its_user_only_and_while_it_is_known() {
    let (_server, api, min_watermark) = world().await;
    let request = PersonalizeRequest { min_watermark, ..greedy("anna", 5) };
    let first = api.personalize(request.clone()).await;
    let others = PersonalizeRequest { user_id: "bert".to_owned(), ..after(&first, &request) };
    let refused = api.try_personalize(others.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let field = |refused: &Status| {
        let details = refused.get_error_details();
        details.bad_request().expect("a field").field_violations[0].field.clone()
    };
    assert_eq!(field(&refused), "continue_from");
    let explain = ExplainAbsenceRequest { request: Some(others), item_id: "jazz-01".to_owned() };
    let refused = api.personalization.clone().explain_absence(explain).await.unwrap_err();
    assert_eq!(field(&refused), "request.continue_from");
    for unknown in ["never-made", "018bcfe5-6800-7000-8000-000000000000"] {
        let unknown = PersonalizeRequest { continue_from: unknown.to_owned(), ..request.clone() };
        assert_expired(&api.try_personalize(unknown).await.unwrap_err());
    }
    let wrong = PersonalizeRequest { continue_from: "\n".to_owned(), ..request };
    let refused = api.try_personalize(wrong).await.unwrap_err();
    assert_eq!(field(&refused), "continue_from");
}

#[tokio::test]
async fn a_list_goes_on_after_a_restart_and_from_one_page_in_two_ways() {
    let mut server = Server::start_with(&["--decision-detail", "shown"]).await;
    let api = server.api().await;
    let min_watermark = World::fill(&api).await;
    let request = PersonalizeRequest { min_watermark, ..greedy("jazz-fan-2", 8) };
    let first = api.personalize(request.clone()).await;
    let second = api.personalize(after(&first, &request)).await;
    api.settled_status().await;
    server.kill_9();
    server.restart().await;
    let api = server.api().await;
    let third = api.personalize(after(&second, &request)).await;
    let other = api.personalize(after(&second, &request)).await;
    assert_eq!(ids(&third), ids(&other));
    assert_ne!(third.decision_id, other.decision_id);
    let list: BTreeSet<&str> = [&first, &second, &third].into_iter().flat_map(ids).collect();
    assert_eq!(list.len(), 24);
}

#[tokio::test]
async fn an_item_of_an_earlier_page_is_said_to_be_shown_there() {
    let (_server, api, min_watermark) = world().await;
    let request = PersonalizeRequest { min_watermark, ..greedy("anna", 5) };
    let first = api.personalize(request.clone()).await;
    let shown = ids(&first)[2].to_owned();
    let explain = ExplainAbsenceRequest { request: Some(after(&first, &request)), item_id: shown };
    let answer = api.personalization.clone().explain_absence(explain).await.unwrap().into_inner();
    assert_eq!(answer.cause(), AbsenceCause::Filtered);
    assert_eq!(answer.excluded_by().collect::<Vec<_>>(), [FilterRule::EarlierPage]);
    assert!(answer.suggestions.is_empty() && answer.summary.contains("earlier page"), "{answer:?}");
}

#[tokio::test]
async fn a_list_in_the_caller_s_order_stays_in_it_to_its_end() {
    let (_server, api, min_watermark) = world().await;
    let order: Vec<String> = (0..7).rev().map(|n| format!("metal-{n:02}")).collect();
    let request = PersonalizeRequest {
        baseline_item_ids: order.clone(),
        min_watermark,
        ..greedy("jazz-fan-1", 3)
    };
    let found = pages(&api, &request).await;
    assert_eq!(joined(&found), order.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(found.iter().all(|page| page.origin() == ListOrigin::Baseline));
    assert!(found.iter().flat_map(|page| &page.recommendations).all(|one| one.propensity == 1.0));
}

#[tokio::test]
async fn a_pin_of_the_first_page_alone_costs_the_caller_s_order_no_position() {
    let mut server = Server::start().await;
    let api = server.api().await;
    let min_watermark = World::fill(&api).await;
    let order: Vec<String> = (0..7).map(|n| format!("metal-{n:02}")).collect();
    let request = PersonalizeRequest {
        baseline_item_ids: order.clone(),
        min_watermark,
        ..greedy("jazz-fan-1", 3)
    };
    let pins = vec![Pin { item_id: "jazz-19".to_owned(), position: 0 }];
    let first = api.personalize(PersonalizeRequest { pins, ..request.clone() }).await;
    assert_eq!(ids(&first), ["jazz-19", "metal-00", "metal-01"]);
    let rest = pages(&api, &after(&first, &request)).await;
    assert_eq!(joined(&rest), order[2..]);
    // Once the first page is learnt from the log it is the same, and so it is by the record.
    api.settled_status().await;
    let again = pages(&api, &after(&first, &request)).await;
    assert_eq!(joined(&again), order[2..]);
    let last = again[again.len() - 1].decision_id.clone();
    assert!(server.stop_gracefully().await.success());
    let mut replay = command("replay-decision");
    replay.args([&*last, "--data-dir"]).arg(server.data_dir());
    let output = replay.output().expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("\nreproduced\n"), "{text}");
}

#[tokio::test]
async fn a_later_page_is_reproduced_bit_by_bit_however_soon_it_was_asked_for() {
    let mut server = Server::start_with(&["--epsilon", "0.5"]).await;
    let api = server.api().await;
    let min_watermark = World::fill(&api).await;
    let request = PersonalizeRequest {
        user_id: "jazz-fan-4".to_owned(),
        strategy: Strategy::EpsilonGreedy.into(),
        max_results: 5,
        min_watermark,
        ..PersonalizeRequest::default()
    };
    let found = pages(&api, &request).await;
    assert!(found.len() > 4);
    assert!(server.stop_gracefully().await.success());
    for page in &found {
        let mut replay = command("replay-decision");
        replay.args([&*page.decision_id, "--data-dir"]).arg(server.data_dir());
        let output = replay.output().expect("the command runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("\nreproduced\n"), "{text}");
    }
}
