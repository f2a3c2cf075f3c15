//! What is known of each method before its request is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::DecodeError;
use prost::Message;
use prost_types::FileDescriptorSet;

use super::wire::Schema;
use engine::domain::limits;

/// Methods whose requests hold lists: candidates, events, items.
const LARGE: [&str; 7] = [
    "/personalization.v1.PersonalizationService/Personalize",
    "/personalization.v1.PersonalizationService/ExplainAbsence",
    "/personalization.v1.PersonalizationService/RecordInteractions",
    "/personalization.v1.PersonalizationService/BatchRecordInteractions",
    "/personalization.v1.PersonalizationService/StreamInteractions",
    "/personalization.v1.CatalogService/UpsertItems",
    "/personalization.v1.CatalogService/BatchUpsertItems",
];
/// Methods whose requests hold filters, attributes or settings.
const MEDIUM: [&str; 10] = [
    "/personalization.v1.PersonalizationService/OnboardingItems",
    "/personalization.v1.PersonalizationService/UpdateUser",
    "/personalization.v1.CatalogService/DeleteItems",
    "/personalization.v1.BanditService/SelectArm",
    "/personalization.v1.BanditService/GetArmSet",
    "/personalization.v1.AdminService/CreateNamespace",
    "/personalization.v1.AdminService/UpdateNamespace",
    "/personalization.v1.ExperimentService/CreateExperiment",
    "/personalization.v1.ExperimentService/UpdateExperiment",
    "/personalization.v1.ExperimentService/RehearseExperiment",
];

/// One method.
#[derive(Debug)]
pub struct Method {
    /// Its request, in the schema; none of a method that does not exist.
    pub message: Option<usize>,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Whether the request is a stream.
    pub client_streams: bool,
    /// Whether the answer is a stream.
    pub server_streams: bool,
    /// Health and reflection: answered while starting, and not waited for at the end.
    pub is_of_the_server: bool,
}

/// All methods by their paths.
#[derive(Debug)]
pub struct Methods {
    pub schema: Schema,
    by_path: BTreeMap<String, Arc<Method>>,
    unknown: Arc<Method>,
}

impl Methods {
    /// # Errors
    /// When the descriptors cannot be decoded.
    pub fn new(descriptors: &[&[u8]]) -> Result<Self, DecodeError> {
        let decoded = descriptors.iter().map(|&set| FileDescriptorSet::decode(set));
        let sets = decoded.collect::<Result<Vec<_>, _>>()?;
        let schema = Schema::new(&sets);
        let mut by_path = BTreeMap::new();
        for file in sets.iter().flat_map(|set| &set.file) {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    let known = Method {
                        message: schema.message(method.input_type()),
                        message_bytes: bytes_of(&path),
                        client_streams: method.client_streaming(),
                        server_streams: method.server_streaming(),
                        is_of_the_server: file.package().starts_with("grpc."),
                    };
                    by_path.insert(path, Arc::new(known));
                }
            }
        }
        let unknown = Arc::new(Method {
            message: None,
            message_bytes: limits::MESSAGE_BYTES_SMALL,
            client_streams: false,
            server_streams: false,
            is_of_the_server: false,
        });
        Ok(Self { schema, by_path, unknown })
    }

    pub fn of(&self, path: &str) -> Arc<Method> {
        self.by_path.get(path).unwrap_or(&self.unknown).clone()
    }
}

fn bytes_of(path: &str) -> usize {
    if LARGE.contains(&path) {
        limits::MESSAGE_BYTES
    } else if MEDIUM.contains(&path) {
        limits::MESSAGE_BYTES_MEDIUM
    } else {
        limits::MESSAGE_BYTES_SMALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto;

    #[test]
    fn methods_are_those_of_the_descriptors_and_bounds_name_existing_ones() {
        let health = tonic_health::pb::FILE_DESCRIPTOR_SET;
        let methods = Methods::new(&[proto::DESCRIPTORS, health]).unwrap();
        for path in LARGE.iter().chain(&MEDIUM) {
            assert!(methods.by_path.contains_key(*path), "{path}");
        }
        let stream = methods.of("/personalization.v1.PersonalizationService/StreamInteractions");
        assert!(stream.client_streams && stream.server_streams && !stream.is_of_the_server);
        assert_eq!(stream.message_bytes, limits::MESSAGE_BYTES);
        let profile = methods.of("/personalization.v1.PersonalizationService/GetProfile");
        assert!(!profile.client_streams && profile.message.is_some());
        assert_eq!(profile.message_bytes, limits::MESSAGE_BYTES_SMALL);
        assert!(methods.of("/grpc.health.v1.Health/Check").is_of_the_server);
        assert!(methods.of("/no/method").message.is_none());
    }
}
