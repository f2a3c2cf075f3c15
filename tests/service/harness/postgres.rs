//! A PostgreSQL server of the test's own: real processes, a cluster in a temporary
//! directory, commits that outlive any of them.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::NoTls;
use tokio_postgres::SimpleQueryMessage;

use super::process::Account;
use super::process::children_of;
use super::process::free_address;
use super::process::is_running;
use super::process::output;
use super::process::signal;
use super::wait::eventually;

const MISSING: &str =
    "PostgreSQL 15 or newer is needed: apt-get install postgresql-15, or run ./scripts/test";
const OLDEST: u32 = 15;
/// Small, and nothing left behind when the processes are killed.
const SETTINGS: [&str; 8] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "dynamic_shared_memory_type=mmap",
    // Tests end processes, never the machine: none waits for a disk that others keep busy.
    "fsync=off",
    "synchronous_commit=on",
    "shared_buffers=32MB",
    "max_connections=100",
    "log_min_messages=warning",
];

/// Dropping it ends the server and removes the cluster.
pub struct Postgres {
    binaries: PathBuf,
    account: Account,
    directory: TempDir,
    address: SocketAddr,
    postmaster: Option<Child>,
}

impl Postgres {
    pub async fn start() -> Self {
        let (binaries, account) = (binaries(), Account::for_postgres());
        let directory = tempfile::tempdir().expect("a temporary directory");
        account.owns(directory.path());
        let template = template(&binaries, account);
        output(Command::new("cp").arg("-a").arg(template).arg(directory.path().join("data")));
        let address = free_address();
        let mut server = Self { binaries, account, directory, address, postmaster: None };
        server.restart().await;
        server
    }

    /// Where the files of the tables are.
    pub fn tables(&self) -> PathBuf {
        self.directory.path().join("data/base")
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All users may do everything.
    pub fn url(&self) -> String {
        self.url_at(self.address)
    }

    /// The same database, reached by way of another address.
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("postgres://postgres@{address}/postgres")
    }

    /// Runs statements; returns the rows of all of them, values as text.
    pub async fn query(&self, sql: &str) -> Vec<Vec<String>> {
        let client = self.connect().await.unwrap_or_else(|error| panic!("{error}: {}", self.log()));
        let answers = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{error:?}"));
        let mut rows = Vec::new();
        for answer in answers {
            if let SimpleQueryMessage::Row(row) = answer {
                let value = |n| row.get(n).unwrap_or_default().to_owned();
                rows.push((0..row.len()).map(value).collect());
            }
        }
        rows
    }

    /// Creates a role that must give its password.
    pub async fn create_role(&self, name: &str, password: &str) {
        self.query(&format!("create role {name} login superuser password '{password}'")).await;
        let path = self.data().join("pg_hba.conf");
        let rules = std::fs::read_to_string(&path).expect("the rules of access");
        let rules = format!("host all {name} 127.0.0.1/32 scram-sha-256\n{rules}");
        std::fs::write(&path, rules).expect("a writable file");
        self.account.owns(&path);
        self.query("select pg_reload_conf()").await;
    }

    /// What a power cut leaves: no process of the server runs any more.
    pub fn kill_9(&mut self) {
        let Some(mut postmaster) = self.postmaster.take() else { return };
        // Stopped first, so that it starts no further process.
        signal("STOP", &[postmaster.id()]);
        let mut processes = children_of(postmaster.id());
        processes.push(postmaster.id());
        signal("KILL", &processes);
        postmaster.wait().expect("a killed process ends");
        while processes.iter().any(|&process| is_running(process)) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// None of its processes runs any more, and their connections stay open: what a virtual
    /// machine that is paused or a disk that hangs looks like from outside.
    pub fn freeze(&self) {
        self.signal_all("STOP");
    }

    pub fn thaw(&self) {
        self.signal_all("CONT");
    }

    fn signal_all(&self, name: &str) {
        let Some(postmaster) = &self.postmaster else { return };
        // First the one that starts others.
        signal(name, &[postmaster.id()]);
        signal(name, &children_of(postmaster.id()));
    }

    /// Rolls open transactions back and ends: what an administrator does.
    pub async fn stop(&mut self) {
        self.end("INT").await;
    }

    async fn end(&mut self, signal_name: &str) {
        let Some(mut postmaster) = self.postmaster.take() else { return };
        signal(signal_name, &[postmaster.id()]);
        eventually("the end of PostgreSQL", async || postmaster.try_wait().expect("a child")).await;
    }

    /// Starts the server on the cluster as it is, at the same address, and waits until
    /// it has recovered. What a killed server left behind may keep a new one from
    /// starting for a moment.
    pub async fn restart(&mut self) {
        assert!(self.postmaster.is_none(), "PostgreSQL runs already");
        let mut postmaster = self.launch();
        eventually("PostgreSQL to accept connections", async || {
            if postmaster.try_wait().expect("a child").is_some() {
                tokio::time::sleep(Duration::from_millis(50)).await;
                postmaster = self.launch();
            }
            self.connect().await.ok().map(drop)
        })
        .await;
        self.postmaster = Some(postmaster);
    }

    fn launch(&self) -> Child {
        let log = self.directory.path().join("server.log");
        let log = File::options().create(true).append(true).open(log).expect("a log file");
        let mut command = self.account.command(self.binaries.join("postgres"));
        command.arg("-D").arg(self.data()).args(["-p", &self.address.port().to_string()]);
        command.args(SETTINGS.iter().flat_map(|&setting| ["-c", setting]));
        command.stdout(Stdio::null()).stderr(log).spawn().expect(MISSING)
    }

    async fn connect(&self) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("server.log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of PostgreSQL ---\n{}", self.log());
        }
        self.thaw();
        if let Some(postmaster) = &mut self.postmaster {
            // Unlike a kill this gives back the shared memory.
            signal("QUIT", &[postmaster.id()]);
            for _ in 0..200 {
                if matches!(postmaster.try_wait(), Ok(Some(_))) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.kill_9();
    }
}

/// Where `postgres` and `initdb` are.
fn binaries() -> PathBuf {
    let configured = Command::new("pg_config").arg("--bindir").output();
    let configured = configured.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let packaged = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let packaged = packaged.map(|version| version.path().join("bin"));
    let positions =
        configured.ok().map(|path| PathBuf::from(path.trim())).into_iter().chain(packaged);
    let newest = positions.filter_map(|position| Some((major_version(&position)?, position))).max();
    let (version, position) = newest.expect(MISSING);
    assert!(version >= OLDEST, "found {version}; {MISSING}");
    position
}

fn major_version(binaries: &Path) -> Option<u32> {
    let has_initdb = binaries.join("initdb").exists();
    let version = Command::new(binaries.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(version.stdout).ok()?;
    let number =
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    if has_initdb { digits.parse().ok() } else { None }
}

/// An empty cluster to copy: making one takes a second, copying it a tenth of that.
fn template(binaries: &Path, account: Account) -> PathBuf {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let version = output(Command::new(binaries.join("postgres")).arg("--version"));
    let version = version.split_whitespace().nth(2).expect("a version").to_owned();
    let name = format!("postgres-{version}-of-{}", account.uid);
    let template = kept.join(&name);
    let lock = File::create(kept.join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("a lock");
    if !template.exists() {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        account.owns(scratch.path());
        let mut initdb = account.command(binaries.join("initdb"));
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]);
        initdb.args(["--wal-segsize=1", "-D"]).arg(scratch.path().join("data"));
        output(&mut initdb);
        let unfinished = kept.join(format!("{name}.unfinished"));
        let _nothing_there = std::fs::remove_dir_all(&unfinished);
        output(Command::new("cp").arg("-a").arg(scratch.path().join("data")).arg(&unfinished));
        std::fs::rename(&unfinished, &template).expect("the same directory");
    }
    template
}
