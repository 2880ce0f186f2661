//! A stream that sends by itself what a layer below keeps.
//!
//! A connection writes and does not flush: a socket needs no flushing. TLS and WebSocket may keep the end
//! of what they took while the socket is full; it is sent here as soon as the socket takes it, and nothing
//! more is taken before that, so a slow client costs one write at most.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See the module.
pub(super) struct Flushing<S> {
    inner: S,
    /// The layer below may hold bytes.
    holds: bool,
}

impl<S: AsyncWrite + Unpin> Flushing<S> {
    pub(super) fn new(inner: S) -> Self {
        // A handshake may have left its last message.
        Self { inner, holds: true }
    }

    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.holds {
            ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
            self.holds = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Flushing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(released) = self.poll_release(cx) {
            released?;
        }
        // Reading may make an answer of the layer's own: a key update, a pong.
        self.holds = true;
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if let Poll::Ready(released) = self.poll_release(cx) {
            released?;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Flushing<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_release(cx))?;
        let count = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.holds = true;
        if let Poll::Ready(released) = self.poll_release(cx) {
            released?;
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.holds = true;
        self.poll_release(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};

    #[tokio::test]
    async fn what_a_layer_keeps_is_sent_without_a_flush() {
        let (near, mut far) = tokio::io::duplex(8);
        // The layer below keeps everything up to its capacity until it is flushed.
        let mut stream = Flushing::new(BufStream::with_capacity(64, 64, near));
        assert_eq!(stream.write(b"0123456789abcdef").await.unwrap(), 16);
        let mut got = [0; 16];
        // Half of it fits into the pipe; the other half leaves while the connection waits for something to read.
        let (mut nothing, reading) = ([0], async { far.read_exact(&mut got).await.map(|_| ()) });
        tokio::select! {
            biased;
            _ = stream.read(&mut nothing) => panic!("nothing was sent"),
            done = reading => done.unwrap(),
        }
        assert_eq!(&got, b"0123456789abcdef");
    }
}
