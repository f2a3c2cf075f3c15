//! The real binary as a child process.

use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStderr;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;

use tempfile::TempDir;

use super::api::Api;
use super::health::is_serving;
use super::process::ending_with_its_test;
use super::process::free_address;
use super::process::signal;
use super::wait::eventually;

/// The binary with one of its commands and an environment that says nothing.
pub fn command(name: &str) -> Command {
    clean(&binary(), name)
}

/// The binary that is being tested.
pub fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_personalization"))
}

fn clean(program: &Path, name: &str) -> Command {
    let mut command = ending_with_its_test(program);
    command.arg(name).env_clear().env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// A running server and its directory. Dropping it kills the process.
pub struct Server {
    child: Child,
    log: Log,
    directory: TempDir,
    program: PathBuf,
    arguments: Vec<String>,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
}

type Log = Arc<Mutex<String>>;

impl Server {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts with an embedded store and further flags and waits until it serves. No
    /// training starts by itself: which records a log holds is up to the test.
    pub async fn start_with(flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let data = directory.path().to_str().expect("UTF-8").to_owned();
        let flags = [flags, &["--data-dir", &data, "--auto-retrain", "false"]].concat();
        let mut server = Self::launch(&binary(), directory, &flags);
        server.serves().await;
        server
    }

    /// The same, within what a command of the shell sets, such as `ulimit -n 200`.
    pub async fn start_within(limits: &str, flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let script = directory.path().join("serve.sh");
        let text = format!("{limits}\nexec {} \"$@\"\n", binary().display());
        std::fs::write(&script, format!("#!/bin/sh\n{text}")).expect("a script");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, executable).expect("a script of ours");
        let data = directory.path().to_str().expect("UTF-8").to_owned();
        let flags = [flags, &["--data-dir", &data, "--auto-retrain", "false"]].concat();
        let mut server = Self::launch(&script, directory, &flags);
        server.serves().await;
        server
    }

    /// One of several servers on stores that the flags name, serving.
    pub async fn replica(flags: &[&str]) -> Self {
        let mut server = Self::replica_of(&binary(), flags);
        server.serves().await;
        server
    }

    /// The same, of any version of the binary, and not waited for.
    pub fn replica_of(program: &Path, flags: &[&str]) -> Self {
        Self::launch(program, tempfile::tempdir().expect("a temporary directory"), flags)
    }

    fn launch(program: &Path, directory: TempDir, flags: &[&str]) -> Self {
        let (grpc, http) = (free_address(), free_address());
        let (grpc_text, http_text) = (grpc.to_string(), http.to_string());
        let addresses = ["--grpc-addr", &grpc_text, "--http-addr", &http_text];
        let arguments =
            [&addresses, flags].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
        let program = program.to_owned();
        let (child, log) = run(&program, directory.path(), &arguments);
        Self { child, log, directory, program, arguments, grpc, http }
    }

    /// Waits until the server says that it serves.
    pub async fn serves(&mut self) {
        eventually("a server that serves", async || {
            let ended = self.child.try_wait().expect("the process can be asked");
            if ended.is_some() && self.log().contains("Address already in use") {
                // A passing connection of another test has the port just now.
                (self.child, self.log) = run(&self.program, self.directory.path(), &self.arguments);
                return None;
            }
            assert!(ended.is_none(), "the server ended: {}", self.log());
            is_serving(self.grpc, "").await.then_some(())
        })
        .await;
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
        signal("TERM", &[self.pid()]);
    }

    /// The process goes on existing and does nothing.
    pub fn pause(&self) {
        signal("STOP", &[self.pid()]);
    }

    pub fn resume(&self) {
        signal("CONT", &[self.pid()]);
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

    /// A new process on the same stores and addresses; waits until it serves.
    pub async fn restart(&mut self) {
        (self.child, self.log) = run(&self.program, self.data_dir(), &self.arguments);
        self.serves().await;
    }

    /// The same, with flags of the start left out.
    pub async fn restart_without(&mut self, flags: &[&str]) {
        self.kill_9();
        self.arguments.retain(|argument| !flags.contains(&argument.as_str()));
        self.restart().await;
    }

    /// The same, with further flags.
    pub async fn restart_with(&mut self, flags: &[&str]) {
        self.kill_9();
        self.arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self.restart().await;
    }

    /// The same, as another version of the binary.
    pub async fn restart_as(&mut self, program: &Path) {
        self.program = program.to_owned();
        self.restart().await;
    }

    /// Standard error so far.
    pub fn log(&self) -> String {
        text(&self.log)
    }

    /// What the process has taken of the processors, in milliseconds.
    pub fn cpu_millis(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("Linux");
        let (_name, numbers) = stat.rsplit_once(") ").expect("a name in parentheses");
        let ticks =
            numbers.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
        // A hundred ticks a second, on every Linux.
        ticks.sum::<u64>() * 10
    }

    /// Resident memory in KiB, without the pages of the binary: how many of these have been touched
    /// goes by its size.
    pub fn resident_kib(&self) -> u64 {
        self.status("RssAnon:")
    }

    /// The most that it ever was.
    pub fn peak_kib(&self) -> u64 {
        self.status("VmHWM:")
    }

    pub fn threads(&self) -> u64 {
        self.status("Threads:")
    }

    fn status(&self, name: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("Linux");
        let line = status.lines().find(|line| line.starts_with(name)).expect(name);
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    }

    /// Time of all cores that the process has used so far.
    pub fn cpu_seconds(&self) -> f64 {
        // Ticks of a hundredth of a second, everywhere.
        const TICK: f64 = 0.01;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("Linux");
        let (_name, rest) = stat.rsplit_once(") ").expect("a name in parentheses");
        let ticks = rest.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>());
        ticks.map(|ticks| TICK * ticks.expect("a number")).sum()
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

fn run(program: &Path, directory: &Path, arguments: &[String]) -> (Child, Log) {
    let mut child = clean(program, "serve")
        .args(arguments)
        .current_dir(directory)
        .env("RUST_LOG", "info")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let log = Log::default();
    let errors = child.stderr.take().expect("stderr is piped");
    let kept = log.clone();
    std::thread::spawn(move || keep(errors, &kept));
    (child, log)
}

fn keep(errors: ChildStderr, log: &Mutex<String>) {
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        let mut log = log.lock().expect("nobody panics with the log in hand");
        log.push_str(&line);
        log.push('\n');
    }
}
