//! SNMP as the configuration knows it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Device, DeviceConfig, ExtractConfig, Plan, Point, PointConfig, SnmpConfig, Wiring};
use crate::driver::entry::{
    self, Attached, Clash, Complaint, Driver, Endpoint, Neighbour, RawForm, Shift, Surroundings, Wired,
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
    /// SNMP: an agent, such as a UPS, a thermometer or a switched socket strip.
    Snmp(Box<SnmpConfig>),
}

impl Driver for Snmp {
    const KEY: &'static str = "snmp";
    const PROFILE: Option<&'static str> = Some(
        "How devices are written, for those that speak SNMP; an empty map for those that are only read.",
    );
    const TRIAL: &'static str = "snmp: { address: 192.0.2.1 }";
    const TRIAL_DEVICE: &'static str = "write-password: password";
    const ADDRESSES: &'static [&'static str] = &["oid"];
    const ADDRESS_WORDS: &'static str = "oid";
    const CHANNEL_TABLES: &'static [(&'static str, &'static str)] =
        &[("`user` of an SNMP channel", "SnmpUser")];
    const TABLES: &'static [(&'static str, &'static str)] =
        &[("An entry of `write-session` and `write-session-end` of an SNMP device", "SnmpSessionItem")];
    const CHANNEL_KEYS: &'static [&'static str] = &["address"];

    type Channel = Channel;
    type Device = DeviceConfig;
    type Point = PointConfig;
    type Text = ExtractConfig;
    type Wiring = Wiring;

    fn channel_problems(Channel::Snmp(config): &Channel) -> Vec<String> {
        config.validate()
    }

    fn endpoint(Channel::Snmp(config): &Channel) -> Option<Endpoint> {
        Some(Endpoint::address(config.endpoint(), &config.address))
    }

    fn settle(device: &mut DeviceConfig, _: Option<&Channel>, _: Shift) -> Vec<Complaint> {
        let problems = device.session().err().unwrap_or_default();
        problems.into_iter().map(|(key, message)| Complaint::about(key, message)).collect()
    }

    fn wiring(
        point: PointConfig,
        text: &ExtractConfig,
        around: &Surroundings<'_, DeviceConfig>,
    ) -> Result<Wiring, Complaint> {
        point
            .wiring(text, around.access)
            .map_err(|message| Complaint::about(&["oid", "set-oid", "snmp-type", "access"], message))
    }

    /// Two outputs in one object would overrule each other.
    fn clashes(points: &[Neighbour<'_, DeviceConfig, Wiring>]) -> Vec<Clash> {
        let object = |point: &Neighbour<'_, DeviceConfig, Wiring>| {
            point.wiring.writing.as_ref().map(|writing| writing.oid.clone())
        };
        entry::same(points.iter().map(object), |points| Clash {
            points,
            why: "are written to the same object".into(),
            help: "an output has one point ({first}); make one of them read-only".into(),
            keys: &["set-oid", "oid"],
        })
    }

    fn plan(
        name: Arc<str>,
        Channel::Snmp(config): Channel,
        devices: Vec<Attached<DeviceConfig, Wiring>>,
    ) -> DriverPlan {
        let device = |device: Attached<DeviceConfig, Wiring>| Device {
            name: device.name,
            // A device whose session has a mistake does not get here.
            session: device.config.session().unwrap_or_default(),
            points: device.points.into_iter().map(Point::from).collect(),
        };
        let devices = devices.into_iter().map(device).collect();
        DriverPlan::new(Plan { name, config: *config, devices })
    }
}

impl From<Wired<Wiring>> for Point {
    fn from(wired: Wired<Wiring>) -> Self {
        let Wired { id, wiring, conversion, poll, access, tolerance, .. } = wired;
        Self { id, wiring, conversion, poll, access, tolerance }
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
        self.is_whole(self.writing.as_ref().and_then(|writing| writing.syntax))
    }

    fn encodable(&self, raw: &Value) -> Result<(), String> {
        self.encodable(raw)
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
