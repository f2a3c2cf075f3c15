//! Structured logs on standard error.

use tracing_subscriber::EnvFilter;

/// Starts logging for the process: as text in development, as JSON for
/// machines in production. `RUST_LOG` overrides the level.
pub fn start_logging(json: bool, debug: bool) {
    let level = if debug { "debug" } else { "info" };
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_unset| EnvFilter::new(format!("warn,personalization={level}")));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first subscriber.
    let _already = if json { logs.json().try_init() } else { logs.with_target(false).try_init() };
}
