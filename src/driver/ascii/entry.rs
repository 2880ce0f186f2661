//! Instruments that speak in lines, as the configuration knows them.

use std::sync::Arc;

use super::{Device, DeviceConfig, Plan, Point, PointConfig, Source, Transport, Wiring, wire};
use crate::driver::entry::{
    self, Attached, Complaint, Driver, Endpoint, RawForm, Shift, Surroundings, Wired,
};
use crate::driver::plan::Description;
use crate::driver::text::{self, ExtractConfig};
use crate::driver::{self, DriverPlan};
use crate::model::Value;

/// Instruments that speak in lines.
#[derive(Debug)]
pub struct Ascii;

impl Driver for Ascii {
    const KEY: &'static str = "ascii";
    const PROFILE: Option<&'static str> =
        Some("How the lines of the device look, for instruments that speak in text.");
    const TRIAL: &'static str = "ascii-tcp: { address: '192.0.2.1:4001' }";
    const ADDRESSES: &'static [&'static str] = &["ask", "listen", "send"];
    const ADDRESS_WORDS: &'static str = "ask, listen or send";
    const REPLACES: &'static [(&'static [&'static str], &'static [&'static str])] =
        &[(&["ask", "listen"], &["ask", "listen"])];
    const CHANNEL_KEYS: &'static [&'static str] = &["address", "port"];

    type Channel = Transport;
    type Device = DeviceConfig;
    type Point = PointConfig;
    type Text = ExtractConfig;
    type Wiring = Wiring;

    fn channel_problems(channel: &Transport) -> Vec<String> {
        channel.validate()
    }

    fn endpoint(channel: &Transport) -> Option<Endpoint> {
        Some(match channel {
            Transport::Serial(line) => Endpoint::port(&line.port),
            other => Endpoint { place: other.endpoint().to_ascii_lowercase(), exclusive: false },
        })
    }

    fn settle(device: &mut DeviceConfig, _: Option<&Transport>, _: Shift) -> Vec<Complaint> {
        device.validate().into_iter().map(|message| Complaint::about(&[], message)).collect()
    }

    fn wiring(
        point: PointConfig,
        text: &ExtractConfig,
        around: &Surroundings<'_, DeviceConfig>,
    ) -> Result<Wiring, Complaint> {
        let wiring = point
            .wiring(text, around.access.readable(), around.access.writable())
            .map_err(|message| Complaint::about(&["ask", "listen", "send"], message))?;
        let foreign = |keys, line: &str| match wire::encode(around.device, line) {
            Some(_) => Ok(()),
            None => Err(Complaint::at(
                keys,
                "the charset of the device lacks a character of this text",
                Some("use other characters, or `charset: utf-8` where the instrument knows it"),
            )),
        };
        if let Source::Ask(ask) = &wiring.source {
            foreign(&["ask"], ask)?;
        }
        if let Some(command) = &wiring.command {
            foreign(&["send"], &command.text)?;
        }
        Ok(wiring)
    }

    fn plan(
        name: Arc<str>,
        transport: Transport,
        devices: Vec<Attached<DeviceConfig, Wiring>>,
    ) -> DriverPlan {
        let device = |device: Attached<DeviceConfig, Wiring>| Device {
            name: device.name,
            config: device.config,
            points: device.points.into_iter().map(Point::from).collect(),
        };
        DriverPlan::new(Plan { name, transport, devices: devices.into_iter().map(device).collect() })
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
        text::raw_form(&self.extract.form, false)
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

    fn description(&self) -> Description {
        let devices = self.devices.iter().map(|device| (&device.name, device.points.len()));
        let line = format!("{} at {}", self.transport.word(), self.transport.endpoint());
        Description::plain(line, devices)
    }
}
