//! The way back: from a value that is to be written to the raw number.
//!
//! Absent: whether the number fits the register's width, which is the driver's question.

use super::{Conversion, Linear};
use crate::model::Value;

/// Whole numbers up to 2^53 fit an f64 exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Why a value cannot be written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InverseError {
    /// Not the kind of value that this point takes.
    #[error("{0}")]
    WrongKind(String),
    /// Outside the permitted values.
    #[error("{value} is outside {low} … {high}")]
    OutOfRange {
        /// What was asked for.
        value: f64,
        /// Lowest permitted.
        low: f64,
        /// Highest permitted.
        high: f64,
    },
    /// The device's number format cannot hold the value.
    #[error("{value} cannot be represented: the nearest raw number {raw} means {back}")]
    NotRepresentable {
        /// What was asked for.
        value: f64,
        /// The raw number that would be sent.
        raw: f64,
        /// What that raw number means.
        back: f64,
    },
    /// The raw number would be one the device reserves.
    #[error("raw {0} is reserved by the device")]
    Reserved(f64),
}

impl Conversion {
    /// Turns a value to be written into the raw number or bit. `whole` says that the device takes whole
    /// numbers only. Whether the number fits the register's width is the driver's question.
    ///
    /// # Errors
    /// When the value has the wrong kind, lies outside the range, or would come back as another value.
    pub fn invert(&self, value: &Value, whole: bool) -> Result<Value, InverseError> {
        if let Value::Text(text) = value {
            return self.code_of(text);
        }
        if let Value::Bool(state) = value {
            return Ok(Value::Bool(*state != self.invert));
        }
        let Some(wanted) = value.as_f64().filter(|v| v.is_finite()) else {
            return Err(InverseError::WrongKind("a finite number is needed".into()));
        };
        if let Some((low, high)) = self.range
            && !(low..=high).contains(&wanted)
        {
            return Err(InverseError::OutOfRange { value: wanted, low, high });
        }
        let raw = self.raw_of(value, wanted, whole)?;
        match raw.as_f64() {
            Some(number) if self.sentinels.iter().any(|s| s.matches(number)) => {
                Err(InverseError::Reserved(number))
            }
            _ => Ok(raw),
        }
    }

    fn raw_of(&self, value: &Value, wanted: f64, whole: bool) -> Result<Value, InverseError> {
        if self.linear == Linear::Identity && self.sign_magnitude_from.is_none() {
            return match value {
                Value::Float(f) if whole && f.fract() != 0.0 => {
                    Err(InverseError::NotRepresentable { value: wanted, raw: f.round(), back: f.round() })
                }
                Value::Float(f) if whole && f.abs() < EXACT => Ok(Value::Int(*f as i64)),
                other => Ok(other.clone()),
            };
        }
        let exact = self.linear.backward(wanted);
        let number = if whole { exact.round() } else { exact };
        let back = self.linear.forward(number);
        let half_step = (self.linear.forward(number + 0.5) - back).abs();
        if !number.is_finite()
            || number.abs() > EXACT
            || (whole && (back - wanted).abs() > half_step * 1.000_001)
        {
            return Err(InverseError::NotRepresentable { value: wanted, raw: number, back });
        }
        let coded = match self.sign_magnitude_from {
            Some(base) if number < 0.0 => base as f64 - number,
            Some(base) if number >= base as f64 => {
                return Err(InverseError::NotRepresentable {
                    value: wanted,
                    raw: number,
                    back: -(number - base as f64),
                });
            }
            _ => number,
        };
        Ok(if whole { Value::Int(coded as i64) } else { Value::Float(coded) })
    }

    fn code_of(&self, text: &str) -> Result<Value, InverseError> {
        if self.enumeration.is_empty() {
            return Ok(Value::Text(text.into()));
        }
        self.enumeration
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text))
            .map(|(code, _)| Value::Int(*code))
            .ok_or_else(|| {
                let names: Vec<&str> = self.enumeration.iter().map(|(_, name)| &**name).collect();
                InverseError::WrongKind(format!("`{text}` is none of: {}", names.join(", ")))
            })
    }
}
