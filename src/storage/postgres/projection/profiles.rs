//! What the log alone tells about users.
//!
//! - Counts are added to what is there: exactly once, because the position moves in
//!   the same transaction.
//! - Changes of what is set are made to what the row holds, as the engine makes them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::changes::ProfileChange;
use super::changes::RecordPosition;
use super::text::attributes_of;
use super::text::object;
use super::text::rules_json;
use super::time::system_time;
use crate::storage::error::Error;
use crate::storage::number::integer;
use engine::domain::Attributes;
use engine::domain::InteractionType;
use engine::domain::RulesChange;
use engine::domain::Timestamp;
use engine::domain::UserRules;
use engine::domain::UserUpdate;

/// A user's row is made or added to. The counts stand in the order of
/// `InteractionType::ALL`. Users come in the order of their ids.
const UPSERT: &str = "
    INSERT INTO profiles (
        namespace_id, user_id, attributes, rules, first_seen, last_seen,
        impressions, clicks, likes, dislikes, shares, saves, purchases, dwells, skips, hides,
        ratings, decisions, updated_sequence
    )
    SELECT $1, user_id, attributes::jsonb, rules::jsonb, first_seen, last_seen,
        impressions, clicks, likes, dislikes, shares, saves, purchases, dwells, skips, hides,
        ratings, decisions, updated_sequence
    FROM unnest(
        $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[],
        $7::integer[], $8::integer[], $9::integer[], $10::integer[], $11::integer[],
        $12::integer[], $13::integer[], $14::integer[], $15::integer[], $16::integer[],
        $17::integer[], $18::integer[], $19::bigint[]
    ) AS changes (
        user_id, attributes, rules, first_seen, last_seen,
        impressions, clicks, likes, dislikes, shares, saves, purchases, dwells, skips, hides,
        ratings, decisions, updated_sequence
    )
    ON CONFLICT (namespace_id, user_id) DO UPDATE SET
        attributes = coalesce(excluded.attributes, profiles.attributes),
        rules = coalesce(excluded.rules, profiles.rules),
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

/// What is set for some users.
const SET: &str = "SELECT user_id, attributes::text, rules::text FROM profiles
    WHERE namespace_id = $1 AND user_id = ANY ($2)";

/// What is set for a user; `None` what never was.
#[derive(Default)]
struct Set {
    attributes: Option<Attributes>,
    rules: Option<UserRules>,
}

impl Set {
    /// What holds for this user when another is merged into it.
    fn merged_with(self, other: Self, at: Timestamp) -> Self {
        let attributes = match (self.attributes, other.attributes) {
            (Some(own), Some(others)) => Some(own.completed_with(&others)),
            (own, others) => own.or(others),
        };
        let rules = match (self.rules, other.rules) {
            (None, None) => None,
            (own, others) => {
                Some(own.unwrap_or_default().merged_with(&others.unwrap_or_default(), at))
            }
        };
        Self { attributes, rules }
    }

    fn after(self, updates: &[(Timestamp, &UserUpdate)]) -> Self {
        updates.iter().fold(self, |mut set, (at, update)| {
            if !update.attributes.is_empty() {
                let before = set.attributes.unwrap_or_default();
                set.attributes = Some(update.attributes.applied_to(&before));
            }
            if update.rules != RulesChange::default() {
                update.rules.apply_to(set.rules.get_or_insert_default(), *at);
            }
            set
        })
    }
}

/// The row of one user goes over into that of another, which has it all then.
const MERGE: &str = "
    WITH moved AS (
        DELETE FROM profiles WHERE namespace_id = $1 AND user_id = $2 RETURNING *
    )
    INSERT INTO profiles (
        namespace_id, user_id, attributes, rules, first_seen, last_seen,
        impressions, clicks, likes, dislikes, shares, saves, purchases, dwells, skips, hides,
        ratings, decisions, updated_sequence
    )
    SELECT namespace_id, $3, $5::text::jsonb, $6::text::jsonb, first_seen, last_seen,
        impressions, clicks, likes, dislikes, shares, saves, purchases, dwells, skips, hides,
        ratings, decisions, $4
    FROM moved
    ON CONFLICT (namespace_id, user_id) DO UPDATE SET
        attributes = excluded.attributes,
        rules = excluded.rules,
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
    rules: Vec<Option<String>>,
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
    let mut set = set_before(transaction, namespace_id, changes).await?;
    let columns = Columns::of(changes, &mut set);
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![
        &namespace_id,
        &columns.user_ids,
        &columns.attributes,
        &columns.rules,
        &columns.first_seen,
        &columns.last_seen,
    ];
    parameters.extend(columns.interactions.iter().map(|counts| counts as &(dyn ToSql + Sync)));
    parameters.push(&columns.decisions);
    parameters.push(&columns.sequences);
    transaction.execute(UPSERT, &parameters).await?;
    Ok(())
}

/// What the rows of the users with updates hold.
async fn set_before(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    changes: &BTreeMap<Cow<'_, str>, ProfileChange<'_>>,
) -> Result<BTreeMap<String, Set>, Error> {
    let updated = changes.iter().filter(|(_, change)| !change.updates.is_empty());
    let updated: Vec<&str> = updated.map(|(user_id, _)| user_id.as_ref()).collect();
    set_of(transaction, namespace_id, &updated).await
}

/// What the rows of some users hold. What is not as it was written counts as unset.
async fn set_of(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    user_ids: &[&str],
) -> Result<BTreeMap<String, Set>, Error> {
    if user_ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = transaction.query(SET, &[&namespace_id, &user_ids]).await?;
    let set = rows.into_iter().map(|row| {
        let (attributes, rules): (Option<String>, Option<String>) =
            (row.try_get(1)?, row.try_get(2)?);
        let attributes = attributes.and_then(|json| attributes_of(&json));
        let rules = rules.and_then(|json| serde_json::from_str(&json).ok());
        Ok((row.try_get(0)?, Set { attributes, rules }))
    });
    set.collect()
}

/// Merges the row of a user into that of another, if there is one.
pub async fn merge(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    position: RecordPosition,
    (from, into): (&str, &str),
) -> Result<(), Error> {
    let mut set = set_of(transaction, namespace_id, &[from, into]).await?;
    let mut take = |user_id: &str| set.remove(user_id).unwrap_or_default();
    let merged = take(into).merged_with(take(from), position.recorded_at);
    let sequence = integer(position.sequence);
    let (attributes, rules) =
        (merged.attributes.as_ref().map(object), merged.rules.as_ref().map(rules_json));
    let parameters: [&(dyn ToSql + Sync); 6] =
        [&namespace_id, &from, &into, &sequence, &attributes, &rules];
    transaction.execute(MERGE, &parameters).await?;
    let update = "UPDATE profiles SET updated_sequence = $3
        WHERE namespace_id = $1 AND user_id = $2";
    transaction.execute(update, &[&namespace_id, &into, &sequence]).await?;
    Ok(())
}

impl<'a> Columns<'a> {
    fn of(
        changes: &'a BTreeMap<Cow<'_, str>, ProfileChange<'_>>,
        before: &mut BTreeMap<String, Set>,
    ) -> Self {
        let mut columns = Self::default();
        for (user_id, change) in changes {
            columns.user_ids.push(user_id);
            let set = before.remove(user_id.as_ref()).unwrap_or_default().after(&change.updates);
            columns.attributes.push(set.attributes.as_ref().map(object));
            columns.rules.push(set.rules.as_ref().map(rules_json));
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
