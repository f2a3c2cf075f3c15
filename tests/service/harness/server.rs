//! The real binary as a child process.

use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::process::ChildStderr;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;

use tempfile::TempDir;

use super::api::Api;
use super::wait::eventually;

/// The binary with one of its commands and an environment that says nothing.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_personalization"));
    command.arg(name).env_clear().env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// A running server and its data directory. Dropping it kills the process.
pub struct Server {
    child: Child,
    log: Log,
    directory: TempDir,
    arguments: Vec<String>,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
}

type Log = Arc<Mutex<String>>;

impl Server {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts with further flags and waits until it serves. No training starts by
    /// itself: which records a log holds is up to the test.
    pub async fn start_with(flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut arguments: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        arguments.extend(["--auto-retrain", "false"].map(str::to_owned));
        let (child, log, (grpc, http)) = launch(directory.path(), &arguments).await;
        Self { child, log, directory, arguments, grpc, http }
    }

    pub fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Clients over a new connection.
    pub async fn api(&self) -> Api {
        Api::connect(self.grpc).await
    }

    /// SIGTERM, then waits for the process to end by itself.
    pub async fn stop_gracefully(&mut self) -> ExitStatus {
        self.terminate();
        self.ended().await
    }

    pub fn terminate(&self) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.pid())).status();
        assert!(sent.expect("sh runs").success(), "SIGTERM was not sent");
    }

    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let log = &self.log;
        eventually("the end of the process", async || {
            child.try_wait().unwrap_or_else(|error| panic!("{error}: {}", text(log)))
        })
        .await
    }

    /// What a power cut leaves of the process: nothing runs any more, not even Drop.
    pub fn kill_9(&mut self) {
        self.child.kill().expect("the process runs");
        self.child.wait().expect("a killed process ends");
    }

    /// A new process on the same directory, on other ports.
    pub async fn restart(&mut self) {
        let (child, log, (grpc, http)) = launch(self.directory.path(), &self.arguments).await;
        (self.child, self.log, self.grpc, self.http) = (child, log, grpc, http);
    }

    /// Standard error so far.
    pub fn log(&self) -> String {
        text(&self.log)
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}", self.log());
        }
    }
}

fn text(log: &Log) -> String {
    log.lock().expect("the reader does not panic").clone()
}

async fn launch(directory: &Path, arguments: &[String]) -> (Child, Log, (SocketAddr, SocketAddr)) {
    let mut child = command("serve")
        .args(["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--data-dir"])
        .arg(directory)
        .args(arguments)
        .env("RUST_LOG", "info")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let log = Log::default();
    let errors = child.stderr.take().expect("stderr is piped");
    let kept = log.clone();
    std::thread::spawn(move || keep(errors, &kept));
    let addresses = eventually("the server to serve", async || {
        let addresses = announced(&text(&log));
        if addresses.is_none() {
            let ended = child.try_wait().expect("the process can be asked");
            assert!(ended.is_none(), "the server did not start: {}", text(&log));
        }
        addresses
    })
    .await;
    (child, log, addresses)
}

fn keep(errors: ChildStderr, log: &Mutex<String>) {
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        let mut log = log.lock().expect("nobody panics with the log in hand");
        log.push_str(&line);
        log.push('\n');
    }
}

/// The addresses of the line that says the server serves.
fn announced(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line = log.lines().find(|line| line.contains(" serving "))?;
    let address = |name: &str| {
        let after = line.split_once(name)?.1;
        after.split_whitespace().next()?.parse().ok()
    };
    Some((address("grpc=")?, address("http=")?))
}
