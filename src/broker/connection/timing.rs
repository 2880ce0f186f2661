//! When something is due on a connection: its client's silence, the end of a pause, of a login, of the connection.
//!
//! One timer serves all of them. Invariant: packets do not touch it; it finds out by itself that a deadline has moved.

use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::{Connection, End};
use crate::broker::codec::{CodecError, ReasonCode};

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// The next moment at which something is due, if any.
    fn next_deadline(&self) -> Option<Instant> {
        let silence = self.silence.map(|silence| self.heard + silence);
        let pause = self.pause.as_ref().map(|(_, until)| *until);
        let closing = self.closing.as_ref().map(|closing| closing.until);
        // What is not read on purpose is no silence.
        let silence = silence.filter(|_| closing.is_none() && self.throttled.is_none());
        let login = self.authentication_due().filter(|_| closing.is_none());
        [silence, pause, self.throttled, login, closing].into_iter().flatten().min()
    }

    /// Ready when a deadline has passed.
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let Some(deadline) = self.next_deadline() else { return Poll::Pending };
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
        // The timer may still stand at an earlier deadline that was moved: packets do not touch it.
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now < deadline {
                self.timer.as_mut().reset(deadline);
                continue;
            }
            if self.throttled.is_some_and(|until| until <= now) {
                self.throttled = None;
                self.heard = now;
                return Poll::Ready(Ok(()));
            }
            if self.pause.as_ref().is_some_and(|(_, until)| *until <= now) {
                self.pause = None;
                self.heard = now;
                return Poll::Ready(Ok(()));
            }
            if self.authentication_due().is_some_and(|due| due <= now) {
                let what = "the re-authentication was not finished in time";
                let late = CodecError { code: ReasonCode::NOT_AUTHORIZED, what };
                return Poll::Ready(Err(End::Refused(late)));
            }
            return Poll::Ready(Err(End::Silent));
        }
        Poll::Pending
    }
}
