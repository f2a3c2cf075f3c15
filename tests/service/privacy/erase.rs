//! Erasing a user on the embedded store: out of serving at once, out of the files soon after.

use std::path::Path;

use personalization::proto::EraseUserRequest;
use personalization::proto::Erasure;
use personalization::proto::ErasureStage;
use personalization::proto::GetErasureRequest;
use personalization::proto::GetProfileRequest;
use personalization::proto::Interaction;
use personalization::proto::InteractionType;
use personalization::proto::PersonalizeRequest;
use personalization::proto::ReadmitUserRequest;
use personalization::proto::RequestContext;
use personalization::proto::privacy_service_client::PrivacyServiceClient;
use tonic::Code;
use tonic::Status;
use tonic::transport::Channel;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::command;
use crate::harness::event;
use crate::harness::events;
use crate::harness::eventually;
use crate::harness::greedy;
use crate::harness::now_plus;
use crate::harness::reason_of;
use crate::users::adding;
use crate::users::topics;

/// Named so that no other bytes of a store look like it.
pub const USER: &str = "zz-erased-person-4711";
pub const VISIT: &str = "zz-erased-visit-0815";
/// With what each event id of the user begins.
pub const EVENTS: &str = "zz-erased-event";

fn privacy(api: &Api) -> PrivacyServiceClient<Channel> {
    PrivacyServiceClient::new(api.channel.clone())
}

pub async fn erase(api: &Api, user_id: &str) -> Result<Erasure, Status> {
    let request =
        EraseUserRequest { namespace: api.namespace.clone(), user_id: user_id.to_owned() };
    Ok(privacy(api).erase_user(request).await?.into_inner().erasure.expect("an erasure"))
}

async fn erasure(api: &Api, erasure_id: &str) -> Result<Erasure, Status> {
    let (namespace, erasure_id) = (api.namespace.clone(), erasure_id.to_owned());
    let request = GetErasureRequest { namespace, erasure_id };
    Ok(privacy(api).get_erasure(request).await?.into_inner().erasure.expect("an erasure"))
}

/// The erasure once it has reached a stage, or a later one.
pub async fn reached(api: &Api, erasure_id: &str, stage: ErasureStage) -> Erasure {
    eventually("a stage of the erasure", async || {
        // The state is built again meanwhile.
        let erasure = erasure(api, erasure_id).await.ok()?;
        (erasure.stage >= i32::from(stage)).then_some(erasure)
    })
    .await
}

async fn readmit(api: &Api, user_id: &str) -> bool {
    let request =
        ReadmitUserRequest { namespace: api.namespace.clone(), user_id: user_id.to_owned() };
    privacy(api).readmit_user(request).await.expect("an answer").into_inner().was_suppressed
}

/// Likes of a fan of jazz, with ids that can be searched for.
pub fn deeds(user: &str) -> Vec<Interaction> {
    let like = |n: usize| {
        let id = format!("{EVENTS}-{user}-{n}");
        event(&id, user, &format!("jazz-{n:02}"), InteractionType::Like)
    };
    (0..8).map(like).collect()
}

/// A world in which the user has done all that leaves something.
pub async fn lived(api: &Api) -> u64 {
    World::fill(api).await;
    api.record(deeds(VISIT)).await;
    api.merge(VISIT, USER).await;
    api.update_user(adding(USER, topics(["metal"]))).await;
    let learnt = api.record(deeds(USER)).await.last_sequence;
    let shown =
        api.personalize(PersonalizeRequest { min_watermark: learnt, ..greedy(USER, 5) }).await;
    let taken = &shown.recommendations[0].item_id;
    let click = Interaction {
        event_id: format!("{EVENTS}-click"),
        decision_id: shown.decision_id.clone(),
        ..click(USER, taken)
    };
    api.record(vec![click]).await.last_sequence
}

/// Files of a folder in which one of the words is.
pub fn found_in(folder: &Path, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(found_in(&path, words));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        for word in words {
            if bytes.windows(word.len()).any(|window| window == word.as_bytes()) {
                found.push(format!("{word} in {}", path.display()));
            }
        }
    }
    found
}

/// What `verify` prints, with the flags.
pub fn verified(flags: &[&str]) -> String {
    let output = command("verify").args(flags).output().expect("the binary runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[tokio::test]
async fn an_erased_user_is_a_newcomer_at_once_and_others_are_served_as_before() {
    let server = Server::start().await;
    let api = server.api().await;
    let learnt = lived(&api).await;
    api.profile(USER, learnt).await;
    let of_fan = api.profile("jazz-fan-3", learnt).await.profile;
    let erasure = erase(&api, VISIT).await.unwrap();
    assert!(erasure.sequence > learnt);
    for user in [USER, VISIT] {
        let request = GetProfileRequest {
            user_id: user.to_owned(),
            min_watermark: erasure.sequence,
            ..Default::default()
        };
        let unknown = api.personalization.clone().get_profile(request).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound, "{user}: {unknown:?}");
    }
    let context = Some(RequestContext { timestamp: Some(now_plus(0)), ..Default::default() });
    let ask = |user: &str| PersonalizeRequest { context: context.clone(), ..greedy(user, 10) };
    let listed = async |user: &str| {
        let answer = api.personalize(ask(user)).await;
        answer.recommendations.into_iter().map(|one| one.item_id).collect::<Vec<_>>()
    };
    assert_eq!(listed(USER).await, listed("nobody-has-seen").await);
    reached(&api, &erasure.erasure_id, ErasureStage::OutOfState).await;
    assert_eq!(listed(USER).await, listed("nobody-has-seen").await);
    let now = api.profile("jazz-fan-3", erasure.sequence).await.profile;
    assert_eq!(now, of_fan);
}

#[tokio::test]
async fn events_sent_late_are_dropped_also_after_a_restart_until_the_user_is_readmitted() {
    let mut server = Server::start().await;
    let api = server.api().await;
    lived(&api).await;
    let erasure = erase(&api, USER).await.unwrap();
    assert_eq!(erase(&api, VISIT).await.unwrap().erasure_id, erasure.erasure_id, "sent again");
    let late = |api: Api| async move {
        // What another user did comes with it.
        let events = [deeds(USER), deeds(VISIT), vec![click("another", "jazz-01")]].concat();
        let recorded = api.record(events).await;
        (recorded.accepted, recorded.duplicates, recorded.suppressed)
    };
    assert_eq!(late(api.clone()).await, (1, 0, 16));
    let refused = api.try_update_user(adding(USER, topics(["jazz"]))).await.unwrap_err();
    assert_eq!(reason_of(&refused), (Code::FailedPrecondition, "USER_ERASED".to_owned()));
    let refused = api.try_merge("another", USER).await.unwrap_err();
    assert_eq!(reason_of(&refused).1, "USER_ERASED");
    reached(&api, &erasure.erasure_id, ErasureStage::OutOfLog).await;
    server.kill_9();
    server.restart().await;
    let api = server.api().await;
    assert_eq!(late(api.clone()).await.2, 16);
    assert!(readmit(&api, USER).await && !readmit(&api, USER).await);
    let recorded = api.record(deeds(USER)).await;
    assert_eq!((recorded.accepted, recorded.suppressed), (8, 0));
    let profile = api.profile(USER, recorded.last_sequence).await.profile.unwrap();
    assert!(profile.merged_user_ids.is_empty());
    assert_eq!(profile.interaction_counts.iter().map(|one| one.count).sum::<u64>(), 8);
    let again = erase(&api, USER).await.unwrap();
    assert_ne!(again.erasure_id, erasure.erasure_id, "who comes back may be erased again");
}

#[tokio::test]
async fn the_files_hold_nothing_of_an_erased_user_and_a_replay_comes_to_the_state_of_the_receipt() {
    let flags = ["--snapshot-every-records", "1000"];
    let mut server = Server::start_with(&flags).await;
    let api = server.api().await;
    lived(&api).await;
    // A snapshot holds the user.
    api.record(events("other", 0..1_500)).await;
    api.retrain().await;
    let words = [USER, VISIT, EVENTS];
    assert!(!found_in(server.data_dir(), &words).is_empty(), "the search finds what is there");
    let begun = erase(&api, USER).await.unwrap();
    let erasure = reached(&api, &begun.erasure_id, ErasureStage::OutOfState).await;
    assert_eq!(erasure.stage(), ErasureStage::OutOfState, "the model knows the user");
    assert!(erasure.replaced_records >= 19, "{erasure:?}");
    assert_eq!(found_in(server.data_dir(), &words), [] as [String; 0]);
    let settled = api.settled_status().await;
    api.retrain().await;
    let finished = reached(&api, &begun.erasure_id, ErasureStage::Finished).await;
    assert_eq!(finished.model_version, settled.model_version + 1);
    assert_eq!(
        (&finished.state_digest, finished.watermark),
        (&erasure.state_digest, erasure.watermark)
    );
    assert!(server.stop_gracefully().await.success());
    assert_eq!(found_in(server.data_dir(), &words), [] as [String; 0]);
    let directory = server.data_dir().to_str().unwrap();
    let report = verified(&["--data-dir", directory, "--receipt", &begun.erasure_id]);
    assert!(report.contains("comes to the state of the receipt"), "{report}");
    let report = verified(&["--data-dir", directory]);
    assert!(report.contains("leads to the same state"), "{report}");
    let unknown = command("verify").args(["--data-dir", directory, "--receipt", "x"]).output();
    assert!(!unknown.unwrap().status.success());
}

#[tokio::test]
async fn who_was_never_seen_gets_a_receipt_and_an_unknown_receipt_is_said_to_be_unknown() {
    let server = Server::start().await;
    let api = server.api().await;
    let begun = erase(&api, "never-seen").await.unwrap();
    let erasure = reached(&api, &begun.erasure_id, ErasureStage::Finished).await;
    assert_eq!((erasure.replaced_records, erasure.model_version), (1, 0));
    let unknown = self::erasure(&api, "no-such-erasure").await.unwrap_err();
    assert_eq!(reason_of(&unknown), (Code::NotFound, "ERASURE_NOT_FOUND".to_owned()));
    let wrong = erase(&api, "").await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
}
