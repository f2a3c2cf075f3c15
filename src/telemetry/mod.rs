//! What operators see: logs and metrics.

mod logging;
mod metrics;
mod observed;

pub use logging::start_logging;
pub use metrics::{Counted, Metrics};
pub use observed::Observed;
