//! Points on one line: `temperature: input 0x0000 i16 *0.1 °C`.
//!
//! ```text
//! line    = table address [format] [order] ["*" scale] [("+" | "-") offset] [unit] ["rw"] ["safe=" state]
//! table   = "coil" | "discrete" | "input" | "holding"
//! address = number ["." bit ["-" bit]]          ; 0x30.4 is bit 4, 0x30.4-7 bits 4 to 7
//! format  = "u16" | "i16" | … | "text:" length
//! order   = "abcd" | "cdab" | "badc" | "dcba"
//! ```
//!
//! A line becomes the same keys as the long form, each with its place inside the line, so everything
//! behind it knows one form only. Absent: what the parts mean together.

use std::ops::Range;

use super::node::{Entry, Kind, Node};
use super::parts::words_of;
use super::scalar::{parse_float, parse_int};
use super::suggest::{advice, nearest};
use crate::driver::modbus::TABLES;
use crate::driver::modbus::register::{Order, RawType};

/// What is wrong with a line, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct LineError {
    pub(in crate::config) range: Range<usize>,
    pub(in crate::config) message: String,
    pub(in crate::config) help: Option<String>,
}

/// One key that a line gives.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part<'a> {
    key: &'static str,
    text: &'a str,
    range: Range<usize>,
}

/// The keys that the line stands for.
pub(in crate::config) fn parse(node: &Node, line: &str) -> Result<Node, LineError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut bits = Vec::new();
    for part in parts(line)? {
        let span = node.part(part.range.start, part.range.end);
        let value = Node::scalar(span, part.text);
        if part.key == "bits" {
            bits.push(value);
        } else {
            entries.push(Entry { key_span: span, key: part.key.into(), value });
        }
    }
    if let Some(first) = bits.first() {
        let span = first.span;
        entries.push(Entry {
            key_span: span,
            key: "bits".into(),
            value: Node { span, kind: Kind::List(bits) },
        });
    }
    Ok(Node::map(node.span, entries))
}

fn parts(line: &str) -> Result<Vec<Part<'_>>, LineError> {
    let mut words = words(line);
    let (text, range) = words.next().ok_or_else(|| wrong(0..0, "the line is empty", FORM))?;
    let Some(table) = TABLES.into_iter().find(|table| *table == text) else {
        let help =
            nearest(text, TABLES).map_or_else(|| FORM.to_owned(), |table| format!("did you mean `{table}`?"));
        return Err(wrong(range, &format!("`{text}` is none of coil, discrete, input, holding"), &help));
    };
    let (address, at) = words.next().ok_or_else(|| wrong(range.clone(), "the address is missing", FORM))?;
    let mut found = vec![];
    address_parts(table, address, &at, &mut found)?;
    let mut last: Option<(Place, &str)> = None;
    for (text, range) in words {
        let place = classify(text, &range)?;
        if let Some((before, word)) = last
            && place <= before
        {
            return Err(misplaced(text, range, place, before, word));
        }
        last = Some((place, text));
        found.extend(place.parts(text, range));
    }
    Ok(found)
}

/// The places of a line after the address, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Format,
    Order,
    Scale,
    Offset,
    Unit,
    Access,
    Safe,
}

impl Place {
    const fn word(self) -> &'static str {
        match self {
            Self::Format => "number format",
            Self::Order => "byte order",
            Self::Scale => "scale",
            Self::Offset => "offset",
            Self::Unit => "unit",
            Self::Access => "access",
            Self::Safe => "safe state",
        }
    }

    fn parts(self, text: &str, range: Range<usize>) -> Vec<Part<'_>> {
        let tail = |key, from: usize| Part { key, text: &text[from..], range: range.start + from..range.end };
        match self {
            Self::Format => match text.find(':') {
                Some(colon) => {
                    let word =
                        Part { key: "type", text: &text[..colon], range: range.start..range.start + colon };
                    vec![word, tail("length", colon + 1)]
                }
                None => vec![tail("type", 0)],
            },
            Self::Order => vec![tail("order", 0)],
            Self::Scale => vec![tail("scale", text.chars().next().map_or(0, char::len_utf8))],
            Self::Offset => vec![tail("offset", 0)],
            Self::Unit => vec![tail("unit", 0)],
            Self::Access => vec![tail("access", 0)],
            Self::Safe => vec![tail("safe", "safe=".len())],
        }
    }
}

fn classify(text: &str, range: &Range<usize>) -> Result<Place, LineError> {
    let formats = words_of::<RawType>();
    let fail = |message: String, help: Option<String>| Err(LineError { range: range.clone(), message, help });
    if formats.contains(&text) || text.starts_with("text:") {
        return Ok(Place::Format);
    }
    if words_of::<Order>().contains(&text) {
        return Ok(Place::Order);
    }
    if let Some(number) = text.strip_prefix(['*', '×']) {
        return match parse_float(number) {
            Some(_) => Ok(Place::Scale),
            None => fail(format!("`{number}` is not a number"), Some("a scale is written like *0.1".into())),
        };
    }
    if parse_float(text).is_some() {
        return if text.starts_with(['+', '-']) {
            Ok(Place::Offset)
        } else {
            let help = format!("write *{text} for a scale, or +{text} for an offset");
            fail(format!("what `{text}` is for is not clear"), Some(help))
        };
    }
    match text {
        "rw" => Ok(Place::Access),
        "r" => fail(
            "`r` goes without saying".into(),
            Some("remove it: a line is read only unless it says rw".into()),
        ),
        "w" => fail(
            "`w` is not clear".into(),
            Some("write W for watt; a write-only point needs the long form with `access: w`".into()),
        ),
        _ if text.starts_with("safe=") => Ok(Place::Safe),
        _ if looks_like_format(text) => {
            fail(format!("`{text}` is not a number format"), advice(text, formats.iter().copied()))
        }
        _ if looks_like_order(text) => {
            fail(format!("`{text}` is not a byte order"), Some("use abcd, cdab, badc or dcba".into()))
        }
        _ => Ok(Place::Unit),
    }
}

/// Letters of a number format followed by digits, such as `i61` or `uint16`.
fn looks_like_format(text: &str) -> bool {
    let letters = text.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_lowercase();
    let numbered = letters.len() < text.len();
    let word = matches!(
        letters.as_str(),
        "u" | "i" | "f" | "s" | "int" | "uint" | "float" | "bcd" | "bool" | "text"
    );
    (word && numbered)
        || matches!(letters.as_str(), "int" | "uint" | "float" | "bcd" | "string" | "text" | "bit")
}

fn looks_like_order(text: &str) -> bool {
    let mut letters: Vec<char> = text.to_ascii_lowercase().chars().collect();
    letters.sort_unstable();
    letters == ['a', 'b', 'c', 'd']
}

fn address_parts<'a>(
    table: &'static str,
    text: &'a str,
    range: &Range<usize>,
    found: &mut Vec<Part<'a>>,
) -> Result<(), LineError> {
    let (number, bits) = match text.split_once('.') {
        Some((number, bits)) => (number, Some(bits)),
        None => (text, None),
    };
    if parse_int(number).is_none() {
        let message = format!("`{number}` is not an address");
        return Err(wrong(range.clone(), &message, "an address is a number such as 16, 0x0010 or 0x30.4"));
    }
    found.push(Part { key: table, text: number, range: range.start..range.start + number.len() });
    let Some(bits) = bits else { return Ok(()) };
    let at = range.start + number.len() + 1;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match bits.split_once('-') {
        Some((low, high)) if digits(low) && digits(high) => {
            found.push(Part { key: "bits", text: low, range: at..at + low.len() });
            found.push(Part { key: "bits", text: high, range: at + low.len() + 1..range.end });
        }
        None if digits(bits) => found.push(Part { key: "bit", text: bits, range: at..range.end }),
        _ => {
            let message = format!("`{bits}` is not a bit");
            return Err(wrong(
                at..range.end.max(at),
                &message,
                "write 0x30.4 for bit 4, 0x30.4-7 for bits 4 to 7",
            ));
        }
    }
    Ok(())
}

fn misplaced(text: &str, range: Range<usize>, place: Place, before: Place, word: &str) -> LineError {
    let (what, other) = (place.word(), before.word());
    let message = if place == before {
        format!("`{text}` is a second {what} after `{word}`")
    } else {
        format!("the {what} `{text}` must stand before the {other} `{word}`")
    };
    let help = if before == Place::Unit && place < Place::Unit {
        format!("the order is: {FORM}")
    } else if place == Place::Unit {
        "a unit is one word; use the long form for one with blanks".to_owned()
    } else {
        format!("the order is: {FORM}")
    };
    LineError { range, message, help: Some(help) }
}

const FORM: &str = "table address [type] [order] [*scale] [+offset] [unit] [rw] [safe=state], such as `input 0x0000 i16 *0.1 °C`";

fn wrong(range: Range<usize>, message: &str, help: &str) -> LineError {
    LineError { range, message: message.to_owned(), help: Some(help.to_owned()) }
}

/// The words of a line with their places in bytes.
fn words(line: &str) -> impl Iterator<Item = (&str, Range<usize>)> {
    let base = line.as_ptr().addr();
    line.split_whitespace().map(move |word| {
        let start = word.as_ptr().addr() - base;
        (word, start..start + word.len())
    })
}

#[cfg(test)]
#[path = "oneline_tests.rs"]
mod tests;
