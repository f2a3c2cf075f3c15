//! A PostgreSQL server of a test's own, for what the shared one cannot be set to.

use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

use crate::redis_process::wait_for;

/// Dropping it ends the server and removes its directory.
pub struct Server {
    pub port: u16,
    directory: TempDir,
    process: Option<Child>,
}

impl Server {
    /// Starts a server on an empty cluster. `prepare` puts files into its directory;
    /// `settings` are lines of its configuration.
    pub fn start(prepare: impl Fn(&Path), settings: impl Fn(&Path) -> String) -> Self {
        let directory = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = Self { port, directory, process: None };
        prepare(server.directory());
        server.give_to_owner();
        server.run("initdb", &["-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"]);
        let configuration = server.data().join("postgresql.conf");
        let own = format!(
            "\nlisten_addresses='localhost'\nport={port}\nunix_socket_directories=''\n{}",
            settings(server.directory())
        );
        append(&configuration, &own);
        drop(listener);
        let log = std::fs::File::create(server.log()).unwrap();
        let mut postgres = server.command("postgres");
        server.process = Some(postgres.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        wait_for("PostgreSQL to accept connections", || {
            let mut ask = Command::new(binaries().join("pg_isready"));
            ask.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status().unwrap().success()
        });
        server
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Replaces the table of who may connect.
    pub fn allow(&self, table: &str) {
        std::fs::write(self.data().join("pg_hba.conf"), table).unwrap();
        self.run("pg_ctl", &["reload"]);
        // The server tells nobody when it has read it.
        std::thread::sleep(std::time::Duration::from_millis(500));
    }

    fn data(&self) -> PathBuf {
        self.directory().join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory().join("log")
    }

    /// PostgreSQL refuses to run as root.
    fn give_to_owner(&self) {
        if is_root() {
            let owner = ["-R", "postgres:", self.directory().to_str().unwrap()];
            assert!(Command::new("chown").args(owner).status().unwrap().success());
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program).args(arguments).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        assert!(output.status.success(), "{}\n{log}", String::from_utf8_lossy(&told));
    }

    /// A program of PostgreSQL on this cluster, which ends with the thread of the test.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if is_root() {
            command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
        }
        command.arg("--").arg(binaries().join(program)).arg("-D").arg(self.data());
        command.current_dir(self.directory()).stdin(Stdio::null());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Unlike a kill this gives back the shared memory.
        let _told = self.command("pg_ctl").args(["stop", "-m", "immediate"]).output();
        if let Some(process) = &mut self.process {
            let _ended_already = process.kill();
            let _reaped = process.wait();
        }
    }
}

fn append(file: &Path, text: &str) {
    let before = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, before + text).unwrap();
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

/// The folder of the newest server installed.
fn binaries() -> PathBuf {
    let told = Command::new("pg_config").arg("--bindir").output();
    let told = told.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let mut positions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    positions.sort();
    positions.extend(told.map(PathBuf::from));
    let usable = positions.into_iter().rev().find(|position| position.join("initdb").exists());
    usable.expect("run ./scripts/test: it installs the PostgreSQL server, 15 or newer")
}
