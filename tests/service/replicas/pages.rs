//! A list whose pages come from different replicas.

use std::collections::BTreeSet;

use personalization::proto::PersonalizeRequest;

use super::fleet::fill;
use super::fleet::flags;
use crate::harness::Postgres;
use crate::harness::Server;
use crate::harness::greedy;
use crate::pages::after;
use crate::pages::assert_expired;
use crate::pages::ids;

#[tokio::test]
async fn a_list_goes_on_at_once_on_another_replica() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let flags = flags(&url, None);
    let (a, b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    fill(&[&a, &b]).await;
    let (to_a, to_b) = (a.api().await, b.api().await);
    for round in 0..10 {
        let request = greedy(&format!("jazz-fan-{round}"), 6);
        let mut pages = vec![to_a.personalize(request.clone()).await];
        for page in 1..6 {
            let api = if page % 2 == 1 { &to_b } else { &to_a };
            pages.push(api.personalize(after(&pages[page - 1], &request)).await);
        }
        let list: Vec<&str> = pages.iter().flat_map(ids).collect();
        let once: BTreeSet<&&str> = list.iter().collect();
        assert_eq!((list.len(), once.len()), (33, 33), "{list:?}");
    }
    // A page that nobody made is not waited for beyond a moment.
    let unknown = uuid::Uuid::now_v7().to_string();
    let request = PersonalizeRequest { continue_from: unknown, ..greedy("jazz-fan-1", 6) };
    assert_expired(&to_b.try_personalize(request).await.unwrap_err());
}
