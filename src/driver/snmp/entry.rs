//! SNMP as the configuration knows it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Device, ExtractConfig, Plan, Point, PointConfig, SnmpConfig, Wiring};
use crate::driver::entry::{
    self, Attached, Complaint, Driver, Endpoint, NoKeys, RawForm, Surroundings, Wired,
};
use crate::driver::plan::{Description, Overload};
use crate::driver::{self, DriverPlan, text};
use crate::model::{Value, ValueKind};

/// SNMP.
#[derive(Debug)]
pub struct Snmp;

/// The channel's word in the configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "SnmpChannel")]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// SNMP: an agent that is read, such as a UPS or a thermometer.
    Snmp(Box<SnmpConfig>),
}

impl Driver for Snmp {
    const KEY: &'static str = "snmp";
    const PROFILE: Option<&'static str> = Some("An empty map, for devices that are read by SNMP.");
    const TRIAL: &'static str = "snmp: { address: 192.0.2.1 }";
    const ADDRESSES: &'static [&'static str] = &["oid"];
    const ADDRESS_WORDS: &'static str = "oid";
    const CHANNEL_TABLES: &'static [(&'static str, &'static str)] =
        &[("`user` of an SNMP channel", "SnmpUser")];
    const CHANNEL_KEYS: &'static [&'static str] = &["address"];

    type Channel = Channel;
    type Device = NoKeys;
    type Point = PointConfig;
    type Text = ExtractConfig;
    type Wiring = Wiring;

    fn channel_problems(Channel::Snmp(config): &Channel) -> Vec<String> {
        config.validate()
    }

    fn endpoint(Channel::Snmp(config): &Channel) -> Option<Endpoint> {
        Some(Endpoint::address(config.endpoint(), &config.address))
    }

    fn wiring(
        point: PointConfig,
        text: &ExtractConfig,
        around: &Surroundings<'_, NoKeys>,
    ) -> Result<Wiring, Complaint> {
        point
            .wiring(text, around.access.writable())
            .map_err(|message| Complaint::about(&["oid", "access"], message))
    }

    fn plan(
        name: Arc<str>,
        Channel::Snmp(config): Channel,
        devices: Vec<Attached<NoKeys, Wiring>>,
    ) -> DriverPlan {
        let device = |device: Attached<NoKeys, Wiring>| Device {
            name: device.name,
            points: device.points.into_iter().map(Point::from).collect(),
        };
        let devices = devices.into_iter().map(device).collect();
        DriverPlan::new(Plan { name, config: *config, devices })
    }
}

impl From<Wired<Wiring>> for Point {
    fn from(wired: Wired<Wiring>) -> Self {
        let Wired { id, wiring, conversion, poll, .. } = wired;
        Self { id, wiring, conversion, poll }
    }
}

impl entry::Wiring for Wiring {
    fn form(&self) -> RawForm {
        match self.counter {
            Some(_) => RawForm::plain(ValueKind::Float, "a number"),
            None => text::raw_form(&self.extract.form, false),
        }
    }

    fn is_whole(&self) -> bool {
        false
    }

    fn encodable(&self, _: &Value) -> Result<(), String> {
        Err("SNMP points are only read".into())
    }
}

impl driver::Plan for Plan {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn device_names(&self) -> Vec<Arc<str>> {
        self.devices.iter().map(|device| Arc::clone(&device.name)).collect()
    }

    fn redirected(&self, endpoint: &str) -> Option<DriverPlan> {
        Some(DriverPlan::new(self.with_endpoint(endpoint)))
    }

    fn overload(&self) -> Option<Overload> {
        self.budget().overload(&self.name)
    }

    fn description(&self) -> Description {
        let line = format!("SNMP{} to {}", self.config.spoken().word(), self.config.address);
        let devices = self.devices.iter().map(|device| (&device.name, device.points.len()));
        self.budget().description(line, devices)
    }
}
