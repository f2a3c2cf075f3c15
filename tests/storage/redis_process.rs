//! Redis servers of a test: each a process of its own with a directory of its own.

use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;

pub const TIMEOUT: Duration = Duration::from_secs(20);

/// A server on a port that stays the same when it is killed and started again.
pub struct RedisProcess {
    pub port: u16,
    arguments: Vec<String>,
    directory: TempDir,
    child: Option<Child>,
}

impl RedisProcess {
    /// Starts a server and waits until it answers.
    pub fn start(arguments: &[&str]) -> Self {
        let mut server = Self::stopped(arguments);
        server.run();
        server
    }

    /// Has a port, but does not run yet.
    pub fn stopped(arguments: &[&str]) -> Self {
        Self {
            port: free_port(),
            arguments: arguments.iter().copied().map(str::to_owned).collect(),
            directory: tempfile::tempdir().unwrap(),
            child: None,
        }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn run(&mut self) {
        let common = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port"];
        let mut command = Self::server();
        command.args(common).arg(self.port.to_string()).args(&self.arguments);
        self.spawn(command);
    }

    /// As a Sentinel that watches the primary at this port.
    pub fn sentinel(primary: u16) -> Self {
        let mut sentinel = Self::stopped(&[]);
        let file = sentinel.directory().join("sentinel.conf");
        let configuration = format!(
            "port {}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {primary} 1\n\
             sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n",
            sentinel.port
        );
        std::fs::write(&file, configuration).unwrap();
        let mut command = Self::server();
        command.arg(file).arg("--sentinel");
        sentinel.spawn(command);
        sentinel
    }

    /// Killed when the thread of the test ends, however it ends.
    fn server() -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "redis-server"]);
        command
    }

    fn spawn(&mut self, mut command: Command) {
        command.current_dir(self.directory.path()).stdout(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("redis-server: {error}; apt-get install redis-server, or run ./scripts/test")
        });
        self.child = Some(child);
        let port = self.port;
        wait_for("redis-server to listen", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Lets the process hang: its connections stay, nothing answers.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// What redis-cli prints for a command.
    pub fn cli(&self, arguments: &[&str]) -> String {
        self.cli_with(arguments, b"")
    }

    /// With the last argument of the command from bytes, unless there are none.
    pub fn cli_with(&self, arguments: &[&str], last: &[u8]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]);
        if !last.is_empty() {
            command.arg("-x");
        }
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("redis-cli; apt-get install redis-tools");
        child.stdin.take().unwrap().write_all(last).unwrap();
        let output = child.wait_with_output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for RedisProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits, blocking; for what tests do to servers.
#[track_caller]
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for what the service does.
#[track_caller]
pub fn eventually(
    what: &str,
    mut condition: impl AsyncFnMut() -> bool,
) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + TIMEOUT;
        while !condition().await {
            assert!(Instant::now() < deadline, "waited too long for {what} at {caller}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
