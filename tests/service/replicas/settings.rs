//! A change of settings is one record: all replicas switch at it, and none undoes another's.

use personalization::proto::NamespaceSettings;
use personalization::proto::Strategy;

use super::fleet::agreed;
use super::fleet::fill;
use super::fleet::flags;
use crate::harness::Postgres;
use crate::harness::Server;
use crate::settings::answer;
use crate::settings::count_up;
use crate::settings::get;
use crate::settings::has_seen_items;
use crate::settings::update;

#[tokio::test]
async fn a_change_by_one_replica_is_in_the_next_answer_of_the_other_and_none_is_lost() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let flags = flags(&url, None);
    let (mut a, mut b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    fill(&[&a, &b]).await;
    let (to_a, to_b) = (a.api().await, b.api().await);
    let settings = NamespaceSettings {
        strategy: Some(Strategy::Greedy.into()),
        recommend_seen: Some(true),
        ..NamespaceSettings::default()
    };
    let changed = update(&to_a, settings, &[], "").await.unwrap();
    for api in [&to_b, &to_a] {
        let next = answer(api, changed.sequence).await;
        assert_eq!((next.strategy(), has_seen_items(&next)), (Strategy::Greedy, true));
        assert_eq!(get(api, changed.sequence).await.namespace_info, changed.namespace_info);
    }
    // Without etags: each sets something else, all at once.
    let epsilon = |epsilon| NamespaceSettings { epsilon: Some(epsilon), ..Default::default() };
    let novelty = |weight| NamespaceSettings { novelty_weight: Some(weight), ..Default::default() };
    for round in 1..=8_u8 {
        let value = f64::from(round) / 16.0;
        let (one, other) = tokio::join!(
            update(&to_a, epsilon(value), &[], ""),
            update(&to_b, novelty(value), &[], ""),
        );
        let last = one.unwrap().sequence.max(other.unwrap().sequence);
        let in_force = get(&to_a, last).await.settings_in_force.unwrap();
        assert_eq!((in_force.epsilon, in_force.novelty_weight), (Some(value), Some(value)));
    }
    // By etags: each adds one to the same setting.
    let in_force = get(&to_a, 0).await.settings_in_force.unwrap();
    let start = in_force.new_item_impressions.unwrap();
    tokio::join!(
        async {
            for _ in 0..6 {
                count_up(&to_a).await;
            }
        },
        async {
            for _ in 0..6 {
                count_up(&to_b).await;
            }
        },
    );
    agreed(&[&a, &b]).await;
    for server in [&mut a, &mut b] {
        assert!(server.stop_gracefully().await.success());
    }
    let (a, b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    for server in [&a, &b] {
        let now = get(&server.api().await, 0).await;
        let in_force = now.settings_in_force.unwrap();
        assert_eq!(in_force.new_item_impressions, Some(start + 12));
        assert_eq!((in_force.epsilon, in_force.strategy()), (Some(0.5), Strategy::Greedy));
    }
}
