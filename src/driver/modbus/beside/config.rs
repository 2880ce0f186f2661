//! The sections about registers beside a point, as people write them, and the rules that they become.
//!
//! Absent: what the rules make of a raw number (`beside`). Invariant: a rule has at least one code, and a scale
//! that is not 0.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Role;
use super::version::Version;
use crate::driver::modbus::codes::Codes;
use crate::driver::modbus::config::PointConfig;
use crate::driver::modbus::register::{Order, RawType};
use crate::model::Reason;
use crate::model::conversion::Linear;
use crate::model::units::Period;

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

pub(crate) use beside;

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
        /// The same for a text: it must hold this one.
        contains: Option<String>,
        /// The same for a text that is a version, such as of the firmware: from this one on.
        from: Option<Version>,
        /// The same: only before this one.
        before: Option<Version>,
        /// Characters of the text.
        length: Option<u16>,
        /// An object of the device's identification (function 43/14) in the place of a register.
        identification: Option<u8>,
    }
}

impl WhenConfig {
    /// The register with what only texts have.
    #[must_use]
    pub fn text_place(&self) -> PointConfig {
        PointConfig { length: self.length, identification: self.identification, ..self.place() }
    }
}

beside! {
    /// What a device is known by: a register and what it must hold.
    ProbeConfig {
        /// An object of the device's identification (function 43/14) by its number: 0 vendor, 1 product code, 5 model name.
        identification: Option<u8>,
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

impl LinearConfig {
    fn linear(&self) -> Result<Linear, String> {
        match (self.raw, self.value, self.scale, self.offset) {
            (Some(raw), Some(value), None, None) if raw.0 != raw.1 && value.0 != value.1 => {
                Ok(Linear::Span { raw, value, ne43: false })
            }
            (Some(_), Some(_), None, None) => {
                Err("codes: the two ends of raw, and of value, must differ".into())
            }
            (None, None, Some(0.0), _) => Err("codes: a scale of 0 makes every reading the same".into()),
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
            return Err(
                "status-by needs codes: name those that make the reading bad, such as { 1: sensor-fault }"
                    .into(),
            );
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
        match (&self.contains, self.from, self.before) {
            (None, None, None) if self.is.is_empty() => {
                Err("when needs is: name the numbers with which the point is there, such as [1]; for texts contains, from or before".into())
            }
            (None, None, None) => Ok(Role::Presence(self.is.clone())),
            _ if !self.is.is_empty() => Err("when: is belongs to numbers, contains, from and before to texts: keep one".into()),
            (Some(text), None, None) => Ok(Role::Holds(text.as_str().into())),
            (None, from, before) => Ok(Role::Versions { from, before }),
            _ => Err("when: contains excludes from and before: keep one".into()),
        }
    }
}
