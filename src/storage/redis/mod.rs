//! Redis: the tail feed, the shared cache and the shared rate counters.
//!
//! - Redis never holds the only copy of anything, and nobody waits for it: without
//!   it every call says "not there" at once, and connecting goes on for ever in the
//!   background.
//! - What is read from Redis is not trusted: what does not fit is counted and ignored.
//! - Memory is bounded on both sides. Here: the ring ([`Ring`](ring::Ring)) and one
//!   queue per writer, each with a bound in bytes. There: see the table. `base` is the
//!   configured prefix and the identity of the database.
//!
//! | key | type | lifetime | bound | what for | when it is lost |
//! | --- | --- | --- | --- | --- | --- |
//! | `{base}:tail` | stream | 1 h after the last entry | about 256 entries of 256 KiB at most: 64 MiB | newest batches of every log, to all replicas | replicas read the log |
//! | `{base}:cache:{key}` | string | given with each value | 1 MiB each | values that can be computed again | they are computed again |
//! | `{base}:rate:{key}` | integer | given with the first addition | one number each | rate limits over all replicas | counting starts again |
//!
//! Every script and every pipeline command touches one key, so all of it works on a
//! cluster. Three connections per process: requests, which have a short deadline;
//! bulk, for what nobody waits for; the reader of the stream, which blocks.

mod cache;
mod connection;
mod counters;
mod entry;
mod handle;
mod link;
mod options;
mod queue;
mod rates;
mod reader;
mod reply;
mod ring;
mod tail;

pub use counters::RedisCounts;
pub use handle::{Redis, RedisHealth, connect};
pub use options::RedisOptions;
