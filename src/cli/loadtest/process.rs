//! CPU time of another process, from `/proc`; nothing on systems without it.
//!
//! - Two sources: per thread in nanoseconds (`schedstat`), which misses threads that ended in between;
//!   and of the whole process in clock ticks (`stat`), which is coarse. The greater one counts, with
//!   a tick taken off the coarse one, so that rounding never adds to it.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// A clock tick of `/proc/<pid>/stat`: USER_HZ is 100 on every Linux architecture in use.
const TICK: Duration = Duration::from_millis(10);

/// The CPU time a process has had, at one moment.
#[derive(Clone, Debug)]
pub struct CpuReading {
    /// Nanoseconds by thread.
    threads: BTreeMap<u32, u64>,
    /// Of all threads that ever were.
    ticks: u64,
}

impl CpuReading {
    /// Reads the counters of a process; `None` where they cannot be read.
    pub fn take(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            let schedstat = fs::read_to_string(entry.path().join("schedstat"));
            let name = entry.file_name();
            let thread = name.to_str().and_then(|name| name.parse().ok());
            let time = schedstat.ok().and_then(|text| first_number(&text));
            if let (Some(thread), Some(time)) = (thread, time) {
                threads.insert(thread, time);
            }
        }
        Some(Self { threads, ticks: ticks(&stat)? })
    }

    /// The CPU time between an earlier reading and this one.
    pub fn since(&self, earlier: &Self) -> Duration {
        let by_thread: u64 = self
            .threads
            .iter()
            .map(|(thread, time)| {
                let before = earlier.threads.get(thread).copied().unwrap_or(0);
                time.saturating_sub(before)
            })
            .sum();
        let ticks = self.ticks.saturating_sub(earlier.ticks).saturating_sub(1);
        let by_process = TICK * u32::try_from(ticks).unwrap_or(u32::MAX);
        by_process.max(Duration::from_nanos(by_thread))
    }
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// `utime` plus `stime` of a line of `/proc/<pid>/stat`. The name before them, in parentheses, may
/// itself hold spaces and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_a_name_with_spaces_and_parentheses() {
        let line = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 70 30 0 0 20 0 4 0";
        assert_eq!(ticks(line), Some(100));
        assert_eq!(ticks("garbage"), None);
    }

    #[test]
    fn a_thread_that_ended_is_covered_by_the_process_counter() {
        let earlier = CpuReading { threads: BTreeMap::from([(1, 1_000), (2, 2_000)]), ticks: 10 };
        let later = CpuReading { threads: BTreeMap::from([(1, 6_000)]), ticks: 31 };
        assert_eq!(later.since(&earlier), Duration::from_millis(200));
        let fine = CpuReading { threads: BTreeMap::from([(1, 6_000), (3, 500)]), ticks: 11 };
        assert_eq!(fine.since(&earlier), Duration::from_nanos(5_500));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn work_shows_in_the_reading_of_this_process() {
        let pid = std::process::id();
        let before = CpuReading::take(pid).unwrap();
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_millis(60) {
            std::hint::spin_loop();
        }
        let spent = CpuReading::take(pid).unwrap().since(&before);
        assert!(spent >= Duration::from_millis(10), "{spent:?}");
    }
}
