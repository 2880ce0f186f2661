//! Where clients connect: TCP and Unix sockets, TLS, WebSocket, several at once.
//!
//! Everything is bound and every file read before the first client is served, so a mistake stops the
//! start. What lies below MQTT (the handshakes of TLS and WebSocket) runs in the connection's own task, inside the time
//! that a client has for its CONNECT. Invariant: a connection counts against the limits from the moment
//! it is accepted.

pub(super) mod config;
mod flushing;
mod identity;
mod network;
mod proxy;
mod revocation;
mod tls;
mod websocket;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

pub use config::{BrokerListener, BrokerTls, CertificateIdentity};
pub use network::Network;
pub use tls::TlsError;
pub(crate) use websocket::WebSocketBytes;

use super::Config;
use super::access::{AccessError, Bounds, Peer, check_access_file};
use super::auth::{KeysError, Means, UsersError, check_file, jwt};
use super::codec::QoS;
use super::config::bytes;
use super::server::Taken;
use flushing::Flushing;
use tls::Tls;
use websocket::WebSocket;

/// Name of the listener that `broker.listen` describes.
pub(super) const PLAIN: &str = "listen";

/// Clients that the kernel keeps connected until they are accepted. Beyond that it lets them try again seconds later: with
/// tokio's 128, thousands of clients that come back at once after an outage would need that long.
const BACKLOG: u32 = 4_096;

/// A byte stream with whatever lies between it and the socket.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Why the broker cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The configuration has a mistake, by the file or by what the command line put in its place: an address that others
    /// reach without users, for example. One sentence each.
    #[error("{}", .0.join("\n"))]
    Config(Vec<String>),
    /// A listener's address or path is taken, or not this machine's.
    #[error("listener `{name}`: cannot listen on {place}")]
    Bind {
        /// The listener's name.
        name: String,
        /// Address or path.
        place: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The users cannot be read.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The rules cannot be read.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The keys of tokens cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A listener's certificates cannot be used.
    #[error("listener `{name}`")]
    Tls {
        /// The listener's name.
        name: String,
        /// The file, and what is wrong with it.
        source: TlsError,
    },
}

/// Every listener of a configuration, bound and ready to serve.
pub struct Listeners {
    pub(super) bound: Vec<Bound>,
}

/// One bound listener.
pub(super) struct Bound {
    pub(super) socket: Socket,
    pub(super) gate: Arc<Gate>,
}

/// A listening socket.
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixSocket),
}

/// An accepted socket.
pub(super) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A listening Unix socket; its path is removed when it is dropped.
pub(super) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// What holds for every connection of one listener.
pub(super) struct Gate {
    pub(super) name: Arc<str>,
    tls: Option<Tls>,
    websocket: Option<WebSocket>,
    /// Who may speak for clients; empty: clients speak for themselves.
    proxies: Box<[Network]>,
    pub(super) means: Means,
    pub(super) bounds: Bounds,
    max_connections: usize,
    connections: AtomicUsize,
}

impl Listeners {
    /// Binds `listen` and every one of `listeners`, and reads their certificates.
    ///
    /// # Errors
    /// The configuration has a mistake, a place is taken, or a file cannot be used. Nothing listens then.
    pub async fn bind(config: &Config) -> Result<Self, ListenError> {
        // Here every way to a listener meets; what was checked before may have been changed since.
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(ListenError::Config(problems));
        }
        let plain = BrokerListener { address: Some(config.listen), ..BrokerListener::default() };
        let all = std::iter::once((PLAIN, &plain))
            .chain(config.listeners.iter().map(|(name, listener)| (name.as_str(), listener)));
        config.password_file.as_deref().map_or(Ok(()), check_file)?;
        config.access_file.as_deref().map_or(Ok(()), check_access_file)?;
        config.jwt.as_ref().map_or(Ok(()), jwt::check_files)?;
        let mut bound = Vec::new();
        for (name, listener) in all {
            let gate = Arc::new(Gate::new(name, listener, config)?);
            bound.push(Bound { socket: Socket::bind(name, listener)?, gate });
        }
        Ok(Self { bound })
    }

    /// Where the listener with this name accepts TCP connections; `listen` is the name of `broker.listen`.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        let bound = self.bound.iter().find(|bound| &*bound.gate.name == name)?;
        match &bound.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }
}

impl Socket {
    fn bind(name: &str, listener: &BrokerListener) -> Result<Self, ListenError> {
        let failed = |place: String, source| ListenError::Bind { name: name.to_owned(), place, source };
        if let Some(path) = &listener.unix {
            return Self::bind_unix(path).map_err(|error| failed(path.display().to_string(), error));
        }
        // A listener without a place was refused when the configuration was checked.
        let address = listener.address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        Self::bind_tcp(address).map(Self::Tcp).map_err(|error| failed(address.to_string(), error))
    }

    fn bind_tcp(address: SocketAddr) -> std::io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A broker that is started again must not wait for connections of the one before it.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    }

    fn bind_unix(path: &std::path::Path) -> std::io::Result<Self> {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt};
        // A socket that was left behind by a crash is replaced; a living one, or any other file, is not.
        if let Ok(found) = std::fs::symlink_metadata(path)
            && found.file_type().is_socket()
            && std::os::unix::net::UnixStream::connect(path).is_err()
        {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let socket = UnixSocket { listener, path: path.to_owned() };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
        Ok(Self::Unix(socket))
    }

    /// The next connection and where it comes from.
    pub(super) async fn accept(&self) -> std::io::Result<(Accepted, SocketAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are small and urgent; without this option they wait for the client's acknowledgement.
                let _ = stream.set_nodelay(true);
                Ok((Accepted::Tcp(stream), peer))
            }
            Self::Unix(socket) => {
                let (stream, _) = socket.listener.accept().await?;
                Ok((Accepted::Unix(stream), SocketAddr::from(([127, 0, 0, 1], 0))))
            }
        }
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // It may be gone already, together with its folder.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Gate {
    fn new(name: &str, listener: &BrokerListener, config: &Config) -> Result<Self, ListenError> {
        let tls = listener.tls.as_ref().map(Tls::load).transpose();
        let tls = tls.map_err(|source| ListenError::Tls { name: name.to_owned(), source })?;
        let max_connections = listener.max_connections.unwrap_or(usize::MAX);
        let websocket = listener.websocket.as_deref();
        let bounds = Bounds {
            max_packet: listener.max_packet.map(bytes),
            max_qos: listener.max_qos.and_then(QoS::from_bits),
            durability: listener.durability,
        };
        let max_packet = bounds.max_packet(config);
        let means = listener.means(config);
        let open = means.anonymous;
        let websocket = websocket.map(|path| WebSocket::new(path, &listener.origins, max_packet, open));
        let proxies = listener.proxies.as_slice().into();
        let connections = AtomicUsize::new(0);
        Ok(Self { name: name.into(), tls, websocket, proxies, means, bounds, max_connections, connections })
    }

    /// A listener that serves MQTT and nothing below it, without limits of its own.
    pub(super) fn plain(means: Means) -> Self {
        Self {
            name: PLAIN.into(),
            tls: None,
            websocket: None,
            proxies: Box::default(),
            means,
            bounds: Bounds::default(),
            max_connections: usize::MAX,
            connections: AtomicUsize::new(0),
        }
    }

    /// Whether MQTT comes right behind the socket.
    pub(super) fn is_plain(&self) -> bool {
        self.tls.is_none() && self.websocket.is_none() && self.proxies.is_empty()
    }

    /// Counts one more connection; false: there are too many already.
    pub(super) fn enter(&self) -> bool {
        let counted = self
            .connections
            .fetch_update(Relaxed, Relaxed, |count| (count < self.max_connections).then_some(count + 1));
        counted.is_ok()
    }

    /// A connection that [`Self::enter`] counted is gone.
    pub(super) fn leave(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    /// Whether clients come through proxies.
    pub(super) fn is_proxied(&self) -> bool {
        !self.proxies.is_empty()
    }

    /// Whom a proxy that connected from this address speaks for. The time limit is the caller's.
    pub(super) async fn client_behind<S: Stream>(
        &self,
        stream: &mut S,
        proxy: SocketAddr,
    ) -> Result<SocketAddr, String> {
        if !self.proxies.iter().any(|known| known.contains(proxy.ip())) {
            return Err("not one of the listener's `proxies`".to_owned());
        }
        proxy::read(stream).await.map(|client| client.unwrap_or(proxy)).map_err(|error| error.to_string())
    }

    /// Does what lies between the socket and MQTT. The time limit is the caller's.
    pub(super) async fn open<S: Stream + 'static>(
        &self,
        stream: S,
        peer: &mut Peer,
    ) -> Result<Box<dyn Stream>, String> {
        let Some(tls) = &self.tls else { return self.upgrade(stream).await };
        let stream = tls.accept(stream).await.map_err(|error| format!("TLS: {error}"))?;
        peer.user = tls.user(&stream).map_err(|_| "the client's certificate names no user".to_owned())?;
        self.upgrade(stream).await
    }

    async fn upgrade<S: Stream + 'static>(&self, stream: S) -> Result<Box<dyn Stream>, String> {
        match &self.websocket {
            Some(websocket) => Ok(Box::new(Flushing::new(websocket.accept(stream).await?))),
            None => Ok(Box::new(Flushing::new(stream))),
        }
    }

    /// Whether there are files to look at.
    pub(super) fn has_files(&self) -> bool {
        self.tls.is_some()
    }

    /// Takes in files that have changed.
    pub(super) fn reload(&self) -> Option<Taken> {
        let listener = &*self.name;
        let outcome = self.tls.as_ref()?.reload().map_err(|error| with_cause(&error));
        match &outcome {
            Ok(true) => tracing::info!(listener, "new certificates are in use"),
            Err(error) => {
                tracing::error!(
                    listener,
                    error,
                    "changed certificates cannot be used; the old ones stay in use"
                );
            }
            Ok(false) => {}
        }
        if let Some(file) = self.tls.as_ref().and_then(Tls::outdated) {
            tracing::warn!(listener, file = %file.display(), "the revocation lists are out of date: who was revoked since is not known; get new ones");
        }
        Taken::of(&format!("certificates of {listener}"), outcome)
    }
}

/// An error with what led to it.
pub(super) fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
