//! What some devices want besides plain reads and writes: a probe that tells what they are, writes before they
//! can be used, and writes that go before another.
//!
//! Pure: from the configuration's types to requests and verdicts. Absent: when they are made (`owner/survey`).

use schemars::JsonSchema;
use serde::Deserialize;

use super::Device;
use super::beside::ProbeConfig;
use super::codes::Codes;
use super::config::DeviceConfig;
use super::register::{RawType, Register, Table};
use super::validate::MAX_WRITE_REGISTERS;
use super::wire::Ask;
use crate::model::Value;

/// The longest list of writes in front of another or at the start.
const MAX_WRITES: usize = 32;

/// The longest part of a foreign text that a warning shows, in characters.
const MAX_SHOWN: usize = 60;

/// A write of fixed contents: `{ holding: 0x1000, words: [3] }`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(rename = "FixedWrite")]
pub struct WriteConfig {
    /// A coil by its address; the word is 1 for on, 0 for off.
    pub coil: Option<u32>,
    /// The first of some holding registers by its address.
    pub holding: Option<u32>,
    /// What is written there.
    pub words: Vec<u16>,
    /// Functions 15 and 16 also for a single one.
    pub multiple: bool,
}

/// A register that tells what the device is.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Its place on the wire.
    pub register: Register,
    /// What it must hold.
    pub wanted: Wanted,
}

/// What a probe must hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// One of these numbers.
    Codes(Vec<Codes>),
    /// This text or one that holds it.
    Text(String),
}

impl WriteConfig {
    /// The request.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub fn ask(&self, device: &DeviceConfig, key: &str) -> Result<Ask, String> {
        let place = |number: u32| device.wire_address(key, number);
        match (self.coil, self.holding, &self.words[..]) {
            (_, _, []) => Err(format!("{key} needs words: what is written, such as [3]")),
            (_, _, words) if words.len() > usize::from(MAX_WRITE_REGISTERS) => {
                Err(format!("{key}: a write carries at most {MAX_WRITE_REGISTERS} registers"))
            }
            (Some(_), _, words) if words.iter().any(|word| *word > 1) => {
                Err(format!("{key}: a coil is written 1 for on or 0 for off"))
            }
            (Some(coil), None, [word]) if !self.multiple => {
                Ok(Ask::WriteCoil { address: place(coil)?, on: *word == 1 })
            }
            (Some(coil), None, words) => Ok(Ask::WriteCoils {
                address: place(coil)?,
                states: words.iter().map(|word| *word == 1).collect(),
            }),
            (None, Some(holding), [word]) if !self.multiple => {
                Ok(Ask::WriteRegister { address: place(holding)?, word: *word })
            }
            (None, Some(holding), words) => {
                Ok(Ask::WriteRegisters { address: place(holding)?, words: words.to_vec() })
            }
            _ => Err(format!("{key} needs either coil or holding with an address")),
        }
    }
}

impl DeviceConfig {
    /// The writes of a list.
    ///
    /// # Errors
    /// Says which does not fit and how to mend it.
    pub fn writes(&self, list: &[WriteConfig], key: &str) -> Result<Vec<Ask>, String> {
        if list.len() > MAX_WRITES {
            return Err(format!("{key} has more than {MAX_WRITES} writes"));
        }
        list.iter().map(|write| write.ask(self, key)).collect()
    }

    /// What the device is known by.
    ///
    /// # Errors
    /// Says what does not fit and how to mend it.
    pub fn probes(&self) -> Result<Vec<Probe>, String> {
        self.probe.iter().map(|probe| self.known_by(probe)).collect()
    }

    fn known_by(&self, probe: &ProbeConfig) -> Result<Probe, String> {
        let mut place = probe.place();
        place.length = probe.length;
        place.identification = probe.identification;
        let (register, _) = place.register(self, false).map_err(|message| format!("probe: {message}"))?;
        let wanted = match (&probe.contains, probe.is.is_empty(), register.raw.is_text()) {
            (Some(text), true, true) => Wanted::Text(text.clone()),
            (None, false, false) if register.raw.is_whole() => Wanted::Codes(probe.is.clone()),
            (_, _, true) => return Err("probe: a text needs contains, such as contains: E1210".into()),
            _ => return Err("probe: a number needs is, such as is: [0x1234]".into()),
        };
        Ok(Probe { register, wanted })
    }
}

impl Probe {
    /// The request.
    #[must_use]
    pub const fn ask(&self) -> Ask {
        Ask::read(&self.register)
    }

    /// What another device than `model` shows; `None` where the probe holds what it must.
    #[must_use]
    pub fn complaint(&self, model: &str, raw: Option<&Value>) -> Option<String> {
        let fits = match (&self.wanted, raw) {
            (Wanted::Text(wanted), Some(Value::Text(text))) => text.contains(wanted.as_str()),
            (Wanted::Codes(wanted), Some(raw)) => {
                Codes::number(raw).is_some_and(|number| Codes::any_holds(wanted, number))
            }
            _ => false,
        };
        if fits {
            return None;
        }
        let wanted = match &self.wanted {
            Wanted::Text(text) => format!("`{text}`"),
            Wanted::Codes(codes) => codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "),
        };
        let shown = match raw {
            Some(Value::Text(text)) => {
                let plain: String = text.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect();
                format!("`{plain}`")
            }
            Some(number) => number.to_string(),
            None => "nothing that can be read".to_owned(),
        };
        let (table, address) = (self.register.table.word(), self.register.address);
        Some(format!("wrong device: {model} has {wanted} in {table} {address}, this one has {shown}"))
    }

    /// What the right device says of itself there, when it is asked for an object of its identification.
    #[must_use]
    pub fn object(&self) -> Option<(u8, &str)> {
        match (&self.wanted, self.register.table) {
            (Wanted::Text(text), Table::Identity) => Some((self.register.address as u8, text)),
            _ => None,
        }
    }

    /// The words that the right device holds there.
    #[must_use]
    pub fn example(&self) -> Option<Vec<u16>> {
        if self.register.is_function() {
            return None;
        }
        let value = match &self.wanted {
            Wanted::Text(text) => Value::Text(text.as_str().into()),
            Wanted::Codes(codes) => Value::Int(codes.first()?.first),
        };
        self.register.holding(&value).ok()
    }
}

impl Ask {
    /// Table, first address and count of a plain write; `None` of others.
    #[must_use]
    pub const fn written(&self) -> Option<(Table, u16, u16)> {
        match self {
            Self::WriteCoil { address, .. } => Some((Table::Coil, *address, 1)),
            Self::WriteCoils { address, states } => Some((Table::Coil, *address, states.len() as u16)),
            Self::WriteRegister { address, .. } => Some((Table::Holding, *address, 1)),
            Self::WriteRegisters { address, words } => Some((Table::Holding, *address, words.len() as u16)),
            _ => None,
        }
    }
}

impl Device {
    /// Where fixed writes go: at the start, and before and behind others. For simulated devices.
    pub fn fixed_writes(&self) -> impl Iterator<Item = (Table, u16, u16)> + '_ {
        let around = self.points.iter().flat_map(|point| point.rules.before.iter().chain(&point.rules.after));
        let guard = self.watchdog.iter().flat_map(|dog| dog.arm.iter().chain(&dog.feed).chain(&dog.disarm));
        self.setup.iter().chain(guard).chain(around).filter_map(Ask::written)
    }
}

/// Whether the type makes the writes of a coil carry numbers.
#[must_use]
pub fn is_coil_word(register: &Register) -> bool {
    register.table == Table::Coil && register.raw != RawType::Bool
}

#[cfg(test)]
#[path = "quirks_tests.rs"]
mod tests;
