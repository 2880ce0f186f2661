//! What stands beside a point: registers that tell its scale, its state, and whether it is there at all.
//!
//! Pure: the owner reads the registers and keeps what they held. Invariant: a point whose companion has not been
//! read, is bad or holds an unknown code has no value; nothing is assumed for it.

mod config;
mod version;

use std::sync::Arc;
use std::time::Duration;

use super::codes::Codes;
use super::config::{DeviceConfig, PointConfig};
use super::register::{Order, RawType, Register};
use crate::model::conversion::Linear;
use crate::model::units::Period;
use crate::model::{Conversion, Quality, Reason, Value};

pub(super) use config::beside;
pub use config::{Fault, LinearConfig, ProbeConfig, ScaleConfig, StatusConfig, WhenConfig};
pub use version::Version;

/// The power of ten that means "there is none" (SunSpec Information Model, sunssf).
const NO_EXPONENT: i64 = -32_768;

/// The largest power of ten that a scale factor may have (SunSpec Information Model: -10 … 10).
const MAX_EXPONENT: i64 = 10;

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
    /// Whether it is there, by a text that must hold this one.
    Holds(Arc<str>),
    /// Whether it is there, by the version that a text tells.
    Versions {
        /// From this one on.
        from: Option<Version>,
        /// Before this one.
        before: Option<Version>,
    },
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
            found.push((beside(when.text_place(), when.poll, when.role()?, "when")?, when.step));
        }
        if let Some(status) = &self.status_by {
            found.push((beside(status.place(), status.poll, status.role()?, "status-by")?, status.step));
        }
        if let Some(scale) = &self.scale_by {
            found.push((beside(scale.place(), scale.poll, scale.role()?, "scale-by")?, scale.step));
        }
        if let Some(address) = self.exponent {
            let mut place =
                PointConfig { raw: Some(RawType::I16), order: Some(Order::Abcd), ..PointConfig::default() };
            match (self.input, self.holding) {
                (Some(_), _) => place.input = Some(address),
                (_, Some(_)) => place.holding = Some(address),
                _ => {
                    return Err(
                        "exponent is for points in registers; use scale-by to name another table".into()
                    );
                }
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
    let of_text = matches!(role, Role::Holds(_) | Role::Versions { .. });
    if of_text && !register.raw.is_text() {
        return Err(format!("{key}: contains, from and before are for texts: add type: text and its length"));
    }
    if !of_text && !register.raw.is_whole() {
        return Err(format!("{key}: the register must hold a whole number or a bit"));
    }
    Ok(Companion { register, poll: poll.map(|poll| poll.0), role })
}

impl Role {
    /// Whether a text says that the point is there; `None` where it tells nothing.
    fn fits(&self, text: &str) -> Option<bool> {
        match self {
            Self::Holds(wanted) => Some(text.contains(&**wanted)),
            Self::Versions { from, before } => {
                let version = Version::found_in(text)?;
                Some(from.is_none_or(|from| version >= from) && before.is_none_or(|before| version < before))
            }
            _ => None,
        }
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
        let raw = match state(&companion.register) {
            Beside::Unread => return Now::Unknown,
            Beside::Bad(reason) => return Now::Bad(*reason),
            Beside::Raw(raw) => raw,
        };
        if let Value::Text(text) = raw {
            match companion.role.fits(text) {
                Some(true) => continue,
                Some(false) => return Now::Bad(Reason::NotAvailable),
                None => return Now::Bad(Reason::Undecodable),
            }
        }
        let Some(code) = Codes::number(raw) else { return Now::Bad(Reason::Undecodable) };
        match &companion.role {
            Role::Presence(wanted) if Codes::any_holds(wanted, code) => {}
            Role::Presence(_) => return Now::Bad(Reason::NotAvailable),
            // Judged above, as texts.
            Role::Holds(_) | Role::Versions { .. } => return Now::Bad(Reason::Undecodable),
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
    pub fn example(&self) -> Value {
        Value::Int(match self {
            Self::Holds(text) => return Value::Text(Arc::clone(text)),
            Self::Versions { from, .. } => {
                let text = from.map_or_else(|| "0.0".to_owned(), |from| from.to_string());
                return Value::Text(text.into());
            }
            Self::Exponent => 0,
            Self::Scales(lines) => lines.first().map_or(0, |(codes, _)| codes.first),
            Self::Status(faults) => {
                let free = |code: &i64| !faults.iter().any(|(codes, _)| codes.hold(*code));
                (0..=i64::from(u16::MAX)).find(free).unwrap_or(0)
            }
            Self::Presence(wanted) => wanted.first().map_or(0, |codes| codes.first),
        })
    }

    /// Whether it tells the scale.
    #[must_use]
    pub const fn scales(&self) -> bool {
        matches!(self, Self::Exponent | Self::Scales(_))
    }
}

#[cfg(test)]
mod tests;
