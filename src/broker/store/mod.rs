//! What the broker keeps in the log: sessions, messages that wait for them, and retained messages.
//!
//! Changes are appended as records; the state that they lead to is what a start begins with. From time to
//! time that state is written as a snapshot, made from the log itself and not from the running broker,
//! which therefore never stands still for it. Absent: what the records mean to connections (`session`) and
//! when an answer may leave (`connection`). Invariant: what a level promises is awaited by whoever answers.

mod record;
mod replay;
mod restore;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::access::AccessError;
use super::auth::UsersError;
use super::config::Config;
use super::sync::lock;
use crate::clock::Clock;
use crate::journal::{
    AppendError, Disk, Entry, Journal, Level, OpenError, Options as LogOptions, Pin, SnapshotFile, Terms,
    Waiting,
};
pub(super) use record::{Kept, Options, Owner, Published, Record, Target, Will};
pub(super) use replay::Replay;

/// Bytes of log before its first snapshot.
const FIRST_SNAPSHOT: u64 = 8 << 20;

/// Bytes read from the log at once.
const READ: usize = 1 << 20;

/// Why the broker cannot begin with what its data directory holds.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The log in it cannot be opened.
    #[error("broker.data cannot be used")]
    Log(#[from] OpenError),
    /// The log was opened, and cannot be read.
    #[error("broker.data: {path}: {error}")]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// The users cannot be read, and what is kept for whom depends on them.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The rules cannot be read, and what may be kept for whom depends on them.
    #[error(transparent)]
    Access(#[from] AccessError),
}

/// How a record is to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Something that somebody is told of once it is durable; not refused for want of room.
    Must,
    /// As above, but it may be refused.
    Message,
    /// Nobody waits for it, and if it is lost, something is done twice.
    Later,
    /// As above, but it may be refused.
    Spare,
}

/// The log of a broker.
pub(super) struct Store {
    journal: Journal,
    level: Level,
    clock: Clock,
    sessions: AtomicU64,
    /// The newest snapshot.
    snapshots: Mutex<Vec<SnapshotFile>>,
    /// Keeps what is not in it.
    pin: Pin,
    /// Bytes appended since the last snapshot.
    since: AtomicU64,
    /// Bytes after which the next one is made.
    due: AtomicU64,
    most: u64,
    snapshotting: AtomicBool,
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Store {
    /// Opens the log, and finds the state that it leads to.
    pub(super) fn open(
        dir: &Path,
        config: &Config,
        clock: Clock,
    ) -> Result<(Arc<Self>, Replay), StoreError> {
        let options = LogOptions { max_bytes: config.max_log_bytes.0, ..LogOptions::default() };
        let (journal, recovery) = Journal::open(dir, options, Arc::new(Disk), clock.clone())?;
        let store = Self {
            pin: journal.pin(1),
            journal,
            level: config.durability,
            clock,
            sessions: AtomicU64::new(0),
            snapshots: Mutex::new(recovery.snapshots),
            since: AtomicU64::new(0),
            due: AtomicU64::new(FIRST_SNAPSHOT),
            most: (config.max_log_bytes.0 / 4).max(1 << 20),
            snapshotting: AtomicBool::new(false),
        };
        let unreadable = |error| StoreError::Unreadable { path: dir.to_owned(), error };
        let (replay, from, next) = store.replay().map_err(unreadable)?;
        store.pin.advance(from);
        store.sessions.store(replay.next_session, Relaxed);
        store.plan_next();
        tracing::info!(dir = %dir.display(), sessions = replay.sessions.len(), retained = replay.retained.len(), next, "the broker's log was read");
        Ok((Arc::new(store), replay))
    }

    /// The state as of now; where its snapshot ends, and the first position that is not in it.
    fn replay(&self) -> std::io::Result<(Replay, u64, u64)> {
        let (mut replay, mut strange) = (Replay::default(), 0u64);
        let mut apply = |kind: u8, payload: &[u8]| match Record::decode(kind, payload) {
            Ok(record) => replay.apply(record),
            Err(record::Malformed) => strange += 1,
        };
        let snapshots = lock(&self.snapshots).clone();
        let loaded = self.journal.restore(&snapshots, &mut apply)?;
        let mut lost = loaded.lost;
        let mut reader = self.journal.reader(loaded.position);
        let until = self.journal.next();
        while reader.position() < until
            && reader.read(READ, |entry| match entry {
                Entry::Record { kind, payload, .. } => apply(kind, payload),
                Entry::Gap(gap) => lost += gap.to - gap.from,
            })?
        {}
        if lost + strange > 0 {
            tracing::warn!(lost, strange, "records of the broker's log are missing or not understood");
        }
        Ok((replay, loaded.position, reader.position()))
    }

    pub(super) fn level(&self) -> Level {
        self.level
    }

    pub(super) fn waiting(&self) -> Waiting {
        self.journal.waiting()
    }

    pub(super) fn is_reached(&self, position: u64) -> bool {
        self.journal.reached(self.level) >= position
    }

    /// Whether messages are taken now.
    pub(super) fn admits(&self) -> bool {
        self.journal.admits().is_ok()
    }

    /// Wall time, in microseconds since 1970.
    pub(super) fn wall_us(&self) -> i64 {
        self.clock.stamp().unix_us
    }

    /// A number for a session.
    pub(super) fn number(&self) -> u64 {
        self.sessions.fetch_add(1, Relaxed)
    }

    /// Appends a record. Returns its position.
    pub(super) fn put(self: &Arc<Self>, record: &Record, how: How) -> Result<u64, AppendError> {
        let level = match how {
            How::Must | How::Message => self.level,
            How::Later | How::Spare => self.level.min(Level::Process),
        };
        let essential = matches!(how, How::Must | How::Later);
        let terms = Terms { essential, ..Terms::at(level) };
        let (position, len) = SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            record.encode(scratch);
            (self.journal.append(record.kind(), &[scratch], terms), scratch.len())
        });
        if self.since.fetch_add(len as u64, Relaxed) + len as u64 > self.due.load(Relaxed) {
            self.begin_snapshot();
        }
        position
    }

    fn begin_snapshot(self: &Arc<Self>) {
        if self.snapshotting.swap(true, Relaxed) {
            return;
        }
        let store = Arc::clone(self);
        let made = std::thread::Builder::new().name("snapshot".into()).spawn(move || {
            store.since.store(0, Relaxed);
            if let Err(error) = store.snapshot() {
                tracing::warn!(%error, "no snapshot of the broker's state could be made; the log goes on growing");
            }
            store.plan_next();
            store.snapshotting.store(false, Relaxed);
        });
        if let Err(error) = made {
            tracing::warn!(%error, "no thread for a snapshot of the broker's state");
            self.snapshotting.store(false, Relaxed);
        }
    }

    /// Writes the state that the log leads to, and lets go of what it is made from.
    fn snapshot(&self) -> std::io::Result<()> {
        let (replay, _, position) = self.replay()?;
        let mut writer = self.journal.snapshot(position)?;
        let mut bytes = Vec::new();
        replay.records(|record| {
            bytes.clear();
            record.encode(&mut bytes);
            writer.push(record.kind(), &[&bytes])
        })?;
        let bytes = writer.finish()?;
        *lock(&self.snapshots) = vec![SnapshotFile { position, bytes }];
        self.pin.advance(position);
        Ok(())
    }

    /// A snapshot is made when twice its size has been appended: writing them costs at most half as much again.
    fn plan_next(&self) {
        let last = lock(&self.snapshots).last().map_or(0, |snapshot| snapshot.bytes);
        self.due.store((2 * last).max(FIRST_SNAPSHOT).min(self.most.max(last)), Relaxed);
    }
}
