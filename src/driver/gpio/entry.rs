//! GPIO as the configuration knows it.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DeviceConfig, GpioConfig, Lines, PointConfig, Wiring};
use crate::driver::entry::{Attached, RawForm};
use crate::driver::local::{self, Bus, Work};
use crate::model::Access;

/// GPIO lines.
#[derive(Debug)]
pub struct Gpio;

/// The channel's word in the configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "GpioChannel")]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// GPIO lines of the machine or of an expander with a Linux driver.
    Gpio(GpioConfig),
}

impl Bus for Gpio {
    const KEY: &'static str = "gpio";
    const KEYS: &'static [&'static str] = &["gpio"];
    const PROFILE: &'static str = "The GPIO settings of the device.";
    const TRIAL: &'static str = "gpio: {}";

    type Channel = Channel;
    type Device = DeviceConfig;
    type Point = PointConfig;
    type Input = Wiring;

    fn place(Channel::Gpio(config): &Channel) -> String {
        config.chip.clone().unwrap_or_else(|| "any chip".into())
    }

    fn channel_problems(Channel::Gpio(config): &Channel) -> Vec<String> {
        config.validate()
    }

    fn device_problems(device: &DeviceConfig) -> Vec<String> {
        device.validate()
    }

    fn inherit(device: &mut DeviceConfig, Channel::Gpio(config): &Channel) {
        device.inherit(config);
    }

    fn input(point: &PointConfig, device: &DeviceConfig, access: Access) -> Result<Wiring, String> {
        point.wiring(device, access)
    }

    fn clash(one: &Wiring, two: &Wiring) -> Option<String> {
        one.clash(two)
    }

    fn work(
        name: &Arc<str>,
        Channel::Gpio(config): Channel,
        devices: Vec<Attached<DeviceConfig, Wiring>>,
    ) -> Work {
        let name = Arc::clone(name);
        Work::Edges(Arc::new(Lines { name, config, devices }))
    }
}

impl local::Input for Wiring {
    fn form(&self) -> RawForm {
        self.form()
    }

    fn is_output(&self) -> bool {
        self.output
    }

    fn pulse(&self) -> Option<Duration> {
        self.pulse
    }
}
