//! The sections of buses of the machine: devices and points become parts of a plan.
//!
//! The drivers own the types and say what fits; this file finds the place of what they say.

use super::context::Context;
use super::conversion::RawForm;
use super::drivers::DriverKind;
use super::modbus::blame;
use super::node::Node;
use super::parts::{read_part, read_part_rest};
use crate::driver::local::{DeviceConfig, PointConfig, Wiring};
use crate::model::Access;

/// What a driver adds to a device; `None` where the driver is none of these.
pub(super) fn device(cx: &Context<'_>, node: &Node, kind: DriverKind) -> Option<DeviceConfig> {
    match kind {
        DriverKind::OneWire => read_part_rest(cx, node).map(DeviceConfig::OneWire),
        DriverKind::Iio => read_part_rest(cx, node).map(DeviceConfig::Iio),
        _ => None,
    }
}

/// What it adds to a point.
pub(super) fn point(cx: &Context<'_>, node: &Node, device: &DeviceConfig) -> Option<PointConfig> {
    match device {
        DeviceConfig::OneWire(_) => read_part(cx, node).map(PointConfig::OneWire),
        DeviceConfig::Iio(_) => read_part(cx, node).map(PointConfig::Iio),
    }
}

/// Where a point is.
pub(super) fn wiring(
    cx: &Context<'_>,
    node: &Node,
    config: &PointConfig,
    device: &DeviceConfig,
    access: Access,
) -> Option<Wiring> {
    config.wiring(device, access).map_err(|message| blame(cx, node, &["onewire", "iio"], &message)).ok()
}

/// What the bus gives for it.
pub(super) fn raw_form(wiring: &Wiring) -> RawForm {
    let form = wiring.form();
    RawForm { kind: form.kind, limits: form.limits, word: form.word.into() }
}
