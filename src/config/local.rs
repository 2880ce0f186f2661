//! The sections of buses of the machine: devices and points become parts of a plan.
//!
//! The drivers own the types and say what fits; this file finds the place of what they say.

use super::context::Context;
use super::conversion::RawForm;
use super::draft::{DeviceDraft, PointDraft};
use super::drivers::{DriverKind, Wire};
use super::modbus::blame;
use super::node::Node;
use super::parts::{read_part, read_part_rest};
use crate::driver::local::{DeviceConfig, PointConfig, Wiring};
use crate::model::Access;

/// The keys by which points say where they are.
const ADDRESSES: [&str; 5] = ["onewire", "iio", "gpio", "i2c", "spi"];

/// What a driver adds to a device; `None` where the driver is none of these.
pub(super) fn device(cx: &Context<'_>, node: &Node, kind: DriverKind) -> Option<DeviceConfig> {
    match kind {
        DriverKind::OneWire => read_part_rest(cx, node).map(DeviceConfig::OneWire),
        DriverKind::Iio => read_part_rest(cx, node).map(DeviceConfig::Iio),
        DriverKind::Gpio => read_part_rest(cx, node).map(DeviceConfig::Gpio),
        DriverKind::I2c => read_part_rest(cx, node).map(DeviceConfig::I2c),
        DriverKind::Spi => read_part_rest(cx, node).map(DeviceConfig::Spi),
        _ => None,
    }
}

/// What it adds to a point.
pub(super) fn point(cx: &Context<'_>, node: &Node, device: &DeviceConfig) -> Option<PointConfig> {
    match device {
        DeviceConfig::OneWire(_) => read_part(cx, node).map(PointConfig::OneWire),
        DeviceConfig::Iio(_) => read_part(cx, node).map(PointConfig::Iio),
        DeviceConfig::Gpio(_) => read_part(cx, node).map(PointConfig::Gpio),
        DeviceConfig::I2c(_) => read_part(cx, node).map(PointConfig::I2c),
        DeviceConfig::Spi(_) => read_part(cx, node).map(PointConfig::Spi),
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
    config.wiring(device, access).map_err(|message| blame(cx, node, &ADDRESSES, &message)).ok()
}

/// What the bus gives for it.
pub(super) fn raw_form(wiring: &Wiring) -> RawForm {
    let form = wiring.form();
    RawForm { kind: form.kind, limits: form.limits, word: form.word.into() }
}

/// Points of one bus that exclude each other.
pub(super) fn clashes(cx: &Context<'_>, devices: &[DeviceDraft]) {
    let mut seen: Vec<(usize, &Wiring, &PointDraft)> = Vec::new();
    for device in devices {
        for draft in &device.points {
            let Wire::Local(point) = &draft.wire else { continue };
            let same_bus = seen.iter().filter(|(channel, ..)| *channel == device.channel);
            let clash = same_bus.map(|(_, other, first)| (point.wiring.clash(other), first));
            if let Some((why, first)) = clash.into_iter().find_map(|(why, first)| Some((why?, first))) {
                let (why, help) = why.split_once(": ").unwrap_or((&why, "correct one of them"));
                let message = format!("`{}` and `{}` {why}", first.point.name, draft.point.name);
                cx.error(draft.node.span_of(&ADDRESSES).unwrap_or(draft.place), message, help.to_owned());
            }
            seen.push((device.channel, &point.wiring, draft));
        }
    }
}
