//! Messages of the API, as commands make them.

use engine::domain::Timestamp;
use prost_reflect::DescriptorPool;
use prost_reflect::DynamicMessage;

use crate::cli::Failure;
use crate::proto;

/// Reads the message of this name from YAML with comments, by the names of the proto, as in JSON.
///
/// # Errors
/// What is wrong, with the line where there is one.
pub fn message<M: prost::Message + Default>(name: &str, text: &str) -> Result<M, Failure> {
    let pool = DescriptorPool::decode(proto::DESCRIPTORS)?;
    let message = pool.get_message_by_name(&format!("personalization.v1.{name}"));
    let message = message.expect("the service has this message");
    let document = serde_yaml_ng::Deserializer::from_str(text);
    Ok(DynamicMessage::deserialize(message, document)?.transcode_to()?)
}

pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let millis = at.as_millis();
    prost_types::Timestamp {
        seconds: millis.div_euclid(1_000),
        nanos: i32::try_from(millis.rem_euclid(1_000)).expect("less than 1,000") * 1_000_000,
    }
}
