//! Users who were erased, and whose records are dropped when they arrive: events sent late.
//!
//! - They are known by a keyed hash of their ids, HMAC-SHA-256 cut to 16 bytes. Who has the table
//!   without the key cannot find out whether an id is in it.

use std::collections::HashSet;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Sha256;

use engine::domain::Record;
use engine::domain::UserId;

/// Stands for the id of a user.
pub type UserHash = [u8; 16];

/// The key of the hashes of a database.
#[derive(Clone)]
pub struct SuppressionKey(Hmac<Sha256>);

impl std::fmt::Debug for SuppressionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SuppressionKey")
    }
}

impl SuppressionKey {
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    pub fn hash(&self, user_id: &UserId) -> UserHash {
        let mut hmac = self.0.clone();
        hmac.update(user_id.as_str().as_bytes());
        let whole = hmac.finalize().into_bytes();
        *whole.first_chunk().expect("SHA-256 has 32 bytes")
    }
}

/// The suppressed users of a partition. Memory: about 20 bytes a user.
#[derive(Debug, Default)]
pub struct Suppressed {
    /// `None` where there are none.
    key: Option<SuppressionKey>,
    users: HashSet<UserHash>,
    /// How often they had changed when they were read.
    pub version: i64,
}

impl Suppressed {
    pub fn new(key: &SuppressionKey, users: HashSet<UserHash>, version: i64) -> Self {
        let key = (!users.is_empty()).then(|| key.clone());
        Self { key, users, version }
    }

    /// Whether a record is dropped. That a user is erased never is.
    pub fn holds(&self, record: &Record) -> bool {
        let Some(key) = &self.key else { return false };
        let is_suppressed = |user_id| self.users.contains(&key.hash(user_id));
        !matches!(record, Record::UserErased(_)) && record.user_ids().any(is_suppressed)
    }
}
