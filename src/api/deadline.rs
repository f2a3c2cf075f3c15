//! How long a call may take, and how long it may wait.

use std::time::Duration;

use tonic::codegen::http::HeaderMap;

use crate::service::Deadline;
use crate::service::Error;
use engine::domain::limits;

/// Part of the caller's time that is kept back, so that an answer still arrives in time.
const MARGIN_DIVISOR: u32 = 5;

/// The time that a caller gives a call. It is read once, when the call comes, and lies
/// among the extensions of the request from then on.
#[derive(Debug, Clone, Copy)]
pub struct CallTime {
    whole: Deadline,
    work: Deadline,
}

impl CallTime {
    /// The time that a request's headers name, from now on.
    pub fn of(headers: &HeaderMap) -> Self {
        let header = headers.get("grpc-timeout").and_then(|value| value.to_str().ok());
        match header.and_then(parse) {
            None => Self { whole: Deadline::NONE, work: Deadline::NONE },
            Some(time) => Self {
                whole: Deadline::after(time),
                work: Deadline::after(time - time / MARGIN_DIVISOR),
            },
        }
    }

    pub(super) fn of_request<T>(request: &tonic::Request<T>) -> Self {
        let none = Self { whole: Deadline::NONE, work: Deadline::NONE };
        request.extensions().get().copied().unwrap_or(none)
    }

    /// When the call ends, whatever it is at.
    pub const fn whole(self) -> Deadline {
        self.whole
    }

    /// Until when work for the call is of use.
    pub(super) const fn work(self) -> Deadline {
        self.work
    }

    /// # Errors
    /// `DeadlinePassed`.
    pub fn check(self) -> Result<(), Error> {
        if self.work.is_past() { Err(Error::DeadlinePassed) } else { Ok(()) }
    }

    /// How long the call may wait for what is not there yet.
    pub(super) fn timeout(self) -> Duration {
        let longest = Duration::from_millis(limits::WATERMARK_WAIT_MS);
        self.work.left().map_or(longest, |left| left.min(longest))
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
        let within = |timeout: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(timeout) = timeout {
                headers.insert("grpc-timeout", timeout.parse().unwrap());
            }
            CallTime::of(&headers)
        };
        let longest = Duration::from_millis(limits::WATERMARK_WAIT_MS);
        let timeout = within(Some("1S")).timeout();
        assert!(timeout > Duration::from_millis(700) && timeout <= Duration::from_millis(800));
        assert_eq!(within(Some("99999999H")).timeout(), longest);
        assert_eq!(within(None).timeout(), longest);
        assert!(within(None).check().is_ok());
        let passed = within(Some("1n"));
        assert!(matches!(passed.check(), Err(Error::DeadlinePassed)));
        assert_eq!(passed.timeout(), Duration::ZERO);
    }
}
