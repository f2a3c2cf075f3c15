//! Slices of time as units: which one a time is in, and which variant it has.

use crate::domain::Experiment;
use crate::domain::Split;
use crate::domain::Timestamp;
use crate::experiments::buckets::bucket;
use crate::experiments::units::Unit;

/// The slice that a time is in; none for an experiment that is split by user. Slices are counted
/// from 1970, so all replicas and all callers cut time alike.
pub fn slice_at(experiment: &Experiment, at: Timestamp) -> Option<Unit> {
    let Split::TimeSlices { slice_seconds, .. } = experiment.split else {
        return None;
    };
    let length = 1_000 * i64::from(slice_seconds.max(1));
    let number = at.as_millis().div_euclid(length);
    let bucket = bucket(experiment.salt.as_str(), &number.to_string());
    Some(Unit {
        key: number as u64,
        exposed_at: Timestamp::from_millis(number.saturating_mul(length)),
        variant: experiment.variant_of(bucket),
        is_void: false,
        merged_back: 0,
    })
}
