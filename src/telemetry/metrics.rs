//! Names and types of all metrics, in the text format of Prometheus.

use std::sync::PoisonError;
use std::sync::RwLock;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::histogram::exponential_buckets;
use prometheus_client::registry::Registry;

use super::edge::EdgeMetrics;
use super::observed::Labels;
use super::observed::Observed;

/// One of what a gauge counts, for as long as it lives.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: RwLock<Registry>,
    pub edge: EdgeMetrics,
    /// Interactions by outcome: accepted, duplicate, rejected.
    pub interactions: Family<Labels, Counter>,
    /// Decisions dropped from a full queue, or that the log did not take.
    pub decisions_dropped: Counter,
    /// Decisions written without how they came about, which was too long for a record.
    pub decision_details_left_out: Counter,
    /// Events that name a decision which could not be credited.
    pub unknown_decisions: Counter,
    pub commit_seconds: Histogram,
    pub commit_records: Histogram,
    pub apply_seconds: Histogram,
    pub applied_records: Counter,
    pub personalize_seconds: Histogram,
    /// Personalize answers that carry a reason for being degraded.
    pub degraded_answers: Counter,
    /// Takeovers given back by their guards.
    pub takeover_fallbacks: Counter,
    /// Times at which decisions were held for less than the reward window of a takeover.
    pub takeover_windows_not_held: Counter,
    /// Experiments that have stopped by themselves.
    pub experiments_stopped: Counter,
    /// Changes of experiments whose metrics were computed from the log.
    pub experiment_backfills: Counter,
    /// Selections of arms by strategy.
    arm_selections: Family<Labels, Counter>,
    /// Rewards of arms by outcome: accepted, duplicate.
    arm_rewards: Family<Labels, Counter>,
    /// Embeddings of items by outcome: computed, cached, failed.
    pub embeddings: Family<Labels, Counter>,
    pub embedding_seconds: Histogram,
    pub trainings: Counter,
    pub training_seconds: Histogram,
    /// Trainings that published nothing, by cause.
    training_failures: Family<Labels, Counter>,
    /// States that had learnt from a log that is no more.
    pub log_chain_breaks: Counter,
    pub snapshots: Counter,
    /// Calls refused by a rate limit.
    pub rate_limited: Counter,
    /// 1 while the log can be read, written; by operation.
    pub store_up: Family<Labels, Gauge>,
    /// Namespaces whose duties this process does.
    pub namespaces_led: Gauge,
    /// Namespaces whose states are in memory.
    pub namespaces_open: Gauge,
    /// Records that are durable but not yet applied, by namespace.
    pub lag: Family<Labels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.000_05, 2.0, 20));
        let metrics = Self {
            registry: RwLock::default(),
            edge: EdgeMetrics::default(),
            interactions: Family::default(),
            decisions_dropped: Counter::default(),
            decision_details_left_out: Counter::default(),
            unknown_decisions: Counter::default(),
            commit_seconds: seconds(),
            commit_records: Histogram::new(exponential_buckets(1.0, 4.0, 9)),
            apply_seconds: seconds(),
            applied_records: Counter::default(),
            personalize_seconds: seconds(),
            degraded_answers: Counter::default(),
            takeover_fallbacks: Counter::default(),
            takeover_windows_not_held: Counter::default(),
            experiments_stopped: Counter::default(),
            experiment_backfills: Counter::default(),
            arm_selections: Family::default(),
            arm_rewards: Family::default(),
            embeddings: Family::default(),
            embedding_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 18)),
            trainings: Counter::default(),
            training_seconds: Histogram::new(exponential_buckets(0.01, 2.0, 18)),
            training_failures: Family::default(),
            log_chain_breaks: Counter::default(),
            snapshots: Counter::default(),
            rate_limited: Counter::default(),
            store_up: Family::default(),
            namespaces_led: Gauge::default(),
            namespaces_open: Gauge::default(),
            lag: Family::default(),
        };
        metrics.registered()
    }
}

impl Metrics {
    fn register_bandits(&self, registry: &mut Registry) {
        registry.register(
            "takeover_fallbacks",
            "Takeovers given back because the ranker earned less",
            self.takeover_fallbacks.clone(),
        );
        registry.register(
            "takeover_windows_not_held",
            "Times at which decisions were held for less than the reward window of a takeover",
            self.takeover_windows_not_held.clone(),
        );
        registry.register(
            "experiments_stopped",
            "Experiments that have stopped by themselves: harmed guardrails, and planned ends",
            self.experiments_stopped.clone(),
        );
        registry.register(
            "experiment_backfills",
            "Changes of running experiments whose added metrics this process computed from the log",
            self.experiment_backfills.clone(),
        );
        registry.register(
            "arm_selections",
            "Selections of arms, by strategy",
            self.arm_selections.clone(),
        );
        registry.register(
            "arm_rewards",
            "Rewards of arms received, by outcome",
            self.arm_rewards.clone(),
        );
    }

    fn register_decisions(&self, registry: &mut Registry) {
        registry.register(
            "decisions_dropped",
            "Decisions not written: their queue is full, or refused by the log",
            self.decisions_dropped.clone(),
        );
        registry.register(
            "decision_details_left_out",
            "Decisions written without their request and candidates, which were too long",
            self.decision_details_left_out.clone(),
        );
        registry.register(
            "unknown_decisions",
            "Recorded events that name a decision that could not be credited",
            self.unknown_decisions.clone(),
        );
    }

    fn register_embeddings(&self, registry: &mut Registry) {
        registry.register(
            "embeddings",
            "Embeddings of items that came without one, by outcome",
            self.embeddings.clone(),
        );
        registry.register(
            "embedding_seconds",
            "Time to compute the embeddings of one submission",
            self.embedding_seconds.clone(),
        );
    }

    fn register_owners(&self, registry: &mut Registry) {
        registry.register("snapshots", "Snapshots stored", self.snapshots.clone());
        registry.register(
            "training_failures",
            "Trainings that published nothing, by cause",
            self.training_failures.clone(),
        );
        registry.register(
            "log_chain_breaks",
            "States rebuilt because they had learnt from a log that no longer exists",
            self.log_chain_breaks.clone(),
        );
        registry.register(
            "namespaces_led",
            "Namespaces that this process trains, snapshots, projects",
            self.namespaces_led.clone(),
        );
        registry.register(
            "namespaces_open",
            "Namespaces whose states are in memory",
            self.namespaces_open.clone(),
        );
        registry.register(
            "lag_records",
            "Durable records not yet learnt, by namespace",
            self.lag.clone(),
        );
    }

    fn registered(mut self) -> Self {
        let mut registry = Registry::with_prefix("personalization");
        registry.register(
            "interactions",
            "Interactions received, by outcome",
            self.interactions.clone(),
        );
        self.register_decisions(&mut registry);
        registry.register(
            "commit_seconds",
            "Time of a group commit to the interaction log",
            self.commit_seconds.clone(),
        );
        registry.register(
            "commit_records",
            "Records of a group commit",
            self.commit_records.clone(),
        );
        registry.register(
            "apply_seconds",
            "Time to learn one batch of records",
            self.apply_seconds.clone(),
        );
        registry.register("applied_records", "Records learnt", self.applied_records.clone());
        registry.register(
            "personalize_seconds",
            "Time to answer Personalize, without the network",
            self.personalize_seconds.clone(),
        );
        registry.register(
            "degraded_answers",
            "Personalize answers given in a degraded state",
            self.degraded_answers.clone(),
        );
        self.register_bandits(&mut registry);
        self.register_embeddings(&mut registry);
        registry.register("trainings", "Models trained and published", self.trainings.clone());
        registry.register("training_seconds", "Time of a training", self.training_seconds.clone());
        self.register_owners(&mut registry);
        registry.register(
            "rate_limited",
            "Calls refused by a rate limit",
            self.rate_limited.clone(),
        );
        registry.register(
            "store_up",
            "Whether the log can be read and written",
            self.store_up.clone(),
        );
        self.edge.register(&mut registry);
        self.registry = RwLock::new(registry);
        self
    }

    /// Counts interactions of an outcome.
    pub fn count_interactions(&self, outcome: &'static str, count: u64) {
        if count > 0 {
            self.interactions.get_or_create(&vec![("outcome", outcome.to_owned())]).inc_by(count);
        }
    }

    /// Counts a selection of an arm.
    pub fn count_arm_selection(&self, strategy: &'static str) {
        self.arm_selections.get_or_create(&vec![("strategy", strategy.to_owned())]).inc();
    }

    /// Counts a reward of an arm.
    pub fn count_arm_reward(&self, outcome: &'static str) {
        self.arm_rewards.get_or_create(&vec![("outcome", outcome.to_owned())]).inc();
    }

    /// Adds counters that are kept elsewhere.
    pub fn observe(&self, observed: Vec<Observed>) {
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        for observed in observed {
            registry.register_collector(Box::new(observed));
        }
    }

    /// Sets whether an operation of the store works.
    pub fn set_store_up(&self, operation: &'static str, up: bool) {
        let labels = vec![("operation", operation.to_owned())];
        self.store_up.get_or_create(&labels).set(i64::from(up));
    }

    /// Counts a training that published nothing.
    pub fn count_training_failure(&self, cause: &'static str) {
        self.training_failures.get_or_create(&vec![("cause", cause.to_owned())]).inc();
    }

    /// Sets the lag of a namespace.
    pub fn set_lag(&self, namespace: &str, records: u64) {
        let records = i64::try_from(records).unwrap_or(i64::MAX);
        self.lag.get_or_create(&vec![("namespace", namespace.to_owned())]).set(records);
    }

    /// Frees what is kept by the name of a namespace: it sleeps or is gone.
    pub fn forget_namespace(&self, namespace: &str) {
        self.lag.remove(&vec![("namespace", namespace.to_owned())]);
    }

    /// All metrics as text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &registry).expect("writing to a string does not fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_is_forgotten_leaves_no_series() {
        let metrics = Metrics::default();
        metrics.set_lag("shop", 3);
        metrics.set_lag("news", 0);
        assert!(metrics.render().contains("shop"));
        metrics.forget_namespace("shop");
        let text = metrics.render();
        assert!(!text.contains("shop") && text.contains("news"), "{text}");
    }
}
