//! A database of its own for each test, on the server that TEST_DATABASE_URL names.

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use personalization::storage::PostgresOptions;
use personalization::storage::PostgresStore;
use personalization::storage::open_postgres;
use tokio::runtime::Runtime;
use tokio_postgres::Client;
use tokio_postgres::NoTls;
use tokio_postgres::SimpleQueryMessage;

const TABLES: [&str; 8] = [
    "interactions",
    "decisions",
    "models",
    "settings",
    "items",
    "profiles",
    "user_aliases",
    "projections",
];

/// Goes with the test, also when it fails.
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    pub fn new() -> Self {
        let server = std::env::var("TEST_DATABASE_URL").expect(
            "run ./scripts/test, or set TEST_DATABASE_URL to a PostgreSQL 15 server, as a role \
             that may create databases",
        );
        // Not by the process: a killed test leaves its database, and numbers come again.
        let name = format!("projection_test_{:016x}", RandomState::new().hash_one(0_u8));
        Session::open(&server).run(&format!("CREATE DATABASE {name}"));
        Self { server, name }
    }

    fn url(&self) -> String {
        if !self.server.contains("://") {
            // Of two values the last one counts.
            return format!("{} dbname={}", self.server, self.name);
        }
        let (position, parameters) = self.server.split_once('?').unwrap_or((&self.server, ""));
        let start = position.find("://").unwrap() + 3;
        let end = position[start..].find('/').map_or(position.len(), |slash| start + slash);
        format!("{}/{}?{parameters}", &position[..end], self.name)
    }

    pub fn store(&self) -> Arc<PostgresStore> {
        let options = PostgresOptions {
            url: self.url(),
            read_url: None,
            pool_size: 4,
            statement_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            dedup_horizon: 1_000,
        };
        open_postgres(&options).unwrap()
    }

    pub fn session(&self) -> Session {
        Session::open(&self.url())
    }

    /// All that the tables hold, without the embeddings.
    pub fn contents(&self) -> String {
        let session = self.session();
        let sum = |table| {
            let rows = format!(
                "SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t"
            );
            format!("{table} {}", session.rows(&rows).join(""))
        };
        TABLES.map(sum).join("\n")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        Session::open(&self.server).run(&drop);
    }
}

/// A connection in addition to those of the store.
pub struct Session {
    client: Client,
    runtime: Runtime,
}

impl Session {
    fn open(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (client, connection) = runtime.block_on(tokio_postgres::connect(url, NoTls)).unwrap();
        runtime.spawn(connection);
        Self { client, runtime }
    }

    pub fn run(&self, statements: &str) {
        self.runtime.block_on(self.client.batch_execute(statements)).unwrap();
    }

    /// Rows as text, fields separated by bars, in UTC.
    pub fn rows(&self, query: &str) -> Vec<String> {
        let query = format!("SET timezone = 'UTC'; {query}");
        let messages = self.runtime.block_on(self.client.simple_query(&query)).unwrap();
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| {
            let fields = (0..row.len()).map(|position| row.get(position).unwrap_or("NULL"));
            fields.collect::<Vec<_>>().join("|")
        })
        .collect()
    }

    pub fn one(&self, query: &str) -> String {
        let mut rows = self.rows(query);
        assert_eq!(rows.len(), 1, "{query}: {rows:?}");
        rows.remove(0)
    }
}
