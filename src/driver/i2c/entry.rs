//! I2C as the configuration knows it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Chips, DeviceConfig, I2cConfig, Input, PointConfig};
use crate::driver::entry::{Attached, RawForm};
use crate::driver::local::{self, Bus, Work};
use crate::model::Access;

/// I2C.
#[derive(Debug)]
pub struct I2c;

/// The channel's word in the configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "I2cChannel")]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// Chips on an I2C bus that have no Linux driver, or shall have none.
    #[serde(rename = "i2c")]
    I2c(I2cConfig),
}

impl Bus for I2c {
    const KEY: &'static str = "i2c";
    const KEYS: &'static [&'static str] = &["i2c"];
    const PROFILE: &'static str = "The I2C settings of the device.";
    const TRIAL: &'static str = "i2c: { bus: /dev/i2c-1 }";

    type Channel = Channel;
    type Device = DeviceConfig;
    type Point = PointConfig;
    type Input = Input;

    fn place(Channel::I2c(config): &Channel) -> String {
        config.bus.display().to_string()
    }

    fn channel_problems(Channel::I2c(config): &Channel) -> Vec<String> {
        config.validate()
    }

    fn device_problems(device: &DeviceConfig) -> Vec<String> {
        device.validate()
    }

    fn input(point: &PointConfig, device: &DeviceConfig, access: Access) -> Result<Input, String> {
        point.input(device, access)
    }

    fn clash(one: &Input, two: &Input) -> Option<String> {
        one.clash(*two)
    }

    fn work(
        _: &Arc<str>,
        Channel::I2c(config): Channel,
        devices: Vec<Attached<DeviceConfig, Input>>,
    ) -> Work {
        Work::Bench(Arc::new(move || Box::new(Chips::new(&config, &devices))))
    }
}

impl local::Input for Input {
    fn form(&self) -> RawForm {
        (*self).form()
    }

    fn is_output(&self) -> bool {
        self.can_be_written()
    }
}
