//! SPI as the configuration knows it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Converters, DeviceConfig, Input, PointConfig, SpiConfig};
use crate::driver::entry::{Attached, RawForm};
use crate::driver::local::{self, Bus, Work};
use crate::model::Access;

/// SPI.
#[derive(Debug)]
pub struct Spi;

/// The channel's word in the configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "SpiChannel")]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// Converters on SPI.
    Spi(SpiConfig),
}

impl Bus for Spi {
    const KEY: &'static str = "spi";
    const KEYS: &'static [&'static str] = &["spi"];
    const PROFILE: &'static str = "The SPI settings of the device.";
    const TRIAL: &'static str = "spi: { port: /dev/spidev0.0 }";

    type Channel = Channel;
    type Device = DeviceConfig;
    type Point = PointConfig;
    type Input = Input;

    fn place(Channel::Spi(config): &Channel) -> String {
        config.port.display().to_string()
    }

    fn channel_problems(Channel::Spi(config): &Channel) -> Vec<String> {
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
        Channel::Spi(config): Channel,
        devices: Vec<Attached<DeviceConfig, Input>>,
    ) -> Work {
        Work::Bench(Arc::new(move || Box::new(Converters::new(&config, &devices))))
    }
}

impl local::Input for Input {
    fn form(&self) -> RawForm {
        (*self).form()
    }
}
