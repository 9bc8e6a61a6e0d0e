//! How the server's certificate is checked, with the meaning that libpq gives to `sslmode`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{Error, Result};
use crate::config::{Tls, TlsMode};

/// The protocol's name for ALPN, without which PostgreSQL 17 refuses direct encryption.
const ALPN: &[u8] = b"postgresql";

/// The encryption of connections by these words.
pub(super) fn connector(tls: &Tls) -> Result<Connector> {
    let provider = Arc::new(ring::default_provider());
    let anchors = match (tls.mode, &tls.roots) {
        (TlsMode::VerifyCa | TlsMode::VerifyFull, Some(path)) => Some(Anchors::of_file(path)?),
        (TlsMode::VerifyCa | TlsMode::VerifyFull, None) => Some(Anchors::of_system()),
        _ => None,
    };
    let verifier =
        Verifier { provider: provider.clone(), anchors, named: tls.mode == TlsMode::VerifyFull };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| {
            let message = format!("TLS cannot be set up: {error}");
            Error::misconfigured(message, "Report it: no setting causes this")
        })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Connector { inner: MakeRustlsConnect::new(config), begun: Arc::default() })
}

/// Encrypts connections, and remembers whether a server agreed to that. An error of the driver does
/// not say so.
#[derive(Clone)]
pub(super) struct Connector {
    inner: MakeRustlsConnect,
    begun: Arc<AtomicBool>,
}

impl Connector {
    /// The same for one more attempt, with a memory of its own.
    pub(super) fn anew(&self) -> Self {
        Self { inner: self.inner.clone(), begun: Arc::default() }
    }

    /// Whether a handshake was begun.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }
}

impl<S> MakeTlsConnect<S> for Connector
where
    MakeRustlsConnect: MakeTlsConnect<S>,
{
    type Stream = <MakeRustlsConnect as MakeTlsConnect<S>>::Stream;
    type TlsConnect = Handshake<<MakeRustlsConnect as MakeTlsConnect<S>>::TlsConnect>;
    type Error = <MakeRustlsConnect as MakeTlsConnect<S>>::Error;

    fn make_tls_connect(
        &mut self,
        domain: &str,
    ) -> std::result::Result<Self::TlsConnect, Self::Error> {
        let inner = self.inner.make_tls_connect(domain)?;
        Ok(Handshake { inner, begun: self.begun.clone() })
    }
}

/// One handshake to come.
pub(super) struct Handshake<T> {
    inner: T,
    begun: Arc<AtomicBool>,
}

impl<S, T: TlsConnect<S>> TlsConnect<S> for Handshake<T> {
    type Stream = T::Stream;
    type Error = T::Error;
    type Future = T::Future;

    fn connect(self, stream: S) -> Self::Future {
        self.begun.store(true, Ordering::Relaxed);
        self.inner.connect(stream)
    }
}

/// Whose certificates are trusted.
#[derive(Debug)]
struct Anchors {
    roots: RootCertStore,
    /// The same, as they were written.
    certificates: Vec<CertificateDer<'static>>,
}

impl Anchors {
    fn of_file(path: &Path) -> Result<Self> {
        let unusable = |why: String| {
            let message = format!("sslrootcert={} {why}", path.display());
            Error::misconfigured(message, "Name a file with the certificate of the CA, in PEM")
        };
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        let certificates: Vec<_> =
            read.map_err(|error| unusable(format!("cannot be read: {error}")))?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            let added = roots.add(certificate.clone());
            added.map_err(|error| unusable(format!("has a certificate of no use: {error}")))?;
        }
        if certificates.is_empty() {
            return Err(unusable("has no certificate".into()));
        }
        Ok(Self { roots, certificates })
    }

    fn of_system() -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self { roots, certificates: Vec::new() }
    }
}

/// Checks what `sslmode` asks for: nothing, the chain, or the chain and the name.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    anchors: Option<Anchors>,
    named: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let Some(anchors) = &self.anchors else { return Ok(ServerCertVerified::assertion()) };
        let parsed = ParsedCertificate::try_from(certificate)?;
        let known = self.provider.signature_verification_algorithms.all;
        let checked =
            verify_server_cert_signed_by_trust_anchor(&parsed, &anchors.roots, between, now, known);
        match checked {
            // `openssl req -x509`, as PostgreSQL's manual shows it, makes a server's certificate
            // that is a CA as well. OpenSSL takes it if it is itself what is trusted.
            Err(error)
                if format!("{error:?}").contains("CaUsedAsEndEntity")
                    && anchors.certificates.iter().any(|it| **it == **certificate) => {}
            checked => checked?,
        }
        if self.named {
            verify_server_name(&parsed, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
