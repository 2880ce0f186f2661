//! TLS to devices and services: who is trusted, and the handshake.

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Where Debian, Yocto and their kin keep the certificates that the system trusts.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A connector that trusts the certificates of a PEM file, or those of the system.
///
/// # Errors
/// When the file with the trusted certificates cannot be used.
pub fn connector(ca: Option<&Path>) -> Result<TlsConnector, String> {
    let path = ca.unwrap_or(Path::new(SYSTEM));
    let unusable = |what: &dyn std::fmt::Display| format!("tls ca {}: {what}", path.display());
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        // A system's store may hold one that is too old to be read; of a file of one's own, each counts.
        if let Err(error) = roots.add(certificate)
            && ca.is_some()
        {
            return Err(unusable(&error));
        }
    }
    if roots.is_empty() {
        return Err(unusable(&"there is no certificate in it"));
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config =
        versions.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The handshake.
///
/// # Errors
/// When the other side is not who it should be.
pub async fn handshake(
    connector: &TlsConnector,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, String> {
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` can bear no certificate"))?;
    connector.connect(name, stream).await.map_err(|error| format!("TLS: {error}"))
}
