//! `serve`: reads the configuration, opens the store, puts everything together,
//! and takes it apart in order.
//!
//! The only place that names a storage backend.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::demo;
use crate::config::Environment;
use crate::config::ServeConfig;
use crate::domain::NamespaceName;
use crate::server;
use crate::service;
use crate::service::Options;
use crate::service::Stores;
use crate::service::SystemClock;
use crate::storage::SqliteOptions;
use crate::storage::open_sqlite;
use crate::telemetry::Metrics;
use crate::telemetry::start_logging;

/// Options of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ServeConfig,

    /// Load the bundled MovieLens data (once), train, and print calls to try
    #[arg(long)]
    demo: bool,

    /// Where the demo's data lie; default: examples/movielens here or beside the binary's sources
    #[arg(long, value_name = "DIR", requires = "demo")]
    demo_data: Option<PathBuf>,
}

/// Runs the service until it is told to stop.
///
/// # Errors
/// When the store or a port cannot be had.
pub async fn run(args: Args) -> Result<(), Failure> {
    let config = args.config;
    ServeConfig::refuse_unsupported(|name| std::env::var_os(name).is_some())?;
    start_logging(config.environment == Environment::Production, config.debug);
    leave_a_core_to_serving();

    let bound = server::bind(config.grpc_addr, config.http_addr).await?;
    let store =
        SqliteOptions { path: config.data_dir.clone(), dedup_horizon: config.dedup_horizon_events };
    let store = tokio::task::spawn_blocking(move || open_sqlite(&store)).await??;
    let stores = Stores { log: store.clone(), snapshots: store.clone(), namespaces: store.clone() };
    let options = Options {
        settings: config.settings(),
        snapshot_every_records: config.snapshot_every_records,
        auto_retrain: config.auto_retrain,
    };
    let running =
        service::start(stores, options, Arc::new(SystemClock), Arc::new(Metrics::default()));
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_signal(stop.clone()));

    let (grpc_addr, http_addr) = (bound.grpc_addr, bound.http_addr);
    let (health_ready, health) = oneshot::channel();
    let patience = Duration::from_secs(config.shutdown_seconds);
    let serving = tokio::spawn(server::run(
        bound,
        running.service.clone(),
        stop.clone(),
        patience,
        move |health| drop(health_ready.send(health)),
    ));
    // The default namespace is recovered before anybody is told that we serve.
    let opened = running.service.namespaces.get(&NamespaceName::default()).await;
    let opened = opened.map(|namespace| namespace.view().watermark());
    if let (Ok(_), Ok(health)) = (&opened, health.await) {
        health.set(true).await;
        tracing::info!(grpc = %grpc_addr, http = %http_addr, data = %config.data_dir.display(), "serving");
    } else {
        stop.cancel();
    }
    if args.demo && opened.is_ok() {
        demo::run(grpc_addr, args.demo_data.as_deref(), &stop).await?;
    }
    let served = serving.await?;
    running.stop().await;
    tracing::info!("stopped");
    opened?;
    Ok(served?)
}

/// Training is the only heavy parallel work; one core stays for requests.
fn leave_a_core_to_serving() {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = rayon::ThreadPoolBuilder::new().num_threads(cores.saturating_sub(1).max(1));
    // Already built in tests that serve twice in one process; then it stays.
    let _already = threads.build_global();
}

/// Cancels at Ctrl-C or SIGTERM.
async fn cancel_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::SignalKind;
    use tokio::signal::unix::signal;
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::error!(%error, "SIGTERM cannot be heard; only Ctrl-C stops this process");
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.cancel();
            }
            return;
        }
    };
    tokio::select! {
        _interrupted = tokio::signal::ctrl_c() => {}
        _terminated = terminate.recv() => {}
    }
    tracing::info!("stopping: no new work, finishing what runs");
    stop.cancel();
}
