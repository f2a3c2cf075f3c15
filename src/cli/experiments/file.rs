//! An experiment in a file: YAML with comments, by the names of the proto, as in JSON.

use std::path::Path;

use prost_reflect::DescriptorPool;
use prost_reflect::DynamicMessage;

use crate::cli::Failure;
use crate::proto;

const MESSAGE: &str = "personalization.v1.Experiment";

/// Reads an experiment.
///
/// # Errors
/// With the file, and the line where there is one.
pub fn read(path: &Path) -> Result<proto::Experiment, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| format!("failed to read {}: {cause}", path.display()))?;
    parse(&text).map_err(|cause| format!("{}: {cause}", path.display()).into())
}

/// # Errors
/// What is wrong, with the line where there is one.
pub fn parse(text: &str) -> Result<proto::Experiment, Failure> {
    let pool = DescriptorPool::decode(proto::DESCRIPTORS)?;
    let message = pool.get_message_by_name(MESSAGE).expect("the service has this message");
    let document = serde_yaml_ng::Deserializer::from_str(text);
    let read = DynamicMessage::deserialize(message, document)?;
    Ok(read.transcode_to()?)
}
