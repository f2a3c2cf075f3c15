//! What every capability's tests stand on.

mod api;
mod http;
mod make;
mod producer;
mod raw;
mod server;
mod wait;
mod world;

pub use api::Api;
pub use http::get;
pub use make::{click, event, events, item, now_plus, strings, structure, text};
pub use producer::{Ledger, produce};
pub use raw::call_with_bytes;
pub use server::{Server, command};
pub use wait::{Random, eventually};
pub use world::{World, greedy, of_taste};
