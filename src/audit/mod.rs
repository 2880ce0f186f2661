//! The audit log: every command to an output and every change of the configuration, with who, what and when.
//!
//! `chain` makes records tamper-evident, `store` keeps them in one SQLite file, and here one thread writes what
//! others leave. Alarms have a journal of their own. Absent: any wait in the way of a command, and who may read.
//! Invariants: the queue is bounded, and what it had to drop is told in the chain itself; a file that cannot
//! be used is put aside and told of.

pub mod chain;
pub mod store;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::command::Release;
use crate::model::{AuditPage, AuditQuery, AuditRecord, ClockQuality, CommandRecord, Outcome, Stamp};
use crate::sqlite;
use store::Database;

/// The file in the state directory.
pub const FILE: &str = "audit.sqlite";

/// The most records that wait to be written; more are dropped, counted, and told of in the chain.
const MAX_WAITING: usize = 10_000;

/// The longest text of a record, in bytes; the rest is cut off.
const MAX_TEXT: usize = 1_024;

/// How long records are gathered when nobody waits for them: one sync for all, and a kill loses no more.
const GATHER: Duration = Duration::from_millis(50);

/// The pause after a write that failed.
const RETRY: Duration = Duration::from_secs(5);

/// Before 2024 no machine that runs this had its clock set.
const LEAST_UNIX_US: i64 = 1_704_067_200_000_000;

/// What a time service leaves there once it has set the clock (systemd-timesyncd.service(8)).
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// Tells when all that was left before is safe, or why it is not.
pub type Written = oneshot::Receiver<Result<(), String>>;

/// Why there can be no audit log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The directory or file.
    #[error("the audit log cannot be used: {0}")]
    Io(#[from] std::io::Error),
    /// The database.
    #[error("the audit log: {0}")]
    Database(rusqlite::Error),
    /// Made by another version, or without a folder.
    #[error("the audit log: {0}")]
    Unusable(sqlite::OpenError),
}

impl From<rusqlite::Error> for AuditError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<sqlite::OpenError> for AuditError {
    fn from(error: sqlite::OpenError) -> Self {
        match error {
            sqlite::OpenError::Database(error) => Self::Database(error),
            other => Self::Unusable(other),
        }
    }
}

/// The audit log of a running gateway. Dropping it writes what is left.
pub struct Audit {
    shared: Arc<Shared>,
    path: PathBuf,
    writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    records: VecDeque<AuditRecord>,
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
    /// Records dropped since the start, and how many of them the chain tells of.
    dropped: u64,
    told: u64,
    stop: bool,
}

impl Audit {
    /// Opens the log in the state directory and tells in it with which configuration the gateway begins.
    ///
    /// # Errors
    /// The directory cannot be used at all; a damaged file is put aside instead.
    pub fn open(directory: &Path, configuration: (&str, &str), at: Stamp) -> Result<Self, AuditError> {
        let path = directory.join(FILE);
        let (mut database, damage) = Database::open(&path)?;
        let (name, digest) = configuration;
        database.begin(digest, |former| {
            let damage = damage
                .map(|detail| AuditRecord { detail: Some(detail), ..plain("break", "gateway", "audit", at) });
            let changed = former.as_deref().is_some_and(|former| former != digest);
            let start = AuditRecord {
                old: former,
                new: Some(digest.to_owned()),
                detail: Some(format!("iogate {}", env!("CARGO_PKG_VERSION"))),
                ..plain(if changed { "configuration" } else { "start" }, "gateway", name, at)
            };
            damage.into_iter().chain([start]).collect()
        })?;
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let writer =
            std::thread::Builder::new().name("audit log".into()).spawn(move || write(&own, database))?;
        Ok(Self { shared, path, writer: Some(writer) })
    }

    /// Takes in a command that has ended. Quick: it only leaves the record to the writer.
    pub fn command(&self, command: &CommandRecord) {
        let request = &command.request;
        let detail = match &command.outcome {
            Outcome::Rejected(why) | Outcome::Failed(why) => Some(why.clone()),
            Outcome::Verified { read_back } | Outcome::Mismatch { read_back } => {
                Some(format!("reads {read_back}"))
            }
            _ => None,
        };
        let took = command.ended.mono.saturating_duration_since(request.given.mono);
        self.put(AuditRecord {
            took_us: i64::try_from(took.as_micros()).unwrap_or(i64::MAX),
            old: request.old.as_ref().map(ToString::to_string),
            new: Some(request.setpoint.to_string()),
            outcome: command.outcome.code().to_owned(),
            detail,
            ..plain("command", &request.origin.to_string(), &command.output, request.given)
        });
    }

    /// Takes in that somebody has let go of an output, or could not.
    pub fn release(&self, release: &Release) {
        let (old, outcome, detail) = match &release.outcome {
            Ok((holder, value)) => (value.as_ref(), "done", format!("held by {holder}")),
            Err(why) => (None, "rejected", why.clone()),
        };
        self.put(AuditRecord {
            old: old.map(ToString::to_string),
            outcome: outcome.into(),
            detail: Some(detail),
            ..plain("release", &release.origin.to_string(), &release.output, release.at)
        });
    }

    /// Takes in something that happened to the gateway as a whole, `reload` or `stop`: what came of it, or why it failed.
    pub fn event(
        &self,
        kind: &str,
        origin: &str,
        subject: &str,
        outcome: Result<Option<String>, String>,
        at: Stamp,
    ) {
        let (word, detail) = match outcome {
            Ok(detail) => ("done", detail),
            Err(why) => ("failed", Some(why)),
        };
        self.put(AuditRecord { outcome: word.into(), detail, ..plain(kind, origin, subject, at) });
    }

    fn put(&self, mut record: AuditRecord) {
        for text in [&mut record.origin, &mut record.subject] {
            shorten(text);
        }
        [&mut record.old, &mut record.new, &mut record.detail].into_iter().flatten().for_each(shorten);
        let mut pending = self.shared.lock();
        match pending.records.len() {
            MAX_WAITING.. => pending.dropped += 1,
            _ => pending.records.push_back(record),
        }
        drop(pending);
        self.shared.changed.notify_one();
    }

    /// Tells when all that was left before is safe.
    #[must_use]
    pub fn written(&self) -> Written {
        let (told, written) = oneshot::channel();
        self.shared.lock().waiting.push(told);
        self.shared.changed.notify_one();
        written
    }

    /// Records, the newest first. Waits for the disk.
    ///
    /// # Errors
    /// What the database says.
    pub fn page(&self, query: &AuditQuery) -> Result<AuditPage, String> {
        let page = store::read(&self.path, query).map_err(|error| error.to_string())?;
        Ok(AuditPage { dropped: self.dropped(), ..page })
    }

    /// How many records were dropped because the disk did not keep up.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.lock().dropped
    }
}

impl Drop for Audit {
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

    /// Waits for news; `None` when there will be no more.
    fn take(&self) -> Option<MutexGuard<'_, Pending>> {
        let idle =
            |pending: &mut Pending| pending.records.is_empty() && pending.waiting.is_empty() && !pending.stop;
        let pending = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let patient = |pending: &mut Pending| pending.waiting.is_empty() && !pending.stop;
        let gathered = self.changed.wait_timeout_while(pending, GATHER, patient);
        let pending = gathered.unwrap_or_else(PoisonError::into_inner).0;
        let over = pending.stop && pending.records.is_empty() && pending.waiting.is_empty();
        (!over).then_some(pending)
    }

    /// Puts back what could not be written, ahead of what is newer. `true` when the log is being closed.
    fn put_back(&self, old: Vec<AuditRecord>) -> bool {
        let mut pending = self.lock();
        for record in old.into_iter().rev() {
            match pending.records.len() {
                MAX_WAITING.. => pending.dropped += 1,
                _ => pending.records.push_front(record),
            }
        }
        let stopped = self.changed.wait_timeout_while(pending, RETRY, |pending| !pending.stop);
        stopped.unwrap_or_else(PoisonError::into_inner).0.stop
    }
}

/// Writes until the log is closed.
fn write(shared: &Shared, mut database: Database) {
    if let Some(broken) = check(&database) {
        // Told at once, also when nothing else ever happens.
        shared.lock().records.push_front(broken);
    }
    let (mut failed, mut closing) = (false, false);
    while let Some(mut pending) = shared.take() {
        let mut records: Vec<AuditRecord> = pending.records.drain(..).collect();
        let waiting = std::mem::take(&mut pending.waiting);
        let (dropped, told) = (pending.dropped, pending.told);
        drop(pending);
        if let Some(last) = records.last().filter(|_| dropped > told) {
            records.push(gap(dropped - told, last.unix_us));
        }
        let synchronized = Path::new(SYNCHRONIZED).exists();
        for record in records.iter_mut().filter(|record| record.clock == ClockQuality::Set && synchronized) {
            record.clock = ClockQuality::Synchronized;
        }
        let outcome = database.write(&mut records).map_err(|error| error.to_string());
        for waiting in waiting {
            // Whoever has stopped waiting need not be told.
            let _ = waiting.send(outcome.clone());
        }
        match outcome {
            Ok(()) => {
                failed = false;
                shared.lock().told = dropped;
            }
            Err(error) => {
                if !std::mem::replace(&mut failed, true) {
                    tracing::error!(error, "the audit log cannot be written; it is tried again");
                }
                // The gap is told anew, with what is lost meanwhile.
                records.retain(|record| record.kind != GAP);
                // When the log is closed it is tried once more, and then what is left is lost.
                if shared.put_back(records) && std::mem::replace(&mut closing, true) {
                    tracing::error!(error, "the last records of the audit log are not written");
                    return;
                }
            }
        }
    }
}

/// The kind of a record that tells of lost ones.
const GAP: &str = "gap";

/// What is wrong with the chain as it was found, as its next record.
fn check(database: &Database) -> Option<AuditRecord> {
    let told = match database.verify() {
        Ok(Ok(_)) => return None,
        Ok(Err(broken)) => broken.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::error!(reason = told, "the audit log does not verify; what follows is a chain again");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let unix_us = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
    Some(AuditRecord { detail: Some(told), ..at_wall("break", "gateway", "audit", unix_us) })
}

fn gap(lost: u64, unix_us: i64) -> AuditRecord {
    let detail = Some(format!("{lost} records were lost: the disk did not keep up"));
    AuditRecord { detail, ..at_wall(GAP, "gateway", "audit", unix_us) }
}

fn plain(kind: &str, origin: &str, subject: &str, at: Stamp) -> AuditRecord {
    at_wall(kind, origin, subject, at.unix_us)
}

fn at_wall(kind: &str, origin: &str, subject: &str, unix_us: i64) -> AuditRecord {
    let clock = if unix_us < LEAST_UNIX_US { ClockQuality::Unset } else { ClockQuality::Set };
    AuditRecord {
        id: 0,
        unix_us,
        clock,
        took_us: 0,
        kind: kind.into(),
        origin: origin.into(),
        subject: subject.into(),
        old: None,
        new: None,
        outcome: "done".into(),
        detail: None,
        hash: String::new(),
    }
}

fn shorten(text: &mut String) {
    if text.len() > MAX_TEXT {
        let most = MAX_TEXT - '…'.len_utf8();
        text.truncate((0..=most).rfind(|at| text.is_char_boundary(*at)).unwrap_or(0));
        text.push('…');
    }
}

#[cfg(test)]
mod tests;
