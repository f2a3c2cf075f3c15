//! Metrics of the ports: connections, refused calls, bytes of requests.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::observed::Labels;

/// What the ports count. Cheap to clone; clones share the numbers.
#[derive(Debug, Clone, Default)]
pub struct EdgeMetrics {
    connections: Family<Labels, Gauge>,
    connections_refused: Family<Labels, Counter>,
    connections_closed: Family<Labels, Counter>,
    calls_refused: Family<Labels, Counter>,
    /// Bytes of requests that are held, as they came and as they are in memory.
    pub request_bytes: Gauge,
}

fn labels(name: &'static str, value: &'static str) -> Labels {
    vec![(name, value.to_owned())]
}

impl EdgeMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("connections", "Open connections, by port", self.connections.clone());
        registry.register(
            "connections_refused",
            "Connections not taken, by reason: the bound, the descriptors of the process",
            self.connections_refused.clone(),
        );
        registry.register(
            "connections_closed",
            "Connections closed from here, by reason",
            self.connections_closed.clone(),
        );
        registry.register(
            "calls_refused",
            "Calls refused before anything was done for them, by reason",
            self.calls_refused.clone(),
        );
        registry.register(
            "request_bytes",
            "Bytes of requests that are held until they are handed on or answered",
            self.request_bytes.clone(),
        );
    }

    /// The gauge of the open connections of a port.
    pub fn connections(&self, port: &'static str) -> Gauge {
        self.connections.get_or_create(&labels("port", port)).clone()
    }

    pub fn count_refused_connection(&self, reason: &'static str) {
        self.connections_refused.get_or_create(&labels("reason", reason)).inc();
    }

    pub fn count_closed_connection(&self, reason: &'static str) {
        self.connections_closed.get_or_create(&labels("reason", reason)).inc();
    }

    pub fn count_refused_call(&self, reason: &'static str) {
        self.calls_refused.get_or_create(&labels("reason", reason)).inc();
    }
}
