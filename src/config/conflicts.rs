//! What is right in itself but not beside something else: equal topics, overlapping writes, one port twice.
//!
//! Invariant: every complaint stands at the later of the two places and names the earlier one's line.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::context::Context;
use super::draft::{ChannelDraft, DeviceDraft, PointDraft};
use super::drivers::{ChannelDriver, Wire};
use super::source::Span;
use crate::driver::ascii;
use crate::driver::http::Request;
use crate::driver::modbus::Transport;
use crate::driver::modbus::quirks::is_coil_word;
use crate::driver::modbus::register::Table;
use crate::model::Topic;
use crate::publish::topics::GATEWAY_LEVEL;

/// The register that writes go to, its first and last address, and which bits of it.
struct Written<'a> {
    table: Table,
    first: u32,
    last: u32,
    mask: u16,
    draft: &'a PointDraft,
}

/// Checks everything that concerns two parts of the configuration.
pub(super) fn check(cx: &Context<'_>, site: &Topic, channels: &[ChannelDraft], devices: &[DeviceDraft]) {
    same_port(cx, channels);
    same_topic(cx, site, devices);
    for sharing in by_unit(devices).values() {
        overlapping_writes(cx, sharing);
    }
    same_write(cx, devices);
    super::local::clashes(cx, devices);
}

/// What should be looked at in a configuration that is right otherwise.
pub(super) fn warn(cx: &Context<'_>, channels: &[ChannelDraft], devices: &[DeviceDraft]) {
    by_unit(devices).values().for_each(|sharing| same_unit(cx, sharing));
    any_unit(cx, channels, devices);
    idle_channels(cx, channels, devices);
}

/// The devices of each unit of each channel, in the order of the file.
fn by_unit(devices: &[DeviceDraft]) -> BTreeMap<(usize, u8), Vec<&DeviceDraft>> {
    let mut units: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for device in devices {
        if let Some(unit) = device.unit() {
            units.entry((device.channel, unit)).or_default().push(device);
        }
    }
    units
}

fn line_of(cx: &Context<'_>, span: Span) -> String {
    let place = cx.sources.borrow().place(span);
    place.map_or_else(String::new, |place| format!("{}:{}", place.file, place.line))
}

fn same_topic(cx: &Context<'_>, site: &Topic, devices: &[DeviceDraft]) {
    let own = site.below(GATEWAY_LEVEL);
    let mut seen: HashMap<&str, &PointDraft> = HashMap::new();
    for draft in devices.iter().flat_map(|device| &device.points) {
        let topic = draft.point.topic.as_str();
        let place = draft.node.span_of(&["topic"]).unwrap_or(draft.place);
        let below = topic.strip_prefix(own.as_str());
        if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            let help = Some("the gateway speaks of itself there; give the device another `topic`".to_owned());
            cx.error(place, format!("topics below `{own}` are taken"), help);
        }
        if let Some(first) = seen.insert(topic, draft) {
            let (name, line) = (&first.point.name, line_of(cx, first.place));
            let help = format!("it is also that of `{name}` ({line}); give one of them another `topic`");
            cx.error(place, format!("`{}` has the topic `{topic}` of another point", draft.point.name), help);
        }
    }
}

fn same_port(cx: &Context<'_>, channels: &[ChannelDraft]) {
    let mut seen: HashMap<String, &ChannelDraft> = HashMap::new();
    for channel in channels {
        let Some(driver) = &channel.driver else { continue };
        let Some((end, serial)) = endpoint(driver) else { continue };
        let place = channel.node.span_of(&["port", "address"]).unwrap_or(channel.key_span);
        let Some(first) = seen.insert(end.clone(), channel) else { continue };
        if serial {
            let help = format!("put all devices of the port on the channel `{}`", first.name);
            cx.error(
                place,
                format!("the channels `{}` and `{}` use the same port", first.name, channel.name),
                help,
            );
        } else {
            let help = "many devices and serial servers accept one connection only; one channel serves several devices".to_owned();
            let message = format!(
                "the channels `{}` and `{}` connect to the same address {end}",
                first.name, channel.name
            );
            cx.warning(place, message, help);
        }
    }
}

/// Where a channel leads to, and whether that can have only one user; `None` when it leads nowhere.
fn endpoint(driver: &ChannelDriver) -> Option<(String, bool)> {
    let transport = match driver {
        ChannelDriver::Modbus(transport) => transport,
        ChannelDriver::Http(config) => {
            let end = config.endpoint().map(|(host, port)| format!("{}:{port}", host.to_ascii_lowercase()));
            return Some((end.unwrap_or_else(|_| config.address.clone()), false));
        }
        ChannelDriver::Ascii(ascii::Transport::Serial(line)) => return Some((real_port(&line.port), true)),
        ChannelDriver::Ascii(transport) => return Some((transport.endpoint().to_ascii_lowercase(), false)),
        ChannelDriver::Local(bus) => return Some((bus.place(), true)),
        ChannelDriver::System | ChannelDriver::Virtual(_) => return None,
    };
    Some(match transport {
        Transport::Tcp(tcp) | Transport::RtuOverTcp(tcp) => {
            let end = tcp.endpoint().map(|(host, port)| format!("{}:{port}", host.to_ascii_lowercase()));
            (end.unwrap_or_else(|_| tcp.address.clone()), false)
        }
        Transport::Rtu(line) | Transport::Ascii(line) => (real_port(&line.port), true),
    })
}

/// A port under the name that it really has.
fn real_port(port: &str) -> String {
    let port = Path::new(port.trim());
    let real = std::fs::canonicalize(port).unwrap_or_else(|_| port.to_path_buf());
    real.display().to_string()
}

fn written(draft: &PointDraft) -> Option<Written<'_>> {
    if !draft.point.access.writable() {
        return None;
    }
    let register = draft.register()?;
    let in_model = draft.wire.modbus().is_some_and(|point| point.rules.model.is_some() || is_coil_word(register));
    if in_model {
        // Addresses within models are compared with nothing; a toggle shares its coil with the output it toggles.
        return None;
    }
    let first = u32::from(register.write_address);
    let mask = register.bits.map_or(u16::MAX, |bits| {
        let ones = if bits.width >= 16 { u16::MAX } else { (1 << bits.width) - 1 };
        ones << bits.shift
    });
    let last = first + u32::from(register.width()).max(1) - 1;
    Some(Written { table: register.table, first, last, mask, draft })
}

fn overlapping_writes(cx: &Context<'_>, devices: &[&DeviceDraft]) {
    let mut writes: Vec<Written<'_>> =
        devices.iter().flat_map(|device| &device.points).filter_map(written).collect();
    writes.sort_by_key(|write| (write.table, write.first, write.draft.place));
    for (at, write) in writes.iter().enumerate() {
        let before = writes[..at].iter().rev().take_while(|other| other.table == write.table);
        let clash = before
            .take(usize::from(MAX_WIDTH))
            .find(|other| other.last >= write.first && other.mask & write.mask != 0);
        if let Some(other) = clash {
            let (later, earlier) = if write.draft.place >= other.draft.place {
                (write.draft, other.draft)
            } else {
                (other.draft, write.draft)
            };
            let place = later.node.span_of(&super::modbus::oneline::TABLES).unwrap_or(later.place);
            let message = format!(
                "`{}` and `{}` write to the same {} address {}",
                earlier.point.name,
                later.point.name,
                write.table.word(),
                write.first
            );
            let help = format!(
                "an output has one point ({}); make one of them read-only or correct the address",
                line_of(cx, earlier.place)
            );
            cx.error(place, message, help);
        }
    }
}

/// Two HTTP outputs with one request would overrule each other.
fn same_write(cx: &Context<'_>, devices: &[DeviceDraft]) {
    let mut seen: Vec<(usize, &Request, &PointDraft)> = Vec::new();
    for device in devices {
        for draft in &device.points {
            let Wire::Http(point) = &draft.wire else { continue };
            let Some(template) = &point.wiring.template else { continue };
            let written = (device.channel, &template.request);
            if let Some((_, _, other)) =
                seen.iter().find(|(channel, request, _)| (*channel, *request) == written)
            {
                let help = format!(
                    "an output has one point ({}); make one of them read-only",
                    line_of(cx, other.place)
                );
                let message = format!(
                    "`{}` and `{}` are written by the same request",
                    other.point.name, draft.point.name
                );
                cx.error(draft.place, message, help);
            }
            seen.push((device.channel, &template.request, draft));
        }
    }
}

/// No point is wider than what one request can write, so no overlap begins further back.
const MAX_WIDTH: u16 = 125;

/// Two devices with one unit are fine when they read different registers: one device shown as two.
fn same_unit(cx: &Context<'_>, devices: &[&DeviceDraft]) {
    for (at, device) in devices.iter().enumerate().skip(1) {
        let reads = |other: &&&DeviceDraft| {
            let at = |draft: &PointDraft| draft.register().map(|own| (own.table, own.address));
            let theirs = other.points.first().and_then(at);
            let mut ours = device.points.iter().filter_map(at);
            theirs.is_some_and(|first| ours.any(|own| own == first))
        };
        if let Some(other) = devices[..at].iter().find(reads)
            && let Some(unit) = device.unit()
        {
            let message = format!(
                "`{}` and `{}` are both unit {unit} and read the same registers",
                other.name, device.name
            );
            let help = format!("was `unit` forgotten in a copy of {}?", line_of(cx, other.key_span));
            cx.warning(device.node.span_of(&["unit"]).unwrap_or(device.key_span), message, help);
        }
    }
}

/// Units above 247 are reserved on a serial line; devices that have one answer to every address.
fn any_unit(cx: &Context<'_>, channels: &[ChannelDraft], devices: &[DeviceDraft]) {
    let above = |device: &DeviceDraft| device.unit().filter(|unit| *unit > 247);
    for (device, unit) in devices.iter().filter_map(|device| Some((device, above(device)?))) {
        let serial = matches!(
            channels[device.channel].driver.as_ref().and_then(ChannelDriver::modbus),
            Some(Transport::Rtu(_) | Transport::Ascii(_))
        );
        let others = || devices.iter().filter(|other| other.channel == device.channel).count() > 1;
        if serial && others() {
            let message = format!("`{}` has unit {unit}, and it is not alone on its line", device.name);
            let help =
                "units above 247 are reserved; a device that answers to one often answers to every unit"
                    .to_owned();
            cx.warning(device.node.span_of(&["unit"]).unwrap_or(device.key_span), message, help);
        }
    }
}

fn idle_channels(cx: &Context<'_>, channels: &[ChannelDraft], devices: &[DeviceDraft]) {
    for (at, channel) in channels.iter().enumerate() {
        if channel.driver.is_some() && !devices.iter().any(|device| device.channel == at) {
            let message = format!("nothing is attached to the channel `{}`; it is not opened", channel.name);
            cx.warning(channel.key_span, message, None);
        }
    }
}
