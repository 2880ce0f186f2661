//! From a raw number of a device to an engineering value with a quality, and back for writes.
//!
//! The steps of a read, in this order: sentinel → sign-magnitude → span or scale and offset → rounding →
//! enumeration → range. Every step is optional. Invariant: a sentinel, an unknown enumeration code or a
//! number outside the range never becomes a good value; a write that does not come back to the value it
//! was asked for (within half a raw step) is refused before it reaches the wire.

use std::sync::Arc;

use super::{Quality, Reason, Value};

/// Whole numbers up to 2^53 fit an f64 exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// How raw numbers of one point become values. [`Default`] changes nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conversion {
    /// Raw numbers that mean something else than a measurement.
    pub sentinels: Vec<Sentinel>,
    /// Raw numbers from this one up mean −(raw − base): the sign-magnitude coding of some cheap sensors.
    pub sign_magnitude_from: Option<i64>,
    /// Linear part.
    pub linear: Linear,
    /// Decimal places kept; `None` keeps all.
    pub round: Option<u8>,
    /// Texts for raw codes; a point with an enumeration holds text.
    pub enumeration: Vec<(i64, Arc<str>)>,
    /// Permitted values, inclusive. Outside: bad quality on a read, refusal on a write.
    pub range: Option<(f64, f64)>,
    /// The digital state is the inverse of the raw bit.
    pub invert: bool,
}

/// A raw number with a meaning of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sentinel {
    /// The raw number as the device sends it.
    pub raw: f64,
    /// What it means.
    pub reason: Reason,
}

/// The linear step of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Linear {
    /// The value is the raw number.
    #[default]
    Identity,
    /// value = raw × scale + offset. The scale is never 0.
    Scale {
        /// Engineering units per raw unit.
        scale: f64,
        /// Value at raw 0.
        offset: f64,
    },
    /// A straight line through two points: raw 4 mA … 20 mA → 0 … 10 bar.
    Span {
        /// Raw ends, different from each other.
        raw: (f64, f64),
        /// Engineering ends, different from each other.
        value: (f64, f64),
        /// Judge the signal by NAMUR NE43 as a share of a 4-20 mA span.
        ne43: bool,
    },
}

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

impl Linear {
    fn forward(self, raw: f64) -> f64 {
        match self {
            Self::Identity => raw,
            Self::Scale { scale, offset } => raw * scale + offset,
            Self::Span { raw: (r0, r1), value: (v0, v1), .. } => v0 + (raw - r0) / (r1 - r0) * (v1 - v0),
        }
    }

    fn backward(self, value: f64) -> f64 {
        match self {
            Self::Identity => value,
            Self::Scale { scale, offset } => (value - offset) / scale,
            Self::Span { raw: (r0, r1), value: (v0, v1), .. } => r0 + (value - v0) / (v1 - v0) * (r1 - r0),
        }
    }

    /// NE43 on the raw span: 3.6 and 21 mA are faults, 3.8 and 20.5 mA the ends of the measuring range.
    fn judge(self, raw: f64) -> Quality {
        let Self::Span { raw: (r0, r1), ne43: true, .. } = self else {
            return Quality::Good;
        };
        let milliamps = 4.0 + (raw - r0) / (r1 - r0) * 16.0;
        match milliamps {
            ma if ma <= 3.6 => Quality::Bad(Reason::SensorUnder),
            ma if ma >= 21.0 => Quality::Bad(Reason::SensorOver),
            ma if !(3.8..=20.5).contains(&ma) => Quality::Uncertain(Reason::Saturated),
            _ => Quality::Good,
        }
    }
}

impl Conversion {
    /// Turns a raw number, bit or text into a value. No value comes with a bad quality.
    #[must_use]
    pub fn apply(&self, raw: &Value) -> (Option<Value>, Quality) {
        match raw {
            Value::Text(_) => (Some(raw.clone()), Quality::Good),
            Value::Bool(bit) => self.apply_bit(*bit),
            number => self.apply_number(number),
        }
    }

    fn apply_bit(&self, bit: bool) -> (Option<Value>, Quality) {
        let state = bit != self.invert;
        if self.enumeration.is_empty() {
            return (Some(Value::Bool(state)), Quality::Good);
        }
        self.name_of(i64::from(state))
    }

    fn apply_number(&self, number: &Value) -> (Option<Value>, Quality) {
        let Some(raw) = number.as_f64().filter(|raw| !raw.is_nan() || self.has_nan_sentinel()) else {
            return (None, Quality::Bad(Reason::Undecodable));
        };
        if let Some(sentinel) = self.sentinels.iter().find(|s| s.matches(raw)) {
            return (None, Quality::Bad(sentinel.reason));
        }
        if !raw.is_finite() {
            return (None, Quality::Bad(Reason::Undecodable));
        }
        if !self.enumeration.is_empty() {
            return self.name_of(raw as i64);
        }
        let quality = self.linear.judge(raw);
        if !quality.is_usable() {
            return (None, quality);
        }
        let value = self.forward_number(number, raw);
        let outside = match (self.range, value.as_f64()) {
            (Some((low, high)), Some(v)) => v < low || v > high,
            (_, Some(v)) => !v.is_finite(),
            _ => false,
        };
        if outside { (None, Quality::Bad(Reason::OutOfRange)) } else { (Some(value), quality) }
    }

    /// Whole numbers stay whole when nothing scales them, so that 64-bit counters lose no digit.
    fn forward_number(&self, number: &Value, raw: f64) -> Value {
        let signed = match self.sign_magnitude_from {
            Some(base) if raw >= base as f64 => -(raw - base as f64),
            _ => raw,
        };
        if self.linear == Linear::Identity && !matches!(number, Value::Float(_)) {
            return if signed == raw { number.clone() } else { Value::Int(signed as i64) };
        }
        Value::Float(round_to(self.linear.forward(signed), self.round))
    }

    fn name_of(&self, code: i64) -> (Option<Value>, Quality) {
        match self.enumeration.iter().find(|(known, _)| *known == code) {
            Some((_, name)) => (Some(Value::Text(Arc::clone(name))), Quality::Good),
            None => (None, Quality::Bad(Reason::Undecodable)),
        }
    }

    fn has_nan_sentinel(&self) -> bool {
        self.sentinels.iter().any(|s| s.raw.is_nan())
    }

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

    /// The decimal places that whole raw numbers can have after scale and offset: one for ×0.1. Rounding to
    /// them takes away nothing but the noise of binary fractions (428 × 0.1 = 42.800000000000004). `None`
    /// where there is no scale, or it has more than nine places.
    #[must_use]
    pub fn natural_places(&self) -> Option<u8> {
        match self.linear {
            Linear::Scale { scale, offset } => {
                let places = decimal_places(scale).max(decimal_places(offset));
                u8::try_from(places).ok().filter(|places| *places <= 9)
            }
            Linear::Identity | Linear::Span { .. } => None,
        }
    }

    /// The smallest difference between two values that the raw format can show: the tolerance of a read-back.
    #[must_use]
    pub fn step(&self) -> f64 {
        let linear = (self.linear.forward(1.0) - self.linear.forward(0.0)).abs();
        match self.round {
            Some(places) => linear.max(10f64.powi(-i32::from(places))),
            None => linear,
        }
    }
}

impl Sentinel {
    fn matches(&self, raw: f64) -> bool {
        raw == self.raw || (raw.is_nan() && self.raw.is_nan())
    }
}

/// Places behind the point in the shortest text that reads back to the number.
fn decimal_places(number: f64) -> usize {
    let text = number.to_string();
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

fn round_to(value: f64, places: Option<u8>) -> f64 {
    let Some(places) = places else { return value };
    let factor = 10f64.powi(i32::from(places));
    let rounded = (value * factor).round() / factor;
    if rounded.is_finite() { rounded } else { value }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scaled(scale: f64, offset: f64) -> Conversion {
        Conversion { linear: Linear::Scale { scale, offset }, round: Some(6), ..Conversion::default() }
    }

    fn loop_4_20() -> Conversion {
        Conversion {
            linear: Linear::Span { raw: (4.0, 20.0), value: (0.0, 10.0), ne43: true },
            round: Some(6),
            ..Conversion::default()
        }
    }

    #[test]
    fn scale_and_range() {
        let c = Conversion { range: Some((-40.0, 85.0)), ..scaled(0.1, 0.0) };
        assert_eq!(c.apply(&Value::Int(215)), (Some(Value::Float(21.5)), Quality::Good));
        assert_eq!(c.apply(&Value::Int(900)), (None, Quality::Bad(Reason::OutOfRange)));
        assert_eq!(c.invert(&Value::Float(21.5), true), Ok(Value::Int(215)));
        assert!(matches!(c.invert(&Value::Float(90.0), true), Err(InverseError::OutOfRange { .. })));
    }

    #[test]
    fn scaled_whole_numbers_show_no_binary_noise() {
        let places = |scale, offset| {
            Conversion { linear: Linear::Scale { scale, offset }, ..Conversion::default() }.natural_places()
        };
        assert_eq!(places(0.1, 0.0), Some(1));
        assert_eq!(places(2.0, 0.25), Some(2));
        assert_eq!(places(1.0 / 3.0, 0.0), None);
        let c = Conversion { round: places(0.1, 0.0), ..scaled(0.1, 0.0) };
        assert_eq!(c.apply(&Value::Int(428)).0, Some(Value::Float(42.8)));
    }

    #[test]
    fn ne43_limits() {
        let c = loop_4_20();
        let quality = |ma: f64| c.apply(&Value::Float(ma)).1;
        assert_eq!(c.apply(&Value::Float(12.0)), (Some(Value::Float(5.0)), Quality::Good));
        assert_eq!(quality(3.5), Quality::Bad(Reason::SensorUnder));
        assert_eq!(quality(3.7), Quality::Uncertain(Reason::Saturated));
        assert_eq!(quality(20.6), Quality::Uncertain(Reason::Saturated));
        assert_eq!(quality(21.5), Quality::Bad(Reason::SensorOver));
    }

    #[test]
    fn sentinels_and_enumerations_are_never_values() {
        let c = Conversion {
            sentinels: vec![
                Sentinel { raw: 32_767.0, reason: Reason::SensorFault },
                Sentinel { raw: f64::NAN, reason: Reason::NotAvailable },
            ],
            ..scaled(0.01, 0.0)
        };
        assert_eq!(c.apply(&Value::Int(32_767)), (None, Quality::Bad(Reason::SensorFault)));
        assert_eq!(c.apply(&Value::Float(f64::NAN)), (None, Quality::Bad(Reason::NotAvailable)));
        assert_eq!(
            Conversion::default().apply(&Value::Float(f64::NAN)),
            (None, Quality::Bad(Reason::Undecodable))
        );
        assert!(matches!(c.invert(&Value::Float(327.67), true), Err(InverseError::Reserved(_))));
        let e =
            Conversion { enumeration: vec![(0, "Idle".into()), (1, "Run".into())], ..Conversion::default() };
        assert_eq!(e.apply(&Value::Int(1)).0, Some(Value::from("Run")));
        assert_eq!(e.apply(&Value::Int(7)), (None, Quality::Bad(Reason::Undecodable)));
        assert_eq!(e.invert(&Value::from("run"), true), Ok(Value::Int(1)));
        assert!(e.invert(&Value::from("fly"), true).unwrap_err().to_string().contains("Idle, Run"));
    }

    #[test]
    fn sign_magnitude_reads_and_writes() {
        let c = Conversion { sign_magnitude_from: Some(10_000), ..scaled(0.1, 0.0) };
        assert_eq!(c.apply(&Value::Int(10_055)).0, Some(Value::Float(-5.5)));
        assert_eq!(c.invert(&Value::Float(-5.5), true), Ok(Value::Int(10_055)));
        assert_eq!(c.invert(&Value::Float(5.5), true), Ok(Value::Int(55)));
        assert!(c.invert(&Value::Float(1500.0), true).is_err());
    }

    #[test]
    fn wide_counters_keep_every_digit() {
        let c = Conversion::default();
        assert_eq!(c.apply(&Value::UInt(u64::MAX)).0, Some(Value::UInt(u64::MAX)));
        assert_eq!(c.invert(&Value::Int(i64::MAX), true), Ok(Value::Int(i64::MAX)));
        assert!(c.invert(&Value::Float(1.5), true).is_err());
    }

    proptest! {
        #[test]
        fn a_written_value_reads_back_within_half_a_step(
            raw in -32_768i64..32_767, scale in prop::sample::select(vec![0.001, 0.01, 0.1, 0.5, 1.0, 10.0, -0.1]),
            offset in -100.0f64..100.0,
        ) {
            let c = Conversion { linear: Linear::Scale { scale, offset }, ..Conversion::default() };
            let (value, quality) = c.apply(&Value::Int(raw));
            prop_assert_eq!(quality, Quality::Good);
            let back = c.invert(&value.unwrap(), true).unwrap();
            prop_assert_eq!(back, Value::Int(raw));
        }

        #[test]
        fn any_number_gives_a_finite_value_or_a_reason(bits: u64, scale in -1e9f64..1e9, span: bool) {
            prop_assume!(scale != 0.0);
            let c = if span { loop_4_20() } else { scaled(scale, 1.0) };
            let (value, quality) = c.apply(&Value::Float(f64::from_bits(bits)));
            match value {
                Some(v) => {
                    prop_assert!(quality.is_usable());
                    prop_assert!(v.as_f64().unwrap().is_finite());
                }
                None => prop_assert!(!quality.is_usable()),
            }
        }
    }
}
