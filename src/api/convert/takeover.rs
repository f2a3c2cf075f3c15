//! A change of how much is taken over.

use super::durations::seconds;
use super::scalars::merge;
use crate::proto;
use engine::domain::TakeoverChange;
use engine::domain::Violation;
use engine::domain::Violations;

/// # Errors
/// Every value out of range.
pub fn takeover_change(
    message: &proto::SetTakeoverRequest,
) -> Result<TakeoverChange, Vec<Violation>> {
    let mut violations = Violations::default();
    let window = message.reward_window.map(seconds).transpose();
    let window = violations.take("reward_window", window).flatten();
    let change = TakeoverChange {
        share: message.share,
        popular_share: message.popular_share,
        alpha: message.alpha,
        reward_window_seconds: window,
        restart: message.restart,
    };
    let change = merge(&mut violations, change.check());
    match change {
        Some(change) => violations.finish(change),
        None => Err(violations.into_vec()),
    }
}
