//! TLS of a listener: its files, the handshake, and taking in changed files.
//!
//! TLS 1.2 and 1.3 with ring. Files that cannot be used stop the start; at a change they are logged and
//! the listener goes on with what it had. Connections keep what they began with. Invariant: no private
//! key or other content of a file comes into an error or the log.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{ServerConfig, VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, rustls};

use super::config::BrokerTls;
use super::identity;
use super::revocation::Due;
use crate::broker::sync::lock;

/// Largest file, in bytes: room for long revocation lists.
const MAX_FILE: u64 = 4 << 20;

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file holds something else than it should.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong and how to mend it.
        what: String,
    },
}

impl TlsError {
    fn content(path: &Path, what: impl Into<String>) -> Self {
        Self::Content { path: path.into(), what: what.into() }
    }
}

/// TLS as one listener serves it.
pub(super) struct Tls {
    section: BrokerTls,
    current: ArcSwap<ServerConfig>,
    /// What the files held when they were last looked at.
    seen: Mutex<Contents>,
    /// When the revocation lists in use have to be replaced.
    due: Mutex<Due>,
}

/// The client's certificate names no user, though the listener asks for one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Nobody;

#[derive(PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
    crl: Option<Vec<u8>>,
}

impl Tls {
    pub(super) fn load(section: &BrokerTls) -> Result<Self, TlsError> {
        let contents = Contents::read(section)?;
        let config = build(section, &contents)?;
        Ok(Self {
            section: section.clone(),
            current: ArcSwap::from_pointee(config),
            due: Mutex::new(contents.due()),
            seen: Mutex::new(contents),
        })
    }

    /// Takes in what the files hold now. Returns whether it differs from before.
    pub(super) fn reload(&self) -> Result<bool, TlsError> {
        let contents = Contents::read(&self.section)?;
        let mut seen = lock(&self.seen);
        if *seen == contents {
            return Ok(false);
        }
        let (built, due) = (build(&self.section, &contents), contents.due());
        // A mistake is told once, not at every look.
        *seen = contents;
        // New configurations know no earlier TLS session, so a revoked client cannot resume one.
        self.current.store(Arc::new(built?));
        *lock(&self.due) = due;
        Ok(true)
    }

    /// The revocation lists' file, if somebody has to be told now that it is out of date.
    pub(super) fn outdated(&self) -> Option<&Path> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
        let late = lock(&self.due).ask(i64::try_from(now).ok()?);
        self.section.crl.as_deref().filter(|_| late)
    }

    /// Does the server's part of the handshake. The time limit is the caller's.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> std::io::Result<TlsStream<S>> {
        TlsAcceptor::from(self.current.load_full()).accept(stream).await
    }

    /// The user that the client's certificate names; `None` where the listener does not ask for it.
    pub(super) fn user<S>(&self, stream: &TlsStream<S>) -> Result<Option<Arc<str>>, Nobody> {
        let Some(from) = self.section.identity else { return Ok(None) };
        match stream.get_ref().1.peer_certificates() {
            // Where a certificate is not required, a client without one logs in by password.
            None | Some([]) => Ok(None),
            Some([own, ..]) => identity::user(own, from).map(Some).ok_or(Nobody),
        }
    }
}

impl Contents {
    fn due(&self) -> Due {
        self.crl.as_deref().map(Due::read).unwrap_or_default()
    }

    fn read(section: &BrokerTls) -> Result<Self, TlsError> {
        Ok(Self {
            cert: read(&section.cert)?,
            key: read(&section.key)?,
            client_ca: section.client_ca.as_deref().map(read).transpose()?,
            crl: section.crl.as_deref().map(read).transpose()?,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.into(), source };
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
        return Err(TlsError::content(path, "is larger than 4 MiB"));
    }
    std::fs::read(path).map_err(unreadable)
}

fn build(section: &BrokerTls, contents: &Contents) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates(&section.cert, &contents.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&contents.key)
        .map_err(|_| TlsError::content(&section.key, "holds no private key in PEM form"))?;
    let unsupported = |error: rustls::Error| TlsError::content(&section.cert, error.to_string());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(unsupported)?;
    let builder = match client_verifier(section, contents, provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    builder.with_single_cert(chain, key).map_err(|error| {
        TlsError::content(&section.key, format!("does not go with {}: {error}", section.cert.display()))
    })
}

fn client_verifier(
    section: &BrokerTls,
    contents: &Contents,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>, TlsError> {
    let (Some(path), Some(pem)) = (&section.client_ca, &contents.client_ca) else { return Ok(None) };
    let mut roots = rustls::RootCertStore::empty();
    for root in certificates(path, pem)? {
        roots.add(root).map_err(|error| TlsError::content(path, error.to_string()))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let (Some(path), Some(pem)) = (&section.crl, &contents.crl) {
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem).collect();
        let lists = lists.ok().filter(|lists| !lists.is_empty());
        let lists = lists.ok_or_else(|| TlsError::content(path, "holds no revocation list in PEM form"))?;
        builder = builder.with_crls(lists);
        // Lists of intermediate authorities are rarely at hand on a site; the client's own issuer must have one.
        if !section.crl_whole_chain {
            builder = builder.only_check_end_entity_revocation();
        }
        if section.crl_refuse_outdated {
            builder = builder.enforce_revocation_expiration();
        }
    }
    if !section.require_client_cert {
        builder = builder.allow_unauthenticated();
    }
    let built = builder.build();
    let blamed = section.crl.as_ref().unwrap_or(path);
    built.map(Some).map_err(|error| {
        let hint = match error {
            // What openssl makes without a `crlnumber` is of version 1, which RFC 5280 forbids.
            VerifierBuilderError::InvalidCrl(_) => {
                "; is it of version 2? `crlnumber` in openssl.cnf makes it so"
            }
            _ => "",
        };
        TlsError::content(blamed, format!("{error}{hint}"))
    })
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsError::content(path, "holds no certificate in PEM form")),
    }
}
