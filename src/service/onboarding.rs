//! What to ask somebody new about.

use std::sync::Arc;

use super::Service;
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
    /// `Overloaded`; `ShuttingDown` when the work was cut off.
    pub async fn onboarding_items(
        &self,
        view: Arc<View>,
        filter: Filter,
        now: Timestamp,
        n: usize,
    ) -> Result<Vec<OnboardingItem>, Error> {
        let _permit = self.heavy_permit()?;
        let work = move || {
            let nobody = UserContext::default();
            let eligible = Eligibility::new(&view, &filter, "", &nobody, now, &[]);
            onboarding_items(&view, &eligible, n)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_panicked| Error::ShuttingDown)
    }
}
