//! Durations, byte sizes and slopes as people write them: `500ms`, `1m30s`, `2GiB`, `5/s`.
//!
//! Invariant: a bare number is never accepted where a unit could be forgotten.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A span of time in configuration: digits and a unit, several of them allowed (`1m30s`).
/// Units: `us`, `ms`, `s`, `m`, `h`, `d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Period(pub Duration);

/// A number of bytes in configuration: digits and a unit. `kB`, `MB`, `GB` are powers of 1000,
/// `KiB`, `MiB`, `GiB` powers of 1024, `B` is one byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

/// How fast a value may change: a number, `/` and a unit of time, `5/s` or `30 /min`; held per second. Above 0.
/// Units: `s`, `min`, `h`.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub struct Slope(pub f64);

/// A number of things: `1 point`, `2 points`.
#[must_use]
pub fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

const PERIOD_UNITS: [(&str, u64); 6] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

const BYTE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

const SLOPE_UNITS: [(&str, f64); 3] = [("s", 1.0), ("min", 60.0), ("h", 3600.0)];

impl Period {
    /// A period of whole milliseconds.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// A period of whole seconds.
    #[must_use]
    pub const fn from_secs(s: u64) -> Self {
        Self(Duration::from_secs(s))
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a period; write digits and a unit: 500ms, 1s, 1m30s, 2h, 30d");
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(wrong());
        }
        let mut total_us: u64 = 0;
        while !rest.is_empty() {
            let (number, unit, tail) = split_quantity(rest).ok_or_else(wrong)?;
            let scale = lookup(&PERIOD_UNITS, unit).ok_or_else(wrong)?;
            let us = scaled(number, scale).ok_or_else(wrong)?;
            total_us = total_us.checked_add(us).ok_or_else(|| format!("`{text}` is too long"))?;
            rest = tail;
        }
        Ok(Self(Duration::from_micros(total_us)))
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a size; write digits and a unit: 512B, 64KiB, 10MB, 2GiB");
        let (number, unit, tail) = split_quantity(text.trim()).ok_or_else(wrong)?;
        let scale = lookup(&BYTE_UNITS, unit).ok_or_else(wrong)?;
        match tail {
            "" => scaled(number, scale).map(Self).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }
}

impl FromStr for Slope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a slope; write a number above 0 and per what: 5/s, 30/min, 0.5/h");
        let (number, unit) = text.split_once('/').ok_or_else(wrong)?;
        let per = SLOPE_UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?.1;
        let slope = number.trim().parse::<f64>().map_err(|_| wrong())? / per;
        if slope.is_finite() && slope > 0.0 { Ok(Self(slope)) } else { Err(wrong()) }
    }
}

/// Splits `1.5m30s` into (`1.5`, `m`, `30s`).
fn split_quantity(text: &str) -> Option<(&str, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(digits);
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, tail) = rest.split_at(end);
    (!number.is_empty() && !unit.is_empty()).then_some((number, unit, tail.trim_start()))
}

fn lookup(units: &[(&str, u64)], unit: &str) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale)
}

fn scaled(number: &str, scale: u64) -> Option<u64> {
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale);
    }
    let product = number.parse::<f64>().ok()? * scale as f64;
    (product.is_finite() && product < 9.0e18).then_some(product.round() as u64)
}

/// Writes the largest unit that leaves no remainder, so that what is printed reads back exactly.
fn write_exact(f: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)]) -> fmt::Result {
    let (name, scale) = units
        .iter()
        .filter(|(_, scale)| amount.is_multiple_of(*scale))
        .max_by_key(|(_, scale)| if amount == 0 { u64::MAX - scale } else { *scale })
        .unwrap_or(&units[0]);
    write!(f, "{}{name}", amount / scale)
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_exact(f, u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX), &PERIOD_UNITS)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_exact(f, self.0, &BYTE_UNITS)
    }
}

impl fmt::Display for Slope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// What a text-valued configuration type needs: serde by its text, a schema with a pattern.
macro_rules! text_type {
    ($type:ty, $name:literal, $pattern:literal, $description:literal) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $description })
            }
        }
    };
}

text_type!(
    Period,
    "Period",
    r"^(\d+(\.\d+)?\s*(us|ms|s|m|h|d)\s*)+$",
    "A span of time: digits and a unit (us, ms, s, m, h, d), such as 500ms or 1m30s."
);
text_type!(
    ByteSize,
    "ByteSize",
    r"^\d+(\.\d+)?\s*(B|kB|MB|GB|KiB|MiB|GiB)$",
    "A number of bytes: digits and a unit, such as 64KiB or 2GiB."
);
text_type!(
    Slope,
    "Slope",
    r"^\s*\d+(\.\d+)?\s*/\s*(s|min|h)\s*$",
    "How fast a value may change, in the point's unit: 5/s, 30/min or 0.5/h."
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn periods_and_sizes_read_as_written() {
        assert_eq!("1m30s".parse(), Ok(Period::from_secs(90)));
        assert_eq!("0.5s".parse(), Ok(Period::from_millis(500)));
        assert_eq!("2GiB".parse(), Ok(ByteSize(2 << 30)));
        for wrong in ["", "1", "s", "1 parsec", "-1s", "1s 2", "99999999999999d"] {
            assert!(wrong.parse::<Period>().is_err(), "{wrong}");
        }
        assert_eq!("30 / min".parse(), Ok(Slope(0.5)));
        for wrong in ["", "5", "5 s", "5/", "/s", "0/s", "-1/s", "5/m", "inf/s", "1/s/s"] {
            assert!(wrong.parse::<Slope>().is_err(), "{wrong}");
        }
        for wrong in ["", "1", "1kb", "1B1B"] {
            assert!(wrong.parse::<ByteSize>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(us: u32, bytes: u64) {
            let period = Period(Duration::from_micros(u64::from(us)));
            prop_assert_eq!(period.to_string().parse(), Ok(period));
            let size = ByteSize(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
            let slope = Slope(f64::from(us) / 1000.0 + 0.001);
            prop_assert_eq!(slope.to_string().parse(), Ok(slope));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<Period>();
            let _ = text.parse::<ByteSize>();
            let _ = text.parse::<Slope>();
        }
    }
}
