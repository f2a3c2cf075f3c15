//! Records that clients sent, on their way to the log.
//!
//! What names a decision that cannot be credited is recorded and learnt from as far as it
//! goes, and counted: in the answer and in a metric.

use std::sync::Arc;

use super::Service;
use super::error::Error;
use super::known_decisions::Named;
use super::log_writer::Pending;
use super::namespace::Namespace;
use super::namespaces::Namespaces;
use crate::storage::AppendOutcome;
use crate::telemetry::Metrics;
use engine::domain::Record;
use engine::domain::Sequence;

/// Records that are durable.
#[derive(Debug)]
pub struct Recorded {
    /// In the order of the records.
    pub outcomes: Vec<AppendOutcome>,
    /// The last sequence of the log after them.
    pub log_end: Sequence,
    /// New records that name a decision which was neither made here a moment ago nor among
    /// those learnt that can still be credited.
    pub unknown_decisions: u64,
}

impl Recorded {
    /// The highest sequence among the new records; 0 without any.
    pub fn last_sequence(&self) -> Sequence {
        let sequences = self.outcomes.iter().filter_map(|outcome| match outcome {
            AppendOutcome::Accepted(sequence) => Some(*sequence),
            AppendOutcome::Duplicate | AppendOutcome::Suppressed => None,
        });
        sequences.max().unwrap_or(0)
    }

    /// What was written for one user.
    ///
    /// # Errors
    /// `UserErased` where it was dropped.
    pub fn written(self) -> Result<Self, Error> {
        let is_dropped = |outcome| matches!(outcome, &AppendOutcome::Suppressed);
        if self.outcomes.iter().any(is_dropped) { Err(Error::UserErased) } else { Ok(self) }
    }
}

/// Waits for the outcome of a submission.
#[derive(Debug)]
pub struct Submitted {
    pending: Pending,
    namespace: Arc<Namespace>,
    /// Which of the records name a decision.
    named: Vec<(u32, Named)>,
    metrics: Arc<Metrics>,
    namespaces: Arc<Namespaces>,
}

impl Submitted {
    /// # Errors
    /// What kept the records from being written.
    pub async fn outcome(self) -> Result<Recorded, Error> {
        let appended = self.pending.outcome().await?;
        if self.namespace.is_closed() {
            // Put to sleep since it was submitted.
            self.namespaces.wake(self.namespace.name());
        }
        let is_new = |position: u32| {
            matches!(appended.outcomes[position as usize], AppendOutcome::Accepted(_))
        };
        let named = self.named.into_iter().filter(|(position, _)| is_new(*position));
        let mut named = named.map(|(_, named)| named).peekable();
        let mut unknown_decisions = 0;
        if named.peek().is_some() {
            let known = &self.namespace.known_decisions;
            unknown_decisions = known.count_unknown(&self.namespace.view(), named);
            self.metrics.unknown_decisions.inc_by(unknown_decisions);
        }
        Ok(Recorded { outcomes: appended.outcomes, log_end: appended.log_end, unknown_decisions })
    }
}

impl Service {
    /// Hands what a client sent over to be written, within the rate limits; items get
    /// their embeddings first where there is a model for them.
    ///
    /// # Errors
    /// `RateLimited`, `Overloaded`, and what the log writer says.
    pub async fn submit(
        &self,
        namespace: &Arc<Namespace>,
        mut records: Vec<Record>,
    ) -> Result<Submitted, Error> {
        namespace.last_use.touch();
        if namespace.is_closed() {
            // A caller with an old handle: what is written must be learnt.
            self.namespaces.wake(namespace.name());
        }
        let now = self.clock.now();
        self.limiter.admit_events(&namespace.rates, records.len(), now).await?;
        if let Some(embedder) = &self.embedder {
            embedder.fill(&mut records, &namespace.view()).await?;
        }
        let positions = 0_u32..;
        let named = positions.zip(&records).filter_map(|(position, record)| {
            let named = Named::by(record)?;
            Some((position, named))
        });
        let named = named.collect();
        let pending = self.writer.submit(&namespace.tail, records).await?;
        let (namespace, metrics) = (namespace.clone(), self.metrics.clone());
        Ok(Submitted { pending, namespace, named, metrics, namespaces: self.namespaces.clone() })
    }

    /// Writes what a client sent and waits for the commit.
    ///
    /// # Errors
    /// As `submit`, and what kept the records from being written.
    pub async fn write(
        &self,
        namespace: &Arc<Namespace>,
        records: Vec<Record>,
    ) -> Result<Recorded, Error> {
        self.submit(namespace, records).await?.outcome().await
    }
}
