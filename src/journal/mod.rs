//! The log: an append-only, checksummed file of records, in segments, with group commit.
//!
//! Whoever appends gets a position at once and may wait until it is as durable as it needs. One thread
//! writes and syncs what has gathered while it was at the last batch; nobody lingers. Readers go by
//! position, and are told of what is missing; state is kept short by snapshots beside the log. Absent:
//! what the records mean, and tokio. docs/journal.md has the bytes. Invariants: a position is never given
//! twice, nothing counts as durable before it is, and no damage keeps a log from being opened.

mod files;
mod format;
mod marks;
mod open;
mod options;
mod pack;
mod queue;
mod reader;
mod retain;
mod scan;
mod shared;
mod snapshot;
mod survey;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub use files::{Disk, File, Files};
pub use format::{FIRST_OWN_KIND, MAX_PAYLOAD, Reason, VERSION};
pub use marks::{Ended, Waiting};
pub use open::{OpenError, Recovery};
pub use options::{Level, MAX_SYNC_INTERVAL, OnFull, Options, Stats};
pub use reader::{Entry, Reader, read_directory};
pub use shared::{AppendError, Terms};
pub use snapshot::{Loaded, SnapshotWriter};
pub use survey::{Finding, Gap, Segment, SnapshotFile, Survey, SurveyError, survey};

#[cfg(test)]
pub(crate) use tests::world::World;

use crate::clock::Clock;
use shared::Shared;
use writer::Writer;

/// An open log. Cheap to clone; the last clone closes it.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Keeps segments from being removed: what it holds and everything behind stays.
pub struct Pin {
    shared: Arc<Shared>,
    id: u64,
}

impl Journal {
    /// Opens the log in a directory, which is made if need be, and starts its thread. Damage is no error:
    /// what was found is in the [`Recovery`].
    ///
    /// # Errors
    /// Another process has the log, a newer program wrote it, or its directory cannot be used.
    pub fn open(
        dir: &Path,
        options: Options,
        files: Arc<dyn Files>,
        clock: Clock,
    ) -> Result<(Self, Recovery), OpenError> {
        let (writer, recovery) = open::open(dir, options, files, clock)?;
        let shared = Arc::clone(&writer.shared);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || run(writer))
            .map_err(|error| OpenError::Unusable { path: dir.to_owned(), error })?;
        Ok((Self { inner: Arc::new(Inner { shared, thread: Mutex::new(Some(thread)) }) }, recovery))
    }

    /// Appends a record and returns its position. It is not durable yet: wait for its position if it must be.
    ///
    /// # Errors
    /// It is too large, or nothing more can be kept now.
    pub fn append(&self, kind: u8, payload: &[&[u8]], terms: Terms) -> Result<u64, AppendError> {
        self.inner.shared.append(kind, payload, terms)
    }

    /// Whether an ordinary record would be taken now; counts as refused if not.
    ///
    /// # Errors
    /// Why it would not.
    pub fn admits(&self) -> Result<(), AppendError> {
        self.inner.shared.admits()
    }

    /// Whether more waits to be written than should: who can, appends later. Far beyond it appends are refused.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.inner.shared.is_crowded()
    }

    /// A place for one task to wait at.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        Waiting::new(Arc::clone(&self.inner.shared.marks))
    }

    /// Blocks the thread until the position is as durable as the level says.
    ///
    /// # Errors
    /// The log has ended before.
    pub fn wait(&self, level: Level, position: u64) -> Result<(), Ended> {
        self.inner.shared.marks.wait(level, position)
    }

    /// The last position that is as durable as the level says.
    #[must_use]
    pub fn reached(&self, level: Level) -> u64 {
        self.inner.shared.marks.reached(level)
    }

    /// The position that the next record gets.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.inner.shared.queue.lock().next
    }

    /// Reads from a position on.
    #[must_use]
    pub fn reader(&self, from: u64) -> Reader {
        Reader::new(Arc::clone(&self.inner.shared), from)
    }

    /// Keeps everything from `position` on.
    #[must_use]
    pub fn pin(&self, position: u64) -> Pin {
        let shared = Arc::clone(&self.inner.shared);
        let id = shared.add_pin(position);
        Pin { shared, id }
    }

    /// Begins a snapshot of what the log's owner keeps: the state behind the record before `position`.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn snapshot(&self, position: u64) -> std::io::Result<SnapshotWriter> {
        SnapshotWriter::new(Arc::clone(&self.inner.shared), position)
    }

    /// Reads the newest of these snapshots; where there is none, the position is 1: the whole log is to be
    /// read. Damaged records are counted and passed over.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn restore(
        &self,
        snapshots: &[SnapshotFile],
        each: impl FnMut(u8, &[u8]),
    ) -> std::io::Result<Loaded> {
        let shared = &self.inner.shared;
        snapshot::load(&*shared.files, &shared.dir, &shared.log, snapshots, each)
    }

    /// Bytes of payload appended of one kind.
    #[must_use]
    pub fn bytes_of(&self, kind: u8) -> u64 {
        self.inner.shared.bytes_of(kind)
    }

    /// What the log has done, and how it stands.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.shared.stats()
    }

    /// Writes and syncs what waits, and ends the log. What comes after is refused.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Inner {
    fn close(&self) {
        self.shared.close();
        let thread = lock(&self.thread).take();
        // A writer that panicked has ended the log already.
        drop(thread.map(JoinHandle::join));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl Pin {
    /// Lets go of everything in front of `position`.
    pub fn advance(&self, position: u64) {
        self.shared.move_pin(self.id, position);
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.shared.drop_pin(self.id);
    }
}

/// The thread of a log.
fn run(mut writer: Writer) {
    // However the thread ends, nobody may wait for it any longer.
    struct End(Arc<Shared>);
    impl Drop for End {
        fn drop(&mut self) {
            self.0.close();
            self.0.marks.end();
        }
    }
    let end = End(Arc::clone(&writer.shared));
    loop {
        match writer.turn() {
            writer::Turn::Again => {}
            writer::Turn::Sleep(limit) => end.0.queue.sleep(limit),
            writer::Turn::Ended => return,
        }
    }
}

/// No code here panics while it holds a lock in a state that others could not go on with.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
