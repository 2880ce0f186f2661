//! The only one who writes segments: takes what has gathered, writes it, syncs it, says so.
//!
//! Driven turn by turn, so that tests can drive it without a thread. What was written and not synced stays
//! in memory: after a failed sync the pages of its file are not believed any more, and it is written again,
//! to a new segment. Invariants: a mark moves only after the call that justifies it; a segment gets its
//! name only when everything is in it that an earlier one is no longer believed to hold.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::files::{File, is_full};
use super::format::{FileKind, HEADER, Header, Reason, Seal};
use super::lock;
use super::options::{Level, add, pages};
use super::pack::Packer;
use super::queue::Batch;
use super::retain::Doomed;
use super::shared::{Shared, Trouble};
use super::survey::{Segment, TEMPORARY, segment_name};
use crate::backoff::Backoff;
use crate::clock::Clock;

/// Pauses between attempts while the disk is full or fails.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// How often the age of segments is looked at.
const AGE_LOOK: Duration = Duration::from_secs(10);

/// A segment is sealed, however small it is, when its records were so many times `segment_bytes`.
const MAX_RATIO: u64 = 4;

/// The buffer of a batch is given back above this size, in bytes.
const KEEP_BUFFER: usize = 1 << 20;

/// What to do after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// There is more to do.
    Again,
    /// Nothing to do until something comes, or for so long.
    Sleep(Option<Duration>),
    /// The log is closed.
    Ended,
}

/// The segment that grows.
struct Active {
    file: Box<dyn File>,
    /// Length of what counts in it.
    offset: u64,
    /// Length of what is synced in it.
    synced: u64,
    /// Bytes of the records in it, before they were packed.
    records: u64,
    /// Its name is not durable yet.
    unnamed: bool,
}

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Clock,
    active: Option<Active>,
    next_number: u64,
    /// Why the next segment does not begin where the last one ended.
    jump: Option<Reason>,
    batch: Batch,
    packer: Packer,
    /// The batch as it is to be written, once it was packed.
    packed: Vec<u8>,
    /// Records written and not synced.
    unsynced: Vec<u8>,
    /// Position of the first of them.
    unsynced_from: u64,
    /// Position behind the last record written.
    end: u64,
    last_sync: Option<Instant>,
    backoff: Backoff,
    retry_at: Option<Instant>,
    pub(super) doomed: Doomed,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, clock: Clock, next_number: u64, jump: Option<Reason>) -> Self {
        let end = shared.queue.lock().next;
        let doomed = Doomed::new(&shared, &clock);
        Self {
            packer: Packer::new(shared.seed),
            packed: Vec::new(),
            shared,
            clock,
            active: None,
            next_number,
            jump,
            batch: Batch::default(),
            unsynced: Vec::new(),
            unsynced_from: end,
            end,
            last_sync: None,
            backoff: Backoff::new(RETRY.0, RETRY.1),
            retry_at: None,
            doomed,
        }
    }

    /// Records that are in a segment, but perhaps never on the disk, go into the next one.
    pub(super) fn write_again(&mut self, from: u64, frames: Vec<u8>) {
        if !frames.is_empty() {
            (self.unsynced, self.unsynced_from) = (frames, from);
            self.shared.marks.set_synced(from - 1);
            self.shared.queue.lock().sync = self.end - 1;
        }
    }

    /// Does what can be done now.
    pub(super) fn turn(&mut self) -> Turn {
        let closing = self.shared.queue.lock().closing;
        if let Some(at) = self.retry_at.filter(|_| !closing) {
            let left = at.saturating_duration_since(self.clock.mono());
            if !left.is_zero() {
                return Turn::Sleep(Some(left));
            }
        }
        if self.batch.frames.is_empty() {
            self.shared.queue.take(&mut self.batch);
        }
        match self.work(closing) {
            Ok(next) => {
                self.recovered();
                if closing && next != Turn::Again { Turn::Ended } else { next }
            }
            Err(error) => {
                let next = self.failed(&error);
                if closing { Turn::Ended } else { next }
            }
        }
    }

    fn work(&mut self, closing: bool) -> io::Result<Turn> {
        if self.active.is_none() && !self.unsynced.is_empty() {
            self.begin()?;
        }
        if self.active.is_some() && self.jump.is_some() {
            // Its header could not tell of the jump, so its seal does, before any position behind it counts.
            self.seal(false)?;
        }
        if !self.batch.frames.is_empty() {
            self.write()?;
        }
        let due = self.sync_due(closing);
        if due == Some(Duration::ZERO) {
            self.sync()?;
        }
        let most = self.shared.options.segment_bytes;
        let full = |active: &Active| active.offset >= most || active.records / MAX_RATIO >= most;
        let full = self.active.as_ref().is_some_and(full);
        let more = !self.shared.queue.lock().frames.is_empty();
        let last = closing && !more;
        if last && self.active.is_none() && lock(&self.shared.map).last().is_some_and(|last| !last.closed) {
            // There must be something to say in that all was well.
            self.begin()?;
        }
        if full || last {
            self.seal(last)?;
        }
        self.retain();
        if more {
            return Ok(Turn::Again);
        }
        let look = self.shared.options.max_age.is_some().then_some(AGE_LOOK);
        let limit = due.filter(|due| !due.is_zero());
        Ok(Turn::Sleep(limit.into_iter().chain(look).min()))
    }

    /// In how long a sync is due; `None`: nobody wants one.
    fn sync_due(&self, closing: bool) -> Option<Duration> {
        let (sync, urgent) = {
            let queue = self.shared.queue.lock();
            (queue.sync, queue.urgent)
        };
        let synced = self.shared.marks.reached(Level::Power);
        let written = self.end - 1;
        // What has not been written yet is for the next turn.
        let wanted = synced < written && sync > synced;
        if (closing && synced < written) || self.unsynced.len() > self.shared.options.max_unsynced_bytes {
            return Some(Duration::ZERO);
        }
        if !wanted {
            return None;
        }
        let interval = self.shared.options.sync_interval;
        let (Some(last), false) = (self.last_sync, urgent > synced) else { return Some(Duration::ZERO) };
        Some((last + interval).saturating_duration_since(self.clock.mono()))
    }

    fn write(&mut self) -> io::Result<()> {
        if self.active.is_none() {
            self.begin()?;
        }
        let Some(active) = &mut self.active else { return Ok(()) };
        if self.shared.options.pack && self.packed.is_empty() {
            self.packer.pack(&self.batch.frames, self.batch.end, &mut self.packed);
        }
        let bytes = if self.shared.options.pack { &self.packed } else { &self.batch.frames };
        if let Err(error) = active.file.write_at(bytes, active.offset) {
            add(&self.shared.counters.write_failures, 1);
            // Without room nothing that was written before is in doubt, and this is tried again in place.
            if !is_full(&error) {
                self.distrust();
            }
            return Err(error);
        }
        let written = bytes.len() as u64;
        active.offset += written;
        active.records += self.batch.frames.len() as u64;
        let offset = active.offset;
        add(&self.shared.counters.writes, 1);
        self.end = self.batch.end;
        self.note_written(written, offset);
        recycle(&mut self.packed);
        if self.unsynced.is_empty() {
            std::mem::swap(&mut self.unsynced, &mut self.batch.frames);
        } else {
            self.unsynced.extend_from_slice(&self.batch.frames);
        }
        recycle(&mut self.batch.frames);
        self.shared.marks.set_written(self.end - 1);
        Ok(())
    }

    /// Keeps the map and the counters in step with the file.
    fn note_written(&self, bytes: u64, offset: u64) {
        add(&self.shared.counters.bytes_written, bytes);
        let mut map = lock(&self.shared.map);
        if let Some(last) = map.last_mut() {
            self.shared.bytes.fetch_add(offset - last.bytes, std::sync::atomic::Ordering::Relaxed);
            (last.end, last.bytes) = (self.end, offset);
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        let counters = &self.shared.counters;
        let named = active.unnamed;
        let done = active.file.sync().and_then(|()| match named {
            true => self.shared.files.sync_dir(&self.shared.dir),
            false => Ok(()),
        });
        if let Err(error) = done {
            add(&counters.sync_failures, 1);
            self.distrust();
            return Err(error);
        }
        active.unnamed = false;
        add(&counters.syncs, 1);
        add(&counters.page_bytes_written, pages(active.synced, active.offset));
        active.synced = active.offset;
        recycle(&mut self.unsynced);
        self.unsynced_from = self.end;
        self.last_sync = Some(self.clock.mono());
        self.shared.marks.set_synced(self.end - 1);
        Ok(())
    }

    /// What the active segment holds and was not synced is not believed any more.
    fn distrust(&mut self) {
        self.active = None;
    }

    /// Makes the next segment: under another name, and with what was not synced, if there is any.
    fn begin(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let number = self.next_number;
        let header = Header {
            kind: FileKind::Segment,
            // Behind records that are written again positions go on inside of the segment.
            jump: self.jump.filter(|_| self.unsynced.is_empty()),
            base: self.unsynced_from,
            created_us: self.clock.stamp().unix_us,
            log: shared.log,
            boot: shared.options.boot,
        };
        let temporary = shared.dir.join(format!("{number:016x}{TEMPORARY}"));
        // That there is a log, and how far it jumped, must be durable before any position counts: after a power
        // cut the same ones could be given again.
        let firm = lock(&shared.map).is_empty() || self.jump.is_some();
        let made = (|| {
            let file = shared.files.create(&temporary)?;
            file.write_at(&header.encode(), 0)?;
            if !self.unsynced.is_empty() {
                file.write_at(&self.unsynced, HEADER as u64)?;
            }
            if firm || !self.unsynced.is_empty() {
                file.sync()?;
            }
            shared.files.rename(&temporary, &shared.dir.join(segment_name(number)))?;
            if firm {
                shared.files.sync_dir(&shared.dir)?;
            }
            Ok(file)
        })();
        let file = match made {
            Ok(file) => file,
            Err(error) => {
                add(&shared.counters.write_failures, 1);
                // It is overwritten by the next attempt, or removed at the next start.
                let _ = shared.files.remove(&temporary);
                return Err(error);
            }
        };
        self.next_number += 1;
        self.jump = self.jump.filter(|_| header.jump.is_none());
        let offset = (HEADER + self.unsynced.len()) as u64;
        // Nothing in it may refer to what stands in another one.
        self.packer.restart();
        self.packed.clear();
        self.active = Some(Active { file, offset, synced: 0, records: offset, unnamed: true });
        self.enter(number, &header);
        self.note_written(offset, offset);
        Ok(())
    }

    /// Puts the new segment into the map; what it holds again is no longer read from older ones.
    fn enter(&mut self, number: u64, header: &Header) {
        let mut map = lock(&self.shared.map);
        while map.last().is_some_and(|last| last.base >= header.base) {
            if let Some(empty) = map.pop() {
                self.shared.bytes.fetch_sub(empty.bytes, std::sync::atomic::Ordering::Relaxed);
                self.doomed.superseded(empty.number);
            }
        }
        if let Some(last) = map.last_mut() {
            last.end = last.end.min(header.base);
        }
        map.push(Segment {
            number,
            base: header.base,
            end: self.end,
            bytes: 0,
            sealed: false,
            closed: false,
            time_us: header.created_us,
            jump: header.jump,
            torn_bytes: 0,
            cut_off: false,
            boot: header.boot,
        });
    }

    /// Ends the active segment.
    fn seal(&mut self, closed: bool) -> io::Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        let sealed_us = self.clock.stamp().unix_us;
        let mut bytes = Vec::new();
        Seal { end: self.end, sealed_us, closed }.encode(&mut bytes, self.shared.seed);
        if let Err(error) = active.file.write_at(&bytes, active.offset) {
            add(&self.shared.counters.write_failures, 1);
            if !is_full(&error) {
                self.distrust();
            }
            return Err(error);
        }
        // Not to be overwritten: what follows goes to another segment, whether the sync succeeds or not.
        active.offset += bytes.len() as u64;
        let offset = active.offset;
        self.note_written(bytes.len() as u64, offset);
        self.sync()?;
        self.active = None;
        if let Some(last) = lock(&self.shared.map).last_mut() {
            (last.sealed, last.closed, last.time_us) = (true, closed, sealed_us);
        }
        self.doomed.sealed(&self.shared, &self.clock);
        Ok(())
    }

    fn failed(&mut self, error: &io::Error) -> Turn {
        let full = is_full(error);
        // Meanwhile people may have come past the oldest, or its owner may have said that it may go.
        if full && (self.retain() || self.make_room()) {
            return Turn::Again;
        }
        if self.shared.set_trouble(if full { Trouble::Full } else { Trouble::Failing }) {
            let dir = self.shared.dir.display();
            tracing::error!(%dir, %error, "the log cannot be written; it tries again");
        }
        let pause = self.backoff.pause(fastrand::f64());
        self.retry_at = Some(self.clock.mono() + pause);
        Turn::Sleep(Some(pause))
    }

    fn recovered(&mut self) {
        if self.retry_at.take().is_some() {
            self.backoff.reset();
        }
        if self.shared.set_trouble(Trouble::None) {
            tracing::info!(dir = %self.shared.dir.display(), "the log can be written again");
        }
    }

    /// Whether everything that was written is synced.
    pub(super) fn is_synced(&self) -> bool {
        self.unsynced.is_empty()
    }

    /// Tests do not wait for the next attempt.
    #[cfg(test)]
    pub(super) fn hurry(&mut self) {
        self.retry_at = None;
    }

    /// Whether the last segment of the map may not be removed.
    pub(super) fn is_writing(&self) -> bool {
        self.active.is_some() || !self.unsynced.is_empty()
    }
}

fn recycle(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > KEEP_BUFFER {
        *buffer = Vec::new();
    }
}
