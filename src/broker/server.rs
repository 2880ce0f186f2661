//! Listening: accepting connections until told to stop, then seeing them off.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access::Peer;
use super::core::Core;
use super::listen::{Accepted, Bound, Gate, Listeners, Socket, Stream, with_cause};
use super::stats::add;
use super::sync::lock;
use super::watched::Look;
use super::{Broker, connection};

/// How long connections may take to end after the listener stopped.
const DRAIN: Duration = Duration::from_secs(5);

/// How often files of users and listeners are looked at for changes.
const WATCH_PERIOD: Duration = Duration::from_secs(2);

/// How often expired retained messages are let go.
const TIDY_PERIOD: Duration = Duration::from_secs(60);

/// Pause after a failure to accept, such as no free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who hears of files that have changed.
pub(super) type FilesChanged = Box<dyn Fn(&Taken) + Send + Sync>;

/// Files that have changed and were taken in, or could not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What they hold: `users`, `access rules`, `keys of tokens`, `certificates of LISTENER`.
    pub what: String,
    /// Why they cannot be used; what was in use before stays so.
    pub error: Option<String>,
}

impl Taken {
    /// What is to be told of a look at files, which has found a change or failed.
    pub(super) fn of(what: &str, outcome: Result<bool, String>) -> Option<Self> {
        let error = match outcome {
            Ok(false) => return None,
            Ok(true) => None,
            Err(error) => Some(error),
        };
        Some(Self { what: what.to_owned(), error })
    }
}

impl Broker {
    /// Serves clients that connect to `listener` until `shutdown` is cancelled. Then every client is told
    /// that the server stops, and the call returns when all are gone, after five seconds at the latest.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) {
        let bound = Bound {
            socket: Socket::Tcp(listener),
            gate: Arc::new(Gate::plain(self.core.auth.usual_means())),
        };
        self.serve_all(Listeners { bound: vec![bound] }, shutdown).await;
    }

    /// As [`Self::serve`], on every listener.
    pub async fn serve_all(&self, listeners: Listeners, shutdown: CancellationToken) {
        let gates: Vec<_> = listeners.bound.iter().map(|bound| Arc::clone(&bound.gate)).collect();
        *lock(&self.core.gates) = gates.clone();
        let (loops, clients) = (TaskTracker::new(), TaskTracker::new());
        // Before the first client; what is wrong with files was told when the listeners were bound.
        self.reload();
        loops.spawn(self.clone().watch(gates, shutdown.clone()));
        loops.spawn(self.clone().tidy(shutdown.clone()));
        for bound in listeners.bound {
            let (broker, clients, stop) = (self.clone(), clients.clone(), shutdown.clone());
            loops.spawn(async move { broker.accept(bound, &clients, &stop).await });
        }
        loops.close();
        loops.wait().await;
        clients.close();
        if tokio::time::timeout(DRAIN, clients.wait()).await.is_err() {
            tracing::warn!(left = clients.len(), "broker connections did not end in time");
        }
    }

    /// Takes in certificates and users that have changed, at once instead of within seconds. What cannot be
    /// used is logged and changes nothing. Reads files: not for a thread that serves clients. Tells what has changed or
    /// could not be used.
    pub fn reload(&self) -> Vec<Taken> {
        self.look(Look::Asked)
    }

    /// Calls `listener` for every file that has changed from now on and was taken in, or could not be, without having been
    /// asked for it. There is one listener; a later one is not called.
    pub fn on_change(&self, listener: impl Fn(&Taken) + Send + Sync + 'static) {
        let _ = self.core.files_changed.set(Box::new(listener));
    }

    fn look(&self, look: Look) -> Vec<Taken> {
        let gates = lock(&self.core.gates).clone();
        let mut taken: Vec<Taken> = gates.iter().filter_map(|gate| gate.reload()).collect();
        let core = &self.core;
        let mut note = |what: &str, outcome: Result<bool, String>| {
            let changed = outcome == Ok(true);
            if let Err(error) = &outcome {
                tracing::error!(error, "the {what} stay as they were");
            }
            taken.extend(Taken::of(what, outcome));
            changed
        };
        let users = note("users", core.auth.reload(look).map_err(|error| with_cause(&error)));
        let keys = note("keys of tokens", core.auth.reload_keys().map_err(|error| with_cause(&error)));
        if users || keys {
            core.apply_users();
        }
        if note("access rules", core.access.reload(look).map_err(|error| with_cause(&error))) {
            core.apply_access();
        }
        core.end_expired();
        taken
    }

    /// Looks at files until told to stop.
    async fn watch(self, gates: Vec<Arc<Gate>>, stop: CancellationToken) {
        let core = &self.core;
        let logins = core.auth.has_users() || core.auth.has_tokens();
        if !logins && !core.access.has_file() && !gates.iter().any(|gate| gate.has_files()) {
            return;
        }
        let mut ticks = tokio::time::interval(WATCH_PERIOD);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let broker = self.clone();
            // Files may lie on a slow card: reading them must not hold up clients.
            let Ok(taken) = tokio::task::spawn_blocking(move || broker.look(Look::Passing)).await else {
                tracing::error!("the files of users and listeners could not be looked at");
                continue;
            };
            if let Some(listener) = self.core.files_changed.get() {
                taken.iter().for_each(listener);
            }
        }
    }

    /// Lets go of expired retained messages until told to stop.
    async fn tidy(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(TIDY_PERIOD) => {}
                () = stop.cancelled() => return,
            }
            let core = Arc::clone(&self.core);
            let now = Instant::now();
            // A large store takes its time.
            let tidied = tokio::task::spawn_blocking(move || {
                core.retained.expire(now, &core.counters, |topic| core.log_forgotten(topic));
            });
            if tidied.await.is_err() {
                tracing::error!("expired retained messages could not be removed");
            }
        }
    }

    async fn accept(&self, bound: Bound, clients: &TaskTracker, shutdown: &CancellationToken) {
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = bound.socket.accept() => accepted,
                () = shutdown.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    let bounds = bound.gate.bounds;
                    let listener = Some(Arc::clone(&bound.gate.name));
                    let peer = Peer { bounds, listener, ..Peer::new(peer, bound.gate.means) };
                    self.welcome(stream, peer, &bound.gate, clients, shutdown);
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(listener = &*bound.gate.name, %error, "broker cannot accept connections");
                    }
                    failing = true;
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn welcome(
        &self,
        stream: Accepted,
        peer: Peer,
        gate: &Arc<Gate>,
        clients: &TaskTracker,
        shutdown: &CancellationToken,
    ) {
        let Some(place) = self.admit(peer.address, Some(gate)) else { return };
        let stop = shutdown.clone();
        match stream {
            Accepted::Tcp(stream) if gate.is_plain() => {
                clients.spawn(connection::serve(Arc::clone(&place.core), stream, peer, stop, place));
            }
            Accepted::Tcp(stream) => {
                clients.spawn(open_and_serve(stream, peer, place, stop));
            }
            Accepted::Unix(stream) => {
                clients.spawn(open_and_serve(stream, peer, place, stop));
            }
        }
    }

    /// Serves one client over any byte stream, such as a pipe, until its connection ends.
    pub async fn serve_stream<S>(&self, stream: S, peer: SocketAddr, shutdown: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        if let Some(place) = self.admit(peer, None) {
            let peer = Peer::new(peer, self.core.auth.usual_means());
            connection::serve(Arc::clone(&place.core), stream, peer, shutdown, place).await;
        }
    }

    fn admit(&self, peer: SocketAddr, gate: Option<&Arc<Gate>>) -> Option<Place> {
        if let Some(gate) = gate
            && !gate.enter()
        {
            add(&self.core.counters.connections_refused, 1);
            return None;
        }
        let mut place = Place { core: Arc::clone(&self.core), address: None, gate: gate.cloned() };
        if !self.core.admit(peer.ip()) {
            return None;
        }
        place.address = Some(peer.ip());
        Some(place)
    }
}

/// Does what lies below MQTT, inside the time that a CONNECT may take, and then serves the client.
async fn open_and_serve<S: Stream + 'static>(
    stream: S,
    mut peer: Peer,
    mut place: Place,
    stop: CancellationToken,
) {
    let core = Arc::clone(&place.core);
    let Some(gate) = place.gate.clone() else { return };
    let deadline = peer.accepted + core.config.connect_timeout.0;
    // Boxed, so that what only the beginning needs does not stay with the connection.
    let opening = Box::pin(timeout_at(deadline, open(&gate, stream, &mut peer, &mut place)));
    let opened = tokio::select! {
        opened = opening => opened,
        () = stop.cancelled() => return,
    };
    let error = match opened {
        Ok(Ok(stream)) => return connection::serve(core, stream, peer, stop, place).await,
        Ok(Err(error)) => error,
        Err(_) => {
            add(&core.counters.connects_late, 1);
            "no handshake in time".to_owned()
        }
    };
    add(&core.counters.connects_refused, 1);
    tracing::debug!(peer = %peer.address, listener = &*gate.name, error, "connection ended before its CONNECT");
}

/// Learns from a proxy who the client is, then does the handshakes.
async fn open<S: Stream + 'static>(
    gate: &Gate,
    mut stream: S,
    peer: &mut Peer,
    place: &mut Place,
) -> Result<Box<dyn Stream>, String> {
    if gate.is_proxied() {
        let client = gate.client_behind(&mut stream, peer.address).await;
        peer.address = client.inspect_err(|_| add(&place.core.counters.proxy_refused, 1))?;
        if !place.move_to(peer.address.ip()) {
            return Err("too many connections from the client's address".to_owned());
        }
    }
    gate.open(stream, peer).await
}

/// A counted connection; counted off when dropped.
struct Place {
    core: Arc<Core>,
    address: Option<std::net::IpAddr>,
    gate: Option<Arc<Gate>>,
}

impl Place {
    /// The connection counts for another address from now on. False: that has too many.
    fn move_to(&mut self, address: std::net::IpAddr) -> bool {
        let moved = self.address.is_some_and(|before| self.core.recount(before, address));
        self.address = if moved { Some(address) } else { self.address };
        moved
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            self.core.dismiss(address);
        }
        if let Some(gate) = &self.gate {
            gate.leave();
        }
    }
}
