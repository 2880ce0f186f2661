//! The SQLite file: its tables, and what is read from and written to it.
//!
//! Write-ahead log with full syncs: what is committed outlives a kill and a power cut. Absent: threads.
//! Invariant: the journal holds at most [`MAX_ENTRIES`] events, the newest ones.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::saved::Saved;
use super::{Kept, News};
use crate::model::{AlarmQuery, AlarmRecord, FirstOut};
use crate::sqlite;

/// The most events that are kept.
const MAX_ENTRIES: i64 = 200_000;

/// By how many events the journal may grow beyond that before it is cut: not at every write.
const SLACK: i64 = 1_000;

/// The most events that are read at once.
const MAX_READ: u32 = 1_000;

/// The tables, version by version; the second one adds the alarm of each group that came first, the third up to which entry of the
/// journal each notifier has told people.
const TABLES: [&str; 3] = [
    "
    CREATE TABLE state (name TEXT PRIMARY KEY, phase TEXT NOT NULL, detail TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE journal (
        id INTEGER PRIMARY KEY, unix_us INTEGER NOT NULL, alarm TEXT NOT NULL, event TEXT NOT NULL,
        before TEXT NOT NULL, after TEXT NOT NULL, condition TEXT, severity TEXT NOT NULL, value TEXT,
        message TEXT, user TEXT, comment TEXT
    );
    CREATE INDEX journal_alarm ON journal (alarm, id);
",
    "
    CREATE TABLE first_out (grp TEXT PRIMARY KEY, alarm TEXT NOT NULL, unix_us INTEGER NOT NULL) WITHOUT ROWID;
",
    "
    CREATE TABLE told (notifier TEXT PRIMARY KEY, entry INTEGER NOT NULL) WITHOUT ROWID;
",
];

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or file.
    #[error("the store of the alarms cannot be used: {0}")]
    Io(#[from] std::io::Error),
    /// The database.
    #[error("the store of the alarms: {0}")]
    Database(#[from] rusqlite::Error),
    /// Made by a later version, or without a folder.
    #[error("the store of the alarms: {0}")]
    Unusable(sqlite::OpenError),
}

impl From<sqlite::OpenError> for StoreError {
    fn from(error: sqlite::OpenError) -> Self {
        match error {
            sqlite::OpenError::Database(error) => Self::Database(error),
            other => Self::Unusable(other),
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
    pub(super) fn open(path: &Path) -> Result<(Self, Kept), StoreError> {
        match open(path) {
            Err(StoreError::Database(error)) if sqlite::is_damage(&error) => {
                let aside = sqlite::put_aside(path)?;
                tracing::error!(
                    file = %path.display(), aside = %aside.display(), %error,
                    "the store of the alarms is damaged: it was put aside, and all alarms begin anew"
                );
                open(path)
            }
            other => other,
        }
    }

    /// Writes all news in one transaction; of the events those in front, which are all of them where they lie in one piece.
    pub(super) fn write(&mut self, news: &News) -> Result<(), rusqlite::Error> {
        let News { states, first_out, told, events, .. } = news;
        let (events, _) = events.as_slices();
        if states.is_empty() && events.is_empty() && first_out.is_empty() && told.is_empty() {
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
            put_first_out(&transaction, first_out)?;
            for (notifier, entry) in told {
                let put = "INSERT OR REPLACE INTO told (notifier, entry) VALUES (?1, ?2)";
                transaction.execute(put, params![&**notifier, entry])?;
            }
            let mut add = transaction.prepare(
                "INSERT INTO journal (id, unix_us, alarm, event, before, after, condition, severity, value, message, user, comment)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?;
            for entry in events {
                add.execute(params![
                    entry.id,
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

fn open(path: &Path) -> Result<(Database, Kept), StoreError> {
    let connection = sqlite::open(path, &TABLES)?;
    let newest = "SELECT coalesce(max(id), 0) FROM journal";
    let kept = Kept {
        states: states(&connection)?,
        first_out: first_outs(&connection)?,
        told: told(&connection)?,
        newest: connection.query_row(newest, [], |row| row.get(0))?,
    };
    // The first write cuts what a run before may have left too long.
    Ok((Database { connection, grown: SLACK }, kept))
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

fn put_first_out(
    connection: &Connection,
    first_out: &BTreeMap<Arc<str>, Option<FirstOut>>,
) -> Result<(), rusqlite::Error> {
    for (group, first) in first_out {
        match first {
            Some(first) => connection.execute(
                "INSERT OR REPLACE INTO first_out (grp, alarm, unix_us) VALUES (?1, ?2, ?3)",
                params![&**group, &*first.alarm, first.unix_us],
            )?,
            None => connection.execute("DELETE FROM first_out WHERE grp = ?1", [&**group])?,
        };
    }
    Ok(())
}

fn first_outs(connection: &Connection) -> Result<HashMap<String, (String, i64)>, rusqlite::Error> {
    let mut all = connection.prepare("SELECT grp, alarm, unix_us FROM first_out")?;
    let rows = all.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    rows.collect()
}

fn told(connection: &Connection) -> Result<HashMap<String, i64>, rusqlite::Error> {
    let mut all = connection.prepare("SELECT notifier, entry FROM told")?;
    let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Counts what has asked for attention since a moment, by alarm and minute.
pub(super) fn told_since(path: &Path, unix_us: i64) -> Result<Vec<(String, i64, u32)>, StoreError> {
    let connection = sqlite::open_to_read(path)?;
    let mut counts = connection.prepare(
        "SELECT alarm, unix_us / 60000000, count(*) FROM journal
         WHERE unix_us >= ?1 AND event IN ('raised', 'escalated') AND after = 'active-unacknowledged' GROUP BY 1, 2",
    )?;
    let rows = counts.query_map([unix_us], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads events, the newest first.
pub(super) fn read(path: &Path, query: &AlarmQuery) -> Result<Vec<AlarmRecord>, StoreError> {
    let connection = sqlite::open_to_read(path)?;
    let mut statement = connection.prepare(
        "SELECT id, unix_us, alarm, event, before, after, condition, severity, value, message, user, comment
         FROM journal WHERE (?1 IS NULL OR alarm = ?1) AND (?2 IS NULL OR event = ?2)
         AND id < ?3 AND unix_us >= ?4 AND unix_us < ?5 ORDER BY id DESC LIMIT ?6",
    )?;
    let AlarmQuery { alarm, event, before, from_us, to_us, limit } = query;
    let before = before.unwrap_or(i64::MAX);
    let (from_us, to_us) = (from_us.unwrap_or(i64::MIN), to_us.unwrap_or(i64::MAX));
    let wanted = params![alarm, event, before, from_us, to_us, limit.min(&MAX_READ)];
    let rows = statement.query_map(wanted, record)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads the newest events behind an entry, the oldest of them first.
pub(super) fn behind(path: &Path, entry: i64, limit: u32) -> Result<Vec<AlarmRecord>, StoreError> {
    let connection = sqlite::open_to_read(path)?;
    let mut statement = connection.prepare(
        "SELECT id, unix_us, alarm, event, before, after, condition, severity, value, message, user, comment
         FROM journal WHERE id > ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let rows = statement.query_map(params![entry, limit], record)?;
    let mut records: Vec<AlarmRecord> = rows.collect::<Result<_, _>>()?;
    records.reverse();
    Ok(records)
}

fn record(row: &rusqlite::Row<'_>) -> Result<AlarmRecord, rusqlite::Error> {
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
}
