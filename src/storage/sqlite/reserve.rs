//! Space kept free for a start on a full disk: SQLite needs some kilobytes in addition to the
//! database before it can even read it, and gives them back at a clean end.

use std::fs;
use std::io;
use std::path::Path;

const FILE: &str = "reserve";
/// Several times the shared index and the head of a write-ahead log.
const BYTES: usize = 256 << 10;

/// Frees the space. Returns whether there was any.
pub fn spend(directory: &Path) -> bool {
    fs::remove_file(directory.join(FILE)).is_ok()
}

/// Takes the space, where there is some: a failure is no harm before the disk is full.
pub fn keep(directory: &Path) {
    let file = directory.join(FILE);
    let is_whole = fs::metadata(&file).is_ok_and(|found| found.len() == BYTES as u64);
    if !is_whole && let Err(error) = write(&file) {
        tracing::warn!(%error, "no space is left for a start on a full disk");
    }
}

fn write(file: &Path) -> io::Result<()> {
    // Not zeros: some file systems keep no space for those.
    let written = fs::write(file, vec![0xa5; BYTES]);
    if written.is_err() {
        fs::remove_file(file)?;
    }
    written
}
