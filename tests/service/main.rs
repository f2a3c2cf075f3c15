//! The whole service as its callers meet it: the real binary, real gRPC, a real disk.
//!
//! - Each test has its own server process, data directory and free ports.
//! - Nothing sleeps for a guess: tests wait for a condition, with a bound that only a
//!   broken server reaches.

mod arms;
mod catalog;
mod cold_start;
mod decisions;
mod drift;
mod durability;
mod edge;
#[cfg_attr(not(feature = "embedder"), path = "no_embeddings.rs")]
mod embeddings;
mod evaluation;
mod experiments;
mod explain;
mod harness;
mod ingest;
mod items;
mod merging;
mod model;
mod namespaces;
mod off_policy;
mod owners;
mod pages;
mod privacy;
mod probes;
mod recommendations;
mod replicas;
mod rules;
mod settings;
mod simulation;
mod takeover;
mod users;
mod validation;
