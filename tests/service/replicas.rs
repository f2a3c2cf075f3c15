//! Several replicas on one PostgreSQL, with Redis and without, while processes are killed
//! and networks are cut.
//!
//! - Each test starts servers of its own and may do with them what it likes.
//! - Outages and their ends are waited for, so the bounds here say "in time", not "fast";
//!   what it took is printed.

mod aggregates;
mod agreement;
mod arms;
mod crashes;
mod cuts;
mod erasing;
mod experiments;
mod fleet;
mod frozen;
mod full_disk;
mod items;
mod joining;
mod leader;
mod merging;
mod overload;
mod owners;
mod pages;
mod settings;
mod users;
mod versions;
