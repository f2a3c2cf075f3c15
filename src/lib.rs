//! A personalization service: ranks for the person looking, and learns from what
//! that person does next.
//!
//! Layers, bottom-up; a module imports only from the lines above it (`tests/tidy.rs`
//! holds the table and checks it):
//!
//! | module | what it is |
//! | --- | --- |
//! | `domain`, `numeric` | vocabulary; kernels on slices. Import nothing |
//! | `engine` | pure: applies log records, ranks |
//! | `evaluation` | pure: protocols and metrics over the engine |
//! | `config`, `telemetry` | settings of the process; logging and metrics |
//! | `storage` | traits of the log, snapshots, namespaces; `sqlite` behind them |
//! | `service` | use cases: ingest, apply, personalize, retrain, snapshot |
//! | `proto`, `api` | generated messages; one file per gRPC service |
//! | `server` | gRPC and HTTP assembly, health, shutdown |
//! | `cli` | commands; `serve` is the composition root |

pub mod api;
pub mod cli;
pub mod config;
pub mod proto;
pub mod server;
pub mod service;
pub mod storage;
pub mod telemetry;
