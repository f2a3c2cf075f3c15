//! How many file descriptors the process may have, and how many of them are for
//! connections.

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

/// No process needs more, and some systems say that there is no limit.
const MOST: u64 = 1 << 20;
/// Kept for stores, files and the HTTP port.
const RESERVED: u64 = 256;
/// Connections to the gRPC port without a setting: what they may leave unread is
/// bounded by all of them together.
const CONNECTIONS_DEFAULT: usize = 1_000;

/// Raises what the process may have to what the system allows; returns what is in force.
pub fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let (soft, hard) = (limit.current.unwrap_or(MOST), limit.maximum.unwrap_or(MOST));
    let target = hard.min(MOST);
    if soft >= target {
        return soft;
    }
    let raised = Rlimit { current: Some(target), maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => target,
        Err(error) => {
            tracing::warn!(%error, soft, "the limit of file descriptors cannot be raised");
            soft
        }
    }
}

/// How many connections the gRPC port takes. Descriptors are left to everything else,
/// whatever was asked for.
pub fn connections(descriptors: u64, asked: Option<usize>) -> usize {
    let reserved = RESERVED.min(descriptors / 2);
    let possible = usize::try_from(descriptors - reserved).unwrap_or(usize::MAX).max(1);
    match asked {
        Some(asked) if asked > possible => {
            tracing::warn!(asked, possible, descriptors, "too few file descriptors");
            possible
        }
        Some(asked) => asked,
        None => possible.min(CONNECTIONS_DEFAULT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_left_to_everything_else() {
        assert_eq!(connections(1_024, None), 768);
        assert_eq!(connections(1 << 20, None), CONNECTIONS_DEFAULT);
        assert_eq!(connections(1 << 20, Some(5_000)), 5_000);
        assert_eq!(connections(1_024, Some(5_000)), 768);
        assert_eq!(connections(100, Some(5_000)), 50);
        assert_eq!(connections(1, None), 1);
    }
}
