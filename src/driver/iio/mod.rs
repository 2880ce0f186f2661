//! Sensors and converters that have a Linux driver of their own, through the files of Industrial I/O.
//!
//! A device is found by its name, since the numbers of `iio:deviceN` change with the order of discovery; it
//! is looked for again whenever its files have gone. value = (raw + offset) × scale; offset and scale may be
//! shared by all channels of a type. Source: the kernel's Documentation/ABI/testing/sysfs-bus-iio. Absent:
//! buffers, triggers, outputs. Invariant: values leave in base units (°C, V, mA, %, kPa) and are finite.

mod channel;
mod entry;
mod find;

use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::local::bench::{self, Bench, Fault, Raw, Step};
use super::onewire::read_small;
use crate::driver::entry::Attached;
use crate::model::Value;

pub use channel::Input;
pub use entry::Iio;

/// The longest file that is read.
pub(super) const MAX_FILE: u64 = 256;

/// The sensors of the kernel's Industrial I/O: `kernel: { iio: {} }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct IioConfig {
    /// Where the kernel shows the devices.
    pub path: PathBuf,
}

/// What Industrial I/O adds to a device's section.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DeviceConfig {
    /// The name of an IIO device, as its file `name` says: `bme280`.
    pub iio_name: Option<String>,
    /// Which of several devices of that name: the text of its file `label`, or a part of the path of its bus, such as `1-0076`.
    pub iio_at: Option<String>,
}

/// What Industrial I/O adds to a point.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PointConfig {
    /// The channel of an IIO device: the name of its files between `in_` and `_raw` or `_input`, such as `temp`, `humidityrelative`, `voltage0`, `voltage0-voltage1`.
    pub iio: Option<String>,
}

impl Default for IioConfig {
    fn default() -> Self {
        Self { path: "/sys/bus/iio/devices".into() }
    }
}

impl IioConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let relative = !self.path.is_absolute();
        relative
            .then(|| "path: write a whole path, such as /sys/bus/iio/devices".to_owned())
            .into_iter()
            .collect()
    }
}

impl DeviceConfig {
    /// Everything that is wrong with the section; empty when it can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let empty = |text: &String| text.trim().is_empty();
        match (&self.iio_name, &self.iio_at) {
            (None, _) => vec![
                "iio-name is missing: name the device as in /sys/bus/iio/devices/iio:device0/name, such as bme280"
                    .to_owned(),
            ],
            (Some(name), _) if empty(name) => vec!["iio-name is empty: use a name such as bme280".to_owned()],
            (_, Some(at)) if empty(at) => vec!["iio-at is empty: remove it, or use a place such as 1-0076".to_owned()],
            _ => Vec::new(),
        }
    }
}

impl PointConfig {
    /// The channel.
    ///
    /// # Errors
    /// When none is named, or it cannot be one.
    pub fn input(&self) -> Result<Input, String> {
        let name = self.iio.as_deref().ok_or("name the channel: iio: temp, or iio: voltage0")?;
        Input::new(name)
    }
}

/// The devices of one channel of the configuration.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    devices: Vec<Sensor>,
}

#[derive(Debug)]
struct Sensor {
    name: String,
    at: Option<String>,
    points: Vec<Input>,
    /// Where it was found.
    folder: Option<PathBuf>,
}

impl Files {
    /// The files of a plan's devices.
    #[must_use]
    pub fn new(config: &IioConfig, devices: &[Attached<DeviceConfig, Input>]) -> Self {
        let sensor = |device: &Attached<DeviceConfig, Input>| Sensor {
            name: device.config.iio_name.clone().unwrap_or_default(),
            at: device.config.iio_at.clone(),
            points: device.points.iter().map(|point| point.wiring.clone()).collect(),
            folder: None,
        };
        Self { path: config.path.clone(), devices: devices.iter().map(sensor).collect() }
    }
}

impl Bench for Files {
    fn read(&mut self, device: usize, points: &[usize]) -> Step {
        let Some(sensor) = self.devices.get_mut(device) else { return Step::Done(Vec::new()) };
        match sensor.folder(&self.path) {
            Ok(folder) => Step::Done(points.iter().map(|point| sensor.read(&folder, *point)).collect()),
            Err(fault) => bench::all(points, &fault),
        }
    }

    fn write(&mut self, _: usize, _: usize, _: &Value) -> Result<(), Fault> {
        Err(Fault::Malformed("an IIO channel cannot be written".into()))
    }
}

impl Sensor {
    /// The folder of the device: where it was, as long as that still is this device.
    fn folder(&mut self, root: &Path) -> Result<PathBuf, Fault> {
        if let Some(folder) = &self.folder
            && find::is_named(folder, &self.name)
        {
            return Ok(folder.clone());
        }
        self.folder = None;
        let found = find::device(root, &self.name, self.at.as_deref())?;
        Ok(self.folder.insert(found).clone())
    }

    fn read(&self, folder: &Path, point: usize) -> Raw {
        let Some(input) = self.points.get(point) else {
            return Err(Fault::Malformed("no such point".into()));
        };
        let file = |name: &str| -> Result<Option<String>, Fault> {
            match read_small(&folder.join(name), MAX_FILE) {
                Ok(text) => Ok(Some(text)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Fault::of(&error, &format!("{} of {}", name, self.name))),
            }
        };
        input.read(file)
    }
}

#[cfg(test)]
mod tests;
