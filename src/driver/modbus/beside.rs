//! What stands beside a point: registers that tell its scale, its state, and whether it is there at all.
//!
//! The configuration's types and the rules that come of them. Pure: the owner reads the registers and keeps
//! what they held. Invariant: a point whose companion has not been read, is bad or holds an unknown code has
//! no value; nothing is assumed for it.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::codes::Codes;
use super::config::{DeviceConfig, PointConfig};
use super::register::{Order, RawType, Register};
use crate::model::conversion::Linear;
use crate::model::units::Period;
use crate::model::{Conversion, Quality, Reason, Value};

/// The power of ten that means "there is none" (SunSpec Information Model, sunssf).
const NO_EXPONENT: i64 = -32_768;

/// The largest power of ten that a scale factor may have (SunSpec Information Model: -10 … 10).
const MAX_EXPONENT: i64 = 10;

/// A section that names a register beside its own keys.
macro_rules! beside {
    ($(#[$doc:meta])* $name:ident { $($(#[$own:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub struct $name {
            /// A coil by its address.
            pub coil: Option<u32>,
            /// A discrete input by its address.
            pub discrete: Option<u32>,
            /// An input register by its address.
            pub input: Option<u32>,
            /// A holding register by its address.
            pub holding: Option<u32>,
            /// Number format; `u16` for registers when left out.
            #[serde(rename = "type")]
            pub raw: Option<RawType>,
            /// Byte order, where it differs from the device's.
            pub order: Option<Order>,
            /// One bit of the register, 0 … 15.
            pub bit: Option<u8>,
            /// Consecutive bits of the register, lowest and highest.
            pub bits: Option<(u8, u8)>,
            /// How far the address (or bit) moves from one copy of the point to the next; as far as it reaches when left out.
            pub step: Option<i64>,
            /// How often it is read; as often as the point when left out.
            pub poll: Option<Period>,
            $($(#[$own])* pub $field: $type,)*
        }

        impl $name {
            /// The register, as a point would name it.
            #[must_use]
            pub fn place(&self) -> PointConfig {
                PointConfig {
                    coil: self.coil,
                    discrete: self.discrete,
                    input: self.input,
                    holding: self.holding,
                    raw: self.raw,
                    order: self.order,
                    bit: self.bit,
                    bits: self.bits,
                    ..PointConfig::default()
                }
            }
        }
    };
}

beside! {
    /// The scale of a point is told by another register.
    ScaleConfig {
        /// The register holds a power of ten: value = raw × 10^register.
        exponent: bool,
        /// The scale for each code of the register; another code makes the reading bad.
        codes: IndexMap<Codes, LinearConfig>,
    }
}

beside! {
    /// The state of a point is told by another register.
    StatusConfig {
        /// The codes that make the reading bad, and why; all others are good.
        codes: IndexMap<Codes, Fault>,
    }
}

beside! {
    /// Whether a point is there is told by another register.
    WhenConfig {
        /// The point is there while the register holds one of these; else it is `not-available`.
        is: Vec<Codes>,
    }
}

beside! {
    /// What a device is known by: a register and what it must hold.
    ProbeConfig {
        /// Characters of a text.
        length: Option<u16>,
        /// One of these numbers.
        is: Vec<Codes>,
        /// A text that holds this one.
        contains: Option<String>,
    }
}

/// A straight line from raw numbers to values.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LinearConfig {
    /// Engineering units per raw unit, 1 when left out.
    pub scale: Option<f64>,
    /// The value at raw 0.
    pub offset: Option<f64>,
    /// Two raw numbers, with `value` instead of scale and offset.
    pub raw: Option<(f64, f64)>,
    /// The values at these two.
    pub value: Option<(f64, f64)>,
}

/// Why a point has no value although it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The sensor is broken or missing.
    SensorFault,
    /// Below its span: a broken wire.
    SensorUnder,
    /// Above its span: a short circuit.
    SensorOver,
    /// There is no such measurement, or not now.
    NotAvailable,
    /// Outside what the device can measure.
    OutOfRange,
    /// The value is too old.
    Stale,
}

impl Fault {
    const fn reason(self) -> Reason {
        match self {
            Self::SensorFault => Reason::SensorFault,
            Self::SensorUnder => Reason::SensorUnder,
            Self::SensorOver => Reason::SensorOver,
            Self::NotAvailable => Reason::NotAvailable,
            Self::OutOfRange => Reason::OutOfRange,
            Self::Stale => Reason::Stale,
        }
    }
}

/// A register beside a point, and what it tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Companion {
    /// Its place on the wire.
    pub register: Register,
    /// How often it is read, where that differs from the point.
    pub poll: Option<Duration>,
    /// What it tells.
    pub role: Role,
}

/// What a register tells of a point.
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    /// The power of ten of the scale.
    Exponent,
    /// The scale, by codes.
    Scales(Vec<(Codes, Linear)>),
    /// What is wrong, by codes.
    Status(Vec<(Codes, Reason)>),
    /// Whether the point is there.
    Presence(Vec<Codes>),
}

/// What is known of a companion.
#[derive(Debug, Clone, PartialEq)]
pub enum Beside {
    /// It has not been read yet.
    Unread,
    /// It held this.
    Raw(Value),
    /// It could not be read.
    Bad(Reason),
}

/// How a point is to be converted now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Now {
    /// A companion has not been read yet.
    Unknown,
    /// There is no value, for this reason.
    Bad(Reason),
    /// By its own conversion.
    Own,
    /// By its own conversion with another scale and rounding.
    Scaled(Linear, Option<u8>),
}

impl LinearConfig {
    fn linear(&self) -> Result<Linear, String> {
        match (self.raw, self.value, self.scale, self.offset) {
            (Some(raw), Some(value), None, None) if raw.0 != raw.1 && value.0 != value.1 => {
                Ok(Linear::Span { raw, value, ne43: false })
            }
            (Some(_), Some(_), None, None) => Err("codes: the two ends of raw, and of value, must differ".into()),
            (None, None, Some(scale), _) if scale == 0.0 => {
                Err("codes: a scale of 0 makes every reading the same".into())
            }
            (None, None, scale, offset) => {
                Ok(Linear::Scale { scale: scale.unwrap_or(1.0), offset: offset.unwrap_or(0.0) })
            }
            _ => Err("codes: give each code either scale and offset, or raw and value".into()),
        }
    }
}

impl ScaleConfig {
    /// What the register tells.
    ///
    /// # Errors
    /// What is missing or too much.
    pub fn role(&self) -> Result<Role, String> {
        match (self.exponent, self.codes.is_empty()) {
            (true, true) => Ok(Role::Exponent),
            (false, false) => {
                let lines = self.codes.iter().map(|(codes, line)| Ok((*codes, line.linear()?)));
                lines.collect::<Result<_, String>>().map(Role::Scales)
            }
            _ => Err("scale-by needs either exponent: on or codes with their scales".into()),
        }
    }
}

impl StatusConfig {
    /// What the register tells.
    ///
    /// # Errors
    /// When there are no codes.
    pub fn role(&self) -> Result<Role, String> {
        if self.codes.is_empty() {
            return Err("status-by needs codes: name those that make the reading bad, such as { 1: sensor-fault }".into());
        }
        Ok(Role::Status(self.codes.iter().map(|(codes, fault)| (*codes, fault.reason())).collect()))
    }
}

impl WhenConfig {
    /// What the register tells.
    ///
    /// # Errors
    /// When no number is named.
    pub fn role(&self) -> Result<Role, String> {
        if self.is.is_empty() {
            return Err("when needs is: name the numbers with which the point is there, such as [1]".into());
        }
        Ok(Role::Presence(self.is.clone()))
    }
}

impl PointConfig {
    /// The registers beside the point, without what `repeat` moves.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub fn companions(&self, device: &DeviceConfig) -> Result<Vec<(Companion, Option<i64>)>, String> {
        let mut found = Vec::new();
        // Within a SunSpec model, these registers are counted from its start, too.
        let beside = |place: PointConfig, poll, role, key| {
            companion(&PointConfig { model: self.model.clone(), ..place }, device, poll, role, key)
        };
        if let Some(when) = &self.when {
            found.push((beside(when.place(), when.poll, when.role()?, "when")?, when.step));
        }
        if let Some(status) = &self.status_by {
            found.push((beside(status.place(), status.poll, status.role()?, "status-by")?, status.step));
        }
        if let Some(scale) = &self.scale_by {
            found.push((beside(scale.place(), scale.poll, scale.role()?, "scale-by")?, scale.step));
        }
        if let Some(address) = self.exponent {
            let mut place = PointConfig { raw: Some(RawType::I16), order: Some(Order::Abcd), ..PointConfig::default() };
            match (self.input, self.holding) {
                (Some(_), _) => place.input = Some(address),
                (_, Some(_)) => place.holding = Some(address),
                _ => return Err("exponent is for points in registers; use scale-by to name another table".into()),
            }
            if self.scale_by.is_some() {
                return Err("exponent and scale-by exclude each other: remove one".into());
            }
            found.push((beside(place, None, Role::Exponent, "exponent")?, Some(0)));
        }
        Ok(found)
    }
}

fn companion(
    place: &PointConfig,
    device: &DeviceConfig,
    poll: Option<Period>,
    role: Role,
    key: &str,
) -> Result<Companion, String> {
    let (register, _) = place.register(device, false).map_err(|message| format!("{key}: {message}"))?;
    if matches!(register.raw, RawType::F32 | RawType::F64 | RawType::Text | RawType::Chars | RawType::Mac) {
        return Err(format!("{key}: the register must hold a whole number or a bit"));
    }
    Ok(Companion { register, poll: poll.map(|poll| poll.0), role })
}

/// A raw value as a whole number.
fn whole(raw: &Value) -> Option<i64> {
    match raw {
        Value::Bool(state) => Some(i64::from(*state)),
        Value::Int(number) => Some(*number),
        Value::UInt(number) => i64::try_from(*number).ok(),
        Value::Float(_) | Value::Text(_) => None,
    }
}

/// What `companions` say of a point now; `state` tells what is known of a register.
pub fn judge<'a>(
    companions: &'a [Companion],
    conversion: &Conversion,
    mut state: impl FnMut(&Register) -> &'a Beside,
) -> Now {
    let mut now = Now::Own;
    for companion in companions {
        let code = match state(&companion.register) {
            Beside::Unread => return Now::Unknown,
            Beside::Bad(reason) => return Now::Bad(*reason),
            Beside::Raw(raw) => whole(raw),
        };
        let Some(code) = code else { return Now::Bad(Reason::Undecodable) };
        match &companion.role {
            Role::Presence(wanted) if wanted.iter().any(|codes| codes.hold(code)) => {}
            Role::Presence(_) => return Now::Bad(Reason::NotAvailable),
            Role::Status(faults) => {
                if let Some((_, reason)) = faults.iter().find(|(codes, _)| codes.hold(code)) {
                    return Now::Bad(*reason);
                }
            }
            Role::Scales(lines) => match lines.iter().find(|(codes, _)| codes.hold(code)) {
                Some((_, linear)) => now = scaled(*linear, conversion),
                None => return Now::Bad(Reason::Undecodable),
            },
            Role::Exponent if code == NO_EXPONENT => return Now::Bad(Reason::NotAvailable),
            Role::Exponent if code.abs() > MAX_EXPONENT => return Now::Bad(Reason::Undecodable),
            Role::Exponent => now = scaled(power(code, conversion.linear), conversion),
        }
    }
    now
}

fn scaled(linear: Linear, conversion: &Conversion) -> Now {
    let natural = Conversion { linear, ..Conversion::default() }.natural_places();
    Now::Scaled(linear, conversion.round.or(natural))
}

/// A point's own scale times a power of ten. Negative powers divide by an exact number: 10⁻¹ is none.
fn power(exponent: i64, own: Linear) -> Linear {
    let size = 10f64.powi(exponent.unsigned_abs() as i32);
    let factor = if exponent < 0 { 1.0 / size } else { size };
    match own {
        Linear::Scale { scale, offset } => Linear::Scale { scale: scale * factor, offset },
        Linear::Identity | Linear::Span { .. } => Linear::Scale { scale: factor, offset: 0.0 },
    }
}

impl Now {
    /// The value of a raw number under it; `None` while that cannot be told.
    #[must_use]
    pub fn apply(self, raw: &Value, conversion: &Conversion) -> Option<(Option<Value>, Quality)> {
        match self {
            Self::Unknown => None,
            Self::Bad(reason) => Some((None, Quality::Bad(reason))),
            Self::Own => Some(conversion.apply(raw)),
            Self::Scaled(linear, round) => Some(conversion.apply_as(raw, linear, round)),
        }
    }

    /// The conversion for a write.
    ///
    /// # Errors
    /// Why nothing can be written.
    pub fn conversion(self, own: &Conversion) -> Result<Conversion, String> {
        match self {
            Self::Unknown => Err("what its scale depends on has not been read yet".into()),
            Self::Bad(reason) => Err(format!("the register beside it says {reason}")),
            Self::Own => Ok(own.clone()),
            Self::Scaled(linear, round) => Ok(Conversion { linear, round, ..own.clone() }),
        }
    }
}

impl Role {
    /// A raw number with which the point has a value: what a simulated device holds there.
    #[must_use]
    pub fn example(&self) -> i64 {
        match self {
            Self::Exponent => 0,
            Self::Scales(lines) => lines.first().map_or(0, |(codes, _)| codes.first),
            Self::Status(faults) => {
                let free = |code: &i64| !faults.iter().any(|(codes, _)| codes.hold(*code));
                (0..=i64::from(u16::MAX)).find(free).unwrap_or(0)
            }
            Self::Presence(wanted) => wanted.first().map_or(0, |codes| codes.first),
        }
    }

    /// Whether it tells the scale.
    #[must_use]
    pub const fn scales(&self) -> bool {
        matches!(self, Self::Exponent | Self::Scales(_))
    }
}

#[cfg(test)]
#[path = "beside_tests.rs"]
mod tests;
