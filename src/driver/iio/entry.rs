//! Industrial I/O as the configuration knows it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DeviceConfig, Files, IioConfig, Input, PointConfig};
use crate::driver::entry::{Attached, RawForm};
use crate::driver::local::{self, Bus, Work};
use crate::model::Access;

/// Linux Industrial I/O.
#[derive(Debug)]
pub struct Iio;

/// The channel's word in the configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "IioChannel")]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// Sensors and converters that have a Linux driver (Industrial I/O).
    Iio(IioConfig),
}

impl Bus for Iio {
    const KEY: &'static str = "iio";
    const KEYS: &'static [&'static str] = &["iio"];
    const PROFILE: &'static str = "The Industrial I/O settings of the device.";
    const TRIAL: &'static str = "iio: {}";

    type Channel = Channel;
    type Device = DeviceConfig;
    type Point = PointConfig;
    type Input = Input;

    fn place(Channel::Iio(config): &Channel) -> String {
        config.path.display().to_string()
    }

    fn channel_problems(Channel::Iio(config): &Channel) -> Vec<String> {
        config.validate()
    }

    fn device_problems(device: &DeviceConfig) -> Vec<String> {
        device.validate()
    }

    fn input(point: &PointConfig, _: &DeviceConfig, _: Access) -> Result<Input, String> {
        point.input()
    }

    fn work(
        _: &Arc<str>,
        Channel::Iio(config): Channel,
        devices: Vec<Attached<DeviceConfig, Input>>,
    ) -> Work {
        Work::Bench(Arc::new(move || Box::new(Files::new(&config, &devices))))
    }
}

impl local::Input for Input {
    fn form(&self) -> RawForm {
        self.form()
    }
}
