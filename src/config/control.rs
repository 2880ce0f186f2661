//! The sections `control` and `interlocks`: from what is written to rules over points that exist.
//!
//! Invariant: an interlock has a condition over points that are read, and brings outputs to values that they can take.

use std::sync::Arc;
use std::time::Duration;

use super::alarms::Points;
use super::build::{Output, plain_name};
use super::context::Context;
use super::de::read;
use super::node::{Entry, Node};
use super::parts::expect_map;
use super::source::Span;
use crate::command::config::{ControlConfig, InterlockConfig};
use crate::command::{Control, DEFAULT_LONGEST_HOLD, Interlock, Sense};
use crate::model::expression::{self, Expression, Kind};
use crate::model::{ControlOrder, PointId, Value, ValueKind};

/// The most interlocks of one configuration.
const MAX_INTERLOCKS: usize = 10_000;

/// The most points of one interlock, in its condition and as its outputs.
const MAX_POINTS: usize = 64;

/// The most clients that count as automatic.
const MAX_AUTOMATIC: usize = 1_000;

/// The longest that a command may be let hold an output.
const MAX_HOLD: Duration = Duration::from_secs(7 * 86_400);

/// The word for an output that is left as it is.
const KEEP: &str = "keep";

/// What is configured of control as a whole; mistakes are recorded.
pub(super) fn control(cx: &Context<'_>, control: &Node, interlocks: &Node, points: &Points<'_>) -> Control {
    let section: ControlConfig = read(cx, control).unwrap_or_default();
    let place = |key: &str| control.span_of(&[key]).unwrap_or(control.span);
    let order = match section.order.is_empty() {
        true => ControlOrder::default(),
        false => ControlOrder::new(&section.order).unwrap_or_else(|message| {
            let help = "name each once: [interlock, manual, alarm, automatic, remote]".to_owned();
            cx.error(place("order"), message, help);
            ControlOrder::default()
        }),
    };
    let longest_hold = section.longest_hold.map_or(DEFAULT_LONGEST_HOLD, |hold| hold.0);
    if longest_hold.is_zero() || longest_hold > MAX_HOLD {
        let help = "write a time such as 30m; 7d is the longest".to_owned();
        cx.error(place("longest-hold"), format!("{longest_hold:?} is no time to hold an output"), help);
    }
    if section.automatic.len() > MAX_AUTOMATIC {
        cx.error(place("automatic"), format!("more than {MAX_AUTOMATIC} clients"), None);
    }
    let automatic = section.automatic.iter().map(|client| client.as_str().into()).collect();
    Control { order, automatic, longest_hold, interlocks: all_interlocks(cx, interlocks, points) }
}

fn all_interlocks(cx: &Context<'_>, node: &Node, points: &Points<'_>) -> Vec<Interlock> {
    if !expect_map(cx, node, "`interlocks`") {
        return Vec::new();
    }
    if node.entries().len() > MAX_INTERLOCKS {
        cx.error(node.span, format!("more than {MAX_INTERLOCKS} interlocks"), None);
    }
    let entries = node.entries().iter().take(MAX_INTERLOCKS);
    entries.filter_map(|entry| interlock(&At { cx, entry, points })).collect()
}

/// One interlock as it is written, and what its names can mean.
struct At<'a> {
    cx: &'a Context<'a>,
    entry: &'a Entry,
    points: &'a Points<'a>,
}

impl At<'_> {
    /// Where something is written, as far as it is there; or else the interlock's name.
    fn place(&self, keys: &[&str]) -> Span {
        let mut place = (&self.entry.value, self.entry.key_span);
        for key in keys {
            let Some(value) = place.0.get(key) else { break };
            place = (value, value.span);
        }
        place.1
    }

    fn refuse<T>(&self, keys: &[&str], message: impl Into<String>, help: &str) -> Option<T> {
        self.cx.error(self.place(keys), message, help.to_owned());
        None
    }
}

fn interlock(at: &At<'_>) -> Option<Interlock> {
    let (cx, entry) = (at.cx, at.entry);
    if let Err(help) = plain_name(&entry.key) {
        cx.error(entry.key_span, format!("`{}` cannot be the name of an interlock", entry.key), Some(help));
    }
    if !expect_map(cx, &entry.value, &format!("the interlock `{}`", entry.key)) {
        return None;
    }
    let config: InterlockConfig = read(cx, &entry.value)?;
    // All of them look for mistakes, whatever the others have found.
    let condition = condition(at, &config);
    let inputs = inputs(at, &config);
    let outputs = outputs(at, &config);
    if let (Some(inputs), Some(outputs)) = (&inputs, &outputs)
        && let Some((place, _)) = outputs.iter().enumerate().find(|(_, (point, _))| inputs.contains(point))
    {
        let name = config.outputs.keys().nth(place).map_or("", String::as_str);
        let help = "name what it depends on, not the output itself";
        return at.refuse(&["outputs", name], format!("`{name}` is an input of its own interlock"), help);
    }
    let (sense, text, condition) = condition?;
    Some(Interlock {
        name: Arc::clone(&entry.key),
        inputs: inputs?,
        condition,
        sense,
        text,
        message: config.message.as_deref().map(Into::into),
        outputs: outputs?,
        resume: config.resume,
    })
}

fn condition(at: &At<'_>, config: &InterlockConfig) -> Option<(Sense, Arc<str>, Expression)> {
    let (key, sense, text) = match (&config.permit_when, &config.force_when) {
        (Some(text), None) => ("permit-when", Sense::Permits, text),
        (None, Some(text)) => ("force-when", Sense::Forces, text),
        (Some(_), Some(_)) => {
            let message = "`permit-when` and `force-when` exclude each other";
            return at.refuse(&["force-when"], message, "make two interlocks of them");
        }
        (None, None) => {
            let message = format!("the interlock `{}` has no condition", at.entry.key);
            return at.refuse(&[], message, "add `permit-when:` or `force-when:`");
        }
    };
    let names: Vec<&str> = config.inputs.keys().map(String::as_str).collect();
    let expression = match expression::parse(text, &names) {
        Ok((expression, Kind::Number)) if !matches!(expression, Expression::Input(_)) => {
            let message = format!("`{key}` gives a number, not a condition");
            return at.refuse(&[key], message, "compare it: `… > 60`");
        }
        Ok((expression, _)) => expression,
        Err(error) => {
            let node = at.entry.value.get(key);
            let span = node.map_or(at.entry.key_span, |node| node.part(error.at.start, error.at.end));
            at.cx.error(span, error.message, error.help);
            return None;
        }
    };
    let unused = names.iter().enumerate().find(|(place, _)| !expression.uses(*place));
    if let Some((_, name)) = unused {
        let message = format!("`{key}` does not use the input `{name}`");
        return at.refuse(&["inputs", name], message, "remove it, or use it");
    }
    Some((sense, text.as_str().into(), expression))
}

fn inputs(at: &At<'_>, config: &InterlockConfig) -> Option<Vec<PointId>> {
    if config.inputs.is_empty() || config.inputs.len() > MAX_POINTS {
        let help = "name its points: `inputs: { flow: ahu/airflow }`";
        return at.refuse(&["inputs"], format!("an interlock has 1 to {MAX_POINTS} inputs"), help);
    }
    let input = |(name, point): (&String, &String)| {
        let keys = ["inputs", name.as_str()];
        if !expression::is_name(name) {
            let help =
                "begin with a letter and go on with letters, digits and _; not and, or, not, true, false";
            return at.refuse(&keys, format!("`{name}` cannot be a name in an expression"), help);
        }
        let (id, draft) = at.points.find(at.cx, point, at.place(&keys))?;
        let name = &draft.point.name;
        if !draft.point.access.readable() {
            let help = "name a point that is read";
            return at.refuse(&keys, format!("`{name}` is write-only and never read"), help);
        }
        if draft.point.kind == ValueKind::Text {
            return at.refuse(&keys, format!("`{name}` is a text"), "expressions need numbers and states");
        }
        Some(id)
    };
    // Every one is looked at, also behind a mistake.
    let found: Vec<Option<PointId>> = config.inputs.iter().map(input).collect();
    found.into_iter().collect()
}

fn outputs(at: &At<'_>, config: &InterlockConfig) -> Option<Vec<(PointId, Option<Value>)>> {
    if config.outputs.is_empty() || config.outputs.len() > MAX_POINTS {
        let help = "say what they are brought to: `outputs: { ahu/heater: off }`";
        return at.refuse(&["outputs"], format!("an interlock has 1 to {MAX_POINTS} outputs"), help);
    }
    let output = |(name, text): (&String, &String)| {
        let keys = ["outputs", name.as_str()];
        let key = at.entry.value.get("outputs").and_then(|node| node.entry(name));
        let key = key.map_or(at.entry.key_span, |entry| entry.key_span);
        let (id, draft) = at.points.find(at.cx, name, key)?;
        if !draft.point.access.writable() {
            let help = "add `access: rw` and `safe:` to the point, or name another".to_owned();
            at.cx.error(key, format!("`{name}` cannot be written"), help);
            return None;
        }
        if text == KEEP {
            return Some((id, None));
        }
        let (conversion, kind, wiring) = (&draft.conversion, draft.point.kind, &*draft.wiring);
        match (Output { conversion, kind, wiring }).value(text) {
            Ok(value) => Some((id, Some(value))),
            Err(message) => {
                let message = format!("`{name}` cannot take this: {message}");
                at.refuse(&keys, message, "write a state that it takes, or `keep`")
            }
        }
    };
    let found: Vec<Option<(PointId, Option<Value>)>> = config.outputs.iter().map(output).collect();
    found.into_iter().collect()
}
