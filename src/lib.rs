//! A personalization service: ranks for the user who looks, and learns from what
//! that user does next.
//!
//! What learns and ranks is the crate `engine`; this one is all around it. Layers,
//! bottom-up; a module imports only from the lines above it (`tests/tidy` holds the table
//! and checks it):
//!
//! | module | what it is |
//! | --- | --- |
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
