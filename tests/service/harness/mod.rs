//! What every capability's tests stand on.

mod api;
mod health;
mod hostile;
mod http;
mod make;
mod postgres;
mod process;
mod producer;
mod producers;
mod proxy;
mod raw;
mod redis;
mod server;
mod wait;
mod world;

pub use api::Api;
pub use health::{INGEST, health, is_serving};
pub use hostile::{Hostile, PREFACE};
pub use http::{counter, get};
pub use make::{
    click, clicks_at, event, events, item, now_plus, reason_of, strings, structure, text,
};
pub use postgres::Postgres;
pub use process::{free_address, prlimit};
pub use producer::{Ledger, produce};
pub use producers::Producers;
pub use proxy::{Network, Proxy};
pub use raw::call_with_bytes;
pub use redis::Redis;
pub use server::{Server, binary, command};
pub use wait::{Random, eventually};
pub use world::{PER_TASTE, World, greedy, of_taste};
