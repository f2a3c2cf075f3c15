//! A selection with an id of its caller's is one, whichever replicas it is sent to.

use super::fleet::agreed;
use super::fleet::flags;
use crate::arms::retries::assert_differs;
use crate::arms::retries::named;
use crate::arms::select;
use crate::arms::set;
use crate::arms::try_select;
use crate::harness::Postgres;
use crate::harness::Server;
use personalization::proto::SelectArmRequest;

#[tokio::test]
async fn a_selection_sent_to_two_replicas_at_once_has_one_answer_and_counts_once() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let flags = flags(&url, None);
    let (mut a, mut b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    let (to_a, to_b) = (a.api().await, b.api().await);
    let mut answers = Vec::new();
    for round in 0..20 {
        let id = format!("mine-{round}");
        let (one, other) = tokio::join!(select(&to_a, named(&id)), select(&to_b, named(&id)));
        assert_eq!(one, other);
        answers.push(one);
    }
    // Of two different calls with one id, one is the first.
    let mut won = 0;
    for round in 0..10 {
        let call = named(&format!("both-{round}"));
        let other = SelectArmRequest { arms: vec!["grid".to_owned()], ..call.clone() };
        let (one, two) =
            tokio::join!(try_select(&to_a, call.clone()), try_select(&to_b, other.clone()),);
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        let refused = if one.is_ok() { other } else { call };
        assert_differs(&to_a, refused.clone()).await;
        assert_differs(&to_b, refused).await;
        won += usize::from(one.is_ok());
    }
    println!("{won} of 10 went to the first replica");
    agreed(&[&a, &b]).await;
    assert_eq!(set(&to_a, "layout", 0).await.selections, 30);
    for server in [&mut a, &mut b] {
        assert!(server.stop_gracefully().await.success());
    }
    let (a, b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    let (to_a, to_b) = (a.api().await, b.api().await);
    for answer in answers {
        assert_eq!(select(&to_a, named(&answer.decision_id)).await, answer);
        assert_eq!(select(&to_b, named(&answer.decision_id)).await, answer);
    }
    assert_eq!(set(&to_b, "layout", 0).await.selections, 30);
}
