//! Sharing the thread: packets that cost much to handle are not all handled in one go.
//!
//! One read can bring thousands of packets, and each may look through all retained messages, or through many
//! rules. What is left of a read after its time waits in the connection until others had their turn.
//! Invariant: nothing more is read before it was handled, so it is never more than one read.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::packets::Received;
use super::{Connection, End};

/// How long one connection may handle packets before the thread is given to others: a hundred times what a read full of
/// ordinary messages takes.
const SLICE: Duration = Duration::from_millis(10);

/// Packets between two looks at the clock.
const LOOK: u64 = 16;

impl Received {
    /// Whether the time is up of what began to be handled `since` then.
    pub(super) fn is_long(&mut self, since: Instant) -> bool {
        (std::mem::take(&mut self.costly) || self.packets.is_multiple_of(LOOK)) && since.elapsed() > SLICE
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Keeps what is left of a read for the next turn.
    pub(super) fn defer(&mut self, rest: &[u8]) {
        self.partial.extend_from_slice(rest);
        self.deferred = !rest.is_empty();
    }

    /// Goes on with what was kept.
    pub(super) fn resume(&mut self) -> Result<(), End> {
        self.deferred = false;
        let rest = std::mem::take(&mut self.partial);
        self.process(&rest)
    }
}
