//! What the users of a log and its writer share.
//!
//! Lock order: the queue, then the map of segments; no other two are held together. Nothing here does
//! I/O, so appending never waits for the disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::files::Files;
use super::format::{FIRST_OWN_KIND, FRAME, MAX_PAYLOAD, encode};
use super::lock;
use super::marks::Marks;
use super::options::{Counters, Level, OnFull, Options, Stats, add};
use super::queue::Queue;
use super::survey::Segment;

/// How an append is to be treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How durable it must become. With `Power` a sync is made for it.
    pub level: Level,
    /// Its sync does not wait for `sync_interval`.
    pub urgent: bool,
    /// It makes room, as an acknowledgement does: `max_bytes` and a full disk do not refuse it.
    pub essential: bool,
}

impl Terms {
    /// Ordinary terms at a level.
    #[must_use]
    pub fn at(level: Level) -> Self {
        Self { level, ..Self::default() }
    }

    /// As `self`, and the sync must not wait.
    #[must_use]
    pub fn urgently(self) -> Self {
        Self { urgent: true, ..self }
    }

    /// As `self`, and not refused for want of room.
    #[must_use]
    pub fn essential(self) -> Self {
        Self { essential: true, ..self }
    }
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No log keeps such a record: the caller splits it or gives it up.
    #[error("longer than a record may be, or of a kind that belongs to the log")]
    Unfit,
    /// The log is as large as it may be, or the disk is full: the caller refuses, and tries again later.
    #[error("the log is full")]
    Full,
    /// The disk fails: as above.
    #[error("the log cannot be written")]
    Failing,
    /// The disk is too slow for what comes: the caller waits.
    #[error("too much waits to be written")]
    Busy,
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// What keeps the writer from writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    None = 0,
    Full = 1,
    Failing = 2,
}

pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) files: Arc<dyn Files>,
    pub(super) options: Options,
    pub(super) log: [u8; 16],
    pub(super) seed: u32,
    pub(super) queue: Queue,
    pub(super) marks: Arc<Marks>,
    pub(super) counters: Counters,
    /// All segments, in order; the last one may be growing.
    pub(super) map: Mutex<Vec<Segment>>,
    /// Bytes of all segments.
    pub(super) bytes: AtomicU64,
    trouble: AtomicU8,
    pins: Mutex<BTreeMap<u64, u64>>,
    pin_ids: AtomicU64,
    kinds: Box<[AtomicU64; 256]>,
    /// Held while the log is open.
    _lock: Box<dyn Send + Sync>,
}

impl Shared {
    pub(super) fn new(
        dir: PathBuf,
        files: Arc<dyn Files>,
        options: Options,
        log: [u8; 16],
        map: Vec<Segment>,
        held: Box<dyn Send + Sync>,
    ) -> Self {
        Self {
            dir,
            files,
            options,
            log,
            seed: super::format::seed_of(&log),
            queue: Queue::default(),
            marks: Arc::default(),
            counters: Counters::default(),
            bytes: AtomicU64::new(map.iter().map(|segment| segment.bytes).sum()),
            map: Mutex::new(map),
            trouble: AtomicU8::new(Trouble::None as u8),
            pins: Mutex::default(),
            pin_ids: AtomicU64::new(0),
            kinds: Box::new([const { AtomicU64::new(0) }; 256]),
            _lock: held,
        }
    }

    pub(super) fn append(&self, kind: u8, payload: &[&[u8]], terms: Terms) -> Result<u64, AppendError> {
        let len: usize = payload.iter().map(|part| part.len()).sum();
        if len > MAX_PAYLOAD || kind >= FIRST_OWN_KIND {
            return Err(AppendError::Unfit);
        }
        let mut queue = self.queue.lock();
        self.refusal(&queue, FRAME + len, terms)?;
        let position = queue.next;
        encode(&mut queue.frames, self.seed, position, kind, payload);
        queue.next += 1;
        if terms.level == Level::Power {
            queue.sync = position;
            if terms.urgent {
                queue.urgent = position;
            }
        }
        self.queue.wake(queue);
        add(&self.counters.records, 1);
        add(&self.counters.payload_bytes, len as u64);
        add(&self.kinds[usize::from(kind)], len as u64);
        Ok(position)
    }

    pub(super) fn admits(&self) -> Result<(), AppendError> {
        self.refusal(&self.queue.lock(), FRAME, Terms::default())
    }

    /// Whether so much waits to be written that whoever can should come later. Not when the disk takes nothing: then
    /// it is not known when later is, and appends say what is wrong.
    pub(super) fn is_crowded(&self) -> bool {
        let queue = self.queue.lock();
        !queue.closing
            && queue.frames.len() > self.options.max_pending_bytes / 8
            && self.trouble.load(Relaxed) == Trouble::None as u8
    }

    fn refusal(&self, queue: &super::queue::State, len: usize, terms: Terms) -> Result<(), AppendError> {
        if queue.closing {
            return Err(AppendError::Closed);
        }
        // One record always fits, however large.
        if !queue.frames.is_empty() && queue.frames.len() + len > self.options.max_pending_bytes {
            add(&self.counters.refused_busy, 1);
            return Err(AppendError::Busy);
        }
        if terms.essential {
            return Ok(());
        }
        let trouble = self.trouble.load(Relaxed);
        let size = self.bytes.load(Relaxed) + (queue.frames.len() + len) as u64;
        let over = self.options.on_full == OnFull::Refuse && size > self.options.max_bytes;
        if trouble == Trouble::Failing as u8 {
            add(&self.counters.refused_failing, 1);
            return Err(AppendError::Failing);
        }
        if over || trouble == Trouble::Full as u8 {
            add(&self.counters.refused_full, 1);
            return Err(AppendError::Full);
        }
        Ok(())
    }

    pub(super) fn set_trouble(&self, trouble: Trouble) -> bool {
        self.trouble.swap(trouble as u8, Relaxed) != trouble as u8
    }

    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closing = true;
        self.queue.wake(queue);
    }

    pub(super) fn add_pin(&self, position: u64) -> u64 {
        let id = self.pin_ids.fetch_add(1, Relaxed);
        lock(&self.pins).insert(id, position);
        id
    }

    pub(super) fn move_pin(&self, id: u64, position: u64) {
        if let Some(pinned) = lock(&self.pins).get_mut(&id) {
            *pinned = position.max(*pinned);
        }
        self.queue.wake(self.queue.lock());
    }

    pub(super) fn drop_pin(&self, id: u64) {
        lock(&self.pins).remove(&id);
        self.queue.wake(self.queue.lock());
    }

    /// What nobody needs lies in front of this; without pins nobody has said what is needed.
    pub(super) fn floor(&self) -> u64 {
        lock(&self.pins).values().min().copied().unwrap_or(0)
    }

    pub(super) fn bytes_of(&self, kind: u8) -> u64 {
        self.kinds[usize::from(kind)].load(Relaxed)
    }

    pub(super) fn stats(&self) -> Stats {
        let last = self.queue.lock().next - 1;
        Stats {
            bytes: self.bytes.load(Relaxed),
            segments: lock(&self.map).len() as u64,
            last,
            written: self.marks.reached(Level::Process),
            synced: self.marks.reached(Level::Power),
            trouble: self.trouble.load(Relaxed).into(),
            ..self.counters.snapshot()
        }
    }
}
