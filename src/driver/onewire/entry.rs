//! 1-Wire as the configuration knows it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DeviceConfig, OneWireConfig, PointConfig, Quantity, Sensors};
use crate::driver::entry::{Attached, RawForm};
use crate::driver::local::{self, Bus, Work};
use crate::model::Access;

/// 1-Wire.
#[derive(Debug)]
pub struct OneWire;

/// The channel's word in the configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "OneWireChannel")]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// 1-Wire thermometers, read through the kernel.
    #[serde(rename = "onewire")]
    OneWire(OneWireConfig),
}

impl Bus for OneWire {
    const KEY: &'static str = "onewire";
    const KEYS: &'static [&'static str] = &["onewire"];
    const PROFILE: &'static str = "The 1-Wire settings of the device.";
    const TRIAL: &'static str = "onewire: {}";

    type Channel = Channel;
    type Device = DeviceConfig;
    type Point = PointConfig;
    type Input = Quantity;

    fn place(Channel::OneWire(config): &Channel) -> String {
        config.path.display().to_string()
    }

    fn channel_problems(Channel::OneWire(config): &Channel) -> Vec<String> {
        config.validate()
    }

    fn device_problems(device: &DeviceConfig) -> Vec<String> {
        device.validate()
    }

    fn input(point: &PointConfig, _: &DeviceConfig, _: Access) -> Result<Quantity, String> {
        point.quantity()
    }

    fn work(
        _: &Arc<str>,
        Channel::OneWire(config): Channel,
        devices: Vec<Attached<DeviceConfig, Quantity>>,
    ) -> Work {
        Work::Bench(Arc::new(move || Box::new(Sensors::new(&config, &devices))))
    }
}

impl local::Input for Quantity {
    fn form(&self) -> RawForm {
        (*self).form()
    }
}
