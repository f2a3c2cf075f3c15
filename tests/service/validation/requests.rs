//! Bad requests, one table per service.

use personalization::proto::CancelTrainingRequest;
use personalization::proto::CreateNamespaceRequest;
use personalization::proto::DeleteItemsRequest;
use personalization::proto::DeleteNamespaceRequest;
use personalization::proto::DiversityParams;
use personalization::proto::Filters;
use personalization::proto::GetItemRequest;
use personalization::proto::GetModelMetricsRequest;
use personalization::proto::GetModelStatusRequest;
use personalization::proto::GetProfileRequest;
use personalization::proto::GetTrainingRequest;
use personalization::proto::Item;
use personalization::proto::ListItemsRequest;
use personalization::proto::ListNamespacesRequest;
use personalization::proto::NamespaceSettings;
use personalization::proto::PersonalizeRequest;
use personalization::proto::RequestContext;
use personalization::proto::RetrainRequest;
use personalization::proto::SimilarItemsRequest;
use personalization::proto::UpdateUserRequest;
use personalization::proto::User;
use personalization::proto::WatchTrainingRequest;
use prost_types::FieldMask;
use prost_types::Struct;
use prost_types::Timestamp;
use prost_types::Value;
use prost_types::value::Kind;
use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::greedy;
use crate::harness::item;
use crate::harness::now_plus;
use crate::harness::strings;
use crate::harness::structure;
use crate::harness::text;

/// A server with a world, and the state that no bad request may change.
async fn untouched(refuse: impl AsyncFnOnce(&Api)) {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let before = api.settled_status().await;
    refuse(&api).await;
    assert_eq!(api.settled_status().await, before);
    assert_eq!(api.personalize(greedy("new-user", 5)).await.recommendations.len(), 5);
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Status>, field: &str) {
    let status = answer.expect_err(field);
    assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("a BadRequest").field_violations;
    let named = violations.iter().find(|violation| violation.field == field);
    let named = named.unwrap_or_else(|| panic!("{field} is not in {violations:?}"));
    assert!(!named.description.is_empty());
}

/// Ids that are none: too long, or with control characters. Empty ones apart.
fn bad_ids() -> Vec<String> {
    vec!["x".repeat(257), "é".repeat(129), "a\nb".to_owned(), "\0".to_owned(), "\u{7f}".to_owned()]
}

fn bad_namespaces() -> Vec<String> {
    let long = "n".repeat(64);
    ["Shop", "-shop", "shop_1", "shop ", "größe", "a/b", "..", &long].map(str::to_owned).to_vec()
}

/// A field, and what makes it wrong.
type Wrong<T> = (&'static str, fn(&mut T));

fn inline(change: impl FnOnce(&mut Item)) -> Vec<Item> {
    let mut bad = item("good-id");
    change(&mut bad);
    vec![item("neighbour"), bad]
}

fn bad_candidates() -> Vec<Wrong<PersonalizeRequest>> {
    vec![
        ("user_id", |r| r.user_id.clear()),
        ("strategy", |r| r.strategy = 99),
        ("strategy", |r| r.strategy = -1),
        ("candidate_ids[1]", |r| r.candidate_ids = vec!["jazz-01".to_owned(), String::new()]),
        ("candidate_ids", |r| r.candidate_ids = vec!["jazz-01".to_owned(); 1_001]),
        ("candidates", |r| {
            r.candidates = vec![item("a"); 600];
            r.candidate_ids = vec!["jazz-01".to_owned(); 401];
        }),
        ("candidates[1].item_id", |r| r.candidates = inline(|i| i.item_id.clear())),
        ("candidates[1].title", |r| r.candidates = inline(|i| i.title = "x".repeat(1_025))),
        ("candidates[1].content", |r| r.candidates = inline(|i| i.content = "x".repeat(65_537))),
        ("candidates[1].embedding", |r| r.candidates = inline(|i| i.embedding = vec![0.1; 383])),
        ("candidates[1].embedding[7]", |r| {
            r.candidates = inline(|i| {
                i.embedding = vec![0.1; 384];
                i.embedding[7] = f32::NAN;
            });
        }),
        ("candidates[1].topics[0]", |r| {
            r.candidates = inline(|i| i.topics = vec!["x".repeat(257)]);
        }),
        ("candidates[1].topics", |r| {
            r.candidates = inline(|i| i.topics = (0..33).map(|n| n.to_string()).collect());
        }),
        ("candidates[1].expires_at", |r| {
            r.candidates = inline(|i| i.expires_at = Some(Timestamp { seconds: -1, nanos: 0 }));
        }),
        (r#"candidates[1].localized["?"]"#, |r| {
            r.candidates = inline(|i| i.localized = [("?".to_owned(), Default::default())].into());
        }),
        ("candidates[1].published_at", |r| {
            r.candidates = inline(|i| i.published_at = Some(Timestamp { seconds: -1, nanos: 0 }));
        }),
    ]
}

fn bad_contexts() -> Vec<Wrong<PersonalizeRequest>> {
    vec![
        ("context.device_type", |r| {
            r.context =
                Some(RequestContext { device_type: "a\tb".to_owned(), ..Default::default() });
        }),
        ("context.language", |r| {
            r.context =
                Some(RequestContext { language: "english".to_owned(), ..Default::default() });
        }),
        ("context.timestamp", |r| {
            let timestamp = Some(now_plus(86_400 * 2));
            r.context = Some(RequestContext { timestamp, ..Default::default() });
        }),
        ("context.timestamp", |r| {
            let timestamp = Some(Timestamp { seconds: i64::MAX, nanos: -1 });
            r.context = Some(RequestContext { timestamp, ..Default::default() });
        }),
        ("context.utc_offset_minutes", |r| {
            let utc_offset_minutes = Some(i32::MIN);
            r.context = Some(RequestContext { utc_offset_minutes, ..Default::default() });
        }),
        ("context.location", |r| {
            r.context = Some(RequestContext { location: "x".repeat(257), ..Default::default() });
        }),
        (r#"context.attributes["a"]"#, |r| {
            let value = Value { kind: Some(Kind::NumberValue(f64::INFINITY)) };
            let attributes = structure([("a", value)]);
            r.context = Some(RequestContext { attributes, ..Default::default() });
        }),
        ("max_results", |r| r.max_results = 501),
        ("diversity.topic_diversity_threshold", |r| {
            diversity(r).topic_diversity_threshold = Some(f64::NAN);
        }),
        ("diversity.source_diversity_threshold", |r| {
            diversity(r).source_diversity_threshold = Some(1.01);
        }),
        ("diversity.diversity_weight", |r| diversity(r).diversity_weight = Some(-0.01)),
        ("diversity.diversity_weight", |r| {
            diversity(r).diversity_weight = Some(f64::NEG_INFINITY);
        }),
        ("filters.topics[0]", |r| filters(r).topics = vec![String::new()]),
        ("filters.sources[0]", |r| filters(r).sources = vec!["x".repeat(257)]),
        ("filters.exclude_item_ids[0]", |r| filters(r).exclude_item_ids = vec![String::new()]),
        ("filters", |r| filters(r).exclude_item_ids = vec!["a".to_owned(); 10_001]),
        (r#"filters.attributes["a"]"#, |r| {
            filters(r).attributes = structure([("a", Value { kind: None })]);
        }),
        ("filters.published_after", |r| {
            filters(r).published_after = Some(Timestamp { seconds: 0, nanos: 1_000_000_000 });
        }),
    ]
}

fn diversity(request: &mut PersonalizeRequest) -> &mut DiversityParams {
    request.diversity.get_or_insert_default()
}

fn filters(request: &mut PersonalizeRequest) -> &mut Filters {
    request.filters.get_or_insert_default()
}

#[tokio::test]
async fn a_bad_personalize_request_is_refused_by_field() {
    untouched(async |api| {
        let mut client = api.personalization.clone();
        for (field, change) in bad_candidates().into_iter().chain(bad_contexts()) {
            let mut request = greedy("new-user", 5);
            change(&mut request);
            assert_refused(client.personalize(request).await, field);
        }
        for user_id in bad_ids() {
            let request = PersonalizeRequest { user_id, ..greedy("", 5) };
            assert_refused(client.personalize(request).await, "user_id");
        }
        for namespace in bad_namespaces() {
            let request = PersonalizeRequest { namespace, ..greedy("new-user", 5) };
            assert_refused(client.personalize(request).await, "namespace");
        }
    })
    .await;
}

#[tokio::test]
async fn all_wrong_fields_of_a_request_are_named_at_once() {
    untouched(async |api| {
        let mut request = greedy("", 501);
        request.strategy = 77;
        request.candidate_ids = vec![String::new()];
        let refused = api.personalization.clone().personalize(request).await.unwrap_err();
        let details = refused.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        let mut fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
        fields.sort_unstable();
        let expected = ["candidate_ids[0]", "max_results", "strategy", "user_id"];
        assert_eq!(fields, expected);
    })
    .await;
}

fn anna(attributes: Option<Struct>) -> Option<User> {
    Some(User { user_id: "anna".to_owned(), attributes, ..User::default() })
}

#[tokio::test]
async fn bad_questions_about_users_and_items_are_refused_by_field() {
    untouched(async |api| {
        let mut client = api.personalization.clone();
        let mut ids = bad_ids();
        ids.push(String::new());
        for id in ids {
            let user_id = id.clone();
            let profile = GetProfileRequest { user_id, ..Default::default() };
            assert_refused(client.get_profile(profile).await, "user_id");
            let user_id = id.clone();
            let user = Some(User { user_id, ..User::default() });
            let update = UpdateUserRequest { user, ..Default::default() };
            assert_refused(client.update_user(update).await, "user.user_id");
            assert_refused(api.try_merge(&id, "anna").await, "from_user_id");
            assert_refused(api.try_merge("anna", &id).await, "into_user_id");
            let similar = SimilarItemsRequest { item_id: id, ..Default::default() };
            assert_refused(client.similar_items(similar).await, "item_id");
        }
        assert_refused(api.try_merge("anna", "anna").await, "into_user_id");
        let both = api.try_merge("", "\n").await.unwrap_err().get_error_details();
        assert_eq!(both.bad_request().unwrap().field_violations.len(), 2);
        for max_results in [501, u32::MAX] {
            let item_id = "jazz-01".to_owned();
            let similar = SimilarItemsRequest { item_id, max_results, ..Default::default() };
            assert_refused(client.similar_items(similar).await, "max_results");
        }
        let (item_id, language) = ("jazz-01".to_owned(), "de_AT".to_owned());
        let similar = SimilarItemsRequest { item_id, language, ..Default::default() };
        assert_refused(client.similar_items(similar).await, "language");
        let nested = Value { kind: Some(Kind::StructValue(Default::default())) };
        let long = text(&"x".repeat(1_025));
        for value in [nested, long] {
            let user = anna(structure([("a", value)]));
            let update = UpdateUserRequest { user, ..Default::default() };
            assert_refused(client.update_user(update).await, r#"user.attributes["a"]"#);
        }
        let fields = (0..65).map(|n| (format!("key-{n}"), text("v"))).collect();
        let attributes = Some(prost_types::Struct { fields });
        let update = UpdateUserRequest { user: anna(attributes), ..Default::default() };
        assert_refused(client.update_user(update).await, "user.attributes");
        let update_mask = Some(FieldMask { paths: strings(["attributes.a", "history"]) });
        let update = UpdateUserRequest { user: anna(None), update_mask, ..Default::default() };
        assert_refused(client.update_user(update).await, "update_mask.paths[1]");
    })
    .await;
}

#[tokio::test]
async fn bad_catalogue_requests_are_refused_by_field() {
    untouched(async |api| {
        let mut client = api.catalog.clone();
        for item_id in bad_ids() {
            let item_ids = vec!["jazz-01".to_owned(), item_id.clone()];
            let get = GetItemRequest { item_id, ..Default::default() };
            assert_refused(client.get_item(get).await, "item_id");
            let delete = DeleteItemsRequest { item_ids, ..Default::default() };
            assert_refused(client.delete_items(delete).await, "item_ids[1]");
        }
        let item_ids = vec!["jazz-01".to_owned(); 1_001];
        let delete = DeleteItemsRequest { item_ids, ..Default::default() };
        assert_refused(client.delete_items(delete).await, "item_ids");
        let list = ListItemsRequest { page_size: 1_001, ..Default::default() };
        assert_refused(client.list_items(list).await, "page_size");
        let list = ListItemsRequest { view: 3, ..Default::default() };
        assert_refused(client.list_items(list).await, "view");
        // The last one names an item that this catalogue never had.
        for page_token in ["x", "i", "ixyz", "n6a", "\u{1}", &"i61".repeat(200), "i6e6f6e65"] {
            let page_token = page_token.to_owned();
            let list = ListItemsRequest { page_token, ..Default::default() };
            assert_refused(client.list_items(list).await, "page_token");
        }
    })
    .await;
}

#[tokio::test]
async fn bad_namespaces_are_refused_by_every_call() {
    untouched(async |api| {
        for namespace in bad_namespaces() {
            let mut client = api.model.clone();
            let request = GetModelStatusRequest { namespace: namespace.clone() };
            assert_refused(client.get_model_status(request).await, "namespace");
            let request = GetModelMetricsRequest { namespace: namespace.clone() };
            assert_refused(client.get_model_metrics(request).await, "namespace");
            let request = RetrainRequest { namespace: namespace.clone() };
            assert_refused(client.retrain(request).await, "namespace");
            let request = GetTrainingRequest { namespace: namespace.clone(), ..Default::default() };
            assert_refused(client.get_training(request).await, "namespace");
            let request =
                WatchTrainingRequest { namespace: namespace.clone(), ..Default::default() };
            assert_refused(client.watch_training(request).await, "namespace");
            let request =
                CancelTrainingRequest { namespace: namespace.clone(), training_id: "t".to_owned() };
            assert_refused(client.cancel_training(request).await, "namespace");
            assert_refused(
                client.cancel_training(CancelTrainingRequest::default()).await,
                "training_id",
            );
            let request = DeleteNamespaceRequest { namespace: namespace.clone() };
            assert_refused(api.admin.clone().delete_namespace(request).await, "namespace");
            let request = CreateNamespaceRequest { namespace: namespace.clone(), settings: None };
            assert_refused(api.admin.clone().create_namespace(request).await, "namespace");
            let request = ListItemsRequest { namespace, ..Default::default() };
            assert_refused(api.catalog.clone().list_items(request).await, "namespace");
        }
        let request = ListNamespacesRequest { page_size: 1_001, ..Default::default() };
        assert_refused(api.admin.clone().list_namespaces(request).await, "page_size");
        let request = ListNamespacesRequest { page_token: "i61".to_owned(), page_size: 0 };
        assert_refused(api.admin.clone().list_namespaces(request).await, "page_token");
    })
    .await;
}

#[tokio::test]
async fn settings_out_of_range_are_refused_by_field_and_make_no_namespace() {
    let bad: [Wrong<NamespaceSettings>; 9] = [
        ("settings.collaborative_factors", |s| s.collaborative_factors = Some(7)),
        ("settings.collaborative_factors", |s| s.collaborative_factors = Some(u32::MAX)),
        ("settings.unobserved_weight", |s| s.unobserved_weight = Some(f64::NAN)),
        ("settings.epsilon", |s| s.epsilon = Some(1.5)),
        ("settings.rating_threshold", |s| s.rating_threshold = Some(-1.0)),
        ("settings.strategy", |s| s.strategy = Some(99)),
        ("settings.embedding_dimension", |s| s.embedding_dimension = Some(0)),
        ("settings.tfidf_max_features", |s| s.tfidf_max_features = Some(0)),
        ("settings.popularity_half_life", |s| s.popularity_half_life = Some(Default::default())),
    ];
    untouched(async |api| {
        for (field, change) in bad {
            let mut settings = NamespaceSettings::default();
            change(&mut settings);
            let (namespace, settings) = ("made".to_owned(), Some(settings));
            let request = CreateNamespaceRequest { namespace, settings };
            assert_refused(api.admin.clone().create_namespace(request).await, field);
        }
        let listed = api.admin.clone().list_namespaces(ListNamespacesRequest::default()).await;
        assert_eq!(listed.unwrap().into_inner().namespaces.len(), 1);
    })
    .await;
}
