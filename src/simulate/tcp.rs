//! Serves a channel on a loopback port: Modbus TCP, or RTU frames as a serial server passes them on.
//!
//! Invariant: an answer that comes late is still sent, on the connection that asked, while other requests
//! go on; that is what makes it dangerous.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::frame::{Decoder, Found, Framing};
use super::line::{LineLoad, MAX_WAITING};
use super::plug::{Plug, Switch};
use super::service::{Reply, Service};

/// The most connections of one channel at a time; more are closed at once.
pub(super) const MAX_CONNECTIONS: usize = 32;

/// A pause that ends an RTU frame of unknown length within a connection.
const SILENCE: Duration = Duration::from_millis(20);

/// How long to wait before a port that is in use is tried again after an outage.
const RETRY: Duration = Duration::from_millis(50);

/// One channel on TCP at work.
#[derive(Debug)]
pub(super) struct TcpPort {
    /// Who answers.
    pub(super) service: Service,
    /// Where.
    pub(super) address: SocketAddr,
    /// The switch of the channel.
    pub(super) switch: Arc<Switch>,
    /// What it did, for others to see. Times are not counted: a network has none of its own.
    pub(super) load: Arc<Mutex<LineLoad>>,
}

/// An answer that waits for its time.
struct Waiting {
    due: Instant,
    reply: Reply,
}

impl TcpPort {
    /// Serves until the switch says stop. `listener` is the one to begin with.
    pub(super) async fn run(self: Arc<Self>, listener: TcpListener) {
        let mut plug = self.switch.watch();
        let mut listener = Some(listener);
        loop {
            let state = *plug.borrow_and_update();
            match state.at(Instant::now()) {
                Plug::Stop => return,
                Plug::Out(until) => {
                    if listener.take().is_some() {
                        info!(channel = %self.service.channel, "unplugged");
                    }
                    pause(&mut plug, until).await;
                }
                Plug::In => match listener.take() {
                    Some(open) => self.accept(open, &mut plug).await,
                    None => match TcpListener::bind(self.address).await {
                        Ok(open) => {
                            info!(channel = %self.service.channel, address = %self.address, "plugged in");
                            listener = Some(open);
                        }
                        Err(error) => {
                            warn!(channel = %self.service.channel, %error, "no port");
                            pause(&mut plug, Some(Instant::now() + RETRY)).await;
                        }
                    },
                },
            }
        }
    }

    /// Takes connections until the switch changes; then they all end, and the port is closed.
    async fn accept(self: &Arc<Self>, listener: TcpListener, plug: &mut watch::Receiver<Plug>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                _ = plug.changed() => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                        let port = Arc::clone(self);
                        connections.spawn(async move { port.connection(stream).await });
                    }
                    Ok(_) => self.load().dropped += 1,
                    Err(error) => {
                        warn!(channel = %self.service.channel, %error, "cannot take a connection");
                        tokio::time::sleep(RETRY).await;
                    }
                },
            }
        }
        // The port first: a client that is thrown out must not find it open.
        drop(listener);
        connections.shutdown().await;
    }

    /// Serves one client until it leaves. Its errors are its own affair.
    async fn connection(&self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut decoder = Decoder::new(self.service.framing);
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut bytes = vec![0; 4096];
        loop {
            let due = waiting.iter().map(|answer| answer.due).min();
            let silent = (self.service.framing == Framing::Rtu && !decoder.is_empty()).then_some(SILENCE);
            tokio::select! {
                read = stream.read(&mut bytes) => match read {
                    Ok(count) if count > 0 => {
                        decoder.push(&bytes[..count]);
                        if !self.handle(&mut decoder, &mut waiting) {
                            return;
                        }
                    }
                    _ => return,
                },
                () = sleep_until(due) => {}
                () = sleep_for(silent) => {
                    let found = decoder.silence();
                    self.found(found, &mut waiting);
                }
            }
            if !send_due(&mut stream, &mut waiting).await.unwrap_or(false) {
                return;
            }
        }
    }

    /// Answers all whole requests. Returns whether the stream can still be followed.
    fn handle(&self, decoder: &mut Decoder, waiting: &mut Vec<Waiting>) -> bool {
        loop {
            match decoder.next_frame() {
                Found::More => return true,
                Found::Lost => return false,
                found => self.found(found, waiting),
            }
        }
    }

    fn found(&self, found: Found, waiting: &mut Vec<Waiting>) {
        let frame = match found {
            Found::Frame(frame) => frame,
            Found::Noise(bytes) => {
                self.load().noise_bytes += bytes as u64;
                return;
            }
            Found::More | Found::Lost => return,
        };
        let now = Instant::now();
        let reply = self.service.answer(&frame, now);
        let mut load = self.load();
        load.requests += 1;
        load.characters += frame.length as u64;
        if let Some(reply) = reply {
            if waiting.len() >= MAX_WAITING {
                load.dropped += 1;
                return;
            }
            load.answers += 1;
            load.characters += reply.bytes.len() as u64;
            waiting.push(Waiting { due: now + reply.delay, reply });
        }
    }

    fn load(&self) -> std::sync::MutexGuard<'_, LineLoad> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends in one go what is due. Returns whether the connection goes on.
async fn send_due(stream: &mut TcpStream, waiting: &mut Vec<Waiting>) -> io::Result<bool> {
    let now = Instant::now();
    let mut out = Vec::new();
    let mut goes_on = true;
    waiting.sort_by_key(|answer| answer.due);
    let due = waiting.partition_point(|answer| answer.due <= now);
    for answer in waiting.drain(..due) {
        if goes_on {
            out.extend_from_slice(&answer.reply.bytes);
            goes_on = !answer.reply.hang_up;
        }
    }
    if !out.is_empty() {
        stream.write_all(&out).await?;
    }
    Ok(goes_on)
}

/// Waits for a change of the switch, at most until then.
pub(super) async fn pause(plug: &mut watch::Receiver<Plug>, until: Option<Instant>) {
    tokio::select! {
        _ = plug.changed() => {}
        () = sleep_until(until) => {}
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn sleep_for(span: Option<Duration>) {
    match span {
        Some(span) => tokio::time::sleep(span).await,
        None => std::future::pending().await,
    }
}
