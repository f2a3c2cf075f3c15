//! A Redis server of the test's own, without any persistence: what it held is gone when
//! it ends.

use std::net::SocketAddr;
use std::process::Child;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpStream;

use super::process::ending_with_its_test;
use super::process::free_address;
use super::wait::eventually;

const MISSING: &str =
    "Redis 7 or newer is needed: apt-get install redis-server, or run ./scripts/test";

/// Dropping it ends the server.
pub struct Redis {
    child: Child,
    directory: TempDir,
    address: SocketAddr,
}

impl Redis {
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let address = free_address();
        let server = Self { child: launch(&directory, address), directory, address };
        server.answers().await;
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        Self::url_at(self.address)
    }

    /// A Redis at any address.
    pub fn url_at(address: SocketAddr) -> String {
        format!("redis://{address}")
    }

    pub fn kill_9(&mut self) {
        self.child.kill().expect("the process runs");
        self.child.wait().expect("a killed process ends");
    }

    /// A new process at the same address, empty.
    pub async fn restart(&mut self) {
        self.child = launch(&self.directory, self.address);
        self.answers().await;
    }

    pub async fn flush(&self) {
        assert_eq!(self.command("FLUSHALL").await.expect("Redis runs"), "+OK");
    }

    /// Sends a command without binary arguments; returns the first line of the answer
    /// as it comes over the wire.
    pub async fn command(&self, words: &str) -> std::io::Result<String> {
        let mut connection = BufReader::new(TcpStream::connect(self.address).await?);
        connection.write_all(format!("{words}\r\n").as_bytes()).await?;
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        Ok(line.trim_end().to_owned())
    }

    async fn answers(&self) {
        eventually("Redis to answer", async || {
            let answer = self.command("PING").await;
            answer.is_ok_and(|answer| answer == "+PONG").then_some(())
        })
        .await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn launch(directory: &TempDir, address: SocketAddr) -> Child {
    ending_with_its_test("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--dir"])
        .arg(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect(MISSING)
}
