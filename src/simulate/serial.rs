//! Serves a serial channel on a pty: one thread, which can wait to the microsecond where a task's timer
//! counts in milliseconds. At 115200 baud a character takes 87 µs.
//!
//! Invariant: the thread ends when the switch says so, and its port with it.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tracing::{info, warn};

use super::frame::{Decoder, Found, Frame};
use super::line::{Line, LineLoad, LineTiming};
use super::plug::{Plug, Switch};
use super::pty::Pty;
use super::service::Service;

/// How soon a client is noticed on a port that was closed: a pty does not tell.
const CLIENT_CHECK: Duration = Duration::from_millis(10);

/// How often a closed port is checked for a lock that a dead client left on it.
const LOCK_CHECK: Duration = Duration::from_millis(250);

/// How long to wait before a port that could not be made is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// A pause that ends an RTU frame of unknown length. Longer than 3.5 characters, because a client's bytes may
/// be held up on their way through the system.
const MIN_SILENCE: Duration = Duration::from_millis(20);

/// One serial channel at work.
pub(super) struct SerialPort {
    /// Who answers.
    pub(super) service: Service,
    /// How long things take.
    pub(super) timing: LineTiming,
    /// Where clients find the port.
    pub(super) link: PathBuf,
    /// The switch of the channel.
    pub(super) switch: Arc<Switch>,
    /// What the line did, for others to see.
    pub(super) load: Arc<Mutex<LineLoad>>,
}

/// What a plugged-in port has going on.
struct Session {
    pty: Pty,
    decoder: Decoder,
    line: Line,
    /// When the frame under way began, and when its latest byte came.
    first: Instant,
    latest: Instant,
    /// Whether a client has the port open.
    client: bool,
    /// When it was last asked whether a dead client left the port locked.
    lock_checked: Instant,
}

impl SerialPort {
    /// Serves until the switch says stop. `pty` is the port to begin with.
    pub(super) fn run(self, pty: Pty) {
        let mut session = Some(self.begin(pty, LineLoad::default()));
        loop {
            match self.switch.get() {
                Plug::Stop => return,
                Plug::Out(until) => {
                    if session.take().is_some() {
                        info!(channel = %self.service.channel, "unplugged");
                    }
                    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                    self.wait(None, left);
                }
                Plug::In => match &mut session {
                    Some(port) => {
                        if let Err(error) = self.step(port) {
                            warn!(channel = %self.service.channel, %error, "the port failed; plugging it in again");
                            session = None;
                            self.wait(None, Some(RETRY));
                        }
                    }
                    None => session = self.plug_in(),
                },
            }
        }
    }

    fn begin(&self, pty: Pty, load: LineLoad) -> Session {
        let now = Instant::now();
        let mut line = Line::new(self.timing, now);
        line.resume(load);
        let decoder = Decoder::new(self.service.framing);
        Session { pty, decoder, line, first: now, latest: now, client: false, lock_checked: now }
    }

    fn plug_in(&self) -> Option<Session> {
        match Pty::plug_in(&self.link) {
            Ok(pty) => {
                info!(channel = %self.service.channel, port = %self.link.display(), "plugged in");
                let load = *self.load.lock().unwrap_or_else(PoisonError::into_inner);
                Some(self.begin(pty, load))
            }
            Err(error) => {
                warn!(channel = %self.service.channel, %error, "no port");
                self.wait(None, Some(RETRY));
                None
            }
        }
    }

    /// Waits for the port or the switch. Returns what the port has to say.
    fn wait(&self, port: Option<&Pty>, limit: Option<Duration>) -> PollFlags {
        let timeout = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let wake = self.switch.wake();
        let other = match port {
            Some(pty) => PollFd::from_borrowed_fd(pty.master(), PollFlags::IN),
            None => PollFd::from_borrowed_fd(wake, PollFlags::empty()),
        };
        let mut both = [PollFd::from_borrowed_fd(wake, PollFlags::IN), other];
        // An interrupted wait is a short one: the loop looks again.
        let _ = poll(&mut both, timeout.as_ref());
        if !both[0].revents().is_empty() {
            self.switch.seen();
        }
        if port.is_some() { both[1].revents() } else { PollFlags::empty() }
    }

    fn step(&self, session: &mut Session) -> io::Result<()> {
        let now = Instant::now();
        let silence = self.timing.silence.max(MIN_SILENCE);
        let frame_end = (!session.decoder.is_empty()).then(|| session.latest + silence);
        let next = [session.line.next_release(), frame_end].into_iter().flatten().min();
        let limit = next.map(|at| at.saturating_duration_since(now));
        let events = if session.client {
            self.wait(Some(&session.pty), limit)
        } else {
            self.wait(None, Some(limit.map_or(CLIENT_CHECK, |limit| limit.min(CLIENT_CHECK))));
            look(&session.pty)
        };
        if events.contains(PollFlags::IN) {
            session.client = true;
            self.take(session)?;
        } else if events.intersects(PollFlags::HUP | PollFlags::ERR) {
            self.client_left(session)?;
        } else {
            session.client = true;
        }
        let now = Instant::now();
        if !session.decoder.is_empty() && now >= session.latest + silence {
            let found = session.decoder.silence();
            self.handle(session, found);
        }
        let bytes = session.line.release(now);
        if !bytes.is_empty() {
            send(session, &bytes)?;
        }
        *self.load.lock().unwrap_or_else(PoisonError::into_inner) = session.line.load();
        Ok(())
    }

    /// Nobody has the port open: what is on its way is lost, as on a port that is closed.
    fn client_left(&self, session: &mut Session) -> io::Result<()> {
        if session.client {
            session.client = false;
            session.decoder.clear();
            session.line.cut();
            session.pty.flush();
        }
        // A client may come, lock and die between two looks, so this is asked again and again.
        if session.lock_checked.elapsed() < LOCK_CHECK {
            return Ok(());
        }
        session.lock_checked = Instant::now();
        if session.pty.is_locked() && look(&session.pty).contains(PollFlags::HUP) {
            return Err(io::Error::other("a client died and left the port locked"));
        }
        Ok(())
    }

    fn take(&self, session: &mut Session) -> io::Result<()> {
        let mut bytes = [0; 1024];
        let count = match rustix::io::read(session.pty.master(), &mut bytes) {
            Ok(count) => count,
            // EIO: the last client has just left; the next look tells.
            Err(Errno::AGAIN | Errno::INTR | Errno::IO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        session.latest = Instant::now();
        if session.decoder.is_empty() {
            session.first = session.latest;
        }
        session.decoder.push(&bytes[..count]);
        loop {
            match session.decoder.next_frame() {
                Found::More | Found::Lost => return Ok(()),
                found => self.handle(session, found),
            }
        }
    }

    fn handle(&self, session: &mut Session, found: Found) {
        match found {
            Found::Frame(frame) => self.answer(session, &frame),
            Found::Noise(bytes) => session.line.noise(bytes),
            Found::More | Found::Lost => {}
        }
    }

    fn answer(&self, session: &mut Session, frame: &Frame) {
        let end = session.line.request(frame.length, session.first);
        if let Some(reply) = self.service.answer(frame, Instant::now()) {
            session.line.answer(reply.bytes, end, reply.delay);
        }
    }
}

/// What the port says without waiting.
fn look(pty: &Pty) -> PollFlags {
    let mut one = [PollFd::from_borrowed_fd(pty.master(), PollFlags::IN)];
    // An error is no news: the next look tells.
    let _ = poll(&mut one, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    one[0].revents()
}

/// Hands bytes to the client. One that does not read loses what does not fit, as a UART overruns.
fn send(session: &mut Session, bytes: &[u8]) -> io::Result<()> {
    match rustix::io::write(session.pty.master(), bytes) {
        Ok(sent) if sent == bytes.len() => Ok(()),
        Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::IO) => {
            session.line.overrun();
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
