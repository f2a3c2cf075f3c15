//! Real servers as child processes: who runs them, where they listen, how they are
//! signalled.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use super::wait::Random;

/// Below the ports that systems give to outgoing connections: a server that is down for
/// a while finds its own free again.
const PORTS: std::ops::Range<u64> = 15_000..32_000;

/// An address nobody listens on.
pub fn free_address() -> SocketAddr {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    loop {
        let asked = ASKED.fetch_add(1, Ordering::Relaxed);
        let number = Random(u64::from(std::process::id()) << 32 | asked).next();
        let port = (PORTS.start + number % (PORTS.end - PORTS.start)) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A program that is killed when the thread that started it ends, however it ends: what a
/// test starts does not outlive it.
pub fn ending_with_its_test(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// An account that may run a server. PostgreSQL refuses to run as root.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// The system's `postgres` when root runs the tests, else the user who runs them.
    pub fn for_postgres() -> Self {
        let own = Self { uid: id(&["-u"]), gid: id(&["-g"]) };
        match own.uid {
            0 => Self { uid: id(&["-u", "postgres"]), gid: id(&["-g", "postgres"]) },
            _ => own,
        }
    }

    /// The program with a small environment, run by this account.
    pub fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = ending_with_its_test(program);
        command.env_clear().env("LC_ALL", "C").stdin(Stdio::null());
        // Asking for the account one has is refused to all but root.
        if id(&["-u"]) != self.uid {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    pub fn owns(self, path: &Path) {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid)).expect("a path of ours");
    }
}

fn id(arguments: &[&str]) -> u32 {
    let text = output(Command::new("id").args(arguments));
    text.trim().parse().expect("id prints a number")
}

/// Runs a command that must succeed; returns its standard output.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Sends a signal by its name. A process that has ended already is no error.
pub fn signal(name: &str, processes: &[u32]) {
    let processes: Vec<String> = processes.iter().map(u32::to_string).collect();
    let script = format!("kill -{name} {} 2>&1", processes.join(" "));
    Command::new("sh").arg("-c").arg(script).output().expect("sh runs");
}

/// Sets limits of a running process, as the command of that name does.
pub fn prlimit(process: u32, limit: &str) {
    output(Command::new("prlimit").args(["--pid", &process.to_string(), limit]));
}

/// The running processes that a process has started.
pub fn children_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|&process| parent_of(process) == Some(parent)).collect()
}

/// Whether any of its code may still run: one that nobody has waited for may not.
pub fn is_running(process: u32) -> bool {
    parent_of(process).is_some()
}

fn parent_of(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before it is in parentheses and may hold anything.
    let (_name, rest) = stat.rsplit_once(") ")?;
    let (state, rest) = rest.split_once(' ')?;
    let parent = rest.split(' ').next()?.parse().ok()?;
    (state != "Z").then_some(parent)
}
