//! A visitor signs in: two ids are one user from then on.

use personalization::proto::GetModelMetricsRequest;
use personalization::proto::GetProfileRequest;
use personalization::proto::Interaction;
use personalization::proto::InteractionType;
use personalization::proto::PersonalizeRequest;
use personalization::proto::PersonalizeResponse;
use personalization::proto::Profile;
use personalization::proto::RequestContext;
use personalization::proto::UserRules;
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::command;
use crate::harness::event;
use crate::harness::greedy;
use crate::harness::now_plus;
use crate::harness::of_taste;
use crate::harness::reason_of;
use crate::pages::after;
use crate::users::adding;

pub const VISITOR: &str = "visit-4711";

/// What a visitor who likes jazz did.
pub fn browsed() -> Vec<Interaction> {
    let like = |item: &str| event(&format!("v/{item}"), VISITOR, item, InteractionType::Like);
    ["jazz-10", "jazz-11", "jazz-12"].map(like).to_vec()
}

pub async fn profile(api: &Api, user: &str, min_watermark: u64) -> Profile {
    api.profile(user, min_watermark).await.profile.expect("a profile")
}

pub fn listed(answer: &PersonalizeResponse) -> Vec<(&str, f64)> {
    answer.recommendations.iter().map(|one| (&*one.item_id, one.score)).collect()
}

/// One time for requests whose scores are compared: recency goes by it.
pub fn one_moment() -> Option<RequestContext> {
    Some(RequestContext { timestamp: Some(now_plus(0)), ..RequestContext::default() })
}

#[tokio::test]
async fn after_a_sign_in_both_ids_are_the_user_who_did_it_all_also_after_a_restart() {
    let mut server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    api.record(vec![click("ada", "jazz-05")]).await;
    let min_watermark = api.record(browsed()).await.last_sequence;
    let before = profile(&api, VISITOR, min_watermark).await;
    assert!(before.merged_user_ids.is_empty());

    let merged = api.merge(VISITOR, "ada").await;
    assert_eq!(merged.user_id, "ada");
    assert!(merged.sequence > min_watermark);
    let min_watermark = merged.sequence;
    let context = one_moment();
    let ask = |user| {
        let context = context.clone();
        PersonalizeRequest { min_watermark, context, ..greedy(user, 10) }
    };
    let of_account = api.personalize(ask("ada")).await;
    assert!(of_taste("jazz", &of_account) >= 8, "{:?}", of_account.recommendations);
    assert_eq!(listed(&api.personalize(ask(VISITOR)).await), listed(&of_account));
    let account = profile(&api, "ada", min_watermark).await;
    assert_eq!(
        (&*account.user_id, &account.merged_user_ids[..]),
        ("ada", &[VISITOR.to_owned()][..])
    );
    let counts: Vec<_> =
        account.interaction_counts.iter().map(|one| (one.r#type(), one.count)).collect();
    assert_eq!(counts, [(InteractionType::Click, 1), (InteractionType::Like, 3)]);
    assert_eq!(profile(&api, VISITOR, min_watermark).await, account);

    // What the old id does later is the account's.
    let late = event("late", VISITOR, "jazz-13", InteractionType::Purchase);
    let min_watermark = api.record(vec![late]).await.last_sequence;
    let later = profile(&api, "ada", min_watermark).await;
    assert_eq!(later.recent_items[0].item_id, "jazz-13");
    server.kill_9();
    server.restart().await;
    let api = server.api().await;
    assert_eq!(profile(&api, VISITOR, min_watermark).await, later);
}

#[tokio::test]
async fn a_merge_may_be_sent_again_and_one_that_makes_no_sense_is_refused() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let merged = api.merge(VISITOR, "ada").await;
    let end = api.status().await.watermark;
    for _ in 0..3 {
        let again = api.merge(VISITOR, "ada").await;
        assert!(again.sequence >= merged.sequence && again.user_id == "ada");
    }
    for (from, into, expected) in
        [("ada", VISITOR, "MERGE_CIRCULAR"), (VISITOR, "bert", "MERGED_ELSEWHERE")]
    {
        let refused = api.try_merge(from, into).await.unwrap_err();
        assert_eq!(reason_of(&refused), (Code::FailedPrecondition, expected.to_owned()));
    }
    let refused = api.try_merge(VISITOR, "bert").await.unwrap_err().get_error_details();
    assert_eq!(refused.error_info().unwrap().metadata["merged_into"], "ada");
    assert_eq!(api.settled_status().await.watermark, end, "none of it was recorded");
    // Neither had been seen: the account is there with the id that it took over.
    let account = profile(&api, VISITOR, merged.sequence).await;
    assert_eq!((&*account.user_id, account.interaction_counts.len()), ("ada", 0));
    // A chain, and a name of a user in place of the user.
    let chained = api.merge("ada", "ada@example").await;
    assert_eq!(api.merge("phone", VISITOR).await.user_id, "ada@example");
    let last = profile(&api, VISITOR, chained.sequence + 1).await;
    assert_eq!(last.merged_user_ids, ["phone", "ada", VISITOR]);
    let missing = GetProfileRequest { user_id: "bert".to_owned(), ..Default::default() };
    let missing = api.personalization.clone().get_profile(missing).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}

#[tokio::test]
async fn lists_and_caps_of_the_visitor_are_those_of_the_account_without_a_pause() {
    let server = Server::start().await;
    let api = server.api().await;
    let min_watermark = World::fill(&api).await;
    let capped = |user| PersonalizeRequest {
        frequency_cap_per_day: Some(1),
        min_watermark,
        ..greedy(user, 10)
    };
    let of_visitor = api.personalize(capped(VISITOR)).await;
    let merged = api.merge(VISITOR, "ada").await;
    let shown: Vec<&str> = listed(&of_visitor).iter().map(|one| one.0).collect();
    let mut seen: Vec<String> = shown.iter().map(|item| (*item).to_owned()).collect();
    for user in ["ada", VISITOR, "ada"] {
        let answer = api.personalize(capped(user)).await;
        assert_eq!(answer.recommendations.len(), 10);
        for item in answer.recommendations {
            assert!(!seen.contains(&item.item_id), "{} again for {user}", item.item_id);
            seen.push(item.item_id);
        }
    }
    let metrics = async || {
        let request = GetModelMetricsRequest::default();
        api.model.clone().get_model_metrics(request).await.expect("metrics").into_inner()
    };
    api.profile("ada", merged.sequence).await;
    let before = metrics().await.rewards;
    let reward = |user: &str, position: usize| Interaction {
        decision_id: of_visitor.decision_id.clone(),
        position: Some(position as u32),
        ..click(user, shown[position])
    };
    let rewards = vec![reward("ada", 1), reward(VISITOR, 2)];
    let sequence = api.record(rewards).await.last_sequence;
    api.profile("ada", sequence).await;
    assert_eq!(metrics().await.rewards, before + 2);
}

#[tokio::test]
async fn decisions_of_an_old_id_are_reproduced_from_before_and_after_the_merge() {
    let mut server = Server::start_with(&["--epsilon", "0.5", "--seed", "77"]).await;
    let api = server.api().await;
    World::fill(&api).await;
    let mut min_watermark = api.record(browsed()).await.last_sequence;
    let mut made = Vec::new();
    for merges in [false, true] {
        if merges {
            min_watermark = api.merge(VISITOR, "ada").await.sequence;
        }
        for user in [VISITOR, "ada"] {
            let frequency_cap_per_day = Some(2);
            let ask =
                PersonalizeRequest { min_watermark, frequency_cap_per_day, ..greedy(user, 8) };
            made.push(api.personalize(ask.clone()).await);
            let strategy = personalization::proto::Strategy::EpsilonGreedy.into();
            made.push(api.personalize(PersonalizeRequest { strategy, ..ask }).await);
        }
    }
    assert!(server.stop_gracefully().await.success());
    for answer in made {
        let directory = server.data_dir().to_str().expect("UTF-8");
        let mut replay = command("replay-decision");
        replay.args([&*answer.decision_id, "--data-dir", directory]);
        let output = replay.output().expect("the command runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("\nreproduced\n"), "{text}");
    }
}

#[tokio::test]
async fn a_list_that_the_visitor_began_goes_on_for_the_account_with_what_the_visitor_has_blocked() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    api.record(browsed()).await;
    let own = UserRules { blocked_topics: vec!["metal".to_owned()], ..UserRules::default() };
    api.update_user(adding("ada", own)).await;
    let blocked =
        UserRules { blocked_item_ids: vec!["jazz-03".to_owned()], ..UserRules::default() };
    let min_watermark = api.update_user(adding(VISITOR, blocked)).await.sequence;
    let ask = PersonalizeRequest { min_watermark, ..greedy(VISITOR, 5) };
    let first = api.personalize(ask.clone()).await;
    let min_watermark = api.merge(VISITOR, "ada").await.sequence;
    let rest = PersonalizeRequest {
        user_id: "ada".to_owned(),
        min_watermark,
        max_results: 40,
        ..after(&first, &ask)
    };
    let next = api.personalize(rest.clone()).await;
    let shown = first.recommendations.iter().map(|one| &one.item_id);
    let is_shown = |item: &str| shown.clone().any(|shown| shown == item);
    assert!(!next.recommendations.is_empty());
    for one in &next.recommendations {
        let item = one.item_id.as_str();
        let is_blocked = item == "jazz-03" || item.starts_with("metal");
        assert!(!is_shown(item) && !is_blocked, "{item} of {:?}", next.recommendations);
    }
    let another = PersonalizeRequest { user_id: "bob".to_owned(), ..rest };
    let refused = api.personalization.clone().personalize(another).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let user = profile(&api, "ada", min_watermark).await.user.expect("what is set");
    let rules = user.rules.expect("rules");
    assert_eq!(rules.blocked_topics, ["metal"]);
    assert_eq!(rules.blocked_item_ids, ["jazz-03"]);
}
