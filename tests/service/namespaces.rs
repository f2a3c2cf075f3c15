//! Namespaces: worlds that know nothing of each other.

use std::collections::BTreeSet;

use personalization::proto::CreateNamespaceRequest;
use personalization::proto::DeleteNamespaceRequest;
use personalization::proto::GetItemRequest;
use personalization::proto::GetProfileRequest;
use personalization::proto::ListNamespacesRequest;
use personalization::proto::NamespaceInfo;
use personalization::proto::NamespaceSettings;
use personalization::proto::PersonalizeRequest;
use personalization::proto::Strategy;
use tonic::Code;
use tonic::Status;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::greedy;
use crate::harness::item;

/// Idle namespaces of the memory test, and what each may cost in KiB.
const MANY: u64 = 200;
const KIB_EACH_MAX: u64 = 320;
/// Namespaces before those that are measured.
const FIRST: u64 = 20;

async fn create(
    api: &Api,
    namespace: &str,
    settings: Option<NamespaceSettings>,
) -> Result<NamespaceInfo, Status> {
    let request = CreateNamespaceRequest { namespace: namespace.to_owned(), settings };
    let created = api.admin.clone().create_namespace(request).await?.into_inner();
    Ok(created.namespace_info.expect("the new namespace"))
}

async fn delete(api: &Api, namespace: &str) -> Result<(), Status> {
    let request = DeleteNamespaceRequest { namespace: namespace.to_owned() };
    api.admin.clone().delete_namespace(request).await.map(|_deleted| ())
}

async fn list(api: &Api, page_size: u32) -> Vec<NamespaceInfo> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListNamespacesRequest { page_size, page_token };
        let page = api.admin.clone().list_namespaces(request).await.expect("a page").into_inner();
        assert!(page_size == 0 || page.namespaces.len() <= page_size as usize);
        all.extend(page.namespaces);
        if page.next_page_token.is_empty() {
            return all;
        }
        page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn namespaces_are_made_listed_by_pages_and_deleted() {
    let server = Server::start().await;
    let api = server.api().await;
    for n in 0..7 {
        let made = create(&api, &format!("shop-{n}"), None).await.unwrap();
        assert_eq!(made.namespace, format!("shop-{n}"));
        assert_eq!(made.settings, Some(NamespaceSettings::default()));
        assert!(made.created_at.unwrap().seconds > 1_700_000_000);
    }
    let taken = create(&api, "shop-3", None).await.unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists);
    delete(&api, "shop-5").await.unwrap();
    let expected: BTreeSet<String> = [0, 1, 2, 3, 4, 6].map(|n| format!("shop-{n}")).into();
    for page_size in [0, 1, 3, 7] {
        let listed = list(&api, page_size).await;
        let names: BTreeSet<String> = listed.iter().map(|info| info.namespace.clone()).collect();
        assert_eq!(names.len(), listed.len());
        assert!(names.contains("default") && names.is_superset(&expected));
        assert_eq!(names.len(), 7);
    }
}

#[tokio::test]
async fn the_default_namespace_is_there_and_stays() {
    let server = Server::start().await;
    let api = server.api().await;
    assert_eq!(delete(&api, "default").await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(create(&api, "default", None).await.unwrap_err().code(), Code::AlreadyExists);
    let unnamed = delete(&api, "").await.unwrap_err();
    assert!([Code::FailedPrecondition, Code::InvalidArgument].contains(&unnamed.code()));
    api.upsert(vec![item("x")]).await;
    assert_eq!(api.within("default").settled_status().await.items, 1);
}

#[tokio::test]
async fn an_unknown_namespace_is_not_found_by_any_call() {
    let server = Server::start().await;
    let api = server.api().await;
    let namespace = || "nowhere".to_owned();
    let request = PersonalizeRequest { namespace: namespace(), ..greedy("new-user", 5) };
    let code = api.personalization.clone().personalize(request).await.unwrap_err().code();
    assert_eq!(code, Code::NotFound);
    let user_id = "new-user".to_owned();
    let request = GetProfileRequest { namespace: namespace(), user_id, min_watermark: 0 };
    let code = api.personalization.clone().get_profile(request).await.unwrap_err().code();
    assert_eq!(code, Code::NotFound);
    let request = GetItemRequest { namespace: namespace(), item_id: "x".to_owned() };
    assert_eq!(api.catalog.clone().get_item(request).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(delete(&api, "nowhere").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(list(&api, 0).await.len(), 1, "asking makes no namespace");
}

#[tokio::test]
async fn catalogue_users_log_and_digest_are_each_namespaces_own() {
    let server = Server::start().await;
    let default = server.api().await;
    create(&default, "a", None).await.unwrap();
    create(&default, "b", None).await.unwrap();
    let (a, b) = (default.within("a"), default.within("b"));
    let empty = b.settled_status().await;
    let before = default.settled_status().await;
    World::fill(&a).await;
    a.record(vec![click("anna", "jazz-01")]).await;
    assert_eq!(b.settled_status().await, empty);
    assert_eq!(default.settled_status().await, before);
    assert!(b.personalize(greedy("anna", 10)).await.recommendations.is_empty());
    let user_id = "anna".to_owned();
    let request = GetProfileRequest { namespace: "b".to_owned(), user_id, min_watermark: 0 };
    let unknown = b.personalization.clone().get_profile(request).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let same_event = b.record(vec![click("anna", "jazz-01")]).await;
    assert_eq!((same_event.accepted, same_event.duplicates), (1, 0), "event ids are apart, too");
    assert_ne!(a.settled_status().await.state_digest, b.settled_status().await.state_digest);
    assert_eq!(a.settled_status().await.namespace, "a");
}

#[tokio::test]
async fn settings_are_each_namespaces_own_and_outlive_a_restart() {
    let mut server = Server::start().await;
    let api = server.api().await;
    let settings = NamespaceSettings {
        strategy: Some(Strategy::Greedy.into()),
        recommend_seen: Some(true),
        embedding_dimension: Some(3),
        ..NamespaceSettings::default()
    };
    let made = create(&api, "own", Some(settings)).await.unwrap().settings.expect("settings");
    assert_eq!((made.embedding_dimension, made.recommend_seen), (Some(3), Some(true)));
    for round in 0..2 {
        let api = server.api().await;
        let own = api.within("own");
        let with = |length: usize| {
            let mut item = item(&format!("item-{round}-{length}"));
            item.embedding = vec![0.5; length];
            item
        };
        assert_eq!(own.upsert(vec![with(3), with(384)]).await.accepted, 1);
        assert_eq!(api.upsert(vec![with(3), with(384)]).await.accepted, 1);
        let item_id = format!("item-{round}-3");
        let last_sequence = own.record(vec![click("anna", &item_id)]).await.last_sequence;
        let plain = PersonalizeRequest { user_id: "anna".to_owned(), ..Default::default() };
        let request = PersonalizeRequest { min_watermark: last_sequence, ..plain.clone() };
        let answer = own.personalize(request).await;
        assert_eq!(answer.strategy(), Strategy::Greedy);
        assert!(answer.recommendations.iter().any(|shown| shown.item_id == item_id), "seen");
        assert_eq!(api.personalize(plain).await.strategy(), Strategy::EpsilonGreedy);
        assert!(server.stop_gracefully().await.success());
        server.restart().await;
    }
}

#[tokio::test]
async fn a_deleted_namespace_is_gone_and_made_again_it_is_empty() {
    let mut server = Server::start().await;
    let api = server.api().await;
    create(&api, "shop", None).await.unwrap();
    let shop = api.within("shop");
    let empty = shop.settled_status().await;
    World::fill(&shop).await;
    delete(&api, "shop").await.unwrap();
    let request = PersonalizeRequest { namespace: "shop".to_owned(), ..greedy("x", 5) };
    let gone = api.personalization.clone().personalize(request).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    create(&api, "shop", None).await.unwrap();
    let again = shop.settled_status().await;
    assert_eq!((again.items, again.users, again.interactions), (0, 0, 0));
    assert_eq!(again.log_end, empty.log_end);
    let recorded = shop.record(World::likes()).await;
    assert_eq!((recorded.accepted, recorded.duplicates), (274, 6), "old event ids are forgotten");
    let filled = shop.settled_status().await;
    server.kill_9();
    server.restart().await;
    let after = server.api().await.within("shop").settled_status().await;
    assert_eq!(after, filled);
}

#[tokio::test]
async fn two_hundred_idle_namespaces_cost_little() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    api.settled_status().await;
    let mut before = 0;
    for n in 0..FIRST + MANY {
        // Threads and connections to the store have their buffers by then.
        if n == FIRST {
            before = server.resident_kib();
        }
        let name = format!("tenant-{n}");
        create(&api, &name, None).await.unwrap();
        let tenant = api.within(&name);
        tenant.upsert(vec![item("x"), item("y")]).await;
        tenant.record(vec![click("anna", "x")]).await;
        tenant.personalize(greedy("anna", 2)).await;
    }
    let grown = server.resident_kib().saturating_sub(before);
    println!("{MANY} namespaces took {grown} KiB");
    assert!(grown < MANY * KIB_EACH_MAX, "{grown} KiB for {MANY} namespaces");
    assert_eq!(list(&api, 0).await.len(), (FIRST + MANY) as usize + 1);
}
