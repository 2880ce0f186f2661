//! One text in which each of several points is found where its driver looks for it.

use super::cell::Cell;
use super::invent;
use crate::driver::text::extract::{Form, Pick, Split};
use crate::model::Value;

/// The text that holds these points; `joins` is what may stand between the parts that several regular expressions find.
/// `None`: no such text could be made.
pub(in crate::simulate) fn compose<W>(cells: &[&Cell<W>], joins: &[&str]) -> Option<String> {
    match &cells.first()?.extract.pick {
        Pick::Whole => Some(cells[0].text()),
        Pick::Json(_) => json(cells),
        Pick::Split(_) => split(cells),
        Pick::Regex(_) | Pick::Columns(..) => line(cells, joins),
    }
}

/// A text in which every expression finds its own value first, with values in their columns in it.
fn line<W>(cells: &[&Cell<W>], joins: &[&str]) -> Option<String> {
    let texts: Vec<String> = cells.iter().map(|cell| cell.text()).collect();
    let mut parts = Vec::with_capacity(cells.len());
    for (cell, text) in cells.iter().zip(&texts) {
        match &cell.extract.pick {
            Pick::Regex(regex) => {
                parts.push(forms(cell, text).find_map(|text| invent::text(regex, &text, &texts))?);
            }
            Pick::Columns(..) => {}
            _ => return None,
        }
    }
    let found = |line: &str, (cell, text): (&&Cell<W>, &String)| match &cell.extract.pick {
        Pick::Regex(regex) => {
            let group = regex.captures(line.trim_end()).and_then(|found| found.get(1));
            group.is_some_and(|group| forms(cell, text).any(|form| form == group.as_str()))
        }
        _ => true,
    };
    // One part may hold what the others look for, and what looks for the end of a number wants something behind it.
    let lines = joins.iter().map(|join| parts.join(join)).chain(parts.iter().cloned());
    let lines = lines.flat_map(|line| [line.clone(), line + &cells[0].unit]);
    let mut lines = lines.filter_map(|line| columns(cells, &line));
    lines.find(|line| cells.iter().zip(&texts).all(|own| found(line, own)))
}

/// The text of a value as devices may print it: with a sign or without.
fn forms<'a, W>(cell: &Cell<W>, text: &'a str) -> impl Iterator<Item = String> + use<'a, W> {
    let signs: &[&str] = match cell.extract.form {
        Form::Number { .. } if !text.starts_with('-') => &["", "+", " "],
        _ => &[""],
    };
    signs.iter().map(move |sign| format!("{sign}{text}"))
}

/// A line with every value in its columns, to the right as instruments print it; elsewhere it is as it was.
fn columns<W>(cells: &[&Cell<W>], before: &str) -> Option<String> {
    let mut line: Vec<char> = before.chars().collect();
    for cell in cells {
        let Pick::Columns(first, last) = cell.extract.pick else { continue };
        if line.len() <= last {
            line.resize(last + 1, ' ');
        }
        let text: Vec<char> = cell.text().chars().collect();
        let begin = (last + 1).checked_sub(text.len()).filter(|begin| *begin >= first)?;
        line[first..begin].fill(' ');
        line[begin..=last].copy_from_slice(&text);
    }
    Some(line.into_iter().collect())
}

fn json<W>(cells: &[&Cell<W>]) -> Option<String> {
    let mut root = serde_json::Value::Null;
    for cell in cells {
        let Pick::Json(pointer) = &cell.extract.pick else { return None };
        let value = match (cell.raw(), &cell.extract.form) {
            (None, _) => serde_json::Value::Null,
            (Some(Value::Bool(state)), Form::State { on: None, .. }) => state.into(),
            (Some(Value::Float(number)), Form::Number { comma: false, .. }) => number.into(),
            (Some(Value::Int(number)), Form::Integer | Form::Number { .. }) => number.into(),
            _ => cell.text().into(),
        };
        *place(&mut root, pointer)? = value;
    }
    Some(root.to_string())
}

/// The place that a JSON pointer (RFC 6901) names, made where it is not there.
fn place<'a>(root: &'a mut serde_json::Value, pointer: &str) -> Option<&'a mut serde_json::Value> {
    let mut place = root;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        place = match step.parse::<usize>() {
            Ok(index) if index < 256 && !place.is_object() => {
                if !place.is_array() {
                    *place = serde_json::Value::Array(Vec::new());
                }
                let items = place.as_array_mut()?;
                if items.len() <= index {
                    items.resize(index + 1, serde_json::Value::Null);
                }
                &mut items[index]
            }
            _ => {
                if !place.is_object() {
                    *place = serde_json::Value::Object(serde_json::Map::new());
                }
                place.as_object_mut()?.entry(step).or_insert(serde_json::Value::Null)
            }
        };
    }
    Some(place)
}

/// A JSON text with one word at a pointer, or the word itself.
pub(in crate::simulate) fn word(pointer: Option<&str>, word: &str) -> Option<String> {
    let Some(pointer) = pointer else { return Some(word.to_owned()) };
    let mut root = serde_json::Value::Null;
    *place(&mut root, pointer)? = word.into();
    Some(root.to_string())
}

/// The parts behind one label, or at the begin.
#[derive(Default)]
struct Group {
    label: Option<String>,
    parts: Vec<String>,
    bits: Vec<u64>,
}

fn split<W>(cells: &[&Cell<W>]) -> Option<String> {
    // Labels in the order of their first points, each followed by its parts.
    let mut groups: Vec<Group> = Vec::new();
    let mut separator = ";";
    for cell in cells {
        let Pick::Split(Split { separator: own, after, index, .. }) = &cell.extract.pick else { return None };
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
        parts[*index] = match (&cell.extract.form, cell.raw()) {
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
    Some(text.join(separator))
}
