//! A database of its own for each test, on the server that TEST_DATABASE_URL names.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use personalization::storage::PostgresOptions;
use personalization::storage::PostgresStore;
use personalization::storage::open_postgres;
use tokio::runtime::Runtime;
use tokio_postgres::Client;
use tokio_postgres::Config;
use tokio_postgres::NoTls;
use tokio_postgres::Row;

/// Dropped with the test, also when it fails.
pub struct Database {
    server: Config,
    name: String,
}

impl Database {
    pub fn new() -> Self {
        static CREATED: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("TEST_DATABASE_URL").expect(
            "run ./scripts/test, or set TEST_DATABASE_URL to a PostgreSQL 15 server, as a role \
             that may create databases",
        );
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = format!("storage_test_{}_{number}", std::process::id());
        let server: Config = server.parse().unwrap();
        Raw::connect(&server).run(&format!("CREATE DATABASE {name}"));
        Self { server, name }
    }

    /// As pairs, so that a test can add one.
    pub fn url(&self) -> String {
        self.url_by(self.port())
    }

    pub fn port(&self) -> u16 {
        self.server.get_ports().first().copied().unwrap_or(5432)
    }

    /// The same database through a proxy of this machine.
    pub fn url_by(&self, port: u16) -> String {
        let user = self.server.get_user().unwrap_or("postgres");
        let password = self.server.get_password().unwrap_or_default();
        let password = String::from_utf8_lossy(password);
        let name = &self.name;
        format!("host=127.0.0.1 port={port} user={user} password='{password}' dbname={name}")
    }

    pub fn options(&self) -> PostgresOptions {
        PostgresOptions {
            url: self.url(),
            read_url: None,
            pool_size: 8,
            statement_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            dedup_horizon: 100_000,
        }
    }

    pub fn store(&self) -> Arc<PostgresStore> {
        open_postgres(&self.options()).unwrap()
    }

    pub fn raw(&self) -> Raw {
        let mut config = self.server.clone();
        Raw::connect(config.dbname(&self.name))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        Raw::connect(&self.server).run(&drop);
    }
}

/// A connection past the store.
pub struct Raw {
    runtime: Runtime,
    client: Client,
}

impl Raw {
    pub fn open(url: &str) -> Self {
        Self::connect(&url.parse().unwrap())
    }

    fn connect(config: &Config) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let client = runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Self { runtime, client }
    }

    pub fn run(&self, statements: &str) {
        self.runtime.block_on(self.client.batch_execute(statements)).unwrap();
    }

    /// The one row of a query.
    pub fn row(&self, query: &str) -> Row {
        self.runtime.block_on(self.client.query_one(query, &[])).unwrap()
    }

    pub fn count(&self, table: &str) -> i64 {
        self.row(&format!("SELECT count(*) FROM {table}")).get(0)
    }
}
