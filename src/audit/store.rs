//! The SQLite file of the audit log: its tables, and what is read from and written to it.
//!
//! Absent: threads. Invariants: ids count without holes; whatever is cut from the beginning leaves its last
//! record's hash as the anchor in the same transaction, so that the rest can be verified at any time.

use std::path::Path;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::AuditError;
use super::chain::{Broken, Walk, beginning, hash};
use crate::model::{AuditAnchor, AuditPage, AuditQuery, AuditRecord, ClockQuality};
use crate::sqlite;

/// The most records that are kept; the oldest go.
pub const MAX_RECORDS: i64 = 100_000;

/// By how many records the log may grow beyond that before it is cut: not at every write.
const SLACK: i64 = 1_000;

/// The most records that are read at once.
pub const MAX_READ: u32 = 1_000;

/// The tables, version by version.
const TABLES: [&str; 1] = ["
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY, unix_us INTEGER NOT NULL, clock TEXT NOT NULL, took_us INTEGER NOT NULL,
        kind TEXT NOT NULL, origin TEXT NOT NULL, subject TEXT NOT NULL, old TEXT, new TEXT,
        outcome TEXT NOT NULL, detail TEXT, hash TEXT NOT NULL
    );
    CREATE TABLE anchor (id INTEGER NOT NULL, hash TEXT NOT NULL);
    CREATE TABLE configuration (digest TEXT NOT NULL);
"];

const COLUMNS: &str = "id, unix_us, clock, took_us, kind, origin, subject, old, new, outcome, detail, hash";

/// The file, open for writing.
pub(super) struct Database {
    connection: Connection,
    /// The newest record.
    last: AuditAnchor,
    most: i64,
}

impl Database {
    /// Opens the file, or begins a new one where there is none or a damaged one. Tells of a damaged one.
    pub(super) fn open(path: &Path) -> Result<(Self, Option<String>), AuditError> {
        match Self::open_with(path, MAX_RECORDS) {
            Err(AuditError::Database(error)) if sqlite::is_damage(&error) => {
                let aside = sqlite::put_aside(path)?;
                let told =
                    format!("the log before was damaged ({error}) and put aside as {}", aside.display());
                tracing::error!(file = %path.display(), "the audit log begins anew: {told}");
                Ok((Self::open_with(path, MAX_RECORDS)?, Some(told)))
            }
            other => other.map(|database| (database, None)),
        }
    }

    pub(super) fn open_with(path: &Path, most: i64) -> Result<Self, AuditError> {
        let connection = sqlite::open(path, &TABLES)?;
        let newest = "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1";
        let newest = connection.query_row(newest, [], anchor_of).optional()?;
        let last = newest.map_or_else(|| anchor(&connection), Ok)?;
        Ok(Self { connection, last, most })
    }

    /// Gives records their ids and hashes, and writes them in one transaction.
    pub(super) fn write(&mut self, records: &mut [AuditRecord]) -> Result<(), rusqlite::Error> {
        self.write_with(records, |_| Ok(()))
    }

    /// Keeps which configuration runs, and in the same transaction the records that `records` makes of the one
    /// that ran last, if that is known: a change cannot be forgotten by a kill in between.
    pub(super) fn begin(
        &mut self,
        digest: &str,
        records: impl FnOnce(Option<String>) -> Vec<AuditRecord>,
    ) -> Result<(), rusqlite::Error> {
        let former = "SELECT digest FROM configuration";
        let former = self.connection.query_row(former, [], |row| row.get(0)).optional()?;
        self.write_with(&mut records(former), |transaction| {
            transaction.execute("DELETE FROM configuration", [])?;
            transaction.execute("INSERT INTO configuration (digest) VALUES (?1)", [digest]).map(drop)
        })
    }

    fn write_with(
        &mut self,
        records: &mut [AuditRecord],
        besides: impl FnOnce(&Transaction<'_>) -> Result<(), rusqlite::Error>,
    ) -> Result<(), rusqlite::Error> {
        let mut last = self.last.clone();
        for record in records.iter_mut() {
            record.id = last.id + 1;
            record.hash = hash(&last.hash, record);
            last = AuditAnchor { id: record.id, hash: record.hash.clone() };
        }
        let transaction = self.connection.transaction()?;
        insert(&transaction, records)?;
        besides(&transaction)?;
        cut(&transaction, last.id, self.most)?;
        transaction.commit()?;
        self.last = last;
        Ok(())
    }

    /// Verifies the whole chain.
    pub(super) fn verify(&self) -> Result<Result<AuditAnchor, Broken>, rusqlite::Error> {
        let mut walk = Walk::new(anchor(&self.connection)?, None);
        let mut all = self.connection.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY id"))?;
        let rows = all.query_map([], record_of)?;
        for record in rows {
            if let Err(broken) = walk.step(&record?) {
                return Ok(Err(broken));
            }
        }
        Ok(walk.end())
    }
}

fn insert(transaction: &Transaction<'_>, records: &[AuditRecord]) -> Result<(), rusqlite::Error> {
    let sql =
        format!("INSERT INTO audit ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)");
    let mut add = transaction.prepare(&sql)?;
    for record in records {
        add.execute(params![
            record.id,
            record.unix_us,
            record.clock.word(),
            record.took_us,
            record.kind,
            record.origin,
            record.subject,
            record.old,
            record.new,
            record.outcome,
            record.detail,
            record.hash
        ])?;
    }
    Ok(())
}

/// Cuts the oldest records once there are too many, and leaves the last of them as the anchor.
fn cut(transaction: &Transaction<'_>, newest: i64, most: i64) -> Result<(), rusqlite::Error> {
    let oldest: Option<i64> = transaction.query_row("SELECT min(id) FROM audit", [], |row| row.get(0))?;
    let slack = SLACK.min(most);
    if oldest.is_none_or(|oldest| newest - oldest < most + slack) {
        return Ok(());
    }
    let gone = newest - most;
    let last = transaction.query_row("SELECT id, hash FROM audit WHERE id = ?1", [gone], anchor_of)?;
    transaction.execute("DELETE FROM anchor", [])?;
    transaction.execute("INSERT INTO anchor (id, hash) VALUES (?1, ?2)", params![last.id, last.hash])?;
    transaction.execute("DELETE FROM audit WHERE id <= ?1", [gone])?;
    Ok(())
}

fn anchor(connection: &Connection) -> Result<AuditAnchor, rusqlite::Error> {
    let found = connection.query_row("SELECT id, hash FROM anchor", [], anchor_of).optional()?;
    Ok(found.unwrap_or_else(beginning))
}

fn anchor_of(row: &Row<'_>) -> Result<AuditAnchor, rusqlite::Error> {
    Ok(AuditAnchor { id: row.get(0)?, hash: row.get(1)? })
}

fn record_of(row: &Row<'_>) -> Result<AuditRecord, rusqlite::Error> {
    let clock: String = row.get(2)?;
    let words = [ClockQuality::Unset, ClockQuality::Set, ClockQuality::Synchronized];
    let clock = words.into_iter().find(|quality| quality.word() == clock);
    Ok(AuditRecord {
        id: row.get(0)?,
        unix_us: row.get(1)?,
        clock: clock.ok_or_else(|| rusqlite::Error::InvalidColumnType(2, "clock".into(), Type::Text))?,
        took_us: row.get(3)?,
        kind: row.get(4)?,
        origin: row.get(5)?,
        subject: row.get(6)?,
        old: row.get(7)?,
        new: row.get(8)?,
        outcome: row.get(9)?,
        detail: row.get(10)?,
        hash: row.get(11)?,
    })
}

/// Reads records, the newest first, together with the anchor of the same moment.
///
/// # Errors
/// What the database says.
pub fn read(path: &Path, query: &AuditQuery) -> Result<AuditPage, rusqlite::Error> {
    let mut connection = sqlite::open_to_read(path)?;
    let moment = connection.transaction()?;
    let anchor = anchor(&moment)?;
    let sql = format!(
        "SELECT {COLUMNS} FROM audit WHERE (?1 IS NULL OR subject = ?1) AND (?2 IS NULL OR instr(origin, ?2) > 0)
         AND id < ?3 AND unix_us >= ?4 AND unix_us < ?5 ORDER BY id DESC LIMIT ?6"
    );
    let records = {
        let mut wanted = moment.prepare(&sql)?;
        let AuditQuery { subject, origin, before, from_us, to_us, limit } = query;
        let before = before.unwrap_or(i64::MAX);
        let (from_us, to_us) = (from_us.unwrap_or(i64::MIN), to_us.unwrap_or(i64::MAX));
        let limit = limit.min(&MAX_READ);
        let rows = wanted.query_map(params![subject, origin, before, from_us, to_us, limit], record_of)?;
        rows.collect::<Result<_, _>>()?
    };
    Ok(AuditPage { anchor, dropped: 0, records })
}
