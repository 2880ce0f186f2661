//! Times and values as they are written in cases, so that what is printed can be copied into one.

use std::fmt::Write as _;
use std::time::Duration;

use super::Happened;
use crate::config::cases::Signal;
use crate::model::{AlarmState, PointTable, Value};

/// What stands behind a time in a case.
pub(super) trait Word {
    fn word(&self) -> String;
}

impl Word for AlarmState {
    fn word(&self) -> String {
        AlarmState::word(*self).to_owned()
    }
}

impl Word for Value {
    fn word(&self) -> String {
        value(self)
    }
}

/// A time as people write it, to the millisecond: `1h2m3.5s`.
#[must_use]
pub fn time(time: Duration) -> String {
    let ms = time.as_millis();
    let (hours, minutes, seconds, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    let mut text = String::new();
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    if rest > 0 {
        let fraction = format!("{rest:03}");
        let _ = write!(text, "{seconds}.{}s", fraction.trim_end_matches('0'));
    } else if seconds > 0 || text.is_empty() {
        let _ = write!(text, "{seconds}s");
    }
    text
}

/// A value as people write it: states are `on` and `off`.
#[must_use]
pub fn value(value: &Value) -> String {
    match value {
        Value::Bool(true) => "on".into(),
        Value::Bool(false) => "off".into(),
        other => other.to_string(),
    }
}

/// A reading as people write it.
#[must_use]
pub(super) fn signal(signal: &Signal) -> String {
    match signal {
        Signal::Silent => "not read yet".into(),
        Signal::Reads(None, quality) => quality.to_string(),
        Signal::Reads(Some(reads), quality) if quality.is_good() => value(reads),
        Signal::Reads(Some(reads), quality) => format!("{}, {quality}", value(reads)),
    }
}

/// Everything that happened, by time, one event a line.
#[must_use]
pub fn timeline(happened: &Happened, points: &PointTable) -> String {
    let alarms = happened.alarms.iter().map(|seen| {
        (seen.at, format!("alarm {:<24} {:<24} {}", seen.name, AlarmState::word(seen.state), seen.why))
    });
    let writes = happened
        .writes
        .iter()
        .map(|seen| (seen.at, format!("write {:<24} {}", points.get(seen.point).name, value(&seen.value))));
    let mut events: Vec<(Duration, String)> = alarms.chain(writes).collect();
    events.sort_by_key(|(at, _)| *at);
    let mut text = String::new();
    for (at, event) in events {
        let _ = writeln!(text, "{:<10} {event}", time(at));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::units::Period;

    #[test]
    fn times_are_short() {
        for (ms, text) in
            [(0, "0s"), (500, "0.5s"), (62_000, "1m2s"), (3_600_000, "1h"), (3_661_001, "1h1m1.001s")]
        {
            assert_eq!(time(Duration::from_millis(ms)), text);
        }
    }

    proptest! {
        #[test]
        fn a_time_reads_back_to_the_millisecond(ms in 0u64..4_000_000_000) {
            let wanted = Duration::from_millis(ms);
            prop_assert_eq!(time(wanted).parse(), Ok(Period(wanted)));
        }
    }
}
