//! A disk that is full, for real: a small file system of its own, which only the process
//! that runs the test has mounted. That process is this test binary again, told by an
//! environment variable where its disk is.

use std::io::ErrorKind;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use personalization::storage::AppendOutcome::Accepted;
use personalization::storage::Error;
use personalization::storage::InteractionLog;
use personalization::storage::SqliteOptions;
use personalization::storage::open_sqlite;

use crate::conformance::NOW;
use crate::conformance::append;
use crate::conformance::default_of;
use crate::conformance::group;
use crate::conformance::interactions;
use crate::conformance::read_all;
use crate::conformance::upto;

const DISK: &str = "STORAGE_TEST_DISK";
const DISK_BYTES: u64 = 4 << 20;

/// Runs a test of this name again, on a small disk.
fn on_a_small_disk(test: &str) {
    let directory = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs -o size={DISK_BYTES} tmpfs \"$0\" && exec \"$1\" --exact \"$2\" --nocapture"
    );
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &script])
        .arg(directory.path())
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(DISK, directory.path())
        .output()
        .expect("util-linux has unshare");
    let told = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}{failed}");
}

fn fill(disk: &Path) -> PathBuf {
    let filler = disk.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    loop {
        if let Err(error) = file.write_all(&[7; 512]) {
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            return filler;
        }
    }
}

#[test]
fn a_start_on_a_full_disk_reads_and_writes_again_when_there_is_space() {
    let Some(disk) = std::env::var_os(DISK).map(PathBuf::from) else {
        return on_a_small_disk(
            "sqlite_full_disk::a_start_on_a_full_disk_reads_and_writes_again_when_there_is_space",
        );
    };
    let options = SqliteOptions { path: disk.join("data"), dedup_horizon: 1_000 };
    append(&*open_sqlite(&options).unwrap(), interactions("a", 0..100));
    // The end before was a clean one: nothing of SQLite's lies next to the database.
    let filler = fill(&disk);
    let store = open_sqlite(&options).unwrap();
    let partition = default_of(&*store);
    assert_eq!(read_all(&*store, &partition, upto(100)).len(), 100);
    let refused = store.append(&group(&partition, interactions("b", 0..10_000)), NOW);
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    assert_eq!(read_all(&*store, &partition, upto(100)).len(), 100);
    drop(store);
    std::fs::remove_file(filler).unwrap();
    let store = open_sqlite(&options).unwrap();
    assert_eq!(append(&*store, interactions("b", 0..1)).outcomes, [Accepted(101)]);
    assert!(disk.join("data/reserve").exists());
}
