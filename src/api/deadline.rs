//! How long a call may wait, and until when its answer is of use.

use std::time::Duration;

use tonic::metadata::MetadataMap;

use crate::service::Deadline;
use engine::domain::limits;

/// Part of the caller's deadline that is kept back, so that an answer still arrives in
/// time: the transport turns a deadline that passes into a mere cancellation.
const MARGIN_DIVISOR: u32 = 5;

/// The caller's deadline less a margin, or the longest wait the service allows.
pub fn patience(metadata: &MetadataMap) -> Duration {
    let longest = Duration::from_millis(limits::WATERMARK_WAIT_MS);
    time(metadata).unwrap_or(longest).min(longest)
}

/// Until when work for the call is of use: its deadline less the same margin.
pub fn deadline(metadata: &MetadataMap) -> Deadline {
    time(metadata).map_or(Deadline::NONE, Deadline::after)
}

fn time(metadata: &MetadataMap) -> Option<Duration> {
    let header = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok());
    header.and_then(parse).map(|whole| whole - whole / MARGIN_DIVISOR)
}

/// `grpc-timeout`: up to eight digits and a unit (gRPC over HTTP/2 protocol).
fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_the_protocol_is_read() {
        assert_eq!(parse("2H"), Some(Duration::from_secs(7_200)));
        assert_eq!(parse("3M"), Some(Duration::from_secs(180)));
        assert_eq!(parse("99999999S"), Some(Duration::from_secs(99_999_999)));
        assert_eq!(parse("5m"), Some(Duration::from_millis(5)));
        assert_eq!(parse("7u"), Some(Duration::from_micros(7)));
        assert_eq!(parse("9n"), Some(Duration::from_nanos(9)));
    }

    #[test]
    fn malformed_timeouts_are_no_deadline() {
        for bad in ["", "S", "1", "1.5S", "-1S", "123456789S", "1s", "ä"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
