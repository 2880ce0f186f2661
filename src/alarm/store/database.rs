//! The SQLite file: its tables, and what is read from and written to it.
//!
//! Write-ahead log with full syncs: what is committed outlives a kill and a power cut. Absent: threads.
//! Invariant: the journal holds at most [`MAX_ENTRIES`] events, the newest ones.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::saved::Saved;
use crate::model::{AlarmQuery, AlarmRecord};
use crate::sqlite::{self, OpenError, is_damage, put_aside};

/// The most events that are kept.
const MAX_ENTRIES: i64 = 200_000;

/// By how many events the journal may grow beyond that before it is cut: not at every write.
const SLACK: i64 = 1_000;

/// The most events that are read at once.
const MAX_READ: u32 = 1_000;

/// The version of the tables.
const VERSION: i64 = 1;

const TABLES: &str = "
    CREATE TABLE state (name TEXT PRIMARY KEY, phase TEXT NOT NULL, detail TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE journal (
        id INTEGER PRIMARY KEY, unix_us INTEGER NOT NULL, alarm TEXT NOT NULL, event TEXT NOT NULL,
        before TEXT NOT NULL, after TEXT NOT NULL, condition TEXT, severity TEXT NOT NULL, value TEXT,
        message TEXT, user TEXT, comment TEXT
    );
    CREATE INDEX journal_alarm ON journal (alarm, id);
";

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or file.
    #[error("the store of the alarms cannot be used: {0}")]
    Io(#[from] std::io::Error),
    /// The database.
    #[error("the store of the alarms: {0}")]
    Database(#[from] rusqlite::Error),
    /// Made by another version.
    #[error("the store of the alarms was made by another version of iogate (tables {0}, not {VERSION})")]
    Version(i64),
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Database(error) => Self::Database(error),
            OpenError::Version(found) => Self::Version(found),
        }
    }
}

/// The file, open for writing.
pub(super) struct Database {
    connection: Connection,
    /// How many events were written since the journal was cut.
    grown: i64,
}

impl Database {
    /// Opens the file, or begins a new one where there is none or a damaged one.
    pub(super) fn open(path: &Path) -> Result<(Self, HashMap<String, Saved>), StoreError> {
        match open(path) {
            Err(StoreError::Database(error)) if is_damage(&error) => {
                let aside = put_aside(path)?;
                tracing::error!(
                    file = %path.display(), aside = %aside.display(), %error,
                    "the store of the alarms is damaged: it was put aside, and all alarms begin anew"
                );
                open(path)
            }
            other => other,
        }
    }

    /// Writes states and events in one transaction.
    pub(super) fn write(
        &mut self,
        states: &BTreeMap<Arc<str>, Saved>,
        events: &[AlarmRecord],
    ) -> Result<(), rusqlite::Error> {
        if states.is_empty() && events.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        {
            let mut put = transaction
                .prepare("INSERT OR REPLACE INTO state (name, phase, detail) VALUES (?1, ?2, ?3)")?;
            for (name, saved) in states {
                // Plain data with text keys: writing it into memory cannot fail.
                put.execute(params![
                    &**name,
                    saved.state_word(),
                    serde_json::to_string(saved).unwrap_or_default()
                ])?;
            }
            let mut add = transaction.prepare(
                "INSERT INTO journal (unix_us, alarm, event, before, after, condition, severity, value, message, user, comment)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?;
            for entry in events {
                add.execute(params![
                    entry.unix_us,
                    entry.alarm,
                    entry.event,
                    entry.from,
                    entry.to,
                    entry.condition,
                    entry.severity,
                    entry.value,
                    entry.message,
                    entry.by,
                    entry.comment
                ])?;
            }
        }
        let grown = self.grown + i64::try_from(events.len()).unwrap_or(SLACK);
        let cut = grown >= SLACK;
        if cut {
            transaction.execute(
                "DELETE FROM journal WHERE id <= (SELECT max(id) FROM journal) - ?1",
                [MAX_ENTRIES],
            )?;
        }
        transaction.commit()?;
        self.grown = if cut { 0 } else { grown };
        Ok(())
    }
}

fn open(path: &Path) -> Result<(Database, HashMap<String, Saved>), StoreError> {
    let connection = sqlite::open(path, VERSION, TABLES)?;
    let saved = states(&connection)?;
    // The first write cuts what a run before may have left too long.
    Ok((Database { connection, grown: SLACK }, saved))
}

fn states(connection: &Connection) -> Result<HashMap<String, Saved>, StoreError> {
    let mut all = connection.prepare("SELECT name, detail FROM state")?;
    let rows = all.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut states = HashMap::new();
    for row in rows {
        let (name, detail) = row?;
        match serde_json::from_str(&detail) {
            Ok(saved) => drop(states.insert(name, saved)),
            Err(error) => {
                tracing::warn!(alarm = name, %error, "its stored state cannot be read; it begins anew");
            }
        }
    }
    Ok(states)
}

/// Reads events, the newest first.
pub(super) fn read(path: &Path, query: &AlarmQuery) -> Result<Vec<AlarmRecord>, StoreError> {
    let connection = sqlite::open_to_read(path)?;
    let mut wanted = connection.prepare(
        "SELECT id, unix_us, alarm, event, before, after, condition, severity, value, message, user, comment
         FROM journal WHERE (?1 IS NULL OR alarm = ?1) AND id < ?2 ORDER BY id DESC LIMIT ?3",
    )?;
    let limit = query.limit.min(MAX_READ);
    let rows = wanted.query_map(params![query.alarm, query.before.unwrap_or(i64::MAX), limit], |row| {
        Ok(AlarmRecord {
            id: row.get(0)?,
            unix_us: row.get(1)?,
            alarm: row.get(2)?,
            event: row.get(3)?,
            from: row.get(4)?,
            to: row.get(5)?,
            condition: row.get(6)?,
            severity: row.get(7)?,
            value: row.get(8)?,
            message: row.get(9)?,
            by: row.get(10)?,
            comment: row.get(11)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
