//! Which id is that of which user, since users were merged.
//!
//! - An id stays with its user for good. The service has bounds: it forgets the ids that were merged
//!   first, each of which is a new user there and may be merged once more. Which ids it has
//!   forgotten, the tables do not know: such a later merge changes nothing here.
//! - Any other merge that was not due when it was recorded changes nothing, as in the service.
//! - Rows of interactions and decisions stay as they were recorded; profiles are those of users.

use deadpool_postgres::Transaction;

use super::changes::RecordPosition;
use super::changes::UsersByAlias;
use super::profiles;
use super::text::storable;
use crate::storage::error::Error;
use crate::storage::number::integer;
use engine::domain::LogRecord;
use engine::domain::Record;
use engine::domain::UserId;

/// The aliases among the ids that records name.
pub async fn named_by(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    records: &[&LogRecord],
) -> Result<UsersByAlias, Error> {
    let ids = records.iter().filter_map(|record| match &record.record {
        Record::Interaction(interaction) => Some(&interaction.user_id),
        Record::Decision(decision) => Some(&decision.user_id),
        Record::UserUpdated(update) => Some(&update.user_id),
        _ => None,
    });
    let ids: Vec<_> = ids.map(|id| storable(id.as_str())).collect();
    let ids: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
    among(transaction, namespace_id, &ids).await
}

async fn among(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    ids: &[&str],
) -> Result<UsersByAlias, Error> {
    let mut aliases = UsersByAlias::new();
    if ids.is_empty() {
        return Ok(aliases);
    }
    let query = "SELECT user_id, merged_into FROM user_aliases
        WHERE namespace_id = $1 AND user_id = ANY($2)";
    for row in transaction.query(query, &[&namespace_id, &ids]).await? {
        aliases.insert(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(aliases)
}

/// One user is merged into another: what is known of the first goes over.
pub async fn merge(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    position: RecordPosition,
    (from, into): (&UserId, &UserId),
) -> Result<(), Error> {
    let (from, into) = (storable(from.as_str()), storable(into.as_str()));
    let known = among(transaction, namespace_id, &[&from, &into]).await?;
    let user: &str = known.get(&*into).map_or(&into, String::as_str);
    if known.contains_key(&*from) || user == from {
        return Ok(());
    }
    profiles::merge(transaction, namespace_id, position, (&from, user)).await?;
    let sequence = integer(position.sequence);
    let moved = "UPDATE user_aliases SET merged_into = $3
        WHERE namespace_id = $1 AND merged_into = $2";
    transaction.execute(moved, &[&namespace_id, &&*from, &user]).await?;
    let insert = "INSERT INTO user_aliases (namespace_id, user_id, merged_into, sequence)
        VALUES ($1, $2, $3, $4)";
    transaction.execute(insert, &[&namespace_id, &&*from, &user, &sequence]).await?;
    Ok(())
}
