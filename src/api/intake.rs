//! Counting what comes in on a stream, or in a call without one: good messages go on as
//! records, bad ones are reported with their index and never touch their neighbours.

use tonic::Status;

use super::convert;
use super::status;
use crate::proto;
use crate::service::Recorded;
use crate::storage::AppendOutcome;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Violation;
use engine::domain::limits;

/// Counts of one stream so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub received: u64,
    pub accepted: u64,
    pub duplicates: u64,
    pub rejected: u64,
    /// Of users who were erased.
    pub suppressed: u64,
    /// Of the accepted ones, those that name a decision which could not be credited.
    pub unknown_decisions: u64,
    pub last_sequence: Sequence,
}

impl Counts {
    /// Adds what became of a submission.
    pub fn settle(&mut self, recorded: &Recorded) {
        self.unknown_decisions += recorded.unknown_decisions;
        for outcome in &recorded.outcomes {
            match outcome {
                AppendOutcome::Accepted(sequence) => {
                    self.accepted += 1;
                    self.last_sequence = self.last_sequence.max(*sequence);
                }
                AppendOutcome::Duplicate => self.duplicates += 1,
                AppendOutcome::Suppressed => self.suppressed += 1,
            }
        }
    }

    /// A status that ends a stream carries how far it got.
    pub fn attach(&self, status: Status) -> Status {
        status::with_counts(
            status,
            &[
                ("received", self.received),
                ("accepted", self.accepted),
                ("duplicates", self.duplicates),
                ("rejected", self.rejected),
                ("suppressed", self.suppressed),
                ("unknown_decisions", self.unknown_decisions),
                ("last_sequence", self.last_sequence),
            ],
        )
    }
}

/// Checks the messages of one stream, in order.
#[derive(Debug, Default)]
pub struct Intake {
    pub received: u64,
    pub rejected: u64,
    rejections: Vec<proto::Rejection>,
    described: usize,
}

impl Intake {
    /// Takes the outcome of checking one message. `id` is how the caller knows it.
    pub fn take(
        &mut self,
        id: impl FnOnce() -> String,
        checked: Result<Record, Vec<Violation>>,
    ) -> Option<Record> {
        let index = self.received;
        self.received += 1;
        match checked {
            Ok(record) => Some(record),
            Err(violations) => {
                self.rejected += 1;
                if self.described < limits::REJECTIONS_DESCRIBED {
                    self.described += 1;
                    self.rejections.push(convert::rejection(index, &id(), violations));
                }
                None
            }
        }
    }

    /// Rejections described since the last call.
    pub fn drain_rejections(&mut self) -> Vec<proto::Rejection> {
        std::mem::take(&mut self.rejections)
    }

    /// # Errors
    /// When so much was rejected that the producer must be broken.
    pub fn check_rejections(&self) -> Result<(), Status> {
        if self.rejected > limits::REJECTIONS_PER_STREAM {
            let reason =
                format!("must not be bad more than {} times", limits::REJECTIONS_PER_STREAM);
            return Err(status::invalid(vec![Violation::new("stream", reason)]));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_keep_the_index_of_the_stream_and_are_described_up_to_a_bound() {
        let mut intake = Intake::default();
        for _ in 0..limits::REJECTIONS_DESCRIBED + 50 {
            assert!(intake.take(String::new, Err(vec![Violation::new("a", "is bad")])).is_none());
        }
        let described = intake.drain_rejections();
        assert_eq!(described.len(), limits::REJECTIONS_DESCRIBED);
        assert_eq!(described[7].index, 7);
        assert_eq!(intake.rejected, limits::REJECTIONS_DESCRIBED as u64 + 50);
        assert!(intake.check_rejections().is_ok());
    }

    #[test]
    fn a_stream_of_nothing_but_bad_messages_is_ended() {
        let mut intake = Intake::default();
        for _ in 0..=limits::REJECTIONS_PER_STREAM {
            intake.take(String::new, Err(Vec::new()));
        }
        assert!(intake.check_rejections().is_err());
    }
}
