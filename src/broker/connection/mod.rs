//! One client's connection, from its CONNECT to its end.
//!
//! A hand-written poll loop: write what is ready, read what is there, handle every complete packet.
//! Reading goes through a buffer of the thread; a connection keeps nothing but a packet that has not
//! arrived whole, so an idle one holds no buffer. Works over any byte stream. Invariant: packets are
//! handled in the order they came, and what they answer leaves in that order.

mod closing;
mod enhanced;
mod handshake;
mod held;
mod packets;
mod rate;
mod refused;
mod slice;
mod timing;
mod writer;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::access::{Bounds, WriteCheck};
use super::codec::{CodecError, Frame, Version};
use super::core::Core;
use super::registry::Attached;
use super::route::Round;
use super::session::{Gone, Misplaced, Session, Taken};
use super::stats::add;
use super::trie::FastMap;
use closing::{Closing, LINGER};
use enhanced::Enhanced;
pub(super) use handshake::serve;
use held::Held;
use packets::Received;
use rate::Bucket;
use writer::Writer;

/// How much is read at once, in bytes.
const READ_SIZE: usize = 64 << 10;

/// Writes before a read is tried again, so that a flood of messages to a client cannot hide what it sends.
const WRITES_PER_READ: usize = 4;

/// Rounds of writes in which a client is given what is queued for it when the broker stops.
const LAST_TURNS: usize = 64;

/// Reads before the thread is given to others: about half a megabyte, thousands of small packets.
const READS_PER_TURN: usize = 8;

/// How long a client that publishes is not read when the log cannot keep up.
const LOG_PAUSE: Duration = Duration::from_millis(10);

/// Unsent answers above which nothing more is read from a client that does not take them, in bytes.
const MAX_CONTROL: usize = 64 << 10;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed it, or the network did.
    Lost(Option<io::Error>),
    /// The client said goodbye.
    Goodbye { will: bool, expiry: Option<u32> },
    /// The client broke the protocol.
    Refused(CodecError),
    /// Another connection took the session over.
    TakenOver,
    /// The operator ended the connection.
    Evicted,
    /// The client was silent for too long.
    Silent,
    /// The server stops.
    Stopping,
}

impl From<CodecError> for End {
    fn from(error: CodecError) -> Self {
        Self::Refused(error)
    }
}

impl From<Gone> for End {
    fn from(Gone: Gone) -> Self {
        Self::TakenOver
    }
}

impl From<Misplaced> for End {
    fn from(Misplaced: Misplaced) -> Self {
        Self::Refused(CodecError::protocol("acknowledgement does not fit the message in flight"))
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Lost(Some(error))
    }
}

/// A connection after its CONNECT.
struct Connection<S> {
    stream: S,
    core: Arc<Core>,
    session: Arc<Session>,
    epoch: u64,
    version: Version,
    bounds: Bounds,
    /// Largest packet that the client takes.
    takes: usize,
    /// The client wants to know in words why something failed.
    explains: bool,
    /// A filter of this client was refused, and the log says so.
    refused_a_filter: bool,
    /// Where the client may publish.
    writes: WriteCheck,
    /// If the client named a method of authentication.
    enhanced: Option<Box<Enhanced>>,
    /// How fast the client may publish, if there is a limit.
    rate: Option<Bucket>,
    /// Nothing is read until then, because the client published too fast.
    throttled: Option<Instant>,
    /// The session's expiry as the CONNECT asked for it was zero.
    ends_with_connection: bool,
    /// The beginning of a packet whose rest has not come; or, if `deferred`, what is still to be handled.
    partial: Vec<u8>,
    deferred: bool,
    /// Answers not yet handed to the writer.
    control: Vec<u8>,
    /// What of them waits for the log, if there is one.
    held: Held,
    writer: Writer,
    aliases: FastMap<u16, Arc<str>>,
    /// When the client was last heard.
    heard: Instant,
    /// How long it may be silent.
    silence: Option<Duration>,
    timer: Pin<Box<Sleep>>,
    /// Subscribers that this publisher gives time, and until when.
    pause: Option<(Vec<Arc<Session>>, Instant)>,
    closing: Option<Closing>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(
        core: Arc<Core>,
        stream: S,
        attached: Attached,
        version: Version,
        silence: Option<Duration>,
        bounds: Bounds,
    ) -> Self {
        let now = Instant::now();
        let held = Held::new(core.store.as_ref(), attached.logged, bounds.durability);
        Self {
            bounds,
            takes: usize::MAX,
            explains: false,
            refused_a_filter: false,
            writes: WriteCheck::default(),
            enhanced: None,
            rate: Bucket::new(core.config.max_publish_rate, now),
            throttled: None,
            stream,
            core,
            session: attached.session,
            epoch: attached.epoch,
            version,
            ends_with_connection: false,
            partial: Vec::new(),
            deferred: false,
            control: Vec::new(),
            held,
            writer: Writer::default(),
            aliases: FastMap::default(),
            heard: now,
            silence,
            timer: Box::pin(tokio::time::sleep_until(now + silence.unwrap_or(LINGER))),
            pause: None,
            closing: None,
        }
    }

    /// Serves the client until the connection ends. No async function: that would keep room for every value twice.
    fn run(mut self: Box<Self>, stop: CancellationToken) -> impl Future<Output = ()> {
        let mut stop = Box::pin(stop.cancelled_owned());
        let mut begun = false;
        poll_fn(move |cx| {
            if !std::mem::replace(&mut begun, true) {
                self.begin(cx);
            }
            self.poll(cx, stop.as_mut())
        })
    }

    /// Handles what came behind the CONNECT.
    fn begin(&mut self, cx: &Context<'_>) {
        let early = std::mem::take(&mut self.partial);
        let watching = self.session.watch(self.epoch, cx.waker());
        if let Err(end) = watching.map_err(End::from).and_then(|()| self.process(&early)) {
            self.leave(&end);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, stop: Pin<&mut WaitForCancellationFutureOwned>) -> Poll<()> {
        if self.closing.is_none() && stop.poll(cx).is_ready() {
            let end = self.finish(cx).unwrap_or(End::Stopping);
            self.leave(&end);
        }
        for _ in 0..READS_PER_TURN {
            if self.closing.is_some() {
                return self.poll_close(cx);
            }
            let result = match self.poll_work(cx) {
                Poll::Ready(result) => result,
                Poll::Pending => std::task::ready!(self.poll_timer(cx)),
            };
            if let Err(end) = result {
                self.leave(&end);
            }
            if self.deferred {
                break;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Before the stop: handles what the client had sent until then and writes what was routed to it, as far as its socket
    /// has the one and takes the other at once. An acknowledgement that came in time spares a repetition.
    fn finish(&mut self, cx: &mut Context<'_>) -> Option<End> {
        for _ in 0..LAST_TURNS {
            match self.poll_work(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => return Some(end),
                Poll::Pending => break,
            }
        }
        None
    }

    /// Writes what can be written, then reads once. Ready: there may be more to do.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let mut written = 0;
        let more = self.flush(cx, &mut written);
        add(&self.core.counters.bytes_out, written);
        let more = more?;
        let may_read = self.control.len() + self.held.len() <= MAX_CONTROL
            && !self.paused(cx)
            && self.throttled.is_none();
        let read = match (may_read, self.deferred) {
            (false, _) => Poll::Pending,
            (true, true) => Poll::Ready(self.resume()),
            (true, false) => self.poll_read(cx),
        };
        match read {
            Poll::Pending if more => Poll::Ready(Ok(())),
            Poll::Pending if self.session.awaited() => Poll::Ready(Err(End::TakenOver)),
            read => read,
        }
    }

    /// Writes what has gathered, a few times. True: there is more, and the socket still takes it.
    fn flush(&mut self, cx: &mut Context<'_>, written: &mut u64) -> Result<bool, End> {
        for _ in 0..WRITES_PER_READ {
            match self.writer.poll_write(cx, &mut self.stream, written) {
                Poll::Ready(wrote) => wrote?,
                Poll::Pending => {
                    // A client that takes nothing would otherwise never learn that its session was taken over.
                    self.session.own(self.epoch, |_| ())?;
                    return Ok(false);
                }
            }
            if !self.refill(cx)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives the writer, which is empty, what has gathered. False: nothing has, and every buffer is let go.
    fn refill(&mut self, cx: &mut Context<'_>) -> Result<bool, Gone> {
        self.held.release(cx, &mut self.control, &mut self.writer.control);
        if self.held.is_opening() {
            // Nothing goes before the CONNACK.
            self.session.own(self.epoch, |_| ())?;
            return Ok(false);
        }
        let mut round = Round::new(&self.core, Instant::now());
        let taken = self.session.take(self.epoch, cx.waker(), &mut self.writer.messages, &mut round)?;
        if taken == Taken::Nothing {
            self.core.pool.give(std::mem::take(&mut self.writer.messages));
            if self.writer.control.is_empty() {
                self.core.pool.give(std::mem::take(&mut self.writer.control));
                if self.control.is_empty() {
                    self.core.pool.give(std::mem::take(&mut self.control));
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether this publisher still waits for subscribers.
    fn paused(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((sessions, _)) = &mut self.pause else { return false };
        let (limits, now) = (&self.core.limits, Instant::now());
        sessions.retain(|session| session.poll_relief(cx, limits, now).is_pending());
        if sessions.is_empty() {
            self.pause = None;
            // What the client sent meanwhile was not read; that is no silence of its own.
            self.heard = now;
        }
        self.pause.is_some()
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(End::Lost(None)));
            }
            Poll::Ready(self.process(buffer.filled()))
        })
    }

    /// Handles everything that was read, in one round of routing.
    fn process(&mut self, input: &[u8]) -> Result<(), End> {
        let core = Arc::clone(&self.core);
        let now = Instant::now();
        self.heard = now;
        let mut round = Round::new(&core, now);
        round.level = self.bounds.durability;
        let mut received = Received::default();
        let result = self.consume(input, &mut round, &mut received);
        let (logged, tapped) = (round.logged, std::mem::take(&mut round.tapped));
        let (_, slow) = round.finish();
        if core.store.is_some() {
            self.held.gate(logged.max(self.session.own(self.epoch, |state| state.logged_to()).unwrap_or(0)));
        }
        self.held.gate_taps(tapped);
        add(&core.counters.bytes_in, input.len() as u64);
        received.count(&core.counters);
        add(&self.session.published, received.messages);
        let own = self.rate.as_mut().and_then(|rate| rate.take(received.messages, now));
        let crowded = received.messages > 0 && core.store.as_ref().is_some_and(|store| store.is_crowded());
        if let Some(until) = own.max(crowded.then(|| now + LOG_PAUSE)) {
            add(&core.counters.throttled, 1);
            self.throttled = Some(until);
        }
        if !slow.is_empty() {
            add(&core.counters.pauses, 1);
            self.pause = Some((slow, now + core.limits.grace));
        }
        result
    }

    /// Splits the input into packets; keeps what is not whole.
    fn consume(&mut self, mut input: &[u8], round: &mut Round<'_>, tally: &mut Received) -> Result<(), End> {
        let max = self.bounds.max_packet(&self.core.config);
        while !self.partial.is_empty() {
            let Some(frame) = Frame::parse(&self.partial, max)? else {
                let Some((&byte, rest)) = input.split_first() else { return Ok(()) };
                self.partial.push(byte);
                input = rest;
                continue;
            };
            let missing = frame.len() - self.partial.len();
            let (head, rest) = input.split_at(missing.min(input.len()));
            self.partial.extend_from_slice(head);
            input = rest;
            if self.partial.len() < frame.len() {
                return Ok(());
            }
            let packet = std::mem::take(&mut self.partial);
            self.handle(frame, &packet[frame.header..], round, tally)?;
            if tally.is_long(round.now) {
                self.defer(input);
                return Ok(());
            }
        }
        while let Some(frame) = Frame::parse(input, max)? {
            let Some((packet, rest)) = input.split_at_checked(frame.len()) else { break };
            self.handle(frame, &packet[frame.header..], round, tally)?;
            input = rest;
            if tally.is_long(round.now) {
                self.defer(input);
                return Ok(());
            }
        }
        self.partial.extend_from_slice(input);
        Ok(())
    }
}

impl<S> Drop for Connection<S> {
    /// A connection that is dropped in its middle (its task was cancelled or panicked) must not keep the
    /// session. After a proper end this finds nothing to do.
    fn drop(&mut self) {
        self.core.detach(&self.session, self.epoch, true, None);
    }
}
