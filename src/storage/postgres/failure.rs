//! What errors of the server and of the connection mean.

use std::error::Error as StdError;
use std::io;

use deadpool_postgres::HookError;
use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::storage::error::Error;

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let reason = describe(&error);
        match error.code().map(SqlState::code) {
            Some(code) if is_of_the_configuration(code) => Self::Misconfigured { reason },
            // Data or an index of the server is damaged.
            Some("XX001" | "XX002") => corrupt(reason),
            Some(_) => Self::Unavailable { reason },
            None if is_connection_lost(&error) => Self::Unavailable { reason },
            // A column is not of the type or in the range it was written with.
            None => corrupt(reason),
        }
    }
}

fn corrupt(reason: String) -> Error {
    Error::Corrupt { what: "the database".to_owned(), reason }
}

/// Authentication, a missing database, missing rights, missing tables or columns:
/// nothing that passes by itself.
fn is_of_the_configuration(code: &str) -> bool {
    ["28", "3D", "3F", "42"].iter().any(|class| code.starts_with(class))
}

/// The whole chain of an error, in one line, without what the client sent.
fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("PostgreSQL: {} ({})", error.message(), error.code().code());
    }
    let mut text = format!("PostgreSQL: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Whether the connection, not the statement, failed.
fn is_connection_lost(error: &tokio_postgres::Error) -> bool {
    error.is_closed() || error.source().is_none_or(|source| find::<io::Error>(source).is_some())
}

/// Whether the failure has to do with the connection or with other transactions and
/// not with what was asked: the same may go well on another connection.
pub fn is_passing(error: &tokio_postgres::Error) -> bool {
    match error.code().map(SqlState::code) {
        // Connection failures, the server stopping or starting, sessions ended for
        // being idle, too many connections, and conflicts with other transactions.
        Some(code) => {
            code.starts_with("08")
                || ["57P01", "57P02", "57P03", "57P05", "25P03", "53300"].contains(&code)
                || ["40001", "40P01"].contains(&code)
        }
        None => is_connection_lost(error),
    }
}

/// Whether the server has refused a statement of a transaction and lives on: the
/// transaction is aborted.
pub fn is_rejection(error: &tokio_postgres::Error) -> bool {
    use tokio_postgres::error::Severity;
    error.as_db_error().is_some_and(|error| match error.parsed_severity() {
        Some(severity) => severity == Severity::Error,
        None => error.severity() == "ERROR",
    })
}

/// An error on the way to a usable connection, and whether it may pass soon.
pub fn connecting(error: PoolError) -> (Error, bool) {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            let passing = is_passing(&error);
            let own = error.code().is_none() && is_of_this_side(&error);
            let reason = describe(&error);
            if own { (Error::Misconfigured { reason }, false) } else { (error.into(), passing) }
        }
        PoolError::Timeout(_) => {
            let reason = "PostgreSQL: no connection could be had in time".to_owned();
            (Error::Unavailable { reason }, true)
        }
        other => (Error::Unavailable { reason: format!("PostgreSQL: {other}") }, false),
    }
}

/// While connecting: a certificate that is not accepted, TLS that the server does
/// not offer, a password that is missing.
fn is_of_this_side(error: &tokio_postgres::Error) -> bool {
    let Some(source) = error.source() else { return false };
    match find::<io::Error>(source) {
        Some(io) => io
            .get_ref()
            .and_then(|inner| inner.downcast_ref())
            .is_some_and(|error| matches!(error, rustls::Error::InvalidCertificate(_))),
        None => !error.is_closed(),
    }
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut error = Some(error);
    while let Some(current) = error {
        if let Some(found) = current.downcast_ref() {
            return Some(found);
        }
        error = current.source();
    }
    None
}
