//! The line or connection itself: send, receive, keep silent, recover.
//!
//! Invariants: one request is outstanding; after an answer that did not come or did not fit, a serial line
//! is kept silent until that answer could have ended and everything that came is thrown away, and a TCP
//! connection is never used again. So an answer that comes too late meets nobody.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::time::timeout_at;
use tokio_modbus::Slave;
use tokio_modbus::client::{Client, Context, rtu, tcp};
use tokio_modbus::slave::SlaveContext;

use super::ask::{Answer, Ask, Expect, MAX_PDU};
use super::frame::{Framing, MAX_FRAME, Progress};
use super::timing::Timing;
use super::valve::{Valve, valve};
use crate::transport::{BoxStream, Pace};

/// A line that will not fall silent is given up after this many times the silence it was asked for.
const BABBLE_LIMIT: u32 = 4;

/// Why an exchange brought no answer, by what is to be done next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// Nothing came: the unit may be dead.
    #[error("no answer in time")]
    Timeout,
    /// What came did not fit the request and was thrown away.
    #[error("the answer does not fit the request: {0}")]
    Malformed(String),
    /// The unit refuses with this exception code (Application Protocol 1.1b3, section 7); the line is fine.
    #[error("exception {code} ({text})", code = .0, text = exception_text(*.0))]
    Exception(u8),
    /// The line or connection is gone: open another.
    #[error("{0}")]
    Down(String),
    /// The moment after which nothing might be sent has passed; nothing was sent.
    #[error("expired before the first byte")]
    Expired,
}

/// The terms of one exchange.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// From the end of the request to the first byte of the answer.
    pub timeout: Duration,
    /// After this moment nothing is sent.
    pub not_after: Option<Instant>,
    /// Nobody answers: unit 0 on a serial line.
    pub broadcast: bool,
    /// After a timeout, keep silent for this request's own answer only and not for the longest there is:
    /// for probes of units that are most likely dead.
    pub short_recovery: bool,
}

/// An opened line with tokio-modbus on top of it.
pub struct Link {
    context: Context,
    valve: Valve,
    line: Line,
}

struct Line {
    stream: BoxStream,
    pace: Pace,
    framing: Framing,
    timing: Timing,
    /// A serial line recovers by silence, a connection only by a new one.
    keeps: bool,
    /// No further exchange is allowed.
    spent: bool,
    ready_at: Instant,
    busy: Duration,
    came: Vec<u8>,
    /// Somebody was woken: whatever came of that is no answer.
    woken: bool,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Link {
    /// A link over an opened stream. `keeps` says that it is a serial line, which outlives lost answers.
    #[must_use]
    pub fn new(stream: BoxStream, pace: Pace, framing: Framing, timing: Timing, keeps: bool) -> Self {
        let (valve, inner) = valve();
        let context = match framing {
            Framing::Tcp => tcp::attach_slave(inner, Slave(0)),
            Framing::Rtu | Framing::Ascii => rtu::attach_slave(inner, Slave(0)),
        };
        let came = Vec::with_capacity(MAX_FRAME);
        let (ready_at, busy) = (now(), Duration::ZERO);
        let line =
            Line { stream, pace, framing, timing, keeps, spent: false, ready_at, busy, came, woken: false };
        Self { context, valve, line }
    }

    /// Whether this link can no longer be used and another must be opened.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        self.line.spent
    }

    /// Takes the time in which the line was in use or had to be silent since the last call.
    pub fn take_busy(&mut self) -> Duration {
        std::mem::take(&mut self.line.busy)
    }

    /// Sees to it that the line is still there, before anything is sent.
    ///
    /// # Errors
    /// [`ExchangeError::Down`] when it is not; then nothing has been sent.
    pub async fn check(&mut self) -> Result<(), ExchangeError> {
        if self.line.spent {
            return Err(ExchangeError::Down("the connection was given up".into()));
        }
        self.line.discard_stray().await
    }

    /// Sends bytes that wake somebody and leaves the line alone for a while; what comes of them is thrown away.
    ///
    /// # Errors
    /// [`ExchangeError::Down`] when the line is gone.
    pub async fn wake(&mut self, bytes: &[u8], pause: Duration) -> Result<(), ExchangeError> {
        if self.line.spent {
            return Err(ExchangeError::Down("the connection was given up".into()));
        }
        let line = &mut self.line;
        line.pace.until(line.ready_at).await;
        line.discard_stray().await?;
        let begun = now();
        let sending = line.timing.characters(bytes.len());
        line.send(bytes, begun + sending + WAKING).await?;
        line.ready_at = begun + sending + pause.max(line.timing.gap());
        line.busy += line.ready_at - begun;
        line.woken = true;
        Ok(())
    }

    /// Leaves the line alone for this long from now on, at least.
    pub fn rest(&mut self, pause: Duration) {
        let until = now() + pause;
        if until > self.line.ready_at && !pause.is_zero() {
            self.line.busy += until - self.line.ready_at;
            self.line.ready_at = until;
        }
    }

    /// One request to one unit and its answer.
    ///
    /// # Errors
    /// See [`ExchangeError`]. Whatever it is, no part of a late answer can reach a later exchange.
    pub async fn exchange(&mut self, unit: u8, ask: &Ask, terms: Terms) -> Result<Answer, ExchangeError> {
        if self.line.spent {
            return Err(ExchangeError::Down("the connection was given up".into()));
        }
        self.valve.clear();
        self.context.set_slave(Slave(unit));
        let mut call = self.context.call(ask.request());
        // The first poll encodes the request into the valve and then waits for an answer that is not there yet.
        if let Some(early) = poll_once(call.as_mut()).await {
            return Err(ExchangeError::Malformed(format!("the request cannot be encoded: {early:?}")));
        }
        let request = self.valve.take_written();
        let Some(frame) = self.line.transact(unit, ask, &request, terms).await? else {
            return Ok(Answer::Done);
        };
        if matches!(ask, Ask::Echo { .. }) && frame.get(1) == Some(&ask.function()) {
            // Every byte has been compared already, and tokio-modbus does not know this function.
            return Ok(Answer::Done);
        }
        if matches!(ask, Ask::WriteCoilWord { .. }) {
            // As above; an exception has the code behind its function.
            let pdu = frame.get(self.line.framing.head()..).unwrap_or_default();
            return match pdu {
                [function, code, ..] if *function == ask.function() | 0x80 => {
                    Err(ExchangeError::Exception(*code))
                }
                _ => Ok(Answer::Done),
            };
        }
        if matches!(ask, Ask::Identify { .. } | Ask::Call { .. }) {
            // The checksum, where there is one, has been looked at.
            let end = frame.len() - self.line.framing.tail();
            let pdu = frame.get(self.line.framing.head()..end).unwrap_or_default();
            return ask.bytes(pdu).map_err(ExchangeError::Exception);
        }
        self.valve.put(frame);
        let unfit = |what: String| ExchangeError::Malformed(what);
        let response = match poll_once(call.as_mut()).await {
            Some(Ok(Ok(response))) => response,
            Some(Ok(Err(exception))) => return Err(ExchangeError::Exception(exception.into())),
            Some(Err(error)) => return Err(self.line.unfit(error.to_string())),
            None => return Err(self.line.unfit("the answer is incomplete".into())),
        };
        ask.answer(response).ok_or_else(|| unfit("the answer holds something else than was asked for".into()))
    }
}

impl Line {
    /// Request out, judged answer in. `None` after a broadcast.
    async fn transact(
        &mut self,
        unit: u8,
        ask: &Ask,
        request: &[u8],
        terms: Terms,
    ) -> Result<Option<Vec<u8>>, ExchangeError> {
        self.pace.until(self.ready_at).await;
        self.discard_stray().await?;
        self.woken = false;
        let begun = now();
        if terms.not_after.is_some_and(|moment| begun >= moment) {
            return Err(ExchangeError::Expired);
        }
        let bytes = self.framing.outgoing(request);
        let sending = self.timing.characters(bytes.len());
        let result = match self.send(&bytes, begun + sending + terms.timeout).await {
            Ok(()) if terms.broadcast => {
                self.ready_at = begun + sending + self.timing.turnaround.max(self.timing.gap());
                self.busy += self.ready_at - begun;
                return Ok(None);
            }
            Ok(()) => {
                let answer = self.timing.answer(self.framing, ask.answer_pdu_len());
                let deadline = begun + sending + terms.timeout + answer;
                self.receive(&ask.expect(unit), request, deadline).await
            }
            Err(down) => Err(down),
        };
        if matches!(result, Err(ExchangeError::Timeout | ExchangeError::Malformed(_))) {
            let pdu_len = if terms.short_recovery { ask.answer_pdu_len() } else { MAX_PDU };
            self.recover(self.timing.answer(self.framing, pdu_len)).await;
        }
        let end = now();
        self.ready_at = end + self.timing.gap();
        self.busy += self.ready_at - begun;
        result.map(Some)
    }

    async fn send(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), ExchangeError> {
        let stream = &mut self.stream;
        let write = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        match timeout_at(deadline.into(), write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.down(error.to_string())),
            Err(_) => Err(self.down("it takes no more bytes".into())),
        }
    }

    async fn receive(
        &mut self,
        expect: &Expect,
        request: &[u8],
        deadline: Instant,
    ) -> Result<Vec<u8>, ExchangeError> {
        self.came.clear();
        let mut chunk = [0; MAX_FRAME];
        loop {
            let count = match timeout_at(deadline.into(), self.stream.read(&mut chunk)).await {
                Ok(Ok(0)) => return Err(self.down("closed by the other side".into())),
                Ok(Ok(count)) => count,
                Ok(Err(error)) => return Err(self.down(error.to_string())),
                Err(_) if self.came.is_empty() => return Err(ExchangeError::Timeout),
                Err(_) => {
                    let short = format!("only {} bytes came", self.came.len());
                    return Err(ExchangeError::Malformed(short));
                }
            };
            self.came.extend_from_slice(&chunk[..count]);
            match self.framing.parse(expect, request, &self.came) {
                Progress::Complete(frame) => return Ok(frame),
                Progress::Malformed(reason) => return Err(ExchangeError::Malformed(reason)),
                Progress::More => {}
            }
        }
    }

    /// Makes sure that nothing of a lost answer can be taken for a later one.
    async fn recover(&mut self, longest: Duration) {
        if !self.keeps {
            self.spent = true;
            return;
        }
        let silence = longest + self.timing.silence;
        let limit = now() + silence * BABBLE_LIMIT;
        let mut until = now() + silence;
        let mut chunk = [0; MAX_FRAME];
        while let Ok(read) = timeout_at(until.min(limit).into(), self.stream.read(&mut chunk)).await {
            match read {
                Ok(0) | Err(_) => {
                    self.spent = true;
                    return;
                }
                // Whatever is still being sent must end first.
                Ok(_) => until = until.max(now() + self.timing.silence.max(MIN_QUIET)),
            }
        }
    }

    /// Throws away what came while nothing was asked. On a connection that is proof of an answer that
    /// nobody waits for any more, and the end of it.
    async fn discard_stray(&mut self) -> Result<(), ExchangeError> {
        for _ in 0..BABBLE_LIMIT {
            let mut chunk = [0; MAX_FRAME];
            let mut buf = ReadBuf::new(&mut chunk);
            let stream = &mut self.stream;
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_read(cx, &mut buf))).await;
            let count = buf.filled().len();
            match polled {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) if count == 0 => return Err(self.down("closed by the other side".into())),
                Poll::Ready(Ok(())) if self.keeps || self.woken => {}
                Poll::Ready(Ok(())) => return Err(self.down("bytes came that nobody asked for".into())),
                Poll::Ready(Err(error)) => return Err(self.down(error.to_string())),
            }
        }
        Ok(())
    }

    fn down(&mut self, reason: String) -> ExchangeError {
        self.spent = true;
        ExchangeError::Down(reason)
    }

    fn unfit(&mut self, reason: String) -> ExchangeError {
        self.spent |= !self.keeps;
        ExchangeError::Malformed(reason)
    }
}

/// How long a line may take to let bytes out that wake somebody, beyond their characters.
const WAKING: Duration = Duration::from_secs(1);

/// While bytes keep coming this close together, something is still being sent.
const MIN_QUIET: Duration = Duration::from_millis(5);

async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// What the standard calls an exception code.
#[must_use]
pub const fn exception_text(code: u8) -> &'static str {
    match code {
        1 => "illegal function",
        2 => "illegal data address",
        3 => "illegal data value",
        4 => "server device failure",
        5 => "acknowledge",
        6 => "server device busy",
        8 => "memory parity error",
        10 => "gateway path unavailable",
        11 => "gateway target device failed to respond",
        _ => "not in the standard",
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
