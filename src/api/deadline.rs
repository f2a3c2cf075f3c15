//! When a call's answer is of no use any more.

use std::time::Duration;

use tokio::time::Instant;
use tonic::codegen::http::HeaderMap;

use super::refusal::Refusal;
use engine::domain::limits;

/// Part of the time there is that is kept back, so that an answer still arrives in time.
const MARGIN_DIVISOR: u32 = 5;

/// The caller's deadline, if it has one. It is read once, when the call comes, and lies
/// among the extensions of the request from then on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// The deadline that a request's headers name, from now on.
    pub fn of(headers: &HeaderMap) -> Self {
        let header = headers.get("grpc-timeout").and_then(|value| value.to_str().ok());
        Self(header.and_then(parse).and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    pub(super) fn of_request<T>(request: &tonic::Request<T>) -> Self {
        request.extensions().get().copied().unwrap_or_default()
    }

    pub const fn at(self) -> Option<Instant> {
        self.0
    }

    /// # Errors
    /// When it has passed.
    pub fn check(self) -> Result<(), Refusal> {
        let passed = self.0.is_some_and(|at| Instant::now() >= at);
        if passed { Err(Refusal::Deadline) } else { Ok(()) }
    }

    /// How long the call may wait: what is left less a margin, or the longest wait the
    /// service allows.
    pub fn patience(self) -> Duration {
        let longest = Duration::from_millis(limits::WATERMARK_WAIT_MS);
        let left = self.0.map_or(longest, |at| at.saturating_duration_since(Instant::now()));
        (left - left / MARGIN_DIVISOR).min(longest)
    }
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

    #[test]
    fn waits_leave_time_for_the_answer_and_end_with_the_deadline() {
        let within = |timeout: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", timeout.parse().unwrap());
            Deadline::of(&headers)
        };
        let longest = Duration::from_millis(limits::WATERMARK_WAIT_MS);
        let patience = within("1S").patience();
        assert!(patience > Duration::from_millis(700) && patience <= Duration::from_millis(800));
        assert_eq!(within("99999999H").patience(), longest);
        assert_eq!(Deadline::default().patience(), longest - longest / MARGIN_DIVISOR);
        let passed = within("1n");
        assert_eq!(passed.check(), Err(Refusal::Deadline));
        assert_eq!(passed.patience(), Duration::ZERO);
        assert_eq!(Deadline::default().check(), Ok(()));
    }
}
