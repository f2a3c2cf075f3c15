//! What is set for a user: attributes, blocks, mutes, boosts, and lists without a profile.

use std::collections::BTreeSet;

use personalization::proto::AbsenceCause;
use personalization::proto::Boost;
use personalization::proto::ExplainAbsenceRequest;
use personalization::proto::FilterRule;
use personalization::proto::InteractionType;
use personalization::proto::Item;
use personalization::proto::Mute;
use personalization::proto::PersonalizeRequest;
use personalization::proto::PersonalizeResponse;
use personalization::proto::Pin;
use personalization::proto::ReasonKind;
use personalization::proto::RequestContext;
use personalization::proto::UpdateUserRequest;
use personalization::proto::User;
use personalization::proto::UserBoost;
use personalization::proto::UserRules;
use personalization::proto::boost;
use personalization::proto::mute;
use personalization::proto::user_boost;
use prost_types::FieldMask;
use prost_types::ListValue;
use prost_types::Value;
use prost_types::value::Kind;
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::event;
use crate::harness::greedy;
use crate::harness::item;
use crate::harness::now_plus;
use crate::harness::of_taste;
use crate::harness::strings;
use crate::harness::structure;
use crate::harness::text;

fn named(user_id: &str) -> User {
    User { user_id: user_id.to_owned(), ..User::default() }
}

/// A change of a user that adds to the rules.
pub fn adding(user_id: &str, rules: UserRules) -> UpdateUserRequest {
    UpdateUserRequest { user: Some(named(user_id)), add: Some(rules), ..Default::default() }
}

pub fn topics<const N: usize>(topics: [&str; N]) -> UserRules {
    UserRules { blocked_topics: strings(topics), ..UserRules::default() }
}

async fn non_profiled(api: &Api, user_id: &str, non_profiled: bool) -> u64 {
    let user = User { non_profiled: Some(non_profiled), ..named(user_id) };
    let request = UpdateUserRequest { user: Some(user), ..Default::default() };
    api.update_user(request).await.sequence
}

fn ids(answer: &PersonalizeResponse) -> Vec<&str> {
    answer.recommendations.iter().map(|one| one.item_id.as_str()).collect()
}

#[tokio::test]
async fn all_that_is_set_is_told_by_the_answer_and_the_profile_also_after_a_restart() {
    let mut server = Server::start().await;
    let api = server.api().await;
    let user = User {
        attributes: structure([("country", text("DE")), ("plan", text("free"))]),
        rules: Some(UserRules {
            blocked_item_ids: strings(["b", "a"]),
            blocked_sources: strings(["iron"]),
            blocked_topics: strings(["tennis"]),
            mutes: vec![Mute {
                target: Some(mute::Target::Topic("golf".to_owned())),
                until: Some(now_plus(86_400)),
            }],
            boosts: vec![UserBoost {
                target: Some(user_boost::Target::Source("blue".to_owned())),
                change: Some(user_boost::Change::Multiply(1.5)),
                until: None,
            }],
        }),
        ..named("anna")
    };
    let request = UpdateUserRequest { user: Some(user.clone()), ..Default::default() };
    let changed = api.update_user(request.clone()).await;
    let again = api.update_user(request).await;
    assert!(again.sequence > changed.sequence);
    let mut expected = User { non_profiled: Some(false), ..user };
    expected.rules.as_mut().unwrap().blocked_item_ids = strings(["a", "b"]);
    assert_eq!((changed.user.as_ref(), again.user), (Some(&expected), changed.user.clone()));
    let paths = vec!["attributes.plan".to_owned(), "rules.mutes".to_owned()];
    let request = UpdateUserRequest {
        user: Some(named("anna")),
        update_mask: Some(FieldMask { paths }),
        remove: Some(topics(["tennis"])),
        ..Default::default()
    };
    let changed = api.update_user(request).await;
    expected.attributes = structure([("country", text("DE"))]);
    let rules = expected.rules.as_mut().unwrap();
    (rules.mutes, rules.blocked_topics) = (Vec::new(), Vec::new());
    assert_eq!(changed.user.as_ref(), Some(&expected));
    let profile = api.profile("anna", changed.sequence).await.profile.unwrap();
    assert_eq!((profile.user.as_ref(), profile.first_seen), (Some(&expected), None));
    assert_eq!(profile.cohort, "country=DE");
    assert!(server.stop_gracefully().await.success());
    server.restart().await;
    let profile = server.api().await.profile("anna", changed.sequence).await.profile.unwrap();
    assert_eq!(profile.user, Some(expected));
}

#[tokio::test]
async fn attributes_put_a_user_in_a_cohort_and_replace_those_before() {
    let server = Server::start().await;
    let api = server.api().await;
    let set = async |attributes| {
        let user = Some(User { attributes, ..named("anna") });
        let paths = vec!["attributes".to_owned()];
        let update_mask = Some(FieldMask { paths });
        let request = UpdateUserRequest { user, update_mask, ..Default::default() };
        let sequence = api.update_user(request).await.sequence;
        let profile = api.profile("anna", sequence).await.profile.unwrap();
        (profile.user.unwrap().attributes, profile.cohort)
    };
    let first = structure([("country", text("de")), ("age_band", text("25-34"))]);
    let (attributes, cohort) = set(first.clone()).await;
    assert_eq!((attributes, cohort.is_empty()), (first, false));
    let second = structure([("country", text("fr"))]);
    assert_eq!(set(second.clone()).await, (second, "country=fr".to_owned()));
    assert_eq!(set(None).await, (None, String::new()));
}

#[tokio::test]
async fn a_block_holds_for_retrieval_candidates_pins_and_the_callers_own_order() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let rules = UserRules {
        blocked_item_ids: strings(["jazz-05"]),
        blocked_sources: strings(["iron"]),
        blocked_topics: strings(["folk"]),
        ..UserRules::default()
    };
    let min_watermark = api.update_user(adding("metal-fan-3", rules)).await.sequence;
    let request = PersonalizeRequest { min_watermark, ..greedy("metal-fan-3", 40) };
    let is_blocked =
        |id: &str| id.starts_with("metal") || id == "jazz-05" || id.starts_with("folk");
    let retrieved = api.personalize(request.clone()).await;
    assert_eq!(ids(&retrieved).len(), 19);
    assert!(!ids(&retrieved).into_iter().any(is_blocked), "{:?}", ids(&retrieved));
    let own = |id: &str, topic: &str| Item { topics: strings([topic]), ..item(id) };
    let given = PersonalizeRequest {
        candidate_ids: strings(["metal-01", "jazz-05", "jazz-06"]),
        candidates: vec![own("folk-1", "folk"), own("soul-1", "soul")],
        pins: vec![
            Pin { item_id: "metal-02".to_owned(), position: 0 },
            Pin { item_id: "folk-1".to_owned(), position: 1 },
        ],
        ..request.clone()
    };
    let mut answer = ids(&api.personalize(given.clone()).await).join(" ");
    assert!(["jazz-06 soul-1", "soul-1 jazz-06"].contains(&&*answer), "{answer}");
    let baseline_item_ids = strings(["metal-00", "jazz-05", "jazz-07", "folk-1"]);
    let ordered = PersonalizeRequest { baseline_item_ids, pins: Vec::new(), ..given };
    answer = ids(&api.personalize(ordered).await).join(" ");
    assert_eq!(answer, "jazz-07", "the caller's order without what is blocked");
    let popular = PersonalizeRequest { baseline_popular: true, ..request.clone() };
    let answer = api.personalize(popular).await;
    assert!(!answer.recommendations.is_empty() && !ids(&answer).into_iter().any(is_blocked));
    // What comes later is blocked, too, and others are not concerned.
    let folk = (0..5).map(|n| own(&format!("folk-{n}"), "folk")).collect();
    let min_watermark = api.upsert(folk).await.last_sequence;
    let later = api.personalize(PersonalizeRequest { min_watermark, ..request }).await;
    assert!(!ids(&later).into_iter().any(is_blocked), "{:?}", ids(&later));
    let other = api.personalize(PersonalizeRequest { min_watermark, ..greedy("bert", 45) }).await;
    assert!(ids(&other).iter().any(|id| id.starts_with("folk")), "{:?}", ids(&other));
}

#[tokio::test]
async fn an_absence_is_explained_by_the_block_and_nothing_is_offered_against_it() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let rules = UserRules {
        blocked_item_ids: strings(["jazz-05"]),
        blocked_sources: strings(["blue"]),
        blocked_topics: strings(["jazz"]),
        ..UserRules::default()
    };
    let min_watermark = api.update_user(adding("anna", rules)).await.sequence;
    let request = Some(PersonalizeRequest { min_watermark, ..greedy("anna", 5) });
    let request = ExplainAbsenceRequest { request, item_id: "jazz-05".to_owned() };
    let mut client = api.personalization.clone();
    let answer = client.explain_absence(request).await.expect("an explanation").into_inner();
    assert_eq!(answer.cause(), AbsenceCause::Filtered);
    let rules =
        [FilterRule::UserBlockedItem, FilterRule::UserBlockedSource, FilterRule::UserBlockedTopic];
    assert_eq!(answer.excluded_by().collect::<Vec<_>>(), rules);
    assert!(answer.summary.contains("the user has blocked its source"), "{}", answer.summary);
    assert_eq!(answer.suggestions, []);
}

#[tokio::test]
async fn boosts_of_the_user_add_to_those_of_the_request_and_are_given_as_reasons() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let own = UserBoost {
        target: Some(user_boost::Target::Topic("jazz".to_owned())),
        change: Some(user_boost::Change::Add(0.75)),
        until: None,
    };
    let mutes =
        vec![Mute { target: Some(mute::Target::ItemId("jazz-03".to_owned())), until: None }];
    let rules = UserRules { boosts: vec![own], mutes, ..UserRules::default() };
    let min_watermark = api.update_user(adding("metal-fan-3", rules)).await.sequence;
    let request = PersonalizeRequest { min_watermark, explain: true, ..greedy("metal-fan-3", 10) };
    let answer = api.personalize(request.clone()).await;
    assert_eq!(of_taste("jazz", &answer), 10, "{:?}", ids(&answer));
    assert!(answer.recommendations.iter().all(|one| one.item_id != "jazz-03"));
    for one in &answer.recommendations {
        assert_eq!(one.components["boost"], 0.75);
        assert_eq!(one.reason_details[0].kind(), ReasonKind::Boosted);
        assert_eq!(one.reasons[0], "as you asked");
    }
    let boosts = vec![Boost {
        target: Some(boost::Target::Source("blue".to_owned())),
        change: Some(boost::Change::Add(0.25)),
    }];
    let both = api.personalize(PersonalizeRequest { boosts, ..request }).await;
    assert!(both.recommendations.iter().all(|one| one.components["boost"] == 1.0));
    assert!(both.recommendations.iter().all(|one| one.reasons[0] == "promoted"));
}

#[tokio::test]
async fn a_list_that_is_full_takes_no_more_until_something_is_removed() {
    let server = Server::start().await;
    let api = server.api().await;
    let names = |from: usize, to: usize| UserRules {
        blocked_topics: (from..to).map(|n| format!("topic-{n}")).collect(),
        ..UserRules::default()
    };
    let added = api.update_user(adding("anna", names(0, 256))).await;
    api.profile("anna", added.sequence).await;
    let refused = api.try_update_user(adding("anna", names(255, 257))).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let details = refused.get_error_details();
    let fields = details.bad_request().expect("the field").field_violations.clone();
    assert_eq!(fields.len(), 1);
    assert_eq!(fields[0].field, "add.blocked_topics");
    api.update_user(adding("anna", names(255, 256))).await;
    let request =
        UpdateUserRequest { remove: Some(names(0, 1)), ..adding("anna", names(256, 257)) };
    let rules = api.update_user(request).await.user.unwrap().rules.unwrap();
    assert_eq!(rules.blocked_topics.len(), 256);
    assert!(rules.blocked_topics.contains(&"topic-256".to_owned()));
}

#[tokio::test]
async fn an_attribute_that_does_not_fit_in_addition_to_the_others_is_refused_and_changes_nothing() {
    let server = Server::start().await;
    let api = server.api().await;
    let of_kib = |kib: usize| {
        let values = vec![text(&"x".repeat(1_024)); kib];
        Value { kind: Some(Kind::ListValue(ListValue { values })) }
    };
    let set = |name: &'static str, value| {
        let user = Some(User { attributes: structure([(name, value)]), ..named("anna") });
        let paths = vec![format!("attributes.{name}")];
        UpdateUserRequest { user, update_mask: Some(FieldMask { paths }), ..Default::default() }
    };
    api.update_user(set("first", of_kib(10))).await;
    let before = api.update_user(set("second", text("short"))).await.user;
    // A new attribute, and a longer value of one that is there.
    for name in ["third", "second"] {
        let refused = api.try_update_user(set(name, of_kib(8))).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let details = refused.get_error_details();
        let fields = &details.bad_request().expect("the field").field_violations;
        assert_eq!((fields.len(), fields[0].field.as_str()), (1, "user.attributes"));
        assert!(fields[0].description.contains("16 KiB"), "{}", fields[0].description);
    }
    let profile = api.profile("anna", 0).await.profile.unwrap();
    assert_eq!(profile.user, before);
}

#[tokio::test]
async fn users_of_opposite_tastes_get_one_list_without_a_profile_and_their_own_again_with_it() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let fans = ["jazz-fan-4", "metal-fan-4"];
    // One time for all requests: freshness goes by it.
    let context = RequestContext { timestamp: Some(now_plus(0)), ..RequestContext::default() };
    let lists = async |min_watermark| {
        let mut lists = Vec::new();
        for fan in fans {
            let mut request = PersonalizeRequest { min_watermark, ..greedy(fan, 40) };
            request.filters.get_or_insert_default().include_seen = Some(true);
            request.context = Some(context.clone());
            let list = api.personalize(request).await.recommendations;
            lists.push(list.into_iter().map(|one| (one.item_id, one.score)).collect::<Vec<_>>());
        }
        lists
    };
    let own = lists(0).await;
    assert_ne!(own[0], own[1]);
    for fan in fans {
        non_profiled(&api, fan, true).await;
    }
    // What they do now is not learnt about them, but what they hide is.
    let before = api.profile(fans[0], 0).await.profile.unwrap();
    let events = vec![
        click(fans[0], "metal-07"),
        event("hide", fans[0], "metal-11", InteractionType::Hide),
        event("hide too", fans[1], "metal-11", InteractionType::Hide),
    ];
    let sequence = api.record(events).await.last_sequence;
    let one = lists(sequence).await;
    assert_eq!(one[0], one[1]);
    assert!(one[0].iter().all(|(item, _)| item != "metal-11"));
    let profile = api.profile(fans[0], sequence).await.profile.unwrap();
    assert_eq!(profile.user.unwrap().non_profiled, Some(true));
    assert_eq!(profile.interaction_counts, before.interaction_counts);
    let sequence = non_profiled(&api, fans[0], false).await;
    let back = lists(sequence).await;
    let first = |list: &[(String, f64)]| -> BTreeSet<String> {
        list[..10].iter().map(|(item, _)| item.clone()).collect()
    };
    let left = |list: &[(String, f64)]| first(list).intersection(&first(&own[0])).count();
    assert!(left(&back[0]) >= 9 && left(&one[0]) < 9, "{:?}, then {:?}", own[0], back[0]);
}
