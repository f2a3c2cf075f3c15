//! Messages, clients and servers generated from `proto/`.
#![expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code is not ours to style"
)]

tonic::include_proto!("personalization.v1");

/// Encoded descriptors of all files, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/personalization.bin"));
