//! Small values of the configuration that have a form of their own: deadbands, repeats, setpoints, codes.
//!
//! Each reads from the text as it is written. Invariant: what is read is in range; no later check is needed.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::scalar::{parse_float, parse_int};
use crate::model::Deadband;
use crate::model::units::Period;

/// The most copies that one `repeat` makes.
pub(super) const MAX_COPIES: usize = 10_000;

/// A deadband: `0.2` in the point's unit, or `5%` of the last published value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct DeadbandText(pub Deadband);

/// The longest silence: a period or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heartbeat(pub Option<Period>);

/// A value for an output as it was written; what it means depends on the output's kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setpoint(pub String);

/// An MQTT quality of service, 0 to 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Qos(pub(super) u8);

/// A raw whole number, decimal or hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Code(pub i64);

/// A raw number, `nan` included; kept by its bits so that it can be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RawNumber(u64);

/// What `{n}` stands for, one text per copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repeat(pub Vec<String>);

impl RawNumber {
    /// The number.
    #[must_use]
    pub(super) const fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl FromStr for DeadbandText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, percent) = match text.trim().strip_suffix('%') {
            Some(share) => (share.trim(), true),
            None => (text.trim(), false),
        };
        match parse_float(number) {
            Some(limit) if limit < 0.0 => Err(format!("a deadband of `{text}` is negative")),
            Some(0.0) => Ok(Self(Deadband::None)),
            Some(limit) if percent => Ok(Self(Deadband::Percent(limit))),
            Some(limit) => Ok(Self(Deadband::Absolute(limit))),
            None => {
                Err(format!("`{text}` is not a deadband; write a number such as 0.2, or a share such as 5%"))
            }
        }
    }
}

impl FromStr for Heartbeat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text, "off" | "no" | "false" | "none") {
            return Ok(Self(None));
        }
        let period: Period = text.parse()?;
        if period.0.is_zero() {
            return Err("a heartbeat of 0 would never rest; write `off` for none".into());
        }
        Ok(Self(Some(period)))
    }
}

impl FromStr for Setpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Qos {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "0" => Ok(Self(0)),
            "1" => Ok(Self(1)),
            "2" => Ok(Self(2)),
            _ => Err(format!("there is no quality of service `{text}`; use 0, 1 or 2")),
        }
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_int(text)
            .and_then(|number| i64::try_from(number).ok())
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a whole number such as 3 or 0x7FFF"))
    }
}

impl FromStr for RawNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("nan") || text.eq_ignore_ascii_case(".nan") {
            return Ok(Self(f64::NAN.to_bits()));
        }
        parse_float(text)
            .map(|number| Self(number.to_bits()))
            .ok_or_else(|| format!("`{text}` is not a raw number such as 0x7FFF, 9999.9 or nan"))
    }
}

impl FromStr for Repeat {
    type Err = String;

    /// `1..8`, both ends included.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a range; write the first and the last number, such as 1..8");
        let (first, last) = text.split_once("..").ok_or_else(wrong)?;
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong());
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return Err(format!("`{text}` counts down; write {last}..{first}"));
        }
        if (last - first) as usize >= MAX_COPIES {
            return Err(format!("`{text}` makes more than {MAX_COPIES} copies"));
        }
        Ok(Self((first..=last).map(|n| n.to_string()).collect()))
    }
}

macro_rules! read_from_text {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

read_from_text!(DeadbandText, Heartbeat, Setpoint, Qos, Code, RawNumber);

impl<'de> Deserialize<'de> for Repeat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RepeatVisitor)
    }
}

struct RepeatVisitor;

impl<'de> de::Visitor<'de> for RepeatVisitor {
    type Value = Repeat;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a range such as 1..8 or a list of words")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Repeat, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut access: A) -> Result<Repeat, A::Error> {
        let mut words: Vec<String> = Vec::new();
        while let Some(word) = access.next_element::<String>()? {
            if words.contains(&word) {
                return Err(de::Error::custom(format!("`{word}` is in the list twice")));
            }
            words.push(word);
        }
        match words.len() {
            0 => Err(de::Error::custom("an empty list makes no copies")),
            n if n > MAX_COPIES => Err(de::Error::custom(format!("more than {MAX_COPIES} copies"))),
            _ => Ok(Repeat(words)),
        }
    }
}

macro_rules! text_schema {
    ($($type:ty, $name:literal, $schema:expr;)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

text_schema! {
    DeadbandText, "Deadband", json_schema!({
        "type": ["number", "string"], "minimum": 0, "pattern": r"^\d+(\.\d+)?\s*%?$",
        "description": "A number in the point's unit (0.2) or a share of the last published value (5%)."
    });
    Heartbeat, "Heartbeat", json_schema!({
        "anyOf": [
            { "type": "string", "pattern": r"^(off|no|none|(\d+(\.\d+)?\s*(us|ms|s|m|h|d)\s*)+)$" },
            { "const": false }
        ],
        "description": "A span of time such as 1m, or `off`."
    });
    Setpoint, "Setpoint", json_schema!({
        "type": ["string", "number", "boolean"],
        "description": "A value for the output: on/off, a number, or one of its texts."
    });
    Qos, "Qos", json_schema!({
        "type": "integer", "minimum": 0, "maximum": 2,
        "description": "0 at most once, 1 at least once, 2 exactly once."
    });
    Code, "Code", json_schema!({
        "type": ["integer", "string"], "pattern": r"^[-+]?(0[xX][0-9A-Fa-f_]+|0[bB][01_]+|0[oO][0-7_]+|[0-9][0-9_]*)$",
        "description": "A whole number, decimal or hexadecimal (0x…)."
    });
    RawNumber, "RawNumber", json_schema!({
        "type": ["number", "string"], "pattern": r"^([-+]?(0[xX][0-9A-Fa-f_]+|[0-9][0-9_]*(\.[0-9]+)?([eE][-+]?[0-9]+)?)|\.?[nN][aA][nN])$",
        "description": "A raw number, decimal or hexadecimal (0x…), or nan."
    });
    Repeat, "Repeat", json_schema!({
        "anyOf": [
            { "type": "string", "pattern": r"^\d+\s*\.\.\s*\d+$" },
            { "type": "array", "items": { "type": ["string", "integer"] }, "minItems": 1 }
        ],
        "description": "The numbers 1..8 (both included) or a list of words."
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_and_their_mistakes() {
        assert_eq!("5 %".parse(), Ok(DeadbandText(Deadband::Percent(5.0))));
        assert_eq!("0.2".parse(), Ok(DeadbandText(Deadband::Absolute(0.2))));
        assert!("-1".parse::<DeadbandText>().unwrap_err().contains("negative"));
        assert_eq!("off".parse(), Ok(Heartbeat(None)));
        assert!("0s".parse::<Heartbeat>().is_err());
        assert_eq!("0x7FFF".parse(), Ok(Code(32767)));
        assert!("nan".parse::<RawNumber>().unwrap().get().is_nan());
        assert_eq!("1..3".parse::<Repeat>().unwrap().0, ["1", "2", "3"]);
        assert!("3..1".parse::<Repeat>().unwrap_err().contains("1..3"));
        assert!("1-3".parse::<Repeat>().is_err() && "0..10000".parse::<Repeat>().is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*|[0-9.%-]*") {
            let _ = (text.parse::<DeadbandText>(), text.parse::<Heartbeat>(), text.parse::<Code>());
            let _ = (text.parse::<RawNumber>(), text.parse::<Repeat>());
        }
    }
}
