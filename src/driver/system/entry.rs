//! The box itself, as the configuration knows it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Device, Figure, Plan, Point, PointConfig, SystemConfig};
use crate::driver::entry::{Attached, Complaint, Driver, NoKeys, RawForm, Surroundings, Wired, Wiring};
use crate::driver::plan::Description;
use crate::driver::{self, DriverPlan};
use crate::model::Value;

/// The box itself.
#[derive(Debug)]
pub struct System;

/// The channel's word in the configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "SystemChannel")]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// The box itself: temperature, load, memory, disk, uptime, throttling.
    System(SystemConfig),
}

impl Driver for System {
    const KEY: &'static str = "system";
    const ADDRESSES: &'static [&'static str] = &["figure"];
    const ADDRESS_WORDS: &'static str = "figure";

    type Channel = Channel;
    type Device = NoKeys;
    type Point = PointConfig;
    type Text = NoKeys;
    type Wiring = Figure;

    fn channel_problems(_: &Channel) -> Vec<String> {
        Vec::new()
    }

    fn wiring(
        point: PointConfig,
        _: &NoKeys,
        around: &Surroundings<'_, NoKeys>,
    ) -> Result<Figure, Complaint> {
        if around.access.writable() {
            let message = "a figure of the box cannot be written";
            return Err(Complaint::at(&["access"], message, Some("remove `access`")));
        }
        point.figure().map_err(|message| Complaint::about(&["figure"], message))
    }

    fn plan(name: Arc<str>, _: Channel, devices: Vec<Attached<NoKeys, Figure>>) -> DriverPlan {
        let point = |wired: Wired<Figure>| {
            let Wired { id, wiring, conversion, poll, .. } = wired;
            Point { id, figure: wiring, conversion, poll }
        };
        let device = |device: Attached<NoKeys, Figure>| Device {
            name: device.name,
            points: device.points.into_iter().map(point).collect(),
        };
        let devices = devices.into_iter().map(device).collect();
        DriverPlan::new(Plan { name, root: "/".into(), devices })
    }
}

impl Wiring for Figure {
    fn form(&self) -> RawForm {
        RawForm { unit: self.unit(), ..RawForm::plain(self.kind(), "a figure") }
    }

    fn is_whole(&self) -> bool {
        false
    }

    fn encodable(&self, _: &Value) -> Result<(), String> {
        Err("the point cannot be written".into())
    }
}

impl driver::Plan for Plan {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn device_names(&self) -> Vec<Arc<str>> {
        self.devices.iter().map(|device| Arc::clone(&device.name)).collect()
    }

    fn description(&self) -> Description {
        let devices = self.devices.iter().map(|device| (&device.name, device.points.len()));
        Description::plain("the box itself".into(), devices)
    }
}
