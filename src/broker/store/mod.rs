//! What the broker keeps in the log: sessions, messages that wait for them, and retained messages.
//!
//! Changes are appended as records; the state that they lead to is what a start begins with. From time to
//! time that state is written as a snapshot, made from the log itself and not from the running broker,
//! which therefore never stands still for it. Absent: what the records mean to connections (`session`) and
//! when an answer may leave (`connection`). Invariant: what a level promises is awaited by whoever answers.

mod record;
mod replay;
mod restore;
#[cfg(test)]
mod tests;
mod time;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::access::AccessError;
use super::auth::UsersError;
use super::config::Config;
use super::sync::lock;
use crate::journal::{
    AppendError, Disk, Entry, Files, Journal, Level, OpenError, Options as LogOptions, Pin, SnapshotFile,
    Stats, Terms, Waiting,
};
pub(super) use record::{Kept, Options, Owner, Published, Record, Target, Will};
pub(super) use replay::Replay;
use time::LogTime;
pub(super) use time::Times;

/// Bytes of log before its first snapshot.
const FIRST_SNAPSHOT: u64 = 8 << 20;

/// Kind of the records of messages.
const MESSAGES: u8 = 1;

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

/// What a broker's log has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Report {
    pub(super) stats: Stats,
    /// Bytes of the records of messages, before they were packed.
    pub(super) message_bytes: u64,
}

/// Bytes that may wait to be written. Clients are read more slowly from an eighth of it on, so that only very many that
/// publish at the same moment come to be refused.
const MAX_PENDING: usize = 32 << 20;

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

/// What a publisher is promised beyond what the broker promises everybody.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Promise {
    /// At least so durable.
    pub(super) level: Option<Level>,
    /// Its sync does not wait for `sync-interval`.
    pub(super) urgent: bool,
}

/// The log of a broker.
pub(super) struct Store {
    journal: Journal,
    level: Level,
    time: LogTime,
    sessions: AtomicU64,
    /// The newest snapshot.
    snapshots: Mutex<Vec<SnapshotFile>>,
    /// Keeps what is not in it.
    pin: Pin,
    /// Bytes appended since the last snapshot.
    since: AtomicU64,
    /// Bytes after which the next one is thought of.
    due: AtomicU64,
    /// Bytes of records in the last one.
    state: AtomicU64,
    most: u64,
    snapshotting: AtomicBool,
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Store {
    /// Opens the log, and finds the state that it leads to.
    pub(super) fn open(dir: &Path, config: &Config, times: Times) -> Result<(Arc<Self>, Replay), StoreError> {
        Self::open_with(dir, config, Arc::new(Disk), times)
    }

    /// As [`Self::open`], on these files.
    fn open_with(
        dir: &Path,
        config: &Config,
        files: Arc<dyn Files>,
        times: Times,
    ) -> Result<(Arc<Self>, Replay), StoreError> {
        let options = LogOptions {
            max_bytes: config.max_log_bytes.0,
            max_pending_bytes: MAX_PENDING,
            boot: times.boot,
            sync_interval: config.sync_interval.0,
            ..LogOptions::default()
        };
        let (journal, recovery) = Journal::open(dir, options, files, times.clock.clone())?;
        let unreadable = |error| StoreError::Unreadable { path: dir.to_owned(), error };
        let (replay, from, next) = replay(&journal, &recovery.snapshots).map_err(unreadable)?;
        let snapshot = recovery.snapshots.last().map_or(0, |snapshot| snapshot.bytes);
        let pin = journal.pin(1);
        pin.advance(from);
        // More than there is behind the snapshot, and never less.
        let since = journal.stats().bytes;
        let store = Self {
            pin,
            journal,
            level: config.durability,
            time: LogTime::new(times, replay.clock),
            sessions: AtomicU64::new(replay.next_session),
            snapshots: Mutex::new(recovery.snapshots),
            since: AtomicU64::new(since),
            due: AtomicU64::new(0),
            state: AtomicU64::new(snapshot),
            most: (config.max_log_bytes.0 / 4).max(1 << 20),
            snapshotting: AtomicBool::new(false),
        };
        store.plan_next();
        tracing::info!(dir = %dir.display(), sessions = replay.sessions.len(), retained = replay.retained.len(), next, "the broker's log was read");
        Ok((Arc::new(store), replay))
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

    /// Whether publishers should send more slowly.
    pub(super) fn is_crowded(&self) -> bool {
        self.journal.is_crowded()
    }

    /// The log's time, in microseconds.
    pub(super) fn log_us(&self) -> i64 {
        let (now, mark) = self.time.now();
        if let Some(mark) = mark {
            // If it is not taken, what was off the power for long may live longer than it should.
            let _ = self.append(&mark, Terms::at(self.level.min(Level::Process)).essential());
        }
        now
    }

    /// What the log has done, and how it stands.
    pub(super) fn report(&self) -> Report {
        Report { stats: self.journal.stats(), message_bytes: self.journal.bytes_of(MESSAGES) }
    }

    /// A number for a session.
    pub(super) fn number(&self) -> u64 {
        self.sessions.fetch_add(1, Relaxed)
    }

    /// Appends a record. Returns its position.
    pub(super) fn put(self: &Arc<Self>, record: &Record, how: How) -> Result<u64, AppendError> {
        self.put_for(record, how, Promise::default())
    }

    /// As [`Self::put`], for somebody with a promise of his own.
    pub(super) fn put_for(
        self: &Arc<Self>,
        record: &Record,
        how: How,
        promise: Promise,
    ) -> Result<u64, AppendError> {
        let level = match how {
            How::Must | How::Message => promise.level.map_or(self.level, |level| level.max(self.level)),
            How::Later | How::Spare => self.level.min(Level::Process),
        };
        let essential = matches!(how, How::Must | How::Later);
        let terms = Terms { level, urgent: promise.urgent, essential };
        let position = self.append(record, terms);
        if self.since.load(Relaxed) > self.due.load(Relaxed) {
            self.begin_snapshot();
        }
        position
    }

    fn append(&self, record: &Record, terms: Terms) -> Result<u64, AppendError> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            record.encode(scratch);
            self.since.fetch_add(scratch.len() as u64, Relaxed);
            self.journal.append(record.kind(), &[scratch], terms)
        })
    }

    fn begin_snapshot(self: &Arc<Self>) {
        if self.snapshotting.swap(true, Relaxed) {
            return;
        }
        let store = Arc::clone(self);
        let made = std::thread::Builder::new().name("snapshot".into()).spawn(move || {
            if let Err(error) = store.snapshot() {
                tracing::warn!(%error, "no snapshot of the broker's state could be made; the log goes on growing");
                store.since.store(0, Relaxed);
                store.plan_next();
            }
            store.snapshotting.store(false, Relaxed);
        });
        if let Err(error) = made {
            tracing::warn!(%error, "no thread for a snapshot of the broker's state");
            self.snapshotting.store(false, Relaxed);
        }
    }

    /// Writes the state that the log leads to, and lets go of what it is made from. Not if that would be little
    /// shorter than what is there: while messages only gather, writing them once more wears out the disk for nothing.
    fn snapshot(&self) -> std::io::Result<()> {
        let since = self.since.load(Relaxed);
        let snapshots = lock(&self.snapshots).clone();
        let (replay, _, position) = replay(&self.journal, &snapshots)?;
        let (mut bytes, mut state) = (Vec::new(), 0);
        replay.records(|record| {
            bytes.clear();
            record.encode(&mut bytes);
            state += bytes.len() as u64;
            Ok::<_, std::io::Error>(())
        })?;
        if since < self.most && 2 * state > self.state.load(Relaxed) + since {
            self.due.store((2 * since).min(self.most), Relaxed);
            return Ok(());
        }
        let mut writer = self.journal.snapshot(position)?;
        replay.records(|record| {
            bytes.clear();
            record.encode(&mut bytes);
            writer.push(record.kind(), &[&bytes])
        })?;
        let bytes = writer.finish()?;
        *lock(&self.snapshots) = vec![SnapshotFile { position, bytes }];
        self.pin.advance(position);
        self.state.store(state, Relaxed);
        self.since.fetch_sub(since, Relaxed);
        self.plan_next();
        Ok(())
    }

    /// A snapshot is thought of when twice its size has been appended: writing them costs at most half as much again.
    fn plan_next(&self) {
        let last = self.state.load(Relaxed);
        self.due.store((2 * last).max(FIRST_SNAPSHOT).min(self.most.max(last)), Relaxed);
    }
}

/// The state as of now; where its snapshot ends, and the first position that is not in it.
fn replay(journal: &Journal, snapshots: &[SnapshotFile]) -> std::io::Result<(Replay, u64, u64)> {
    let (mut replay, mut strange) = (Replay::default(), 0u64);
    let mut apply = |kind: u8, payload: &[u8]| match Record::decode(kind, payload) {
        Ok(record) => replay.apply(record),
        Err(record::Malformed) => strange += 1,
    };
    let loaded = journal.restore(snapshots, &mut apply)?;
    let mut lost = loaded.lost;
    let mut reader = journal.reader(loaded.position);
    let until = journal.next();
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
