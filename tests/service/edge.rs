//! The ports: what faulty and hostile clients can make the server hold, and for how long.

mod calls;
mod connections;
mod requests;
mod starting;

use std::time::Duration;

use tonic::Status;
use tonic_types::StatusExt;

/// Flags of a server that gives clients a second to send the preface and to send a request.
const SHORT_TIMEOUT: [&str; 2] = ["--request-seconds", "1"];
/// Longer than any bound of the ports here.
const SOON: Duration = Duration::from_secs(5);

fn is_advised_to_return(status: &Status) -> bool {
    status.get_error_details().retry_info().is_some()
}
