//! Whole numbers that mean something: one of them, or a range of them.
//!
//! Absent: what they mean. Invariant: the first of a range is not above its last.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::model::Value;

/// A raw number (`3`, `0x5500`) or a range of them, both ends included (`1..65535`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Codes {
    /// The lowest.
    pub first: i64,
    /// The highest.
    pub last: i64,
}

impl Codes {
    /// Whether the number is among them.
    #[must_use]
    pub const fn hold(self, number: i64) -> bool {
        self.first <= number && number <= self.last
    }

    /// Whether the number is among any of these.
    #[must_use]
    pub fn any_holds(list: &[Self], number: i64) -> bool {
        list.iter().any(|codes| codes.hold(number))
    }

    /// A raw value as a number that codes can hold.
    #[must_use]
    pub fn number(raw: &Value) -> Option<i64> {
        match raw {
            Value::Bool(state) => Some(i64::from(*state)),
            Value::Int(number) => Some(*number),
            Value::UInt(number) => i64::try_from(*number).ok(),
            Value::Float(_) | Value::Text(_) => None,
        }
    }
}

impl fmt::Display for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}..{}", self.first, self.last),
        }
    }
}

/// A whole number, decimal or hexadecimal.
fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let value = match hex {
        Some(hex) => i64::from_str_radix(&hex.replace('_', ""), 16),
        None => digits.replace('_', "").parse(),
    };
    value.ok().map(|value| if negative { -value } else { value })
}

impl FromStr for Codes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a whole number such as 3 or 0x7FFF, or a range such as 1..5");
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let (first, last) = (number(first).ok_or_else(wrong)?, number(last).ok_or_else(wrong)?);
        if last < first {
            return Err(format!("`{text}` counts down; write {last}..{first}"));
        }
        Ok(Self { first, last })
    }
}

struct CodesVisitor;

impl de::Visitor<'_> for CodesVisitor {
    type Value = Codes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number or a range such as 1..5")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Codes, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Codes, E> {
        Ok(Codes { first: number, last: number })
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Codes, E> {
        i64::try_from(number).map_err(E::custom).and_then(|number| self.visit_i64(number))
    }
}

impl<'de> Deserialize<'de> for Codes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CodesVisitor)
    }
}

impl JsonSchema for Codes {
    fn schema_name() -> Cow<'static, str> {
        "Codes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "pattern": r"^-?(0[xX][0-9A-Fa-f_]+|[0-9][0-9_]*)(\.\.-?(0[xX][0-9A-Fa-f_]+|[0-9][0-9_]*))?$",
            "description": "A whole number, decimal or hexadecimal (0x…), or a range such as 1..5."
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_and_ranges() {
        let codes = |text: &str| text.parse::<Codes>();
        assert_eq!(codes("0x5500"), Ok(Codes { first: 0x5500, last: 0x5500 }));
        assert_eq!(codes("-2..0x10"), Ok(Codes { first: -2, last: 16 }));
        assert!(codes("1..5").unwrap().hold(5) && !codes("1..5").unwrap().hold(6));
        assert!(codes("5..1").unwrap_err().contains("1..5"));
        assert!(codes("").is_err() && codes("--1").is_err() && codes("0x").is_err());
        assert_eq!(serde_json::from_str::<Codes>("7").unwrap().to_string(), "7");
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_shown_reads_back(text in ".*|[0-9x.-]*", a in -9_000i64..9_000, b in 0i64..9_000) {
            let _ = text.parse::<Codes>();
            let codes = Codes { first: a, last: a + b };
            prop_assert_eq!(codes.to_string().parse(), Ok(codes));
        }
    }
}
