//! `iogate check`: what a configuration comes to, in words, and whether each bus can serve its polls.
//!
//! Absent: exit codes and printing, which are the command's. Invariant: the figures are those of the
//! driver's own planner.

use std::fmt::Write as _;
use std::sync::Arc;

use super::context::Context;
use super::modbus::serial_form;
use super::plan::{ChannelPlan, Plan};
use super::problem::count;
use super::source::Span;
use crate::driver::DriverPlan;
use crate::driver::http;
use crate::driver::local;
use crate::driver::modbus::{self, Transport};

/// From this share of a line's time on, writes and recoveries may have to wait for polls.
const BUSY: f64 = 0.7;

/// The most devices of one channel, and points without confirmation, that are listed by name.
const MAX_LISTED: usize = 40;

/// Refuses polls that a bus cannot serve, and warns of those that it hardly can.
pub(super) fn check_budget(cx: &Context<'_>, plan: &modbus::Plan, place: Span) {
    let budget = plan.budget();
    let name = &plan.name;
    let on_tcp = matches!(plan.transport, Transport::Tcp(_) | Transport::RtuOverTcp(_));
    if !budget.fits() && on_tcp {
        // A line's speed is known; how fast a device answers over TCP is an assumption that may be wrong.
        let message = format!(
            "the polls of `{name}` cannot be served unless it answers faster than assumed: they need {budget}"
        );
        cx.warning(place, message, budget.suggestion);
    } else if !budget.fits() {
        let message = format!("the polls of `{name}` cannot be served: they need {budget}");
        cx.error(place, message, budget.suggestion);
    } else if budget.line_time_share > BUSY {
        let message = format!("the polls of `{name}` leave little time for writes: they take {budget}");
        cx.warning(place, message, budget.suggestion);
    }
}

/// Warns of polls that a host cannot serve unless it is faster than assumed.
pub(super) fn check_http_budget(cx: &Context<'_>, plan: &http::Plan, place: Span) {
    let budget = plan.budget();
    let name = &plan.name;
    if budget.share > 1.0 {
        let message = format!(
            "the polls of `{name}` cannot be served unless it answers faster than assumed: they need {budget}"
        );
        cx.warning(place, message, budget.suggestion);
    } else if budget.share > BUSY {
        let message = format!("the polls of `{name}` leave little time for writes: they take {budget}");
        cx.warning(place, message, budget.suggestion);
    }
}

/// What `iogate check` prints for a configuration that is right.
#[must_use]
pub fn check_report(plan: &Plan) -> String {
    let mut out = String::new();
    let devices: usize = plan.channels.iter().map(|channel| channel.driver.device_names().len()).sum();
    let _ = writeln!(
        out,
        "{}: {} on {}, {}, {}",
        plan.site,
        count(plan.points.len(), "point"),
        count(devices, "device"),
        count(plan.channels.len(), "channel"),
        count(plan.alarms.iter().filter(|alarm| !alarm.implied).count(), "alarm"),
    );
    let outputs = plan.points.iter().filter(|point| point.access.writable()).count();
    let _ = writeln!(out, "outputs: {outputs}");
    let page = if plan.web.enabled { format!("page on {}", plan.web.listen) } else { "no page".to_owned() };
    let _ = writeln!(out, "broker on {}, {page}", plan.broker.listen);
    for (name, bridge) in &plan.bridges {
        let _ = writeln!(
            out,
            "bridge {name} to {} ({}, MQTT {}): {} forwarded, {} accepted",
            bridge.url,
            bridge.profile.word(),
            bridge.version().word(),
            count(bridge.forward.len(), "filter"),
            count(bridge.accept.len(), "filter"),
        );
    }
    for channel in &plan.channels {
        out.push('\n');
        describe_channel(&mut out, channel, plan);
    }
    describe_profiles(&mut out, plan);
    if !plan.warnings.is_empty() {
        out.push('\n');
    }
    for warning in &plan.warnings {
        let _ = writeln!(out, "{warning}");
    }
    out
}

fn describe_channel(out: &mut String, channel: &ChannelPlan, whole: &Plan) {
    match &channel.driver {
        DriverPlan::Modbus(plan) => describe_modbus(out, plan, whole),
        DriverPlan::Http(plan) => describe_http(out, plan, whole),
        DriverPlan::Ascii(plan) => {
            let (way, end) = (plan.transport.word(), plan.transport.endpoint());
            let _ = writeln!(out, "{}: {way} at {end}", plan.name);
            describe_devices(
                out,
                whole,
                plan.devices.iter().map(|device| (&device.name, device.points.len())),
            );
        }
        DriverPlan::System(plan) => {
            let _ = writeln!(out, "{}: the box itself", plan.name);
            describe_devices(
                out,
                whole,
                plan.devices.iter().map(|device| (&device.name, device.points.len())),
            );
        }
        DriverPlan::Local(plan) => describe_local(out, plan, whole),
        DriverPlan::Virtual(plan) => {
            let _ = writeln!(out, "{}: computed from other points", plan.name);
            describe_devices(
                out,
                whole,
                plan.devices.iter().map(|device| (&device.name, device.points.len())),
            );
        }
    }
}

fn describe_local(out: &mut String, plan: &local::Plan, whole: &Plan) {
    let _ = writeln!(out, "{}: {} at {}", plan.name, plan.bus.word(), plan.bus.place());
    for device in plan.devices.iter().take(MAX_LISTED) {
        let label = label_of(whole, &device.name);
        let _ = writeln!(out, "  {}{label}: {}", device.name, count(device.points.len(), "point"));
    }
    more(out, plan.devices.len());
}

fn describe_http(out: &mut String, plan: &http::Plan, whole: &Plan) {
    let budget = plan.budget();
    let secure = if plan.config.tls.is_some() { "https" } else { "http" };
    let _ = writeln!(out, "{}: {secure} to {}", plan.name, plan.config.address);
    let _ = writeln!(out, "  {budget}");
    for (device, (_, requests, share)) in plan.devices.iter().zip(&budget.devices).take(MAX_LISTED) {
        let _ = writeln!(
            out,
            "  {}{}: {}, {}, {:.1} %",
            device.name,
            label_of(whole, &device.name),
            count(device.points.len(), "point"),
            count(*requests, "request"),
            share * 100.0,
        );
    }
    more(out, plan.devices.len());
}

/// Devices of which there is nothing to say but how many points they have.
fn describe_devices<'a>(
    out: &mut String,
    whole: &Plan,
    devices: impl ExactSizeIterator<Item = (&'a Arc<str>, usize)>,
) {
    let total = devices.len();
    for (name, points) in devices.take(MAX_LISTED) {
        let _ = writeln!(out, "  {name}{}: {}", label_of(whole, name), count(points, "point"));
    }
    more(out, total);
}

fn label_of(whole: &Plan, device: &str) -> String {
    whole.labels.get(device).map_or_else(String::new, |label| format!(" ({label})"))
}

fn describe_modbus(out: &mut String, plan: &modbus::Plan, whole: &Plan) {
    let budget = plan.budget();
    let _ = writeln!(out, "{}: {}", plan.name, transport(&plan.transport));
    let _ = writeln!(out, "  {budget}");
    for device in plan.devices.iter().take(MAX_LISTED) {
        let own = budget.requests.iter().filter(|request| request.device == device.name);
        let (requests, share) =
            own.fold((0, 0.0), |(number, share), request| (number + 1, share + request.share()));
        let _ = writeln!(
            out,
            "  {}{}: unit {}, {}, {}, {:.1} %",
            device.name,
            label_of(whole, &device.name),
            device.unit,
            count(device.points.len(), "point"),
            count(requests, "request"),
            share * 100.0,
        );
    }
    more(out, plan.devices.len());
}

fn more(out: &mut String, total: usize) {
    if total > MAX_LISTED {
        let _ = writeln!(out, "  … and {} more", total - MAX_LISTED);
    }
}

fn transport(transport: &Transport) -> String {
    match transport {
        Transport::Tcp(tcp) => format!("modbus-tcp to {}", tcp.address),
        Transport::RtuOverTcp(tcp) => format!("modbus-rtu-over-tcp to {}", tcp.address),
        Transport::Rtu(line) => format!("modbus-rtu on {} at {}", line.port, serial_form(line)),
        Transport::Ascii(line) => format!("modbus-ascii on {} at {}", line.port, serial_form(line)),
    }
}

fn describe_profiles(out: &mut String, plan: &Plan) {
    if !plan.profiles.is_empty() {
        out.push_str("\nprofiles:\n");
    }
    for profile in &plan.profiles {
        let _ = writeln!(out, "  {profile}");
    }
    if !plan.unconfirmed.is_empty() {
        out.push_str("\nfrom unconfirmed sources, to be checked on the device:\n");
        for name in plan.unconfirmed.iter().take(MAX_LISTED) {
            let _ = writeln!(out, "  {name}");
        }
        more(out, plan.unconfirmed.len());
    }
}
