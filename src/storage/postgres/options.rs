//! How to reach the server: options, and the connection string as libpq reads it.
//!
//! - tokio-postgres knows three of libpq's `sslmode`s and no `sslrootcert`: both are
//!   taken out of the connection string here, the rest is left to it.
//! - A password appears in no message and no `Debug` output.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use super::tls::Verification;
use crate::storage::error::Error;

const APPLICATION_NAME: &str = "personalization";
/// A connection whose other end is gone is noticed within 20 s, also while idle.
const KEEPALIVE: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

#[derive(Clone)]
pub struct PostgresOptions {
    /// A URL or `key=value` pairs. `sslmode` and `sslrootcert` mean what libpq
    /// documents; without `sslrootcert` the system's certificates are trusted.
    pub url: String,
    /// Where heavy reads go that may be a little behind; see `open_postgres_reading`.
    pub read_url: Option<String>,
    /// Connections of this process at most.
    pub pool_size: usize,
    /// What a statement may take on the server, and an append with all its retries.
    pub statement_timeout: Duration,
    pub connect_timeout: Duration,
    /// An event id is a duplicate within at least this many records of its
    /// namespace. The same in all processes on one database.
    pub dedup_horizon: u64,
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("pool_size", &self.pool_size)
            .field("statement_timeout", &self.statement_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("dedup_horizon", &self.dedup_horizon)
            .finish_non_exhaustive()
    }
}

/// A connection string, taken apart.
#[derive(Debug)]
pub struct Address {
    pub config: Config,
    pub verification: Verification,
    /// Certificates to trust instead of the system's.
    pub root_certificates: Option<PathBuf>,
}

impl Address {
    /// # Errors
    /// `Misconfigured`.
    pub fn parse(
        url: &str,
        connect_timeout: Duration,
        answer_timeout: Duration,
    ) -> Result<Self, Error> {
        let parameters = if is_url(url) { url_parameters(url) } else { pairs(url) };
        let mut rest = url.to_owned();
        let mut mode = None;
        let mut root_certificates = None;
        // From the last on: what is cut out moves what follows only.
        for parameter in parameters?.into_iter().rev() {
            match parameter.key.as_str() {
                // The last one counts, as in libpq.
                "sslmode" => mode = mode.or(Some(parameter.value)),
                "sslrootcert" => {
                    root_certificates = root_certificates.or(Some(parameter.value));
                }
                _ => continue,
            }
            rest.replace_range(parameter.position, "");
        }
        let root_certificates = root_certificates.filter(|path| path != "system");
        let (ssl_mode, verification) =
            tls_mode(mode.as_deref().unwrap_or("prefer"), root_certificates.is_some())?;
        let mut config = Config::from_str(&rest).map_err(|error| misconfigured(&error))?;
        if config.get_application_name().is_none() {
            config.application_name(APPLICATION_NAME);
        }
        config
            .ssl_mode(ssl_mode)
            .connect_timeout(connect_timeout)
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(KEEPALIVE)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(answer_timeout);
        let root_certificates = root_certificates.map(PathBuf::from);
        Ok(Self { config, verification, root_certificates })
    }
}

fn misconfigured(error: &dyn std::error::Error) -> Error {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    Error::Misconfigured { reason: format!("PostgreSQL URL: {error}{cause}") }
}

fn tls_mode(mode: &str, has_roots: bool) -> Result<(SslMode, Verification), Error> {
    // libpq verifies the chain wherever it has been given certificates to trust.
    let unasked = if has_roots { Verification::Chain } else { Verification::None };
    match mode {
        "disable" => Ok((SslMode::Disable, Verification::None)),
        "prefer" => Ok((SslMode::Prefer, unasked)),
        "require" => Ok((SslMode::Require, unasked)),
        "verify-ca" => Ok((SslMode::Require, Verification::Chain)),
        "verify-full" => Ok((SslMode::Require, Verification::ChainAndName)),
        other => Err(Error::Misconfigured {
            reason: format!(
                "PostgreSQL URL: sslmode is {other}, not one of disable, prefer, require, \
                 verify-ca, verify-full"
            ),
        }),
    }
}

/// One parameter of a connection string.
struct Parameter {
    key: String,
    value: String,
    /// What to cut out so that it is gone.
    position: Range<usize>,
}

fn is_url(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

fn url_parameters(url: &str) -> Result<Vec<Parameter>, Error> {
    let mut parameters = Vec::new();
    let Some(question) = url.find('?') else { return Ok(parameters) };
    let mut start = question + 1;
    for pair in url[start..].split('&') {
        // The delimiter behind goes with it: `?&` and a trailing `?` are understood.
        let end = (start + pair.len() + 1).min(url.len());
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (percent_decoded(key)?, percent_decoded(value)?);
        parameters.push(Parameter { key, value, position: start..end });
        start = end;
    }
    Ok(parameters)
}

fn percent_decoded(text: &str) -> Result<String, Error> {
    let malformed =
        || Error::Misconfigured { reason: "PostgreSQL URL: a % escape is malformed".to_owned() };
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(malformed()) };
        decoded.push((high * 16 + low) as u8);
    }
    String::from_utf8(decoded).map_err(|_| malformed())
}

/// `key = value` pairs; a value may be quoted, and a backslash takes the next
/// character as it is.
fn pairs(text: &str) -> Result<Vec<Parameter>, Error> {
    let mut parameters = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let start = text.len() - rest.len();
        let Some((key, value)) = rest.split_once('=') else {
            let reason = "PostgreSQL URL: neither a postgres:// URL nor key=value pairs".to_owned();
            return Err(Error::Misconfigured { reason });
        };
        let (value, behind) = value_of_pair(value.trim_start());
        rest = behind.trim_start();
        let position = start..text.len() - rest.len();
        parameters.push(Parameter { key: key.trim_end().to_owned(), value, position });
    }
    Ok(parameters)
}

/// The value that `text` begins with, and what is behind it.
fn value_of_pair(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.chars();
    let quoted = text.starts_with('\'');
    if quoted {
        chars.next();
    }
    loop {
        let behind = chars.as_str();
        match chars.next() {
            None => return (value, ""),
            Some('\'') if quoted => return (value, chars.as_str()),
            Some(blank) if !quoted && blank.is_whitespace() => return (value, behind),
            Some('\\') => value.extend(chars.next()),
            Some(other) => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, Error> {
        Address::parse(url, Duration::from_secs(1), Duration::from_secs(1))
    }

    #[test]
    fn tls_parameters_are_taken_out_of_both_kinds_of_connection_string() {
        for url in [
            "postgres://ann:secret@db:5433/shop?sslmode=verify-full&sslrootcert=%2Fa%20b.pem",
            "postgres://ann:secret@db:5433/shop?sslrootcert=/a%20b.pem&sslmode=verify-full&",
            "host=db sslmode = verify-full user=ann password='sec\\ret' port=5433 \
             sslrootcert='/a b.pem' dbname=shop",
            "sslrootcert=/a\\ b.pem host=db user=ann password=secret port=5433 dbname=shop \
             sslmode=require sslmode=verify-full",
        ] {
            let address = parse(url).unwrap();
            assert_eq!(address.verification, Verification::ChainAndName, "{url}");
            assert_eq!(address.root_certificates, Some(PathBuf::from("/a b.pem")), "{url}");
            let config = &address.config;
            assert_eq!(config.get_ssl_mode(), SslMode::Require);
            assert_eq!(config.get_user(), Some("ann"));
            assert_eq!(config.get_password(), Some(&b"secret"[..]));
            assert_eq!(config.get_dbname(), Some("shop"));
            assert_eq!(config.get_ports(), [5433]);
            assert!(!format!("{address:?}").contains("secret"));
        }
    }

    #[test]
    fn a_root_certificate_makes_weaker_modes_verify_the_chain() {
        for (mode, expected) in [("prefer", SslMode::Prefer), ("require", SslMode::Require)] {
            let plain = parse(&format!("postgres://db/shop?sslmode={mode}")).unwrap();
            assert_eq!(plain.verification, Verification::None);
            assert_eq!(plain.config.get_ssl_mode(), expected);
            let trusting = parse(&format!("host=db sslmode={mode} sslrootcert=ca")).unwrap();
            assert_eq!(trusting.verification, Verification::Chain);
        }
        assert_eq!(parse("host=db").unwrap().config.get_ssl_mode(), SslMode::Prefer);
        let system = parse("host=db sslmode=verify-ca sslrootcert=system").unwrap();
        assert_eq!(system.root_certificates, None);
    }

    #[test]
    fn a_malformed_connection_string_is_misconfigured_and_shows_no_password() {
        for url in [
            "postgres://ann:secret@db/shop?sslmode=allow",
            "postgres://ann:secret@db/shop?sslmode=%4",
            "postgres://ann:secret@db/shop?nonsense=1",
            "password=secret sslcert=a host=db",
            "mysql secret",
        ] {
            match parse(url) {
                Err(Error::Misconfigured { reason }) => assert!(!reason.contains("secret")),
                other => panic!("{url}: {other:?}"),
            }
        }
    }
}
