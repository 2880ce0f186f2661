//! From a raw number of a device to an engineering value with a quality, and back for writes.
//!
//! The steps of a read, in this order: sentinel → sign-magnitude → span or scale and offset → rounding →
//! enumeration → range. Every step is optional. Invariant: a sentinel, an unknown enumeration code or a
//! number outside the range never becomes a good value; a write that does not come back to the value it
//! was asked for (within half a raw step) is refused before it reaches the wire.

mod inverse;

use std::sync::Arc;

pub use inverse::InverseError;

use super::{Quality, Reason, Value};

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
    /// A power factor whose quadrant is folded into its size: beyond ±1 it means ±2 minus the number.
    pub quadrants: bool,
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
        self.apply_as(raw, self.linear, self.round)
    }

    /// The same with another scale and rounding than its own: for devices that tell the scale in a register.
    #[must_use]
    pub fn apply_as(&self, raw: &Value, linear: Linear, round: Option<u8>) -> (Option<Value>, Quality) {
        match raw {
            Value::Text(_) => (Some(raw.clone()), Quality::Good),
            Value::Bool(bit) => self.apply_bit(*bit),
            number => self.apply_number(number, linear, round),
        }
    }

    fn apply_bit(&self, bit: bool) -> (Option<Value>, Quality) {
        let state = bit != self.invert;
        if self.enumeration.is_empty() {
            return (Some(Value::Bool(state)), Quality::Good);
        }
        self.name_of(i64::from(state))
    }

    fn apply_number(&self, number: &Value, linear: Linear, round: Option<u8>) -> (Option<Value>, Quality) {
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
        let quality = linear.judge(raw);
        if !quality.is_usable() {
            return (None, quality);
        }
        let value = self.forward_number(number, raw, linear, round);
        let outside = match (self.range, value.as_f64()) {
            (Some((low, high)), Some(v)) => v < low || v > high,
            (_, Some(v)) => !v.is_finite(),
            _ => false,
        };
        if outside { (None, Quality::Bad(Reason::OutOfRange)) } else { (Some(value), quality) }
    }

    /// Whole numbers stay whole when nothing scales them, so that 64-bit counters lose no digit.
    fn forward_number(&self, number: &Value, raw: f64, linear: Linear, round: Option<u8>) -> Value {
        let signed = match self.sign_magnitude_from {
            Some(base) if raw >= base as f64 => -(raw - base as f64),
            _ => raw,
        };
        if linear == Linear::Identity && !self.quadrants && !matches!(number, Value::Float(_)) {
            return if signed == raw { number.clone() } else { Value::Int(signed as i64) };
        }
        let value = linear.forward(signed);
        let value = if self.quadrants { unfold(value) } else { value };
        Value::Float(round_to(value, round))
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

/// A power factor out of its four-quadrant coding (Schneider DOCA0005, "power factor register format").
fn unfold(coded: f64) -> f64 {
    match coded {
        leading if leading > 1.0 => 2.0 - leading,
        leading if leading < -1.0 => -2.0 - leading,
        lagging => lagging,
    }
}

fn round_to(value: f64, places: Option<u8>) -> f64 {
    let Some(places) = places else { return value };
    let factor = 10f64.powi(i32::from(places));
    let rounded = (value * factor).round() / factor;
    if rounded.is_finite() { rounded } else { value }
}

#[cfg(test)]
mod tests;
