//! How a connection to PostgreSQL is made: from a URL with libpq's words for TLS, with keepalives that notice a dead network
//! within about ten seconds (untouched, neither an idle LISTEN nor a query noticed one within a minute), and with session
//! settings that travel in the startup packet.
//!
//! Every session looks for what a statement names in `pg_catalog` alone. A role that may create objects in the database would
//! else have the service call functions and operators of its own that fit a statement better than PostgreSQL's.
//!
//! Why there: a PgBouncer in transaction mode takes a `SET` and hands the changed server connection to somebody else, so
//! that `synchronous_commit = off` for claims would leak to submissions. The startup parameter `options` it refuses, and
//! the refusal can be explained.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{Error, Result, with_sources};

/// How long a connection attempt may take in all.
pub(crate) const CONNECT_WITHIN: Duration = Duration::from_secs(4);

/// What every session brings along. Backslashes in literals mean themselves, also where a migration makes a function.
const SESSION: &str = "-c search_path=pg_catalog,pg_temp -c standard_conforming_strings=on";

/// Where to connect, and how.
#[derive(Clone)]
pub struct Target {
    pub(crate) config: Config,
    pub(crate) tls: MakeRustlsConnect,
}

impl Target {
    /// Reads a URL or a `key=value` string that leads to PostgreSQL itself.
    ///
    /// `sslmode` has libpq's meaning: `verify-full` and `verify-ca` check the server's certificate (against `sslrootcert`,
    /// else the system's), `require` and `prefer` encrypt without checking it.
    pub fn parse(url: &str) -> Result<Self> {
        Ok(Self::through_pooler(url)?.with_options(SESSION))
    }

    /// As [`Target::parse`], by a PgBouncer in transaction mode, which takes no settings of a session. The role has to have the
    /// search path: [`trust`](super::trust) says whether it has.
    pub(crate) fn through_pooler(url: &str) -> Result<Self> {
        let (bare, tls) = take_tls_words(url);
        let mut config: Config = bare.parse().map_err(|error: tokio_postgres::Error| {
            Error::Unavailable(format!("the database URL cannot be read: {}", with_sources(&error)))
        })?;
        if tls.verifies() {
            config.ssl_mode(SslMode::Require);
        }
        config
            .keepalives_idle(Duration::from_secs(5))
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(10))
            .connect_timeout(Duration::from_secs(3));
        if config.get_application_name().is_none() {
            config.application_name("reveille");
        }
        Ok(Self { config, tls: MakeRustlsConnect::new(tls.client_config()?) })
    }

    /// The same place, with more session settings (`-c name=value …`).
    #[must_use]
    pub(crate) fn with_options(&self, options: &str) -> Self {
        let mut target = self.clone();
        let mut all = target.config.get_options().unwrap_or_default().to_owned();
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(options);
        target.config.options(all);
        target
    }

    /// What a person may see of it.
    pub fn describe(&self) -> String {
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .map(|host| match host {
                tokio_postgres::config::Host::Tcp(name) => name.clone(),
                tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        format!(
            "{}/{}",
            hosts.join(","),
            self.config.get_dbname().or(self.config.get_user()).unwrap_or_default()
        )
    }
}

/// What the URL says about TLS in words that tokio-postgres does not know.
#[derive(Default)]
struct TlsWords {
    mode: Option<String>,
    root_certificate: Option<String>,
}

impl TlsWords {
    fn verifies(&self) -> bool {
        matches!(self.mode.as_deref(), Some("verify-full" | "verify-ca"))
    }

    fn client_config(&self) -> Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Unavailable(format!("TLS cannot be set up: {error}")))?;
        if !self.verifies() {
            let any = Arc::new(AnyServer(provider));
            return Ok(builder
                .dangerous()
                .with_custom_certificate_verifier(any)
                .with_no_client_auth());
        }
        let mut roots = RootCertStore::empty();
        match &self.root_certificate {
            Some(path) => {
                let unreadable = |error| {
                    Error::Unavailable(format!("sslrootcert={path} cannot be read: {error}"))
                };
                for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
                    let certificate = certificate.map_err(unreadable)?;
                    roots.add(certificate).map_err(|error| {
                        Error::Unavailable(format!("sslrootcert={path} holds no CA: {error}"))
                    })?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

/// Takes `sslrootcert` and the `verify-…` modes out of a URL or a `key=value` string.
fn take_tls_words(url: &str) -> (String, TlsWords) {
    let mut words = TlsWords::default();
    let mut keep = |pair: &str| -> Option<String> {
        let (name, value) = pair.split_once('=')?;
        match (name.trim(), value) {
            ("sslmode", "verify-full" | "verify-ca") => {
                words.mode = Some(value.to_owned());
                None
            }
            ("sslrootcert", path) => {
                words.root_certificate = Some(path.trim_matches('\'').replace("%2F", "/"));
                None
            }
            _ => Some(pair.to_owned()),
        }
    };
    let bare = if url.contains("://") {
        match url.split_once('?') {
            Some((place, query)) => {
                let kept: Vec<String> = query.split('&').filter_map(&mut keep).collect();
                if kept.is_empty() {
                    place.to_owned()
                } else {
                    format!("{place}?{}", kept.join("&"))
                }
            }
            None => url.to_owned(),
        }
    } else if url.contains("sslrootcert") || url.contains("verify-") {
        url.split_ascii_whitespace().filter_map(&mut keep).collect::<Vec<_>>().join(" ")
    } else {
        url.to_owned()
    };
    (bare, words)
}

/// Encrypts without asking who is there, as libpq does below `verify-ca`.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_words_are_taken_out_of_a_url() {
        let (bare, words) = take_tls_words(
            "postgres://u:p@h/db?sslmode=verify-full&application_name=x&sslrootcert=%2Fca.pem",
        );
        assert_eq!(bare, "postgres://u:p@h/db?application_name=x");
        assert!(words.verifies());
        assert_eq!(words.root_certificate.as_deref(), Some("/ca.pem"));
    }

    #[test]
    fn other_urls_stay_as_they_are() {
        for url in
            ["postgres://h/db", "postgres://h/db?sslmode=require", "host=/tmp user=u dbname='a b'"]
        {
            let (bare, words) = take_tls_words(url);
            assert_eq!(bare, url);
            assert!(!words.verifies());
        }
    }
}
