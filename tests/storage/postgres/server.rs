//! A PostgreSQL server of a test's own, for what the shared one cannot be set to.

use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

pub struct Server {
    pub port: u16,
    directory: TempDir,
}

impl Server {
    /// Starts a server on an empty cluster. `prepare` puts files into its directory;
    /// `settings` are lines of its configuration.
    pub fn start(prepare: impl Fn(&Path), settings: impl Fn(&Path) -> String) -> Self {
        let directory = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, directory };
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
        server.run("pg_ctl", &["start", "-w", "-t", "60", "-l", server.log().to_str().unwrap()]);
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
        let program = binaries().join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // Not of pipes: the server would keep them open.
        let told = self.directory().join("told");
        let output = std::fs::File::create(&told).unwrap();
        let status = command
            .arg("-D")
            .arg(self.data())
            .args(arguments)
            .current_dir(self.directory())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .status()
            .unwrap();
        let told = std::fs::read_to_string(told).unwrap();
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        assert!(status.success(), "{told}\n{log}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.run("pg_ctl", &["stop", "-m", "immediate"]);
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
    let mut places: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    places.sort();
    places.extend(told.map(PathBuf::from));
    let usable = places.into_iter().rev().find(|place| place.join("initdb").exists());
    usable.expect("run ./scripts/test: it installs the PostgreSQL server, 15 or newer")
}
