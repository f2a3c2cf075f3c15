//! What operators and their machines ask: health, reflection, metrics, start-up errors.

use std::net::SocketAddr;
use std::process::Output;

use tokio_stream::StreamExt;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1alpha;
use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient as AlphaClient;

use crate::harness::Server;
use crate::harness::command;
use crate::harness::events;
use crate::harness::eventually;
use crate::harness::get;

const SERVICES: [&str; 5] = [
    "personalization.v1.PersonalizationService",
    "personalization.v1.CatalogService",
    "personalization.v1.ModelService",
    "personalization.v1.AdminService",
    "personalization.v1.BanditService",
];

fn healthcheck(address: SocketAddr, service: &str) -> Output {
    command("healthcheck")
        .args(["--addr", &format!("http://{address}"), "--service", service])
        .output()
        .expect("the binary runs")
}

/// Starts a server that must not start; returns its standard error.
fn refused_start(environment: &[(&str, &str)], flags: &[&str]) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let mut serve = command("serve");
    serve.args(["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--data-dir"]);
    serve.arg(directory.path()).args(flags).envs(environment.iter().copied());
    let output = serve.output().expect("the binary runs");
    assert!(!output.status.success(), "it started with {environment:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[tokio::test]
async fn health_is_reported_of_the_server_and_of_every_service() {
    let server = Server::start().await;
    let mut client = HealthClient::new(server.api().await.channel);
    let recording = "personalization.v1.PersonalizationService/RecordInteractions";
    for service in SERVICES.into_iter().chain(["", recording]) {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = client.check(request).await.expect(service).into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let request = HealthCheckRequest { service: "personalization.v1.NoService".to_owned() };
    assert_eq!(client.check(request).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_health_watcher_learns_of_the_shutdown_before_the_connection_ends() {
    let mut server = Server::start().await;
    let mut client = HealthClient::new(server.api().await.channel);
    let request = HealthCheckRequest { service: SERVICES[0].to_owned() };
    let mut changes = client.watch(request).await.unwrap().into_inner();
    let first = changes.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    server.terminate();
    let next = changes.message().await.unwrap().expect("a last message");
    assert_eq!(next.status(), ServingStatus::NotServing);
    drop((changes, client));
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
}

#[tokio::test]
async fn reflection_lists_the_services_and_describes_them() {
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;
    let server = Server::start().await;
    let mut client = ServerReflectionClient::new(server.api().await.channel);
    let ask = |message_request| v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message_request),
    };
    let asked = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(SERVICES[0].to_owned())),
    ];
    let answers = client.server_reflection_info(tokio_stream::iter(asked)).await.unwrap();
    let answers: Vec<_> = answers
        .into_inner()
        .map(|answer| answer.unwrap().message_response.unwrap())
        .collect()
        .await;
    let [
        MessageResponse::ListServicesResponse(listed),
        MessageResponse::FileDescriptorResponse(file),
    ] = &answers[..]
    else {
        panic!("{answers:?}");
    };
    let names: Vec<&str> = listed.service.iter().map(|service| service.name.as_str()).collect();
    assert!(SERVICES.iter().all(|service| names.contains(service)), "{names:?}");
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
    assert!(!file.file_descriptor_proto[0].is_empty());
}

#[tokio::test]
async fn older_tools_get_the_older_reflection() {
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;
    let server = Server::start().await;
    let mut client = AlphaClient::new(server.api().await.channel);
    let asked = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = client.server_reflection_info(tokio_stream::iter([asked])).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(listed)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let names: Vec<&str> = listed.service.iter().map(|service| service.name.as_str()).collect();
    assert!(SERVICES.iter().all(|service| names.contains(service)), "{names:?}");
}

#[tokio::test]
async fn the_http_port_answers_probes_and_scrapers() {
    let server = Server::start().await;
    let api = server.api().await;
    assert_eq!(get(server.http, "/healthz").await.0, 200);
    assert_eq!(get(server.http, "/readyz").await.0, 200);
    assert_eq!(get(server.http, "/nothing").await.0, 404);
    let mut sent = events("e", 0..30);
    sent.extend(events("e", 0..5));
    sent.push(Default::default());
    api.record(sent).await;
    api.settled_status().await;
    let (code, metrics) = get(server.http, "/metrics").await;
    assert_eq!(code, 200);
    for (outcome, count) in [("accepted", 30), ("duplicate", 5), ("rejected", 1)] {
        let line = metrics.lines().find(|line| {
            line.starts_with("personalization_interactions_total") && line.contains(outcome)
        });
        let line = line.unwrap_or_else(|| panic!("no {outcome} in {metrics}"));
        assert!(line.ends_with(&format!(" {count}")), "{line}");
    }
    assert!(metrics.trim_end().ends_with("# EOF"));
    let well_formed = |line: &str| line.starts_with('#') || line.starts_with("personalization_");
    assert!(metrics.lines().all(well_formed), "{metrics}");
}

#[tokio::test]
async fn the_exit_code_of_healthcheck_is_the_answer() {
    let mut server = Server::start().await;
    let serving = healthcheck(server.grpc, "");
    assert_eq!(serving.status.code(), Some(0), "{serving:?}");
    assert_eq!(String::from_utf8_lossy(&serving.stdout).trim(), "SERVING");
    assert_eq!(healthcheck(server.grpc, SERVICES[1]).status.code(), Some(0));
    let unknown = healthcheck(server.grpc, "no.Service");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no.Service"));
    server.kill_9();
    assert_eq!(healthcheck(server.grpc, "").status.code(), Some(1));
}

#[tokio::test]
async fn an_idle_server_ends_soon_after_sigterm_with_connections_open() {
    let mut server = Server::start().await;
    let api = server.api().await;
    api.record(events("e", 0..10)).await;
    let started = std::time::Instant::now();
    assert_eq!(server.stop_gracefully().await.code(), Some(0));
    // The timeout for running calls is 20 seconds; nothing runs.
    assert!(started.elapsed().as_secs() < 10, "{:?} {}", started.elapsed(), server.log());
    eventually("the port to be closed", async || {
        tokio::net::TcpStream::connect(server.http).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_store_url_that_can_never_work_stops_the_start_without_showing_its_password() {
    for (name, url) in [
        ("DATABASE_URL", "postgres://user:secret@host/db?sslmode=perhaps"),
        ("REDIS_URL", "http://user:secret@host"),
    ] {
        let errors = refused_start(&[(name, url)], &[]);
        assert!(errors.contains("URL"), "{errors}");
        assert!(!errors.contains("secret"), "{errors}");
    }
}

#[tokio::test]
async fn a_setting_out_of_range_stops_the_start_and_names_itself_and_its_range() {
    for (name, value, flag, range) in [
        ("EPSILON", "1.5", "--epsilon", "0 to 1"),
        ("EPSILON", "NaN", "--epsilon", "0 to 1"),
        ("COLLABORATIVE_FACTORS", "4", "--collaborative-factors", "8 to 256"),
        ("SNAPSHOT_EVERY_RECORDS", "10", "--snapshot-every-records", "1000"),
    ] {
        let errors = refused_start(&[(name, value)], &[]);
        assert!(errors.contains(flag) && errors.contains(range), "{name}: {errors}");
        assert!(errors.contains(value), "{errors}");
    }
    let errors = refused_start(&[("EPSILON", "many")], &[]);
    assert!(errors.contains("--epsilon") && errors.contains("not a number"), "{errors}");
    assert!(refused_start(&[], &["--no-such-flag"]).contains("--no-such-flag"));
}

#[tokio::test]
async fn a_taken_port_stops_the_start_and_is_named() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let address = server.grpc.to_string();
    let output = command("serve")
        .args(["--grpc-addr", &address, "--http-addr", "127.0.0.1:0", "--data-dir"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains(&address), "{errors}");
}
