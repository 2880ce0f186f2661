//! A measured or commanded value: truth, whole number, real number or text.
//!
//! Invariant: a value never carries a unit or a quality; those stand beside it. `Float` is always finite
//! once it has passed a [`Conversion`](super::Conversion).

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// What kind of value a point holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// True or false.
    Bool,
    /// A whole number.
    Integer,
    /// A real number.
    Float,
    /// Text, also the names of an enumeration.
    Text,
}

/// A value as it is read from a device, shown to people and sent to outputs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A digital state.
    Bool(bool),
    /// A signed whole number.
    Int(i64),
    /// An unsigned whole number above the signed range (64-bit counters).
    UInt(u64),
    /// A real number.
    Float(f64),
    /// Text.
    Text(Arc<str>),
}

impl Value {
    /// The value as a real number; `None` for text. `true` is 1.
    ///
    /// Whole numbers beyond 2^53 lose their last digits here, as in any f64.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Bool(b) => Some(f64::from(u8::from(*b))),
            Self::Int(i) => Some(*i as f64),
            Self::UInt(u) => Some(*u as f64),
            Self::Float(f) => Some(*f),
            Self::Text(_) => None,
        }
    }

    /// The value as a digital state: a bool, or a number that is 0 or 1.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            Self::Int(0) | Self::UInt(0) => Some(false),
            Self::Int(1) | Self::UInt(1) => Some(true),
            Self::Float(f) if *f == 0.0 => Some(false),
            Self::Float(f) if *f == 1.0 => Some(true),
            _ => None,
        }
    }

    /// The kind of this value.
    #[must_use]
    pub const fn kind(&self) -> ValueKind {
        match self {
            Self::Bool(_) => ValueKind::Bool,
            Self::Int(_) | Self::UInt(_) => ValueKind::Integer,
            Self::Float(_) => ValueKind::Float,
            Self::Text(_) => ValueKind::Text,
        }
    }

    /// Reads a value of `kind` from what a person or an MQTT client wrote: `on`/`off`, `true`/`false`,
    /// `1`/`0` for digital points, decimal or `0x` numbers, or the text itself.
    ///
    /// # Errors
    /// Says what was expected, when the text does not read as that kind.
    pub fn parse(text: &str, kind: ValueKind) -> Result<Self, String> {
        let trimmed = text.trim();
        match kind {
            ValueKind::Bool => parse_bool(trimmed)
                .map(Self::Bool)
                .ok_or_else(|| format!("`{trimmed}` is not on/off, true/false or 1/0")),
            ValueKind::Integer => {
                parse_integer(trimmed).ok_or_else(|| format!("`{trimmed}` is not a whole number"))
            }
            ValueKind::Float => trimmed
                .parse::<f64>()
                .ok()
                .filter(|f| f.is_finite())
                .map(Self::Float)
                .ok_or_else(|| format!("`{trimmed}` is not a number")),
            ValueKind::Text => Ok(Self::Text(text.into())),
        }
    }

    /// Appends the value as plain text, the payload format `raw`: `true`, `21.5`, `Running`.
    pub fn write_raw(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
            Self::Int(i) => out.extend_from_slice(itoa::Buffer::new().format(*i).as_bytes()),
            Self::UInt(u) => out.extend_from_slice(itoa::Buffer::new().format(*u).as_bytes()),
            Self::Float(f) => write_float(*f, out),
            Self::Text(t) => out.extend_from_slice(t.as_bytes()),
        }
    }

    /// Appends the value as JSON; text is quoted and escaped, a non-finite number becomes `null`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(t) => write_json_string(t, out),
            Self::Float(f) if !f.is_finite() => out.extend_from_slice(b"null"),
            other => other.write_raw(out),
        }
    }
}

/// Appends `text` as a JSON string with its quotes.
pub fn write_json_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            other => out.push(other),
        }
    }
    out.push(b'"');
}

/// Shortest digits that read back to the same number, without the `.0` of whole ones.
fn write_float(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        out.extend_from_slice(if value.is_nan() {
            b"NaN"
        } else if value > 0.0 {
            b"Infinity"
        } else {
            b"-Infinity"
        });
        return;
    }
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value);
    out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
}

fn parse_bool(text: &str) -> Option<bool> {
    if ["on", "true", "1"].iter().any(|w| text.eq_ignore_ascii_case(w)) {
        Some(true)
    } else if ["off", "false", "0"].iter().any(|w| text.eq_ignore_ascii_case(w)) {
        Some(false)
    } else {
        None
    }
}

fn parse_integer(text: &str) -> Option<Value> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(hex, 16).ok().map(Value::from);
    }
    match text.parse::<i64>() {
        Ok(int) => Some(Value::Int(int)),
        Err(_) => text.parse::<u64>().ok().map(Value::UInt),
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<i64> for Value {
    fn from(i: i64) -> Self {
        Self::Int(i)
    }
}

impl From<u64> for Value {
    /// Keeps to [`Value::Int`] where the number fits, so that equal numbers compare equal.
    fn from(u: u64) -> Self {
        i64::try_from(u).map_or(Self::UInt(u), Self::Int)
    }
}

impl From<f64> for Value {
    fn from(f: f64) -> Self {
        Self::Float(f)
    }
}

impl From<&str> for Value {
    fn from(t: &str) -> Self {
        Self::Text(t.into())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(24);
        self.write_raw(&mut bytes);
        f.write_str(&String::from_utf8_lossy(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_read_as_the_kind_asked_for() {
        assert_eq!(Value::parse("ON", ValueKind::Bool), Ok(Value::Bool(true)));
        assert_eq!(Value::parse(" 0 ", ValueKind::Bool), Ok(Value::Bool(false)));
        assert_eq!(Value::parse("0x10", ValueKind::Integer), Ok(Value::Int(16)));
        assert_eq!(Value::parse("-3.5", ValueKind::Float), Ok(Value::Float(-3.5)));
        assert!(Value::parse("nan", ValueKind::Float).is_err());
        assert!(Value::parse("2", ValueKind::Bool).is_err());
        assert_eq!(Value::parse("18446744073709551615", ValueKind::Integer), Ok(Value::UInt(u64::MAX)));
    }

    #[test]
    fn whole_floats_lose_their_point_zero() {
        assert_eq!(Value::Float(21.0).to_string(), "21");
        assert_eq!(Value::Float(-0.5).to_string(), "-0.5");
    }

    proptest! {
        #[test]
        fn json_of_any_value_reads_back(text in ".*", int: i64, float in -1e300f64..1e300) {
            for value in [Value::from(text.as_str()), Value::Int(int), Value::Float(float)] {
                let mut out = Vec::new();
                value.write_json(&mut out);
                let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
                match &value {
                    Value::Text(t) => prop_assert_eq!(json.as_str(), Some(&**t)),
                    other => prop_assert_eq!(json.as_f64(), other.as_f64()),
                }
            }
        }
    }
}
