//! `iogate check`: what a configuration comes to, in words, and whether each bus can serve its polls.
//!
//! Absent: exit codes and printing, which are the command's. Invariant: the figures are those of the
//! driver's own planner.

use std::fmt::Write as _;

use super::context::Context;
use super::plan::{ChannelPlan, Plan};
use super::source::Span;
use crate::driver::DriverPlan;
use crate::driver::plan::Overload;
use crate::model::units::count;

/// The most devices of one channel, and points without confirmation, that are listed by name.
const MAX_LISTED: usize = 40;

/// Refuses polls that a channel cannot serve, and warns of those that it hardly can.
pub(super) fn check_load(cx: &Context<'_>, plan: &DriverPlan, place: Span) {
    let Some(Overload { fatal, message, help }) = plan.overload() else { return };
    match fatal {
        true => cx.error(place, message, help),
        false => cx.warning(place, message, help),
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
    match plan.control.interlocks.len() {
        0 => drop(writeln!(out, "outputs: {outputs}")),
        interlocks => drop(writeln!(out, "outputs: {outputs}, {}", count(interlocks, "interlock"))),
    }
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
    let described = channel.driver.description();
    let _ = writeln!(out, "{}: {}", channel.name, described.line);
    if let Some(load) = &described.load {
        let _ = writeln!(out, "  {load}");
    }
    for (device, text) in described.devices.iter().take(MAX_LISTED) {
        let _ = writeln!(out, "  {device}{}: {text}", label_of(whole, device));
    }
    more(out, described.devices.len());
}

fn label_of(whole: &Plan, device: &str) -> String {
    whole.labels.get(device).map_or_else(String::new, |label| format!(" ({label})"))
}

fn more(out: &mut String, total: usize) {
    if total > MAX_LISTED {
        let _ = writeln!(out, "  … and {} more", total - MAX_LISTED);
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
