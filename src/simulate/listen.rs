//! A loopback port that can be unplugged: connections and datagrams, each handed to whoever answers them.
//!
//! Absent: what they say. Invariant: while a channel is unplugged its port is closed and every connection has ended.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::StartError;
use super::line::LineLoad;
use super::plug::{Plug, Switch};
use super::tcp::{MAX_CONNECTIONS, pause};

/// How long to wait before a port that is in use is tried again after an outage.
const RETRY: Duration = Duration::from_millis(50);

/// Where a channel is served.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The channel's name.
    pub(super) channel: Arc<str>,
    /// Where.
    pub(super) address: SocketAddr,
    /// The switch of the channel.
    pub(super) switch: Arc<Switch>,
    /// What it did.
    pub(super) load: Arc<Mutex<LineLoad>>,
}

/// What a simulated device says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// As it goes to the wire.
    pub(super) bytes: Vec<u8>,
    /// How long it takes to begin.
    pub(super) delay: Duration,
    /// The connection ends behind it.
    pub(super) hang_up: bool,
}

/// Answers datagrams, and may speak by itself.
pub(super) trait Talker: Send + Sync {
    /// What it answers to a datagram.
    fn answers(&self, datagram: &[u8], now: Instant) -> Vec<Said>;

    /// When it next speaks by itself.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// What it says now by itself.
    fn speak(&self, _now: Instant) -> Vec<Said> {
        Vec::new()
    }
}

impl Place {
    /// What the channel did.
    pub(super) fn load(&self) -> MutexGuard<'_, LineLoad> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That the place cannot be had.
    pub(super) fn failed(&self, source: std::io::Error) -> StartError {
        StartError::Channel { channel: Arc::clone(&self.channel), at: self.address.to_string(), source }
    }

    /// Serves connections until the switch says stop, each by `serve`. `listener` is the one to begin with.
    pub(super) async fn connections<S, F>(self, listener: TcpListener, serve: S)
    where
        S: Fn(TcpStream) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut plug = self.switch.watch();
        let mut listener = Some(listener);
        while let Some(plugged) = self.next(&mut plug, listener.is_some()).await {
            listener = match (plugged, listener) {
                (false, _) => None,
                (true, Some(open)) => {
                    self.accept(open, &mut plug, &serve).await;
                    None
                }
                (true, None) => self.opened(TcpListener::bind(self.address).await, &mut plug).await,
            };
        }
    }

    /// Serves datagrams until the switch says stop. `socket` is the one to begin with.
    pub(super) async fn datagrams(self, socket: UdpSocket, talker: Arc<dyn Talker>) {
        let mut plug = self.switch.watch();
        let mut socket = Some(socket);
        while let Some(plugged) = self.next(&mut plug, socket.is_some()).await {
            socket = match (plugged, socket) {
                (false, _) => None,
                (true, Some(open)) => {
                    self.talk(&open, &mut plug, &*talker).await;
                    None
                }
                (true, None) => self.opened(UdpSocket::bind(self.address).await, &mut plug).await,
            };
        }
    }

    /// Whether it is plugged in; `None` at the stop. While it is not, this waits, unless a port is still `open`.
    async fn next(&self, plug: &mut watch::Receiver<Plug>, open: bool) -> Option<bool> {
        let state = *plug.borrow_and_update();
        match state.at(Instant::now()) {
            Plug::Stop => None,
            Plug::In => Some(true),
            Plug::Out(_) if open => {
                info!(channel = %self.channel, "unplugged");
                Some(false)
            }
            Plug::Out(until) => {
                pause(plug, until).await;
                Some(false)
            }
        }
    }

    async fn opened<T>(&self, bound: std::io::Result<T>, plug: &mut watch::Receiver<Plug>) -> Option<T> {
        match bound {
            Ok(open) => {
                info!(channel = %self.channel, address = %self.address, "plugged in");
                Some(open)
            }
            Err(error) => {
                warn!(channel = %self.channel, %error, "no port");
                pause(plug, Some(Instant::now() + RETRY)).await;
                None
            }
        }
    }

    /// Takes connections until the switch changes; then they all end.
    async fn accept<S, F>(&self, listener: TcpListener, plug: &mut watch::Receiver<Plug>, serve: &S)
    where
        S: Fn(TcpStream) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                _ = plug.changed() => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                        let _ = stream.set_nodelay(true);
                        connections.spawn(serve(stream));
                    }
                    Ok(_) => self.load().dropped += 1,
                    Err(_) => tokio::time::sleep(RETRY).await,
                },
            }
        }
        // The port first: a client that is thrown out must not find it open.
        drop(listener);
        connections.shutdown().await;
    }

    async fn talk(&self, socket: &UdpSocket, plug: &mut watch::Receiver<Plug>, talker: &dyn Talker) {
        let mut datagram = vec![0; 64 << 10];
        let mut peer = None;
        loop {
            let due = talker.due().filter(|_| peer.is_some());
            let speech = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            let said = tokio::select! {
                _ = plug.changed() => return,
                () = speech => talker.speak(Instant::now()),
                // An error is that of an answer sent before: its client is gone.
                received = socket.recv_from(&mut datagram) => match received {
                    Ok((length, from)) => {
                        peer = Some(from);
                        self.load().requests += 1;
                        talker.answers(&datagram[..length], Instant::now())
                    }
                    Err(_) => Vec::new(),
                },
            };
            let Some(peer) = peer else { continue };
            for said in said {
                tokio::time::sleep(said.delay).await;
                if socket.send_to(&said.bytes, peer).await.is_ok() {
                    let mut load = self.load();
                    load.answers += 1;
                    load.characters += said.bytes.len() as u64;
                }
            }
        }
    }
}
