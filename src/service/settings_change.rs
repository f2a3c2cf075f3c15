//! Changes of a namespace's settings.
//!
//! - A record says from which settings it was made. The engine passes over one whose
//!   settings are no longer in force, so of two changes at the same time, on whichever replicas, the
//!   second is made again from what the first left, or refused where it names an etag.
//! - Changes in one process come one after the other, so only those of other replicas are met.

use std::sync::Arc;
use std::time::Duration;

use super::Service;
use super::error::Error;
use super::error::Progress;
use super::namespace::Namespace;
use super::settings::settings_etag;
use engine::View;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Settings;
use engine::domain::SettingsChange;
use engine::domain::Violation;

/// How often a change is made from what others have left meanwhile.
const ATTEMPTS: usize = 8;

/// Settings that are in force.
#[derive(Debug)]
pub struct InForce {
    pub view: Arc<View>,
    pub etag: String,
}

impl InForce {
    pub fn of(namespace: &Namespace, view: Arc<View>) -> Self {
        let etag = settings_etag(&namespace.tail.partition, view.settings());
        Self { view, etag }
    }
}

impl Service {
    /// Changes the settings of a namespace to what `change` makes of those in force and the
    /// server's. Returns the new ones and the sequence from which on they are in force. Nothing
    /// is recorded where nothing changes.
    ///
    /// # Errors
    /// `SettingsChanged` when others than `etag` names are in force; what `change` says is
    /// `Invalid`; `WatermarkNotReached` when what was written is not learnt in time; what keeps
    /// records from being written.
    pub async fn change_settings(
        &self,
        namespace: &Arc<Namespace>,
        etag: Option<&str>,
        timeout: Duration,
        change: impl Fn(&Settings, &Settings) -> Result<Settings, Vec<Violation>>,
    ) -> Result<(Sequence, InForce), Error> {
        let name = || namespace.name().clone();
        let _one_at_a_time = namespace.settings_changes.lock().await;
        for _attempt in 0..ATTEMPTS {
            let view = self.namespaces.view_of_all(namespace, timeout).await?;
            let replaces = view.settings_at();
            if replaces == 0 {
                return Err(Error::Opening { name: name(), progress: Progress::default() });
            }
            let before = InForce::of(namespace, view);
            if etag.is_some_and(|etag| etag != before.etag) {
                return Err(Error::SettingsChanged { namespace: name(), etag: before.etag });
            }
            let old = before.view.settings();
            let settings = change(old, self.namespaces.defaults()).map_err(Error::Invalid)?;
            if settings == *old {
                return Ok((replaces, before));
            }
            let records = vec![Record::SettingsSet(SettingsChange { settings, replaces })];
            let sequence = self.write(namespace, records).await?.last_sequence();
            let view = namespace.view_at(sequence, timeout).await?;
            if view.has_set_settings(sequence) {
                tracing::info!(namespace = %namespace.name(), sequence, "settings changed");
                return Ok((sequence, InForce::of(namespace, view)));
            }
        }
        let etag = InForce::of(namespace, namespace.view()).etag;
        Err(Error::SettingsChanged { namespace: name(), etag })
    }
}
