//! What the audit log tells: who changed what, from what to what, and what came of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::csv::write_line;

/// How far the wall clock could be trusted when a record was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockQuality {
    /// It had not been set since the machine came up: its time means nothing.
    Unset,
    /// It had been set, by whomever.
    Set,
    /// A time service kept it.
    Synchronized,
}

impl ClockQuality {
    /// The word for it in records and answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Set => "set",
            Self::Synchronized => "synchronized",
        }
    }
}

/// One record. Its hash covers all other fields and the hash of the record before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// Counts without holes; 0 before it is written.
    pub id: i64,
    /// When it was given, by the wall clock, in microseconds since 1970.
    pub unix_us: i64,
    /// How far that can be trusted.
    pub clock: ClockQuality,
    /// How long it took until the outcome was known, in microseconds, by the monotonic clock.
    pub took_us: i64,
    /// `command`, `configuration`, `reload`, `start`, `stop`; `gap` and `break` tell of the log itself.
    pub kind: String,
    /// Who: `mqtt client panel`, `web page from 192.0.2.7`, `alarm press-too-hot`, `gateway`, `signal`.
    pub origin: String,
    /// What was changed: an output, a configuration file.
    pub subject: String,
    /// What it was before, where that is known.
    pub old: Option<String>,
    /// What it should become.
    pub new: Option<String>,
    /// Of a command `verified`, `confirmed`, `rejected`, `expired`, `superseded`, `mismatch`, `failed`; of all else `done` or `failed`.
    pub outcome: String,
    /// Why, in words.
    pub detail: Option<String>,
    /// The hash, SHA-256 in hexadecimal.
    pub hash: String,
}

impl AuditRecord {
    /// The first line of records as CSV.
    pub const CSV_HEAD: &str = "id,time,clock,kind,origin,subject,old,new,outcome,detail,took_us,hash\r\n";

    /// Writes the record as a line of CSV; `time` is its moment as a text.
    pub fn write_csv(&self, time: &str, out: &mut String) {
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        let fields: [String; 12] = [
            self.id.to_string(),
            time.to_owned(),
            self.clock.word().to_owned(),
            self.kind.clone(),
            self.origin.clone(),
            self.subject.clone(),
            or_empty(&self.old),
            or_empty(&self.new),
            self.outcome.clone(),
            or_empty(&self.detail),
            self.took_us.to_string(),
            self.hash.clone(),
        ];
        write_line(&fields, out);
    }
}

/// What stands before the oldest record that is kept: the chain begins with its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditAnchor {
    /// The last record that is no longer kept; 0 at the beginning.
    pub id: i64,
    /// Its hash.
    pub hash: String,
}

/// Which records are wanted; the newest come first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditQuery {
    /// Of this subject only.
    pub subject: Option<String>,
    /// Whose origin holds this text.
    pub origin: Option<String>,
    /// Older than the record with this id.
    pub before: Option<i64>,
    /// Given at this moment or later, by the wall clock, in microseconds since 1970.
    pub from_us: Option<i64>,
    /// Given before this moment.
    pub to_us: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// An answer: records, and what they hang on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPage {
    /// What stands before the oldest record of all that are kept.
    pub anchor: AuditAnchor,
    /// Records that were lost since the start because the disk did not keep up.
    pub dropped: u64,
    /// The records.
    pub records: Vec<AuditRecord>,
}

/// The way to the audit log for those who show it. Waits for the disk.
pub type AuditReader = Arc<dyn Fn(&AuditQuery) -> Result<AuditPage, String> + Send + Sync>;
