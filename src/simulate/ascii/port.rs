//! Instruments on a stream of bytes: a connection, or a pty.
//!
//! Invariant: one client at a time has a line, and what one has begun to send is nothing to the next.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::instruments::{Instruments, Timetable};
use crate::driver::ascii::wire::Lines;
use crate::simulate::line::LineLoad;
use crate::simulate::listen::Place;
use crate::simulate::plug::Plug;
use crate::simulate::pty::Pty;
use crate::simulate::tcp::pause;

/// A pause that ends a request whose terminator did not come.
const PAUSE: Duration = Duration::from_millis(50);

/// How soon a client is noticed on a port that nobody has open.
const CLIENT_CHECK: Duration = Duration::from_millis(10);

/// How long to wait before a port that could not be made is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// Speaks with one client until it leaves or the instrument hangs up. Its errors are its own affair.
pub(super) async fn converse<S>(stream: S, instruments: Arc<Instruments>, load: Arc<Mutex<LineLoad>>)
where
    S: AsyncRead + AsyncWrite + Send,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut lines = Lines::default();
    let mut timetable = Timetable::new(&instruments, Instant::now());
    let mut bytes = vec![0; 4096];
    loop {
        let speech = sleep_until(timetable.due());
        let paused = sleep_until((!lines.is_empty()).then(|| Instant::now() + PAUSE));
        let mut said = Vec::new();
        tokio::select! {
            read = reader.read(&mut bytes) => match read {
                Ok(count) if count > 0 => {
                    lines.push(&bytes[..count]);
                    while let Some(line) = instruments.line(&mut lines, false) {
                        said.extend(instruments.answers(&line, Instant::now()));
                        lock(&load).requests += 1;
                    }
                }
                _ => return,
            },
            () = paused => {
                if let Some(line) = instruments.line(&mut lines, true) {
                    said.extend(instruments.answers(&line, Instant::now()));
                    lock(&load).requests += 1;
                }
            }
            () = speech => said = timetable.speak(&instruments, Instant::now()),
        }
        for said in said {
            tokio::time::sleep(said.delay).await;
            if writer.write_all(&said.bytes).await.is_err() || said.hang_up {
                return;
            }
            let mut load = lock(&load);
            load.answers += 1;
            load.characters += said.bytes.len() as u64;
        }
    }
}

/// Serves a pty until the switch says stop. `pty` is the one to begin with.
pub(super) async fn line(place: Place, pty: Pty, link: PathBuf, instruments: Arc<Instruments>) {
    let mut plug = place.switch.watch();
    let mut port = Some(pty);
    loop {
        let state = *plug.borrow_and_update();
        match state.at(Instant::now()) {
            Plug::Stop => return,
            Plug::Out(until) => {
                port = None;
                pause(&mut plug, until).await;
            }
            Plug::In => {
                let Some(open) = port.take().or_else(|| plug_in(&place, &link)) else {
                    pause(&mut plug, Some(Instant::now() + RETRY)).await;
                    continue;
                };
                tokio::select! {
                    _ = plug.changed() => {}
                    // Locked by a client that died, or failed: another one is plugged in.
                    () = clients(open, &instruments, &place.load) => {}
                }
            }
        }
    }
}

fn plug_in(place: &Place, link: &std::path::Path) -> Option<Pty> {
    let made = Pty::plug_in(link);
    made.map_err(|error| tracing::warn!(channel = %place.channel, %error, "no port")).ok()
}

/// One client after the other, until the port cannot be used any more.
async fn clients(pty: Pty, instruments: &Arc<Instruments>, load: &Arc<Mutex<LineLoad>>) {
    // SAFETY: a `Pty` keeps the same master, which it owns and never hands out, until it is dropped, and `AsyncFd` owns it.
    let Ok(mut port) = (unsafe { AsyncFd::register(Master(pty)) }) else { return };
    loop {
        converse(Stream(&mut port), Arc::clone(instruments), Arc::clone(load)).await;
        if port.get_ref().0.is_locked() {
            return;
        }
        port.get_ref().0.flush();
        tokio::time::sleep(CLIENT_CHECK).await;
    }
}

/// The instrument's side of a pty, for the runtime.
#[derive(Debug)]
struct Master(Pty);

impl AsRawFd for Master {
    fn as_raw_fd(&self) -> RawFd {
        self.0.master().as_raw_fd()
    }
}

/// The same as a stream that ends when its client leaves.
struct Stream<'a>(&'a mut AsyncFd<Master>);

impl AsyncRead for Stream<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            let read = |port: &AsyncFd<Master>| {
                let mut bytes = [0; 1024];
                let room = buffer.remaining().min(bytes.len());
                let read = rustix::io::read(port.get_ref().0.master(), &mut bytes[..room]);
                read.map(|count| (bytes, count)).map_err(io::Error::from)
            };
            match guard.try_io(read) {
                Ok(Ok((bytes, count))) => {
                    buffer.put_slice(&bytes[..count]);
                    return Poll::Ready(Ok(()));
                }
                // Nobody has it open.
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_) => {}
            }
        }
    }
}

impl AsyncWrite for Stream<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(cx))?;
            let write = |port: &AsyncFd<Master>| {
                rustix::io::write(port.get_ref().0.master(), bytes).map_err(io::Error::from)
            };
            if let Ok(written) = guard.try_io(write) {
                return Poll::Ready(written);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

fn lock(load: &Mutex<LineLoad>) -> std::sync::MutexGuard<'_, LineLoad> {
    load.lock().unwrap_or_else(PoisonError::into_inner)
}
