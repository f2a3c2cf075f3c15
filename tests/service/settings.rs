//! Settings of a namespace: read, changed, in force at once, and kept.

use personalization::proto::ArmSettings;
use personalization::proto::CreateNamespaceRequest;
use personalization::proto::GetNamespaceRequest;
use personalization::proto::GetNamespaceResponse;
use personalization::proto::NamespaceSettings;
use personalization::proto::PersonalizeRequest;
use personalization::proto::PersonalizeResponse;
use personalization::proto::Strategy;
use personalization::proto::UpdateNamespaceRequest;
use personalization::proto::UpdateNamespaceResponse;
use prost_types::FieldMask;
use tonic::Code;
use tonic::Response;
use tonic::Status;
use tonic_types::StatusExt;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;

/// What a namespace has set itself when it has set nothing.
fn nothing() -> NamespaceSettings {
    NamespaceSettings::default()
}

pub fn named(api: &Api) -> String {
    if api.namespace.is_empty() { "default".to_owned() } else { api.namespace.clone() }
}

pub async fn get(api: &Api, min_watermark: u64) -> GetNamespaceResponse {
    let request = GetNamespaceRequest { namespace: api.namespace.clone(), min_watermark };
    api.admin.clone().get_namespace(request).await.expect("a namespace").into_inner()
}

/// Changes what is set, or what the paths name.
pub async fn update(
    api: &Api,
    settings: NamespaceSettings,
    paths: &[&str],
    etag: &str,
) -> Result<UpdateNamespaceResponse, Status> {
    let paths = paths.iter().map(|&path| path.to_owned()).collect();
    let request = UpdateNamespaceRequest {
        namespace: named(api),
        settings: Some(settings),
        update_mask: Some(FieldMask { paths }),
        etag: etag.to_owned(),
    };
    api.admin.clone().update_namespace(request).await.map(Response::into_inner)
}

/// Ten items for a fan of jazz, as the namespace is set.
pub async fn answer(api: &Api, min_watermark: u64) -> PersonalizeResponse {
    let request = PersonalizeRequest {
        user_id: "jazz-fan-1".to_owned(),
        min_watermark,
        ..PersonalizeRequest::default()
    };
    api.personalize(request).await
}

/// Whether something that the fan has liked is among the items.
pub fn has_seen_items(answer: &PersonalizeResponse) -> bool {
    let liked = ["jazz-01", "jazz-04", "jazz-07", "jazz-10", "jazz-13", "jazz-16", "metal-00"];
    answer.recommendations.iter().any(|item| liked.contains(&item.item_id.as_str()))
}

/// Adds one to a setting by its etag, again until nobody else was faster.
pub async fn count_up(api: &Api) {
    loop {
        let before = get(api, 0).await;
        let etag = before.namespace_info.unwrap().etag;
        let count = before.settings_in_force.unwrap().new_item_impressions.unwrap() + 1;
        let settings = NamespaceSettings { new_item_impressions: Some(count), ..nothing() };
        match update(api, settings, &[], &etag).await {
            Ok(_changed) => return,
            Err(refused) => assert_eq!(refused.code(), Code::Aborted, "{refused:?}"),
        }
    }
}

#[tokio::test]
async fn a_change_is_in_the_next_answer_and_outlives_crash_and_restart_also_of_default() {
    let mut server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let before = get(&api, 0).await;
    let info = before.namespace_info.unwrap();
    assert_eq!((info.namespace.as_str(), info.settings), ("default", Some(nothing())));
    assert!(info.created_at.unwrap().seconds > 1_700_000_000 && !info.etag.is_empty());
    assert_eq!((before.items, before.users, before.interactions), (40, 40, 274));
    let in_force = before.settings_in_force.unwrap();
    assert_eq!((in_force.epsilon, in_force.recommend_seen), (Some(0.02), None));
    let unchanged = answer(&api, 0).await;
    assert_eq!(
        (unchanged.strategy(), has_seen_items(&unchanged)),
        (Strategy::EpsilonGreedy, false)
    );
    let settings = NamespaceSettings {
        strategy: Some(Strategy::Greedy.into()),
        recommend_seen: Some(true),
        new_item_share: Some(0.25),
        ..nothing()
    };
    let changed = update(&api, settings.clone(), &[], &info.etag).await.unwrap();
    let info = changed.namespace_info.unwrap();
    assert_eq!(info.settings, Some(settings.clone()));
    for round in 0..3 {
        let api = server.api().await;
        let next = answer(&api, changed.sequence).await;
        assert_eq!((next.strategy(), has_seen_items(&next)), (Strategy::Greedy, true), "{round}");
        let now = get(&api, changed.sequence).await;
        assert_eq!(now.namespace_info.as_ref(), Some(&info), "{round}");
        assert_eq!(now.settings_in_force, changed.settings_in_force);
        assert_eq!(now.interactions, 274, "what was learnt stays");
        match round {
            0 => server.kill_9(),
            _ => assert!(server.stop_gracefully().await.success()),
        }
        server.restart().await;
    }
}

#[tokio::test]
async fn what_a_namespace_has_not_set_follows_the_server_and_can_do_so_again() {
    let mut server = Server::start().await;
    let api = server.api().await.within("shop");
    let arms = ArmSettings { alpha: Some(2.0), beta: Some(3.0), ..Default::default() };
    let settings = NamespaceSettings { epsilon: Some(0.5), arms: Some(arms), ..nothing() };
    let namespace = "shop".to_owned();
    let request = CreateNamespaceRequest { namespace, settings: Some(settings.clone()) };
    let made = api.admin.clone().create_namespace(request).await.unwrap().into_inner();
    let made = made.namespace_info.unwrap();
    assert_eq!(made.settings, Some(settings));
    let read = get(&api, 0).await.namespace_info.unwrap();
    assert_eq!((read.etag, read.created_at), (made.etag, made.created_at));
    server.stop_gracefully().await;
    server.restart_with(&["--epsilon", "0.75", "--strategy", "thompson"]).await;
    let api = server.api().await.within("shop");
    let in_force = get(&api, 0).await.settings_in_force.unwrap();
    assert_eq!((in_force.epsilon, in_force.strategy()), (Some(0.5), Strategy::Thompson));
    // A path of the mask that has no value goes back; what the mask does not name stays.
    let settings = NamespaceSettings { novelty_weight: Some(0.5), ..nothing() };
    let changed = update(&api, settings, &["epsilon", "arms.alpha"], "").await.unwrap();
    let in_force = changed.settings_in_force.unwrap();
    assert_eq!((in_force.epsilon, in_force.novelty_weight), (Some(0.75), Some(0.0)));
    let of_arms = in_force.arms.unwrap();
    assert_eq!((of_arms.alpha, of_arms.beta), (Some(1.0), Some(3.0)));
    let own = changed.namespace_info.unwrap().settings.unwrap();
    let arms = ArmSettings { beta: Some(3.0), ..Default::default() };
    assert_eq!(own, NamespaceSettings { arms: Some(arms), ..nothing() });
    let changed = update(&api, nothing(), &["*"], "").await.unwrap();
    assert_eq!(changed.namespace_info.unwrap().settings, Some(nothing()));
}

#[tokio::test]
async fn nothing_is_recorded_where_nothing_changes_or_something_is_wrong() {
    let server = Server::start().await;
    let api = server.api().await;
    let epsilon = |epsilon| NamespaceSettings { epsilon: Some(epsilon), ..nothing() };
    let first = update(&api, epsilon(0.25), &[], "").await.unwrap();
    let log_end = api.status().await.log_end;
    assert_eq!(first.sequence, log_end);
    assert_eq!(update(&api, epsilon(0.25), &[], "").await.unwrap(), first);
    assert_eq!(update(&api, nothing(), &[], "").await.unwrap(), first);
    let refused = update(&api, epsilon(0.5), &["epsilon", "seed", "arms.x"], "").await.unwrap_err();
    let details = refused.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(
        (refused.code(), fields),
        (Code::InvalidArgument, vec!["update_mask.paths[1]", "update_mask.paths[2]"])
    );
    assert!(violations[0].description.contains("seed"), "{violations:?}");
    let refused = update(&api, epsilon(1.5), &[], "").await.unwrap_err();
    let details = refused.get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "settings.epsilon");
    let refused = update(&api.within("nowhere"), epsilon(0.5), &[], "").await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let unnamed = UpdateNamespaceRequest { settings: Some(epsilon(0.5)), ..Default::default() };
    let refused = api.admin.clone().update_namespace(unnamed).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(api.status().await.log_end, log_end);
    assert_eq!(get(&api, 0).await.settings_in_force.unwrap().epsilon, Some(0.25));
}

#[tokio::test]
async fn a_change_by_an_etag_never_undoes_one_that_it_has_not_seen() {
    let server = Server::start().await;
    let api = server.api().await;
    let before = get(&api, 0).await;
    let etag = before.namespace_info.unwrap().etag;
    let epsilon = |epsilon| NamespaceSettings { epsilon: Some(epsilon), ..nothing() };
    let changed = update(&api, epsilon(0.25), &[], &etag).await.unwrap();
    let refused = update(&api, epsilon(0.5), &[], &etag).await.unwrap_err();
    let details = refused.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!((refused.code(), info.reason.as_str()), (Code::Aborted, "SETTINGS_CHANGED"));
    let now = changed.namespace_info.unwrap().etag;
    assert_eq!(info.metadata["etag"], now);
    assert_eq!(get(&api, 0).await.namespace_info.unwrap().etag, now);
    let start = before.settings_in_force.unwrap().new_item_impressions.unwrap();
    let counters = (0..3).map(|_| {
        let api = api.clone();
        tokio::spawn(async move {
            for _ in 0..5 {
                count_up(&api).await;
            }
        })
    });
    for counter in counters.collect::<Vec<_>>() {
        counter.await.unwrap();
    }
    let settings = get(&api, 0).await.settings_in_force.unwrap();
    assert_eq!(settings.new_item_impressions, Some(start + 15));
    assert_eq!(settings.epsilon, Some(0.25));
}

#[tokio::test]
async fn changes_without_an_etag_that_come_together_are_all_made() {
    let server = Server::start().await;
    let api = server.api().await;
    let clients = (0..12_u32).map(|client| {
        let api = api.clone();
        tokio::spawn(async move {
            for turn in 0..4 {
                let count = Some(1 + client * 10 + turn);
                let settings = NamespaceSettings { new_item_impressions: count, ..nothing() };
                update(&api, settings, &[], "").await.expect("nobody's etag is asked for");
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn another_length_of_embeddings_takes_the_items_that_come_with_it() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let with = |length: usize| {
        World::items().into_iter().map(move |mut item| {
            item.embedding = vec![0.5; length];
            item
        })
    };
    assert_eq!(api.upsert(with(384).collect()).await.accepted, 40);
    assert_eq!(answer(&api, 0).await.recommendations.len(), 20);
    let settings = NamespaceSettings { embedding_dimension: Some(3), ..nothing() };
    let changed = update(&api, settings, &[], "").await.unwrap();
    assert!(!answer(&api, changed.sequence).await.recommendations.is_empty());
    assert_eq!(api.upsert(with(384).collect()).await.rejected, 40);
    let upserted = api.upsert(with(3).collect()).await;
    assert_eq!(upserted.accepted, 40);
    assert!(!answer(&api, upserted.last_sequence).await.recommendations.is_empty());
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
