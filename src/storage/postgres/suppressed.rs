//! Who is suppressed in a partition, as appends ask for it.

use std::collections::HashSet;

use deadpool_postgres::Client;
use tokio_postgres::Error as PgError;

use crate::storage::suppression::Suppressed;
use crate::storage::suppression::SuppressionKey;
use crate::storage::suppression::UserHash;

/// The key of their hashes.
pub const KEY: &str = "SELECT suppression_key FROM identity";
/// One row without a hash says how often they have changed.
const SUPPRESSED: &str = "SELECT suppressions, user_hash
    FROM namespaces LEFT JOIN suppressed_users ON namespace_id = id WHERE id = $1";

/// The users of a partition whose records are dropped.
pub async fn of(client: &Client, id: i64) -> Result<Suppressed, PgError> {
    let find = client.prepare_cached(SUPPRESSED).await?;
    let (mut users, mut version) = (HashSet::new(), 0);
    for row in client.query(&find, &[&id]).await? {
        version = row.try_get(0)?;
        let hash: Option<&[u8]> = row.try_get(1)?;
        users.extend(hash.and_then(|hash| UserHash::try_from(hash).ok()));
    }
    let key: Vec<u8> = client.query_one(KEY, &[]).await?.try_get(0)?;
    Ok(Suppressed::new(&SuppressionKey::new(&key), users, version))
}
