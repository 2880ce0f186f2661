//! Numbers of messages and what is missing among them: stream, sequence, gap records.
//!
//! A stream begins when a bridge's buffer is made and lives as long as the buffer. Every message that is forwarded takes
//! the next number; what is left out or lost takes numbers, too, and is declared. Invariant: what a consumer received
//! and what was declared as missing is together every number of the stream, from 1 on.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use crate::broker::codec::{property_id, put_binary};

/// Names a stream: 16 hex digits that no other stream has.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId(pub u64);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for StreamId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why numbers are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Why {
    /// The buffer was full or its age limit reached: the oldest messages went.
    Dropped = 1,
    /// The buffer was full: new messages were not taken.
    Refused = 2,
    /// The buffer was filling up: messages were thinned out.
    Thinned = 3,
    /// The log was damaged on the disk.
    Damaged = 4,
    /// The power failed before the log was on the disk.
    PowerLoss = 5,
    /// The upstream broker does not take the message; it went to the dead-letter topic.
    DeadLetter = 6,
}

impl Why {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::Thinned => "thinned",
            Self::Damaged => "damaged",
            Self::PowerLoss => "power-loss",
            Self::DeadLetter => "dead-letter",
        }
    }

    /// The reason with this number, as it is stored.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        let all =
            [Self::Dropped, Self::Refused, Self::Thinned, Self::Damaged, Self::PowerLoss, Self::DeadLetter];
        all.into_iter().find(|why| *why as u8 == byte)
    }
}

/// Numbers that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The stream.
    pub stream: StreamId,
    /// The first number that is missing.
    pub from: u64,
    /// The last number that is missing.
    pub to: u64,
    /// How many are missing.
    pub count: u64,
    /// Why.
    pub why: Why,
}

impl Gap {
    /// `count` numbers from `from` on; `None` when none is missing.
    #[must_use]
    pub fn new(stream: StreamId, from: u64, count: u64, why: Why) -> Option<Self> {
        let to = from.checked_add(count.checked_sub(1)?)?;
        Some(Self { stream, from, to, count, why })
    }

    /// The gap as it is published.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Appends the user properties that tell a message's place in its stream.
pub(crate) fn put_properties(out: &mut Vec<u8>, stream: StreamId, seq: u64, historical: bool) {
    let mut pair = |key: &str, value: &str| {
        out.push(property_id::USER_PROPERTY);
        put_binary(out, key.as_bytes());
        put_binary(out, value.as_bytes());
    };
    pair("stream", &stream.to_string());
    pair("seq", itoa::Buffer::new().format(seq));
    if historical {
        pair("historical", "true");
    }
}

/// Adds the place in the stream to a payload that is a JSON object; others stay as they are.
pub(crate) fn put_fields(payload: &[u8], stream: StreamId, seq: u64, historical: bool) -> Cow<'_, [u8]> {
    let Some(inside) = payload.trim_ascii_start().strip_prefix(b"{") else { return payload.into() };
    if serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_err() {
        return payload.into();
    }
    let inside = inside.trim_ascii_start();
    let mark = if historical { ",\"historical\":true" } else { "" };
    let comma = if inside.starts_with(b"}") { "" } else { "," };
    let mut out = format!("{{\"stream\":\"{stream}\",\"seq\":{seq}{mark}{comma}").into_bytes();
    out.extend_from_slice(inside);
    out.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: StreamId = StreamId(0xab);

    #[test]
    fn gaps_count_both_ends() {
        let gap = Gap::new(STREAM, 5, 3, Why::Thinned).unwrap();
        assert_eq!((gap.from, gap.to, gap.count), (5, 7, 3));
        assert_eq!(Gap::new(STREAM, 5, 0, Why::Dropped), None);
        let json: serde_json::Value = serde_json::from_slice(&gap.json()).unwrap();
        assert_eq!(json["stream"], "00000000000000ab");
        assert_eq!((json["from"].as_u64(), json["why"].as_str()), (Some(5), Some("thinned")));
        assert_eq!(Why::from_byte(Why::PowerLoss as u8), Some(Why::PowerLoss));
        assert_eq!(Why::from_byte(0), None);
    }

    #[test]
    fn only_objects_are_marked() {
        let mark = |text: &str| {
            String::from_utf8(put_fields(text.as_bytes(), STREAM, 7, true).into_owned()).unwrap()
        };
        assert_eq!(mark(" {}"), r#"{"stream":"00000000000000ab","seq":7,"historical":true}"#);
        assert_eq!(mark(r#"{"a":1}"#), r#"{"stream":"00000000000000ab","seq":7,"historical":true,"a":1}"#);
        for other in ["", "1", "[1]", "{", "{a}", "on"] {
            assert_eq!(mark(other), other);
        }
    }

    proptest! {
        #[test]
        fn marked_objects_keep_their_fields(value in "[a-z]{0,5}", number: i32, seq: u64) {
            let object = serde_json::json!({ "value": value, "number": number });
            let bytes = serde_json::to_vec(&object).unwrap();
            let marked: serde_json::Value = serde_json::from_slice(&put_fields(&bytes, STREAM, seq, false)).unwrap();
            prop_assert_eq!(&marked["value"], &object["value"]);
            prop_assert_eq!(&marked["number"], &object["number"]);
            prop_assert_eq!(marked["seq"].as_u64(), Some(seq));
        }
    }
}
