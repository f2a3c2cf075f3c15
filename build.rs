//! Compiles `proto/` in pure Rust, so that no `protoc` has to be installed.
//!
//! Writes to `OUT_DIR`: the messages, clients and servers (`tonic::include_proto!`), and
//! `personalization.bin`, the file descriptor set that reflection serves. The set keeps the comments,
//! so that `grpcurl describe` shows them.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

const ROOT: &str = "proto";
const FILES: [&str; 14] = [
    "personalization/v1/vocabulary.proto",
    "personalization/v1/user.proto",
    "personalization/v1/personalization.proto",
    "personalization/v1/catalog.proto",
    "personalization/v1/model.proto",
    "personalization/v1/admin.proto",
    "personalization/v1/bandit.proto",
    "personalization/v1/takeover.proto",
    "personalization/v1/experiment_settings.proto",
    "personalization/v1/experiment_rehearsal.proto",
    "personalization/v1/experiment_results.proto",
    "personalization/v1/experiment.proto",
    "personalization/v1/privacy.proto",
    "personalization/v1/aggregates.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    // Neither protox nor tonic-prost-build says what the output depends on.
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={ROOT}");

    let mut compiler = protox::Compiler::new([ROOT])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;

    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run by cargo only")?);
    fs::write(out.join("personalization.bin"), compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        // Maps come out in the order of their keys, every time.
        .btree_map(".")
        // The other choice is two names.
        .boxed(".personalization.v1.RehearseExperimentRequest.proposal.overrides")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
