//! The text of a test, from a recording.
//!
//! Pure. Invariant: whatever names and values hold, the text is YAML that reads back as them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::Scope;
use super::sample::{Change, Given, Recording, Shown, Track};
use crate::model::AlarmState;
use crate::ruletest::text::time;

/// How far a replayed event may lie from the recorded one, at least.
const LEAST_TOLERANCE_MS: i64 = 1_000;

/// The test that a recording comes to.
pub(super) fn case(recording: &Recording, scope: &Scope, name: Option<&str>) -> String {
    let began = Timestamp::from_millisecond(recording.begun).unwrap_or(Timestamp::UNIX_EPOCH);
    let name = name.map_or_else(|| format!("recorded {began:.0}"), str::to_owned);
    let tolerance = LEAST_TOLERANCE_MS.max(2 * recording.longest_gap);
    let mut out = format!("# Recorded at {began:.0}: {}.\n", scope.describe());
    for (alarm, track) in &recording.alarms {
        if let Some(why) = &track.unfit {
            let _ = writeln!(out, "# Without the alarm {}: {why} at the beginning.", alarm.escape_default());
        }
    }
    for note in &recording.notes {
        let _ = writeln!(out, "# {}", note.escape_default());
    }
    let _ = writeln!(out, "tests:\n  {}:\n    given:", key(&name));
    for (point, series) in recording.series.iter().filter(|(_, series)| !series.is_empty()) {
        let output = scope.outputs.contains(point);
        // What happens to an output after that is what the test shows.
        let given = if output { &series[..1] } else { &series[..] };
        let _ = writeln!(out, "      {}:", key(point));
        for (place, (at, shown)) in given.iter().enumerate() {
            let at = if place == 0 { 0 } else { *at };
            let _ = writeln!(out, "        {}: {}", moment(at), reading(shown));
        }
    }
    deeds(&mut out, recording);
    expectations(&mut out, recording, scope, tolerance);
    let _ = writeln!(out, "    until: {}\n    tolerance: {}", moment(recording.last_look), moment(tolerance));
    out
}

fn expectations(out: &mut String, recording: &Recording, scope: &Scope, tolerance: i64) {
    out.push_str("    expect:\n      alarms:\n");
    for (alarm, track) in recording.alarms.iter().filter(|(_, track)| track.unfit.is_none()) {
        match track.changes.is_empty() {
            true => drop(writeln!(out, "        {}: {{}}", key(alarm))),
            false => drop(writeln!(out, "        {}:", key(alarm))),
        }
        for (at, states) in by_moment(track) {
            let _ = writeln!(out, "          {}: [{}]", moment(at), states.join(", "));
        }
    }
    // An output that an alarm held from before stands as nobody can replay.
    let unfit = recording.alarms.iter().filter(|(_, track)| track.unfit.is_some());
    let blurred: BTreeSet<&Arc<str>> =
        unfit.filter_map(|(alarm, _)| scope.alarms.get(alarm)).flatten().collect();
    let mut values = String::new();
    for output in scope.outputs.iter().filter(|output| !blurred.contains(output)) {
        let Some(series) = recording.series.get(output).filter(|series| !series.is_empty()) else { continue };
        let mut looks = String::new();
        let ends = series.iter().skip(1).map(|(at, _)| *at).chain([recording.last_look]);
        for ((from, shown), to) in series.iter().zip(ends) {
            // In the middle of the time for which it stood so: the write may be a little earlier or later.
            if to - from > 2 * tolerance && shown.quality == "good" {
                let _ = writeln!(looks, "          {}: {}", moment(from + (to - from) / 2), reading(shown));
            }
        }
        if !looks.is_empty() {
            let _ = write!(values, "        {}:\n{looks}", key(output));
        }
    }
    if !values.is_empty() {
        let _ = write!(out, "      values:\n{values}");
    }
}

/// The states by time; those of one millisecond together, since a time can be written once.
fn by_moment(track: &Track) -> Vec<(i64, Vec<&'static str>)> {
    let mut moments: Vec<(i64, Vec<&'static str>)> = Vec::new();
    for (at, change) in &track.changes {
        match moments.last_mut().filter(|(last, _)| last == at) {
            Some((_, states)) => states.push(change.state.word()),
            None => moments.push((*at, vec![change.state.word()])),
        }
    }
    moments
}

/// What people did to alarms, and what they commanded.
fn deeds(out: &mut String, recording: &Recording) {
    let mut deeds: Vec<(i64, String)> = Vec::new();
    for (alarm, track) in recording.alarms.iter().filter(|(_, track)| track.unfit.is_none()) {
        let mut before = Change { state: AlarmState::Normal, shelved_until: None, by_hand: None };
        for (at, change) in &track.changes {
            let action = deed(before, *change, *at).filter(|_| change.by_hand != Some(false));
            if let Some(action) = action {
                deeds.push((*at, action.replace("ALARM", &key(alarm))));
            }
            before = *change;
        }
    }
    for (at, Given { output, value, outcome }) in &recording.commands {
        let outcome = if outcome == "rejected" { ", outcome: rejected" } else { "" };
        let action = format!("{{ write: {}, value: {}{outcome} }}", key(output), scalar(value));
        deeds.push((*at, action));
    }
    deeds.sort();
    if !deeds.is_empty() {
        out.push_str("    do:\n");
    }
    let mut rest = deeds.as_slice();
    while let Some((at, _)) = rest.first() {
        let together = rest.iter().take_while(|(other, _)| other == at).count();
        let actions: Vec<&str> = rest[..together].iter().map(|(_, action)| action.as_str()).collect();
        let _ = writeln!(out, "      {}: [{}]", moment(*at), actions.join(", "));
        rest = &rest[together..];
    }
}

/// What somebody must have done for an alarm to change so; `None`: the plant or the clock did it.
fn deed(before: Change, after: Change, at: i64) -> Option<String> {
    use AlarmState::{
        ActiveAcknowledged, ActiveUnacknowledged, Latched, Normal, OutOfService, ReturnedUnacknowledged,
        Shelved,
    };
    let word = match (before.state, after.state) {
        (ActiveUnacknowledged, ActiveAcknowledged) | (ReturnedUnacknowledged | Latched, Normal) => {
            "acknowledge"
        }
        (_, Shelved) => {
            let time = after.shelved_until.map_or(0, |until| until - at).max(1);
            return Some(format!("{{ shelve: ALARM, for: {} }}", moment(time)));
        }
        (_, OutOfService) => "take-out",
        (OutOfService, _) => "put-back",
        // Its end comes by itself.
        (Shelved, _) if before.shelved_until.is_some_and(|until| at < until - 1) => "unshelve",
        _ => return None,
    };
    Some(format!("{{ {word}: ALARM }}"))
}

fn reading(shown: &Shown) -> String {
    let value = scalar(&shown.value);
    if shown.quality == "good" {
        return value;
    }
    let mut text = String::from("{ ");
    if !shown.value.is_null() {
        let _ = write!(text, "value: {value}, ");
    }
    let _ = write!(text, "quality: {}", shown.quality);
    if let Some(reason) = &shown.reason {
        let _ = write!(text, ", reason: {reason}");
    }
    text + " }"
}

fn scalar(value: &Json) -> String {
    match value {
        Json::Bool(true) => "on".into(),
        Json::Bool(false) => "off".into(),
        Json::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// A value in double quotes. `$` stands for variables in a configuration.
fn quoted(text: &str) -> String {
    in_quotes(&text.replace('$', "$$"))
}

/// A text in double quotes. JSON's escapes are YAML's, too; what YAML does not take as it is needs more of them.
fn in_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    for c in Json::from(text).to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// A key as it is where that is safe, and in quotes otherwise. Keys hold no variables.
fn key(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.');
    match text.chars().all(plain) && text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => text.to_owned(),
        false => in_quotes(text),
    }
}

fn moment(ms: i64) -> String {
    time(Duration::from_millis(u64::try_from(ms).unwrap_or_default()))
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
