//! The disk of the embedded store fills up, for real: the data directory is a small file
//! system of its own.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;
use tonic::Code;

use super::fleet::LIKES;
use super::fleet::assert_come_back;
use super::fleet::is_unwell;
use super::fleet::is_well;
use super::fleet::time_until;
use crate::harness::Producers;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::binary;
use crate::harness::events;
use crate::harness::eventually;
use crate::harness::is_serving;

const DISK_BYTES: u64 = 24 << 20;
/// What takes away most of it, until it is removed.
const FILLER_BYTES: usize = 16 << 20;

/// So many rejections of single events in a row are not by chance.
const REJECTIONS: u32 = 100;

/// A file system in memory that only processes of its own mount namespace see. It is
/// gone with the last of them, however the test ends.
struct SmallDisk {
    holder: Child,
    directory: TempDir,
}

impl SmallDisk {
    async fn mount() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let script = format!(
            "mount -t tmpfs -o size={DISK_BYTES} tmpfs \"$0\" && touch \"$0/mounted\" \
             && exec setpriv --pdeathsig KILL sleep 600"
        );
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", &script])
            .arg(directory.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("util-linux has unshare");
        eventually("a small file system", async || {
            let ended = holder.try_wait().expect("a child");
            assert!(ended.is_none(), "the disk of this test cannot be mounted: run it as root");
            let mounted =
                format!("/proc/{}/root{}/mounted", holder.id(), directory.path().display());
            std::fs::exists(mounted).is_ok_and(|exists| exists).then_some(())
        })
        .await;
        Self { holder, directory }
    }

    /// A path on it, for processes that do not see it.
    fn path_from_outside(&self, name: &str) -> PathBuf {
        let directory = self.directory.path().display();
        PathBuf::from(format!("/proc/{}/root{directory}/{name}", self.holder.id()))
    }

    /// A program that is the service's binary where the disk is to be seen.
    fn binary(&self) -> PathBuf {
        let (holder, binary) = (self.holder.id(), binary());
        let script = format!(
            "#!/bin/sh\nexec nsenter --target {holder} --user --preserve-credentials --mount {} \"$@\"\n",
            binary.display(),
        );
        let path = self.directory.path().join("personalization");
        std::fs::write(&path, script).expect("a writable directory");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("our own file");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ended_already = self.holder.kill();
        let _reaped = self.holder.wait();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_ingest_and_serves_and_recovers_when_there_is_space() {
    let disk = SmallDisk::mount().await;
    let data = disk.directory.path().join("data");
    let flags = ["--data-dir", data.to_str().expect("UTF-8"), "--auto-retrain", "false"];
    let mut server = Server::replica_of(&disk.binary(), &flags);
    server.serves().await;
    let api = server.api().await;
    World::fill(&api).await;
    let filler = disk.path_from_outside("filler");
    std::fs::write(&filler, vec![0; FILLER_BYTES]).expect("there is space yet");
    let mut producers = Producers::start("p", &[server.grpc; 3], Duration::ZERO);
    // A small group of records may still find space where a large one did not.
    let (mut number, mut rejections) = (0, 0);
    while rejections < REJECTIONS {
        let probed = api.try_record(events("probe", number..number + 1)).await;
        number += 1;
        rejections = if probed.is_err() { rejections + 1 } else { 0 };
    }
    println!("full after {} events", producers.acked());
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        // What is known already needs no write, and that it is acknowledged proves nothing.
        let known = api.try_record(World::likes()).await;
        assert!(known.is_err() || known.is_ok_and(|known| known.accepted == 0));
        assert!(is_unwell(&server).await && is_serving(server.grpc, "").await);
        let refused = api.try_record(events("probe", number - 1..number)).await;
        assert_come_back(&refused.expect_err("a false ack"), Code::Unavailable);
    }
    std::fs::remove_file(&filler).expect("our own file");
    println!("acks after there was space: {:?}", producers.progress().await);
    producers.stop().await;
    time_until("all is well again", async || is_well(&server).await).await;
    let probes = api.record(events("probe", 0..number)).await;
    assert_eq!(probes.accepted + probes.duplicates, number);
    let sent = LIKES + number + producers.resend_all(&api).await;
    assert_eq!(api.settled_status().await.interactions, sent);
    assert!(server.stop_gracefully().await.success());
    server.restart().await;
    assert_eq!(server.api().await.settled_status().await.interactions, sent);
}
