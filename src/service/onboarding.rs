//! What to ask a new user about.

use std::sync::Arc;

use super::Service;
use super::blocking::Deadline;
use super::blocking::Expiry;
use super::error::Error;
use engine::Eligibility;
use engine::Filter;
use engine::OnboardingItem;
use engine::UserContext;
use engine::View;
use engine::domain::Timestamp;
use engine::onboarding_items;

impl Service {
    /// At most `n` items of the catalogue, the most telling first.
    ///
    /// # Errors
    /// Those of [`Reads::run`](super::Reads::run).
    pub async fn onboarding_items(
        &self,
        view: Arc<View>,
        filter: Filter,
        now: Timestamp,
        n: usize,
        deadline: Deadline,
    ) -> Result<Vec<OnboardingItem>, Error> {
        let work = move |_: &Expiry| {
            let nobody = UserContext::default();
            let eligible = Eligibility::new(&view, &filter, "", &nobody, now, &[]);
            onboarding_items(&view, &eligible, n)
        };
        self.reads.run(deadline, work).await
    }
}
