//! Changes of what is set for a user.
//!
//! - A record holds the change and not its outcome, so changes on several replicas need no order
//!   among themselves.
//! - What the bounds of a user leave out is refused as far as this replica knows; of changes at a time
//!   the engine leaves out the same on every replica.

use std::sync::Arc;
use std::time::Duration;

use super::Service;
use super::error::Error;
use super::namespace::Namespace;
use engine::View;
use engine::domain::FullList;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Timestamp;
use engine::domain::UserRules;
use engine::domain::UserUpdate;
use engine::domain::Violation;
use engine::domain::limits;

/// Longest wait for a change that is durable to be learnt.
const LEARNT_TIMEOUT: Duration = Duration::from_secs(2);

impl Service {
    /// Changes a user. Returns the sequence of the change, and the view with it unless it is not
    /// learnt in time.
    ///
    /// # Errors
    /// `Invalid` where a list of the user has no space; `UserErased`; what keeps records from being written.
    pub async fn update_user(
        &self,
        namespace: &Arc<Namespace>,
        update: UserUpdate,
        timeout: Duration,
    ) -> Result<(Sequence, Option<Arc<View>>), Error> {
        check_space(&namespace.view(), &update, self.clock.now()).map_err(Error::Invalid)?;
        let recorded = self.write(namespace, vec![Record::UserUpdated(update)]).await?.written()?;
        let sequence = recorded.last_sequence();
        let view = namespace.view_at(sequence, timeout.min(LEARNT_TIMEOUT)).await;
        Ok((sequence, view.ok()))
    }
}

/// # Errors
/// The lists that would hold more than they may.
fn check_space(view: &View, update: &UserUpdate, now: Timestamp) -> Result<(), Vec<Violation>> {
    let user = view.user_index(update.user_id.as_str()).map(|index| view.user(index));
    let mut rules = user.map_or_else(UserRules::default, |user| UserRules::clone(&user.rules));
    let violation = |full: FullList| {
        let FullList { name, most } = full;
        let kib = limits::USER_RULES_BYTES / 1024;
        let reason =
            format!("does not fit: a user has at most {most}, and {kib} KiB of rules in all");
        let is_added = !update.rules.replaces(name);
        let field = if is_added { format!("add.{name}") } else { format!("user.rules.{name}") };
        Violation::new(field, reason)
    };
    let full = update.rules.apply_to(&mut rules, now);
    let mut violations: Vec<Violation> = full.into_iter().map(violation).collect();
    let before = user.map(|user| user.attributes.clone()).unwrap_or_default();
    let after = update.attributes.applied_to(&before);
    if update.attributes.set.iter().any(|(name, value)| after.get(name) != Some(value)) {
        let (most, kib) = (limits::ATTRIBUTES, limits::ATTRIBUTES_BYTES / 1024);
        let reason = format!("does not fit: a user has at most {most}, and {kib} KiB in all");
        violations.push(Violation::new("user.attributes", reason));
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}
