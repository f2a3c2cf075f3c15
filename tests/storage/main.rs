//! What every store must keep to, and what only an embedded one can show.

mod conformance;
mod sqlite;
mod sqlite_damage;
