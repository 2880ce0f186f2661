//! HTTP as the configuration knows it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Device, DeviceConfig, ExtractConfig, HttpConfig, Plan, Point, PointConfig, Wiring};
use crate::driver::entry::{
    self, Attached, Clash, Complaint, Driver, Endpoint, Neighbour, RawForm, Shift, Surroundings, Wired,
};
use crate::driver::plan::{Description, Overload};
use crate::driver::{self, DriverPlan, text};
use crate::model::Value;

/// The terminals of a W&T Web-IO, which copies move along.
const TERMINALS: [&str; 5] = ["analog-in", "analog-out", "digital-in", "digital-out", "counter"];

/// Where a complaint about a point stands that names no key.
const PLACES: [&str; 7] = ["get", "post", "analog-in", "analog-out", "digital-in", "digital-out", "counter"];

/// From this share of a connection's time on, writes may have to wait for polls.
const BUSY: f64 = 0.7;

/// HTTP.
#[derive(Debug)]
pub struct Http;

/// The channel's word in the configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "HttpChannel")]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// HTTP: devices with a web interface, such as the W&T Web-IO family.
    Http(Box<HttpConfig>),
}

impl Driver for Http {
    const KEY: &'static str = "http";
    const PROFILE: Option<&'static str> =
        Some("The device's HTTP settings, for devices with a web interface.");
    const TRIAL: &'static str = "http: { address: 192.0.2.1 }";
    const ADDRESSES: &'static [&'static str] =
        &["get", "post", "set", "analog-in", "analog-out", "digital-in", "digital-out", "counter"];
    const ADDRESS_WORDS: &'static str = "get, post, or a terminal";
    const REPLACES: &'static [(&'static [&'static str], &'static [&'static str])] =
        &[(&["get", "post"], &["get", "post", "body", "content-type"]), (&TERMINALS, &TERMINALS)];
    const CHANNEL_TABLES: &'static [(&'static str, &'static str)] =
        &[("`login` of an HTTP channel", "LoginConfig"), ("`tls` of an HTTP channel", "TlsConfig")];
    const TABLES: &'static [(&'static str, &'static str)] = &[
        ("`set` of an HTTP point", "SetConfig"),
        ("`identify` of an HTTP device", "IdentifyConfig"),
        ("`wut-ports` of a W&T Web-IO", "PortsConfig"),
    ];
    const CHANNEL_KEYS: &'static [&'static str] = &["address"];

    type Channel = Channel;
    type Device = DeviceConfig;
    type Point = PointConfig;
    type Text = ExtractConfig;
    type Wiring = Wiring;

    fn channel_problems(Channel::Http(config): &Channel) -> Vec<String> {
        config.validate()
    }

    fn endpoint(Channel::Http(config): &Channel) -> Option<Endpoint> {
        Some(Endpoint::address(config.endpoint(), &config.address))
    }

    fn settle(device: &mut DeviceConfig, _: Option<&Channel>, _: Shift) -> Vec<Complaint> {
        device.validate().into_iter().map(|message| Complaint::about(&[], message)).collect()
    }

    fn wiring(
        mut point: PointConfig,
        text: &ExtractConfig,
        around: &Surroundings<'_, DeviceConfig>,
    ) -> Result<Wiring, Complaint> {
        if around.shift.index > 0 {
            move_to_copy(&mut point, around.shift)
                .map_err(|message| Complaint::at(&TERMINALS, message, None))?;
        }
        let access = around.access;
        point
            .wiring(text, around.device, access.readable(), access.writable())
            .map_err(|message| Complaint::about(&PLACES, message))
    }

    /// Two outputs with one request would overrule each other.
    fn clashes(points: &[Neighbour<'_, DeviceConfig, Wiring>]) -> Vec<Clash> {
        let request = |point: &Neighbour<'_, DeviceConfig, Wiring>| {
            point.wiring.template.as_ref().map(|template| template.request.clone())
        };
        entry::same(points.iter().map(request), |points| Clash {
            points,
            why: "are written by the same request".into(),
            help: "an output has one point ({first}); make one of them read-only".into(),
            keys: &[],
        })
    }

    fn plan(
        name: Arc<str>,
        Channel::Http(config): Channel,
        devices: Vec<Attached<DeviceConfig, Wiring>>,
    ) -> DriverPlan {
        let device = |device: Attached<DeviceConfig, Wiring>| Device {
            name: device.name,
            model: device.model,
            config: device.config,
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

/// Moves the terminal of a copy; requests have the copy's `{n}` in their texts.
fn move_to_copy(config: &mut PointConfig, shift: Shift) -> Result<(), String> {
    let terminals = [
        &mut config.analog_in,
        &mut config.analog_out,
        &mut config.digital_in,
        &mut config.digital_out,
        &mut config.counter,
    ];
    for number in terminals.into_iter().flatten() {
        let moved = u16::try_from(i64::from(*number) + shift.distance(1));
        *number = moved.map_err(|_| "the terminals of the copies run past their numbers")?;
    }
    Ok(())
}

impl entry::Wiring for Wiring {
    fn form(&self) -> RawForm {
        text::raw_form(&self.extract.form, self.slot.is_some())
    }

    fn is_whole(&self) -> bool {
        self.is_whole()
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
        let (budget, name) = (self.budget(), &self.name);
        let busy = || Overload {
            fatal: false,
            message: format!("the polls of `{name}` leave little time for writes: they take {budget}"),
            help: budget.suggestion.clone(),
        };
        budget.overload(name).or_else(|| (budget.share > BUSY).then(busy))
    }

    fn description(&self) -> Description {
        let secure = if self.config.tls.is_some() { "https" } else { "http" };
        let line = format!("{secure} to {}", self.config.address);
        let devices = self.devices.iter().map(|device| (&device.name, device.points.len()));
        self.budget().description(line, devices)
    }
}
