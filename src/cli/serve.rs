//! `serve`: reads the configuration, opens the stores, puts everything together,
//! and takes it apart in order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Failure;
use super::demo;
use super::stores;
use super::stores::Opened;
use crate::config::DecisionDetail;
use crate::config::Environment;
use crate::config::ServeConfig;
use crate::server;
use crate::service;
use crate::service::Detail;
use crate::service::EmbeddingModel;
use crate::service::Options;
use crate::service::PrivacySettings;
use crate::service::RateLimits;
use crate::service::Service;
use crate::service::SystemClock;
use crate::storage;
use crate::telemetry::Metrics;
use crate::telemetry::start_logging;

/// Pause before a database that was away is tried again.
const OPEN_AGAIN: Duration = Duration::from_millis(500);

/// Options of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ServeConfig,

    /// Load the bundled MovieLens data (once), train, and print calls to try
    #[arg(long)]
    demo: bool,

    /// Where the demo's data lie; default: examples/movielens here or next to the binary's sources
    #[arg(long, value_name = "DIR", requires = "demo")]
    demo_data: Option<PathBuf>,
}

/// Runs the service until it is told to stop.
///
/// # Errors
/// When the store or a port cannot be had.
pub async fn run(args: Args) -> Result<(), Failure> {
    let config = args.config;
    start_logging(config.environment == Environment::Production, config.debug);
    leave_a_core_to_serving();
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_signal(stop.clone()));

    let bound = server::bind(config.grpc_addr, config.http_addr).await?;
    let (grpc_addr, http_addr) = (bound.grpc_addr, bound.http_addr);
    let metrics = Arc::new(Metrics::default());
    let server = server::start(bound, edge(&config), metrics.clone(), stop.clone()).await?;
    let Some(opened) = open_stores(&config, &stop).await else {
        server.ended().await;
        return Ok(());
    };
    let mut opened = opened?;
    let redis = opened.join_redis(&config.stores).await?;
    let options = Options {
        settings: config.settings(),
        snapshot_every_records: config.snapshot_every_records,
        open_namespaces_max: config.open_namespaces_max as usize,
        auto_retrain: config.auto_retrain,
        rate_limits: RateLimits {
            requests_per_second: config.rate_limit_requests,
            events_per_second: config.rate_limit_events,
        },
        ready_lag_records: config.ready_lag_records,
        decision_detail: match config.decision_detail {
            DecisionDetail::Shown => Detail::Shown,
            DecisionDetail::Candidates => Detail::Candidates,
            DecisionDetail::Full => Detail::Full,
        },
        decision_retention_days: config.stores.decision_retention_days,
        suppression_days: config.suppression_days,
        privacy: privacy_settings(&config)?,
        embedding_model: embedding_model(&config)?,
    };
    let mut observed = redis.as_ref().map(stores::redis_metrics).unwrap_or_default();
    observed.push(stores::log_metrics(&opened.stores));
    metrics.observe(observed);
    let running = service::start(opened.stores, options, Arc::new(SystemClock), metrics);

    server.open(&running.service);
    // The default namespace is recovered before the service reports that it serves.
    let ready = tokio::select! {
        ready = get_ready(&running.service, config.ready_lag_records, &stop) => ready,
        () = stop.cancelled() => Ok(()),
    };
    if ready.is_ok() && !stop.is_cancelled() {
        server.set_ready().await;
        tracing::info!(grpc = %grpc_addr, http = %http_addr, stores = ?config.stores, "serving");
    } else {
        stop.cancel();
    }
    let mut shown = Ok(());
    if args.demo && ready.is_ok() && !stop.is_cancelled() {
        shown = demo::run(grpc_addr, args.demo_data.as_deref(), &stop).await;
        if stop.is_cancelled() {
            // Told to stop in the middle of it.
            shown = Ok(());
        } else if shown.is_err() {
            stop.cancel();
        }
    }
    server.ended().await;
    running.stop().await;
    tracing::info!("stopped");
    ready?;
    shown
}

/// How the ports are served.
fn edge(config: &ServeConfig) -> server::Options {
    server::Options {
        max_connections: config.edge.max_connections.map(|most| most as usize),
        request_timeout: Duration::from_secs(config.edge.request_seconds),
        shutdown_timeout: Duration::from_secs(config.shutdown_seconds),
    }
}

fn privacy_settings(config: &ServeConfig) -> Result<PrivacySettings, Failure> {
    let privacy = &config.privacy;
    let (epsilon, delta) = (privacy.privacy_epsilon, privacy.privacy_delta);
    Ok(PrivacySettings::new(epsilon, delta, privacy.privacy_period_days)?)
}

/// Loads the model that makes embeddings, if there is to be one.
fn embedding_model(config: &ServeConfig) -> Result<Option<Arc<EmbeddingModel>>, Failure> {
    let Some(directory) = &config.embedding_model_dir else {
        return Ok(None);
    };
    let wrong = |reason: String| format!("EMBEDDING_MODEL_DIR {}: {reason}", directory.display());
    let model = EmbeddingModel::open(directory).map_err(|error| wrong(error.to_string()))?;
    let (made, expected) = (model.dimension(), config.content_embedding_dim as usize);
    if made != expected {
        let reason =
            format!("its vectors have {made} numbers, CONTENT_EMBEDDING_DIM is {expected}");
        return Err(wrong(reason).into());
    }
    Ok(Some(Arc::new(model)))
}

/// Opens the stores; waits for a server that is away, since it may start after us.
/// `None` when told to stop.
async fn open_stores(
    config: &ServeConfig,
    stop: &CancellationToken,
) -> Option<Result<Opened, storage::Error>> {
    loop {
        let config = config.stores.clone();
        let embedded = config.database_url.is_none();
        let opened = tokio::task::spawn_blocking(move || stores::open(&config));
        match opened.await {
            Ok(Err(storage::Error::Unavailable { reason })) if !embedded => {
                tracing::warn!(reason, "waiting for the database");
            }
            Ok(opened) => return Some(opened),
            Err(panicked) => {
                let reason = panicked.to_string();
                return Some(Err(storage::Error::Unavailable { reason }));
            }
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(OPEN_AGAIN) => {}
        }
    }
}

/// Opens the default namespace; a shared store that goes away meanwhile is waited for.
async fn get_ready(
    service: &Service,
    lag_max: u64,
    stop: &CancellationToken,
) -> Result<(), service::Error> {
    loop {
        let ready = service.namespaces.get_ready(lag_max).await;
        match ready {
            Err(service::Error::Storage(storage::Error::Unavailable { reason }))
                if service.store_is_shared() && !stop.is_cancelled() =>
            {
                tracing::warn!(reason, "waiting for the database");
                tokio::time::sleep(OPEN_AGAIN).await;
            }
            ready => return ready.map(drop),
        }
    }
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
            tracing::error!(%error, "SIGTERM cannot be received; only Ctrl-C stops this process");
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
