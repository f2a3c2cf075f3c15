//! Experiments as state: what runs, who exposed, what was measured.
//!
//! - [`bucket`] and [`layers`] say who gets what; [`Units`] holds who has exposed, which decides from
//!   then on. [`Entry`] is one experiment; [`Registry`] is all of them.
//! - Everything is a function of the log. A request reads it and changes nothing.
//! - [`Results`] are computed from sums, with the statistics of their crate.

mod backfill;
mod buckets;
mod contribution;
mod coverage;
mod entry;
mod figures;
mod judge;
pub mod layers;
mod layout;
mod learnt_allocation;
mod own_ranker;
mod registry;
mod results;
mod sample_ratio;
mod series;
mod slices;
mod sums;
mod tally;
mod units;
mod verdict;

pub use backfill::Backfill;
pub use buckets::bucket;
pub use buckets::layer_bucket;
pub use contribution::Contribution;
pub use entry::Entry;
pub use entry::HistoryLine;
pub use entry::StopCause;
pub use figures::ArmResult;
pub use figures::MetricResult;
pub use figures::TreatmentResult;
pub use figures::users_for_lift;
pub use layout::Field;
pub use own_ranker::OwnRanker;
pub use registry::Registry;
pub use results::Results;
pub use results::SeriesPoint;
pub use sample_ratio::RatioFinding;
pub use slices::slice_at;
pub use units::Unit;
pub use units::UnitTables;
pub use units::Units;
pub use verdict::Advice;
pub use verdict::Verdict;
