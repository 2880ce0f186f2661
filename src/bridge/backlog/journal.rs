//! A backlog in a log on the disk: survives the end of the program, and at `power` a power cut.
//!
//! Kinds of records, numbers big-endian: 1 a message (8 bytes number, then `record`), 2 a gap (8 bytes first number, 8
//! bytes count, 1 byte reason), 3 the cursor (8 bytes position, 8 bytes number), 4 the stream (8 bytes). A snapshot holds
//! stream, cursor and, as a gap of count 0, the next number. Numbers are in the records and not the positions, so that
//! what the log itself lost shows as a jump. Invariants: the log keeps what lies behind the last cursor that is on the
//! disk; a number is never given twice.

mod reader;

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::gauge::Gauge;
use reader::JournalReader;

use super::{Arrival, Backlog, BufferError, Depth, Full, Place, Reader};
use crate::bridge::config::{Buffer, OnFull};
use crate::bridge::record::Record;
use crate::bridge::sequence::{StreamId, Why};
use crate::clock::Clock;
use crate::journal::{
    self, Disk, Entry, Journal as Log, Level, Options, Pin, Reason, Recovery, Terms, Waiting,
};

const MESSAGE: u8 = 1;
const GAP: u8 = 2;
const CURSOR: u8 = 3;
const STREAM: u8 = 4;

/// The cursor is noted after so many messages, or after [`NOTE_AFTER`].
const NOTE_EVERY: u64 = 500;

/// How long a moved cursor stays unnoted while messages flow.
const NOTE_AFTER: Duration = Duration::from_millis(250);

/// Finding out how old the oldest message is may take one part of the time in so many.
const READ_SHARE: u32 = 200;

/// After so many bytes a snapshot is taken, so that a start reads no more than these.
const SNAPSHOT_EVERY: u64 = 32 << 20;

/// More numbers than could be in memory when the power fails, or in the last records when they are damaged.
const POWER_JUMP: u64 = 1 << 20;

/// A backlog on the disk.
pub(crate) struct Journal {
    log: Log,
    stream: StreamId,
    terms: Terms,
    readers: Level,
    max_bytes: u64,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    /// The next number.
    next: u64,
    passed: Place,
    /// What the last cursor record says.
    noted: Place,
    noted_at: Instant,
    /// Cursor records that are not on the disk yet, and how far they let go.
    unsynced: VecDeque<(u64, u64)>,
    pin: Pin,
    gauge: Gauge,
    /// Payload bytes at the last snapshot.
    snapshot_at: u64,
    /// The oldest that waits of what was there before the start.
    oldest: Oldest,
}

/// A message's number and when it was taken in, as it was last read from the log.
struct Oldest {
    seq: u64,
    unix_us: Option<i64>,
    /// Reading may cost as much as going through a segment: until then the last answer stands.
    again: Instant,
}

/// What a start found.
struct Found {
    stream: Option<StreamId>,
    cursor: Place,
    next: u64,
    /// Records are missing behind the last that has a number: it is not known which numbers were given.
    unknown: bool,
}

impl Found {
    fn take(&mut self, kind: u8, payload: &[u8]) {
        self.unknown &= !matches!(kind, MESSAGE | GAP);
        match (kind, word(payload, 0), word(payload, 1)) {
            (MESSAGE, Some(seq), _) => self.next = self.next.max(seq.saturating_add(1)),
            (GAP, Some(seq), Some(count)) => self.next = self.next.max(seq.saturating_add(count)),
            (CURSOR, Some(position), Some(seq)) => self.cursor = self.cursor.max(Place { position, seq }),
            (STREAM, Some(id), _) => self.stream = Some(StreamId(id)),
            // Of a later version of this program.
            _ => {}
        }
    }
}

/// The number at a place of a payload.
fn word(payload: &[u8], index: usize) -> Option<u64> {
    let bytes = payload.get(index * 8..index * 8 + 8)?;
    bytes.try_into().ok().map(u64::from_be_bytes)
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nothing here panics between two changes that belong together.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    /// Opens the backlog in a directory; a new one gets this stream.
    pub(crate) fn open(
        directory: &Path,
        limits: &Buffer,
        stream: StreamId,
        clock: &Clock,
    ) -> Result<Self, BufferError> {
        let options = Options {
            readers: limits.durability,
            // Dropping the oldest must never reach the newest, which tells the next number.
            segment_bytes: (limits.size.0 / 16).clamp(4 << 10, 16 << 20),
            max_bytes: limits.size.0,
            max_age: Some(limits.age.0),
            sync_interval: limits.sync_interval.0,
            on_full: if limits.on_full == OnFull::Refuse {
                journal::OnFull::Refuse
            } else {
                journal::OnFull::DropOldest
            },
            ..Options::default()
        };
        let opened = Log::open(directory, options, Arc::new(Disk), clock.clone());
        let (log, recovery) = opened.map_err(|error| BufferError(error.to_string()))?;
        let unreadable = |error: io::Error| BufferError(format!("{}: {error}", directory.display()));
        let found = found(&log, &recovery).map_err(unreadable)?;
        let pin = log.pin(found.cursor.position);
        let state = State {
            next: found.next,
            passed: found.cursor,
            noted: found.cursor,
            noted_at: clock.mono(),
            unsynced: VecDeque::new(),
            pin,
            gauge: Gauge::new(found.cursor.seq, found.next, log.stats().bytes),
            snapshot_at: 0,
            oldest: Oldest { seq: 0, unix_us: None, again: clock.mono() },
        };
        let backlog = Self {
            stream: found.stream.unwrap_or(stream),
            terms: Terms::at(limits.durability),
            readers: limits.durability,
            max_bytes: limits.size.0,
            clock: clock.clone(),
            state: Mutex::new(state),
            log,
        };
        if found.unknown {
            let last = recovery.gaps.iter().rev().find(|gap| gap.to >= recovery.next && gap.from < gap.to);
            let reason = last.map_or(Reason::Damaged, |gap| gap.reason);
            // Full or not, the next start finds the same.
            let _ = backlog.leave_out(POWER_JUMP, why(reason), true);
        }
        // Says the next number, so that what is missing before it shows without waiting for the next message.
        let _ = backlog.leave_out(0, Why::Damaged, true);
        let _ = backlog.log.append(STREAM, &[&backlog.stream.0.to_be_bytes()], backlog.terms.essential());
        backlog.snapshot().map_err(unreadable)?;
        Ok(backlog)
    }

    /// Writes what a start needs beside the log. Whoever appends meanwhile does not wait for the disk.
    fn snapshot(&self) -> io::Result<()> {
        let (position, passed, next) = {
            let mut state = lock(&self.state);
            state.snapshot_at = self.log.stats().payload_bytes;
            (self.log.next(), state.passed, state.next)
        };
        let mut snapshot = self.log.snapshot(position)?;
        snapshot.push(STREAM, &[&self.stream.0.to_be_bytes()])?;
        snapshot.push(CURSOR, &[&passed.position.to_be_bytes(), &passed.seq.to_be_bytes()])?;
        snapshot.push(GAP, &[&next.to_be_bytes(), &0u64.to_be_bytes()])?;
        snapshot.finish().map(|_| ())
    }

    /// When what lies next behind a place was taken in, by the log itself, read so seldom that it takes no more than a
    /// small part of the time. What cannot be read has no age.
    fn read_oldest(&self, passed: Place) -> Option<i64> {
        let begun = self.clock.mono();
        {
            let known = &lock(&self.state).oldest;
            if known.seq == passed.seq || begun < known.again {
                return known.unix_us;
            }
        }
        let (mut unix_us, mut reader) = (None, self.log.reader(passed.position));
        let _ = reader.read(1, |entry| {
            if let Entry::Record { kind: MESSAGE, payload, .. } = entry {
                unix_us = unix_us.or(payload.get(8..).and_then(Record::time));
            }
        });
        let now = self.clock.mono();
        let again = now + (now - begun) * READ_SHARE;
        lock(&self.state).oldest = Oldest { seq: passed.seq, unix_us, again };
        unix_us
    }

    /// Notes the cursor in the log, and lets go of what older notes that are on the disk have passed.
    fn note(&self, state: &mut State) {
        let Place { position, seq } = state.passed;
        let payload: [&[u8]; 2] = [&position.to_be_bytes(), &seq.to_be_bytes()];
        let Ok(at) = self.log.append(CURSOR, &payload, Terms::at(Level::Process).essential()) else { return };
        (state.noted, state.noted_at) = (state.passed, self.clock.mono());
        state.unsynced.push_back((at, position));
        let synced = self.log.reached(Level::Power);
        let mut free = None;
        while state.unsynced.front().is_some_and(|(at, _)| *at <= synced) {
            free = state.unsynced.pop_front().map(|(_, position)| position);
        }
        if let Some(position) = free {
            state.pin.advance(position);
        }
    }
}

/// What the snapshot and the records behind it say.
fn found(log: &Log, recovery: &Recovery) -> io::Result<Found> {
    let mut found = Found { stream: None, cursor: Place { position: 1, seq: 1 }, next: 1, unknown: false };
    let loaded = log.restore(&recovery.snapshots, |kind, payload| found.take(kind, payload))?;
    // Where the snapshot is damaged, too, what a start wrote into the log stands in for it, if it is still there.
    found.unknown = loaded.lost > 0;
    let from = if found.unknown { recovery.first } else { loaded.position.max(recovery.first) };
    let mut expected = if found.unknown { from } else { loaded.position };
    let mut reader = log.reader(from);
    while reader.read(1 << 20, |entry| {
        if let Entry::Record { position, kind, payload } = entry {
            found.unknown |= position > expected;
            expected = position + 1;
            found.take(kind, payload);
        }
    })? {}
    found.unknown |= recovery.next > expected;
    found.next = found.next.max(found.cursor.seq);
    if found.unknown && loaded.lost > 0 {
        // There are at least as many positions as messages.
        found.next = found.next.max(recovery.next);
    }
    Ok(found)
}

fn why(reason: Reason) -> Why {
    match reason {
        Reason::Removed => Why::Dropped,
        Reason::Damaged => Why::Damaged,
        Reason::PowerLoss => Why::PowerLoss,
    }
}

impl Backlog for Journal {
    fn stream(&self) -> StreamId {
        self.stream
    }

    fn append(&self, bytes: &[u8], urgent: bool) -> Result<Place, Full> {
        let terms = Terms { urgent, ..self.terms };
        let mut state = lock(&self.state);
        let seq = state.next;
        let position = self.log.append(MESSAGE, &[&seq.to_be_bytes(), bytes], terms).map_err(|_| Full)?;
        state.next += 1;
        let next = state.next;
        let unix_us = Record::time(bytes).unwrap_or_else(|| self.clock.stamp().unix_us);
        state.gauge.add(next, bytes.len() as u64, unix_us);
        Ok(Place { position, seq })
    }

    fn waiting(&self) -> Option<(Waiting, Level)> {
        Some((self.log.waiting(), self.readers))
    }

    fn leave_out(&self, count: u64, why: Why, even_when_full: bool) -> Result<(), Full> {
        let terms = if even_when_full { self.terms.essential() } else { self.terms };
        let mut state = lock(&self.state);
        let payload: [&[u8]; 3] = [&state.next.to_be_bytes(), &count.to_be_bytes(), &[why as u8]];
        self.log.append(GAP, &payload, terms).map_err(|_| Full)?;
        state.next += count;
        let next = state.next;
        state.gauge.add(next, 0, self.clock.stamp().unix_us);
        Ok(())
    }

    fn cursor(&self) -> Place {
        lock(&self.state).passed
    }

    fn pass(&self, place: Place) {
        let mut state = lock(&self.state);
        state.passed = state.passed.max(place);
        let due = state.passed.seq - state.noted.seq >= NOTE_EVERY
            || self.clock.mono().saturating_duration_since(state.noted_at) >= NOTE_AFTER;
        if due && state.passed > state.noted {
            self.note(&mut state);
        }
    }

    fn end(&self) -> Place {
        let state = lock(&self.state);
        Place { position: self.log.next(), seq: state.next }
    }

    fn reader(&self, from: Place) -> Box<dyn Reader> {
        let reader = self.log.reader(from.position);
        Box::new(JournalReader::new(reader, from))
    }

    fn depth(&self) -> Depth {
        let (passed, messages, waiting) = {
            let mut state = lock(&self.state);
            let passed = state.passed;
            (passed, state.next - passed.seq, state.gauge.waiting(passed.seq))
        };
        if messages == 0 {
            return Depth::default();
        }
        let oldest_us = waiting.since_us.or_else(|| self.read_oldest(passed));
        Depth { messages, bytes: waiting.bytes, oldest_us }
    }

    fn fullness(&self) -> f64 {
        self.log.stats().bytes as f64 / self.max_bytes.max(1) as f64
    }

    fn arrived(&self, from: Place) -> Arrival {
        let (waiting, level) = (self.log.waiting(), self.readers);
        // At `None`, too, readers see only what is written.
        let level = level.max(Level::Process);
        Box::pin(async move {
            if poll_fn(|cx| waiting.poll(cx, level, from.position)).await.is_err() {
                // The log has ended: nothing more will come.
                pending::<()>().await;
            }
        })
    }

    fn maintain(&self) {
        let due = {
            let mut state = lock(&self.state);
            if state.passed > state.noted {
                self.note(&mut state);
            }
            self.log.stats().payload_bytes.saturating_sub(state.snapshot_at) >= SNAPSHOT_EVERY
        };
        if due && let Err(error) = self.snapshot() {
            tracing::warn!(%error, "a snapshot of a bridge's buffer cannot be written");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if state.passed > state.noted {
            self.note(&mut state);
        }
        drop(state);
        self.log.close();
    }
}

#[cfg(test)]
mod tests;
