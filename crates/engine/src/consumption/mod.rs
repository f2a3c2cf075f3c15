//! What each user does with each item: events folded into consumptions, updated with every one.

mod activity;
mod folding;
mod history;
mod impressions;
mod responses;
mod return_gap;
mod session;
mod strength;
mod user;
mod weighing;

pub use activity::{Activity, ActivityKind};
pub use folding::{Change, Consumption, Evidence};
pub use history::History;
pub use impressions::{Impressions, is_within_a_day};
pub use responses::Response;
pub use return_gap::ReturnGap;
pub use user::{Event, Live, User};
pub use weighing::OUTGROWN;
