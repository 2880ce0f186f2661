//! From a text to a raw value: where it stands, and what it is.
//!
//! Pure. Invariant: a text that is not wholly what the point says it is gives a reason and never a value;
//! nothing here panics, whatever a device sends. Absent: scale, sentinels and range, which are the
//! conversion's.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;

use regex::Regex;

use super::number;
use crate::model::{Reason, Value};

/// The longest text that becomes a value, in bytes.
pub const MAX_TEXT: usize = 256;

/// Where a value stands in an answer and what it is.
#[derive(Debug, Clone)]
pub struct Extract {
    /// Where.
    pub pick: Pick,
    /// What.
    pub form: Form,
    /// Texts that stand for "no value".
    pub missing: Vec<String>,
}

/// Where a value stands in an answer.
#[derive(Debug, Clone)]
pub enum Pick {
    /// All of it.
    Whole,
    /// At a JSON pointer (RFC 6901).
    Json(String),
    /// Between separators.
    Split(Split),
    /// The first group of a regular expression.
    Regex(Box<Regex>),
    /// From one column to another, both included, counted in characters from 0. Short texts end before.
    Columns(usize, usize),
}

/// A part between separators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// What stands between the parts. Never empty.
    pub separator: String,
    /// Parts are counted behind the one that reads so, in any case of letters.
    pub after: Option<String>,
    /// Which, from 0.
    pub index: usize,
    /// An IP address at the begin and the part behind it are no part of the answer.
    pub skip_address: bool,
}

/// What the text of a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// A real number.
    Number {
        /// It has a decimal comma.
        comma: bool,
        /// What follows it.
        suffix: Suffix,
    },
    /// A whole number.
    Integer,
    /// One of two words.
    State {
        /// The word for on; the usual ones when `None`.
        on: Option<String>,
        /// The word for off.
        off: Option<String>,
    },
    /// A whole number in hexadecimal digits.
    Hex,
    /// One bit of it.
    HexBit(u8),
    /// A text.
    Text,
}

/// What follows a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suffix {
    /// Nothing.
    None,
    /// Any text.
    Any,
    /// This text.
    Exact(String),
}

/// An answer, read as JSON at most once.
#[derive(Debug)]
pub struct Reply {
    text: String,
    json: OnceCell<Option<serde_json::Value>>,
}

impl Reply {
    /// An answer of this text. Some devices end it with a NUL.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self { text, json: OnceCell::new() }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.trim_matches(|c: char| c == '\0' || c.is_whitespace())
    }

    /// The text with the blanks around it, in which columns count.
    fn whole(&self) -> &str {
        self.text.trim_end_matches(['\0', '\r', '\n'])
    }

    /// The word at a JSON pointer, or all of the text.
    #[must_use]
    pub fn word(&self, pointer: Option<&str>) -> Option<Cow<'_, str>> {
        let Some(pointer) = pointer else { return Some(self.text().into()) };
        match self.json()?.pointer(pointer)? {
            serde_json::Value::String(text) => Some(text.trim().into()),
            serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
            other => Some(other.to_string().into()),
        }
    }

    fn json(&self) -> Option<&serde_json::Value> {
        self.json.get_or_init(|| serde_json::from_str(self.text()).ok()).as_ref()
    }
}

impl Extract {
    /// The raw value.
    ///
    /// # Errors
    /// Why there is none.
    pub fn value(&self, reply: &Reply) -> Result<Value, Reason> {
        let text = match &self.pick {
            Pick::Whole => reply.text(),
            Pick::Json(pointer) => {
                let json = reply.json().ok_or(Reason::MalformedReply)?;
                return match json.pointer(pointer) {
                    None | Some(serde_json::Value::Null) => Err(Reason::NotAvailable),
                    Some(serde_json::Value::String(text)) => self.read(text),
                    Some(value) => self.read_json(value),
                };
            }
            Pick::Split(split) => split.find(reply.text()).ok_or(Reason::MalformedReply)?,
            Pick::Regex(regex) => {
                let found = regex.captures(reply.text()).ok_or(Reason::MalformedReply)?;
                found.get(1).ok_or(Reason::MalformedReply)?.as_str()
            }
            Pick::Columns(first, last) => {
                columns(reply.whole(), *first, *last).ok_or(Reason::MalformedReply)?
            }
        };
        self.read(text)
    }

    /// Whether the answer says anything about the value: JSON without anything at the pointer does not.
    #[must_use]
    pub fn concerns(&self, reply: &Reply) -> bool {
        match &self.pick {
            Pick::Json(pointer) => reply.json().is_none_or(|json| json.pointer(pointer).is_some()),
            _ => true,
        }
    }

    /// A JSON value that is neither text nor null.
    fn read_json(&self, value: &serde_json::Value) -> Result<Value, Reason> {
        let raw = match (&self.form, value) {
            (Form::State { on: None, off: None }, serde_json::Value::Bool(state)) => {
                Some(Value::Bool(*state))
            }
            (Form::Number { .. }, serde_json::Value::Number(number)) => {
                return match number.as_f64().filter(|number| number.is_finite()) {
                    Some(number) if !self.is_missing(&value.to_string()) => Ok(Value::Float(number)),
                    Some(_) => Err(Reason::NotAvailable),
                    None => Err(Reason::Undecodable),
                };
            }
            (Form::Integer, serde_json::Value::Number(number)) => whole(number),
            _ => None,
        };
        match (raw, value) {
            (Some(raw), _) => Ok(raw),
            (None, serde_json::Value::Array(_) | serde_json::Value::Object(_)) => Err(Reason::Undecodable),
            // 1, true and 5.0 as they are written.
            (None, value) => self.read(&value.to_string()),
        }
    }

    fn is_missing(&self, text: &str) -> bool {
        self.missing.iter().any(|missing| missing == text)
    }

    /// The value that a text is.
    fn read(&self, text: &str) -> Result<Value, Reason> {
        let text = text.trim();
        if self.is_missing(text) {
            return Err(Reason::NotAvailable);
        }
        let value = match &self.form {
            Form::Number { comma, suffix } => number::parse(text, *comma, suffix).map(Value::Float),
            Form::Integer => number::integer(text),
            Form::State { on, off } => state(text, on.as_deref(), off.as_deref()).map(Value::Bool),
            Form::Hex => number::hex(text).map(Value::from),
            Form::HexBit(bit) => number::hex(text).map(|bits| Value::Bool(bits >> (bit & 63) & 1 == 1)),
            Form::Text if text.len() <= MAX_TEXT => Some(Value::from(text)),
            Form::Text => None,
        };
        value.ok_or(Reason::Undecodable)
    }
}

impl Split {
    /// The part of a text.
    #[must_use]
    pub fn find<'a>(&self, text: &'a str) -> Option<&'a str> {
        let mut parts = text.split(self.separator.as_str()).map(str::trim);
        if self.skip_address {
            let mut behind = parts.clone();
            if behind.next().is_some_and(|first| first.parse::<IpAddr>().is_ok()) {
                behind.next();
                parts = behind;
            }
        }
        if let Some(label) = &self.after {
            parts.find(|part| part.eq_ignore_ascii_case(label))?;
        }
        parts.nth(self.index)
    }
}

/// The characters of these columns; `None` when the text ends before the first.
fn columns(text: &str, first: usize, last: usize) -> Option<&str> {
    let mut places = text.char_indices().map(|(at, _)| at);
    let begin = places.nth(first)?;
    let end = places.nth(last - first).unwrap_or(text.len());
    text.get(begin..end)
}

fn whole(number: &serde_json::Number) -> Option<Value> {
    if let Some(value) = number.as_i64() {
        return Some(Value::Int(value));
    }
    if let Some(value) = number.as_u64() {
        return Some(Value::from(value));
    }
    let value = number.as_f64()?;
    // Beyond 2^53 a real number is no longer every whole one.
    (value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0).then_some(Value::Int(value as i64))
}

fn state(text: &str, on: Option<&str>, off: Option<&str>) -> Option<bool> {
    let is = |own: Option<&str>, usual: &[&str]| match own {
        Some(word) => text.eq_ignore_ascii_case(word),
        None => usual.iter().any(|word| text.eq_ignore_ascii_case(word)),
    };
    match (is(on, &["on", "true", "yes", "1"]), is(off, &["off", "false", "no", "0"])) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
#[path = "extract_tests.rs"]
mod tests;
