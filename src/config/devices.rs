//! Channels and devices: from their entries to drafts, profiles and defaults applied.
//!
//! Absent: whatever concerns two of them (`conflicts`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;

use super::build::{self, Built, plain_name};
use super::context::Context;
use super::de::misspelt;
use super::draft::{Around, ChannelDraft, DeviceDraft, Names};
use super::drivers::{self, ChannelDriver, DriverKind, names_address, read_as};
use super::node::Node;
use super::parts::{check_keys, expect_map, fields_of, read_part_rest};
use super::points::{expand_points, overlay};
use super::profile::{Library, Profile};
use super::repeat::{Item, expand};
use super::sections::{DeviceSection, PublishSection, RepeatSection};
use super::suggest::advice;
use super::words::Language;
use crate::driver::modbus::Transport;
use crate::model::Topic;
use crate::model::units::Period;

/// The most channels, devices and points of one configuration.
pub(super) const MAX_CHANNELS: usize = 1_000;
/// See [`MAX_CHANNELS`].
pub(super) const MAX_DEVICES: usize = 20_000;
/// See [`MAX_CHANNELS`].
pub(super) const MAX_POINTS: usize = 200_000;

/// What all devices of a configuration share.
pub(super) struct Plant<'a> {
    pub(super) site: &'a Topic,
    pub(super) defaults: PublishSection,
    pub(super) language: Language,
    pub(super) channels: &'a [ChannelDraft],
}

/// Everything under `channels`.
pub(super) fn channels(cx: &Context<'_>, node: &Node) -> Vec<ChannelDraft> {
    if !expect_map(cx, node, "`channels`") {
        return Vec::new();
    }
    if node.entries().len() > MAX_CHANNELS {
        cx.error(node.span, format!("more than {MAX_CHANNELS} channels"), None);
    }
    let mut channels = Vec::new();
    for entry in node.entries().iter().take(MAX_CHANNELS) {
        if let Err(help) = plain_name(&entry.key) {
            cx.error(entry.key_span, format!("`{}` cannot be the name of a channel", entry.key), Some(help));
        }
        let driver = drivers::channel(cx, &entry.value);
        let node = entry.value.entries().first().map_or(&entry.value, |driver| &driver.value).clone();
        channels.push(ChannelDraft { name: entry.key.clone(), key_span: entry.key_span, node, driver });
    }
    channels
}

/// Everything under `devices`.
pub(super) fn devices(
    cx: &Context<'_>,
    node: &Node,
    plant: &Plant<'_>,
    library: &mut Library,
    names: &mut Names,
) -> Vec<DeviceDraft> {
    if !expect_map(cx, node, "`devices`") {
        return Vec::new();
    }
    let mut drafts: Vec<DeviceDraft> = Vec::new();
    let mut known: HashMap<Arc<str>, usize> = HashMap::new();
    let mut points = 0;
    for entry in node.entries() {
        if !expect_map(cx, &entry.value, &format!("the device `{}`", entry.key)) {
            continue;
        }
        for item in expand(cx, entry, "points") {
            if known.insert(item.name.clone(), known.len()).is_some() {
                cx.error(item.key_span, format!("the device `{}` exists already", item.name), None);
                continue;
            }
            let draft = device(cx, &item, plant, library, names, points);
            points += draft.as_ref().map_or(0, |draft| draft.points.len());
            drafts.extend(draft);
            if known.len() > MAX_DEVICES || points > MAX_POINTS {
                let message = format!("more than {MAX_DEVICES} devices or {MAX_POINTS} points");
                cx.error(entry.key_span, message, Some("run a second gateway".to_owned()));
                return drafts;
            }
        }
    }
    drafts
}

fn device(
    cx: &Context<'_>,
    item: &Item,
    plant: &Plant<'_>,
    library: &mut Library,
    names: &mut Names,
    first_point: usize,
) -> Option<DeviceDraft> {
    let node = &item.node;
    if let Err(help) = plain_name(&item.name) {
        cx.error(item.key_span, format!("`{}` cannot be the name of a device", item.name), Some(help));
    }
    let section: DeviceSection = read_part_rest(cx, node).unwrap_or_default();
    let profile = section
        .profile
        .as_deref()
        .and_then(|name| library.get(cx, name, node.span_of(&["profile"]).unwrap_or(item.key_span)));
    let own_publish = read_part_rest::<PublishSection>(cx, node).unwrap_or_default();
    let wider = profile.as_ref().map_or(plant.defaults, |profile| profile.publish.over(plant.defaults));
    let channel = channel_of(cx, item, &section, plant.channels);
    let driver = channel.and_then(|at| plant.channels[at].driver.as_ref());
    let kind = kind_of(cx, item, profile.as_deref(), driver)?;
    check_keys(cx, node, &device_keys(kind));
    let node = with_profile(node, profile.as_deref());
    let settings = kind.device(cx, &node, driver.map(|driver| &driver.settings), item.shift)?;
    if section.enabled == Some(false) {
        return None;
    }
    let draft_channel = channel.map(|at| &plant.channels[at]);
    let around = Around {
        site: plant.site,
        device: &item.name,
        channel: draft_channel.map_or(&item.name, |channel| &channel.name),
        topic: topic_of(cx, item, &section, plant.site),
        publish: own_publish.over(wider),
        kind,
        settings: &settings,
        driver,
        grade: profile.as_ref().and_then(|profile| Some(profile.about.as_ref()?.grade)),
        groups: groups_of(profile.as_deref(), &section),
        language: plant.language,
        attached: channel.is_some(),
    };
    let items = points_of(cx, item, &section, profile.as_deref(), kind);
    let points = build_points(cx, &around, &items, names, first_point);
    Some(DeviceDraft {
        name: item.name.clone(),
        key_span: item.key_span,
        label: section.label,
        node,
        channel: channel?,
        settings,
        profile,
        points,
    })
}

/// The periods of the poll groups: the profile's, changed by the device's.
fn groups_of(profile: Option<&Profile>, section: &DeviceSection) -> IndexMap<String, Period> {
    let about = profile.and_then(|profile| profile.about.as_ref());
    let mut groups = about.map(|about| about.groups.clone()).unwrap_or_default();
    groups.extend(section.groups.iter().map(|(name, period)| (name.clone(), *period)));
    groups
}

/// The part of the topics that is the device's; its name where that is unusable.
fn topic_of<'a>(cx: &Context<'_>, item: &'a Item, section: &'a DeviceSection, site: &Topic) -> &'a str {
    let Some(topic) = section.topic.as_deref() else { return &item.name };
    match Topic::join(&[site.as_str(), topic]) {
        Ok(_) => topic,
        Err(error) => {
            cx.error(item.node.span_of(&["topic"]).unwrap_or(item.key_span), error.to_string(), None);
            &item.name
        }
    }
}

/// The driver of a device: its channel's, which its profile must be written for; `None` when it is not.
fn kind_of(
    cx: &Context<'_>,
    item: &Item,
    profile: Option<&Profile>,
    driver: Option<&ChannelDriver>,
) -> Option<DriverKind> {
    match (profile.map(|profile| profile.kind), driver.map(|driver: &ChannelDriver| driver.kind)) {
        (Some(theirs), Some(ours)) if theirs.key() != ours.key() => {
            let (theirs, ours) = (theirs.key(), ours.key());
            let place = item.node.span_of(&["profile"]).unwrap_or(item.key_span);
            let help = format!("name a channel of the driver `{theirs}`, or a profile that has `{ours}:`");
            cx.error(place, format!("the profile is for `{theirs}`, and the channel speaks `{ours}`"), help);
            None
        }
        (Some(kind), _) | (None, Some(kind)) => Some(kind),
        (None, None) => Some(drivers::guess(&item.node)),
    }
}

/// The keys of a device, section by section.
fn device_keys(kind: DriverKind) -> [&'static [&'static str]; 5] {
    [
        fields_of::<DeviceSection>(),
        fields_of::<PublishSection>(),
        kind.device_fields(),
        fields_of::<RepeatSection>(),
        &["points"],
    ]
}

fn build_points(
    cx: &Context<'_>,
    around: &Around<'_>,
    items: &[Item],
    names: &mut Names,
    first_point: usize,
) -> Vec<super::draft::PointDraft> {
    let mut points = Vec::with_capacity(items.len());
    for item in items {
        let name = format!("{}/{}", around.device, item.name);
        match build::point(cx, around, item) {
            Built::Off => {}
            Built::Wrong => names.add(&name, None, None),
            Built::Point(draft) => {
                let site = around.site.as_str();
                let below =
                    draft.point.topic.as_str().strip_prefix(site).and_then(|rest| rest.strip_prefix('/'));
                let index = around.attached.then_some(first_point + points.len());
                names.add(&name, below, index);
                points.push(*draft);
            }
        }
    }
    points
}

fn points_of(
    cx: &Context<'_>,
    item: &Item,
    section: &DeviceSection,
    profile: Option<&Profile>,
    kind: DriverKind,
) -> Vec<Item> {
    let own = item.node.get("points").map(|node| expand_points(cx, node)).unwrap_or_default();
    // Overrides of a profile that was not found would only give further errors.
    match profile {
        Some(profile) => overlay(cx, &profile.points, own, &profile.name, kind),
        None if section.profile.is_some() => {
            own.into_iter().filter(|item| names_address(kind, item)).collect()
        }
        None => {
            if own.is_empty() && item.node.get("points").is_none() {
                let help = Some("add `points:` or `profile:`".to_owned());
                cx.error(item.key_span, format!("the device `{}` has no points", item.name), help);
            }
            own
        }
    }
}

/// The device's map with the profile's settings where it says nothing itself.
fn with_profile(node: &Node, profile: Option<&Profile>) -> Node {
    let mut merged = node.clone();
    let Some(profile) = profile else { return merged };
    for setting in &profile.settings {
        if merged.get(&setting.key).is_none() {
            merged.put(setting.clone());
        }
    }
    if !profile.kind.device_fields().contains(&"unit") {
        return merged;
    }
    let factory = profile.about.as_ref().and_then(|about| about.factory.unit);
    if let (Some(unit), None) = (factory, merged.get("unit")) {
        let value = Node::scalar(node.span, &unit.to_string());
        merged.put(super::node::Entry { key_span: node.span, key: "unit".into(), value });
    }
    merged
}

fn channel_of(
    cx: &Context<'_>,
    item: &Item,
    section: &DeviceSection,
    channels: &[ChannelDraft],
) -> Option<usize> {
    let Some(name) = section.channel.as_deref() else {
        let keys = device_keys(drivers::guess(&item.node)).concat();
        let misspelt = misspelt(item.node.entries(), "channel", &keys);
        if item.node.get("channel").is_none() && !misspelt {
            let help = advice("", channels.iter().map(|channel| &*channel.name));
            let help = help.or_else(|| Some("add `channel:` with a name from `channels`".to_owned()));
            cx.error(item.key_span, format!("the device `{}` names no channel", item.name), help);
        }
        return None;
    };
    let found = channels.iter().position(|channel| &*channel.name == name);
    if found.is_none() {
        let help = advice(name, channels.iter().map(|channel| &*channel.name))
            .or_else(|| Some("there are no channels yet; add it under `channels:`".to_owned()));
        let place = item.node.span_of(&["channel"]).unwrap_or(item.key_span);
        cx.error(place, format!("there is no channel `{name}`"), help);
    }
    found
}

/// Compares each line with what the profiles say that their devices leave the factory with, once per profile.
pub(super) fn note_factory(cx: &Context<'_>, devices: &[DeviceDraft], channels: &[ChannelDraft]) {
    let mut told: HashSet<(usize, Arc<str>)> = HashSet::new();
    for device in devices {
        let Some(profile) = &device.profile else { continue };
        let channel = &channels[device.channel];
        let (Some(Transport::Rtu(line) | Transport::Ascii(line)), Some(about)) =
            (channel.driver.as_ref().and_then(|driver| read_as(&driver.settings)), &profile.about)
        else {
            continue;
        };
        let mut factory = line.clone();
        factory.baud = about.factory.baud.unwrap_or(line.baud);
        factory.parity = about.factory.parity.unwrap_or(line.parity);
        factory.data_bits = about.factory.data_bits.unwrap_or(line.data_bits);
        factory.stop_bits = about.factory.stop_bits.unwrap_or(line.stop_bits);
        if factory != *line && told.insert((device.channel, Arc::clone(&profile.name))) {
            let (model, name) = (&profile.name, &channel.name);
            let (theirs, ours) = (factory.form(), line.form());
            cx.note(
                device.key_span,
                format!("{model} leaves the factory with {theirs}; `{name}` runs at {ours}"),
            );
        }
    }
}
