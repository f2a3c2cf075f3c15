//! `scripts/leave-nothing`, which `scripts/test` runs all tests under, finds what a command leaves behind.

use std::process::Command;

/// Whether the script is content with a command of the shell, and what it says.
fn leave_nothing(script: &str) -> (bool, String) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/leave-nothing");
    let output = Command::new(path).args(["sh", "-c", script]).output().expect("bash");
    (output.status.success(), String::from_utf8(output.stderr).expect("UTF-8"))
}

#[test]
fn a_command_that_leaves_nothing_keeps_its_status() {
    assert_eq!(leave_nothing("touch $TMPDIR/a && rm $TMPDIR/a"), (true, String::new()));
    assert_eq!(leave_nothing("exit 3"), (false, String::new()));
}

#[test]
fn processes_and_files_that_outlive_a_command_are_named_and_ended() {
    // One keeps the environment, the other keeps the directory.
    let inheriting = "sleep 600.1 >/dev/null 2>&1 &";
    let working_there = "cd $TMPDIR && env -i setsid sleep 600.2 >/dev/null 2>&1 &";
    for (script, name) in [
        (inheriting, "sleep 600.1"),
        (working_there, "sleep 600.2"),
        ("mkdir $TMPDIR/kept", "in its TMPDIR: kept"),
    ] {
        let (content, told) = leave_nothing(script);
        assert!(!content && told.contains(name), "{told}");
        let Some(process) = told.split("process ").nth(1) else { continue };
        let process = process.split(':').next().expect("a number");
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
}
