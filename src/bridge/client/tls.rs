//! TLS towards an upstream broker: roots, own certificate, pinned key, and its errors in words.
//!
//! TLS 1.2 and 1.3 with ring. There is no way to switch the checks off. Files are read anew for every connection, so a
//! renewed certificate counts without a restart; a file of roots that is empty or broken is an error at every connection.

use std::path::Path;
use std::sync::Arc;

use ring::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_rustls::rustls;

use super::error::LinkError;
use crate::bridge::config::Tls;

/// Largest file with certificates or keys, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// Makes what a connection needs of the section and its files. Reads files: not for an I/O worker.
pub(crate) fn client_config(section: &Tls, alpn: &[Vec<u8>]) -> Result<ClientConfig, LinkError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |error: &dyn std::fmt::Display| LinkError::Tls { what: error.to_string() };
    let roots = Arc::new(roots(section)?);
    let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let inner = inner.build().map_err(|error| unusable(&error))?;
    let verifier = Arc::new(Verifier { inner, pin: section.pinned() });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| unusable(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match (&section.cert, &section.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert)?;
            let private = PrivateKeyDer::from_pem_slice(&read(key)?)
                .map_err(|_| file(key, "holds no private key in PEM form"))?;
            let wrong = |error| file(key, &format!("does not go with {}: {error}", cert.display()));
            builder.with_client_auth_cert(chain, private).map_err(wrong)?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.to_vec();
    Ok(config)
}

fn roots(section: &Tls) -> Result<RootCertStore, LinkError> {
    let mut store = RootCertStore::empty();
    let Some(path) = &section.ca else {
        let found = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(found.certs);
        return match store.is_empty() {
            false => Ok(store),
            true => Err(LinkError::Tls {
                what: "this machine has no root certificates; install ca-certificates or give `tls.ca`"
                    .into(),
            }),
        };
    };
    for root in certificates(path)? {
        store.add(root).map_err(|error| file(path, &error.to_string()))?;
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LinkError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| file(path, "holds no certificate in PEM form"))
}

/// Reads a small file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, LinkError> {
    let unreadable = |error: std::io::Error| file(path, &format!("cannot be read: {error}"));
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
        return Err(file(path, "is larger than 4 MiB"));
    }
    std::fs::read(path).map_err(unreadable)
}

/// A complaint about a file.
pub(crate) fn file(path: &Path, what: &str) -> LinkError {
    LinkError::File { path: path.into(), what: what.to_owned() }
}

/// What went wrong in a handshake, in words.
pub(crate) fn in_words(error: &std::io::Error, host: &str) -> LinkError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let what = match inner {
        Some(Error::InvalidCertificate(why)) => certificate_in_words(why, host),
        Some(Error::AlertReceived(alert)) => format!("the server refuses: {alert:?}"),
        Some(Error::NoApplicationProtocol) => "the server offers none of the ALPN names".into(),
        Some(other) => other.to_string(),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the server closed the connection during the handshake".into()
        }
        None => error.to_string(),
    };
    LinkError::Tls { what }
}

fn certificate_in_words(why: &CertificateError, host: &str) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired (or this machine's clock is wrong)".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: this machine's clock is probably not set".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the server's certificate is not for the name {host}")
        }
        CertificateError::UnknownIssuer => {
            "the server's certificate leads to no root that is trusted; see `tls.ca`".into()
        }
        CertificateError::Revoked => "the server's certificate is revoked".into(),
        CertificateError::ApplicationVerificationFailure => {
            "the server's key is not the one that `tls.pin` names".into()
        }
        other => format!("the server's certificate cannot be used: {other:?}"),
    }
}

/// The usual checks, and a pinned key besides them.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    pin: Option<[u8; 32]>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        match self.pin {
            Some(pin) if key_hash(end_entity) != Some(pin) => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            _ => Ok(verified),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// SHA-256 of a certificate's public key (SubjectPublicKeyInfo).
pub(crate) fn key_hash(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    digest::digest(&digest::SHA256, parsed.public_key().raw).as_ref().try_into().ok()
}
