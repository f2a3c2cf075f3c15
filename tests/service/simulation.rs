//! `simulate` on a running server: its lists earn more than random ones, and it leaves nothing behind.

use personalization::proto::ListNamespacesRequest;
use serde_json::Value;

use crate::harness::Server;
use crate::harness::command;

/// A small world on a server; the figures as JSON, and the text.
fn simulate(server: &Server, arguments: &[&str]) -> (Value, String) {
    let output = command("simulate")
        .args(["--addr", &format!("http://{}", server.grpc), "--json", "-"])
        .args(["--people", "200", "--rounds", "10", "--positions", "6"])
        .args(arguments)
        .output()
        .expect("the command runs");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success(), "{text}");
    (serde_json::from_slice(&output.stdout).expect("JSON"), text)
}

fn rate(figures: &Value, policy: &str) -> f64 {
    let policies = figures["policies"].as_array().expect("policies");
    let found = policies.iter().find(|it| it["policy"] == policy).expect("the policy");
    found["rate"].as_f64().expect("a rate")
}

#[tokio::test]
async fn served_lists_earn_more_than_random_ones_in_both_worlds() {
    let server = Server::start().await;
    let page = tempfile::NamedTempFile::new().expect("a temporary file");
    let html = page.path().to_str().expect("UTF-8");
    for arguments in [
        ["--world", "shop", "--items", "120", "--drift", "0.5", "--html", html],
        ["--world", "news", "--items", "120", "--train-every", "0", "--seed", "2"],
    ] {
        let (figures, text) = simulate(&server, &arguments);
        let [service, random, oracle] =
            ["service", "random", "oracle"].map(|policy| rate(&figures, policy));
        assert!(1.2 * random < service && service < oracle, "{text}");
        assert!(text.contains("of the oracle") && text.contains("Click rate by round"), "{text}");
        let has_drift = arguments.contains(&"--drift");
        assert_eq!(text.contains("visits since the drift"), has_drift, "{text}");
    }
    let written = std::fs::read_to_string(page.path()).expect("the page");
    assert!(written.contains("<polyline") && written.contains("Recovery from the drift"));
    let api = server.api().await;
    let request = ListNamespacesRequest::default();
    let namespaces = api.admin.clone().list_namespaces(request).await.expect("namespaces");
    assert_eq!(namespaces.into_inner().namespaces.len(), 1, "only the default is left");
}

#[tokio::test]
async fn a_simulation_takes_no_namespace_that_exists() {
    let server = Server::start().await;
    let output = command("simulate")
        .args(["--addr", &format!("http://{}", server.grpc)])
        .args(["--world", "shop", "--namespace", "default"])
        .output()
        .expect("the command runs");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("default"));
}
