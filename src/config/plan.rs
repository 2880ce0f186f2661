//! The plan of a gateway, and how it is made from the root of the tree.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::alarms::{Points, alarms, check_behaviours};
use super::bridges::bridges;
use super::conflicts;
use super::context::Context;
use super::de::read;
use super::devices::{Plant, channels, devices, note_factory};
use super::draft::{ChannelDraft, DeviceDraft, Names};
use super::drivers::{ChannelDriver, DeviceSettings, Wire};
use super::node::{Kind, Node};
use super::parts::{check_keys, expect_map, fields_of, read_part};
use super::problem::Problem;
use super::profile::Library;
use super::sections::{PublishSection, SiteSection};
use super::source::Span;
use super::values::Grade;
use super::virtual_points as virtual_adapter;
use crate::driver::{DriverPlan, ascii, http, local, modbus, system, virtual_points};
use crate::model::behaviour::Behaviour;
use crate::model::{PointId, PointTable, Topic};
use crate::{alarm, bridge, broker, web};

/// The sections of a file that have a shape of their own.
pub(super) const SECTIONS: [&str; 7] =
    ["defaults", "channels", "devices", "alarms", "bridges", "broker", "web"];

/// A validated configuration: everything that the gateway needs to know.
#[derive(Debug)]
pub struct Plan {
    /// The first part of every topic.
    pub site: Topic,
    /// All points; a [`PointId`] is a place in it.
    pub points: Arc<PointTable>,
    /// The channels that have devices, in the order of the file.
    pub channels: Vec<ChannelPlan>,
    /// The alarms, in the order of the file, and behind them those of their inputs.
    pub alarms: Vec<alarm::Rule>,
    /// The upstream brokers that are switched on, by their names, in the order of the file.
    pub bridges: IndexMap<Arc<str>, bridge::Config>,
    /// The embedded broker.
    pub broker: broker::Config,
    /// The page.
    pub web: web::Config,
    /// How simulated values move, for the points that say so.
    pub behaviours: BTreeMap<PointId, Behaviour>,
    /// What people call devices, by the devices' names, where that is said.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// The profiles in use: name, makers and models, source and notes, one paragraph each.
    pub profiles: Vec<String>,
    /// Points that rest on facts nobody has confirmed.
    pub unconfirmed: Vec<String>,
    /// What should be looked at, though it keeps nothing from starting.
    pub warnings: Vec<Problem>,
}

/// One channel and its driver's plan.
#[derive(Debug, Clone)]
pub struct ChannelPlan {
    /// The channel's name.
    pub name: Arc<str>,
    /// What its driver needs.
    pub driver: DriverPlan,
}

/// Makes the plan; mistakes are recorded in the context, and then what comes back is of no use.
pub(super) fn build(cx: &Context<'_>, root: &Node) -> Option<Plan> {
    if root.is_null() {
        cx.error(root.span, "the configuration is empty", Some("begin with `site: my-site`".to_owned()));
        return None;
    }
    if !expect_map(cx, root, "the configuration") {
        return None;
    }
    check_keys(cx, root, &[fields_of::<SiteSection>(), &SECTIONS]);
    let section: SiteSection = read_part(cx, root).unwrap_or_default();
    let site = site(cx, root, &section);
    let nothing = Node::map(root.span, Vec::new());
    let part = |key: &str| root.get(key).unwrap_or(&nothing);
    let defaults: PublishSection = read(cx, part("defaults")).unwrap_or_default();
    let channels = channels(cx, part("channels"));
    check_profile_path(cx, root);
    let mut library = Library::new(cx, &section.profile_path);
    let mut names = Names::default();
    let plant = Plant { site: &site, defaults, channels: &channels };
    let mut devices = devices(cx, part("devices"), &plant, &mut library, &mut names);
    virtual_adapter::resolve(cx, &mut devices, &names);
    conflicts::check(cx, &site, &channels, &devices);
    let points = Points::new(&names, &devices);
    let rules = alarms(cx, part("alarms"), &points, &devices);
    check_behaviours(cx, &devices, &points);
    let found = bridges(cx, part("bridges"), &devices);
    let broker = read::<broker::Config>(cx, part("broker"));
    let web = read::<web::Config>(cx, part("web"));
    check_broker(cx, root, broker.as_ref());
    let (broker, web) = (broker?, web?);
    check_listeners(cx, root, &broker, &web);
    if cx.error_count() == 0 {
        conflicts::warn(cx, &channels, &devices);
        note_factory(cx, &devices, &channels);
    }
    Some(Plan { bridges: found, ..assemble(cx, site, channels, devices, rules, broker, web) })
}

/// The broker's section alone; mistakes are recorded in the context.
pub(super) fn build_broker(cx: &Context<'_>, root: &Node) -> Option<broker::Config> {
    if root.is_null() {
        return Some(broker::Config::default());
    }
    if !expect_map(cx, root, "the configuration") {
        return None;
    }
    check_keys(cx, root, &[fields_of::<SiteSection>(), &SECTIONS]);
    let nothing = Node::map(root.span, Vec::new());
    let section = read::<broker::Config>(cx, root.get("broker").unwrap_or(&nothing));
    check_broker(cx, root, section.as_ref());
    section
}

/// The section `web:` alone.
pub(super) fn build_web(cx: &Context<'_>, root: &Node) -> Option<web::Config> {
    if root.is_null() {
        return Some(web::Config::default());
    }
    if !expect_map(cx, root, "the configuration") {
        return None;
    }
    let nothing = Node::map(root.span, Vec::new());
    read(cx, root.get("web").unwrap_or(&nothing))
}

fn site(cx: &Context<'_>, root: &Node, section: &SiteSection) -> Topic {
    let place = root.span_of(&["site"]).unwrap_or(root.span);
    let fallback = || Topic::new("site").ok();
    let site = match section.site.as_deref() {
        None => {
            if root.get("site").is_none() {
                let help = "add `site:`, the first part of every topic, such as busan/factory".to_owned();
                cx.error(place, "`site` is missing", help);
            }
            fallback()
        }
        Some(text) if text.starts_with('$') => {
            cx.error(
                place,
                "topics that begin with `$` belong to the broker",
                "choose another `site`".to_owned(),
            );
            fallback()
        }
        Some(text) => Topic::join(&[text]).map_err(|error| cx.error(place, error.to_string(), None)).ok(),
    };
    #[allow(clippy::expect_used, reason = "`site` is a topic name by the rules of MQTT")]
    site.or_else(fallback).expect("a plain word is a topic")
}

/// A folder that is not there would silently leave its profiles out.
fn check_profile_path(cx: &Context<'_>, root: &Node) {
    let Some(Kind::List(folders)) = root.get("profile-path").map(|node| &node.kind) else { return };
    for folder in folders {
        if folder.text().is_some_and(|text| !cx.around.directory.join(text).is_dir()) {
            let help = "relative paths start at the folder of the configuration".to_owned();
            cx.error(folder.span, "there is no such folder", help);
        }
    }
}

fn check_broker(cx: &Context<'_>, root: &Node, broker: Option<&broker::Config>) {
    let mut problems = broker.map(broker::Config::problems).unwrap_or_default();
    if problems.is_empty() {
        problems = broker.map(broker::Config::file_problems).unwrap_or_default();
    }
    for message in problems {
        let message = message.strip_prefix("broker.").unwrap_or(&message);
        super::modbus::blame(cx, root.get("broker").unwrap_or(root), &[], message);
    }
}

fn check_listeners(cx: &Context<'_>, root: &Node, broker: &broker::Config, web: &web::Config) {
    let (page, mqtt) = (web.listen, broker.listen);
    let same_address = page.ip() == mqtt.ip() || page.ip().is_unspecified() || mqtt.ip().is_unspecified();
    if web.enabled && same_address && page.port() == mqtt.port() && page.port() != 0 {
        let place = [("web", "listen"), ("broker", "listen")];
        let place = place.iter().find_map(|(section, key)| root.get(section)?.span_of(&[key]));
        let message = format!("page and broker cannot both listen on {page}");
        cx.error(place.unwrap_or(root.span), message, "give one of them another port".to_owned());
    }
}

fn assemble(
    cx: &Context<'_>,
    site: Topic,
    channels: Vec<ChannelDraft>,
    devices: Vec<DeviceDraft>,
    alarms: Vec<alarm::Rule>,
    broker: broker::Config,
    web: web::Config,
) -> Plan {
    let mut points = Vec::new();
    let mut behaviours = BTreeMap::new();
    let labels =
        devices.iter().filter_map(|device| Some((device.name.clone(), device.label.as_deref()?.into())));
    let labels = labels.collect();
    let unconfirmed = unconfirmed(&devices);
    let mut profiles: Vec<String> =
        devices.iter().filter_map(|device| device.profile.as_deref()?.line()).collect();
    profiles.sort();
    profiles.dedup();
    let mut lines: Vec<Line> = channels.iter().map(|_| Line::default()).collect();
    for device in devices {
        let timeout = channels[device.channel].driver.as_ref().map(timeout_of).unwrap_or_default();
        let mut wires = Vec::with_capacity(device.points.len());
        for mut draft in device.points {
            let id = PointId(u32::try_from(points.len()).unwrap_or(u32::MAX));
            draft.wire.set_id(id);
            draft.point.id = id;
            behaviours.extend(draft.behaviour.map(|behaviour| (id, behaviour)));
            wires.push(draft.wire);
            points.push(draft.point);
        }
        let model =
            device.profile.as_ref().map_or_else(|| Arc::clone(&device.name), |own| Arc::clone(&own.name));
        lines[device.channel].add(device.name, model, device.settings, wires, timeout);
    }
    let mut plans = Vec::new();
    for (channel, line) in channels.into_iter().zip(lines) {
        let (name, place) = (channel.name, channel.key_span);
        let driver = channel.driver.and_then(|driver| line.plan(cx, driver, &name, place));
        plans.extend(driver.map(|driver| ChannelPlan { name, driver }));
    }
    let points = Arc::new(PointTable::new(points));
    Plan {
        site,
        points,
        channels: plans,
        alarms,
        bridges: IndexMap::new(),
        broker,
        web,
        behaviours,
        labels,
        profiles,
        unconfirmed,
        warnings: Vec::new(),
    }
}

/// Points whose facts come from where everybody may write; those of a profile once, not for every device.
fn unconfirmed(devices: &[DeviceDraft]) -> Vec<String> {
    let mut names = Vec::new();
    for device in devices {
        for draft in device.points.iter().filter(|draft| draft.grade == Some(Grade::Community)) {
            let name = &draft.point.name;
            let own = name.strip_prefix(&*device.name).and_then(|rest| rest.strip_prefix('/'));
            names.push(match (&device.profile, own) {
                (Some(profile), Some(own)) => format!("{}: {own}", profile.name),
                _ => name.to_string(),
            });
        }
    }
    names.sort();
    names.dedup();
    names
}

/// The devices of one channel; those of its own driver only.
#[derive(Default)]
struct Line {
    modbus: Vec<modbus::Device>,
    http: Vec<http::Device>,
    ascii: Vec<ascii::Device>,
    figures: Vec<system::Device>,
    local: Vec<local::Device>,
    computed: Vec<virtual_points::Device>,
}

impl Line {
    /// What the channel runs; `None` where it has no devices.
    fn plan(
        self,
        cx: &Context<'_>,
        driver: ChannelDriver,
        name: &Arc<str>,
        place: Span,
    ) -> Option<DriverPlan> {
        Some(match driver {
            ChannelDriver::Modbus(transport) if !self.modbus.is_empty() => {
                let plan = modbus::Plan { name: Arc::clone(name), transport, devices: self.modbus };
                super::check::check_budget(cx, &plan, place);
                DriverPlan::Modbus(Arc::new(plan))
            }
            ChannelDriver::Http(config) if !self.http.is_empty() => {
                let plan = http::Plan { name: Arc::clone(name), config: *config, devices: self.http };
                super::check::check_http_budget(cx, &plan, place);
                DriverPlan::Http(Arc::new(plan))
            }
            ChannelDriver::Ascii(transport) if !self.ascii.is_empty() => {
                let (name, devices) = (Arc::clone(name), self.ascii);
                DriverPlan::Ascii(Arc::new(ascii::Plan { name, transport, devices }))
            }
            ChannelDriver::System if !self.figures.is_empty() => {
                let (name, devices) = (Arc::clone(name), self.figures);
                DriverPlan::System(Arc::new(system::Plan { name, root: "/".into(), devices }))
            }
            ChannelDriver::Local(bus) if !self.local.is_empty() => {
                let (name, devices) = (Arc::clone(name), self.local);
                DriverPlan::Local(Arc::new(local::Plan { name, bus: *bus, devices, stand_in: None }))
            }
            ChannelDriver::Virtual(config) if !self.computed.is_empty() => {
                let plan = virtual_points::Plan { name: Arc::clone(name), config, devices: self.computed };
                DriverPlan::Virtual(Arc::new(plan))
            }
            _ => return None,
        })
    }

    fn add(
        &mut self,
        name: Arc<str>,
        model: Arc<str>,
        settings: DeviceSettings,
        wires: Vec<Wire>,
        timeout: Duration,
    ) {
        match settings {
            DeviceSettings::Modbus(config) => self.modbus.push(modbus::Device {
                name,
                unit: config.unit,
                max_registers: config.max_registers,
                max_bits: config.max_bits,
                max_gap: config.max_gap,
                timeout: config.timeout.map_or(timeout, |own| own.0),
                points: wires.into_iter().filter_map(Wire::into_modbus).collect(),
            }),
            DeviceSettings::Http(config) => {
                let points = wires.into_iter().filter_map(Wire::into_http).collect();
                self.http.push(http::Device { name, model, config: *config, points });
            }
            DeviceSettings::Ascii(config) => {
                let points = wires.into_iter().filter_map(Wire::into_ascii).collect();
                self.ascii.push(ascii::Device { name, config: *config, points });
            }
            DeviceSettings::System => {
                let points = wires.into_iter().filter_map(Wire::into_system).collect();
                self.figures.push(system::Device { name, points });
            }
            DeviceSettings::Local(config) => {
                let points = wires.into_iter().filter_map(Wire::into_local).collect();
                self.local.push(local::Device { name, config: *config, points });
            }
            DeviceSettings::Virtual => {
                let points = wires.into_iter().filter_map(Wire::into_virtual).collect();
                self.computed.push(virtual_points::Device { name, points });
            }
        }
    }
}

fn timeout_of(driver: &ChannelDriver) -> Duration {
    match driver {
        ChannelDriver::Modbus(modbus::Transport::Tcp(tcp) | modbus::Transport::RtuOverTcp(tcp)) => {
            tcp.timeout.0
        }
        ChannelDriver::Modbus(modbus::Transport::Rtu(line) | modbus::Transport::Ascii(line)) => {
            line.timeout.0
        }
        ChannelDriver::Http(config) => config.timeout.0,
        ChannelDriver::Ascii(transport) => transport.timeout().0,
        ChannelDriver::Local(_) | ChannelDriver::System | ChannelDriver::Virtual(_) => Duration::ZERO,
    }
}
