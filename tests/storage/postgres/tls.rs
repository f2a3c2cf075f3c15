//! TLS to a real server with a certificate of an authority made for the test.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use personalization::storage::Error;
use personalization::storage::PostgresOptions;
use personalization::storage::migrate_postgres;

use super::server::Server;

/// Its certificate is for `localhost`, signed by `ca.pem`; `other.pem` has signed
/// nothing.
fn make_certificates(directory: &Path) {
    let script = "
        set -e
        for name in ca other; do
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \\
                -subj /CN=$name -keyout $name.key -out $name.pem
        done
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server \\
            -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:localhost\\n' > server.ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \\
            -extfile server.ext -out server.pem
        chmod 600 server.key";
    let output = Command::new("sh").args(["-c", script]).current_dir(directory).output();
    let output = output.expect("openssl is needed: apt-get install openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

struct Servers {
    tls: Server,
    plain: Server,
}

impl Servers {
    fn start() -> Self {
        let tls = Server::start(make_certificates, |directory| {
            let at = directory.display();
            format!("ssl=on\nssl_cert_file='{at}/server.pem'\nssl_key_file='{at}/server.key'\n")
        });
        Self { tls, plain: Server::start(|_| {}, |_| String::new()) }
    }

    /// What comes of a connection with these parameters. `{dir}` is the directory
    /// with the certificates.
    fn connect(&self, server: &Server, host: &str, parameters: &str) -> Result<(), Error> {
        let directory = self.tls.directory().display().to_string();
        let parameters = parameters.replace("{dir}", &directory);
        let port = server.port;
        let options = PostgresOptions {
            url: format!("postgres://postgres@{host}:{port}/postgres?{parameters}"),
            read_url: None,
            pool_size: 1,
            statement_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(10),
            dedup_horizon: 1,
        };
        migrate_postgres(&options).map(drop)
    }
}

#[test]
fn sslmode_means_what_libpq_documents() {
    let servers = Servers::start();
    let reason = |result| match result {
        Err(Error::Misconfigured { reason }) => reason,
        other => panic!("{other:?}"),
    };
    let ca = "sslrootcert={dir}/ca.pem";
    let other = "sslrootcert={dir}/other.pem";

    // Encrypted, and as far as it is asked for the right server.
    let to_tls = |host: &str, parameters: String| servers.connect(&servers.tls, host, &parameters);
    to_tls("localhost", format!("sslmode=verify-full&{ca}")).unwrap();
    for mode in ["prefer", "require", "verify-ca"] {
        to_tls("127.0.0.1", format!("sslmode={mode}&{ca}")).unwrap();
        let refused = reason(to_tls("127.0.0.1", format!("sslmode={mode}&{other}")));
        assert!(refused.contains("UnknownIssuer"), "{refused}");
    }
    for mode in ["disable", "prefer", "require"] {
        to_tls("127.0.0.1", format!("sslmode={mode}")).unwrap();
    }
    let refused = reason(to_tls("127.0.0.1", format!("sslmode=verify-full&{ca}")));
    assert!(refused.contains("not valid for name"), "{refused}");
    for mode in ["verify-ca", "verify-full"] {
        reason(to_tls("localhost", format!("sslmode={mode}&{other}")));
        // No authority of the system has signed it.
        reason(to_tls("localhost", format!("sslmode={mode}")));
    }

    // A server without TLS.
    let to_plain =
        |mode: &str| servers.connect(&servers.plain, "localhost", &format!("sslmode={mode}&{ca}"));
    to_plain("disable").unwrap();
    to_plain("prefer").unwrap();
    for mode in ["require", "verify-ca", "verify-full"] {
        let refused = reason(to_plain(mode));
        assert!(refused.contains("does not support TLS"), "{refused}");
    }

    // The server takes nobody without TLS: what came through above was encrypted.
    servers.tls.allow("hostssl all all 127.0.0.1/32 trust\nhostssl all all ::1/128 trust\n");
    to_tls("127.0.0.1", "sslmode=require".to_owned()).unwrap();
    to_tls("127.0.0.1", "sslmode=prefer".to_owned()).unwrap();
    let refused = reason(to_tls("127.0.0.1", "sslmode=disable".to_owned()));
    assert!(refused.contains("28000"), "{refused}");
}
