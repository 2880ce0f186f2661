//! What was expected against what happened, as a difference that people can read.
//!
//! Pure. Invariant: a verdict without differences is a test that has passed.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::text::{Word, signal, time, value};
use super::{AlarmSeen, Happened, MAX_EVENTS, WriteSeen};
use crate::config::cases::{Act, Case, Expected, Signal};
use crate::model::{PointId, PointTable};

/// The most lines that are shown of one alarm or output.
const MAX_LINES: usize = 40;

/// How many lines that agree are shown around those that differ.
const CONTEXT: usize = 2;

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// One paragraph for each thing that differs; empty: it has passed.
    pub differences: Vec<String>,
}

/// One line of a comparison.
enum Line {
    Same(String),
    Missing(String),
    Extra(String),
}

/// Judges what happened.
#[must_use]
pub fn judge(case: &Case, happened: &Happened, points: &PointTable) -> Verdict {
    let mut differences = Vec::new();
    for (name, expected) in &case.alarms {
        let seen: Vec<&AlarmSeen> = happened.alarms.iter().filter(|seen| seen.name == *name).collect();
        let seen: Vec<_> = seen.iter().map(|seen| (seen.at, &seen.state, &*seen.why)).collect();
        differences.extend(differ(&format!("alarm {name}"), expected, &seen, case));
    }
    for (point, expected) in &case.writes {
        let seen: Vec<&WriteSeen> = happened.writes.iter().filter(|seen| seen.point == *point).collect();
        let seen: Vec<_> = seen.iter().map(|seen| (seen.at, &seen.value, "")).collect();
        let name = &points.get(*point).name;
        differences.extend(differ(&format!("writes to {name}"), expected, &seen, case));
    }
    for ((point, expected), found) in case.values.iter().zip(&happened.values) {
        differences.extend(values(&points.get(*point).name, expected, found));
    }
    differences.extend(deeds(case, happened, points));
    if case.only {
        differences.extend(others(case, happened, points));
    }
    if happened.overflowed {
        differences.push(format!("there were more than {MAX_EVENTS} events; the rest was not looked at"));
    }
    Verdict { differences }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.differences.iter().try_for_each(|difference| writeln!(f, "{difference}"))
    }
}

/// The difference between two series; `None` when there is none.
fn differ<T: PartialEq + Word>(
    title: &str,
    expected: &[Expected<T>],
    seen: &[(Duration, &T, &str)],
    case: &Case,
) -> Option<String> {
    let same = |wanted: &Expected<T>, (at, what, _): &(Duration, &T, &str)| {
        wanted.what == **what && wanted.at.abs_diff(*at) <= case.tolerance
    };
    let missing = |wanted: &Expected<T>| {
        let place = &wanted.place;
        Line::Missing(format!(
            "{:<10} {:<24} expected ({}:{})",
            time(wanted.at),
            wanted.what.word(),
            place.file,
            place.line
        ))
    };
    let plain = |(at, what, why): &(Duration, &T, &str)| {
        format!("{:<10} {:<24} {why}", time(*at), what.word()).trim_end().to_owned()
    };
    // What comes after the end was waited for only in case that it had been expected a little earlier.
    let extra = |seen: &[(Duration, &T, &str)]| {
        let counts = seen.iter().filter(|(at, ..)| *at <= case.until);
        counts.map(|seen| Line::Extra(plain(seen))).collect::<Vec<_>>()
    };
    let mut lines = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (a, b) in pairs(expected.len(), seen.len(), |a, b| same(&expected[a], &seen[b])) {
        lines.extend(expected[i..a].iter().map(missing));
        lines.extend(extra(&seen[j..b]));
        lines.push(Line::Same(plain(&seen[b])));
        (i, j) = (a + 1, b + 1);
    }
    lines.extend(expected[i..].iter().map(missing));
    lines.extend(extra(&seen[j..]));
    show(title, &lines)
}

/// The longest run of pairs in order: what both series have in common.
fn pairs(left: usize, right: usize, same: impl Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
    // What agrees from the beginning needs no table, and in a test that passes that is everything.
    let head = (0..left.min(right)).take_while(|at| same(*at, *at)).count();
    let mut found: Vec<(usize, usize)> = (0..head).map(|at| (at, at)).collect();
    // A table of what is left would grow with its square; what is shown of it is short anyway.
    const MOST: usize = 1_000;
    let (rows, columns) = ((left - head).min(MOST), (right - head).min(MOST));
    let mut table = vec![vec![0u16; columns + 1]; rows + 1];
    for a in (0..rows).rev() {
        for b in (0..columns).rev() {
            table[a][b] = match same(head + a, head + b) {
                true => table[a + 1][b + 1] + 1,
                false => table[a + 1][b].max(table[a][b + 1]),
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    while a < rows && b < columns {
        if same(head + a, head + b) {
            found.push((head + a, head + b));
            (a, b) = (a + 1, b + 1);
        } else if table[a + 1][b] >= table[a][b + 1] {
            a += 1;
        } else {
            b += 1;
        }
    }
    found
}

/// The lines that differ with some that do not; `None` when all agree.
fn show(title: &str, lines: &[Line]) -> Option<String> {
    let differs = |line: &Line| !matches!(line, Line::Same(_));
    if !lines.iter().any(differs) {
        return None;
    }
    let near = |at: usize| {
        let around = at.saturating_sub(CONTEXT)..lines.len().min(at + CONTEXT + 1);
        lines[around].iter().any(differs)
    };
    let shown: Vec<&Line> =
        lines.iter().enumerate().filter(|(at, _)| near(*at)).map(|(_, line)| line).collect();
    let mut text = title.to_owned();
    for line in shown.iter().take(MAX_LINES) {
        text.push_str(&match line {
            Line::Same(line) => format!("\n    {line}"),
            Line::Missing(line) => format!("\n  - {line}"),
            Line::Extra(line) => format!("\n  + {line}"),
        });
    }
    if shown.len() > MAX_LINES {
        text.push_str(&format!("\n    … and {} more lines", shown.len() - MAX_LINES));
    }
    Some(text)
}

/// Points that stand otherwise than expected.
fn values(name: &str, expected: &[Expected<Signal>], found: &[Signal]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (wanted, found) in expected.iter().zip(found) {
        let agrees = match (&wanted.what, found) {
            (Signal::Silent, Signal::Silent) => true,
            // Without a value only the quality was asked for.
            (Signal::Reads(None, quality), Signal::Reads(_, is)) => quality.class() == is.class(),
            (Signal::Reads(Some(wanted), quality), Signal::Reads(Some(is), is_quality)) => {
                quality.class() == is_quality.class() && alike(wanted, is)
            }
            _ => false,
        };
        if !agrees {
            let (at, place) = (time(wanted.at), &wanted.place);
            let (wanted, found) = (signal(&wanted.what), signal(found));
            wrong.push(format!(
                "{name} at {at}\n  - {wanted:<24} expected ({}:{})\n  + {found}",
                place.file, place.line
            ));
        }
    }
    wrong
}

/// Whether a value is the one that was written, as far as computing with binary numbers can tell.
fn alike(wanted: &crate::model::Value, is: &crate::model::Value) -> bool {
    match (wanted.as_f64(), is.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
        _ => wanted == is,
    }
}

/// What people did that came out otherwise.
fn deeds(case: &Case, happened: &Happened, points: &PointTable) -> Vec<String> {
    let told = happened.deeds.iter().filter_map(|(place, why)| Some((case.deeds.get(*place)?, why)));
    told.map(|(deed, why)| {
        let what = match &deed.act {
            Act::Alarm(name, _) => format!("what is done to alarm {name}"),
            Act::Write(point, setpoint, _) => {
                format!("the command {} := {}", points.get(*point).name, value(setpoint))
            }
        };
        format!("{what} at {} ({}:{})\n  + {why}", time(deed.at), deed.place.file, deed.place.line)
    })
    .collect()
}

/// What happened to alarms and outputs that the case does not name.
fn others(case: &Case, happened: &Happened, points: &PointTable) -> Option<String> {
    let alarms: BTreeSet<&str> = case.alarms.iter().map(|(name, _)| &**name).collect();
    let outputs: BTreeSet<PointId> = case.writes.iter().map(|(point, _)| *point).collect();
    let mut events: Vec<(Duration, String)> = Vec::new();
    for seen in happened.alarms.iter().filter(|seen| !alarms.contains(&*seen.name)) {
        events.push((seen.at, format!("alarm {} is {}: {}", seen.name, seen.state.word(), seen.why)));
    }
    for seen in happened.writes.iter().filter(|seen| !outputs.contains(&seen.point)) {
        events.push((seen.at, format!("{} is written: {}", points.get(seen.point).name, value(&seen.value))));
    }
    events.retain(|(at, _)| *at <= case.until);
    events.sort_by_key(|(at, _)| *at);
    let lines: Vec<Line> =
        events.into_iter().map(|(at, text)| Line::Extra(format!("{:<10} {text}", time(at)))).collect();
    show("nothing else may happen (`only`)", &lines)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
