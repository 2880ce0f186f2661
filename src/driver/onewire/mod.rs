//! 1-Wire thermometers (DS18B20 and its family) through the files of the kernel's `w1_therm` driver.
//!
//! The kernel speaks the bus: it resets, converts, waits and tries again after a wrong checksum. This driver
//! reads `w1_slave`, because only that file shows the scratchpad, by which a power-on value and a shorted
//! line are told from a temperature. Source: the kernel's Documentation/w1/slaves/w1_therm.rst, Maxim's data
//! sheet DS18B20. Absent: adding sensors by themselves; a sensor is named by its id, so a sensor that is
//! swapped is a missing one. Invariant: a value that the chip did not convert is never a reading.

mod entry;
mod scratchpad;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::local::bench::{self, Bench, Fault, Raw, Step};
use crate::driver::entry::{Attached, RawForm};
use crate::model::Value;

pub use entry::OneWire;
pub use scratchpad::parse;

/// Families that `w1_therm` reads: DS18S20, DS1822, DS18B20, DS1825, DS28EA00.
const FAMILIES: [&str; 5] = ["10", "22", "28", "3b", "42"];

/// The longest file that is read.
const MAX_FILE: u64 = 4096;

/// A 1-Wire bus: `probes: { onewire: {} }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct OneWireConfig {
    /// Where the kernel shows the sensors.
    pub path: PathBuf,
}

/// What 1-Wire adds to a device's section.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DeviceConfig {
    /// The id of a 1-Wire sensor, as its folder in `/sys/bus/w1/devices` is called: `28-0000051a4b3c`.
    pub onewire_id: Option<String>,
    /// To how many bits the sensor converts, 9 … 12; 12 bits take 750 ms, each bit less half of that. Left as it is when not given.
    pub onewire_resolution: Option<u8>,
}

/// What 1-Wire adds to a point.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PointConfig {
    /// What is read of a 1-Wire sensor.
    pub onewire: Option<Quantity>,
}

/// What is read of a 1-Wire sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// The temperature in °C.
    Temperature,
    /// Whether it has a supply of its own; without, it lives on the data line.
    ExternalPower,
}

impl Default for OneWireConfig {
    fn default() -> Self {
        Self { path: "/sys/bus/w1/devices".into() }
    }
}

impl OneWireConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let relative = !self.path.is_absolute();
        relative
            .then(|| "path: write a whole path, such as /sys/bus/w1/devices".to_owned())
            .into_iter()
            .collect()
    }
}

impl DeviceConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match &self.onewire_id {
            None => problems.push(
                "onewire-id is missing: name the sensor by its folder in /sys/bus/w1/devices, such as 28-0000051a4b3c"
                    .to_owned(),
            ),
            Some(id) => problems.extend(check_id(id).err()),
        }
        if let Some(bits) = self.onewire_resolution.filter(|bits| !(9..=12).contains(bits)) {
            problems.push(format!("onewire-resolution {bits}: the sensors convert to 9 … 12 bits"));
        }
        problems
    }
}

fn check_id(id: &str) -> Result<(), String> {
    let lower = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let Some((family, serial)) =
        id.split_once('-').filter(|(f, s)| (f.len(), s.len()) == (2, 12) && lower(f) && lower(s))
    else {
        return Err(format!(
            "onewire-id {id}: an id is two and twelve hexadecimal digits in small letters, such as 28-0000051a4b3c"
        ));
    };
    let _ = serial;
    if FAMILIES.contains(&family) {
        return Ok(());
    }
    Err(format!(
        "onewire-id {id}: family {family} is no thermometer that is known here: use one of {}",
        FAMILIES.join(", ")
    ))
}

impl PointConfig {
    /// What is read.
    ///
    /// # Errors
    /// When nothing is named.
    pub fn quantity(&self) -> Result<Quantity, String> {
        self.onewire.ok_or_else(|| "name what is read: onewire: temperature".into())
    }
}

impl Quantity {
    /// What the sensor gives.
    #[must_use]
    pub const fn form(self) -> RawForm {
        match self {
            Self::Temperature => RawForm::number("a temperature", "°C"),
            Self::ExternalPower => RawForm::state(),
        }
    }
}

/// The sensors of one bus.
#[derive(Debug)]
pub struct Sensors {
    path: PathBuf,
    devices: Vec<Sensor>,
}

#[derive(Debug)]
struct Sensor {
    id: String,
    resolution: Option<u8>,
    /// Whether the resolution has been set since the sensor was last away.
    set_up: bool,
    points: Vec<Quantity>,
    /// The last temperature, while readings follow each other without a failure.
    last: Option<f64>,
}

impl Sensors {
    /// The sensors of a plan's devices.
    #[must_use]
    pub fn new(config: &OneWireConfig, devices: &[Attached<DeviceConfig, Quantity>]) -> Self {
        let sensor = |device: &Attached<DeviceConfig, Quantity>| Sensor {
            id: device.config.onewire_id.clone().unwrap_or_default(),
            resolution: device.config.onewire_resolution,
            set_up: false,
            points: device.points.iter().map(|point| point.wiring).collect(),
            last: None,
        };
        Self { path: config.path.clone(), devices: devices.iter().map(sensor).collect() }
    }
}

impl Bench for Sensors {
    fn read(&mut self, device: usize, points: &[usize]) -> Step {
        let Some(sensor) = self.devices.get_mut(device) else { return Step::Done(Vec::new()) };
        let folder = self.path.join(&sensor.id);
        if !folder.exists() {
            (sensor.set_up, sensor.last) = (false, None);
            let fault = match self.path.exists() {
                true => Fault::Absent(format!("no sensor {} on the bus", sensor.id)),
                false => Fault::Bus(format!(
                    "{} is not there; is 1-Wire switched on (on a Raspberry Pi: dtoverlay=w1-gpio)?",
                    self.path.display()
                )),
            };
            return bench::all(points, &fault);
        }
        Step::Done(points.iter().map(|point| sensor.read(&folder, *point)).collect())
    }

    fn write(&mut self, _: usize, _: usize, _: &Value) -> Result<(), Fault> {
        Err(Fault::Malformed("a 1-Wire sensor cannot be written".into()))
    }
}

impl Sensor {
    fn read(&mut self, folder: &Path, point: usize) -> Raw {
        match self.points.get(point) {
            Some(Quantity::Temperature) => {
                let result = self.temperature(folder);
                if result.is_err() {
                    (self.set_up, self.last) = (false, None);
                }
                result
            }
            Some(Quantity::ExternalPower) => external_power(folder).map(Value::Bool),
            None => Err(Fault::Malformed("no such point".into())),
        }
    }

    fn temperature(&mut self, folder: &Path) -> Raw {
        self.set_up(folder);
        let text = text_of(&folder.join("w1_slave"))?;
        if text.trim().is_empty() {
            // The kernel tells nothing of a wrong checksum, nor of a sensor that is not there; asking for the
            // supply, which takes no conversion, tells one from the other.
            return Err(match external_power(folder) {
                Err(absent @ Fault::Absent(_)) => absent,
                _ => Fault::Malformed("the checksum is wrong; check the wiring and the pull-up".into()),
            });
        }
        let celsius = parse(&text, self.last)?;
        self.last = Some(celsius);
        Ok(Value::Float(celsius))
    }

    /// Sets the resolution where it is another; the sensor forgets it with its supply. One that cannot be set
    /// costs no reading.
    fn set_up(&mut self, folder: &Path) {
        let Some(bits) = self.resolution.filter(|_| !self.set_up) else { return };
        let file = folder.join("resolution");
        let is_set = text_of(&file).is_ok_and(|text| text.trim() == bits.to_string());
        if !is_set && let Err(error) = fs::write(&file, bits.to_string()) {
            tracing::warn!(sensor = %self.id, %error, "the resolution cannot be set; it stays as it is");
        }
        self.set_up = true;
    }
}

/// Whether the sensor has a supply of its own. The kernel prints an error as a negative number.
fn external_power(folder: &Path) -> Result<bool, Fault> {
    let text = text_of(&folder.join("ext_power"))?;
    match text.trim() {
        "0" => Ok(false),
        "1" => Ok(true),
        error if error.starts_with('-') => {
            Err(Fault::Absent("the sensor does not answer to the bus's reset".into()))
        }
        other => Err(Fault::Malformed(format!("ext_power says `{other}`"))),
    }
}

fn text_of(path: &Path) -> Result<String, Fault> {
    read_small(path, MAX_FILE).map_err(|error| Fault::of(&error, &path.display().to_string()))
}

/// A file's text, as long as it is short.
pub(super) fn read_small(path: &Path, limit: u64) -> io::Result<String> {
    use io::Read;
    let mut text = String::new();
    fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests;
