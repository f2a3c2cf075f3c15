//! The record of a change of an experiment.

use crate::domain::experiment::Experiment;
use crate::domain::sequence::Sequence;

/// An experiment in place of the one of its key, or a new one.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentChange {
    pub experiment: Experiment,
    /// The last record that changed any experiment of the namespace, as far as its writer knew; 0: none.
    /// When there was another one meanwhile this record changes nothing: two changes that
    /// were made at a time may not take the same buckets of a layer.
    pub replaces: Sequence,
    /// Who made it, in the caller's words. Empty: not said.
    pub by: Box<str>,
    /// What it changes and why, for readers.
    pub what: Box<str>,
}
