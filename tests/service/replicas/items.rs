//! Changes of items are merged in the order of the log: no replica undoes what another changed.

use personalization::proto::Item;

use super::fleet::agreed;
use super::fleet::flags;
use crate::harness::Postgres;
use crate::harness::Server;
use crate::harness::item;
use crate::harness::structure;
use crate::harness::text;
use crate::items::change_after;
use crate::items::get;

#[tokio::test]
async fn two_replicas_change_different_fields_of_one_item_at_once_and_both_stay() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let flags = flags(&url, None);
    let (a, b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    let (to_a, to_b) = (a.api().await, b.api().await);
    let last = to_a.upsert(vec![item("one"), item("other")]).await.last_sequence;
    for round in 0..10 {
        let title = format!("title {round}");
        let titled = Item { title: title.clone(), ..item("one") };
        let colored = Item { attributes: structure([("color", text(&title))]), ..item("one") };
        let sized = Item { attributes: structure([("size", text(&title))]), ..item("one") };
        let (one, two, three) = tokio::join!(
            change_after(&to_a, vec![titled], &["title"], last),
            change_after(&to_b, vec![colored], &["attributes.color"], last),
            change_after(&to_b, vec![sized], &["attributes.size"], last),
        );
        let accepted = [one, two, three].map(|answer| answer.expect("an answer").accepted);
        assert_eq!(accepted, [1; 3]);
        agreed(&[&a, &b]).await;
        let both = structure([("color", text(&title)), ("size", text(&title))]);
        let expected = Item { title, attributes: both, ..item("one") };
        assert_eq!(
            (get(&to_a, "one").await, get(&to_b, "one").await),
            (expected.clone(), expected)
        );
    }
    let hidden = || Item { hidden: true, ..item("other") };
    let refused =
        change_after(&to_b, vec![Item { item_id: "gone".into(), ..hidden() }], &["hidden"], last);
    assert_eq!(refused.await.expect("an answer").rejected, 1);
    change_after(&to_b, vec![hidden()], &["hidden"], last).await.expect("an answer");
    agreed(&[&a, &b]).await;
    assert!(get(&to_a, "other").await.hidden);
}
