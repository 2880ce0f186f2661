//! One channel of an IIO device: which files it has, and the value that they come to.
//!
//! Pure: the caller reads the files. Units of the kernel's ABI document: voltage mV, current mA, temperature
//! milli-°C, relative humidity milli-%, pressure kPa; what is not listed there stays as it is.

use crate::driver::entry::RawForm;
use crate::driver::local::bench::{Fault, Raw};
use crate::model::{Value, ValueKind};

/// The longest name of a channel.
const MAX_NAME: usize = 64;

/// The units that channels of a type leave in, and what they are divided by to get there.
const UNITS: [(&str, &str, &str, f64); 7] = [
    ("temp", "a temperature", "°C", 1000.0),
    ("humidityrelative", "a humidity", "%", 1000.0),
    ("voltage", "a voltage", "V", 1000.0),
    ("current", "a current", "mA", 1.0),
    ("pressure", "a pressure", "kPa", 1.0),
    ("illuminance", "an illuminance", "lx", 1.0),
    ("resistance", "a resistance", "Ω", 1.0),
];

/// A channel of an IIO device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// `in_voltage0`.
    base: String,
    /// Where an offset or scale of this channel may stand, the nearest first.
    shared: Vec<String>,
    /// Its place in the table of units.
    unit: Option<usize>,
}

impl Input {
    /// The channel of this name, with or without `in_`.
    ///
    /// # Errors
    /// When no file can be called so.
    pub fn new(name: &str) -> Result<Self, String> {
        let bare = name.strip_prefix("in_").unwrap_or(name);
        if let Some(bare) = bare.strip_suffix("_raw").or_else(|| bare.strip_suffix("_input")) {
            return Err(format!("iio {name}: leave out what stands behind the channel: {bare}"));
        }
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        let begins = bare.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if !begins || bare.len() > MAX_NAME || !bare.bytes().all(plain) {
            return Err(format!(
                "iio {name}: a channel is called like its file between in_ and _raw, such as temp or voltage0"
            ));
        }
        let unit = UNITS.iter().position(|(kind, ..)| type_of(bare) == *kind);
        Ok(Self { base: format!("in_{bare}"), shared: shared(bare), unit })
    }

    /// What the channel gives.
    #[must_use]
    pub fn form(&self) -> RawForm {
        match self.unit {
            Some(unit) => RawForm::number(UNITS[unit].1, UNITS[unit].2),
            None => RawForm::plain(ValueKind::Float, "a number"),
        }
    }

    /// The value out of the files that `file` reads; `Ok(None)` is one that is not there.
    ///
    /// # Errors
    /// When a file cannot be read, holds no number, or the channel has none.
    pub fn read(&self, file: impl Fn(&str) -> Result<Option<String>, Fault>) -> Raw {
        let number = |name: &str| -> Result<Option<f64>, Fault> {
            let Some(text) = file(name)? else { return Ok(None) };
            let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
            let number = number.ok_or_else(|| Fault::Malformed(format!("{name} holds `{}`", text.trim())))?;
            Ok(Some(number))
        };
        let part = |part: &str| -> Result<Option<f64>, Fault> {
            for base in &self.shared {
                if let Some(found) = number(&format!("{base}_{part}"))? {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        };
        let value = match number(&format!("{}_raw", self.base))? {
            Some(raw) => (raw + part("offset")?.unwrap_or(0.0)) * part("scale")?.unwrap_or(1.0),
            None => match number(&format!("{}_input", self.base))? {
                Some(processed) => processed,
                None => {
                    return Err(Fault::Absent(format!(
                        "the device has neither {0}_raw nor {0}_input",
                        self.base
                    )));
                }
            },
        };
        let value = value / self.unit.map_or(1.0, |unit| UNITS[unit].3);
        if value.is_finite() {
            Ok(Value::Float(value))
        } else {
            Err(Fault::Malformed("no finite number".into()))
        }
    }
}

/// `voltage` of `voltage0-voltage1`, `temp` of `temp_ambient`.
fn type_of(bare: &str) -> &str {
    let end = bare.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(bare.len());
    &bare[..end]
}

/// `in_voltage0-voltage1`, `in_voltage-voltage`, `in_voltage`: own, of all such pairs, of the type.
fn shared(bare: &str) -> Vec<String> {
    let without_numbers: String = bare.chars().filter(|c| !c.is_ascii_digit()).collect();
    let mut bases =
        vec![format!("in_{bare}"), format!("in_{without_numbers}"), format!("in_{}", type_of(bare))];
    bases.dedup();
    bases
}
