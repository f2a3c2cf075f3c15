//! Where Redis is, and how to speak to it.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fred::types::config::Config;
use fred::types::config::TlsConfig;
use fred::types::config::TlsConnector;
use rustls::ClientConfig;
use rustls::RootCertStore;

use crate::storage::error::Error;

#[derive(Clone, PartialEq, Eq)]
pub struct RedisOptions {
    /// `redis://`, `redis-sentinel://`, `redis-cluster://`; with TLS `rediss://`,
    /// `rediss-sentinel://`, `rediss-cluster://`. May hold a password.
    pub url: String,
    /// First part of every key; the identity of the database follows it.
    pub key_prefix: String,
    /// CA certificates (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long a request waits for a value before it goes on without.
    pub read_deadline: Duration,
}

impl RedisOptions {
    pub const KEY_PREFIX: &'static str = "personalization";
    /// A value that takes longer is computed sooner than fetched.
    pub const READ_DEADLINE: Duration = Duration::from_millis(20);

    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            key_prefix: Self::KEY_PREFIX.to_owned(),
            ca_file: None,
            read_deadline: Self::READ_DEADLINE,
        }
    }

    /// Reads the URL, and the certificates when it asks for TLS. Blocks.
    ///
    /// # Errors
    /// `Misconfigured`; the message never holds the password.
    pub(super) fn config(&self) -> Result<Config, Error> {
        let (uses_tls, plain_url) = split_tls(&self.url)?;
        let mut config =
            Config::from_url(&plain_url).map_err(|error| misconfigured(error.details()))?;
        if config.username.is_some() && config.password.is_none() {
            return Err(misconfigured("a user without a password; write :password@ for no user"));
        }
        if uses_tls {
            config.tls = Some(tls(self.ca_file.as_deref())?);
        }
        // Connecting again is this module's: see `connection`.
        config.fail_fast = true;
        Ok(config)
    }
}

/// The URL may hold a password.
impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("key_prefix", &self.key_prefix)
            .field("ca_file", &self.ca_file)
            .field("read_deadline", &self.read_deadline)
            .finish_non_exhaustive()
    }
}

/// Whether the URL asks for TLS, and the URL without that: fred would load the
/// system's certificates even where a CA file is given.
fn split_tls(url: &str) -> Result<(bool, String), Error> {
    let unknown = || {
        misconfigured("it must begin with redis, redis-sentinel or redis-cluster, rediss for TLS")
    };
    let (scheme, rest) = url.split_once("://").ok_or_else(unknown)?;
    let kind = scheme.strip_prefix("redis").ok_or_else(unknown)?;
    let (uses_tls, kind) = match kind.strip_prefix('s') {
        Some(kind) => (true, kind),
        None => (false, kind),
    };
    if !matches!(kind, "" | "-sentinel" | "-cluster") {
        return Err(unknown());
    }
    Ok((uses_tls, format!("redis{kind}://{rest}")))
}

fn tls(ca_file: Option<&Path>) -> Result<TlsConfig, Error> {
    let (loaded, position) = match ca_file {
        Some(file) => (
            rustls_native_certs::load_certs_from_paths(Some(file), None),
            file.display().to_string(),
        ),
        None => (rustls_native_certs::load_native_certs(), "this system".to_owned()),
    };
    let mut roots = RootCertStore::empty();
    let (usable, _unusable) = roots.add_parsable_certificates(loaded.certs);
    if usable == 0 {
        let reason = loaded.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(misconfigured(format!(
            "TLS needs a CA certificate, {position} has none{reason}"
        )));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| misconfigured(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(config).into())
}

fn misconfigured(reason: impl fmt::Display) -> Error {
    Error::Misconfigured { reason: format!("the Redis URL cannot be used: {reason}") }
}
