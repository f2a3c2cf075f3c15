//! Messages, clients and servers generated from `proto/`.
#![expect(
    clippy::pedantic,
    clippy::doc_markdown,
    clippy::large_enum_variant,
    reason = "generated code is not ours to style"
)]

tonic::include_proto!("personalization.v1");

/// Encoded descriptors of all files, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/personalization.bin"));
