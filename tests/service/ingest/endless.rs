//! StreamInteractions: acknowledgements in order, after the commit.

use personalization::proto::Interaction;
use personalization::proto::StreamInteractionsRequest;
use personalization::proto::StreamInteractionsResponse;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::Status;
use tonic::Streaming;
use tonic_types::StatusExt;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::click;
use crate::harness::events;

fn request(client_sequence: u64, interactions: Vec<Interaction>) -> StreamInteractionsRequest {
    StreamInteractionsRequest { client_sequence, interactions, ..Default::default() }
}

/// Sends everything, ends the stream, and returns the acks with how the stream ended.
async fn stream(
    api: &Api,
    requests: Vec<StreamInteractionsRequest>,
) -> (Vec<StreamInteractionsResponse>, Result<(), Status>) {
    let mut client = api.personalization.clone();
    let answer = client.stream_interactions(tokio_stream::iter(requests)).await;
    drain(answer.expect("the stream opens").into_inner()).await
}

async fn drain(
    mut acks: Streaming<StreamInteractionsResponse>,
) -> (Vec<StreamInteractionsResponse>, Result<(), Status>) {
    let mut received = Vec::new();
    loop {
        match acks.message().await {
            Ok(Some(ack)) => received.push(ack),
            Ok(None) => return (received, Ok(())),
            Err(status) => return (received, Err(status)),
        }
    }
}

fn sums(acks: &[StreamInteractionsResponse]) -> [u64; 3] {
    let sum = |part: fn(&StreamInteractionsResponse) -> u64| acks.iter().map(part).sum();
    [sum(|ack| ack.accepted), sum(|ack| ack.duplicates), sum(|ack| ack.rejected)]
}

#[tokio::test]
async fn acks_come_in_order_cover_everything_and_follow_the_commit() {
    let server = Server::start().await;
    let api = server.api().await;
    let (requests, outgoing) = mpsc::channel(1);
    let mut client = api.personalization.clone();
    let outgoing = ReceiverStream::new(outgoing);
    let mut acks = client.stream_interactions(outgoing).await.unwrap().into_inner();
    let mut last_sequence = 0;
    for n in 0..50_u64 {
        // Gaps are allowed.
        let client_sequence = 1 + n * 3;
        requests.send(request(client_sequence, events("e", n * 10..n * 10 + 10))).await.unwrap();
        let ack = acks.message().await.unwrap().expect("an ack");
        assert_eq!((ack.client_sequence, ack.accepted), (client_sequence, 10));
        assert!(ack.last_sequence > last_sequence);
        last_sequence = ack.last_sequence;
        assert!(api.status().await.log_end >= last_sequence, "acknowledged means durable");
    }
    drop(requests);
    assert!(acks.message().await.unwrap().is_none());
    let status = api.settled_status().await;
    assert_eq!((status.interactions, status.log_end), (500, last_sequence));
}

#[tokio::test]
async fn one_ack_may_cover_several_requests_and_the_counts_add_up() {
    let server = Server::start().await;
    let api = server.api().await;
    let requests: Vec<_> =
        (0..300_u64).map(|n| request(n + 1, events("e", n * 5..n * 5 + 10))).collect();
    let (acks, ended) = stream(&api, requests).await;
    ended.unwrap();
    assert!(acks.is_sorted_by(|before, after| before.client_sequence < after.client_sequence));
    assert_eq!(acks.last().unwrap().client_sequence, 300);
    assert_eq!(sums(&acks), [1_505, 1_495, 0]);
    assert_eq!(api.settled_status().await.interactions, 1_505);
}

#[tokio::test]
async fn a_producers_requests_are_recognised_without_any_event_ids() {
    let server = Server::start().await;
    let api = server.api().await;
    let nameless = |n: u64| {
        let event = |position| Interaction { event_id: String::new(), ..click("ann", position) };
        request(n, vec![event("1"), event("1"), event("2")])
    };
    let of = |producer_id: &str| {
        let producer_id = producer_id.to_owned();
        let name =
            |n| StreamInteractionsRequest { producer_id: producer_id.clone(), ..nameless(n) };
        (1..=20).map(name).collect::<Vec<_>>()
    };
    for (producer, expected) in
        [("till-1", [60, 0, 0]), ("till-1", [0, 60, 0]), ("till-2", [60, 0, 0]), ("", [60, 0, 0])]
    {
        let (acks, ended) = stream(&api, of(producer)).await;
        ended.unwrap();
        assert_eq!(sums(&acks), expected, "{producer:?}");
    }
    let (_acks, ended) = stream(&api, of(&"p".repeat(129))).await;
    assert_eq!(ended.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn rejections_are_indexed_over_the_whole_stream() {
    let server = Server::start().await;
    let api = server.api().await;
    let bad = Interaction { item_id: "a\nb".to_owned(), ..click("a", "x") };
    let requests = vec![
        request(1, vec![click("a", "1"), bad.clone()]),
        request(2, vec![bad.clone()]),
        request(3, vec![click("a", "2"), bad]),
    ];
    let (acks, ended) = stream(&api, requests).await;
    ended.unwrap();
    assert_eq!(sums(&acks), [2, 0, 3]);
    let indices: Vec<u64> =
        acks.iter().flat_map(|ack| &ack.rejections).map(|rejection| rejection.index).collect();
    assert_eq!(indices, [1, 2, 4]);
    assert_eq!(acks.last().unwrap().client_sequence, 3);
}

#[tokio::test]
async fn requests_with_nothing_in_them_are_acknowledged() {
    let server = Server::start().await;
    let api = server.api().await;
    let (acks, ended) = stream(&api, vec![request(1, Vec::new()), request(9, Vec::new())]).await;
    ended.unwrap();
    assert_eq!(acks.last().unwrap().client_sequence, 9);
    assert_eq!(acks.last().unwrap().last_sequence, 0);
    let (acks, ended) = stream(&api, Vec::new()).await;
    ended.unwrap();
    assert!(acks.is_empty());
}

#[tokio::test]
async fn a_client_sequence_that_does_not_grow_ends_the_stream_after_the_acks_before_it() {
    let server = Server::start().await;
    let api = server.api().await;
    for (n, sequences) in [vec![0], vec![5, 5], vec![5, 4], vec![1, 2, 0]].iter().enumerate() {
        let good = sequences.len() - 1;
        let requests = sequences.iter().enumerate().map(|(position, &sequence)| {
            request(sequence, vec![click(&format!("user-{n}"), &format!("item-{position}"))])
        });
        let (acks, ended) = stream(&api, requests.collect()).await;
        let status = ended.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{sequences:?}");
        let details = status.get_error_details();
        let violations = &details.bad_request().expect("a BadRequest").field_violations;
        assert_eq!(violations[0].field, "client_sequence");
        assert_eq!(sums(&acks), [good as u64, 0, 0], "{sequences:?}");
        assert_eq!(details.error_info().unwrap().metadata["accepted"], good.to_string());
    }
}

#[tokio::test]
async fn another_namespace_or_an_unknown_one_ends_the_stream() {
    let server = Server::start().await;
    let api = server.api().await;
    let elsewhere = StreamInteractionsRequest {
        namespace: "other".to_owned(),
        ..request(2, vec![click("a", "2")])
    };
    let (acks, ended) =
        stream(&api, vec![request(1, vec![click("a", "1")]), elsewhere.clone()]).await;
    assert_eq!(ended.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!((acks.last().unwrap().client_sequence, sums(&acks)), (1, [1, 0, 0]));
    let (acks, ended) = stream(&api, vec![elsewhere]).await;
    assert_eq!(ended.unwrap_err().code(), Code::NotFound);
    assert!(acks.is_empty());
    assert_eq!(api.settled_status().await.interactions, 1);
}

#[tokio::test]
async fn a_stream_of_bad_events_is_ended() {
    let server = Server::start().await;
    let api = server.api().await;
    let requests = (1..=11).map(|n| request(n, vec![Interaction::default(); 1_000])).collect();
    let (acks, ended) = stream(&api, requests).await;
    let status = ended.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(sums(&acks)[2] >= 10_000, "what was read before the end is acknowledged");
    let described: usize = acks.iter().map(|ack| ack.rejections.len()).sum();
    assert_eq!(described, 100);
}

#[tokio::test]
async fn many_streams_at_once_lose_nothing_and_mix_nothing_up() {
    const STREAMS: u64 = 40;
    let server = Server::start().await;
    let api = server.api().await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..STREAMS {
        let api = server.api().await;
        tasks.spawn(async move {
            let name = format!("stream-{n}");
            let requests = (0..30_u64).map(|m| request(m + 1, events(&name, m * 20..m * 20 + 20)));
            let (acks, ended) = stream(&api, requests.collect()).await;
            ended.unwrap();
            assert_eq!(acks.last().unwrap().client_sequence, 30);
            assert_eq!(sums(&acks), [600, 0, 0]);
        });
    }
    tasks.join_all().await;
    assert_eq!(api.settled_status().await.interactions, STREAMS * 600);
}
