//! What operators see: logs and metrics.

mod edge;
mod logging;
mod metrics;
mod observed;

pub use edge::EdgeMetrics;
pub use logging::start_logging;
pub use metrics::{Counted, Metrics};
pub use observed::Observed;
