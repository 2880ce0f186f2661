//! Computed points as the configuration knows them. Their sources are names until all points are known.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Device, Form, Plan, Point, PointConfig, Sources, VirtualConfig};
use crate::driver::entry::{Attached, Complaint, Driver, NoKeys, RawForm, Surroundings, Wired, Wiring};
use crate::driver::plan::Description;
use crate::driver::{self, DriverPlan};
use crate::model::{Access, Value, ValueKind};

/// Computed points.
#[derive(Debug)]
pub struct Virtual;

/// The channel's word in the configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "VirtualChannel")]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// Points computed from others.
    Virtual(VirtualConfig),
}

impl Driver for Virtual {
    const KEY: &'static str = "virtual";
    const ADDRESSES: &'static [&'static str] = &[
        "sum",
        "difference",
        "average",
        "minimum",
        "maximum",
        "dew-point",
        "energy",
        "run-time",
        "count-edges",
        "formula",
    ];
    const ADDRESS_WORDS: &'static str = "sum, formula or another form";
    const TABLES: &'static [(&'static str, &'static str)] = &[
        ("`dew-point` of a computed point", "DewPointConfig"),
        ("`count-edges` of a computed point", "EdgesConfig"),
    ];

    type Channel = Channel;
    type Device = NoKeys;
    type Point = PointConfig;
    type Text = NoKeys;
    type Wiring = Sources;

    fn channel_problems(Channel::Virtual(config): &Channel) -> Vec<String> {
        config.validate()
    }

    fn wiring(
        point: PointConfig,
        _: &NoKeys,
        around: &Surroundings<'_, NoKeys>,
    ) -> Result<Sources, Complaint> {
        let found = point.sources().map_err(|mistake| Complaint {
            keys: Cow::Owned(mistake.key.into_iter().collect()),
            part: mistake.at,
            help: mistake.help,
            ..Complaint::at(&[], mistake.message, None)
        })?;
        let refuse = |keys, message: &str, help| Err(Complaint::at(keys, message, Some(help)));
        if around.access.writable() && !found.form.is_total() {
            let help = "remove `access`; only totals can be set";
            return refuse(&["access"], "a computed point cannot be written", help);
        }
        if around.access == Access::W {
            return refuse(&["access"], "a total can be read, too", "use access: rw");
        }
        if around.simulated {
            let message = "a computed point moves with its inputs";
            return refuse(&["simulate"], message, "remove `simulate`");
        }
        Ok(found)
    }

    fn plan(
        name: Arc<str>,
        Channel::Virtual(config): Channel,
        devices: Vec<Attached<NoKeys, Sources>>,
    ) -> DriverPlan {
        let point = |wired: Wired<Sources>| {
            let Wired { id, name, wiring, conversion, access, .. } = wired;
            let Sources { form, inputs, .. } = wiring;
            Point { id, name, form, inputs, conversion, access }
        };
        let device = |device: Attached<NoKeys, Sources>| Device {
            name: device.name,
            points: device.points.into_iter().map(point).collect(),
        };
        DriverPlan::new(Plan { name, config, devices: devices.into_iter().map(device).collect() })
    }
}

impl Wiring for Sources {
    fn form(&self) -> RawForm {
        let kind = self.form.kind();
        let limits = matches!(self.form, Form::Edges(_)).then_some((Value::Int(0), Value::Int(i64::MAX)));
        let word = match kind {
            ValueKind::Bool => "a condition",
            ValueKind::Integer => "a count",
            _ => "a number",
        };
        RawForm { limits, ..RawForm::plain(kind, word) }
    }

    fn is_whole(&self) -> bool {
        self.form.is_whole()
    }

    fn encodable(&self, raw: &Value) -> Result<(), String> {
        self.form.settable(raw)
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
        Description::plain("computed from other points".into(), devices)
    }
}
