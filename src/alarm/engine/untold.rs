//! What the journal knows and people have not been told: events that waited for a notifier when the program ended.
//!
//! The journal is written in one transaction with the states, so an alarm that stands as raised after a restart has its entry
//! there. Each notifier keeps up to which entry it has told people. Absent: notifiers. Invariant: an event is taken from the
//! journal at most once for each of them and start, and told at least once.

use std::sync::Arc;

use super::{DAY, Engine, status};
use crate::alarm::detect::Condition;
use crate::model::{AlarmChange, AlarmEvent, AlarmRecord, AlarmState, Severity, Stamp, Texts, Value};

/// The most events that are taken from the journal; of more the newest.
const MAX_UNTOLD: u32 = 10_000;

impl Engine {
    /// The events behind an entry of the journal, the oldest first, with their entries: those of the last day, of alarms that
    /// there still are. Waits for the disk.
    #[must_use]
    pub fn untold(&self, entry: i64) -> Vec<(i64, AlarmEvent)> {
        let Some((store, boot)) = &self.store else { return Vec::new() };
        let records = match store.behind(entry, MAX_UNTOLD) {
            Ok(records) => records,
            Err(error) => {
                tracing::warn!(%error, "what people have not been told of alarms is not known");
                return Vec::new();
            }
        };
        let day = i64::try_from(DAY.as_micros()).unwrap_or(i64::MAX);
        let recent =
            records.into_iter().filter(|record| boot.now.unix_us.saturating_sub(record.unix_us) <= day);
        recent.filter_map(|record| Some((record.id, self.retell(record)?))).collect()
    }

    /// Leaves up to which entry of the journal a notifier has told people.
    pub fn put_told(&self, notifier: &Arc<str>, entry: i64) {
        if let Some((store, _)) = &self.store {
            store.put_told(notifier, entry);
        }
    }

    /// An event of the journal as it was told when it happened.
    fn retell(&self, record: AlarmRecord) -> Option<AlarmEvent> {
        let place = *self.by_name.get(record.alarm.as_str())?;
        let change = AlarmChange::ALL.into_iter().find(|change| change.word() == record.event)?;
        let state = |word: &str| AlarmState::ALL.into_iter().find(|state| state.word() == word);
        let (from, to) = (state(&record.from)?, state(&record.to)?);
        let guarded = self.lock();
        let mut status = status(&guarded.flood.groups, place, &self.rules[place], &guarded.all[place]);
        drop(guarded);
        let at = Stamp { mono: self.clock.mono(), unix_us: record.unix_us };
        status.severity =
            Severity::ALL.into_iter().find(|own| own.word() == record.severity).unwrap_or(status.severity);
        (status.state, status.since) = (to, Some(at));
        status.condition = Condition::ALL
            .into_iter()
            .map(Condition::word)
            .find(|word| Some(*word) == record.condition.as_deref());
        status.active = status.condition.is_some();
        status.value = record.value.as_deref().map(value);
        // The journal has one language; the alarm may still know both.
        if status.message.any().map(|text| &**text) != record.message.as_deref() {
            status.message = record.message.as_deref().map(Texts::from).unwrap_or_default();
        }
        let (by, comment) = (record.by.map(Into::into), record.comment.map(Into::into));
        Some(AlarmEvent { change, at, from, by, comment, status })
    }
}

/// A value as it was, as far as its text tells.
fn value(text: &str) -> Value {
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(number), _) => Value::Int(number),
        (_, Ok(number)) if number.is_finite() => Value::Float(number),
        _ => Value::from(text),
    }
}
