//! The stream in memory between tokio-modbus and the line.
//!
//! What tokio-modbus writes waits here until it is taken; what is put in is read by it next. Nothing else
//! ever reaches it, so its decoder sees only frames that have passed the judge. Absent: any I/O.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Debug, Default)]
struct Sides {
    written: Vec<u8>,
    readable: Vec<u8>,
}

/// tokio-modbus' side of the valve.
#[derive(Debug)]
pub struct Inner(Arc<Mutex<Sides>>);

/// The driver's side of the valve.
#[derive(Debug)]
pub struct Valve(Arc<Mutex<Sides>>);

/// Both sides of a new valve.
#[must_use]
pub fn valve() -> (Valve, Inner) {
    let sides = Arc::default();
    (Valve(Arc::clone(&sides)), Inner(sides))
}

fn lock(sides: &Mutex<Sides>) -> MutexGuard<'_, Sides> {
    sides.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Valve {
    /// Forgets everything in both directions.
    pub fn clear(&self) {
        let mut sides = lock(&self.0);
        sides.written.clear();
        sides.readable.clear();
    }

    /// Takes what has been written.
    #[must_use]
    pub fn take_written(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.0).written)
    }

    /// Gives a frame to be read. The reader must be polled afterwards: nothing wakes it.
    pub fn put(&self, frame: Vec<u8>) {
        lock(&self.0).readable = frame;
    }
}

impl AsyncRead for Inner {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut sides = lock(&self.0);
        if sides.readable.is_empty() {
            return Poll::Pending;
        }
        let count = sides.readable.len().min(buf.remaining());
        buf.put_slice(&sides.readable[..count]);
        sides.readable.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Inner {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        lock(&self.0).written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
