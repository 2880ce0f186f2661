//! The plan of a gateway, and how it is made from the root of the tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::alarms::{Points, alarms, chattering, check_behaviours, check_classes};
use super::bridges::bridges;
use super::cases::{Case, Subjects, cases};
use super::conflicts;
use super::context::Context;
use super::control::control;
use super::de::read;
use super::devices::{Plant, channels, devices, note_factory};
use super::draft::{ChannelDraft, DeviceDraft, Names};
use super::drivers::{AttachedDevice, AttachedPoint};
use super::node::{Kind, Node};
use super::notify::notifiers;
use super::parts::{check_keys, expect_map, fields_of, read_part};
use super::problem::Problem;
use super::profile::Library;
use super::sections::{PublishSection, SiteSection};
use super::virtual_points as virtual_adapter;
use super::words::Grade;
use crate::command::Control;
use crate::driver::DriverPlan;
use crate::model::behaviour::Behaviour;
use crate::model::{PointId, PointTable, Topic};
use crate::{alarm, bridge, broker, notify, web};

/// The sections of a file that have a shape of their own.
pub(super) const SECTIONS: [&str; 12] = [
    "defaults",
    "channels",
    "devices",
    "alarms",
    "chattering",
    "notify",
    "interlocks",
    "control",
    "bridges",
    "broker",
    "web",
    TESTS,
];

/// The section of rule tests, also in files beside the configuration.
const TESTS: &str = "tests";

/// A validated configuration: everything that the gateway needs to know.
#[derive(Debug)]
pub struct Plan {
    /// Which text it was made of.
    pub source: Identity,
    /// The first part of every topic.
    pub site: Topic,
    /// All points; a [`PointId`] is a place in it.
    pub points: Arc<PointTable>,
    /// The channels that have devices, in the order of the file.
    pub channels: Vec<ChannelPlan>,
    /// The alarms, in the order of the file, and behind them those of their inputs.
    pub alarms: Vec<alarm::Rule>,
    /// The rule tests, in the order of the file, and behind them those of the files beside it.
    pub tests: Vec<Case>,
    /// Who counts more than whom at outputs, and the interlocks.
    pub control: Control,
    /// The upstream brokers that are switched on, by their names, in the order of the file.
    pub bridges: IndexMap<Arc<str>, bridge::Config>,
    /// Who is told of alarms, by the notifiers' names, in the order of the file.
    pub notifiers: IndexMap<Arc<str>, notify::Config>,
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

/// Which text a plan was made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// What the configuration is called: the path of its file.
    pub origin: String,
    /// SHA-256 over the configuration and the profiles that it uses, in hexadecimal.
    pub digest: String,
}

/// One channel and its driver's plan.
#[derive(Debug, Clone)]
pub struct ChannelPlan {
    /// The channel's name.
    pub name: Arc<str>,
    /// What its driver needs.
    pub driver: DriverPlan,
}

/// Makes the plan; mistakes are recorded in the context, and then what comes back is of no use. `beside` are the
/// roots of files of rule tests.
pub(super) fn build(cx: &Context<'_>, root: &Node, beside: &[Node]) -> Option<Plan> {
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
    let plant = Plant { site: &site, defaults, language: section.language, channels: &channels };
    let mut devices = devices(cx, part("devices"), &plant, &mut library, &mut names);
    virtual_adapter::resolve(cx, &mut devices, &names);
    conflicts::check(cx, &site, &channels, &devices);
    let points = Points::new(&names, &devices);
    let manner = chattering(cx, part("chattering"));
    let rules = alarms(cx, part("alarms"), &points, &devices, &manner);
    check_classes(cx, part("chattering"), &manner, &rules);
    let subjects = Subjects { points: &points, devices: &devices, rules: &rules, alarms: part("alarms") };
    let tests = cases(cx, &sections_of_tests(cx, root, beside), &subjects);
    let control = control(cx, part("control"), part("interlocks"), &points);
    check_behaviours(cx, &devices, &points);
    let told = notifiers(cx, part("notify"), &rules);
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
    let rest = assemble(cx, site, channels, devices, rules, broker, web);
    Some(Plan { tests, control, bridges: found, notifiers: told, ..rest })
}

/// The sections `tests` of the configuration and of the files beside it, which hold nothing else.
fn sections_of_tests<'a>(cx: &Context<'_>, root: &'a Node, beside: &'a [Node]) -> Vec<&'a Node> {
    for file in beside {
        if !file.is_null() && expect_map(cx, file, "a file of tests") {
            check_keys(cx, file, &[&[TESTS]]);
        }
    }
    std::iter::once(root).chain(beside).filter_map(|root| root.get(TESTS)).collect()
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
        super::blame::blame(cx, root.get("broker").unwrap_or(root), &[], message);
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
    let profiles = profile_lines(&devices);
    let mut lines: Vec<Vec<AttachedDevice>> = channels.iter().map(|_| Vec::new()).collect();
    for device in devices {
        let mut wired = Vec::with_capacity(device.points.len());
        for mut draft in device.points {
            let id = PointId(u32::try_from(points.len()).unwrap_or(u32::MAX));
            draft.point.id = id;
            behaviours.extend(draft.behaviour.map(|behaviour| (id, behaviour)));
            let point = &draft.point;
            wired.push(AttachedPoint {
                id,
                name: Arc::clone(&point.name),
                wiring: draft.wiring,
                conversion: draft.conversion,
                poll: point.poll,
                access: point.access,
                tolerance: point.tolerance,
            });
            points.push(draft.point);
        }
        let model =
            device.profile.as_ref().map_or_else(|| Arc::clone(&device.name), |own| Arc::clone(&own.name));
        let (name, settings) = (device.name, device.settings);
        lines[device.channel].push(AttachedDevice { name, model, settings, points: wired });
    }
    let mut plans = Vec::new();
    for (channel, devices) in channels.into_iter().zip(lines).filter(|(_, devices)| !devices.is_empty()) {
        let name = channel.name;
        let planned = channel.driver.and_then(|own| own.kind.plan(Arc::clone(&name), own.settings, devices));
        let Some(driver) = planned else { continue };
        super::check::check_load(cx, &driver, channel.key_span);
        plans.push(ChannelPlan { name, driver });
    }
    let points = Arc::new(PointTable::new(points));
    Plan {
        source: Identity::default(),
        site,
        points,
        channels: plans,
        alarms,
        tests: Vec::new(),
        control: Control::default(),
        bridges: IndexMap::new(),
        notifiers: IndexMap::new(),
        broker,
        web,
        behaviours,
        labels,
        profiles,
        unconfirmed,
        warnings: Vec::new(),
    }
}

/// The profiles that devices have, each once.
fn profile_lines(devices: &[DeviceDraft]) -> Vec<String> {
    let mut lines: Vec<String> =
        devices.iter().filter_map(|device| device.profile.as_deref()?.line()).collect();
    lines.sort();
    lines.dedup();
    lines
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
