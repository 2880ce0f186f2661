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

/// Who does in the journal what nobody asked for.
const ITSELF: &str = "gateway";

/// How the origins of those begin who give commands.
const ORIGINS: [&str; 2] = ["mqtt client ", "web page from "];

/// The longest that an alarm is shelved, in milliseconds.
const LONGEST_SHELF_MS: i64 = 24 * 3_600_000;

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
    /// Whether somebody did it; not known of what was only looked at.
    pub(super) by_hand: Option<bool>,
}

/// A command of somebody to an output.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    pub(super) output: String,
    pub(super) value: Json,
    pub(super) outcome: String,
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
    /// By milliseconds from the beginning.
    pub(super) commands: Vec<(i64, Given)>,
    /// What the recording lacks, in words.
    pub(super) notes: Vec<String>,
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
        let (commands, notes) = (Vec::new(), Vec::new());
        let mut recording =
            Self { begun, series, alarms: tracks, commands, notes, last_look: 0, longest_gap: 0, entries: 0 };
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
            let change = Change { state: now, shelved_until, by_hand: None };
            track.changes.push(((since - self.begun).max(0), change));
            self.entries += 1;
        }
        Ok(())
    }
}

impl Recording {
    /// Takes the journal of the alarms in the place of what the looks have shown of them: no change is missing there.
    pub(super) fn take_journal(&mut self, events: &[Json]) -> Result<(), String> {
        let mut seen = BTreeMap::new();
        for (name, track) in &mut self.alarms {
            seen.insert(Arc::clone(name), std::mem::take(&mut track.changes));
        }
        for event in events {
            let name = event["alarm"].as_str().unwrap_or_default();
            let Some(track) = self.alarms.get_mut(name) else { continue };
            let at = moment(event, self.begun)?;
            if event["from"] == event["to"] || at > self.last_look {
                continue;
            }
            let state = state_of(&event["to"])?;
            // The journal does not tell when a shelf ends. One that no look has met was ended by somebody at once.
            let until = seen.get(name).into_iter().flatten().find_map(|(since, change)| {
                let same = change.state == AlarmState::Shelved && since.abs_diff(at) <= 2;
                change.shelved_until.filter(|_| same)
            });
            let shelved_until =
                (state == AlarmState::Shelved).then(|| until.unwrap_or(at + LONGEST_SHELF_MS));
            let by_hand = Some(event["by"].as_str().is_some_and(|by| by != ITSELF));
            track.changes.push((at.max(0), Change { state, shelved_until, by_hand }));
            self.entries += 1;
        }
        Ok(())
    }

    /// Takes what people and programs commanded the outputs in `scope` from the audit log.
    pub(super) fn take_commands(&mut self, scope: &Scope, records: &[Json]) {
        for record in records {
            let word = |key: &str| record[key].as_str().unwrap_or_default();
            let (output, outcome) = (word("subject"), word("outcome"));
            let somebody = ORIGINS.iter().any(|origin| word("origin").starts_with(origin));
            let Ok(at) = moment(record, self.begun) else { continue };
            let within = (0..=self.last_look).contains(&at);
            if word("kind") != "command" || !somebody || !within {
                continue;
            }
            let Some(name) = scope.outputs.iter().find(|name| ***name == *output) else { continue };
            if !["verified", "confirmed", "rejected"].contains(&outcome) {
                let note = format!(
                    "Without a command to {output} that ended as {outcome}, which no test can repeat."
                );
                self.notes.push(note);
                continue;
            }
            let text = self.series.get(name).and_then(|series| series.first());
            let text = text.is_some_and(|(_, shown)| shown.value.is_string());
            let plain = serde_json::from_str(word("new")).ok().filter(|_| !text);
            let value = plain.unwrap_or_else(|| Json::from(word("new")));
            self.commands.push((at, Given { output: output.into(), value, outcome: outcome.into() }));
        }
    }
}

/// When an entry of a journal was made, in milliseconds from the beginning.
fn moment(entry: &Json, begun: i64) -> Result<i64, String> {
    let unix_us = entry["unixUs"].as_i64().ok_or_else(|| strange("an entry without its time"))?;
    Ok(unix_us.div_euclid(1_000) - begun)
}

fn list(json: &Json) -> Result<&Vec<Json>, String> {
    json.as_array().ok_or_else(|| strange("no list"))
}

fn state(alarm: &Json) -> Result<AlarmState, String> {
    state_of(&alarm["state"])
}

fn state_of(word: &Json) -> Result<AlarmState, String> {
    let word = word.as_str().unwrap_or_default();
    AlarmState::ALL.into_iter().find(|state| state.word() == word).ok_or_else(|| strange("an unknown state"))
}

fn time(json: &Json) -> Option<i64> {
    json.as_str()?.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

fn strange(what: &str) -> String {
    format!("the answer holds {what}; is it another version of iogate?")
}
