//! The type of an object that is set, and from the text of a value to a value of that type.
//!
//! Pure. The way back of `value`: what [`Syntax::encode`] makes of a text is read as that text again. Absent:
//! counters, which RFC 2578 (section 7.1.6) lets nobody write, and what has no text. Invariant: nothing here panics.

use async_snmp::{Oid, Value};
use schemars::JsonSchema;
use serde::Deserialize;

use super::value::{DOUBLE, FLOAT};

/// The longest text that is written, in bytes: a DisplayString (RFC 2579).
pub(super) const MAX_OCTETS: usize = 255;

/// The type of an object that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "SnmpType")]
pub enum Syntax {
    /// A text: OCTET STRING.
    #[default]
    Text,
    /// INTEGER, a whole number from -2^31 to 2^31 - 1.
    Integer,
    /// Unsigned32 or Gauge32, a whole number from 0 to 2^32 - 1.
    Unsigned,
    /// TimeTicks, hundredths of a second from 0 to 2^32 - 1.
    TimeTicks,
    /// IpAddress: `192.0.2.1`.
    IpAddress,
    /// OBJECT IDENTIFIER: `1.3.6.1.4.1.9`.
    ObjectId,
    /// A float in an Opaque, as net-snmp does.
    Float,
    /// A double in an Opaque.
    Double,
}

impl Syntax {
    /// The type of a value; `None` for those that cannot be written.
    pub(super) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Integer(_) => Self::Integer,
            Value::Gauge32(_) => Self::Unsigned,
            Value::TimeTicks(_) => Self::TimeTicks,
            Value::OctetString(_) => Self::Text,
            Value::IpAddress(_) => Self::IpAddress,
            Value::ObjectIdentifier(_) => Self::ObjectId,
            Value::Opaque(octets) if octets.starts_with(&FLOAT) => Self::Float,
            Value::Opaque(octets) if octets.starts_with(&DOUBLE) => Self::Double,
            _ => return None,
        })
    }

    /// What it holds, in words.
    #[must_use]
    pub const fn described(self) -> &'static str {
        match self {
            Self::Text => "a text of at most 255 bytes",
            Self::Integer => "a whole number between -2147483648 and 2147483647",
            Self::Unsigned | Self::TimeTicks => "a whole number between 0 and 4294967295",
            Self::IpAddress => "an address such as 192.0.2.1",
            Self::ObjectId => "an object identifier such as 1.3.6.1.4.1.9",
            Self::Float | Self::Double => "a number",
        }
    }

    /// The value that a text means.
    ///
    /// # Errors
    /// Says what the object holds. The message holds the text.
    pub(super) fn encode(self, text: &str) -> Result<Value, String> {
        let value = match self {
            Self::Text => (text.len() <= MAX_OCTETS)
                .then(|| Value::OctetString(bytes::Bytes::copy_from_slice(text.as_bytes()))),
            Self::Integer => text.parse().ok().map(Value::Integer),
            Self::Unsigned => text.parse().ok().map(Value::Gauge32),
            Self::TimeTicks => text.parse().ok().map(Value::TimeTicks),
            Self::IpAddress => {
                text.parse::<std::net::Ipv4Addr>().ok().map(|address| Value::IpAddress(address.octets()))
            }
            Self::ObjectId => Oid::parse(text)
                .ok()
                .filter(|oid| oid.arcs().len() > 1 && oid.to_ber().is_ok())
                .map(Value::ObjectIdentifier),
            Self::Float => text
                .parse::<f32>()
                .ok()
                .filter(|number| number.is_finite())
                .map(|number| Value::Opaque([FLOAT.as_slice(), &number.to_be_bytes()].concat().into())),
            Self::Double => text
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite())
                .map(|number| Value::Opaque([DOUBLE.as_slice(), &number.to_be_bytes()].concat().into())),
        };
        value.ok_or_else(|| format!("{text}: the object holds {}", self.described()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::value;
    use super::*;

    const ALL: [Syntax; 8] = [
        Syntax::Text,
        Syntax::Integer,
        Syntax::Unsigned,
        Syntax::TimeTicks,
        Syntax::IpAddress,
        Syntax::ObjectId,
        Syntax::Float,
        Syntax::Double,
    ];

    #[test]
    fn each_type_takes_what_it_holds_and_nothing_else() {
        for (syntax, good, wrong) in [
            (Syntax::Integer, "-2147483648", "2147483648"),
            (Syntax::Unsigned, "4294967295", "-1"),
            (Syntax::TimeTicks, "360000", "1.5"),
            (Syntax::IpAddress, "192.0.2.1", "192.0.2.256"),
            (Syntax::ObjectId, "1.3.6.1.4.1.9", "3.1.1"),
            (Syntax::Float, "1.5", "inf"),
            (Syntax::Double, "-1.25", "one"),
        ] {
            let encoded = syntax.encode(good).unwrap();
            assert_eq!(Syntax::of(&encoded), Some(syntax));
            assert_eq!(value::text(&encoded).unwrap(), good);
            let error = syntax.encode(wrong).unwrap_err();
            assert!(error.contains(syntax.described()), "{error}");
        }
        assert!(Syntax::Text.encode(&"x".repeat(MAX_OCTETS + 1)).is_err());
        for counter in [Value::Counter32(1), Value::Counter64(1), Value::NoSuchInstance, Value::Null] {
            assert_eq!(Syntax::of(&counter), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(text in "\\PC{0,80}", number: i32, real: f64) {
            for syntax in ALL {
                for text in [text.clone(), number.to_string(), real.to_string()] {
                    let Ok(encoded) = syntax.encode(&text) else { continue };
                    prop_assert_eq!(Syntax::of(&encoded), Some(syntax));
                    let read = value::text(&encoded).unwrap();
                    match syntax {
                        Syntax::Text | Syntax::IpAddress => prop_assert_eq!(read, text),
                        // Texts of one number may differ: `+1`, `01`, and what is beyond the digits of a float.
                        _ => prop_assert_eq!(syntax.encode(&read), Ok(encoded.clone())),
                    }
                }
            }
        }
    }
}
