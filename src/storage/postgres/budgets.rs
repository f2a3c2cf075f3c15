//! What was spent of privacy budgets. Spendings of a partition lock its row: one sees what the other has
//! spent, whichever replica made it.

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use super::column::Parameter;
use super::store::PostgresStore;
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

/// The lock that lets rows that refer to the namespace be written meanwhile.
const LOCK: &str = "SELECT id FROM namespaces WHERE id = $1 FOR NO KEY UPDATE";
const SPENT: &str = "SELECT coalesce(sum(nano_rho), 0)::bigint FROM privacy_spendings
    WHERE namespace_id = $1 AND spent_at_ms >= $2";
const SPEND: &str = "INSERT INTO privacy_spendings
    (namespace_id, spending_id, spent_at_ms, analyst, query, nano_rho, log_end, log_chain)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const FORGET_ANSWERS: &str = "UPDATE privacy_spendings SET answer = NULL
    WHERE namespace_id = $1 AND spent_at_ms < $2 AND answer IS NOT NULL";
const KEEP_ANSWER: &str =
    "UPDATE privacy_spendings SET answer = $3 WHERE namespace_id = $1 AND spending_id = $2";
const SPENDINGS: &str = "SELECT spending_id, spent_at_ms, analyst, query, nano_rho, log_end,
        log_chain, answer
    FROM privacy_spendings WHERE namespace_id = $1 AND spent_at_ms >= $2";

impl Budgets for PostgresStore {
    fn spend(
        &self,
        partition: &Partition,
        spending: &Spending,
        since: Timestamp,
        limit: u64,
    ) -> Result<SpendOutcome, Error> {
        self.sessions.run(async |client| {
            let id = namespace_id(client, partition).await?;
            let transaction = client.transaction().await?;
            transaction.execute(LOCK, &[&id]).await?;
            // A statement of its own: it sees what was committed before the lock was had.
            let before = spent(&transaction, id, since).await?;
            let after = before.saturating_add(spending.nano_rho);
            if after > limit {
                transaction.rollback().await?;
                return Ok(SpendOutcome { is_spent: false, spent: before });
            }
            transaction.execute(FORGET_ANSWERS, &[&id, &since.as_millis()]).await?;
            let parameters: [Parameter<'_>; 8] = [
                &id,
                &spending.spending_id,
                &spending.spent_at.as_millis(),
                &spending.analyst,
                &spending.query,
                &integer(spending.nano_rho),
                &integer(spending.log_end.sequence),
                &spending.log_end.chain.to_column(),
            ];
            transaction.execute(SPEND, &parameters).await?;
            transaction.commit().await?;
            Ok(SpendOutcome { is_spent: true, spent: after })
        })
    }

    fn keep_answer(
        &self,
        partition: &Partition,
        spending_id: &str,
        answer: &str,
    ) -> Result<(), Error> {
        self.sessions.run(async |client| {
            let id = namespace_id(client, partition).await?;
            client.execute(KEEP_ANSWER, &[&id, &spending_id, &answer]).await?;
            Ok(())
        })
    }

    fn released(
        &self,
        partition: &Partition,
        query: &str,
        since: Timestamp,
    ) -> Result<Option<Release>, Error> {
        let find = format!(
            "{SPENDINGS} AND query = $3 AND answer IS NOT NULL ORDER BY spent_at_ms LIMIT 1"
        );
        self.sessions.read(async |client| {
            let id = namespace_id(client, partition).await?;
            let found = client.query_opt(&find, &[&id, &since.as_millis(), &query]).await?;
            let release = |row: Row| Ok(Release { spending: read(&row)?, answer: row.try_get(7)? });
            found.map(release).transpose()
        })
    }

    fn ledger(
        &self,
        partition: &Partition,
        since: Timestamp,
        count: usize,
    ) -> Result<Ledger, Error> {
        let newest = format!("{SPENDINGS} ORDER BY spent_at_ms DESC LIMIT $3");
        self.sessions.read(async |client| {
            let id = namespace_id(client, partition).await?;
            let spent = spent(client, id, since).await?;
            let parameters: [Parameter<'_>; 3] = [&id, &since.as_millis(), &integer(count as u64)];
            let rows = client.query(&newest, &parameters).await?;
            let spendings = rows.iter().map(read).collect::<Result<_, _>>()?;
            Ok(Ledger { spent, spendings })
        })
    }
}

async fn spent(client: &impl GenericClient, id: i64, since: Timestamp) -> Result<u64, Error> {
    let spent = client.query_one(SPENT, &[&id, &since.as_millis()]).await?.try_get(0)?;
    natural(spent, "nano_rho")
}

fn read(row: &Row) -> Result<Spending, Error> {
    Ok(Spending {
        spending_id: row.try_get(0)?,
        spent_at: Timestamp::from_millis(row.try_get(1)?),
        analyst: row.try_get(2)?,
        query: row.try_get(3)?,
        nano_rho: natural(row.try_get(4)?, "nano_rho")?,
        log_end: Position {
            sequence: natural(row.try_get(5)?, "log_end")?,
            chain: Chain::from_column(row.try_get(6)?),
            revision: 0,
        },
    })
}
