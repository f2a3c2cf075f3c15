//! Later pages of a list: the pages before one, wherever they were made.
//!
//! - A page is known by the view, or by what this replica made a moment ago
//!   ([`UnlearntPages`](super::unlearnt_pages::UnlearntPages)).
//! - One that another replica made a moment ago is waited for. Ids of decisions say when they were
//!   made, so an old one that is not known costs no wait.
//! - A list of which a page is not known cannot be continued: it could show something twice.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::Service;
use super::blocking::Deadline;
use super::error::Error;
use super::namespace::Namespace;
use super::personalize::PersonalizeCall;
use engine::NotContinued;
use engine::View;
use engine::decision_key;
use engine::domain::Timestamp;
use engine::domain::Violation;

/// Longest wait for a page that another replica made: far more than its lag.
const WAIT: Duration = Duration::from_secs(2);
/// A page that was made before that is learnt by now, or lost; clocks differ less.
const RECENT_MS: i64 = 60_000;

impl Namespace {
    /// The call with what the pages before have shown, where it asks for a later page.
    ///
    /// # Errors
    /// `Invalid` when the page before is another user's; `PageExpired` when the list cannot be
    /// continued.
    pub fn continued(&self, view: &View, call: PersonalizeCall) -> Result<PersonalizeCall, Error> {
        let Some(before) = &call.continue_from else {
            return Ok(call);
        };
        let key = decision_key(before.as_str());
        match view.pages_up_to(call.user_id.as_str(), key, |key| self.unlearnt_pages.get(key)) {
            Ok(earlier) => Ok(PersonalizeCall { earlier: Arc::new(earlier), ..call }),
            Err(NotContinued::Unknown) => Err(Error::PageExpired(before.to_string())),
            Err(NotContinued::OtherUser) => {
                let reason = "must be a decision for this user, is one for another";
                Err(Error::Invalid(vec![Violation::new("continue_from", reason)]))
            }
        }
    }
}

impl Service {
    /// The view for a page after `continue_from`, given the newest one: one that knows the page
    /// before, if it comes in time and this replica did not make it. Empty: no page is before.
    ///
    /// # Errors
    /// `DeadlinePassed`.
    pub async fn view_to_continue(
        &self,
        namespace: &Namespace,
        view: Arc<View>,
        continue_from: &str,
        deadline: Deadline,
    ) -> Result<Arc<View>, Error> {
        let key = decision_key(continue_from);
        let is_known = |view: &View| view.knows_decision(key);
        let is_here = is_known(&view) || namespace.unlearnt_pages.get(key).is_some();
        if is_here || !is_recent(continue_from, self.clock.now()) {
            return Ok(view);
        }
        deadline.bound(namespace.view_where(is_known, WAIT)).await
    }
}

/// Whether the id of a decision says that it was made a moment ago.
fn is_recent(decision_id: &str, now: Timestamp) -> bool {
    let made = Uuid::try_parse(decision_id).ok().and_then(|id| id.get_timestamp());
    made.is_some_and(|made| {
        let seconds = i64::try_from(made.to_unix().0).unwrap_or(i64::MAX);
        let made = Timestamp::from_seconds(seconds);
        made > now.plus_millis(-RECENT_MS) && made < now.plus_millis(RECENT_MS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_decision_of_a_moment_ago_is_waited_for() {
        let now = Timestamp::from_seconds(1_700_000_000);
        let made = |seconds: u64| {
            Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0)).to_string()
        };
        assert!(is_recent(&made(1_700_000_000), now) && is_recent(&made(1_699_999_950), now));
        assert!(!is_recent(&made(1_699_999_900), now) && !is_recent(&made(1_700_000_100), now));
        assert!(!is_recent("", now) && !is_recent("of a caller", now));
        assert!(!is_recent(&Uuid::nil().to_string(), now));
    }
}
