//! The alarms on the disk: how each stands, and the journal of what has happened, in one SQLite file.
//!
//! One thread writes; whoever changes an alarm only leaves the news here. Of an alarm the newest state is
//! written, never two in one go; many changes become one transaction. [`Store::written`] tells when all that was
//! left before is safe. Absent: any wait in the way of a reading. Invariants: states are never lost to a full
//! queue, events are counted where they are; a file that cannot be used is put aside and told of, so that
//! the alarms themselves always run.

mod database;
pub mod saved;
mod saved_action;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::model::{AlarmEvent, AlarmQuery, AlarmRecord, FirstOut};
use database::Database;
pub use database::StoreError;
pub use saved::{Boot, Saved};

/// The file in the state directory.
const FILE: &str = "alarms.sqlite";

/// The most events that wait to be written; more are dropped and counted.
const MAX_WAITING: usize = 10_000;

/// How long changes are gathered when nobody waits for them: one sync for all, and a kill loses no more.
const GATHER: Duration = Duration::from_millis(50);

/// The pause after a write that failed.
const RETRY: Duration = Duration::from_secs(5);

/// Tells when all that was left before is safe, or why it is not.
pub type Written = oneshot::Receiver<Result<(), String>>;

/// What was kept of the run before.
#[derive(Debug, Default)]
pub struct Kept {
    /// How each alarm stood, by name.
    pub states: HashMap<String, Saved>,
    /// By group, the alarm that came first, and when by the wall clock, in microseconds since 1970.
    pub first_out: HashMap<String, (String, i64)>,
    /// By notifier, the entry of the journal up to which it has told people.
    pub told: HashMap<String, i64>,
    /// The newest entry of the journal; 0 when there is none.
    pub newest: i64,
}

/// The store of a running gateway. Dropping it writes what is left.
pub struct Store {
    shared: Arc<Shared>,
    path: PathBuf,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    news: News,
    /// The newest number that was given to an event.
    newest: i64,
    /// Events dropped since the start.
    dropped: u64,
    stop: bool,
}

/// What is to be written, and who waits for that.
#[derive(Default)]
struct News {
    /// By group, the alarm that came first, and when; `None` when it does not count any more.
    first_out: BTreeMap<Arc<str>, Option<FirstOut>>,
    states: BTreeMap<Arc<str>, Saved>,
    /// By notifier, the entry up to which it has told people.
    told: BTreeMap<Arc<str>, i64>,
    events: VecDeque<AlarmRecord>,
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
    /// It is to be written without delay.
    hurry: bool,
}

impl News {
    fn is_empty(&self) -> bool {
        self.states.is_empty()
            && self.events.is_empty()
            && self.first_out.is_empty()
            && self.told.is_empty()
            && self.waiting.is_empty()
    }
}

impl Store {
    /// Opens the store in the state directory, and reads how the alarms stood.
    ///
    /// # Errors
    /// The directory cannot be used at all; a damaged file is put aside instead.
    pub fn open(directory: &Path) -> Result<(Self, Kept), StoreError> {
        let path = directory.join(FILE);
        let (database, saved) = Database::open(&path)?;
        let pending = Pending { newest: saved.newest, ..Pending::default() };
        let shared = Arc::new(Shared { pending: Mutex::new(pending), changed: Condvar::new() });
        let own = Arc::clone(&shared);
        let writer =
            std::thread::Builder::new().name("alarm store".into()).spawn(move || write(&own, database))?;
        Ok((Self { shared, path, writer: Some(writer) }, saved))
    }

    /// Leaves news to be written: how an alarm stands, and what has happened, unless that is no event. Returns the number
    /// that the event will have in the journal, where there is room for it.
    pub fn put(&self, name: &Arc<str>, saved: Saved, event: Option<&AlarmEvent>) -> Option<i64> {
        let mut pending = self.shared.lock();
        pending.news.states.insert(Arc::clone(name), saved);
        let mut entry = None;
        match event {
            Some(_) if pending.news.events.len() >= MAX_WAITING => pending.dropped += 1,
            Some(event) => {
                pending.newest += 1;
                entry = Some(pending.newest);
                let id = pending.newest;
                pending.news.events.push_back(AlarmRecord { id, ..AlarmRecord::of(event) });
            }
            None => {}
        }
        drop(pending);
        self.shared.changed.notify_one();
        entry
    }

    /// Leaves up to which entry of the journal a notifier has told people.
    pub fn put_told(&self, notifier: &Arc<str>, entry: i64) {
        self.shared.lock().news.told.insert(Arc::clone(notifier), entry);
        self.shared.changed.notify_one();
    }

    /// The events behind an entry of the journal, the oldest first, at most `limit` of them and then the newest. Waits for
    /// the disk.
    ///
    /// # Errors
    /// What the database says.
    pub fn behind(&self, entry: i64, limit: u32) -> Result<Vec<AlarmRecord>, StoreError> {
        database::behind(&self.path, entry, limit)
    }

    /// Leaves which alarm of a group came first.
    pub fn put_first_out(&self, group: &Arc<str>, first: Option<&FirstOut>) {
        self.shared.lock().news.first_out.insert(Arc::clone(group), first.cloned());
        self.shared.changed.notify_one();
    }

    /// What was left before is written at once, and not gathered with what comes after it.
    pub fn hurry(&self) {
        self.shared.lock().news.hurry = true;
        self.shared.changed.notify_one();
    }

    /// Tells when all that was left before is safe.
    #[must_use]
    pub fn written(&self) -> Written {
        let (told, written) = oneshot::channel();
        self.shared.lock().news.waiting.push(told);
        self.shared.changed.notify_one();
        written
    }

    /// How many events were dropped because the disk did not keep up.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.lock().dropped
    }

    /// How often each alarm has asked for attention since a moment of the wall clock, in microseconds since 1970, by
    /// the minute (since 1970). Waits for the disk.
    ///
    /// # Errors
    /// What the database says.
    pub fn told_since(&self, unix_us: i64) -> Result<Vec<(String, i64, u32)>, StoreError> {
        database::told_since(&self.path, unix_us)
    }

    /// Events from the journal, the newest first. Waits for the disk.
    ///
    /// # Errors
    /// What the database says.
    pub fn journal(&self, query: &AlarmQuery) -> Result<Vec<AlarmRecord>, StoreError> {
        database::read(&self.path, query)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_one();
        if let Some(writer) = self.writer.take() {
            // A writer that has panicked was told of by its panic.
            let _ = writer.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for news and takes all of it; `None` when there will be no more.
    fn take(&self) -> Option<News> {
        let idle = |pending: &mut Pending| pending.news.is_empty() && !pending.stop;
        let pending = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let patient =
            |pending: &mut Pending| pending.news.waiting.is_empty() && !pending.news.hurry && !pending.stop;
        let (mut pending, _) =
            self.changed.wait_timeout_while(pending, GATHER, patient).unwrap_or_else(PoisonError::into_inner);
        let news = std::mem::take(&mut pending.news);
        (!(pending.stop && news.is_empty())).then_some(news)
    }

    /// Puts back what could not be written, behind nothing newer. `true` when the store is being closed.
    fn put_back(&self, old: News) -> bool {
        let mut pending = self.lock();
        for (name, saved) in old.states {
            pending.news.states.entry(name).or_insert(saved);
        }
        for (group, first) in old.first_out {
            pending.news.first_out.entry(group).or_insert(first);
        }
        for (notifier, entry) in old.told {
            pending.news.told.entry(notifier).or_insert(entry);
        }
        for event in old.events.into_iter().rev() {
            if pending.news.events.len() < MAX_WAITING {
                pending.news.events.push_front(event);
            } else {
                pending.dropped += 1;
            }
        }
        let stopped = self.changed.wait_timeout_while(pending, RETRY, |pending| !pending.stop);
        stopped.unwrap_or_else(PoisonError::into_inner).0.stop
    }
}

/// Writes until the store is closed.
fn write(shared: &Shared, mut database: Database) {
    let (mut failed, mut closing) = (false, false);
    while let Some(mut news) = shared.take() {
        news.events.make_contiguous();
        let outcome = database.write(&news).map_err(|error| error.to_string());
        for waiting in news.waiting.drain(..) {
            // Whoever has stopped waiting need not be told.
            let _ = waiting.send(outcome.clone());
        }
        match outcome {
            Ok(()) => failed = false,
            Err(error) => {
                if !std::mem::replace(&mut failed, true) {
                    tracing::error!(
                        error,
                        "the alarms cannot be stored; they work on, and it is tried again"
                    );
                }
                // When the store is closed it is tried once more, and then what is left is lost.
                if shared.put_back(news) && std::mem::replace(&mut closing, true) {
                    tracing::error!(error, "the last changes of the alarms are not stored");
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
