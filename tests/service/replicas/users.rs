//! A change of a user says what it changes, so changes by several replicas at a time all stay.

use std::collections::BTreeSet;

use super::fleet::agreed;
use super::fleet::fill;
use super::fleet::flags;
use crate::harness::Postgres;
use crate::harness::Server;
use crate::users::adding;
use crate::users::topics;

const ROUNDS: usize = 20;

#[tokio::test]
async fn additions_of_two_devices_at_a_time_both_stay_and_hold_on_every_replica() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let flags = flags(&url, None);
    let (a, b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    fill(&[&a, &b]).await;
    let (to_a, to_b) = (a.api().await, b.api().await);
    let mut expected = BTreeSet::new();
    let mut last = 0;
    for round in 0..ROUNDS {
        let (phone, desk) = (format!("phone {round}"), format!("desk {round}"));
        let (one, other) = tokio::join!(
            to_a.update_user(adding("anna", topics([&*phone]))),
            to_b.update_user(adding("anna", topics([&*desk]))),
        );
        last = last.max(one.sequence).max(other.sequence);
        expected.extend([phone, desk]);
    }
    for api in [&to_a, &to_b] {
        let user = api.profile("anna", last).await.profile.unwrap().user.unwrap();
        let blocked: BTreeSet<String> = user.rules.unwrap().blocked_topics.into_iter().collect();
        assert_eq!(blocked, expected);
    }
    agreed(&[&a, &b]).await;
}
