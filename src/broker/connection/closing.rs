//! The end of a connection: its last bytes, and reading on until the client has closed.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{Connection, End, SCRATCH};
use crate::broker::codec::{ReasonCode, encode_disconnect};
use crate::broker::stats::add;
use crate::broker::sync::lock;

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
    /// Lets go of the session and prepares the last bytes.
    pub(super) fn leave(&mut self, end: &End) {
        let evicted = matches!(end, End::TakenOver) && lock(&self.session.state).evicted == self.epoch;
        let end = if evicted { &End::Evicted } else { end };
        let (will, expiry) = match end {
            End::Goodbye { will, expiry } => (*will, *expiry),
            _ => (true, None),
        };
        self.held.settle(&mut self.control);
        self.core.detach(&self.session, self.epoch, will, expiry);
        self.log(end);
        let code = match end {
            End::Lost(_) | End::Goodbye { .. } => None,
            End::Refused(error) => Some((error.code, Some(error.what))),
            End::TakenOver if self.session.revoked() => Some((self.why_revoked(), None)),
            End::TakenOver => Some((ReasonCode::TAKEN_OVER, None)),
            End::Evicted => Some((ReasonCode::ADMINISTRATIVE_ACTION, None)),
            End::Silent => Some((ReasonCode::KEEP_ALIVE_TIMEOUT, None)),
            End::Stopping => Some((ReasonCode::SHUTTING_DOWN, None)),
        };
        if let Some((code, reason)) = code {
            let reason = reason.filter(|reason| self.explain(reason.len()));
            add(&self.core.counters.packets_out, u64::from(self.version.is_v5()));
            encode_disconnect(&mut self.control, self.version, code, reason);
        }
        // A client that sends everything up to its DISCONNECT, or to its last byte, at once has its answers coming.
        let answered = matches!(end, End::Goodbye { .. } | End::Lost(None)) && !self.control.is_empty();
        let linger = if code.is_some() || answered { LINGER } else { Duration::ZERO };
        self.pause = None;
        self.throttled = None;
        (self.partial, self.deferred) = (Vec::new(), false);
        self.closing = Some(Closing { until: Instant::now() + linger, shut: linger.is_zero(), discarded: 0 });
    }

    /// What to say when the login holds no more.
    fn why_revoked(&self) -> ReasonCode {
        let state = lock(&self.session.state);
        match &state.login {
            Some(login) if self.core.auth.has_expired(login) => ReasonCode::MAXIMUM_CONNECT_TIME,
            _ => ReasonCode::NOT_AUTHORIZED,
        }
    }

    fn log(&self, end: &End) {
        let (client, counters) = (&*self.session.id, &self.core.counters);
        match end {
            End::Lost(Some(error)) => tracing::debug!(client, %error, "client lost"),
            End::Lost(None) => tracing::debug!(client, "client closed the connection without a DISCONNECT"),
            End::Goodbye { .. } => tracing::debug!(client, "client disconnected"),
            End::Refused(error) => {
                add(&counters.protocol_errors, 1);
                add(&counters.packets_too_large, u64::from(error.code == ReasonCode::PACKET_TOO_LARGE));
                tracing::warn!(client, code = %error.code, what = error.what, "client disconnected for a protocol error");
            }
            End::TakenOver => tracing::debug!(client, "session taken over by another connection"),
            End::Evicted => tracing::debug!(client, "client sent away by the operator"),
            End::Silent => {
                add(&counters.keep_alive_timeouts, 1);
                tracing::debug!(client, "client silent for too long");
            }
            End::Stopping => tracing::debug!(client, "client disconnected because the broker stops"),
        }
    }

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
