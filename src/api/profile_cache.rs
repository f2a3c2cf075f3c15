//! Profiles as they were last answered, shared by replicas for an hour.
//!
//! They are asked when this replica has not yet applied what the caller wants to see, while
//! another has. Their keys name the log and not only its namespace: what was learnt of a
//! deleted namespace never gets a profile of its successor. A profile is kept under the id that
//! it was asked by: whose it is, it says itself, as of its watermark.

use std::time::Duration;

use prost::Message;

use crate::proto::GetProfileResponse;
use crate::service;
use crate::service::Namespace;
use crate::service::Service;
use engine::domain::UserId;

const LIFETIME: Duration = Duration::from_secs(3_600);

fn key(namespace: &Namespace, user_id: &UserId) -> String {
    service::profile_key(&namespace.tail.partition, user_id)
}

/// The last answer of any replica, if it holds what `min_watermark` asks for.
pub async fn recall(
    service: &Service,
    namespace: &Namespace,
    user_id: &UserId,
    min_watermark: u64,
) -> Option<GetProfileResponse> {
    let bytes = service.cache().get(&key(namespace, user_id)).await?;
    let answer = GetProfileResponse::decode(&bytes[..]).ok()?;
    (answer.watermark >= min_watermark).then_some(answer)
}

/// Keeps an answer for other replicas.
pub fn keep(
    service: &Service,
    namespace: &Namespace,
    user_id: &UserId,
    answer: &GetProfileResponse,
) {
    service.cache().put(key(namespace, user_id), answer.encode_to_vec(), LIFETIME);
}
