//! Redis behind TLS, under Sentinel, and as a cluster.

use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use personalization::storage::RedisOptions;
use personalization::storage::TailFeed;
use personalization::storage::connect_redis;

use crate::redis::arrives;
use crate::redis::batch;
use crate::redis::connected;
use crate::redis::options;
use crate::redis::shares_values;
use crate::redis_process::RedisProcess;
use crate::redis_process::eventually;
use crate::redis_process::free_port;
use crate::redis_process::wait_for;

fn openssl(directory: &Path, arguments: &str) {
    let status = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(directory)
        .stderr(Stdio::null())
        .status()
        .expect("openssl; apt-get install openssl, or run ./scripts/test");
    assert!(status.success(), "openssl {arguments}");
}

/// A CA of our own and a certificate for 127.0.0.1 by it.
fn make_certificates(directory: &Path) {
    std::fs::write(directory.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(directory, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"));
    openssl(directory, &format!("req {key} -keyout key.pem -out request.pem -subj /CN=redis"));
    openssl(
        directory,
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out cert.pem \
         -extfile names",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_works_with_a_ca_file_and_refuses_without_it() {
    let tls_port = free_port();
    let port = tls_port.to_string();
    let arguments = [
        ["--tls-port", &port],
        ["--tls-cert-file", "cert.pem"],
        ["--tls-key-file", "key.pem"],
        ["--tls-ca-cert-file", "ca.pem"],
        ["--tls-auth-clients", "no"],
        ["--loglevel", "verbose"],
        ["--logfile", "log"],
    ];
    let mut server = RedisProcess::stopped(arguments.as_flattened());
    make_certificates(server.directory());
    server.run();
    let options = RedisOptions {
        ca_file: Some(server.directory().join("ca.pem")),
        ..options(format!("rediss://127.0.0.1:{tls_port}"))
    };
    let (here, there) = (connected(&options).await, connected(&options).await);
    arrives(&here, &there, 1).await;
    shares_values(&here, &there, "key").await;

    let other_ca = server.directory().join("other_ca");
    std::fs::create_dir(&other_ca).unwrap();
    make_certificates(&other_ca);
    let wrong = RedisOptions { ca_file: Some(other_ca.join("ca.pem")), ..options };
    let refused = connect_redis(&wrong, crate::redis::IDENTITY).await.unwrap();
    let log = server.directory().join("log");
    eventually("a handshake that was broken off", async || {
        std::fs::read_to_string(&log).unwrap().contains("Error accepting a client connection")
    })
    .await;
    assert_eq!(refused.counts().connections, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_sentinel_the_new_primary_is_found_after_a_failover() {
    let mut primary = RedisProcess::start(&[]);
    let port = primary.port.to_string();
    let replica = RedisProcess::start(&["--replicaof", "127.0.0.1", &port]);
    wait_for("the replica", || primary.cli(&["INFO", "replication"]).contains("state=online"));
    let sentinel = RedisProcess::sentinel(primary.port);
    wait_for("Sentinel to know the replica", || {
        sentinel.cli(&["SENTINEL", "REPLICAS", "main"]).contains(&replica.port.to_string())
    });
    let url = format!("redis-sentinel://127.0.0.1:{}?sentinelServiceName=main", sentinel.port);
    let options = options(url);
    let (here, there) = (connected(&options).await, connected(&options).await);
    arrives(&here, &there, 1).await;
    shares_values(&here, &there, "before").await;
    primary.kill();
    arrives(&here, &there, 11).await;
    shares_values(&here, &there, "after").await;
    assert!(replica.cli(&["ROLE"]).starts_with("master"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_made_a_replica_is_left() {
    let primary = RedisProcess::start(&[]);
    let options = options(primary.url());
    let here = connected(&options).await;
    let other = RedisProcess::start(&[]);
    primary.cli(&["REPLICAOF", "127.0.0.1", &other.port.to_string()]);
    eventually("connections to be made again", async || {
        here.tail().publish(vec![batch(1, 100)]);
        here.counts().connections > 3
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_works_as_one_server_does() {
    let nodes: Vec<_> = (0..3).map(|_| cluster_node()).collect();
    for (i, range) in [("0", "5460"), ("5461", "10922"), ("10923", "16383")].iter().enumerate() {
        let (node, _) = &nodes[i];
        assert_eq!(node.cli(&["CLUSTER", "ADDSLOTSRANGE", range.0, range.1]), "OK");
        node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(i + 1).to_string()]);
        let (port, bus) = (node.port.to_string(), nodes[i].1.to_string());
        assert_eq!(nodes[0].0.cli(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]), "OK");
    }
    wait_for("the cluster", || {
        nodes.iter().all(|(node, _)| {
            let info = node.cli(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        })
    });
    let url =
        format!("redis-cluster://127.0.0.1:{}?node=127.0.0.1:{}", nodes[0].0.port, nodes[1].0.port);
    let options = options(url);
    let (here, there) = (connected(&options).await, connected(&options).await);
    for i in 0..20 {
        arrives(&here, &there, 1 + 10 * i).await;
        shares_values(&here, &there, &format!("key {i}")).await;
    }
    let used = nodes.iter().filter(|(node, _)| node.cli(&["DBSIZE"]) != "0").count();
    assert_eq!(used, 3, "keys lie on all nodes");
}

/// A server in cluster mode and the port of its bus.
fn cluster_node() -> (RedisProcess, u16) {
    let bus = free_port();
    let port = bus.to_string();
    let node = RedisProcess::start(&[
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &port,
        "--cluster-node-timeout",
        "1000",
    ]);
    (node, bus)
}
