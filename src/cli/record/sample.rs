//! What a gateway's API tells over time, gathered by point and alarm.
//!
//! Pure. All times are the gateway's own: when a value was read and since when an alarm stands as it does, so
//! that it does not matter how long an answer took. Invariant: the times of each series rise.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::Scope;
use crate::model::AlarmState;

/// The most values and changes of one recording: what a file of tests can hold.
const MAX_ENTRIES: usize = 50_000;

/// What a point shows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    pub(super) value: Json,
    pub(super) quality: String,
    pub(super) reason: Option<String>,
}

/// A change of an alarm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Change {
    pub(super) state: AlarmState,
    /// When its shelf ends, in milliseconds from the beginning.
    pub(super) shelved_until: Option<i64>,
}

/// An alarm over time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Track {
    /// How it stood at the beginning, when that was not normal: such an alarm cannot be replayed.
    pub(super) unfit: Option<String>,
    pub(super) state: AlarmState,
    /// By milliseconds from the beginning.
    pub(super) changes: Vec<(i64, Change)>,
}

/// What was seen. Times are milliseconds from the beginning.
#[derive(Debug, PartialEq)]
pub(super) struct Recording {
    /// When it began, in milliseconds since 1970 by the gateway's clock.
    pub(super) begun: i64,
    /// By point.
    pub(super) series: BTreeMap<Arc<str>, Vec<(i64, Shown)>>,
    /// By alarm.
    pub(super) alarms: BTreeMap<Arc<str>, Track>,
    /// When the gateway was looked at last.
    pub(super) last_look: i64,
    /// The longest time between two looks.
    pub(super) longest_gap: i64,
    entries: usize,
}

impl Recording {
    /// Begins with the first look.
    pub(super) fn begin(scope: &Scope, status: &Json, points: &Json, alarms: &Json) -> Result<Self, String> {
        let begun = time(&status["time"]).ok_or_else(|| strange("no time"))?;
        let names = scope.inputs.iter().chain(&scope.outputs);
        let series = names.map(|name| (Arc::clone(name), Vec::new())).collect();
        let mut tracks = BTreeMap::new();
        for name in scope.alarms.keys() {
            let alarm = list(alarms)?.iter().find(|alarm| alarm["name"] == **name);
            let alarm = alarm.ok_or_else(|| {
                format!("the gateway knows no alarm `{name}`; does it run this configuration?")
            })?;
            let state = state(alarm)?;
            let unfit = match (state, &alarm["pending"]) {
                (AlarmState::Normal, Json::Bool(true)) => Some("its delay was running".to_owned()),
                (AlarmState::Normal, _) => None,
                (state, _) => Some(format!("it was {}", state.word())),
            };
            tracks.insert(Arc::clone(name), Track { unfit, state, changes: Vec::new() });
        }
        let mut recording = Self { begun, series, alarms: tracks, last_look: 0, longest_gap: 0, entries: 0 };
        recording.take(points, alarms)?;
        for (name, series) in &recording.series {
            if !list(points)?.iter().any(|point| point["name"] == **name) {
                return Err(format!("the gateway knows no point `{name}`; does it run this configuration?"));
            }
            debug_assert!(series.len() <= 1);
        }
        Ok(recording)
    }

    /// Takes in another look.
    pub(super) fn take(&mut self, points: &Json, alarms: &Json) -> Result<(), String> {
        let mut look = self.last_look;
        for point in list(points)? {
            let read = time(&point["time"]).map(|read| read - self.begun);
            let now = read.zip(point["ageMs"].as_i64()).map(|(read, age)| read + age);
            look = look.max(now.unwrap_or(look));
            let name = point["name"].as_str().unwrap_or_default();
            let Some(series) = self.series.get_mut(name) else { continue };
            let quality = point["quality"].as_str().unwrap_or_default().to_owned();
            let reason = point["reason"].as_str().map(str::to_owned);
            // What was never read has no place in a test.
            let (Some(read), Some(now)) = (read, now) else { continue };
            let bad = quality == "bad";
            let value = if bad { Json::Null } else { point["value"].clone() };
            let shown = Shown { value, quality, reason };
            if series.last().is_some_and(|(_, last)| *last == shown) {
                continue;
            }
            let before = series.last().map_or(0, |(at, _)| *at);
            let at = if bad { now } else { read };
            series.push((at.max(before).max(0), shown));
            self.entries += 1;
        }
        self.longest_gap = self.longest_gap.max(look - self.last_look);
        self.last_look = look;
        self.take_alarms(alarms)?;
        match self.entries > MAX_ENTRIES {
            true => {
                Err(format!("more than {MAX_ENTRIES} values: record fewer points, or for a shorter time"))
            }
            false => Ok(()),
        }
    }

    fn take_alarms(&mut self, alarms: &Json) -> Result<(), String> {
        for alarm in list(alarms)? {
            let name = alarm["name"].as_str().unwrap_or_default();
            let Some(track) = self.alarms.get_mut(name) else { continue };
            let now = state(alarm)?;
            if now == track.state {
                continue;
            }
            track.state = now;
            let since = time(&alarm["since"]).ok_or_else(|| strange("an alarm without `since`"))?;
            let shelved_until = time(&alarm["shelvedUntil"]).map(|until| until - self.begun);
            track.changes.push(((since - self.begun).max(0), Change { state: now, shelved_until }));
            self.entries += 1;
        }
        Ok(())
    }
}

fn list(json: &Json) -> Result<&Vec<Json>, String> {
    json.as_array().ok_or_else(|| strange("no list"))
}

fn state(alarm: &Json) -> Result<AlarmState, String> {
    let word = alarm["state"].as_str().unwrap_or_default();
    AlarmState::ALL.into_iter().find(|state| state.word() == word).ok_or_else(|| strange("an unknown state"))
}

fn time(json: &Json) -> Option<i64> {
    json.as_str()?.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

fn strange(what: &str) -> String {
    format!("the answer holds {what}; is it another version of iogate?")
}
