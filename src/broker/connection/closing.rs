//! The end of a connection: its last bytes, and reading on until the client has closed.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{Connection, SCRATCH};
use crate::broker::stats::add;

/// How long a connection that ends may take for its last bytes.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// What a client may still send while its connection ends, in bytes. Reading it keeps the kernel from
/// resetting the connection before the client has read why it ends.
pub(super) const LINGER_BYTES: usize = 4 << 20;

/// The end of a connection: last bytes out, then reading until the client closes.
pub(super) struct Closing {
    pub(super) until: Instant,
    pub(super) shut: bool,
    pub(super) discarded: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Writes the last bytes, then reads until the client closes or its time is up.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(closing) = &mut self.closing else { return Poll::Ready(()) };
            if closing.until <= Instant::now() {
                return Poll::Ready(());
            }
            let mut written = 0;
            let wrote = self.writer.poll_write(cx, &mut self.stream, &mut written);
            add(&self.core.counters.bytes_out, written);
            match wrote {
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) if !self.control.is_empty() => {
                    std::mem::swap(&mut self.control, &mut self.writer.control);
                    continue;
                }
                Poll::Ready(Ok(())) if !closing.shut => {
                    closing.shut = Pin::new(&mut self.stream).poll_shutdown(cx).is_ready();
                }
                _ => {}
            }
            match self.poll_discard(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(()),
                Poll::Pending => return self.poll_timer(cx).map(|_| ()),
            }
        }
    }

    /// Reads and forgets. False: the client has closed, or has sent too much.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let read = std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            let count = buffer.filled().len();
            let Some(closing) = &mut self.closing else { return Poll::Ready(false) };
            closing.discarded += count;
            Poll::Ready(read.is_ok() && count > 0 && closing.discarded < LINGER_BYTES)
        })
    }
}
