//! A TCP proxy in front of the server that loses connections at chosen moments.

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What becomes of the next COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// It reaches the server; the answer does not come back.
    AnswerLost,
    /// It does not reach the server, which sees the connection end.
    Lost,
    /// It does not reach the server, which sees nothing at all.
    LostInSilence,
}

#[derive(Default)]
struct Plan {
    commit: Mutex<Option<Commit>>,
    frozen: AtomicBool,
}

pub struct Proxy {
    pub port: u16,
    plan: Arc<Plan>,
}

impl Proxy {
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan = Arc::new(Plan::default());
        let shared = plan.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                let plan = shared.clone();
                let (from_server, to_client) = (server.try_clone(), client.try_clone());
                let back = shared.clone();
                std::thread::spawn(move || {
                    answers(&back, from_server.unwrap(), to_client.unwrap());
                });
                std::thread::spawn(move || requests(&plan, client, server));
            }
        });
        Self { port, plan }
    }

    pub fn on_next_commit(&self, what: Commit) {
        *self.plan.commit.lock().unwrap() = Some(what);
    }

    /// Whether the planned loss has happened.
    pub fn is_done(&self) -> bool {
        self.plan.commit.lock().unwrap().is_none()
    }

    /// While frozen nothing goes through, and nobody is told.
    pub fn freeze(&self, frozen: bool) {
        self.plan.frozen.store(frozen, Ordering::SeqCst);
    }
}

impl Plan {
    fn wait(&self) {
        while self.frozen.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn answers(plan: &Plan, mut server: TcpStream, mut client: TcpStream) {
    let mut bytes = [0; 65_536];
    while let Ok(count @ 1..) = server.read(&mut bytes) {
        plan.wait();
        if client.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _gone = client.shutdown(Shutdown::Both);
}

fn requests(plan: &Plan, mut client: TcpStream, mut server: TcpStream) {
    let mut bytes = [0; 65_536];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        plan.wait();
        let commit = bytes[..count].windows(7).position(|seven| seven == b"COMMIT\0");
        let planned = match commit {
            Some(_) => plan.commit.lock().unwrap().take(),
            None => None,
        };
        // What comes before its message goes through; a Q is the head of a message.
        let until = match (planned, commit) {
            (Some(Commit::Lost | Commit::LostInSilence), Some(at)) => {
                bytes[..at].iter().rposition(|byte| *byte == b'Q').unwrap()
            }
            _ => count,
        };
        if planned.is_some() {
            // Before the answer can come.
            let _gone = client.shutdown(Shutdown::Both);
        }
        if server.write_all(&bytes[..until]).is_err() {
            break;
        }
        match planned {
            Some(Commit::LostInSilence) => {
                // The server goes on waiting for as long as this side is open.
                std::thread::sleep(Duration::from_secs(3_600));
            }
            Some(_) => break,
            None => {}
        }
    }
    let _gone = server.shutdown(Shutdown::Write);
}
