//! Business rules and variety over gRPC: expressions, pins, boosts, caps on repetition.

mod expressions;
mod pins_and_boosts;
mod repetition;
mod variety;

use personalization::proto::PersonalizeResponse;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;

async fn world() -> (Server, Api, u64) {
    let server = Server::start().await;
    let api = server.api().await;
    let watermark = World::fill(&api).await;
    (server, api, watermark)
}

fn ids(answer: &PersonalizeResponse) -> Vec<&str> {
    answer.recommendations.iter().map(|item| item.item_id.as_str()).collect()
}
