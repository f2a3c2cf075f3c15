//! Calls that are rejected before they reach a service.

use std::time::Duration;

use tonic::Code;
use tonic::Status;

use super::status;
use engine::domain::Violation;
use engine::domain::limits;

/// Why a call is rejected before anything is done for it, or ended while it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallRejection {
    /// The stores are being opened.
    Starting,
    /// So many calls run already.
    Calls,
    /// So many bytes of requests are held already.
    RequestBytes,
    /// The request did not come in time.
    RequestLate,
    MessageTooLarge {
        bytes: usize,
        most: usize,
    },
    /// The message would take too much memory, by this field at the latest.
    TooMuch {
        field: String,
    },
    /// The request is no message of its type.
    Malformed(String),
    Compressed,
}

/// Stores are opened in some seconds.
const STARTING_DELAY: Duration = Duration::from_secs(1);
/// Calls and requests come and go in well under a second.
const BUSY_DELAY: Duration = Duration::from_secs(1);

impl CallRejection {
    /// As a label of a metric.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Calls => "calls",
            Self::RequestBytes => "request_bytes",
            Self::RequestLate => "request_late",
            Self::MessageTooLarge { .. } => "message_too_large",
            Self::TooMuch { .. } => "decoded_bytes",
            Self::Malformed(_) => "malformed",
            Self::Compressed => "compressed",
        }
    }
}

impl From<CallRejection> for Status {
    fn from(rejection: CallRejection) -> Self {
        let busy =
            |message, reason| status::retried(Code::ResourceExhausted, message, reason, BUSY_DELAY);
        match rejection {
            CallRejection::Starting => {
                let message = "the service is starting";
                status::retried(Code::Unavailable, message, "STARTING", STARTING_DELAY)
            }
            CallRejection::Calls => busy("the service is overloaded: too many calls", "OVERLOADED"),
            CallRejection::RequestBytes => {
                busy("the service is overloaded: too many bytes of requests", "OVERLOADED")
            }
            CallRejection::RequestLate => {
                let message = "the request did not come in time";
                status::explained(Code::DeadlineExceeded, message, "REQUEST_LATE", [])
            }
            CallRejection::MessageTooLarge { bytes, most } => {
                let message = format!("a message has {bytes} bytes; this method takes {most}");
                let metadata = [("bytes", bytes.to_string()), ("most", most.to_string())];
                status::explained(Code::OutOfRange, &message, "MESSAGE_TOO_LARGE", metadata)
            }
            CallRejection::TooMuch { field } => {
                let most = limits::DECODED_BYTES >> 20;
                let reason = format!("must hold less: the message takes more than {most} MiB");
                status::invalid(vec![Violation::new(field, reason)])
            }
            CallRejection::Malformed(what) => {
                let message = format!("the request is malformed: {what}");
                status::explained(Code::InvalidArgument, &message, "MALFORMED", [])
            }
            CallRejection::Compressed => {
                let message = "messages are not taken compressed";
                status::explained(Code::Unimplemented, message, "COMPRESSED", [])
            }
        }
    }
}
