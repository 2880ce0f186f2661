//! What is known of many alarms together: groups with their first-out, and figures after EEMUA 191 and ISA-18.2.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::AlarmEvent;

/// More alarms than this within ten minutes are a flood (EEMUA 191, ISA-18.2: more than an operator can see to).
pub const FLOOD: u64 = 10;

/// The alarm of a group that came first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FirstOut {
    /// Its name.
    pub alarm: Arc<str>,
    /// When it came, by the wall clock, in microseconds since 1970.
    pub unix_us: i64,
}

/// A group of alarms as it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmGroup {
    /// The group's name.
    pub name: Arc<str>,
    /// Which of its alarms came first, until nothing of the group asks to be acknowledged.
    pub first_out: Option<FirstOut>,
    /// How many of its alarms somebody has to acknowledge.
    pub unacknowledged: usize,
    /// How many of them are active and neither shelved, suppressed nor out of service.
    pub active: usize,
}

/// How many alarms there are and were. Of the last day; after a start of the gateway without a journal since then.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlarmFigures {
    /// Alarms that people were told of within the last ten minutes.
    pub last_10_minutes: u64,
    /// The same within the last hour.
    pub last_hour: u64,
    /// The same within the last day.
    pub last_day: u64,
    /// The most within any ten minutes of the last day.
    pub peak: u64,
    /// How much of the last day lay in floods: ten minutes with more than [`FLOOD`] alarms.
    pub flooded: Duration,
    /// Alarms that people were told of since the start.
    pub total: u64,
    /// Alarms that are active and neither shelved, suppressed nor out of service.
    pub standing: usize,
    /// Alarms that somebody has to acknowledge.
    pub unacknowledged: usize,
    /// Alarms on the shelf.
    pub shelved: usize,
    /// Alarms suppressed by design.
    pub suppressed: usize,
    /// Alarms out of service.
    pub out_of_service: usize,
    /// Alarms that chatter.
    pub chattering: usize,
    /// The alarms that came most often in the last day, and how often; at most ten.
    pub most_frequent: Vec<(Arc<str>, u64)>,
    /// Events that the journal has lost because the disk did not keep up.
    pub journal_dropped: u64,
}

/// What is known of many alarms together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlarmOverview {
    /// The figures.
    pub figures: AlarmFigures,
    /// Every group, by name.
    pub groups: Vec<AlarmGroup>,
}

/// What a notifier has counted since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifierTally {
    /// Its name.
    pub name: Arc<str>,
    /// `mail` or `webhook`.
    pub way: &'static str,
    /// Messages that were sent.
    pub sent: u64,
    /// Those of them that told of several events.
    pub digests: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Events that nobody was told of.
    pub dropped: u64,
    /// Events that wait now.
    pub waiting: u64,
    /// Why the last attempt failed; `None` after one that did not.
    pub trouble: Option<String>,
}

/// What listeners of the alarms are told.
#[derive(Debug, Clone, Copy)]
pub enum AlarmNews<'a> {
    /// Something has happened to an alarm; and its number in the journal, where it stands there.
    Event(&'a AlarmEvent, Option<i64>),
    /// A group stands differently.
    Group(&'a AlarmGroup),
}
