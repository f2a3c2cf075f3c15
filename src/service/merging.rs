//! Merges of users: two ids of one person are one user from a record on.
//!
//! - A merge that is done is not recorded again: sending it again is harmless.
//! - Two replicas may record merges at a time of which only one is due. So the view that has
//!   learnt the record is asked what became of it, and the answer is true on all replicas.

use std::sync::Arc;
use std::time::Duration;

use super::Service;
use super::error::Error;
use super::namespace::Namespace;
use engine::MergeEffect;
use engine::View;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::UserId;

/// Two ids that answer as one user.
#[derive(Debug)]
pub struct Merged {
    /// A record from which on they do.
    pub sequence: Sequence,
    /// The id of the user.
    pub user_id: String,
}

impl Service {
    /// Merges a user into another, `view` being the newest.
    ///
    /// # Errors
    /// `MergeCircular`, `MergedElsewhere`, `UserErased`; `WatermarkNotReached` when what was written is not
    /// learnt in time; what keeps records from being written.
    pub async fn merge_users(
        &self,
        namespace: &Arc<Namespace>,
        view: &View,
        (from, into): (UserId, UserId),
        timeout: Duration,
    ) -> Result<Merged, Error> {
        if let Some(user_id) = merged(view, &from, &into)? {
            return Ok(Merged { sequence: view.watermark(), user_id });
        }
        let record = Record::UsersMerged { from: from.clone(), into: into.clone() };
        let sequence = self.write(namespace, vec![record]).await?.written()?.last_sequence();
        let view = namespace.view_at(sequence, timeout).await?;
        let user_id = merged(&view, &from, &into)?.unwrap_or_else(|| into.to_string());
        Ok(Merged { sequence, user_id })
    }
}

/// The user that both ids answer as; `None` where the merge is due.
fn merged(view: &View, from: &UserId, into: &UserId) -> Result<Option<String>, Error> {
    match view.aliases().effect(from.as_str(), into.as_str()) {
        MergeEffect::Due(_) => Ok(None),
        MergeEffect::Done(user_id) => Ok(Some(user_id.to_owned())),
        MergeEffect::Circular => {
            Err(Error::MergeCircular { from: from.clone(), into: into.clone() })
        }
        MergeEffect::Taken(user_id) => {
            Err(Error::MergedElsewhere { user: from.clone(), merged_into: user_id.to_owned() })
        }
    }
}
