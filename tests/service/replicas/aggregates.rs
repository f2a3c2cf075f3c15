//! One budget of several replicas: what one spends, the other has not.

use personalization::proto::query_aggregates_request::Cost;
use tonic::Code;

use super::fleet::fill;
use super::fleet::flags;
use crate::harness::Postgres;
use crate::harness::Server;
use crate::harness::eventually;
use crate::harness::now_plus;
use crate::harness::reason_of;
use crate::privacy::aggregates::ask;
use crate::privacy::aggregates::budget;
use crate::privacy::aggregates::question;

#[tokio::test]
async fn replicas_that_spend_at_once_never_pass_the_limit_and_tell_the_same_answers() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let flags = flags(&url, None);
    let (a, b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    fill(&[&a, &b]).await;
    let apis = [a.api().await, b.api().await];
    let limit = budget(&apis[0]).await.rho_limit;
    // Each a question of its own, of which three fit.
    let cost = Cost::Rho(limit * 0.3);
    let spend = async |replica: usize| {
        let mut released = Vec::new();
        for n in 0..8 {
            let mut asked = question(&apis[replica], cost);
            asked.from = Some(now_plus(-1_000 * (2 * n + replica as i64 + 1)));
            // Another one of this replica has just ended.
            let answer =
                eventually("a turn", async || match ask(&apis[replica], asked.clone()).await {
                    Err(refused) if refused.code() == Code::ResourceExhausted => None,
                    answer => Some(answer),
                });
            match answer.await {
                Ok(answer) => released.push((asked, answer)),
                Err(refused) => assert_eq!(reason_of(&refused).1, "PRIVACY_BUDGET_SPENT"),
            }
        }
        released
    };
    let (of_a, of_b) = tokio::join!(spend(0), spend(1));
    assert_eq!(of_a.len() + of_b.len(), 3);
    for api in &apis {
        let ledger = budget(api).await;
        assert!(ledger.rho_spent <= limit, "{ledger:?}");
        assert_eq!(ledger.spendings.len(), 3);
        for (asked, answer) in of_a.iter().chain(&of_b) {
            let again = ask(api, asked.clone()).await.unwrap();
            assert!(again.is_earlier_release);
            assert_eq!(again.groups, answer.groups);
        }
    }
}
