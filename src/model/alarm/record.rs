//! What the journal of the alarms tells.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::AlarmEvent;

/// One event of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmRecord {
    /// Grows with every event; 0 before it is written.
    pub id: i64,
    /// When, by the wall clock, in microseconds since 1970.
    pub unix_us: i64,
    /// Which alarm.
    pub alarm: String,
    /// What has happened.
    pub event: String,
    /// The state before.
    pub from: String,
    /// The state after.
    pub to: String,
    /// What is the matter.
    pub condition: Option<String>,
    /// How much it matters.
    pub severity: String,
    /// The value, as text.
    pub value: Option<String>,
    /// What was told.
    pub message: Option<String>,
    /// Who did it.
    pub by: Option<String>,
    /// Why.
    pub comment: Option<String>,
}

/// Which events are wanted; the newest come first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlarmQuery {
    /// Of this alarm only.
    pub alarm: Option<String>,
    /// Of this kind only.
    pub event: Option<String>,
    /// Older than the event with this id.
    pub before: Option<i64>,
    /// Not before this moment by the wall clock, in microseconds since 1970.
    pub from_us: Option<i64>,
    /// Before this moment.
    pub to_us: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// The way to the journal for those who show it. Waits for the disk.
pub type AlarmJournal = Arc<dyn Fn(&AlarmQuery) -> Result<Vec<AlarmRecord>, String> + Send + Sync>;

impl AlarmRecord {
    /// An event as the journal holds it.
    #[must_use]
    pub fn of(event: &AlarmEvent) -> Self {
        let status = &event.status;
        Self {
            id: 0,
            unix_us: event.at.unix_us,
            alarm: status.name.to_string(),
            event: event.change.word().to_owned(),
            from: event.from.word().to_owned(),
            to: status.state.word().to_owned(),
            condition: status.condition.map(str::to_owned),
            severity: status.severity.word().to_owned(),
            value: status.value.as_ref().map(ToString::to_string),
            message: status.message.any().map(ToString::to_string),
            by: event.by.as_ref().map(ToString::to_string),
            comment: event.comment.as_ref().map(ToString::to_string),
        }
    }
}
