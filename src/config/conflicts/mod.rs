//! What is right in itself but not beside something else: equal topics, overlapping writes, one port twice.
//!
//! Invariant: every complaint stands at the later of the two places and names the earlier one's line.

mod loops;

use std::collections::{BTreeMap, HashMap};

use super::context::Context;
use super::draft::{ChannelDraft, DeviceDraft, PointDraft};
use super::drivers::read_as;
use super::source::Span;
use crate::driver::entry::Endpoint;
use crate::driver::modbus::Transport;
use crate::model::Topic;
use crate::publish::topics::GATEWAY_LEVEL;

/// Checks everything that concerns two parts of the configuration.
pub(super) fn check(cx: &Context<'_>, site: &Topic, channels: &[ChannelDraft], devices: &[DeviceDraft]) {
    same_port(cx, channels);
    same_topic(cx, site, devices);
    clashes(cx, channels, devices);
    loops::check(cx, site, channels, devices);
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
        let Some(Endpoint { place: end, exclusive }) = driver.kind.endpoint(&driver.settings) else {
            continue;
        };
        let place = channel.node.span_of(&["port", "address"]).unwrap_or(channel.key_span);
        let Some(first) = seen.insert(end.clone(), channel) else { continue };
        if exclusive {
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

/// Points of one channel that exclude each other, as its driver says.
fn clashes(cx: &Context<'_>, channels: &[ChannelDraft], devices: &[DeviceDraft]) {
    for (at, channel) in channels.iter().enumerate() {
        let Some(driver) = &channel.driver else { continue };
        let own = devices.iter().filter(|device| device.channel == at);
        let drafts: Vec<(&DeviceDraft, &PointDraft)> =
            own.flat_map(|device| device.points.iter().map(move |draft| (device, draft))).collect();
        let neighbours: Vec<_> = drafts
            .iter()
            .map(|(device, draft)| (&device.settings, &draft.wiring, draft.point.access))
            .collect();
        for clash in driver.kind.clashes(&neighbours) {
            let (one, two) = (drafts[clash.points.0].1, drafts[clash.points.1].1);
            let (earlier, later) = if one.place <= two.place { (one, two) } else { (two, one) };
            let message = format!("`{}` and `{}` {}", earlier.point.name, later.point.name, clash.why);
            let help = clash.help.replace("{first}", &line_of(cx, earlier.place));
            cx.error(later.node.span_of(clash.keys).unwrap_or(later.place), message, help);
        }
    }
}

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
            channels[device.channel].driver.as_ref().and_then(|driver| read_as(&driver.settings)),
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
