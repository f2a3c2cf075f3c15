//! What the log alone tells about users.
//!
//! - Counts are added to what is there: exactly once, because the position moves in
//!   the same transaction.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::changes::ProfileChange;
use super::text::object;
use super::time::system_time;
use crate::storage::error::Error;
use crate::storage::number::integer;
use engine::domain::InteractionType;

/// A user's row is made or added to. The counts stand in the order of
/// `InteractionType::ALL`. Users come in the order of their ids.
const UPSERT: &str = "
    INSERT INTO profiles (
        namespace_id, user_id, attributes, first_seen, last_seen,
        impressions, clicks, likes, dislikes, shares, saves, purchases, dwells, skips, hides,
        ratings, decisions, updated_sequence
    )
    SELECT $1, user_id, attributes::jsonb, first_seen, last_seen,
        impressions, clicks, likes, dislikes, shares, saves, purchases, dwells, skips, hides,
        ratings, decisions, updated_sequence
    FROM unnest(
        $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[],
        $6::integer[], $7::integer[], $8::integer[], $9::integer[], $10::integer[],
        $11::integer[], $12::integer[], $13::integer[], $14::integer[], $15::integer[],
        $16::integer[], $17::integer[], $18::bigint[]
    ) AS changes (
        user_id, attributes, first_seen, last_seen,
        impressions, clicks, likes, dislikes, shares, saves, purchases, dwells, skips, hides,
        ratings, decisions, updated_sequence
    )
    ON CONFLICT (namespace_id, user_id) DO UPDATE SET
        attributes = coalesce(excluded.attributes, profiles.attributes),
        first_seen = least(profiles.first_seen, excluded.first_seen),
        last_seen = greatest(profiles.last_seen, excluded.last_seen),
        impressions = profiles.impressions + excluded.impressions,
        clicks = profiles.clicks + excluded.clicks,
        likes = profiles.likes + excluded.likes,
        dislikes = profiles.dislikes + excluded.dislikes,
        shares = profiles.shares + excluded.shares,
        saves = profiles.saves + excluded.saves,
        purchases = profiles.purchases + excluded.purchases,
        dwells = profiles.dwells + excluded.dwells,
        skips = profiles.skips + excluded.skips,
        hides = profiles.hides + excluded.hides,
        ratings = profiles.ratings + excluded.ratings,
        decisions = profiles.decisions + excluded.decisions,
        updated_sequence = excluded.updated_sequence";

/// The row of one user goes over into that of another, which has it all then.
const MERGE: &str = "
    WITH moved AS (
        DELETE FROM profiles WHERE namespace_id = $1 AND user_id = $2 RETURNING *
    )
    INSERT INTO profiles (
        namespace_id, user_id, attributes, first_seen, last_seen,
        impressions, clicks, likes, dislikes, shares, saves, purchases, dwells, skips, hides,
        ratings, decisions, updated_sequence
    )
    SELECT namespace_id, $3, attributes, first_seen, last_seen,
        impressions, clicks, likes, dislikes, shares, saves, purchases, dwells, skips, hides,
        ratings, decisions, $4
    FROM moved
    ON CONFLICT (namespace_id, user_id) DO UPDATE SET
        attributes = coalesce(
            excluded.attributes || profiles.attributes, profiles.attributes, excluded.attributes
        ),
        first_seen = least(profiles.first_seen, excluded.first_seen),
        last_seen = greatest(profiles.last_seen, excluded.last_seen),
        impressions = profiles.impressions + excluded.impressions,
        clicks = profiles.clicks + excluded.clicks,
        likes = profiles.likes + excluded.likes,
        dislikes = profiles.dislikes + excluded.dislikes,
        shares = profiles.shares + excluded.shares,
        saves = profiles.saves + excluded.saves,
        purchases = profiles.purchases + excluded.purchases,
        dwells = profiles.dwells + excluded.dwells,
        skips = profiles.skips + excluded.skips,
        hides = profiles.hides + excluded.hides,
        ratings = profiles.ratings + excluded.ratings,
        decisions = profiles.decisions + excluded.decisions";

/// The parameters of [`UPSERT`], by column.
#[derive(Default)]
struct Columns<'a> {
    user_ids: Vec<&'a str>,
    attributes: Vec<Option<String>>,
    first_seen: Vec<Option<SystemTime>>,
    last_seen: Vec<Option<SystemTime>>,
    interactions: [Vec<i32>; InteractionType::ALL.len()],
    decisions: Vec<i32>,
    sequences: Vec<i64>,
}

pub async fn change(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    changes: &BTreeMap<Cow<'_, str>, ProfileChange<'_>>,
) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(changes);
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![
        &namespace_id,
        &columns.user_ids,
        &columns.attributes,
        &columns.first_seen,
        &columns.last_seen,
    ];
    parameters.extend(columns.interactions.iter().map(|counts| counts as &(dyn ToSql + Sync)));
    parameters.push(&columns.decisions);
    parameters.push(&columns.sequences);
    transaction.execute(UPSERT, &parameters).await?;
    Ok(())
}

/// Merges the row of a user into that of another, if there is one.
pub async fn merge(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    (from, into): (&str, &str),
    sequence: i64,
) -> Result<(), Error> {
    transaction.execute(MERGE, &[&namespace_id, &from, &into, &sequence]).await?;
    let update = "UPDATE profiles SET updated_sequence = $3
        WHERE namespace_id = $1 AND user_id = $2";
    transaction.execute(update, &[&namespace_id, &into, &sequence]).await?;
    Ok(())
}

impl<'a> Columns<'a> {
    fn of(changes: &'a BTreeMap<Cow<'_, str>, ProfileChange<'_>>) -> Self {
        let mut columns = Self::default();
        for (user_id, change) in changes {
            columns.user_ids.push(user_id);
            columns.attributes.push(change.attributes.map(object));
            let (first, last) = change.seen.unzip();
            columns.first_seen.push(first.map(system_time));
            columns.last_seen.push(last.map(system_time));
            for (column, count) in columns.interactions.iter_mut().zip(change.interactions) {
                column.push(count.cast_signed());
            }
            columns.decisions.push(change.decisions.cast_signed());
            columns.sequences.push(integer(change.sequence));
        }
        columns
    }
}
