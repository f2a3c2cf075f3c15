//! Erasing a user: what a caller asks for.
//!
//! - The request is stored before anything is done: it outlives a crash at any point, and the
//!   process that leads the namespace does what is undone (`owner/erasing.rs`).
//! - From then on records of the user are dropped where they are appended. Sent again, the call
//!   finds the same erasure.
//! - The record `UserErased` takes the user out of serving on every replica that learns it.

use std::sync::Arc;
use std::time::Duration;

use super::Service;
use super::Stores;
use super::erasure::Erasure;
use super::erasure::ErasureReport;
use super::error::Error;
use super::namespace::Namespace;
use super::owner::out_of_serving;
use super::profile::profile_key;
use crate::storage::StoredErasure;
use engine::View;
use engine::domain::Timestamp;
use engine::domain::UserId;

impl Service {
    /// Erases a user, with all ids that answer as that user. Returns once the user is out of serving
    /// here; the rest is done soon after. The same call again returns the same erasure.
    ///
    /// # Errors
    /// `WatermarkNotReached` when the record is written and not learnt in time; storage errors. The
    /// erasure may be stored all the same, and is then done.
    pub async fn erase_user(
        &self,
        namespace: &Arc<Namespace>,
        user_id: &UserId,
        timeout: Duration,
    ) -> Result<Erasure, Error> {
        namespace.last_use.touch();
        let view = self.namespaces.view_of_all(namespace, timeout).await?;
        let now = self.clock.now();
        let report = ErasureReport { requested_at_ms: now.as_millis(), ..Default::default() };
        let erasure = StoredErasure {
            erasure_id: uuid::Uuid::new_v4().to_string(),
            user_ids: ids_of(&view, user_id),
            report: report.as_json(),
            is_finished: false,
        };
        let until = now.plus_millis(i64::from(self.suppression_days) * Timestamp::DAY_MS);
        let partition = namespace.tail.partition.clone();
        let begin = move |stores: &Stores| stores.erasures.begin(&partition, &erasure, now, until);
        let mut stored = self.namespaces.with_stores(begin).await?;
        // From here on nothing is merged with these ids. What was until now is of the same user.
        let view = self.namespaces.view_of_all(namespace, timeout).await?;
        let mut missing = ids_of(&view, user_id);
        missing.retain(|id| !stored.user_ids.contains(id));
        if !stored.user_ids.is_empty() && !missing.is_empty() {
            let (partition, id) = (namespace.tail.partition.clone(), stored.erasure_id.clone());
            let add =
                move |stores: &Stores| stores.erasures.add_ids(&partition, &id, &missing, until);
            let added = self.namespaces.with_stores(add).await?;
            stored = added.ok_or_else(|| Error::internal("an erasure is gone"))?;
        }
        for user_id in &stored.user_ids {
            self.cache().remove(&profile_key(&namespace.tail.partition, user_id)).await;
        }
        let stored = out_of_serving(&self.namespaces, namespace, stored).await?;
        let erasure = Erasure::read(&stored)?;
        namespace.view_at(erasure.report.sequence, timeout).await?;
        Ok(erasure)
    }

    /// An erasure by its id.
    ///
    /// # Errors
    /// `NoErasure`; storage errors.
    pub async fn erasure(
        &self,
        namespace: &Arc<Namespace>,
        erasure_id: &str,
    ) -> Result<Erasure, Error> {
        let (partition, id) = (namespace.tail.partition.clone(), erasure_id.to_owned());
        let find = move |stores: &Stores| stores.erasures.erasure(&partition, &id);
        let found = self.namespaces.with_stores(find).await?;
        Erasure::read(&found.ok_or_else(|| Error::NoErasure(erasure_id.to_owned()))?)
    }

    /// Accepts records of a user again who was erased. Returns whether there was something to do.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn readmit_user(
        &self,
        namespace: &Arc<Namespace>,
        user_id: &UserId,
    ) -> Result<bool, Error> {
        let (partition, id) = (namespace.tail.partition.clone(), user_id.clone());
        let readmit = move |stores: &Stores| stores.erasures.readmit(&partition, &id);
        self.namespaces.with_stores(readmit).await
    }
}

/// All ids of a user.
fn ids_of(view: &View, user_id: &UserId) -> Vec<UserId> {
    let user = view.aliases().resolve(user_id.as_str());
    let ids = std::iter::once(user).chain(view.aliases().of(user));
    ids.map(|id| UserId::parse(id).expect("ids of the state are those of records")).collect()
}
