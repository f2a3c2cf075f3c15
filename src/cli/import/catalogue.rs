//! Sends items and the attributes of users.
//!
//! - Items go in calls of up to 10,000, each acknowledged as a whole; a call that was cut is made again,
//!   which is harmless.
//! - Users go one by one, some at the same time. Setting the same attributes again is harmless.

use std::collections::BTreeMap;

use tokio::task::JoinSet;
use tonic::Code;

use crate::cli::Failure;
use crate::cli::import::Link;
use crate::cli::import::feed::Feed;
use crate::cli::import::ledger::Ledger;
use crate::cli::import::tally::Tally;
use crate::cli::import::tally::reason;
use crate::cli::retry::Trouble;
use crate::cli::retry::retried;
use crate::proto::Item;
use crate::proto::UpdateUserRequest;
use crate::proto::UpsertItemsRequest;
use crate::proto::catalog_service_client::CatalogServiceClient;
use crate::proto::personalization_service_client::PersonalizationServiceClient;

/// Items of one call. Bounds what is held to be sent again.
const ITEMS_PER_CALL: usize = 10_000;
/// Users on their way at the same time.
const USERS_AT_ONCE: usize = 32;

/// Sends all items of a feed.
pub async fn send_items(
    link: &Link,
    mut feed: Feed<Item>,
    ledger: &mut Ledger<'_>,
) -> Result<(), Trouble> {
    let mut requests: Vec<UpsertItemsRequest> = Vec::new();
    let mut rows_end = ledger.rows();
    let mut tally = Tally::default();
    loop {
        let batch = feed.next(link.retry_limit.stop()).await?;
        let is_last = batch.is_none();
        if let Some(batch) = batch {
            rows_end = batch.rows_end;
            tally.add(batch.unreadable);
            let namespace = link.namespace.clone();
            requests.push(UpsertItemsRequest {
                namespace,
                items: batch.rows,
                ..Default::default()
            });
        }
        let held: usize = requests.iter().map(|request| request.items.len()).sum();
        if held >= ITEMS_PER_CALL || is_last {
            if held > 0 {
                tally.add(upsert(link, &requests).await?);
            }
            requests.clear();
            ledger.advance(rows_end, std::mem::take(&mut tally))?;
        }
        if is_last {
            return Ok(());
        }
    }
}

async fn upsert(link: &Link, requests: &[UpsertItemsRequest]) -> Result<Tally, Trouble> {
    let answer = retried(&link.retry_limit, || {
        let mut client = CatalogServiceClient::new(link.channel.clone());
        let requests = tokio_stream::iter(requests.to_vec());
        async move { client.upsert_items(requests).await }
    });
    let answer = answer.await?.into_inner();
    Ok(Tally {
        accepted: answer.accepted,
        rejected: answer.rejected,
        reasons: answer
            .rejections
            .iter()
            .map(|rejection| reason(&format!("item {}", rejection.id), rejection))
            .collect(),
        ..Tally::default()
    })
}

/// Sends all users of a feed.
pub async fn send_users(
    link: &Link,
    mut feed: Feed<UpdateUserRequest>,
    ledger: &mut Ledger<'_>,
) -> Result<(), Trouble> {
    while let Some(batch) = feed.next(link.retry_limit.stop()).await? {
        let mut tally = batch.unreadable;
        let mut calls = JoinSet::new();
        for request in last_of_each(batch.rows) {
            if calls.len() >= USERS_AT_ONCE {
                tally.add(joined(calls.join_next().await)?);
            }
            calls.spawn(set_attributes(link.clone(), request));
        }
        while !calls.is_empty() {
            tally.add(joined(calls.join_next().await)?);
        }
        ledger.advance(batch.rows_end, tally)?;
    }
    Ok(())
}

/// Of several rows of one user only the last: those sent at the same time arrive in any order.
fn last_of_each(requests: Vec<UpdateUserRequest>) -> Vec<UpdateUserRequest> {
    let by_user: BTreeMap<String, UpdateUserRequest> =
        requests.into_iter().map(|request| (user_id(&request).to_owned(), request)).collect();
    by_user.into_values().collect()
}

fn user_id(request: &UpdateUserRequest) -> &str {
    request.user.as_ref().map_or("", |user| &user.user_id)
}

async fn set_attributes(link: Link, request: UpdateUserRequest) -> Result<Tally, Trouble> {
    let answer = retried(&link.retry_limit, || {
        let mut client = PersonalizationServiceClient::new(link.channel.clone());
        let request = request.clone();
        async move { client.update_user(request).await }
    });
    match answer.await {
        Ok(_sequence) => Ok(Tally { accepted: 1, ..Tally::default() }),
        Err(Trouble::Refused(status)) if status.code() == Code::InvalidArgument => Ok(Tally {
            rejected: 1,
            reasons: vec![format!("user {}: {}", user_id(&request), status.message())],
            ..Tally::default()
        }),
        // The user was erased.
        Err(Trouble::Refused(status)) if status.code() == Code::FailedPrecondition => {
            Ok(Tally { suppressed: 1, ..Tally::default() })
        }
        Err(trouble) => Err(trouble),
    }
}

fn joined(
    call: Option<Result<Result<Tally, Trouble>, tokio::task::JoinError>>,
) -> Result<Tally, Trouble> {
    match call {
        Some(Ok(tally)) => tally,
        Some(Err(panic)) => Err(Trouble::Local(Failure::from(panic))),
        None => Ok(Tally::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::User;

    #[test]
    fn the_last_row_of_a_user_is_the_one_that_is_sent() {
        let row = |user: &str, namespace: &str| UpdateUserRequest {
            namespace: namespace.to_owned(),
            user: Some(User { user_id: user.to_owned(), ..User::default() }),
            ..UpdateUserRequest::default()
        };
        let rows = last_of_each(vec![row("b", "1"), row("a", "2"), row("b", "3")]);
        assert_eq!(rows, [row("a", "2"), row("b", "3")]);
    }
}
