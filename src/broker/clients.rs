//! Who is there: every session with its connection, for people to look at.
//!
//! A look costs one short lock per session and no other one. Absent: doing something to them (`admin`).
//! Invariant: what is said about one session was true at one moment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::Broker;
use super::codec::Version;
use super::listen::PLAIN;
use super::session::{Link, Session};
use super::sync::lock;

/// One session, for people to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// Client identifier.
    pub client_id: Arc<str>,
    /// The connection; `None` while the client is absent.
    pub connection: Option<ConnectionInfo>,
    /// For how long the client has been absent; `None` while it is connected.
    pub absent: Option<Duration>,
    /// For how long the session is kept without a connection.
    pub expiry: Duration,
    /// The user that the session belongs to, if its client logged in as one.
    pub user: Option<Arc<str>>,
    /// Subscriptions.
    pub subscriptions: usize,
    /// QoS 1 and 2 messages that wait for the client.
    pub queued: usize,
    /// Bytes that the session holds: waiting, being written, or sent and not yet acknowledged.
    pub queued_bytes: usize,
    /// QoS 1 and 2 messages sent and not yet acknowledged.
    pub in_flight: usize,
    /// Messages sent to the client since the session began.
    pub sent: u64,
    /// Messages that the client published since the session began.
    pub received: u64,
    /// Messages dropped since the session began.
    pub dropped: u64,
}

/// The connection of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Where the client connects from.
    pub peer: SocketAddr,
    /// Name of the listener that it came through; `listen` is the one of `broker.listen`.
    pub listener: Arc<str>,
    /// What it speaks.
    pub version: Version,
    /// For how long it has been connected.
    pub age: Duration,
}

/// What [`Broker::client`] tells about one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientState {
    /// What the list of sessions says, too.
    pub info: ClientInfo,
    /// The filters that it subscribed to, sorted.
    pub filters: Vec<String>,
}

impl Broker {
    /// Every session, sorted by client identifier.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientInfo> {
        let now = Instant::now();
        let mut clients: Vec<_> =
            self.core.registry.all().iter().map(|session| describe(session, now)).collect();
        clients.sort_unstable_by(|a, b| a.client_id.cmp(&b.client_id));
        clients
    }

    /// One session with its subscriptions; `None`: there is none with this client identifier.
    #[must_use]
    pub fn client(&self, client_id: &str) -> Option<ClientState> {
        let session = self.core.registry.get(client_id)?;
        let info = describe(&session, Instant::now());
        let filters = lock(&session.state).filters.iter().map(str::to_owned).collect();
        Some(ClientState { info, filters })
    }
}

fn describe(session: &Session, now: Instant) -> ClientInfo {
    let state = lock(&session.state);
    let (queued, in_flight) = state.waiting();
    ClientInfo {
        client_id: Arc::clone(&session.id),
        connection: state.link.as_ref().map(|link| connection(link, now)),
        absent: state.absent.map(|since| now.saturating_duration_since(since)),
        expiry: Duration::from_secs(state.expiry.into()),
        user: state.login.as_ref().map(|login| Arc::clone(&login.user)),
        subscriptions: state.filters.len(),
        queued,
        queued_bytes: state.held(),
        in_flight,
        sent: state.sent,
        received: session.published.load(Relaxed),
        dropped: state.dropped,
    }
}

fn connection(link: &Link, now: Instant) -> ConnectionInfo {
    ConnectionInfo {
        peer: link.peer,
        listener: link.listener.clone().unwrap_or_else(|| PLAIN.into()),
        version: link.version,
        age: now.saturating_duration_since(link.since),
    }
}
