//! Why items are in a list, why others are not, and what to ask a new user.

mod absence;
mod onboarding;
mod reasons;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;

async fn world() -> (Server, Api, u64) {
    let server = Server::start().await;
    let api = server.api().await;
    let watermark = World::fill(&api).await;
    (server, api, watermark)
}

/// The world with a trained model.
async fn trained_world() -> (Server, Api, u64) {
    let (server, api, _) = world().await;
    assert_eq!(api.retrain().await.model_version, 1);
    let watermark = api.settled_status().await.watermark;
    (server, api, watermark)
}
