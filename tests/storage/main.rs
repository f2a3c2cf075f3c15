//! What every store must keep to, and what only an embedded one can show.

mod conformance;
mod postgres;
mod postgres_projection;
mod redis;
mod redis_faults;
mod redis_process;
mod redis_topologies;
mod sqlite;
mod sqlite_damage;
mod sqlite_full_disk;
