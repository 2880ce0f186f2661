//! Any other HTTP device: answers in which the points are where the configuration looks for them.

use super::host::{Cell, State};
use super::invent;
use super::wire::{Answer, Asked, decoded};
use crate::driver::http::extract::{Form, Pick, Split};
use crate::driver::http::request::{PLACEHOLDER, Template};
use crate::model::Value;

/// Answers a request that a point reads or writes with; 404 for any other.
pub(super) fn answer(state: &mut State, asked: &Asked) -> Answer {
    if let Some(written) = write(state, asked) {
        return written;
    }
    let mine = |cell: &&Cell| {
        cell.wiring.request.as_ref().is_some_and(|request| {
            let body = request.payload.as_ref().map_or("", |payload| payload.text.as_str());
            request.verb.word() == asked.verb && request.path == asked.target && body == asked.body
        })
    };
    let cells: Vec<&Cell> = state.cells.iter().filter(mine).collect();
    match cells.first().map(|cell| &cell.wiring.extract.pick) {
        None => Answer::status(404),
        Some(Pick::Whole) => Answer::utf8("text/plain", cells[0].text()),
        Some(Pick::Json(_)) => json(&cells),
        Some(Pick::Split(_)) => split(&cells),
        Some(Pick::Regex(_)) => page(&cells),
        Some(Pick::Columns(..)) => columns(&cells),
    }
}

/// A line with every value in its columns, to the right as instruments print it.
fn columns(cells: &[&Cell]) -> Answer {
    let mut line: Vec<char> = Vec::new();
    for cell in cells {
        let Pick::Columns(first, last) = cell.wiring.extract.pick else { return Answer::status(501) };
        if line.len() <= last {
            line.resize(last + 1, ' ');
        }
        let text: Vec<char> = cell.text().chars().collect();
        let Some(begin) = (last + 1).checked_sub(text.len()).filter(|begin| *begin >= first) else {
            return Answer::status(501);
        };
        line[begin..=last].copy_from_slice(&text);
    }
    Answer::utf8("text/plain", line.into_iter().collect())
}

/// A page in which every expression finds its own value first.
fn page(cells: &[&Cell]) -> Answer {
    let mut lines = Vec::with_capacity(cells.len());
    for cell in cells {
        let Pick::Regex(regex) = &cell.wiring.extract.pick else { return Answer::status(501) };
        let Some(line) = invent::text(regex, &cell.text()) else { return Answer::status(501) };
        lines.push(line);
    }
    let text = lines.join("\n");
    let found = |cell: &&Cell| match &cell.wiring.extract.pick {
        Pick::Regex(regex) => {
            let captures = regex.captures(&text).and_then(|found| found.get(1));
            captures.is_some_and(|group| group.as_str() == cell.text())
        }
        _ => false,
    };
    if cells.iter().all(found) { Answer::utf8("text/html", text) } else { Answer::status(501) }
}

fn json(cells: &[&Cell]) -> Answer {
    let mut root = serde_json::Value::Null;
    for cell in cells {
        let Pick::Json(pointer) = &cell.wiring.extract.pick else { return Answer::status(501) };
        let value = match (cell.raw(), &cell.wiring.extract.form) {
            (None, _) => serde_json::Value::Null,
            (Some(Value::Bool(state)), Form::State { on: None, .. }) => state.into(),
            (Some(Value::Float(number)), _) => number.into(),
            (Some(Value::Int(number)), Form::Integer | Form::Number { .. }) => number.into(),
            _ => cell.text().into(),
        };
        let mut place = &mut root;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            place = match step.parse::<usize>() {
                Ok(index) if index < 256 && !place.is_object() => {
                    if !place.is_array() {
                        *place = serde_json::Value::Array(Vec::new());
                    }
                    let Some(items) = place.as_array_mut() else { return Answer::status(501) };
                    if items.len() <= index {
                        items.resize(index + 1, serde_json::Value::Null);
                    }
                    &mut items[index]
                }
                _ => {
                    if !place.is_object() {
                        *place = serde_json::Value::Object(serde_json::Map::new());
                    }
                    let Some(fields) = place.as_object_mut() else { return Answer::status(501) };
                    fields.entry(step).or_insert(serde_json::Value::Null)
                }
            };
        }
        *place = value;
    }
    Answer::utf8("application/json", root.to_string())
}

/// The parts behind one label, or at the begin.
#[derive(Default)]
struct Group {
    label: Option<String>,
    parts: Vec<String>,
    bits: Vec<u64>,
}

fn split(cells: &[&Cell]) -> Answer {
    // Labels in the order of their first points, each followed by its parts.
    let mut groups: Vec<Group> = Vec::new();
    let mut separator = ";";
    for cell in cells {
        let Pick::Split(Split { separator: own, after, index, .. }) = &cell.wiring.extract.pick else {
            return Answer::status(501);
        };
        separator = own.as_str();
        let place = match groups.iter().position(|group| group.label == *after) {
            Some(place) => place,
            None => {
                groups.push(Group { label: after.clone(), ..Group::default() });
                groups.len() - 1
            }
        };
        let Group { parts, bits, .. } = &mut groups[place];
        if parts.len() <= *index {
            parts.resize(index + 1, String::new());
            bits.resize(index + 1, 0);
        }
        parts[*index] = match (&cell.wiring.extract.form, cell.raw()) {
            (Form::HexBit(bit), Some(Value::Bool(state))) => {
                bits[*index] |= u64::from(state) << (bit & 63);
                format!("{:X}", bits[*index])
            }
            _ => cell.text(),
        };
    }
    // What is counted from the begin stands there.
    groups.sort_by_key(|group| group.label.is_some());
    let mut text: Vec<String> = Vec::new();
    for group in groups {
        text.extend(group.label);
        text.extend(group.parts);
    }
    Answer::utf8("text/plain", text.join(separator))
}

/// Carries out a write that a point's template describes.
fn write(state: &mut State, asked: &Asked) -> Option<Answer> {
    let mut found = state.cells.iter_mut().filter(|cell| cell.wiring.slot.is_none());
    let (cell, text) = found.find_map(|cell| {
        let text = setpoint(cell.wiring.template.as_ref()?, asked)?;
        Some((cell, text))
    })?;
    let template = cell.wiring.template.as_ref()?;
    let raw = match &cell.wiring.extract.form {
        Form::State { .. } | Form::HexBit(_) if text == template.on => Value::Bool(true),
        Form::State { .. } | Form::HexBit(_) if text == template.off => Value::Bool(false),
        Form::State { .. } | Form::HexBit(_) => return Some(Answer::status(400)),
        Form::Number { .. } => match text.replace(',', ".").parse() {
            Ok(number) => Value::Float(number),
            Err(_) => return Some(Answer::status(400)),
        },
        Form::Integer | Form::Hex => match text.parse() {
            Ok(number) => Value::Int(number),
            Err(_) => return Some(Answer::status(400)),
        },
        Form::Text => Value::from(text.as_str()),
    };
    cell.write(&raw);
    state.written();
    Some(Answer::utf8("text/plain", "OK".into()))
}

/// The setpoint in a request, where it is one of this template.
fn setpoint(template: &Template, asked: &Asked) -> Option<String> {
    let request = &template.request;
    if request.verb.word() != asked.verb {
        return None;
    }
    let inside = |pattern: &str, text: &str| match pattern.split_once(PLACEHOLDER) {
        Some((head, tail)) => Some(text.strip_prefix(head)?.strip_suffix(tail)?.to_owned()),
        None => (pattern == text).then(String::new),
    };
    let path = inside(&request.path, &asked.target)?;
    let body = match &request.payload {
        Some(payload) => inside(&payload.text, &asked.body)?,
        None => String::new(),
    };
    Some(decoded(if path.is_empty() { &body } else { &path }))
}
