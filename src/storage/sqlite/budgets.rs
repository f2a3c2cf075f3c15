//! What was spent of privacy budgets. The one writer makes spendings one after the other.

use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::Row;
use rusqlite::TransactionBehavior;
use rusqlite::params;

use super::store::SqliteStore;
use super::store::namespace_id;
use crate::storage::budgets::Budgets;
use crate::storage::budgets::Ledger;
use crate::storage::budgets::Release;
use crate::storage::budgets::SpendOutcome;
use crate::storage::budgets::Spending;
use crate::storage::chain::Chain;
use crate::storage::chain::Position;
use crate::storage::error::Error;
use crate::storage::number::integer;
use crate::storage::number::natural;
use crate::storage::partition::Partition;
use engine::domain::Timestamp;

const SPENT: &str = "SELECT coalesce(sum(nano_rho), 0) FROM privacy_spendings
    WHERE namespace_id = ?1 AND spent_at_ms >= ?2";
const SPEND: &str = "INSERT INTO privacy_spendings
    (namespace_id, spending_id, spent_at_ms, analyst, query, nano_rho, log_end, log_chain)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const FORGET_ANSWERS: &str = "UPDATE privacy_spendings SET answer = NULL
    WHERE namespace_id = ?1 AND spent_at_ms < ?2 AND answer IS NOT NULL";
const KEEP_ANSWER: &str =
    "UPDATE privacy_spendings SET answer = ?3 WHERE namespace_id = ?1 AND spending_id = ?2";
const SPENDINGS: &str = "SELECT spending_id, spent_at_ms, analyst, query, nano_rho, log_end,
        log_chain, answer
    FROM privacy_spendings WHERE namespace_id = ?1 AND spent_at_ms >= ?2";

impl Budgets for SqliteStore {
    fn spend(
        &self,
        partition: &Partition,
        spending: &Spending,
        since: Timestamp,
        limit: u64,
    ) -> Result<SpendOutcome, Error> {
        let mut writer = self.writer();
        let id = namespace_id(&writer.connection, partition)?;
        let behavior = TransactionBehavior::Immediate;
        let transaction = writer.connection.transaction_with_behavior(behavior)?;
        let before = spent(&transaction, id, since)?;
        let after = before.saturating_add(spending.nano_rho);
        if after > limit {
            return Ok(SpendOutcome { is_spent: false, spent: before });
        }
        transaction.execute(FORGET_ANSWERS, params![id, since.as_millis()])?;
        let columns = params![
            id,
            spending.spending_id,
            spending.spent_at.as_millis(),
            spending.analyst,
            spending.query,
            integer(spending.nano_rho),
            integer(spending.log_end.sequence),
            spending.log_end.chain.to_column(),
        ];
        transaction.execute(SPEND, columns)?;
        transaction.commit()?;
        Ok(SpendOutcome { is_spent: true, spent: after })
    }

    fn keep_answer(
        &self,
        partition: &Partition,
        spending_id: &str,
        answer: &str,
    ) -> Result<(), Error> {
        let writer = self.writer();
        let id = namespace_id(&writer.connection, partition)?;
        writer.connection.execute(KEEP_ANSWER, params![id, spending_id, answer])?;
        Ok(())
    }

    fn released(
        &self,
        partition: &Partition,
        query: &str,
        since: Timestamp,
    ) -> Result<Option<Release>, Error> {
        self.reading(|connection| {
            let id = namespace_id(connection, partition)?;
            let find = format!(
                "{SPENDINGS} AND query = ?3 AND answer IS NOT NULL ORDER BY spent_at_ms LIMIT 1"
            );
            let mut statement = connection.prepare_cached(&find)?;
            let parameters = params![id, since.as_millis(), query];
            let found = statement.query_row(parameters, |row| Ok((read(row), row.get(7)?)));
            let Some((spending, answer)) = found.optional()? else { return Ok(None) };
            Ok(Some(Release { spending: spending?, answer }))
        })
    }

    fn ledger(
        &self,
        partition: &Partition,
        since: Timestamp,
        count: usize,
    ) -> Result<Ledger, Error> {
        self.reading(|connection| {
            let id = namespace_id(connection, partition)?;
            let newest = format!("{SPENDINGS} ORDER BY spent_at_ms DESC LIMIT ?3");
            let mut statement = connection.prepare_cached(&newest)?;
            let parameters = params![id, since.as_millis(), integer(count as u64)];
            let rows = statement.query_map(parameters, |row| Ok(read(row)))?;
            let spendings = rows.map(|spending| spending?).collect::<Result<_, Error>>()?;
            Ok(Ledger { spent: spent(connection, id, since)?, spendings })
        })
    }
}

fn spent(connection: &Connection, namespace_id: i64, since: Timestamp) -> Result<u64, Error> {
    let mut statement = connection.prepare_cached(SPENT)?;
    let spent = statement.query_row(params![namespace_id, since.as_millis()], |row| row.get(0))?;
    natural(spent, "nano_rho")
}

fn read(row: &Row<'_>) -> Result<Spending, Error> {
    Ok(Spending {
        spending_id: row.get(0)?,
        spent_at: Timestamp::from_millis(row.get(1)?),
        analyst: row.get(2)?,
        query: row.get(3)?,
        nano_rho: natural(row.get(4)?, "nano_rho")?,
        log_end: Position {
            sequence: natural(row.get(5)?, "log_end")?,
            chain: Chain::from_column(row.get(6)?),
            revision: 0,
        },
    })
}
