//! What was done of the erasure of a user, as it is stored.

use serde::Deserialize;
use serde::Serialize;

use super::error::Error;
use crate::storage::StoredErasure;
use engine::domain::Sequence;

/// What was done of an erasure. Stored as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureReport {
    pub requested_at_ms: i64,
    /// The record that took the user out of serving; 0: it is not written yet.
    pub sequence: Sequence,
    /// Records of the user that were replaced by placeholders.
    pub replaced: u64,
    /// When the log held nothing of the user any more, snapshots neither; 0: not yet.
    pub replaced_at_ms: i64,
    /// The state that was built from the log after that, once it was.
    pub state: Option<StateWithout>,
    /// When the last model that knows the user had gone; 0: not yet.
    pub finished_at_ms: i64,
    /// The model that came after it; 0: there never was one that knows the user.
    pub model_version: u64,
}

/// A state that knows nothing of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateWithout {
    /// It has learnt the log up to this record...
    pub watermark: Sequence,
    /// ...of this revision...
    pub log_revision: u64,
    /// ...and this is its digest, hexadecimal.
    pub digest: String,
}

/// An erasure with what was done of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    pub erasure_id: String,
    pub report: ErasureReport,
}

impl Erasure {
    /// # Errors
    /// `Internal` when the report is not one of ours.
    pub fn read(stored: &StoredErasure) -> Result<Self, Error> {
        let report = serde_json::from_str(&stored.report)
            .map_err(|error| Error::internal(&format!("the report of an erasure: {error}")))?;
        Ok(Self { erasure_id: stored.erasure_id.clone(), report })
    }
}

impl ErasureReport {
    pub fn as_json(&self) -> String {
        serde_json::to_string(self).expect("a report has text keys only")
    }
}
