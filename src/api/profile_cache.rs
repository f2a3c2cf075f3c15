//! Profiles as they were last answered, shared by replicas for an hour.
//!
//! They are asked when this replica cannot answer by itself: it has not yet applied
//! what the caller wants to see, while another has, or it cannot open the namespace.

use std::time::Duration;

use prost::Message;

use crate::proto::GetProfileResponse;
use crate::service::Service;
use engine::domain::NamespaceName;
use engine::domain::UserId;

const LIFETIME: Duration = Duration::from_secs(3_600);

fn key(namespace: &NamespaceName, user_id: &UserId) -> String {
    format!("profile/{namespace}/{user_id}")
}

/// The last answer of any replica, if it holds what `min_watermark` asks for.
pub async fn recall(
    service: &Service,
    namespace: &NamespaceName,
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
    namespace: &NamespaceName,
    user_id: &UserId,
    answer: &GetProfileResponse,
) {
    service.cache().put(key(namespace, user_id), answer.encode_to_vec(), LIFETIME);
}
