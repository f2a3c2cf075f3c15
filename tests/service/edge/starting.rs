//! While the server starts.

use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use super::is_advised_to_return;
use crate::harness::Server;
use crate::harness::binary;
use crate::harness::call_with_bytes;
use crate::harness::eventually;
use crate::harness::free_address;
use crate::harness::get;
use crate::harness::health;
use crate::harness::reason_of;

const METHODS: [&str; 8] = [
    "PersonalizationService/Personalize",
    "CatalogService/GetItem",
    "ModelService/GetModelStatus",
    "BanditService/SelectArm",
    "TakeoverService/GetTakeover",
    "ExperimentService/GetExperimentResults",
    "PrivacyService/ExportUser",
    "AdminService/ListNamespaces",
];

#[tokio::test]
async fn calls_learn_that_the_server_starts_and_probes_that_it_lives() {
    // A database that nobody runs: the start waits for it.
    let url = format!("postgres://nobody@{}/nothing", free_address());
    let server = Server::replica_of(&binary(), &["--database-url", &url]);
    let api =
        eventually("the port", async || crate::harness::Api::try_connect(server.grpc).await).await;
    for method in METHODS {
        let status = call_with_bytes(&api.channel, method, Vec::new()).await.unwrap_err();
        assert_eq!(reason_of(&status), (Code::Unavailable, "STARTING".to_owned()), "{method}");
        assert!(is_advised_to_return(&status), "{method}");
    }
    assert_eq!(health(server.grpc, "").await, Some(ServingStatus::NotServing));
    assert_eq!(get(server.http, "/healthz").await.0, 200);
    assert_eq!(get(server.http, "/readyz").await.0, 503);
    assert_eq!(get(server.http, "/metrics").await.0, 200);
}

#[tokio::test]
async fn no_call_of_a_start_is_answered_as_if_the_method_did_not_exist() {
    let mut server = Server::start().await;
    let api = server.api().await;
    let records = crate::harness::events("e", 0..20_000);
    api.record(records).await;
    for _ in 0..3 {
        server.kill_9();
        let address = server.grpc;
        let asking = tokio::spawn(async move {
            let (mut answers, mut starting) = (0, 0);
            loop {
                let Some(api) = crate::harness::Api::try_connect(address).await else { continue };
                match api.try_personalize(crate::harness::greedy("a", 1)).await {
                    Ok(_answer) => answers += 1,
                    Err(status) if status.code() == Code::Unavailable => starting += 1,
                    Err(status) => panic!("{status}"),
                }
                if answers == 20 {
                    return starting;
                }
            }
        });
        server.restart().await;
        println!("calls that heard of the start: {}", asking.await.expect("no other status"));
    }
}
